"""Holds the test run's PostgreSQL: `python -m tests.support.holder RUN_DIR CONTROLLER_PID`.

A process of its own, because the server dies with the thread that started it, and no test worker lives as long as the
run. It leaves when it is told to, or when the run's controller has gone, and takes the server and its files along.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import sys
import threading
from pathlib import Path

import psutil

from coulance.platform.layout import database_layout, make_private
from coulance.platform.postgres import EmbeddedPostgres

# Lost on power failure, and that is fine here. Crash tests start servers of their own with the real settings.
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "max_connections": "200",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


def main(run_dir: Path, controller: int) -> None:
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    home = run_dir / "postgres"
    layout = database_layout(home)
    make_private(layout.base, group=layout.traversal_group(home))
    password = secrets.token_urlsafe(16)
    server = EmbeddedPostgres(layout=layout, password=password, settings=FAST)
    try:
        server.start()
        draft = run_dir / "server.json.new"
        draft.write_text(
            json.dumps({"host": str(layout.socket_dir), "user": "coulance", "password": password, "pid": os.getpid()})
        )
        draft.replace(run_dir / "server.json")
        while not told.wait(0.5) and psutil.pid_exists(controller):
            pass
    finally:
        server.stop(patience_s=5)
        for leftover in {layout.base, layout.socket_dir, run_dir}:
            with contextlib.suppress(OSError):
                shutil.rmtree(leftover)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
