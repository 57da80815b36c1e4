"""Which plan a service's use is cheapest on, by the very rating that closing does, and when that is worth saying.

Figures are measured once for each measure that a plan charges; every plan then rates the same periods: its fees for
the period, and its overage with pools and percentiles as `rate_charge` and `rate_pool` have it. Amounts are as the
catalog states prices; tax is apart.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from functools import partial
from zoneinfo import ZoneInfo

from coulance_core.catalog.terms import BaseFee, Measure, PlanVersion, Pool
from coulance_core.kernel import Explanation, Money, Period, Rounding
from coulance_core.rating.charges import Allowed, Figure, rate_charge
from coulance_core.rating.lines import PricedLine, rounded
from coulance_core.rating.pools import PoolMember, rate_pool
from coulance_core.rating.proration import IN_WORDS, WHOLE, share
from coulance_core.rating.sheet import Sheet

ZERO = Fraction(0)


class NotComparableError(LookupError):
    """A plan cannot be rated on these figures; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class PeriodUse:
    """What a service used in a period: a figure for each measure that any plan under comparison charges.

    `active` is the part of the period in which it ran (none: all of it). `others` are the other members of the pools
    it could share, by the pool's key. `allowed` bounds what the plan it was on may charge, by the charge's key, or
    `pool:` and the pool's key: use that was absorbed cost nothing, and no other plan saves it. A `forecast` is no
    history: it vetoes advice and never makes it.
    """

    name: str
    period: Period
    figures: Mapping[Measure, Figure | Fraction]
    units: int = 1
    active: Period | None = None
    others: Mapping[str, Sequence[PoolMember]] = field(default_factory=dict)
    allowed: Mapping[str, Allowed] = field(default_factory=dict)
    forecast: bool = False


@dataclass(frozen=True, slots=True)
class PlanCost:
    """What a period costs on a plan: `base` (fees in advance, commitments too) and `usage`, their sum `net`.

    In a pool `usage` is the whole pool's overage: what differs between two plans is what the service changes in it.
    """

    version: PlanVersion
    period: str
    base: Money
    usage: Money
    lines: tuple[PricedLine, ...]
    explanation: Explanation
    forecast: bool = False

    @property
    def net(self) -> Money:
        """Base and usage."""
        return self.base + self.usage


def why_not_comparable(present: PlanVersion, other: PlanVersion) -> str:
    """Why `other` can't stand in for `present`, or nothing. They measure the same meters, in one currency."""
    if other.currency != present.currency:
        return f"priced in {other.currency}, not {present.currency}"
    ours, theirs = ({charge.measure.meter for charge in one.charges} for one in (present, other))
    if ours != theirs:
        said = " and ".join(sorted(theirs)) or "nothing"
        return f"measures {said}, not {' and '.join(sorted(ours)) or 'nothing'}"
    return ""


def plan_cost(
    version: PlanVersion,
    use: PeriodUse,
    *,
    zone: ZoneInfo,
    pools: Mapping[str, Pool] | None = None,
    rounding: Rounding = Rounding.HALF_UP,
    bounded: bool = False,
) -> PlanCost:
    """What the period would cost on a plan's version. With `bounded`, no more than `use.allowed` is charged.

    A fee for several months counts with its part of a month. `pools` are the terms of every pool concerned. Raises
    `NotComparableError` when a figure or a pool is missing.
    """
    sheet, code = Sheet(), version.currency
    active = use.active or use.period
    base = [_fee(sheet, name, fee, use, active, zone, code, rounding) for name, fee in _fees(version)]
    usage: list[Money] = []
    lines: list[PricedLine] = []
    pooled: dict[str, list[PoolMember]] = {key: list(members) for key, members in use.others.items()}
    for charge in version.charges:
        if charge.measure not in use.figures:
            raise NotComparableError(f"{version.version} charges {charge.key}, and no figure was measured for it")
        figure = use.figures[charge.measure]
        if charge.pool is not None:
            pooled.setdefault(charge.pool, []).append(PoolMember("", version, charge, figure, active, use.units))
            continue
        rate = partial(
            rate_charge,
            charge,
            period=use.period,
            version=version,
            zone=zone,
            rounding=rounding,
            active=active,
            units=use.units,
            allowed=use.allowed.get(charge.key) if bounded else None,
        )
        rated = rate(figure if isinstance(figure, Fraction) else figure.quantity)
        if rated.lines and not isinstance(figure, Fraction):
            rated = rate(figure)  # only what costs explains itself down to the samples, as in a closing
        usage.append(_stated(sheet, f"usage, {charge.key}", rated.net(code), rated.explanation))
        lines.extend(rated.lines)
    for key, members in sorted(pooled.items()):
        if pools is None or key not in pools:
            raise NotComparableError(f"{version.version} shares the pool {key}, and its terms are not there")
        bound = use.allowed.get(f"pool:{key}") if bounded else None
        pool = rate_pool(pools[key], members, period=use.period, zone=zone, rounding=rounding, allowed=bound)
        usage.append(_stated(sheet, f"usage, pool {key}", pool.net(code), pool.explanation))
        lines.extend(pool.lines)
    sums = {"base": Money(sum(one.minor for one in base), code), "usage": Money(sum(one.minor for one in usage), code)}
    sheet.step("base", "add", tuple(f"{name}, billed" for name, _ in _fees(version)), sums["base"].amount, code)
    names = tuple(fact.name for fact in sheet.facts if fact.name.startswith("usage, "))
    sheet.step("usage", "add", names, sums["usage"].amount, code)
    sheet.step("net", "add", ("base", "usage"), sums["base"].amount + sums["usage"].amount, code)
    sheet.conventions.append("amounts as the catalog states its prices; tax is apart")
    explanation = sheet.freeze("overage.advice.cost", version.version)
    return PlanCost(version, use.name, sums["base"], sums["usage"], tuple(lines), explanation, use.forecast)


def _fees(version: PlanVersion) -> list[tuple[str, BaseFee]]:
    """A plan's fees in advance, by what they are called here."""
    fees = [] if version.base is None else [("base fee", version.base)]
    fees.extend(
        (f"commitment, {charge.key}", charge.commitment.as_base())
        for charge in version.charges
        if charge.commitment is not None
    )
    return fees


def _fee(
    sheet: Sheet,
    name: str,
    fee: BaseFee,
    use: PeriodUse,
    active: Period,
    zone: ZoneInfo,
    code: str,
    rounding: Rounding,
) -> Money:
    amount = sheet.fact(name, fee.amount, code)
    operands = [name]
    if fee.per_unit and use.units != 1:
        amount *= sheet.fact(f"{name}, units", Fraction(use.units))
        operands.append(f"{name}, units")
    ratio = share(active, use.period, fee.proration, zone)
    if ratio != WHOLE:
        amount *= sheet.fact(f"{name}, share of the period", ratio, source=IN_WORDS[fee.proration])
        operands.append(f"{name}, share of the period")
    if fee.interval_months != 1:
        amount *= sheet.fact(f"{name}, a month's part", Fraction(1, fee.interval_months))
        operands.append(f"{name}, a month's part")
    sheet.step(f"{name}, exact", "multiply", tuple(operands), amount, code)
    return rounded(sheet, amount, code, rounding, of=f"{name}, exact", name=f"{name}, billed")


def _stated(sheet: Sheet, name: str, net: Money, why: Explanation) -> Money:
    sheet.fact(name, net.amount, net.currency, why.rule)
    sheet.children.append(why)
    return net


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """A plan over all the periods compared; a forecast is in `costs`, and not in the sums.

    `saved` is what it would have saved against the present plan (below zero: it would have cost more), `cheaper_in`
    in how many periods it was the cheaper of the two.
    """

    version: PlanVersion
    costs: tuple[PlanCost, ...]
    total: Money
    saved: Money
    cheaper_in: int

    @property
    def measured(self) -> tuple[PlanCost, ...]:
        """The periods that were, without forecasts."""
        return tuple(cost for cost in self.costs if not cost.forecast)

    @property
    def ahead(self) -> tuple[PlanCost, ...]:
        """The forecasts."""
        return tuple(cost for cost in self.costs if cost.forecast)

    @property
    def average(self) -> Fraction:
        """Exact, in major units, a period."""
        return self.total.amount / len(self.measured)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Plans ranked by what the periods would have cost on them, the cheapest first; the present plan wins ties.

    `left_out` names the plans that were not compared, and why.
    """

    present: PlanRecord
    ranked: tuple[PlanRecord, ...]
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def best(self) -> PlanRecord:
        """The cheapest in hindsight, and so on average. Never dearer than the present plan."""
        return self.ranked[0]


def compare(
    present: PlanVersion,
    candidates: Iterable[PlanVersion],
    periods: Sequence[PeriodUse],
    *,
    zone: ZoneInfo,
    pools: Mapping[str, Pool] | None = None,
    rounding: Rounding = Rounding.HALF_UP,
) -> Comparison:
    """Rate every period on the present plan and on every candidate, and rank them.

    All on the terms that are given: those sold now, where the question is what to do next. The present plan is bounded
    by what was allowed to be charged, others are not: a saving is never overstated. Raises `NotComparableError` when
    the present plan can't be rated, `ValueError` without a period that was measured.
    """
    if not any(not use.forecast for use in periods):
        raise ValueError("advice rests on at least one measured period")
    now = tuple(
        plan_cost(present, use, zone=zone, pools=pools, rounding=rounding, bounded=bool(use.allowed)) for use in periods
    )
    ours = _record(now, now)
    records, left_out = [ours], []
    for candidate in candidates:
        if candidate.plan == present.plan:
            continue
        why = why_not_comparable(present, candidate)
        if not why:
            try:
                costs = tuple(plan_cost(candidate, use, zone=zone, pools=pools, rounding=rounding) for use in periods)
            except NotComparableError as error:
                why = str(error)
            else:
                records.append(_record(costs, now))
        if why:
            left_out.append((candidate.version, why))
    ranked = sorted(records, key=lambda one: (one.total.minor, one is not ours, one.version.plan))
    return Comparison(ours, tuple(ranked), tuple(left_out))


def _record(costs: tuple[PlanCost, ...], present: tuple[PlanCost, ...]) -> PlanRecord:
    pairs = [(a.net, b.net) for a, b in zip(costs, present, strict=True) if not a.forecast]
    code = costs[0].version.currency
    total = Money(sum(a.minor for a, _ in pairs), code)
    saved = Money(sum(b.minor for _, b in pairs), code) - total
    return PlanRecord(costs[0].version, costs, total, saved, sum(a < b for a, b in pairs))


@dataclass(frozen=True, slots=True)
class AdvicePolicy:
    """When a change of plan is worth saying.

    It saves at least `saves` a period on average (where that is in the plan's currency) and at least `share` of what
    is paid now; it was the cheaper one in `in_periods` of the last `of_periods`; and it was not said within `every`
    periods. A plan with a lower base fee may have less of what is not metered (memory, disk, support): it is shown,
    and advised only with `smaller`.
    """

    saves: Money | None = None
    share: Fraction = Fraction(1, 10)
    in_periods: int = 4
    of_periods: int = 6
    every: int = 3
    smaller: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.in_periods <= self.of_periods:
            raise ValueError(f"in_periods: expected 1 to {self.of_periods} (of_periods), not {self.in_periods}")
        if self.every < 1:
            raise ValueError(f"every: expected 1 period or more, not {self.every}")
        if not 0 <= self.share <= 1:
            raise ValueError(f"share: expected 0 to 1, not {self.share}")


class Verdict(StrEnum):
    """What there is to say about a service's plan."""

    CHANGE = "change"
    """Another plan is cheaper, by enough and often enough."""
    BEST = "best"
    """The present plan is the cheapest."""
    TOO_FEW = "too_few"
    """Too few periods were measured to say."""
    SMALLER = "smaller"
    """Only plans with a lower base fee are cheaper: what they lack is not metered."""
    TOO_LITTLE = "too_little"
    """Another plan saves, but too little."""
    NOT_OFTEN = "not_often"
    """Another plan saves in all, but in too few periods: chance."""
    DEARER_AHEAD = "dearer_ahead"
    """Another plan was cheaper, and the forecast says it will not be."""
    TOLD = "told"
    """It would be advised, and was not long ago."""


@dataclass(frozen=True, slots=True)
class Advice:
    """A verdict; `plan` is the one advised, or that nearly was (none where the present is best)."""

    verdict: Verdict
    plan: PlanVersion | None
    saved: Money
    """Over the periods looked at; zero without a plan."""
    cheaper_in: int
    periods: int
    explanation: Explanation


_NEAREST = (
    Verdict.CHANGE,
    Verdict.TOLD,
    Verdict.DEARER_AHEAD,
    Verdict.NOT_OFTEN,
    Verdict.TOO_LITTLE,
    Verdict.SMALLER,
    Verdict.TOO_FEW,
)


def recommend(comparison: Comparison, policy: AdvicePolicy, *, told_periods_ago: int | None = None) -> Advice:
    """What to say about the plan. `told_periods_ago` is none where it was never advised, or where they ask.

    Of the plans that meet every condition, the one that saves most; never one that is dearer.
    """
    looked_at = min(len(comparison.present.measured), policy.of_periods)
    outcomes: list[tuple[int, int, Advice]] = []
    for place, record in enumerate(comparison.ranked):
        if record is comparison.present:
            continue
        advice = _judged(comparison.present, record, policy, looked_at, told_periods_ago)
        if advice.saved.minor > 0:
            outcomes.append((_NEAREST.index(advice.verdict), place, advice))
    if outcomes:
        return min(outcomes, key=lambda one: one[:2])[2]
    present = comparison.present
    paid = _window(present, looked_at)
    why = Explanation.build("overage.advice.best", terms=present.version.version)
    why.fact("paid on the present plan", Money(sum(c.net.minor for c in paid), present.total.currency).amount)
    for record in comparison.ranked:
        if record is not present:
            cost = sum(c.net.minor for c in _window(record, looked_at))
            why.fact(f"on {record.version.version}", Money(cost, present.total.currency).amount, present.total.currency)
    why.note("the present plan is the cheapest of those compared")
    return Advice(Verdict.BEST, None, Money(0, present.total.currency), 0, looked_at, why.freeze())


def _window(record: PlanRecord, periods: int) -> tuple[PlanCost, ...]:
    return record.measured[-periods:]


def _judged(present: PlanRecord, record: PlanRecord, policy: AdvicePolicy, periods: int, told: int | None) -> Advice:
    code = present.total.currency
    pairs = list(zip(_window(record, periods), _window(present, periods), strict=True))
    why = Explanation.build("overage.advice.change", terms=record.version.version)
    here, there = [], []
    for a, b in pairs:
        why.fact(f"{b.period}, now", b.net.amount, code, present.version.version)
        why.fact(f"{a.period}, then", a.net.amount, code, record.version.version)
        here.append(f"{b.period}, now")
        there.append(f"{a.period}, then")
    why.step("paid now", "add", *here, unit=code).step("would have cost", "add", *there, unit=code)
    why.step("saved", "subtract", "paid now", "would have cost", unit=code)
    why.fact("periods", len(pairs)).step("saved a period", "divide", "saved", "periods", unit=code)
    if why.number("paid now"):
        why.step("share saved", "divide", "saved", "paid now")
    cheaper = sum(a.net < b.net for a, b in pairs)
    why.fact("cheaper in", cheaper, "periods").fact("asked", policy.in_periods, "periods")
    ahead = list(zip(record.ahead, present.ahead, strict=True))
    for a, b in ahead:
        why.fact(f"forecast {a.period}, now", b.net.amount, code).fact(f"forecast {a.period}, then", a.net.amount, code)
    saved = Money.of(why.number("saved"), code)
    least = policy.saves.amount if policy.saves is not None and policy.saves.currency == code else ZERO
    why.fact("asked to save a period", least, code).fact("asked share", policy.share)
    enough = why.number("saved a period") >= least
    enough = enough and (not why.has("share saved") or why.number("share saved") >= policy.share)
    if len(pairs) < policy.of_periods:
        verdict = Verdict.TOO_FEW
    elif not policy.smaller and any(a.base < b.base for a, b in pairs):
        verdict = Verdict.SMALLER
    elif not enough:
        verdict = Verdict.TOO_LITTLE
    elif cheaper < policy.in_periods:
        verdict = Verdict.NOT_OFTEN
    elif any(a.net > b.net for a, b in ahead):
        verdict = Verdict.DEARER_AHEAD
    elif told is not None and told < policy.every:
        verdict = Verdict.TOLD
    else:
        verdict = Verdict.CHANGE
    why.note(f"verdict: {verdict.value}")
    return Advice(verdict, record.version, saved, cheaper, len(pairs), why.freeze())


def is_repeat_payer(overage: Sequence[Money], *, in_periods: int = 3, of_periods: int = 6) -> bool:
    """Whether overage was paid in `in_periods` of the last `of_periods` (oldest first).

    >>> paid = [Money(n, "EUR") for n in (0, 900, 0, 1200, 800, 0)]
    >>> is_repeat_payer(paid), is_repeat_payer(paid, in_periods=4)
    (True, False)
    """
    return sum(one.minor > 0 for one in overage[-of_periods:]) >= in_periods
