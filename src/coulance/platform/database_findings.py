"""What the doctor looks at in a database that answers. Changes nothing."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import connection

from coulance.platform import backup, heartbeat, operators, schema, tokens
from coulance.platform.findings import Finding, State
from coulance.platform.instance import Instance

_OLD_BACKUP = timedelta(days=7)


def database(here: Instance, *, at: datetime) -> Iterator[Finding]:
    """The database, once it answers: version, migrations, clock, jobs."""
    version = schema.server_version()
    if int(version.split(".")[0]) < schema.OLDEST_SERVER:
        yield Finding("database", State.FAULT, f"PostgreSQL {version}", f"{schema.OLDEST_SERVER} or newer is needed")
        return
    yield Finding("database", State.OK, f"PostgreSQL {version}, {_size()}")
    if schema.is_empty():
        yield Finding("migrations", State.FAULT, "the database is empty", "coulance migrate (or coulance up)")
        return
    if behind := schema.pending():
        yield Finding("migrations", State.FAULT, f"{len(behind)} pending", "coulance migrate (or restart coulance up)")
        return
    yield Finding("migrations", State.OK, "none pending")
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (theirs,) = cursor.fetchone() or (at,)
    if abs(theirs - at) > timedelta(seconds=5):
        yield Finding(
            "clock",
            State.WARN,
            f"the database's clock is {abs(theirs - at).total_seconds():.0f} s off ours",
            "run NTP on both",
        )
    yield from _jobs(at)
    yield from _people(at)
    made = backup.last_backup(here)
    if made is None:
        yield Finding("backup", State.WARN, "none made here", "coulance backup FILE, and keep it elsewhere")
    else:
        old = at - made > _OLD_BACKUP
        age = f"{(at - made).days} day(s) ago"
        yield Finding(
            "backup", State.WARN if old else State.OK, f"last made {age}", "coulance backup FILE" if old else ""
        )


def _size() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_size_pretty(pg_database_size(current_database()))")
        row = cursor.fetchone()
    return str(row[0]) if row else "size unknown"


def _jobs(at: datetime) -> Iterator[Finding]:
    seen = heartbeat.last_seen()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE status = 'failed'), count(*) FILTER (WHERE status = 'todo')"
            " FROM procrastinate_jobs"
        )
        failed, waiting = cursor.fetchone() or (0, 0)
    if seen is not None and (at - seen).total_seconds() <= heartbeat.LATE_AFTER_S:
        yield Finding("worker", State.OK, f"alive, {waiting} job(s) waiting")
    else:
        ago = f"last seen {at - seen} ago" if seen else "never seen"
        yield Finding("worker", State.WARN, f"{ago}, {waiting} job(s) waiting", "coulance up runs it")
    if failed:
        yield Finding("jobs", State.WARN, f"{failed} failed for good", "see the output of coulance up for the reason")


def _people(at: datetime) -> Iterator[Finding]:
    people = [person for person in operators.operators() if person.active]
    if people:
        yield Finding("operators", State.OK, ", ".join(person.name for person in people[:5]))
    else:
        yield Finding("operators", State.WARN, "nobody can sign in", "coulance operator create NAME")
    valid = [token for token in tokens.tokens() if token.state(at) == "valid"]
    ending = [token for token in valid if token.expires_at and token.expires_at - at < timedelta(days=14)]
    if not valid:
        yield Finding(
            "tokens", State.WARN, "nothing can send samples", "coulance token create NAME --scope usage:write"
        )
    elif ending:
        yield Finding("tokens", State.WARN, f"{ending[0].name} ends within 14 days", "make a new one in time")
    else:
        yield Finding("tokens", State.OK, f"{len(valid)} valid")
