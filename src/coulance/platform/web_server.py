"""The web part, run by the supervisor: `python -m coulance.platform.web_server HOST PORT WORKERS THREADS`."""

import sys

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

from coulance.platform.parent import follow_parent


def worker_started() -> None:
    """Called in each process that serves, before it serves: it must not outlive the server's main process.

    The server's main process can be killed, and then its children would keep the port for ever.
    """
    follow_parent()


def main(host: str, port: int, workers: int, threads: int) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests at hand.

    Each thread may hold one database connection, so workers x threads must stay well below the server's limit (100).
    """
    Server(
        "coulance.config.wsgi:application",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=threads,
        backpressure=max(threads * 8, 64),
        websockets=False,
        log_level=LogLevels.error,
        respawn_failed_workers=True,
        workers_kill_timeout=25,
        process_name=None,
    ).serve()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
