"""A run of arrears, killed (SIGKILL) at each step: python -m tests.arrears.dying ACCOUNT INSTANT STEP..."""

import os
import signal
import sys
from datetime import datetime
from importlib import import_module
from typing import Any

import django

from tests.support.crashing import die_at_each

BEFORE = ("judged", "placed", "recorded", "told", "commit")
"""Steps before the act is committed, and the one after it."""
ENDING = ("judged", "placed", "ended", "recorded", "commit")
"""The same of an end: after its network is to be taken, after its contract ended in the books, and so on."""
AFTER = ("noted",)
WHERE = {
    "judged": ("coulance.flows.arrears.acting", "do"),
    "placed": ("coulance.enforcement.operations", "place"),
    "ended": ("coulance.services.operations", "end_service"),
    "recorded": ("coulance.arrears.operations", "record_act"),
    "told": ("coulance.platform.webhooks", "emit"),
    "commit": ("django.db", "connection"),
    "noted": ("coulance.arrears.operations", "note_refusals"),
}


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def run_and_die(step: str, account: int, at: datetime) -> None:
    """Judge and act as the job does, and die at that step: after it where it writes, before it where it commits."""
    from coulance.flows.arrears.running import run_arrears

    module, name = WHERE[step]
    owner: Any = import_module(module)
    if step == "commit":
        owner.connection._commit = die
    elif step in ("placed", "ended", "recorded"):
        real = getattr(owner, name)

        def then_die(**given: Any) -> None:
            real(**given)
            die()

        setattr(owner, name, then_die)
    else:
        setattr(owner, name, die)
    run_arrears(at=at, accounts=[account])


if __name__ == "__main__":
    django.setup()
    import coulance.flows.arrears.running  # noqa: F401 - once here, not in every fork

    account_, at_ = int(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
    die_at_each(sys.argv[3:], lambda step: run_and_die(step, account_, at_))
