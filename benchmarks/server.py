"""A PostgreSQL of a benchmark's own, with the product's real settings (fsync on), migrated and ready."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import harness


@contextmanager
def database(**settings: str) -> Iterator[str]:
    """Start it, set Django up on it with all migrations, give its address; stop and remove it afterwards."""
    home = Path(tempfile.mkdtemp(prefix="coulance-bench-"))
    if os.geteuid() == 0:
        home.chmod(0o711)  # the database's service user must pass through it
    os.environ["COULANCE_HOME"] = str(home / "home")
    from coulance.platform.layout import database_layout, make_private
    from coulance.platform.postgres import EmbeddedPostgres

    layout = database_layout(home / "home")
    make_private(layout.base, group=layout.traversal_group(home / "home"))
    server = EmbeddedPostgres(layout=layout, password=secrets.token_urlsafe(16), settings=settings)
    server.start()
    try:
        os.environ["DATABASE_URL"] = server.url("coulance")
        harness.settings()
        from coulance.platform import schema

        schema.migrate()
        yield server.url("coulance")
    finally:
        from django.db import connections

        connections.close_all()
        server.stop()
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(layout.base, ignore_errors=True)
        shutil.rmtree(layout.socket_dir, ignore_errors=True)
