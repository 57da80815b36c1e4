"""kill -9 anywhere in an import, and two imports at once: what is booked is what one quiet import books."""

from django.db import connections

from tests.payments.till import customer
from tests.support.crashing import crash
from tests.support.database import WorkerDatabase


def test_killed_anywhere_and_imported_again_everything_is_booked_once(committed_db: WorkerDatabase) -> None:
    for name in ("anna", "ben"):
        one = customer(name)
        for number in range(4):
            one.invoice(str(number), 12100)
    connections.close_all()
    summary = crash("tests.bank.crasher", committed_db.name, database=committed_db, step=29)
    assert summary["kills"] >= 5, summary
    assert summary["receipts"] == 8, summary
