"""What is charged for services in bundles: their elements' parts of the contracts' prices, and the lines with them."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from coulance.contracts import queries
from coulance_core.kernel import Money


class BundledFee(NamedTuple):
    """What a service's element is of a bundle's price for the fee period [start, end).

    `until` is the first day of it on which the service isn't in the bundle any more: `end`, or the contract's.
    """

    contract: str
    element: str
    start: date
    end: date
    until: date
    net: Money


class BundledLine(NamedTuple):
    """An issued invoice's line that charged a service's element for the days [start, end), maybe others beside it."""

    service: int
    invoice: str
    line: int
    start: date
    end: date


def fees(services: Collection[int], *, since: date, until: date) -> Mapping[int, Sequence[BundledFee]]:
    """What was charged for services in bundles, or will be, by service: fee periods with days of [since, until).

    Periods that were billed elsewhere, before their contract was agreed here, are not among them.
    """
    rows = queries.bound(services=services)
    contracts = {one.id: one for one in queries.contracts(ids={row.contract for row in rows})} if rows else {}
    out: dict[int, list[BundledFee]] = defaultdict(list)
    for row in rows:
        contract = contracts[row.contract]
        for period in contract.periods(contract.midnight(until)):
            first, after = contract.day_of(period.start), contract.day_of(period.end)
            bundle = contract.allocated_on(first) if first < until and since < after else None
            if bundle is None or not contract.bills(period) or row.element not in bundle.parts:
                continue
            leaves = min(after, contract.ends_on or after)
            out[row.service].append(
                BundledFee(contract.key, row.element, first, after, leaves, bundle.parts[row.element])
            )
    return out


def lines(services: Collection[int]) -> list[BundledLine]:
    """Issued lines that charged for services in bundles, newest first."""
    of = {(row.contract, row.element): row.service for row in queries.bound(services=services)}
    charges = queries.charges({contract for contract, _ in of}) if of else []
    return [
        BundledLine(of[c.contract, c.element], c.invoice, c.line, c.starts_on, c.ends_on)
        for c in reversed(charges)
        if c.line is not None and (c.contract, c.element) in of
    ]
