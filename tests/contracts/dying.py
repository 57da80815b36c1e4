"""Work written down, timers stopped, cards sold and earned, mail taken: killed at each step.

Run as `python -m tests.contracts.dying`; the contract is `k1`, the timer anna's.
"""

import os
import signal
from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from typing import Any

import django

from tests.support.crashing import die_at_each

ANNA = "operator:anna"
MAIL = b"From: boss@acme.example\nSubject: Down\nMessage-ID: <d1@x.example>\n\nIt is down.\n"


def write(at: datetime) -> Any:
    """Half an hour of work."""
    from coulance.contracts import queries, working
    from coulance.contracts.working import NewWork

    one = NewWork(queries.contract("k1").id, "e1", at, 1800, "anna")
    return working.record_work(work=[one], actor=ANNA, at=at.replace(hour=20))


def stop(at: datetime) -> Any:
    """Anna's timer, after an hour."""
    from coulance.contracts import working

    return working.stop_timer(who=ANNA, actor=ANNA, at=at.replace(hour=at.hour + 1))


def sell(at: datetime) -> Any:
    """A card and its invoice."""
    from coulance.flows.contracts import billing

    return billing.sell_card(key="k1", product="10h", card="c2", from_=at.date(), actor=ANNA, at=at)


def earn(at: datetime) -> Any:
    """What was used of the cards, in the books."""
    from django.db import transaction

    from coulance.contracts import operations
    from coulance.flows.contracts import earning

    with transaction.atomic():
        return earning.book(operations.locked("k1"), actor=ANNA, at=at.replace(hour=20))


def take(at: datetime) -> Any:
    """A mail that opens a ticket."""
    from coulance.flows.contracts import mailing

    return mailing.take(raw=MAIL, source="pipe", at=at)


STEPS: dict[str, tuple[str, str, Callable[[datetime], Any]]] = {
    "entry": ("coulance.contracts.working", "_insert", write),
    "timer": ("coulance.contracts.working", "record_work", stop),
    "card": ("coulance.contracts.operations", "buy_card", sell),
    "invoice": ("coulance.contracts.operations", "put_on_invoice", sell),
    "earned": ("coulance.contracts.operations", "record_earning", earn),
    "posted": ("coulance.flows.contracts.earning", "post_entries", earn),
    "ticket": ("coulance.contracts.mails", "record", take),
    "told": ("coulance.flows.contracts.telling", "received", take),
}
"""What is done, and not committed, when it is killed."""


def act_and_die(step: str) -> None:
    """Do it, and die behind that step."""
    from tests.contracts.desk import later

    module, name, job = STEPS[step]
    owner = import_module(module)
    real = getattr(owner, name)

    def done_and_dead(*args: Any, **given: Any) -> None:
        real(*args, **given)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, done_and_dead)
    job(later(2))


if __name__ == "__main__":
    django.setup()
    import tests.contracts.desk  # noqa: F401 - once here, not in every fork

    die_at_each(tuple(STEPS), act_and_die)
