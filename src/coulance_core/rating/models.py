"""Each price model's arithmetic, exact, written down as it is done.

`price` gives the amount in major units of a use; with a `Sheet` it also states every step, under the name `amount`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate
from math import ceil, floor

from coulance_core.catalog.terms import (
    Beyond,
    BlockMode,
    Capacity,
    Dynamic,
    Edges,
    Graduated,
    GraduatedPercentage,
    Package,
    Percentage,
    PerUnit,
    PriceModel,
    Tier,
    TieredBlocks,
    Volume,
    ZeroUsageFlat,
)
from coulance_core.rating.sheet import Sheet, text

ZERO = Fraction(0)
HUNDREDTH = Fraction(1, 100)


class RatingError(ValueError):
    """A use that the price model cannot price, such as a percentage with bounds per event and no events."""


@dataclass(frozen=True, slots=True)
class Use:
    """What is priced. Most models need the quantity alone; some ask for more, and say so when it is missing.

    `tier_by`: the whole units that choose a volume tier, when the quantity is prorated. `events`: amounts of the
    single events, in order; or `event_count` with the `running_totals` after the first of them. `peaks` by name for a
    capacity; `brought` is the sum of the amounts that events brought along (dynamic).
    """

    quantity: Fraction
    tier_by: Fraction | None = None
    events: Sequence[Fraction] | None = None
    event_count: int | None = None
    running_totals: Sequence[Fraction] = ()
    peaks: Mapping[str, Fraction] = field(default_factory=dict)
    brought: Fraction | None = None


def price(
    model: PriceModel,
    use: Use | Fraction,
    sheet: Sheet | None = None,
    *,
    quantity_name: str = "quantity",
    result: str = "amount",
    unit: str = "",
    currency: str = "",
) -> Fraction:
    """The exact amount for a use. A negative quantity costs nothing.

    On a `sheet`, the quantity must have been stated under `quantity_name`; the amount is stated as `result`.

    >>> str(price(Package(Fraction(100), Fraction(10), Fraction(10)), Fraction(121)))
    '1200'
    """
    if isinstance(use, Fraction):
        use = Use(use)
    paper = _Paper(sheet if sheet is not None else Sheet(), quantity_name, result, unit, currency)
    match model:
        case PerUnit():
            return _per_unit(model, use, paper)
        case Graduated():
            return _graduated(model, use, paper)
        case Volume():
            return _volume(model, use, paper)
        case Package():
            return _package(model, use, paper)
        case TieredBlocks():
            return _blocks(model, use, paper)
        case GraduatedPercentage():
            return _graduated_percentage(model, use, paper)
        case Percentage():
            return _percentage(model, use, paper)
        case Capacity():
            return _capacity(model, use, paper)
        case Dynamic():
            return _dynamic(use, paper)


class _Paper:
    """Where a model writes: a sheet, what the quantity and the result are called on it, and their units."""

    __slots__ = ("currency", "fact", "name", "notes", "per", "result", "step", "unit")

    def __init__(self, sheet: Sheet, name: str, result: str, unit: str, currency: str) -> None:
        self.fact, self.step, self.notes = sheet.fact, sheet.step, sheet.notes
        self.name, self.result, self.unit, self.currency = name, result, unit, currency
        self.per = f"{currency}/{unit}" if unit else currency


def _per_unit(model: PerUnit, use: Use, paper: _Paper) -> Fraction:
    if use.quantity <= 0:
        return _nothing(paper)
    paper.fact("unit price", model.unit_price, paper.per)
    return paper.step(
        paper.result, "multiply", (paper.name, "unit price"), use.quantity * model.unit_price, paper.currency
    )


def _nothing(paper: _Paper) -> Fraction:
    return paper.step(paper.result, "add", ("0",), ZERO, paper.currency)


def _zero_flat(policy: ZeroUsageFlat, flat: Fraction, quantity: Fraction, paper: _Paper) -> Fraction:
    if quantity == 0 and policy is ZeroUsageFlat.CHARGE and flat:
        paper.notes.append("the first tier's flat amount is due at no use")
        return paper.step(paper.result, "add", (text(flat),), flat, paper.currency)
    return _nothing(paper)


def _graduated(model: Graduated, use: Use, paper: _Paper) -> Fraction:
    tiers = [(tier.up_to, tier.unit_price, tier.flat) for tier in model.tiers]
    return _by_parts(tiers, model.edges, model.zero_usage_flat, use.quantity, paper, percent=False)


def _graduated_percentage(model: GraduatedPercentage, use: Use, paper: _Paper) -> Fraction:
    tiers = [(tier.up_to, tier.rate, tier.flat) for tier in model.tiers]
    return _by_parts(tiers, model.edges, model.zero_usage_flat, use.quantity, paper, percent=True)


def _by_parts(
    tiers: list[tuple[Fraction | None, Fraction, Fraction]],
    edges: Edges,
    zero: ZeroUsageFlat,
    quantity: Fraction,
    paper: _Paper,
    *,
    percent: bool,
) -> Fraction:
    if quantity <= 0:
        return _zero_flat(zero, tiers[0][2], quantity, paper)
    reach = quantity if edges is Edges.CONTINUOUS else Fraction(floor(quantity))
    step, currency = paper.step, paper.currency
    below, total = ZERO, ZERO
    terms: list[str] = []
    for i, (up_to, unit_price, flat) in enumerate(tiers, 1):
        last = up_to is None or reach <= up_to
        name = f"tier {i} part"
        if up_to is None or last:
            part = step(name, "subtract", (paper.name, text(below)), quantity - below, paper.unit)
        else:
            part = step(name, "subtract", (text(up_to), text(below)), up_to - below, paper.unit)
        if percent:
            cost = part * unit_price * HUNDREDTH
            step(f"tier {i}", "multiply", (name, text(unit_price), "0.01"), cost, currency)
        else:
            cost = step(f"tier {i}", "multiply", (name, text(unit_price)), part * unit_price, currency)
        total += cost + flat
        terms.append(f"tier {i}")
        if flat:
            step(f"tier {i} flat", "add", (text(flat),), flat, currency)
            terms.append(f"tier {i} flat")
        if up_to is None or last:
            break
        below = up_to
    return step(paper.result, "add", tuple(terms), total, currency)


def _tier_of(tiers: Sequence[Tier], edges: Edges, quantity: Fraction) -> int:
    reach = quantity if edges is Edges.CONTINUOUS else Fraction(floor(quantity))
    for i, tier in enumerate(tiers):
        if tier.up_to is None or reach <= tier.up_to:
            return i
    raise AssertionError("the last tier is open")


def _volume(model: Volume, use: Use, paper: _Paper) -> Fraction:
    chooser = use.quantity if use.tier_by is None else use.tier_by
    if chooser <= 0:
        return _zero_flat(model.zero_usage_flat, model.tiers[0].flat, chooser, paper)
    i = _tier_of(model.tiers, model.edges, chooser)
    tier = model.tiers[i]
    end = "without end" if tier.up_to is None else f"up to {text(tier.up_to)}"
    paper.notes.append(f"tier {i + 1} ({end}) prices all of it")
    paper.fact("unit price", tier.unit_price, paper.per)
    cost = use.quantity * tier.unit_price
    if not tier.flat:
        return paper.step(paper.result, "multiply", (paper.name, "unit price"), cost, paper.currency)
    paper.step("units", "multiply", (paper.name, "unit price"), cost, paper.currency)
    return paper.step(paper.result, "add", ("units", text(tier.flat)), cost + tier.flat, paper.currency)


def _package(model: Package, use: Use, paper: _Paper) -> Fraction:
    name, quantity = paper.name, use.quantity
    if model.free_units:
        left = paper.step("left", "subtract", (name, text(model.free_units)), quantity - model.free_units, paper.unit)
        name, quantity = "beyond free", paper.step("beyond free", "max", ("left", "0"), max(left, ZERO), paper.unit)
    if quantity <= 0:
        return _nothing(paper)
    packages = Fraction(ceil(quantity / model.size))
    paper.step("packages", "ceil_divide", (name, text(model.size)), packages)
    return paper.step(
        paper.result, "multiply", ("packages", text(model.amount)), packages * model.amount, paper.currency
    )


def _blocks(model: TieredBlocks, use: Use, paper: _Paper) -> Fraction:
    if use.quantity <= 0:
        return _nothing(paper)
    left, name, total = use.quantity, paper.name, ZERO
    terms: list[str] = []
    end = len(model.tiers)
    for i, tier in enumerate(model.tiers, 1):
        needed = ceil(left / tier.size)
        goes_on = i == end and (model.beyond is Beyond.LAST_TIER or model.mode is BlockMode.TOP_TIER)
        if tier.max_blocks is None or needed <= tier.max_blocks or goes_on:
            if model.mode is BlockMode.TOP_TIER:
                return _top_blocks(i, tier.size, tier.price, use.quantity, paper)
            blocks, name_of_blocks = Fraction(needed), f"tier {i} blocks"
            paper.step(name_of_blocks, "ceil_divide", (name, text(tier.size)), blocks)
            left = ZERO
        else:
            blocks, name_of_blocks = Fraction(tier.max_blocks), text(Fraction(tier.max_blocks))
            covered = blocks * tier.size
            left -= covered
            if i < end:
                paper.step(f"after tier {i}", "subtract", (name, text(covered)), left, paper.unit)
            name = f"after tier {i}"
        cost = blocks * tier.price
        paper.step(f"tier {i}", "multiply", (name_of_blocks, text(tier.price)), cost, paper.currency)
        terms.append(f"tier {i}")
        total += cost
        if not left:
            break
    if left:
        paper.notes.append(f"{text(left)} {paper.unit} beyond the last tier are not billed".replace("  ", " "))
    return paper.step(paper.result, "add", tuple(terms), total, paper.currency)


def _top_blocks(number: int, size: Fraction, each: Fraction, quantity: Fraction, paper: _Paper) -> Fraction:
    blocks = Fraction(ceil(quantity / size))
    paper.notes.append(f"tier {number} prices all of it")
    paper.step("blocks", "ceil_divide", (paper.name, text(size)), blocks)
    return paper.step(paper.result, "multiply", ("blocks", text(each)), blocks * each, paper.currency)


def _percentage(model: Percentage, use: Use, paper: _Paper) -> Fraction:
    if use.quantity <= 0:
        return _nothing(paper)
    if model.event_minimum is not None or model.event_maximum is not None:
        return _percentage_per_event(model, use, paper)
    count, totals = use.event_count, use.running_totals
    if count is None and use.events is None and model.free_events:
        raise RatingError("a percentage with free events needs the number of events")
    if use.events is not None:
        count, totals = len(use.events), tuple(accumulate(use.events))
    free, free_events = _free_part(model, use.quantity, count or 0, totals)
    name, paid = paper.name, use.quantity
    if free:
        paper.fact("free", free, paper.unit)
        paid = paper.step("paid", "subtract", (name, "free"), paid - free, paper.unit)
        name = "paid"
    share = paid * model.rate * HUNDREDTH
    if not model.fixed:
        return paper.step(paper.result, "multiply", (name, text(model.rate), "0.01"), share, paper.currency)
    if count is None:
        raise RatingError("a percentage with a fixed part per event needs the number of events")
    paper.step("share", "multiply", (name, text(model.rate), "0.01"), share, paper.currency)
    paper.fact("events", Fraction(count))
    events = Fraction(count - free_events)
    paper.step("paid events", "subtract", ("events", text(Fraction(free_events))), events)
    fixed = paper.step("fixed", "multiply", ("paid events", text(model.fixed)), events * model.fixed, paper.currency)
    return paper.step(paper.result, "add", ("share", "fixed"), share + fixed, paper.currency)


def _free_part(model: Percentage, quantity: Fraction, count: int, totals: Sequence[Fraction]) -> tuple[Fraction, int]:
    """The amount and the number of events that are free: up to the first of the two bounds that is used up.

    `totals` are the running totals after the first events. A free amount of 0 is none.
    """
    bound, first = model.free_amount or None, model.free_events
    if first is None and bound is None:
        return ZERO, 0
    if first is not None and not first:
        return ZERO, 0
    within = totals if first is None else totals[:first]
    events = sum(bound is None or total <= bound for total in within)
    if first is None:
        free = quantity if bound is None else min(bound, quantity)
        return (free, count) if free == quantity else (free, min(events, count))
    if count <= first:  # every event is among the free ones
        free = quantity if bound is None else min(bound, quantity)
        return (free, count) if free == quantity else (free, min(events, count))
    if len(totals) < first:
        raise RatingError(f"{first} events are free: the running totals of that many are needed, not {len(totals)}")
    reached = totals[first - 1]
    return (reached if bound is None else min(bound, reached)), events


def _percentage_per_event(model: Percentage, use: Use, paper: _Paper) -> Fraction:
    if use.events is None:
        raise RatingError("a percentage with a minimum or maximum per event needs the amount of each event")
    bound = model.free_amount or None
    left = bound if bound is not None else ZERO
    total, terms = ZERO, []
    for i, amount in enumerate(use.events):
        among_first = model.free_events is None or i < model.free_events
        if among_first and (bound is not None or model.free_events is not None):
            free = amount if bound is None else min(amount, left)
            left -= free if bound is not None else ZERO
            if free >= amount:
                continue
        else:
            free = ZERO
        name = f"event {i + 1}"
        cost = (amount - free) * model.rate * HUNDREDTH + model.fixed
        paper.fact(name, amount, paper.unit)
        paper.step(f"{name} paid", "subtract", (name, text(free)), amount - free, paper.unit)
        paper.step(f"{name} share", "multiply", (f"{name} paid", text(model.rate), "0.01"), cost - model.fixed)
        paper.step(f"{name} fee", "add", (f"{name} share", text(model.fixed)), cost, paper.currency)
        label = f"{name} fee"
        if model.event_minimum is not None and cost < model.event_minimum:
            cost = paper.step(f"{name} at least", "max", (label, text(model.event_minimum)), model.event_minimum)
            label = f"{name} at least"
        if model.event_maximum is not None and cost > model.event_maximum:
            cost = paper.step(f"{name} at most", "min", (label, text(model.event_maximum)), model.event_maximum)
            label = f"{name} at most"
        total += cost
        terms.append(label)
    if not terms:
        return _nothing(paper)
    return paper.step(paper.result, "add", tuple(terms), total, paper.currency)


def _capacity(model: Capacity, use: Use, paper: _Paper) -> Fraction:
    peaks = use.peaks or {"": use.quantity}
    for i, tier in enumerate(model.tiers, 1):
        if all(peaks.get(name, ZERO) <= limit for name, limit in tier.limits):
            for name, peak in peaks.items():
                if name:
                    paper.fact(f"peak {name}", peak)
            limits = ", ".join(f"{name} {text(limit)}".strip() for name, limit in tier.limits)
            paper.notes.append(f"tier {i} is the lowest that every peak fits in ({limits or 'without end'})")
            return paper.step(paper.result, "add", (text(tier.price),), tier.price, paper.currency)
    raise AssertionError("the last tier is open")


def _dynamic(use: Use, paper: _Paper) -> Fraction:
    if use.quantity <= 0:
        return _nothing(paper)
    if use.brought is None:
        raise RatingError("a dynamic price needs the amounts that the events brought along")
    paper.fact("brought by events", use.brought, paper.currency)
    return paper.step(paper.result, "add", ("brought by events",), use.brought, paper.currency)


def price_changes(model: Graduated, changes: Sequence[tuple[Fraction, Fraction]]) -> Fraction:
    """The price of units that come and go within a period, each change prorated for the time that it is there.

    A change is (units, the same prorated): `(5, Fraction(5, 2))` came half-way. Its units fall in the tiers between
    the running total before it and after it, each at that tier's price times the change's share; going down, they
    leave the tiers they were in. A tier's flat amount is due, whole, once the running total has entered it. Never
    less than nothing; with no change at all, the first tier's flat amount by `zero_usage_flat`.

    >>> tiers = Graduated((Tier(Fraction(5), Fraction(10), Fraction(100)), Tier(None, Fraction(5), Fraction(50))))
    >>> str(price_changes(tiers, [(Fraction(4), Fraction(28, 10)), (Fraction(2), Fraction(1))]))
    '371/2'
    """
    if not changes:
        return price(model, ZERO)
    level, highest, total = ZERO, ZERO, ZERO
    for units, prorated in changes:
        after = level + units
        if units:
            total += _between(model.tiers, level, after) * prorated / units
        level, highest = after, max(highest, after)
    below = ZERO
    for i, tier in enumerate(model.tiers):
        if i and highest <= below:
            break
        total += tier.flat
        below = tier.up_to if tier.up_to is not None else below
    return max(total, ZERO)


def _between(tiers: Sequence[Tier], start: Fraction, end: Fraction) -> Fraction:
    """The price of the units between two totals; negative when `end` is below. Below 0 the first tier goes on."""
    low, high = min(start, end), max(start, end)
    total, below = ZERO, None
    for tier in tiers:
        a = low if below is None else max(low, below)
        b = high if tier.up_to is None else min(high, tier.up_to)
        if b > a:
            total += (b - a) * tier.unit_price
        below = tier.up_to
    return total if end >= start else -total
