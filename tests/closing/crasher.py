"""Closes one and the same month again and again, killed at one place further each time, and in other ways at once.

`python -m tests.closing.crasher DATABASE STEP`: DATABASE holds a filled world and is copied for every go. A child is
killed (SIGKILL) at its n-th event: a statement or a COPY on its way, a commit about to be sent or just answered. Then
another closes undisturbed, and everything that was billed is compared with a close that nothing disturbed. Afterwards
the same by two processes at once, and by a run of two workers. Prints a JSON summary.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

from tests.support.database import Server, point_django_at, server

MONTH = "2026-10"
COPY = "closing_copy"


def close(workers: int = 1) -> None:
    """Close the month in chunks of two accounts."""
    from coulance.flows.closing import close_period as flow
    from tests.closing.world import closing_instant

    flow.CHUNK = 2
    try:
        flow.close_period(year=2026, month=10, at=closing_instant(MONTH), actor="test", workers=workers)
    except flow.UnableToCloseError as error:
        if "another process" not in str(error):
            raise


def billed() -> dict[str, Any]:
    """Everything that a closing leaves, without what differs from one to the next (database ids, pseudonyms)."""
    from django.db import connection

    from coulance.invoicing import queries as invoicing

    rows = invoicing.documents(period_name=None, limit=10_000)
    names = {row.id: row.number or "" for row in rows}
    out: dict[str, Any] = {"documents": {}, "entries": {}}
    for row in rows:
        out["documents"][row.number] = invoicing.document_by_id(document=row.id).snapshot
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.source, p.account, p.amount, p.currency FROM ledger_entry e"
            " JOIN ledger_posting p ON p.entry_id = e.id ORDER BY e.source, p.account, p.amount"
        )
        for source, *posting in cursor.fetchall():
            kind, _, number = source.partition("/")
            key = names[int(number)] if kind == "document" else kind
            out["entries"].setdefault(key, []).append(posting)
        for key in out["entries"]:
            out["entries"][key].sort()
        for name, statement in {
            "figures": "SELECT account_id, service_id, pool, charge, period_name, revision, quantity::text, net, n,"
            " seen FROM invoicing_settled_figure ORDER BY 1, 2, 3, 4, 5, 6",
            "carried": "SELECT account_id, period_name, no, amount, confirmed, line::text"
            " FROM invoicing_carried_line ORDER BY 1, 2, 3",
            "numbers": "SELECT series, year, last FROM invoicing_number_series ORDER BY 1, 2",
            "days": "SELECT lane, days::text FROM invoicing_billed_days ORDER BY 1, 2",
            "runs": "SELECT period, state FROM invoicing_run ORDER BY 1",
            "parked": "SELECT account_id, reason FROM invoicing_parked_account ORDER BY 1",
        }.items():
            cursor.execute(statement)
            out[name] = [list(row) for row in cursor.fetchall()]
    return json.loads(json.dumps(out))


def die_at(event: int) -> None:
    """Kill this process at its n-th event."""
    import psycopg

    left = [event]

    def count() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(whole: Any, name: str, after: bool) -> None:
        real = getattr(whole, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            count()
            result = real(*args, **kwargs)
            if after:
                count()
            return result

        setattr(whole, name, wrapped)

    around(psycopg.Cursor, "execute", after=False)
    around(psycopg.Cursor, "copy", after=False)
    around(psycopg.Connection, "commit", after=True)


def start(job: Callable[[], None]) -> int:
    """Run a job in a fork; its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        job()
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def ended(pid: int) -> int:
    """Wait; the signal that ended it, or 0."""
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    if os.WEXITSTATUS(status):
        raise SystemExit("a child failed; its error is above")
    return 0


def killed(event: int) -> Callable[[], None]:
    """The close, to be killed at an event."""

    def job() -> None:
        die_at(event)
        close()

    return job


def main(database: str, step: int) -> None:
    where: Server = server()
    os.environ["DATABASE_URL"] = where.url(COPY)
    django.setup()
    import coulance.flows.closing.close_period  # noqa: F401 - once here, not in every fork
    import tests.closing.world  # noqa: F401

    point_django_at(COPY, where)

    def compare(what: str) -> None:
        assert billed() == truth, what

    where.make_database(COPY, template=database)
    ended(start(close))
    truth: dict[str, Any] = {}

    def keep() -> None:
        kept.write_text(json.dumps(billed()))  # a fork's memory is its own

    kept = Path(os.environ["COULANCE_SEGMENTS"]) / "truth.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    ended(start(keep))
    truth = json.loads(kept.read_text())
    assert len(truth["documents"]) >= 15
    kills = event = 0
    for event in range(2, 10_000, step):
        where.make_database(COPY, template=database)
        died = ended(start(killed(event)))
        ended(start(close))
        ended(start(lambda event=event: compare(f"killed at event {event}")))  # type: ignore[misc]
        if not died:
            break
        kills += 1
    for _ in range(2):
        where.make_database(COPY, template=database)
        both = [start(close), start(close)]
        for pid in both:
            ended(pid)
        ended(start(close))
        ended(start(lambda: compare("two at once")))
    where.make_database(COPY, template=database)
    ended(start(lambda: close(workers=2)))
    ended(start(lambda: compare("two workers")))
    print(json.dumps({"kills": kills, "events": event, "documents": len(truth["documents"])}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
