"""How far an amount reaches: from money to quantity and back, exactly, for every price model.

A limit of 50.00 payable allows the largest q such that price(q') stays within it for **every** q' up to q: a volume
price that gets cheaper beyond an edge does not let a customer through a stretch that costs more than they agreed to.
"""

from fractions import Fraction
from math import floor

from coulance_core.catalog.terms import (
    Beyond,
    BlockMode,
    Capacity,
    Edges,
    Graduated,
    GraduatedPercentage,
    Package,
    Percentage,
    PerUnit,
    PriceModel,
    TieredBlocks,
    Volume,
)
from coulance_core.kernel import Money, Rounding, currency, round_to
from coulance_core.overage.terms import Limit, PriceTerms
from coulance_core.rating.models import price

ZERO = Fraction(0)
HUNDREDTH = Fraction(1, 100)
_Linear = tuple[Fraction | None, Fraction, Fraction]
"""A tier: up to, price of a unit, flat amount."""


class UnableToLimitError(ValueError):
    """A price that depends on more than a quantity: a limit in money cannot be turned into one."""


def reach(model: PriceModel, budget: Fraction) -> Fraction | None:
    """The largest q such that the exact price of every q' in [0, q] is at most `budget` (major units); None: no end.

    With edges in whole units, a unit begun in the last tier that fits does not count: whole units are meant. Raises
    `UnableToLimitError` for prices by event (a fixed part or bounds per event, free events, amounts brought along).

    >>> reach(PerUnit(Fraction(1, 10)), Fraction("41.32"))
    Fraction(2066, 5)
    >>> reach(Package(Fraction(5), Fraction(100)), Fraction(12)), reach(PerUnit(ZERO), ZERO)
    (Fraction(200, 1), None)
    """
    budget = max(budget, ZERO)
    match model:
        case PerUnit():
            return None if not model.unit_price else budget / model.unit_price
        case Graduated():
            return _graduated([(t.up_to, t.unit_price, t.flat) for t in model.tiers], model.edges, budget)
        case GraduatedPercentage():
            return _graduated([(t.up_to, t.rate * HUNDREDTH, t.flat) for t in model.tiers], model.edges, budget)
        case Volume():
            return _volume([(t.up_to, t.unit_price, t.flat) for t in model.tiers], model.edges, budget)
        case Package():
            return None if not model.amount else model.free_units + floor(budget / model.amount) * model.size
        case TieredBlocks():
            return _top_blocks(model, budget) if model.mode is BlockMode.TOP_TIER else _blocks(model, budget)
        case Percentage() if not (model.fixed or model.free_events or model.event_minimum or model.event_maximum):
            free = model.free_amount or ZERO
            return None if not model.rate else free + budget / (model.rate * HUNDREDTH)
        case Capacity() if all(len(tier.limits) <= 1 for tier in model.tiers):
            return _capacity(model, budget)
    kind = type(model).__name__.lower()
    raise UnableToLimitError(f"a {kind} price depends on single events: set the limit as a quantity")


def _graduated(tiers: list[_Linear], edges: Edges, budget: Fraction) -> Fraction | None:
    below, total = ZERO, ZERO
    for up_to, unit_price, flat in tiers:
        if total + flat > budget:
            return below
        total += flat
        if unit_price:
            fits = below + (budget - total) / unit_price
            if up_to is None or fits < up_to:
                return fits
            if edges is Edges.WHOLE_UNITS and fits < up_to + 1:
                return up_to  # the unit begun after the edge is still at this tier's price, and would not be full
        if up_to is None:
            return None
        total += (up_to - below) * unit_price
        below = up_to
    raise AssertionError("the last tier is open")


def _volume(tiers: list[_Linear], edges: Edges, budget: Fraction) -> Fraction | None:
    below = ZERO
    for up_to, unit_price, flat in tiers:
        if below * unit_price + flat > budget:
            return below
        if unit_price:
            fits = (budget - flat) / unit_price
            if up_to is None or fits < up_to:
                return fits
            if edges is Edges.WHOLE_UNITS and fits < up_to + 1:
                return up_to
        if up_to is None:
            return None
        below = up_to
    raise AssertionError("the last tier is open")


def _blocks(model: TieredBlocks, budget: Fraction) -> Fraction | None:
    below, total = ZERO, ZERO
    for i, tier in enumerate(model.tiers):
        last = i == len(model.tiers) - 1
        open_end = tier.max_blocks is None or (last and model.beyond is Beyond.LAST_TIER)
        if tier.price:
            fits = floor((budget - total) / tier.price)
            if open_end or tier.max_blocks is None or fits < tier.max_blocks:
                return below + fits * tier.size
        if open_end or tier.max_blocks is None:
            return None
        below += tier.max_blocks * tier.size
        total += tier.max_blocks * tier.price
    return None  # what lies beyond the last tier is not billed


def _top_blocks(model: TieredBlocks, budget: Fraction) -> Fraction | None:
    below = ZERO
    for i, tier in enumerate(model.tiers):
        last = i == len(model.tiers) - 1 or tier.max_blocks is None
        end = None if last or tier.max_blocks is None else below + tier.max_blocks * tier.size
        if tier.price:
            if (floor(below / tier.size) + 1) * tier.price > budget:
                return below
            fits = floor(budget / tier.price) * tier.size
            if end is None or fits < end:
                return fits
        if end is None:
            return None
        below = end
    raise AssertionError("the last tier goes on")


def _capacity(model: Capacity, budget: Fraction) -> Fraction | None:
    below = ZERO
    for tier in model.tiers:
        if tier.price > budget:
            return below
        if not tier.limits:
            return None
        below = tier.limits[0][1]
    raise AssertionError("the last tier is open")


def net_budget(amount: Money, terms: PriceTerms) -> Fraction:
    """The most that overage may come to before tax, so that what is payable stays within `amount`, rounded or not.

    Both are needed: the exact price with its tax must fit, and so must the cents that an invoice states, whose net
    and tax are rounded apart and may come out a cent higher than the exact sum.

    >>> net_budget(Money.of("50.00", "EUR"), PriceTerms("v", PerUnit(Fraction(1, 10)), "EUR", Fraction(21)))
    Fraction(1033, 25)
    """
    if amount.currency != terms.currency:
        raise UnableToLimitError(f"a limit in {amount.currency} does not fit prices in {terms.currency}")
    if not terms.tax_included or not terms.tax_rate:
        return amount.amount
    digits = currency(amount.currency).exponent
    rate = terms.tax_rate * HUNDREDTH
    exact = amount.amount / (1 + rate)
    cent = Fraction(1, 10**digits)
    net = Fraction(floor(exact / cent)) * cent
    while net > 0 and net + round_to(net * rate, digits, Rounding.CEILING) > amount.amount:
        net -= cent
    return net


def payable(model: PriceModel, quantity: Fraction, terms: PriceTerms) -> Fraction:
    """The exact amount payable for a quantity past the allowance, with tax where the limit counts it."""
    net = price(model, quantity)
    if terms.maximum_spend is not None:
        net = min(net, terms.maximum_spend)
    return net * (1 + terms.tax_rate * HUNDREDTH) if terms.tax_included else net


def quantity_for(amount: Money, terms: PriceTerms, *, spent: Money | None = None) -> Fraction | None:
    """How much may be used past the allowance for an amount payable; None: as much as one likes.

    `spent` of the amount is payable for others that share the limit. This is what stands beside the amount while a
    customer types it.

    >>> quantity_for(Money.of("50.00", "EUR"), PriceTerms("v", PerUnit(Fraction(1, 10)), "EUR", Fraction(21)))
    Fraction(2066, 5)
    """
    return _fits(_budget(amount, terms, spent), terms)


def _budget(amount: Money, terms: PriceTerms, spent: Money | None) -> Fraction:
    left = amount if spent is None else amount - spent
    return net_budget(left, terms) if left.minor > 0 else ZERO


def _fits(budget: Fraction, terms: PriceTerms) -> Fraction | None:
    if terms.maximum_spend is not None and budget >= terms.maximum_spend:
        return None
    return reach(terms.price, budget)


def amount_for(quantity: Fraction, terms: PriceTerms) -> Money:
    """What a quantity past the allowance costs at most, payable, rounded up to whole cents: the other way round.

    The most, because a price may be higher on the way there than at the end.

    >>> str(amount_for(Fraction(100), PriceTerms("v", PerUnit(Fraction(1, 10)), "EUR", Fraction(21))))
    '12.10 EUR'
    """
    most = ceiling(terms.price, quantity)
    if terms.maximum_spend is not None:
        most = min(most, terms.maximum_spend)
    rate = terms.tax_rate * HUNDREDTH if terms.tax_included else ZERO
    digits = currency(terms.currency).exponent
    exact = round_to(most * (1 + rate), digits, Rounding.CEILING)
    found = Money(int(exact * 10**digits), terms.currency)
    while net_budget(found, terms) < most:  # the cents of net and tax may need one more
        found = Money(found.minor + 1, terms.currency)
    return found


def ceiling(model: PriceModel, quantity: Fraction) -> Fraction:
    """The highest price on the way from 0 to `quantity`: the price itself where it never falls.

    >>> from coulance_core.catalog.terms import Tier
    >>> cheaper = Volume((Tier(Fraction(100), Fraction(1)), Tier(None, Fraction(1, 2))))
    >>> str(price(cheaper, Fraction(101))), str(ceiling(cheaper, Fraction(101)))
    ('101/2', '100')
    """
    if isinstance(model, Volume):
        ends = [tier.up_to for tier in model.tiers if tier.up_to is not None and tier.up_to < quantity]
        return max([price(model, quantity), *[price(model, end) for end in ends]])
    if isinstance(model, TieredBlocks) and model.mode is BlockMode.TOP_TIER:
        below, ends = ZERO, []
        for tier in model.tiers:
            if tier.max_blocks is None or below + tier.max_blocks * tier.size >= quantity:
                break
            below += tier.max_blocks * tier.size
            ends.append(below)
        return max([price(model, quantity), *[price(model, end) for end in ends]])
    return price(model, quantity)


def most(
    limit: Limit, terms: PriceTerms, given_under: str, *, spent: Money | None = None, taken: Fraction = ZERO
) -> Fraction | None:
    """The quantity past the allowance that a limit allows under the terms now in force; None: without end.

    What was typed binds; once the terms are others than those it was `given_under`, the tighter of amount and quantity
    binds. `spent` is as in `quantity_for`; `taken` of the quantity is billable elsewhere already.
    """
    by_amount = limit.amount is not None and (limit.typed == "amount" or terms.version != given_under)
    by_quantity = limit.quantity is not None and (limit.typed == "quantity" or terms.version != given_under)
    found: list[Fraction] = []
    if by_amount and limit.amount is not None:
        fits = _fits(_budget(limit.amount, terms, spent), terms)
        found.extend([] if fits is None else [fits])
    if by_quantity and limit.quantity is not None:
        found.append(limit.quantity - taken)
    return min(found, default=None)
