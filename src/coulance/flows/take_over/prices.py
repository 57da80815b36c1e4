"""What services cost there and what their plans cost here: kept where they differ, so that the next bill is equal."""

from collections.abc import Iterable
from dataclasses import replace

from coulance_core.catalog.provider import PriceBasis
from coulance_core.catalog.terms import Catalog, NotInCatalogError, PlanVersion
from coulance_core.kernel import Money
from coulance_core.taking_over import Book, Finding, TakenPrice, TakenService


def with_prices_judged(book: Book, catalog: Catalog) -> tuple[Book, tuple[Finding, ...]]:
    """The book with a price only where it differs from the plan's, and what is wrong with those.

    A price that is the plan's own is dropped: such a service follows its plan. Where the provider asked for their own
    prices every difference is told, and dropped too.
    """
    found: list[Finding] = []
    kept: list[TakenService] = []
    with_tax = catalog.provider.prices is PriceBasis.GROSS
    for row in book.services:
        price, faults = (None, ()) if row.price is None else _judged(row, row.price, book, catalog, with_tax)
        found.extend(faults)
        kept.append(row if price == row.price else replace(row, price=price))
    return replace(book, services=tuple(kept)), tuple(found)


def _judged(
    row: TakenService, price: TakenPrice, book: Book, catalog: Catalog, with_tax: bool
) -> tuple[TakenPrice | None, Iterable[Finding]]:
    version = plan_of(row, catalog)
    if version is None:
        return None, ()  # the importer says so
    if version.base is None:
        if not price.amount.minor:
            return None, ()
        found = f"it costs {price}, and plan {row.plan!r} has no base fee"
        return None, [Finding("price-without-fee", row.where, found, "a plan with a base fee, such as 0.00 a month")]
    if price.amount.currency != version.currency:
        return None, ()  # the importer says so
    if price.months != version.base.interval_months:
        found = (
            f"it is billed every {price.months} months there, plan {row.plan!r} every {version.base.interval_months}"
        )
        return None, [Finding("cycle-differs", row.where, found, "a plan with the same cycle, in the mapping's cycles")]
    if book.with_tax is not None and book.with_tax != with_tax:
        if not book.keeps_prices:
            return None, ()
        basis = ("without", "with")
        found = f"its price is {basis[book.with_tax]} tax there, and prices here are {basis[with_tax]} tax"
        expected = 'source.prices = "ours" in the mapping, so that plans say what is billed'
        return None, [Finding("price-and-tax", row.where, found, expected)]
    units = row.quantity if version.base.per_unit else 1
    own = version.base.amount * units
    if price.until is None and own == price.amount.amount:
        return None, ()
    if price.until is not None and price.until <= row.billed_until:
        return None, ()  # it ended before anything is billed here
    if not book.keeps_prices:
        found = f"it costs {price} there, and {_money(own, version.currency)} by plan {row.plan!r} here"
        return None, [Finding("price-differs", row.where, found, "the customer told of it", stops=False)]
    return price, ()


def plan_of(row: TakenService, catalog: Catalog) -> PlanVersion | None:
    """The plan's version by which it is billed first here."""
    try:
        return catalog.plan_version(row.plan, max(row.billed_until, row.subscribed_from))
    except NotInCatalogError:
        return None


def _money(amount: object, code: str) -> str:
    try:
        return str(Money.of(amount, code))  # type: ignore[arg-type]
    except ValueError:
        return f"{amount} {code}"
