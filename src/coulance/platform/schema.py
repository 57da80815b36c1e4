"""The state of the database against this version of the programs: supported server, pending migrations, migrating."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.migrations import RunSQL
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations.base import Operation
from psycopg.errors import LockNotAvailable

from coulance.platform import from_scratch
from coulance.platform.db import lock_key

OLDEST_SERVER = 15
"""The oldest PostgreSQL that a provider's own server may be."""


_LOCK_WAIT_MS = 1000
_ASK_AGAIN_S = 0.1
_LET_THROUGH_S = 1.0


class UnableToMigrateError(RuntimeError):
    """The migrations could not be applied now; those that were stay applied."""


class UnableToUseServerError(RuntimeError):
    """The PostgreSQL server is older than what we need."""


def server_version() -> str:
    """The server's version, such as 18.4."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        row = cursor.fetchone()
    return str(row[0]).split()[0] if row else ""


def require_supported_version() -> None:
    """Raise UnableToUseServerError unless the server is PostgreSQL 15 or newer."""
    version = server_version()
    if int(version.split(".")[0]) < OLDEST_SERVER:
        raise UnableToUseServerError(
            f"the server of DATABASE_URL is PostgreSQL {version}, and {OLDEST_SERVER} or newer is needed: "
            "upgrade it, or leave DATABASE_URL out to use the embedded one"
        )


def is_empty() -> bool:
    """Whether no migration was ever applied here."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('django_migrations') IS NULL")
        row = cursor.fetchone()
    return bool(row and row[0])


@contextmanager
def _sole_migrator() -> Iterator[None]:
    key = lock_key("coulance", "migrate")
    with connection.cursor() as cursor:
        # Asked for, not waited for: an index made concurrently waits for every statement, also for one that waits.
        while True:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
            if cursor.fetchone() == (True,):
                break
            time.sleep(_ASK_AGAIN_S)
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [key])


def pending(*, settled: bool = False) -> list[str]:
    """Migrations of this version that the database lacks, as app.name, in the order in which they will run.

    With `settled`, first waits for a migration that is going on.
    """
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan and settled:
        with _sole_migrator():
            return pending()
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


@dataclass(frozen=True, slots=True)
class Step:
    """A pending migration: its name (app.name), what it does, and whether all of it is one transaction."""

    name: str
    does: tuple[str, ...]
    atomic: bool


def plan() -> list[Step]:
    """What `migrate` would apply, in order. Changes nothing."""
    executor = MigrationExecutor(connection)
    found = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [
        Step(
            f"{migration.app_label}.{migration.name}",
            tuple(_described(operation) for operation in migration.operations),
            migration.atomic,
        )
        for migration, _ in found
    ]


def _described(operation: Operation) -> str:
    if isinstance(operation, RunSQL):
        text = operation.sql if isinstance(operation.sql, str) else str(operation.sql[0])
        words = " ".join(text.split())
        return f"SQL: {words[:90]}{'...' * (len(words) > 90)}"
    return operation.describe()


def migrate(*, say: Callable[[str], None] | None = None, patience_s: float = 300.0) -> list[str]:
    """Apply what is pending and return its names. Two at once: the second waits and finds nothing left to do.

    Others may work meanwhile, with the programs of the version before: a migration only adds (a test holds this). It
    may not stop them either. A change of a table waits for whoever uses it, and everybody who comes later would wait
    behind the change; so it waits a second at most, lets the others through, and tries again. Raises
    UnableToMigrateError after `patience_s` of that; what was applied until then stays, and running it again goes on.
    """
    give_up = time.monotonic() + patience_s
    with _sole_migrator():
        behind = pending()
        if not behind:
            return []
        while True:
            try:
                with _short_waits():
                    if is_empty():
                        from_scratch.migrate()
                    else:
                        call_command("migrate", verbosity=0, interactive=False)
            except OperationalError as fault:
                if not isinstance(fault.__cause__, LockNotAvailable):
                    raise
                left = pending()
                if time.monotonic() > give_up:
                    raise UnableToMigrateError(
                        f"{left[0] if left else 'a migration'} needs a table that others have used without a pause for "
                        f"{patience_s:.0f} s (a long report, a backup?); try again when it is quieter: coulance migrate"
                    ) from fault
                if say is not None and left:
                    say(f"{left[0]} waits for others to finish; letting them through, then trying again")
                time.sleep(_LET_THROUGH_S)
            else:
                return behind


@contextmanager
def _short_waits() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{_LOCK_WAIT_MS}ms"])
        try:
            yield
        finally:
            cursor.execute("SELECT set_config('lock_timeout', '0', false)")
