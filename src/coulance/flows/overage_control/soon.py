"""Having accounts judged soon: when something changed that no sample announces, such as their plan.

The job is deferred in the caller's transaction, so that it runs if that is committed, and only then: seconds later.
"""

from collections.abc import Iterable, Sequence

from procrastinate.contrib.django import app
from procrastinate.types import JSONValue

from coulance.catalog import queries as catalogs
from coulance_core.catalog.terms import Control
from coulance_core.kernel import Money


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


def paid_soon(receipts: Sequence[tuple[int, Money, str]]) -> None:
    """Have what these payments, (account, amount, source), acknowledge judged once this transaction is committed.

    Nothing where the terms don't let paying count.
    """
    try:
        terms = catalogs.catalog().overage
    except catalogs.UnableToFindCatalogError:
        return
    if terms.paying_resumes and terms.control is Control.ENFORCE:
        for account, amount, source in receipts:
            app.configure_task("coulance.flows.tasks.overage_control.paid").defer(
                account=account, minor=amount.minor, currency=amount.currency, source=source
            )
