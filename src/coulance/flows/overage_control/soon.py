"""Having accounts judged soon: when something changed that no sample announces, such as their plan.

The job is deferred in the caller's transaction, so that it runs if that is committed, and only then: seconds later.
"""

from collections.abc import Iterable

from procrastinate.contrib.django import app
from procrastinate.types import JSONValue

from coulance.catalog import queries as catalogs
from coulance_core.catalog.terms import Control


def look_soon(accounts: Iterable[int]) -> None:
    """Have everything of these accounts judged once this transaction is committed; nothing where nobody watches."""
    try:
        watched = catalogs.catalog().overage.control is not Control.CONTRACT
    except catalogs.UnableToFindCatalogError:
        return
    if watched:
        app.configure_task("coulance.flows.tasks.overage_control.look").defer(
            accounts=list[JSONValue](sorted(set(accounts)))
        )
