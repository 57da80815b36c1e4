"""A plan's prices as sentences, for people who did not write the provider file."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

from coulance_core.catalog.plans import BaseFee, PlanVersion, Pool, UsageCharge
from coulance_core.catalog.prices import (
    BlockMode,
    BlockTier,
    Capacity,
    Dynamic,
    Graduated,
    GraduatedPercentage,
    Package,
    Percentage,
    PercentTier,
    PerUnit,
    PriceModel,
    Tier,
    TieredBlocks,
    Volume,
)
from coulance_core.rating.conventions import measure_conventions
from coulance_core.rating.sheet import text

_EVERY = {1: "a month", 3: "every 3 months", 6: "every 6 months", 12: "a year",
          **{12 * years: f"every {years} years" for years in range(2, 11)}}  # fmt: skip


def plan_words(plan: PlanVersion) -> tuple[str, ...]:
    """What a version of a plan costs: its fee, then each charge in a sentence, each with its conventions behind it."""
    return tuple(_plan(plan))


def pool_words(pool: Pool) -> tuple[str, ...]:
    """What a version of a pool costs above the allowances that its members bring."""
    unit = pool.measure.unit.name
    said = [f"above what the members bring in all: {price_words(pool.price, unit, pool.currency)}"]
    said += _bounds(pool.minimum_spend, pool.maximum_spend, pool.currency)
    return ("; ".join(said) + ".", *_conventions(measure_conventions(pool.measure)))


def _plan(plan: PlanVersion) -> Iterator[str]:
    if plan.base is not None and plan.base.amount:
        yield f"{_fee(plan.base, plan.currency)}, in advance."
    elif not plan.charges:
        yield "Free."
    for charge in plan.charges:
        yield f"{charge.name}: {charge_words(charge, plan.currency)}."
        yield from _conventions(measure_conventions(charge.measure))


def _conventions(words: Sequence[str]) -> Iterator[str]:
    if words:
        yield f"({'; '.join(words)})"


def _fee(base: BaseFee, code: str) -> str:
    each = " for each" if base.per_unit else ""
    return f"{text(base.amount)} {code} {_EVERY[base.interval_months]}{each}"


def charge_words(charge: UsageCharge, code: str) -> str:
    """What a charge includes, what the rest costs, and within which bounds."""
    unit = charge.measure.unit.name
    said = []
    if charge.commitment is not None:
        each = " for each" if charge.commitment.per_unit else ""
        said.append(f"{charge.commitment.quantity} bought in advance for {text(charge.commitment.fee)} {code}{each}")
    if charge.allowance is not None:
        each = " for each" if charge.allowance.per_unit else ""
        said.append(f"{charge.allowance.quantity} included{each}")
    if charge.pool is not None:
        said.append(f"shared in pool {charge.pool}, whose price applies")
    else:
        said.append(("above it " if said else "") + price_words(charge.price, unit, code))
    said += _bounds(charge.minimum_spend, charge.maximum_spend, code)
    return "; ".join(said)


def price_words(price: PriceModel, unit: str, code: str) -> str:
    """A price model in words.

    >>> price_words(PerUnit(Fraction(1, 100)), "GB", "EUR")
    '0.01 EUR per GB'
    >>> price_words(Graduated((Tier(Fraction(100), Fraction(0)), Tier(None, Fraction(1, 50)))), "GB", "EUR")
    'each part at its own price: the first 100 GB free, the rest 0.02 EUR per GB'
    >>> price_words(Package(Fraction(5), Fraction(100)), "GB", "EUR")
    '5 EUR for every 100 GB begun'
    """
    match price:
        case PerUnit():
            return f"{text(price.unit_price)} {code} per {unit}" if price.unit_price else "free"
        case Graduated():
            return "each part at its own price: " + _tiers(price.tiers, unit, code)
        case Volume():
            return "all of it at the price of the tier it reaches: " + _tiers(price.tiers, unit, code)
        case Package():
            free = f"the first {text(price.free_units)} {unit} free, then " if price.free_units else ""
            return f"{free}{text(price.amount)} {code} for every {text(price.size)} {unit} begun"
        case TieredBlocks():
            how = "each at its own price" if price.mode is BlockMode.ALL_TIERS else "all at the price of the last"
            return f"in blocks, {how}: " + ", then ".join(_block(tier, unit, code) for tier in price.tiers)
        case Capacity():
            return "by the highest that is reached: " + ", ".join(
                f"{text(tier.price)} {code} "
                + (f"up to {' and '.join(_limit(n, v, unit) for n, v in tier.limits)}" if tier.limits else "above")
                for tier in price.tiers
            )
        case Percentage():
            return _percentage(price, code)
        case GraduatedPercentage():
            return "each part at its own rate: " + _percent_tiers(price.tiers, code)
        case Dynamic():
            return "each event at the amount it brings"


def _tiers(tiers: Sequence[Tier], unit: str, code: str) -> str:
    said, below = [], Fraction(0)
    for tier in tiers:
        cost = [f"{text(tier.unit_price)} {code} per {unit}"] if tier.unit_price else []
        cost += [f"{text(tier.flat)} {code} at once"] if tier.flat else []
        said.append(f"{_span(below, tier.up_to, unit)} {' and '.join(cost) or 'free'}")
        below = tier.up_to or below
    return ", ".join(said)


def _percent_tiers(tiers: Sequence[PercentTier], code: str) -> str:
    said, below = [], Fraction(0)
    for tier in tiers:
        cost = [f"{text(tier.rate)} %"] if tier.rate else []
        cost += [f"{text(tier.flat)} {code} at once"] if tier.flat else []
        said.append(f"{_span(below, tier.up_to, code)} {' and '.join(cost) or 'free'}")
        below = tier.up_to or below
    return ", ".join(said)


def _span(below: Fraction, up_to: Fraction | None, unit: str) -> str:
    if up_to is None:
        return "the rest" if below else "all of it"
    return f"from {text(below)} to {text(up_to)} {unit}" if below else f"the first {text(up_to)} {unit}"


def _block(tier: BlockTier, unit: str, code: str) -> str:
    most = f", at most {tier.max_blocks} of them" if tier.max_blocks is not None else ""
    return f"{text(tier.price)} {code} for every {text(tier.size)} {unit} begun{most}"


def _limit(name: str, value: Fraction, unit: str) -> str:
    return f"{text(value)} {name or unit}"


def _percentage(price: Percentage, code: str) -> str:
    said = f"{text(price.rate)} % of each amount"
    if price.fixed:
        said += f" and {text(price.fixed)} {code} an event"
    free = [f"the first {price.free_events} events"] if price.free_events is not None else []
    free += [f"the first {text(price.free_amount)} {code}"] if price.free_amount is not None else []
    if free:
        said += f", {' or '.join(free)} free"
    if price.event_minimum is not None:
        said += f", at least {text(price.event_minimum)} {code} an event"
    if price.event_maximum is not None:
        said += f", at most {text(price.event_maximum)} {code} an event"
    return said


def _bounds(minimum: Fraction | None, maximum: Fraction | None, code: str) -> list[str]:
    said = [f"at least {text(minimum)} {code} a period"] if minimum else []
    said += [f"at most {text(maximum)} {code} a period"] if maximum is not None else []
    return said
