"""The web server, a part of `coulance up`.

It serves the socket that the supervisor listens on (COULANCE_LISTEN_FD), so that two web servers can overlap and no
connection is lost between them; without one it listens itself.
"""

import contextlib
import multiprocessing
import os
import socket
from typing import Any

from granian._granian import SocketHolder
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

from coulance.platform.parent import follow_parent

_BACKLOG = 1024


def worker_started() -> None:
    """Called in each process that serves, before it serves: it must not outlive the server's main process.

    The server's main process can be killed, and then its children would keep the port for ever.
    """
    follow_parent()


def worker_ready() -> None:
    """Called in each process that serves when it has loaded all it needs; the supervisor may wait for that."""
    if told := os.environ.get("COULANCE_READY_FD"):
        with contextlib.suppress(OSError):
            os.write(int(told), b".")
            os.close(int(told))


class _ServerOfSocket(Server):  # type: ignore[misc, valid-type]
    """Granian on a socket that listens already: all its processes take connections from that one queue."""

    def __init__(self, *given: Any, listening: int, **more: Any) -> None:
        super().__init__(*given, **more)
        self._listening = listening

    def _init_shared_socket(self) -> None:
        self._ssp = None
        self._sfd = self._listening
        self._shd = SocketHolder(self._listening, False, _BACKLOG)  # type: ignore[call-arg]
        self._sso = socket.socket(fileno=self._listening)


def main(host: str, port: int, workers: int, threads: int) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests at hand.

    Each thread may hold one database connection, so workers x threads must stay well below the server's limit (100).
    """
    given: dict[str, Any] = {
        "address": host,
        "port": port,
        "interface": Interfaces.WSGI,
        "workers": workers,
        "blocking_threads": threads,
        "backpressure": max(threads * 8, 64),
        "websockets": False,
        "log_level": LogLevels.error,
        "respawn_failed_workers": True,
        "workers_kill_timeout": 25,
        "process_name": None,
    }
    target = "coulance.config.wsgi:application"
    inherited = os.environ.get("COULANCE_LISTEN_FD")
    if inherited is None:
        Server(target, **given).serve()
    else:
        # Forked, its processes inherit the descriptor, and what the nursery has loaded.
        multiprocessing.set_start_method("fork")
        _ServerOfSocket(target, listening=int(inherited), **given).serve()
