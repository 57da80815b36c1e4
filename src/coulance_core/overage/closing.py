"""A period's overage of an account: which allowances were passed, and how much of it may be charged.

The same call settles a close, a late correction and a replay. It is asked only where overage was used, so that a
provider without control, and a service within its allowance, pay nothing for it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from zoneinfo import ZoneInfo

from coulance_core.catalog.terms import (
    Catalog,
    Measure,
    MissingSamples,
    PercentileTerms,
    PriceModel,
    RankConvention,
    UsageCharge,
)
from coulance_core.invoicing.closing import PartUse, ServiceFacts
from coulance_core.kernel import Explanation, Money, Period, Rounding, unit
from coulance_core.overage.bursts import Port
from coulance_core.overage.limit import UnableToLimitError, most
from coulance_core.overage.settle import Attack, Draws, Meter
from coulance_core.overage.terms import Absorbed, Consent, Facts, Limit, PriceTerms, Span
from coulance_core.overage.together import settle_together
from coulance_core.rating.charges import Allowed, rater
from coulance_core.rating.models import price
from coulance_core.usage.draws import Drawn, is_level, is_ranked

ZERO = Fraction(0)
HUNDREDTH = Fraction(1, 100)
HIGHEST = PercentileTerms(RankConvention.NEAREST_RANK, Fraction(100), MissingSamples.DROPPED)
OUR_OWN = frozenset({Absorbed.ATTACK, Absorbed.TOLERANCE, Absorbed.PAUSED})
"""Reasons that never draw on a customer's absorption budget: attacks, our own delay, and what the contract gives."""


@dataclass(frozen=True, slots=True)
class OverPart:
    """A part of a period of one service that draws on a passed allowance. `index` is its place among the service's."""

    service: str
    index: int
    use: PartUse
    included: Fraction
    """In the measure's unit."""


@dataclass(frozen=True, slots=True)
class Overrun:
    """An allowance that was passed: a charge of a service, each of whose parts has its own, or a pool of many parts.

    `key` is `service/charge`, or `pool:key/group`.
    """

    key: str
    unit: str
    parts: tuple[OverPart, ...]
    pool: str = ""
    group: str = ""

    @property
    def charge(self) -> UsageCharge:
        """The charge of its first part."""
        return self.parts[0].use.part.charge


@dataclass(frozen=True, slots=True)
class Ground:
    """Allowances that are settled together, by key, and the facts of their period: each one's own, or by unit.

    `caps` are members' own consents within a pool, by service. `paused`: when each service was being paused or
    throttled; the others' use goes on counting.
    """

    keys: tuple[str, ...]
    facts: Mapping[str, Facts]
    caps: Mapping[str, tuple[Consent, ...]]
    paused: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)

    def facts_of(self, one: Overrun) -> Facts:
        """The facts of one of its allowances."""
        return self.facts[one.key] if one.key in self.facts else self.facts[one.unit]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a passed allowance. Quantities in `unit`; `cost` is what the absorbed part would have come to
    before tax, `on_budget` the part of it that draws on the customer's absorption budget."""

    overrun: Overrun
    unit: str
    metered: Fraction
    included: Fraction
    overage: Fraction
    billable: Fraction
    absorbed: Mapping[Absorbed, Fraction]
    cost: Money
    on_budget: Money
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class Settling:
    """All of an account's: outcomes, and what they allow, by (service, index of its part) and by (pool, group).

    `by_part` is what was absorbed of each part, for the statement.
    """

    outcomes: tuple[Outcome, ...]
    parts: Mapping[tuple[str, int], Allowed]
    pools: Mapping[tuple[str, str], Allowed]
    by_part: Mapping[tuple[str, int], Mapping[Absorbed, Fraction]]

    def bound(self, uses: Mapping[str, Sequence[PartUse]]) -> dict[str, list[PartUse]]:
        """The parts, each with what is allowed of it."""
        return {
            service: [
                replace(use, allowed=self.parts[service, i]) if (service, i) in self.parts else use
                for i, use in enumerate(own)
            ]
            for service, own in uses.items()
        }


NOTHING = Settling((), {}, {}, {})


def overruns(
    catalog: Catalog,
    services: Sequence[ServiceFacts],
    figures: Mapping[str, Sequence[PartUse]],
    *,
    period: Period,
    zone: ZoneInfo,
) -> tuple[Overrun, ...]:
    """The allowances that these services passed in a period, of whatever it can be said when it was used."""
    out: list[Overrun] = []
    pooled: dict[tuple[str, str], list[OverPart]] = {}
    rounding = catalog.provider.rounding
    for service in services:
        name = service.ref.external_id
        passed: dict[str, list[OverPart]] = {}
        for i, use in enumerate(figures.get(name, ())):
            part = use.part
            if not use.figure.quantity:
                continue
            included = rater(part.version, part.charge, rounding, zone).included(part.active, period, part.units)
            if part.charge.pool is not None:
                pooled.setdefault((part.charge.pool, service.pool), []).append(OverPart(name, i, use, included))
            elif use.figure.quantity > included:
                passed.setdefault(part.charge.key, []).append(OverPart(name, i, use, included))
        out.extend(
            Overrun(f"{name}/{key}", parts[0].use.part.charge.measure.unit.name, tuple(parts))
            for key, parts in passed.items()
        )
    for (key, group), found in sorted(pooled.items()):
        pool = catalog.pool(key, min(one.use.part.active.start for one in found).astimezone(zone).date())
        brought = _all_of_pool(services, figures, key, group, period, zone, rounding)
        of = pool.measure.unit
        used = sum((u.figure.quantity * u.part.charge.measure.unit.size for u, _ in brought), ZERO)
        included = sum((own * u.part.charge.measure.unit.size for u, own in brought), ZERO)
        if used > included:
            # What idle members include counts too: it is put on the first part, as the pool has one allowance.
            first = replace(found[0], included=included / of.size)
            rest = [replace(one, included=ZERO) for one in found[1:]]
            out.append(Overrun(pool_meter(key, group), of.name, (first, *rest), key, group))
    return tuple(out)


def pool_meter(key: str, group: str) -> str:
    """How a pool's allowance is named: as its settlement is."""
    return f"pool:{key}" + (f"/{group}" if group else "")


def _all_of_pool(
    services: Sequence[ServiceFacts],
    figures: Mapping[str, Sequence[PartUse]],
    key: str,
    group: str,
    period: Period,
    zone: ZoneInfo,
    rounding: Rounding,
) -> list[tuple[PartUse, Fraction]]:
    return [
        (
            use,
            rater(use.part.version, use.part.charge, rounding, zone).included(use.part.active, period, use.part.units),
        )
        for service in services
        if service.pool == group
        for use in figures.get(service.ref.external_id, ())
        if use.part.charge.pool == key
    ]


def settle_overruns(
    catalog: Catalog,
    found: Sequence[Overrun],
    drawn: Mapping[tuple[str, int], Drawn],
    grounds: Sequence[Ground],
    *,
    period: Period,
    zone: ZoneInfo,
    tax_rate: Callable[[str], Fraction],
    tax_included: bool,
    tolerance: Fraction = ZERO,
    attacks: Callable[[str], Sequence[Attack]] = lambda _: (),
) -> Settling:
    """Settle what was passed, ground by ground. `drawn` has the use of every part of `found`.

    `tax_rate` gives the percentage of a tax class for this customer (0 where prices include their tax), `attacks` those
    on its services, bounded in a unit; `tolerance` is in percent.
    """
    by_key = {one.key: one for one in found}
    outcomes: list[Outcome] = []
    parts: dict[tuple[str, int], Allowed] = {}
    pools: dict[tuple[str, str], Allowed] = {}
    by_part: dict[tuple[str, int], Mapping[Absorbed, Fraction]] = {}
    free = tolerance * HUNDREDTH
    for ground in grounds:
        members = [by_key[key] for key in ground.keys if key in by_key]
        sums = [one for one in members if one.pool or not is_ranked(one.charge.measure)]
        meters: list[tuple[Overrun, tuple[OverPart, ...], Meter]] = []
        for one in sums:
            lots = [one.parts] if one.pool else [(part,) for part in one.parts]
            for n, lot in enumerate(lots):
                terms = _terms(catalog, one, lot[0], period, zone, tax_rate, tax_included)
                draws = tuple(_draws(one, part, drawn, ground, terms) for part in lot)
                included = sum((part.included for part in lot), ZERO)
                name = one.key if len(lots) == 1 else f"{one.key}@{n + 1}"
                meters.append((one, lot, Meter(name, one.unit, included, terms, draws, included * free)))
        ports: list[tuple[Overrun, OverPart, Port]] = []
        for one in members:
            for part in () if one in sums else one.parts:
                terms = _terms(catalog, one, part, period, zone, tax_rate, tax_included)
                rates = drawn[part.service, part.index]
                ports.append((one, part, _port(one, part, rates, terms, part.included * free)))
        settled, ranked = settle_together(
            [(meter, ground.facts_of(of)) for of, _, meter in meters],
            [(port, ground.facts_of(of)) for of, _, port in ports],
            attacks=attacks,
        )
        for one in sums:
            own = [(lot, meter, got) for (of, lot, meter), got in zip(meters, settled, strict=True) if of is one]
            absorbed: dict[Absorbed, Fraction] = {}
            cost = ZERO
            for lot, meter, got in own:
                for reason, quantity in got.absorbed.items():
                    absorbed[reason] = absorbed.get(reason, ZERO) + quantity
                cost += _costs(meter.terms.price, got.billable + got.absorbed_total) - _costs(
                    meter.terms.price, got.billable
                )
                allowed = Allowed(got.billable, got.explanation)
                if one.pool:
                    pools[one.pool, one.group] = allowed
                else:
                    parts[lot[0].service, lot[0].index] = allowed
                    by_part[lot[0].service, lot[0].index] = got.absorbed
            outcomes.append(
                _outcome(
                    one, one.unit, sum((g.metered for *_, g in own), ZERO), sum((g.included for *_, g in own), ZERO),
                    sum((g.overage for *_, g in own), ZERO), sum((g.billable for *_, g in own), ZERO), absorbed,
                    cost, own[0][1].terms.currency, own[0][2].explanation,
                )
            )  # fmt: skip
        for (one, part, port), done in zip(ports, ranked, strict=True):
            absorbed = _port_reasons(done.clipped, done.absorbed, done.tolerated)
            allowed = Allowed(done.overage, done.explanation)
            parts[part.service, part.index] = allowed
            by_part[part.service, part.index] = absorbed
            terms = port.terms
            cost = _costs(terms.price, done.overage + done.absorbed) - _costs(terms.price, done.overage)
            outcomes.append(
                _outcome(
                    one, one.unit, done.measured, min(part.included, done.measured), done.overage + done.absorbed,
                    done.overage, absorbed, cost, terms.currency, done.explanation,
                )
            )  # fmt: skip
    return Settling(tuple(outcomes), parts, pools, by_part)


def _outcome(
    one: Overrun,
    unit: str,
    metered: Fraction,
    included: Fraction,
    overage: Fraction,
    billable: Fraction,
    absorbed: Mapping[Absorbed, Fraction],
    cost: Fraction,
    code: str,
    explanation: Explanation,
) -> Outcome:
    total = sum(absorbed.values(), ZERO)
    counted = sum((q for reason, q in absorbed.items() if reason not in OUR_OWN), ZERO)
    cost = max(cost, ZERO)
    share = counted / total if total else ZERO
    whole = Money.of(cost, code, Rounding.HALF_UP)
    part = Money.of(cost * share, code, Rounding.FLOOR)
    return Outcome(
        one, unit, metered, included, overage, billable, dict(absorbed), whole, min(part, whole), explanation
    )


def _costs(model: PriceModel, quantity: Fraction) -> Fraction:
    return price(model, quantity)


def _terms(
    catalog: Catalog,
    one: Overrun,
    part: OverPart,
    period: Period,
    zone: ZoneInfo,
    tax_rate: Callable[[str], Fraction],
    tax_included: bool,
) -> PriceTerms:
    use = part.use.part
    if one.pool:
        pool = catalog.pool(one.pool, use.active.start.astimezone(zone).date())
        return PriceTerms(pool.version, pool.price, pool.currency, tax_rate(pool.tax_class), tax_included)
    charge = use.charge
    maximum = charge.maximum_spend if use.active == period else None
    return PriceTerms(
        use.version.version, charge.price, use.version.currency, tax_rate(use.version.tax_class_of(charge)),
        tax_included, maximum,
    )  # fmt: skip


def _draws(
    one: Overrun,
    part: OverPart,
    drawn: Mapping[tuple[str, int], Drawn],
    ground: Ground,
    terms: PriceTerms,
) -> Draws:
    got = drawn[part.service, part.index]
    measure = part.use.part.charge.measure
    factor = part.use.figure.conversion.factor
    if one.pool and measure.unit.name != one.unit:
        factor *= measure.unit.size / _size(one)
    cap = cap_of(ground.caps.get(part.service, ()), terms) if one.pool else None
    draws = Draws.of(part.service, got.start, got.end, got.columns[0], factor, cap)
    # What is stored goes on being stored while a network is paused.
    return draws if is_level(measure) else replace(draws, paused=ground.paused.get(part.service, ()))


def _size(one: Overrun) -> Fraction:
    return unit(one.unit).size


def cap_of(consents: Sequence[Consent], terms: PriceTerms) -> Fraction | None:
    """A member's own limit within its pool: the lowest that was in force."""
    caps: list[Fraction] = []
    for consent in consents:
        try:
            cap = most(consent.limit, terms, consent.terms)
        except UnableToLimitError:
            cap = ZERO
        if cap is not None:
            caps.append(cap)
    return min(caps, default=None)


def _port(one: Overrun, part: OverPart, got: Drawn, terms: PriceTerms, tolerance: Fraction) -> Port:
    measure = part.use.part.charge.measure
    return Port(
        part.service, one.unit, part.included, terms, rank_terms(measure), got.start, got.end, got.columns,
        got.expected, part.use.figure.conversion.factor, got.added, tolerance,
    )  # fmt: skip


def rank_terms(measure: Measure) -> PercentileTerms:
    """Which of its samples a ranked measure takes: a percentile's own, else the highest (of a last level there is one).

    >>> from coulance_core.catalog.terms import Aggregation
    >>> str(rank_terms(Measure("seats", Aggregation.PEAK, unit("seat"))).p)
    '100'
    """
    return measure.percentile or HIGHEST


def _port_reasons(clipped: Mapping[Absorbed, int], absorbed: Fraction, tolerated: Fraction) -> dict[Absorbed, Fraction]:
    """A percentile's difference has one cause to be named besides the tolerance: that of most samples lowered."""
    out = {Absorbed.TOLERANCE: tolerated} if tolerated else {}
    if absorbed > tolerated:
        reason = max(clipped, key=lambda one: clipped[one], default=Absorbed.ABOVE_LIMIT)
        out[reason] = absorbed - tolerated
    return out


def limit_in(limit: Limit, given: str, wanted: str) -> Limit:
    """A limit whose quantity is in the unit `given`, in a meter's unit `wanted`.

    A quantity of another kind (GB for a port in Mbit/s) says nothing about this meter: only an amount can.
    """
    if limit.quantity is None or not given or given == wanted:
        return limit
    one, other = unit(given), unit(wanted)
    if one.dimension is other.dimension:
        return replace(limit, quantity=limit.quantity * one.size / other.size)
    if limit.typed == "quantity":
        return replace(limit, quantity=ZERO)
    return replace(limit, quantity=None)
