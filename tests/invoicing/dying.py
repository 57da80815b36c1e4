"""A process that numbers a run and kills itself (SIGKILL) at a step: python -m tests.invoicing.dying STEP RUN."""

import os
import signal
import sys
from typing import Any

import django

STEPS = ("numbers", "entries", "postings", "carried", "closed")


def main(step: str, run: int) -> None:
    django.setup()
    from coulance.invoicing import numbering
    from coulance.ledger import operations as ledger
    from tests.invoicing.paper import AT, SERIES

    def die(*_: Any, **__: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    if step == "numbers":
        numbering._book = die  # type: ignore[assignment]
    elif step in ("entries", "postings"):
        copy_lines, dies_at = ledger.copy_lines, f"ledger_{'posting' if step == 'entries' else 'none'}"

        def copy_then_die(*, table: str, **rest: Any) -> None:
            if table == dies_at:
                die()
            copy_lines(table=table, **rest)
            if step == "postings" and table == "ledger_posting":
                die()

        ledger.copy_lines = copy_then_die
    elif step == "carried":
        numbering._book_carried = die  # type: ignore[assignment]
    else:
        from django.db import connection

        commit = connection._commit
        connection._commit = die  # everything is written; the power goes just before COMMIT
        assert commit is not die
    numbering.assign_numbers(run=run, series=SERIES, at=AT)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
