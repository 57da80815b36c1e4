"""Bookings of a payment that kill themselves (SIGKILL), one at each step: python -m tests.payments.dying ACCOUNT."""

import os
import signal
import sys
from importlib import import_module
from typing import Any

import django

from tests.support.crashing import die_at_each

STEPS = ("rows", "entries", "webhook", "commit")
KEY = "bank/2026-11-04/1"


def book(account: int) -> Any:
    """What the process does, and what whoever comes after it does again."""
    from coulance.flows import payments
    from coulance.payments.operations import NewReceipt
    from coulance_core.payments import Method
    from tests.payments.till import ACTOR, AT, ON, WHY, eur

    return payments.book_payment(
        receipt=NewReceipt(
            account=account,
            amount=eur(15000),
            received_on=ON,
            method=Method.BANK,
            source_key=KEY,
            reason=WHY,
        ),
        actor=ACTOR,
        at=AT,
    )


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def book_and_die(step: str, account: int) -> None:
    """Book, and die at that step."""
    flow: Any = import_module("coulance.flows.payments")
    booking: Any = import_module("coulance.payments.booking")
    ledger: Any = import_module("coulance.ledger.operations")

    if step == "rows":
        copy_rows = booking.copy_rows

        def copy_or_die(*, table: str, **rest: Any) -> int:
            if table == "payments_allocation":
                die()
            written: int = copy_rows(table=table, **rest)
            return written

        booking.copy_rows = copy_or_die
    elif step == "entries":
        copy_lines = ledger.copy_lines

        def lines_or_die(*, table: str, **rest: Any) -> None:
            if table == "ledger_posting":
                die()
            copy_lines(table=table, **rest)

        ledger.copy_lines = lines_or_die
    elif step == "webhook":
        flow._tell_received = die
    else:
        connection: Any = import_module("django.db").connection
        connection._commit = die  # everything is written; the power goes just before COMMIT
    book(account)


if __name__ == "__main__":
    django.setup()
    import tests.payments.till  # noqa: F401 - once here, not in every fork

    die_at_each(STEPS, lambda step: book_and_die(step, int(sys.argv[1])))
