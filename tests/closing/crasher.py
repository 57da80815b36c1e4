"""Closes one and the same month again and again, killed at one place further each time, and in other ways at once.

`python -m tests.closing.crasher DATABASE STEP`: DATABASE holds a filled world and is copied for every go. A child is
killed at its n-th event. Then another closes undisturbed, and everything that was billed is compared with a close
that nothing disturbed. Afterwards the same by two processes at once, and by a run of two workers. Prints a JSON
summary.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import django

from tests.support.crashing import child, ended, go_through, start
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
    child(close)
    truth: dict[str, Any] = {}

    def keep() -> None:
        kept.write_text(json.dumps(billed()))  # a fork's memory is its own

    kept = Path(os.environ["COULANCE_SEGMENTS"]) / "truth.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    child(keep)
    truth = json.loads(kept.read_text())
    assert len(truth["documents"]) >= 15
    kills = go_through(
        close,
        begin=lambda: where.make_database(COPY, template=database),
        then=lambda event, _: child(lambda: compare(f"killed at event {event}")),
        step=step,
        first=2,
    )
    for _ in range(2):
        where.make_database(COPY, template=database)
        both = [start(close), start(close)]
        for pid in both:
            ended(pid)
        child(close)
        child(lambda: compare("two at once"))
    where.make_database(COPY, template=database)
    child(lambda: close(workers=2))
    child(lambda: compare("two workers"))
    print(json.dumps({**kills, "documents": len(truth["documents"])}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
