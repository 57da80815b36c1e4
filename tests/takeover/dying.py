"""A process that takes over and kills itself (SIGKILL) at a step: -m tests.takeover.dying STEP FOLDER MAPPING."""

import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import django

STEPS = ("customers", "items", "prepaid", "mandates", "series", "clauses", "audit", "commit")


def main(step: str, folder: str, mapping: str) -> None:
    django.setup()
    flow: Any = import_module("coulance.flows.take_over.applying")

    def die(*_: Any, **__: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    calls = {"items": "take_over_items", "prepaid": "take_over_prepaid", "mandates": "take_over_mandate"}
    if step == "customers":
        import_module("coulance.flows.import_customers").write_services.write_services = die
    elif step in calls:
        real, seen = getattr(flow.payments, calls[step]), []

        def second(**given: Any) -> Any:  # the first of them is written
            if seen or step != "items":
                die()
            seen.append(1)
            return real(**given)

        setattr(flow.payments, calls[step], second)
    elif step == "series":
        flow.invoicing.continue_series = die
    elif step == "clauses":
        flow.take_over_clauses = die
    elif step == "audit":
        flow._record = die
    else:
        connection: Any = import_module("django.db").connection
        connection._commit = die  # everything is written; the power goes just before COMMIT
    from tests.takeover.move import move

    read = import_module("coulance.integrations.takeover.reading").read_source
    move(read(Path(folder), Path(mapping)))


if __name__ == "__main__":
    main(*sys.argv[1:4])
