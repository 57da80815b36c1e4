"""Looks taken in and credits made, killed (SIGKILL) at each step: python -m tests.sla.dying AGENT INSTANT"""

import json
import os
import signal
import sys
from datetime import datetime
from importlib import import_module
from typing import Any

import django

from tests.support.crashing import child, ended, start

INTAKE = ("stored", "taken", "counted", "gathered")
CREDITING = (("measured", "recorded", "told"), ("committed",), ("noted", "paid", "preferred"))
"""One after the other: what one leaves undone is what the next ones die at."""
WHERE = {
    "stored": ("coulance.sla.looks", "_store"),
    "taken": ("coulance.sla.looks", "Spans"),
    "counted": ("coulance.sla.rates", "_merge"),
    "gathered": ("coulance.sla.looks", "_merge"),
    "measured": ("coulance.flows.promises.measuring", "measured"),
    "recorded": ("coulance.sla.operations", "record_measure"),
    "told": ("coulance.flows.promises.telling", "tell_credit"),
    "committed": ("coulance.flows.promises.crediting", "pay_out"),
    "noted": ("coulance.invoicing.crediting", "issue_credit_note"),
    "paid": ("coulance.sla.operations", "record_payout"),
    "preferred": ("coulance.flows.promises.crediting", "_as_preferred"),
}


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def take_in(agent: str, part: int | None = None) -> None:
    """What a process does that an agent hands looks over to, and a source what it counted; and the hourly gathering.

    `part`: only every fourth look, so that those who die at once don't know each other's already.
    """
    from coulance.flows.promises import intake
    from coulance.sla import looks
    from tests.sla.office import instant
    from tests.sla.test_crash import CAME, SLOTS, rows_of_october

    rows = [row for row in rows_of_october() if part is None or row[0] % len(INTAKE) == part]
    looks.take(agent=agent, looks=rows, sent_at=int(CAME.timestamp() * 1_000_000), lost=0, at=CAME)
    intake.bring_counts(source="api:main", counted=SLOTS, at=CAME, actor="test")
    looks.gather(before=instant("2026-12-01T00:00"))


def credit(at: datetime) -> None:
    """What the nightly job does."""
    from coulance.flows.promises.crediting import credit_period

    credit_period(year=2026, month=10, at=at, actor="test")


def run_and_die(step: str, agent: str, at: datetime) -> None:
    """Do it, and die at that step: after it was done, and before anything is committed."""
    module, name = WHERE[step]
    owner: Any = import_module(module)
    real = getattr(owner, name)

    def then_die(*given: Any, **named: Any) -> None:
        real(*given, **named)
        die()

    if step == "taken":  # the looks are stored, and their numbers aren't noted yet
        owner.Spans = type("Spans", (), {"of": real.of, "union_of": die})
    else:
        setattr(owner, name, die if step == "committed" else then_die)
    if step in INTAKE:
        take_in(agent, INTAKE.index(step))
    else:
        credit(at)


def main(agent: str, at: datetime) -> None:
    """Die at each step of taking in, all at once; take it in; die at each of crediting. Prints who died of what."""
    died: dict[str, int] = {}
    for steps in (INTAKE, *CREDITING):
        running = {step: start(lambda step=step: run_and_die(step, agent, at)) for step in steps}  # type: ignore[misc]
        died |= {step: ended(pid) for step, pid in running.items()}
        if steps is INTAKE:
            child(lambda: take_in(agent))
    print(json.dumps(died))


if __name__ == "__main__":
    django.setup()
    import coulance.flows.promises.crediting  # noqa: F401 - once here, not in every fork
    import tests.sla.test_crash  # noqa: F401

    main(sys.argv[1], datetime.fromisoformat(sys.argv[2]))
