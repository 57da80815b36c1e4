"""Which terms hold when: a service's subscriptions cut at each change of plan, quantity or version."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from coulance_core.catalog.terms import Catalog, OnChange, PlanVersion, UsageCharge
from coulance_core.kernel import Period, civil_midnight


@dataclass(frozen=True, slots=True)
class SubscriptionSpan:
    """A service on a plan, `units` of it, on the civil days [start, end) (none: open) of the contract's zone."""

    plan: str
    units: int
    start: date
    end: date | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """The civil days [start, end) on which one plan version and one quantity hold."""

    version: PlanVersion
    units: int
    start: date
    end: date

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
            if before is not None and (before.version, before.units, before.end) == (version, span.units, a):
                out[-1] = Segment(version, span.units, before.start, b)
            else:
                out.append(Segment(version, span.units, a, b))
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
