"""Which terms hold when: a service's subscriptions cut at each change of plan, quantity or version."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from zoneinfo import ZoneInfo

from coulance_core.catalog.terms import Catalog, OnChange, PlanVersion, UsageCharge
from coulance_core.kernel import Period, civil_midnight


@dataclass(frozen=True, slots=True)
class AgreedPrice:
    """A base fee agreed for one service in place of its plan's: `amount` in major units, for a whole cycle, all units.

    `words` are printed behind the plan's name, so that whoever pays sees why it isn't the list price.
    """

    amount: Fraction
    currency: str
    words: str = ""

    def __post_init__(self) -> None:
        if self.amount < 0:
            raise ValueError(f"an agreed price is 0 or more, not {self.amount}")


@dataclass(frozen=True, slots=True)
class PriceSpan:
    """The civil days [start, end) (none: open) on which a price is agreed, while the service is on that plan."""

    plan: str
    start: date
    end: date | None
    price: AgreedPrice


@dataclass(frozen=True, slots=True)
class SubscriptionSpan:
    """A service on a plan, `units` of it, on the civil days [start, end) (none: open) of the contract's zone.

    `price`: what its base fee is instead, where one was agreed for this service.
    """

    plan: str
    units: int
    start: date
    end: date | None = None
    price: AgreedPrice | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """The civil days [start, end) on which one plan version and one quantity hold."""

    version: PlanVersion
    units: int
    start: date
    end: date
    price: AgreedPrice | None = None

    def period(self, zone: ZoneInfo) -> Period:
        """The same as instants."""
        return Period(civil_midnight(self.start, zone), civil_midnight(self.end, zone))


@dataclass(frozen=True, slots=True)
class ChargePart:
    """A charge to be rated on the terms of one version, over the `active` part of a period.

    The caller measures usage over `active` and calls `rate_charge` once for each part.
    """

    version: PlanVersion
    charge: UsageCharge
    units: int
    active: Period


def with_prices(spans: Iterable[SubscriptionSpan], prices: Sequence[PriceSpan]) -> tuple[SubscriptionSpan, ...]:
    """The spans, cut where an agreed price begins or ends; a price of another plan does nothing.

    >>> span = SubscriptionSpan("vps", 1, date(2026, 1, 1))
    >>> price = AgreedPrice(Fraction(4), "EUR")
    >>> cut = with_prices([span], [PriceSpan("vps", date(2026, 3, 1), date(2026, 5, 1), price)])
    >>> [(one.start.month, one.end and one.end.month, one.price is price) for one in cut]
    [(1, 3, False), (3, 5, True), (5, None, False)]
    """
    out: list[SubscriptionSpan] = []
    for span in spans:
        rest: SubscriptionSpan | None = span
        for one in sorted(prices, key=lambda price: price.start):
            if rest is None or one.plan != span.plan:
                continue
            start = max(rest.start, one.start)
            end = min((day for day in (rest.end, one.end) if day is not None), default=None)
            if end is not None and start >= end:
                continue
            if rest.start < start:
                out.append(replace(rest, end=start))
            out.append(replace(rest, start=start, end=end, price=one.price))
            rest = None if end is None or end == rest.end else replace(rest, start=end)
        if rest is not None:
            out.append(rest)
    return tuple(out)


def segments(catalog: Catalog, spans: Iterable[SubscriptionSpan], start: date, end: date) -> tuple[Segment, ...]:
    """A service's segments within the civil days [start, end), in order, neighbours on the same terms made one.

    Raises `NotInCatalogError` when a plan is unknown, or has no version yet on a day it is subscribed.
    """
    out: list[Segment] = []
    for span in sorted(spans, key=lambda one: one.start):
        first, last = max(span.start, start), end if span.end is None else min(span.end, end)
        if first >= last:
            continue
        catalog.plan_version(span.plan, first)
        versions = catalog.plan_versions_between(span.plan, first, last)
        for i, version in enumerate(versions):
            a = max(first, version.valid_from)
            b = min(last, versions[i + 1].valid_from) if i + 1 < len(versions) else last
            before = out[-1] if out else None
            same = (version, span.units, span.price, a)
            if before is not None and (before.version, before.units, before.price, before.end) == same:
                out[-1] = Segment(version, span.units, before.start, b, span.price)
            else:
                out.append(Segment(version, span.units, a, b, span.price))
    return tuple(out)


def charge_parts(found: Sequence[Segment], zone: ZoneInfo) -> tuple[ChargePart, ...]:
    """What is to be rated of a service's segments in a period, charge by charge.

    The last segment's charge says how a change within the period counts (`OnChange`): each part by itself, or the
    whole on the terms at its end. Parts that differ only in a quantity that the charge does not depend on are one.
    """
    last: dict[str, UsageCharge] = {}
    for segment in found:
        for charge in segment.version.charges:
            last[charge.key] = charge
    parts: list[ChargePart] = []
    for key, final in last.items():
        own: list[ChargePart] = []
        for segment in found:
            found_here = [one for one in segment.version.charges if one.key == key]
            if not found_here:
                continue
            part = ChargePart(segment.version, found_here[0], segment.units, segment.period(zone))
            if own and own[-1].active.end == part.active.start and _is_one(own[-1], part, final):
                part = ChargePart(
                    part.version, part.charge, part.units, Period(own.pop().active.start, part.active.end)
                )
            own.append(part)
        parts.extend(own)
    return tuple(parts)


def _is_one(before: ChargePart, after: ChargePart, final: UsageCharge) -> bool:
    if final.on_change is OnChange.END_TERMS:
        return True
    per_unit = any(part is not None and part.per_unit for part in (after.charge.allowance, after.charge.commitment))
    return before.version == after.version and (before.units == after.units or not per_unit)
