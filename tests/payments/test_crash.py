"""Killed anywhere while it books, a payment is booked whole by whoever tries again, or not at all: never twice."""

from typing import Any

from coulance.ledger.check import check_ledger
from coulance.payments import queries
from coulance.payments.check import check_payments
from coulance.platform import audit
from tests.payments.dying import STEPS, book
from tests.payments.till import customer
from tests.support.crashing import kill_at_each


def test_a_booking_killed_at_any_step_leaves_nothing_and_is_done_again_once(committed_db: Any) -> None:
    one = customer()
    one.invoice("a", 12100)
    kill_at_each("tests.payments.dying", STEPS, one.id, database=committed_db)
    assert queries.receipts(accounts=[one.id]) == []
    assert one.stands() == (12100, 0, 0)
    assert audit.events(act="payment.booked") == []
    done = book(one.id)
    again = book(one.id)
    assert (done.already, again.already, again.receipt) == (False, True, done.receipt)
    assert one.stands() == (0, 2900, 0)
    assert len(audit.events(act="payment.booked")) == 1
    assert [str(fault) for fault in (*check_payments(), *check_ledger())] == []
