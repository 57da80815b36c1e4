"""Opening and deciding a case, killed (SIGKILL) at each step: python -m tests.disputes.dying DOCUMENT ACCOUNT CASE."""

import os
import signal
import sys
from importlib import import_module
from typing import Any

import django

from tests.support.crashing import die_at_each

STEPS = ("hold", "opened", "credit", "release", "mail", "settle", "commit")
WHERE = {
    "hold": ("coulance.ledger.operations", "place_hold"),
    "opened": ("coulance.flows.disputing.telling", "told"),
    "credit": ("coulance.disputes.operations", "add_step"),
    "release": ("coulance.ledger.operations", "release_hold"),
    "settle": ("coulance.flows.disputing.deciding", "settle_after"),
    "mail": ("coulance.flows.disputing.telling", "tell"),
    "commit": ("django.db", "connection"),
}


def open_it(document: int, account: int) -> int:
    """What a process does that opens a case on the second line's invoice."""
    from coulance.flows.disputing import acting, opening
    from coulance_core.disputes import Contest, Grounds
    from tests.disputes.court import OPENED

    return opening.open_dispute(
        document=document,
        contests=[Contest(1)],
        grounds=Grounds.OTHER,
        reason="not ours",
        actor=acting.customer(account=account, contact="boss"),
        at=OPENED,
    ).case


def decide(case: int) -> Any:
    """What a process does that decides one."""
    from coulance.flows.disputing.deciding import Choice, decide_case
    from coulance_core.disputes import Outcome
    from tests.disputes.court import ANNA, later

    return decide_case(case=case, choice=Choice(Outcome.UPHELD), reason="right", actor=ANNA, at=later(2))


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def act_and_die(step: str, document: int, account: int, case: int) -> None:
    """Do it, and die at that step."""
    module, name = WHERE[step]
    owner: Any = import_module(module)
    if step == "commit":
        owner.connection._commit = die
    elif step == "release":  # done, and not committed
        real = owner.release_hold

        def release_and_die(**given: Any) -> None:
            real(**given)
            die()

        owner.release_hold = release_and_die
    else:
        setattr(owner, name, die)
    if step in ("hold", "opened"):
        open_it(document, account)
    else:
        decide(case)


if __name__ == "__main__":
    django.setup()
    import tests.disputes.court  # noqa: F401 - once here, not in every fork

    numbers = [int(word) for word in sys.argv[1:4]]
    die_at_each(STEPS, lambda step: act_and_die(step, *numbers))
