"""Take-overs that kill themselves (SIGKILL), one at each step: python -m tests.takeover.dying FOLDER MAPPING."""

import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import django

from tests.support.crashing import die_at_each

STEPS = ("customers", "items", "series", "clauses", "commit")


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def take_over(step: str, folder: Path, mapping: Path) -> None:
    """Take over from there, and die at that step."""
    flow: Any = import_module("coulance.flows.take_over.applying")

    if step == "customers":
        import_module("coulance.flows.import_customers").write_services.write_services = die
    elif step == "items":
        real, seen = flow.payments.take_over_items, []

        def second(**given: Any) -> Any:  # the first of them is written
            if seen:
                die()
            seen.append(1)
            return real(**given)

        flow.payments.take_over_items = second
    elif step == "series":
        flow.invoicing.continue_series = die
    elif step == "clauses":
        flow.take_over_clauses = die
    else:
        connection: Any = import_module("django.db").connection
        connection._commit = die  # everything is written; the power goes just before COMMIT
    from tests.takeover.move import move

    read = import_module("coulance.integrations.takeover.reading").read_source
    move(read(folder, mapping))


if __name__ == "__main__":
    django.setup()
    import tests.takeover.move  # noqa: F401 - once here, not in every fork

    where, by = map(Path, sys.argv[1:3])
    die_at_each(STEPS, lambda step: take_over(step, where, by))
