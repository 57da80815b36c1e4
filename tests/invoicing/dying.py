"""A process that numbers a run and kills itself (SIGKILL) at a step: python -m tests.invoicing.dying STEP RUN."""

import os
import signal
import sys
from typing import Any

import django

STEPS = ("numbers", "entries", "carried", "closed")


def main(step: str, run: int) -> None:
    django.setup()
    from coulance.invoicing import numbering
    from coulance.ledger import operations as ledger
    from tests.invoicing.paper import AT, SERIES

    def die(*_: Any, **__: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

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
    main(sys.argv[1], int(sys.argv[2]))
