"""The door by which a process of its own enters a closing run. It imports no models: Django is set up here first."""

import multiprocessing
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from coulance_core.invoicing import NationalRate


def work(
    year: int,
    month: int,
    at: datetime,
    fence: int,
    national: Mapping[str, NationalRate],
    run: int,
    results: "multiprocessing.Queue[Any]",
) -> None:
    """Do chunks of the run until none is left; puts its `Totals`, or the exception that ended it."""
    import django

    django.setup()
    from django.db import connection

    from coulance.flows.closing.close_period import take_part

    try:
        results.put(take_part(year=year, month=month, at=at, fence=fence, national=national, run=run))
    except BaseException as error:
        results.put(error if isinstance(error, Exception) else RuntimeError(repr(error)))
    finally:
        connection.close()
