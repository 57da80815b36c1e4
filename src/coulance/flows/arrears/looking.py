"""Having accounts looked at soon: when money came, a bill was contested, a plan was agreed, a promise made.

The job is deferred in the caller's transaction, so that it runs if that is committed, and only then: seconds later.
"""

from collections.abc import Iterable
from datetime import datetime

from procrastinate.contrib.django import app
from procrastinate.types import JSONValue

from coulance.arrears import queries as records


def look_soon(accounts: Iterable[int], *, at: datetime | None = None) -> list[int]:
    """Have those of these accounts that have an open case judged once this transaction is committed; which they are.

    `at`: not before then.
    """
    found = records.accounts_in_arrears(accounts)
    if found:
        app.configure_task("coulance.flows.tasks.arrears.look", schedule_at=at).defer(accounts=list[JSONValue](found))
    return found
