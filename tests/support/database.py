"""The test run's database: one server for the whole run, one template with all migrations, a clone for each worker."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

RUN_VARIABLE = "COULANCE_TEST_RUN"
CONTROLLER_VARIABLE = "COULANCE_TEST_CONTROLLER"
ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = "coulance_template"


@dataclass(frozen=True)
class Server:
    """How to reach the run's server, as a superuser."""

    host: str
    user: str
    password: str

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """A new autocommit connection; use it in a `with` so that it is closed."""
        return psycopg.connect(
            host=self.host, port=5432, user=self.user, password=self.password, dbname=database, autocommit=True
        )

    def url(self, database: str) -> str:
        """The address of one of its databases, as DATABASE_URL wants it."""
        query = urlencode({"host": self.host, "port": "5432"})
        return f"postgresql://{quote(self.user)}:{quote(self.password, safe='')}@/{quote(database)}?{query}"

    def make_database(self, name: str, *, template: str = "template0") -> None:
        """Create a database anew, dropping one of that name with whoever is connected to it."""
        with self.connect() as connection:
            target = sql.Identifier(name)
            self.drop_databases(name)
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(target, sql.Identifier(template))
            )

    def drop_databases(self, *names: str) -> None:
        """Drop those that exist, with whoever is connected to them."""
        with self.connect() as connection:
            for name in names:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def run_dir() -> Path:
    """The directory that this test run has to itself."""
    return Path(os.environ[RUN_VARIABLE])


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with (run_dir() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def server() -> Server:
    """The run's server, started by whoever needs it first."""
    answer = run_dir() / "server.json"
    with _one_at_a_time():
        if not answer.exists():
            log = run_dir() / "holder.log"
            with log.open("wb") as output:
                holder = subprocess.Popen(
                    [sys.executable, "-m", "tests.support.holder", run_dir(), os.environ[CONTROLLER_VARIABLE]],
                    cwd=ROOT,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT), *sys.path])},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            give_up = time.monotonic() + 60
            while not answer.exists():
                if holder.poll() is not None or time.monotonic() > give_up:
                    raise RuntimeError(f"the test server did not start:\n{log.read_text()}")
                time.sleep(0.02)
            holder.returncode = 0  # it outlives us on purpose; don't warn about that
    known = json.loads(answer.read_text())
    return Server(known["host"], known["user"], known["password"])


def stop_server() -> None:
    """End the run's server if there is one, and wait until it has gone. Called once, by the run's controller."""
    answer = run_dir() / "server.json"
    if not answer.exists():
        return
    pid = json.loads(answer.read_text())["pid"]
    try:
        os.kill(pid, signal.SIGTERM)
        for _ in range(1000):
            os.kill(pid, 0)
            if _is_zombie(pid):
                return
            time.sleep(0.01)
    except ProcessLookupError:
        return


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return False


def point_django_at(database: str, where: Server) -> None:
    """Let every Django connection, also of threads to come, go to that database."""
    from django.db import connections

    connections.close_all()
    connections.settings["default"].update(
        NAME=database, HOST=where.host, PORT="5432", USER=where.user, PASSWORD=where.password
    )


def template(where: Server) -> str:
    """The name of the database with all migrations applied, made by whoever needs it first in this run."""
    from django.db import connections

    from coulance.platform import schema

    ready = run_dir() / "template.ready"
    with _one_at_a_time():
        if not ready.exists():
            where.make_database(TEMPLATE)
            point_django_at(TEMPLATE, where)
            schema.migrate()
            connections.close_all()
            ready.touch()
    return TEMPLATE


@dataclass(frozen=True)
class WorkerDatabase:
    """This worker's own database, cloned from the template."""

    server: Server
    name: str

    @property
    def url(self) -> str:
        """Its address, as DATABASE_URL wants it: for a subprocess of the product."""
        return self.server.url(self.name)

    def connect(self) -> psycopg.Connection[Any]:
        """A further connection in autocommit mode; use it in a `with`."""
        return self.server.connect(self.name)

    def renew(self) -> None:
        """Put it back to what the migrations leave: rows, sequences and all."""
        from django.db import connections

        connections.close_all()
        self.server.make_database(self.name, template=TEMPLATE)

    def empty_tables(self) -> None:
        """Remove every row that a test can have written, past the triggers that refuse it; sequences start again.

        For many examples within one test (hypothesis). Rows that a migration wrote go too; `renew()` keeps those.
        """
        keep = ["django_migrations", "django_content_type", "auth_permission"]
        with self.connect() as connection:
            rows = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND NOT tablename = ANY(%s)", [keep]
            ).fetchall()
            connection.execute("SET session_replication_role = replica")
            names = sql.SQL(", ").join(sql.Identifier(row[0]) for row in rows)
            connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(names))
