"""The state of the database against this version of the programs: supported server, pending migrations, migrating."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from coulance.platform.db import lock_key

OLDEST_SERVER = 15
"""The oldest PostgreSQL that a provider's own server may be."""


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
        cursor.execute("SELECT pg_advisory_lock(%s)", [key])
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


def migrate() -> list[str]:
    """Apply what is pending and return its names. Two at once: the second waits and finds nothing left to do."""
    with _sole_migrator():
        behind = pending()
        if behind:
            call_command("migrate", verbosity=0, interactive=False)
    return behind
