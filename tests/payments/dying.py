"""A process that books a payment and kills itself (SIGKILL) at a step: python -m tests.payments.dying STEP ACCOUNT."""

import os
import signal
import sys
from importlib import import_module
from typing import Any

import django

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


def main(step: str, account: int) -> None:
    django.setup()
    flow: Any = import_module("coulance.flows.payments")
    booking: Any = import_module("coulance.payments.booking")
    ledger: Any = import_module("coulance.ledger.operations")

    def die(*_: Any, **__: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

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
    main(sys.argv[1], int(sys.argv[2]))
