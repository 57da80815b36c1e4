"""A day of the rails that kills itself (SIGKILL), once at each step: python -m tests.rails.dying ACCOUNT METHOD REF."""

import sys
from datetime import date
from importlib import import_module
from typing import Any

import django

from tests.payments.dying import die
from tests.support.crashing import die_at_each

STEPS = ("filed", "charged")
DAY = date(2026, 11, 9)
LAST = date(2026, 11, 16)


def do(step: str, method: int, account: int, ref: str) -> None:
    """The step as it is done, and as whoever comes after it does it again."""
    from coulance.flows.rails import direct_debit, paying
    from coulance.payments import collections
    from tests.payments.till import eur
    from tests.rails.world import at

    if step == "planned":
        direct_debit.plan_due(on=DAY, actor="worker", at=at(DAY))
    elif step == "filed":
        direct_debit.file_due(on=LAST, actor="worker", at=at(LAST))
    elif step == "handed":
        for run in collections.runs():
            direct_debit.hand_over(run=run.id, actor="worker", at=at(LAST))
    else:
        paying.charge(
            account=account, method=method, amount=eur(1210), purpose="pay", key="k1", claimed=[(ref, eur(1210))],
            actor="worker", at=at(DAY),
        )  # fmt: skip


def do_and_die(step: str, method: int, account: int, ref: str) -> None:
    """Do it, and die where it hurts: everything written, nothing committed; or the answer there, and not read."""
    if step == "charged":
        paying: Any = import_module("coulance.flows.rails.paying")
        paying.fold = die  # the gateway has charged
    else:
        connection: Any = import_module("django.db").connection
        connection._commit = die
    do(step, method, account, ref)


if __name__ == "__main__":
    django.setup()
    import tests.rails.world  # noqa: F401 - once here, not in every fork

    given = (int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
    die_at_each(STEPS, lambda step: do_and_die(step, *given))
