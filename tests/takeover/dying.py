"""A process that takes over and kills itself (SIGKILL) at a step: -m tests.takeover.dying STEP FOLDER MAPPING."""

import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import django

STEPS = ("customers", "items", "series", "clauses", "commit")


def main(step: str, folder: str, mapping: str) -> None:
    django.setup()
    flow: Any = import_module("coulance.flows.take_over.applying")

    def die(*_: Any, **__: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

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
    move(read(Path(folder), Path(mapping)))


if __name__ == "__main__":
    main(*sys.argv[1:4])
