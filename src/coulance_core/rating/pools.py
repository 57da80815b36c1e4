"""Pooled allowances: the services of an account share what each includes, and pay one overage line together."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from zoneinfo import ZoneInfo

from coulance_core.catalog.terms import PerUnit, PlanVersion, Pool, UsageCharge
from coulance_core.kernel import Explanation, Money, Period, Rounding
from coulance_core.rating.charges import (
    Allowed,
    Figure,
    RatedCharge,
    bound_lines,
    price_conventions,
    rater,
    rule_of,
    stated_allowed,
)
from coulance_core.rating.conventions import measure_conventions, measure_words
from coulance_core.rating.lines import LineKind, PricedLine, rounded
from coulance_core.rating.models import price
from coulance_core.rating.proration import share
from coulance_core.rating.sheet import Sheet

ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class PoolMember:
    """One part of one service that shares the pool: its charge, its figure, and when it ran on these terms."""

    service: str
    version: PlanVersion
    charge: UsageCharge
    used: Figure | Fraction
    active: Period
    units: int = 1


@dataclass(frozen=True, slots=True)
class RatedPool:
    """What a pool comes to. `members` are the parts' own figures, in their order, in their own charge's unit."""

    pool: str
    lines: tuple[PricedLine, ...]
    used: Fraction
    included: Fraction
    overage: Fraction
    unit: str
    explanation: Explanation
    members: tuple[RatedCharge, ...]
    charged: Fraction | None = None

    @property
    def absorbed(self) -> Fraction:
        """Overage that is not charged."""
        return ZERO if self.charged is None else self.overage - self.charged

    def net(self, currency: str) -> Money:
        """The sum of its lines."""
        return Money(sum(line.net.minor for line in self.lines), currency)


def rate_pool(
    pool: Pool,
    members: Sequence[PoolMember],
    *,
    period: Period,
    zone: ZoneInfo,
    rounding: Rounding = Rounding.HALF_UP,
    allowed: Allowed | None = None,
) -> RatedPool:
    """Rate a pool over a period: every member's use against every member's allowance, prorated each for its own part.

    With `allowed`, no more overage than that is priced; what lies beyond is absorbed.

    A service that changes plan is two members, and brings a part of either allowance. The explanation has a row of
    two facts for each member (used, included) and the members' own reckoning as children.
    """
    sheet, unit, code = Sheet(), pool.measure.unit, pool.currency
    sheet.conventions.extend((*measure_conventions(pool.measure), *price_conventions(pool.price)))
    source = measure_words(pool.measure)
    rated: list[RatedCharge] = []
    used, included = ZERO, ZERO
    used_names: list[str] = []
    included_names: list[str] = []
    seen: dict[str, int] = {}
    for member in members:
        own = rater(member.version, member.charge, rounding, zone).rate(
            member.used, period=period, active=member.active, units=member.units, service=member.service
        )
        rated.append(own)
        seen[member.service] = seen.get(member.service, 0) + 1
        name = member.service if seen[member.service] == 1 else f"{member.service} ({seen[member.service]})"
        ratio = member.charge.measure.unit.size / unit.size
        used_names.append(f"used by {name}")
        included_names.append(f"included with {name}")
        used += sheet.fact(used_names[-1], own.used * ratio, unit.name, source)
        included += sheet.fact(included_names[-1], own.included * ratio, unit.name, member.version.version)
        sheet.children.append(own.explanation)
    sheet.step("used", "add", tuple(used_names), used, unit.name)
    sheet.step("included", "add", tuple(included_names), included, unit.name)
    over = sheet.step("above", "subtract", ("used", "included"), used - included, unit.name)
    overage = sheet.step("overage", "max", ("above", "0"), max(over, ZERO), unit.name)
    charged, priced = overage, "overage"
    if allowed is not None:
        charged, priced = stated_allowed(sheet, overage, allowed, unit.name), "charged"
    amount = price(pool.price, charged, sheet, quantity_name=priced, unit=unit.name, currency=code)
    net = rounded(sheet, amount, code, rounding)
    explanation = sheet.freeze(rule_of(pool.price).replace("rating.", "rating.pool."), pool.version)
    lines: list[PricedLine] = []
    active = _span(members, period)
    if amount:
        flat = pool.price.unit_price if isinstance(pool.price, PerUnit) else None
        lines.append(
            PricedLine(
                LineKind.OVERAGE,
                pool.key,
                "",
                f"{pool.name}, above what {len(seen)} services include together",
                active,
                charged,
                unit.name,
                flat,
                amount,
                net,
                pool.tax_class,
                pool.version,
                explanation,
                pool.key,
            )
        )
    lines.extend(
        bound_lines(
            pool.minimum_spend,
            pool.maximum_spend,
            net,
            share(active, period, pool.proration, zone),
            pool.proration,
            rounding=rounding,
            key=pool.key,
            name=pool.name,
            service="",
            period=active,
            tax_class=pool.tax_class,
            terms=pool.version,
            pool=pool.key,
        )
    )
    return RatedPool(pool.key, tuple(lines), used, included, overage, unit.name, explanation, tuple(rated), charged)


def _span(members: Sequence[PoolMember], period: Period) -> Period:
    if not members:
        return Period(period.start, period.start)
    return Period(min(m.active.start for m in members), max(m.active.end for m in members))
