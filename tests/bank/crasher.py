"""Imports one and the same file again and again, killed at one place further each time.

`python -m tests.bank.crasher DATABASE STEP`: DATABASE holds customers with invoices and is copied for every go. A
child is killed at its n-th event. Then another child imports undisturbed, and what is booked is compared with an
import that nothing disturbed. At the end two import at once. Prints a JSON summary.
"""

import json
import os
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import django

from tests.support.crashing import child, ended, go_through, start
from tests.support.database import Server, point_django_at, server

COPY = "bank_copy"


def work() -> None:
    """Import two statements that overlap, in small chunks; harmless to repeat."""
    from coulance.flows import bank_import
    from coulance.payments import queries as payments
    from coulance_core.invoicing.references import creditor_reference
    from tests.bank.scene import DAY, brought, pays, statement

    bank_import.CHUNK = 3
    numbers = sorted(item.number for items in payments.open_items(on=date(2026, 11, 19)).values() for item in items)
    told = [pays(12100, structured_reference=creditor_reference(number)) for number in numbers]
    back = pays(-12100, "storno", end_to_end_id="E-1", return_reason="MD06")
    told[0] = pays(12100, structured_reference=creditor_reference(numbers[0]), end_to_end_id="E-1")
    one = statement([*told[:5], pays(77, "?"), back], 1)
    two = statement([*told[3:], back], 2, opened_on=DAY - timedelta(days=3))
    brought(one, two)


def booked() -> dict[str, Any]:
    """Everything that an import leaves, without database ids."""
    from django.db import connection

    out: dict[str, Any] = {}
    with connection.cursor() as cursor:
        for name, statement in {
            "entries": "SELECT amount, state, structured_reference, remittance, reason LIKE 'matched%'"
            " FROM payments_bank_entry ORDER BY 1, 2, 3, 4",
            "receipts": "SELECT account_id, amount, reversed_on::text FROM payments_receipt ORDER BY 1, 2, 3",
            "allocations": "SELECT document_id, amount, reversed_on::text FROM payments_allocation ORDER BY 1, 2, 3",
            "postings": "SELECT l.account, e.party_id, sum(l.amount)::bigint, count(*) FROM ledger_posting l"
            " JOIN ledger_entry e ON e.id = l.entry_id GROUP BY 1, 2 ORDER BY 1, 2",
            "statements": "SELECT number FROM payments_bank_statement ORDER BY 1",
        }.items():
            cursor.execute(statement)
            out[name] = [list(row) for row in cursor.fetchall()]
    from coulance.ledger.check import check_ledger
    from coulance.payments.check import check_payments

    out["faults"] = [str(fault) for source in (check_ledger(), check_payments()) for fault in source]
    return json.loads(json.dumps(out))  # type: ignore[no-any-return]


def main(database: str, step: int) -> None:
    where: Server = server()
    os.environ["DATABASE_URL"] = where.url(COPY)
    django.setup()
    import coulance.flows.bank_import  # noqa: F401 - once here, not in every fork
    import tests.bank.scene  # noqa: F401

    point_django_at(COPY, where)
    kept = Path(tempfile.mkdtemp()) / "truth.json"

    where.make_database(COPY, template=database)
    child(work)
    child(lambda: kept.write_text(json.dumps(booked())))
    truth = json.loads(kept.read_text())
    assert truth["faults"] == []

    def compare(what: str) -> None:
        found = booked()
        assert found == truth, (what, found, truth)

    kills = go_through(
        work,
        begin=lambda: where.make_database(COPY, template=database),
        then=lambda event, _: child(lambda: compare(f"killed at event {event}")),
        step=step,
        first=2,
    )
    where.make_database(COPY, template=database)
    for pid in [start(work), start(work)]:
        ended(pid)
    child(lambda: compare("two at once"))
    print(json.dumps({**kills, "receipts": len(truth["receipts"])}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
