"""Numberings of a run that kill themselves (SIGKILL), one at each step: python -m tests.invoicing.dying RUN."""

import os
import signal
import sys
from typing import Any

import django

from tests.support.crashing import die_at_each

STEPS = ("numbers", "entries", "carried", "closed")


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def number(step: str, run: int) -> None:
    """Number the run, and die at that step."""
    from coulance.invoicing import numbering
    from coulance.ledger import operations as ledger
    from tests.invoicing.paper import AT, SERIES

    if step == "numbers":
        numbering._book = die  # type: ignore[assignment]
    elif step == "entries":
        copy_lines = ledger.copy_lines

        def copy_or_die(*, table: str, **rest: Any) -> None:
            if table == "ledger_posting":
                die()
            copy_lines(table=table, **rest)

        ledger.copy_lines = copy_or_die
    elif step == "carried":
        numbering._book_carried = die  # type: ignore[assignment]
    else:
        from django.db import connection

        connection._commit = die  # everything is written; the power goes just before COMMIT
    numbering.assign_numbers(run=run, series=SERIES, at=AT)


if __name__ == "__main__":
    django.setup()
    import tests.invoicing.paper  # noqa: F401 - once here, not in every fork

    die_at_each(STEPS, lambda step: number(step, int(sys.argv[1])))
