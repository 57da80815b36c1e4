"""One usage charge over one period: rounded figure, allowance or commitment, overage, price, spend bounds, lines."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol
from zoneinfo import ZoneInfo

from coulance_core.catalog.terms import (
    Allowance,
    Capacity,
    Commitment,
    Dynamic,
    Edges,
    Graduated,
    GraduatedPercentage,
    Measure,
    Package,
    Percentage,
    PerUnit,
    PlanVersion,
    PriceModel,
    Proration,
    TieredBlocks,
    UsageCharge,
    Volume,
    ZeroUsageFlat,
    accumulates,
)
from coulance_core.kernel import Explanation, Money, Period, Quantity, Rounding, round_to
from coulance_core.rating.bounds import discount, true_up
from coulance_core.rating.conventions import measure_conventions, measure_words
from coulance_core.rating.lines import LineKind, PricedLine, rounded
from coulance_core.rating.models import Use, price
from coulance_core.rating.proration import IN_WORDS, WHOLE, accrued_share, share
from coulance_core.rating.sheet import Sheet, text

ZERO = Fraction(0)


class Figure(Protocol):
    """A measured figure: its value in the measure's unit, and how it came about."""

    @property
    def quantity(self) -> Fraction: ...
    @property
    def explanation(self) -> Explanation | None: ...


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure with what some price models need beside the quantity (events, amounts brought along)."""

    quantity: Fraction
    explanation: Explanation | None = None
    use: Use | None = None


@dataclass(frozen=True, slots=True)
class Allowed:
    """How much of an overage may be charged, and why no more: what consent, warning and limit came to."""

    quantity: Fraction
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True)
class RatedCharge:
    """What one charge comes to: lines (none when nothing is due), and the figures the usage statement shows.

    All in the measure's unit; `used` after its rounding, `included` the allowance or commitment that holds for the
    active part, `overage` all that lies above it, and `charged` how much of that is priced (all of it, unless less was
    allowed). `explanation` is there also when there is no line. `net` is the sum of the lines.
    """

    charge: str
    lines: tuple[PricedLine, ...]
    used: Fraction
    included: Fraction
    overage: Fraction
    unit: str
    explanation: Explanation
    charged: Fraction | None = None

    @property
    def absorbed(self) -> Fraction:
        """Overage that is not charged."""
        return ZERO if self.charged is None else self.overage - self.charged

    def net(self, currency: str) -> Money:
        """The sum of its lines."""
        return Money(sum(line.net.minor for line in self.lines), currency)


class Rater:
    """A charge of a plan version, made ready to rate many services: what holds for all of them is looked up once."""

    __slots__ = (
        "_conventions",
        "_included",
        "_included_text",
        "_level",
        "_per_unit",
        "_source",
        "_words",
        "charge",
        "rounding",
        "version",
        "zone",
    )

    def __init__(self, version: PlanVersion, charge: UsageCharge, rounding: Rounding, zone: ZoneInfo) -> None:
        self.version, self.charge, self.rounding, self.zone = version, charge, rounding, zone
        measure = charge.measure
        part: Allowance | Commitment | None = charge.allowance or charge.commitment
        self._included = ZERO if part is None else part.quantity.to(measure.unit).value
        self._included_text = text(self._included)
        self._per_unit = part is not None and part.per_unit
        self._level = not accumulates(measure)
        self._source = measure_words(measure)
        self._conventions = (*measure_conventions(measure), *price_conventions(charge.price))
        self._words = charge.name
        if part is not None:
            word = "the commitment of" if charge.commitment else "the included"
            self._words = f"{charge.name}, above {word} {part.quantity}"

    def rate(
        self,
        used: Figure | Fraction,
        *,
        period: Period,
        active: Period | None = None,
        units: int = 1,
        service: str = "",
        allowed: Allowed | None = None,
    ) -> RatedCharge:
        """The charge of one service over a period, of which it ran `active` (all of it when none).

        With `allowed`, no more overage than that is priced; what lies beyond is absorbed.
        """
        charge, measure = self.charge, self.charge.measure
        sheet = Sheet()
        sheet.conventions.extend(self._conventions)
        active = period if active is None else active
        unit, code = measure.unit.name, self.version.currency
        use: Use | None = None
        if isinstance(used, Fraction):
            quantity = used
        else:
            quantity = used.quantity
            if used.explanation is not None:
                sheet.children.append(used.explanation)
            if isinstance(used, Measured):
                use = used.use
        quantity = _stated_use(sheet, quantity, measure, self._source)
        included = self._stated_included(sheet, active, period, units)
        over = sheet.step("above", "subtract", ("used", "included"), quantity - included, unit)
        overage = sheet.step("overage", "max", ("above", "0"), over if over > 0 else ZERO, unit)
        charged, priced = overage, "overage"
        if allowed is not None and charge.pool is None:
            charged, priced = stated_allowed(sheet, overage, allowed, unit), "charged"
        nothing = not charged and (charge.minimum_spend is None) and not _costs_at_zero(charge.price)
        if nothing or charge.pool is not None:
            if charge.pool is not None:
                sheet.notes.append(f"what is used and included counts in the pool {charge.pool}")
            explanation = sheet.freeze("rating.included", self.version.version)
            return RatedCharge(charge.key, (), quantity, included, overage, unit, explanation, charged)
        if charged != overage:
            use = None
        amount = self._stated_amount(sheet, charged, use, active, period, priced)
        net = rounded(sheet, amount, code, self.rounding)
        explanation = sheet.freeze(f"rating.{_RULE[type(charge.price)]}", self.version.version)
        lines = []
        if amount:
            flat = charge.price.unit_price if isinstance(charge.price, PerUnit) else None
            if flat is not None and self._level and active != period:
                flat = None  # the printed price is for the whole period: it would not multiply out
            lines.append(
                self._line(
                    LineKind.OVERAGE, self._words, active, service, charged, unit, flat, amount, net, explanation
                )
            )
        lines.extend(self._bounds(net, active, period, service))
        return RatedCharge(charge.key, tuple(lines), quantity, included, overage, unit, explanation, charged)

    def included(self, active: Period, period: Period, units: int) -> Fraction:
        """The allowance or commitment that holds, in the measure's unit."""
        return self._stated_included(Sheet(), active, period, units)

    def _stated_included(self, sheet: Sheet, active: Period, period: Period, units: int) -> Fraction:
        part = self.charge.allowance or self.charge.commitment
        unit = self.charge.measure.unit.name
        if part is None:
            return sheet.fact("included", ZERO, unit)
        ratio, words = self._included_share(part, active, period)
        source = "commitment" if self.charge.commitment else "allowance"
        if ratio == WHOLE and not (self._per_unit and units != 1):
            return sheet.fact("included", self._included, unit, source)
        sheet.fact("included a period", self._included, unit, source)
        operands, value = ["included a period"], self._included
        if self._per_unit and units != 1:
            operands.append("units")
            value *= sheet.fact("units", Fraction(units))
        if ratio != WHOLE:
            operands.append("share of the period")
            value *= sheet.fact("share of the period", ratio, source=words)
            sheet.conventions.append(words)
        return sheet.step("included", "multiply", tuple(operands), value, unit)

    def _included_share(self, part: Allowance | Commitment, active: Period, period: Period) -> tuple[Fraction, str]:
        if isinstance(part, Allowance) and part.accrual_hours is not None:
            hours = part.accrual_hours
            return accrued_share(active, hours), f"the allowance accrues by the hour, to the whole after {hours} hours"
        if self._level:
            return WHOLE, ""  # a level is included whole; its price is what a part of the period lowers
        return share(active, period, part.proration, self.zone), IN_WORDS[part.proration]

    def _stated_amount(
        self, sheet: Sheet, overage: Fraction, use: Use | None, active: Period, period: Period, name: str
    ) -> Fraction:
        charge, code, unit = self.charge, self.version.currency, self.charge.measure.unit.name
        what = overage if use is None else use
        if not self._level or active == period or charge.proration is Proration.NONE:
            return price(charge.price, what, sheet, quantity_name=name, unit=unit, currency=code)
        ratio = share(active, period, charge.proration, self.zone)
        whole = price(
            charge.price, what, sheet, quantity_name=name, result="for the whole period", unit=unit, currency=code
        )
        sheet.fact("share of the period", ratio, source=IN_WORDS[charge.proration])
        sheet.conventions.append(IN_WORDS[charge.proration])
        return sheet.step("amount", "multiply", ("for the whole period", "share of the period"), whole * ratio, code)

    def _bounds(self, spent: Money, active: Period, period: Period, service: str) -> list[PricedLine]:
        charge = self.charge
        return bound_lines(
            charge.minimum_spend,
            charge.maximum_spend,
            spent,
            share(active, period, charge.proration, self.zone),
            charge.proration,
            rounding=self.rounding,
            key=charge.key,
            name=charge.name,
            service=service,
            period=active,
            tax_class=self.version.tax_class_of(charge),
            terms=self.version.version,
        )

    def _line(
        self,
        kind: LineKind,
        words: str,
        period: Period,
        service: str,
        quantity: Fraction,
        unit: str,
        unit_price: Fraction | None,
        amount: Fraction,
        net: Money,
        explanation: Explanation,
    ) -> PricedLine:
        return PricedLine(
            kind,
            self.charge.key,
            service,
            words,
            period,
            quantity,
            unit,
            unit_price,
            amount,
            net,
            self.version.tax_class_of(self.charge),
            self.version.version,
            explanation,
        )


def bound_lines(
    minimum: Fraction | None,
    maximum: Fraction | None,
    spent: Money,
    ratio: Fraction,
    proration: Proration,
    *,
    rounding: Rounding,
    key: str,
    name: str,
    service: str,
    period: Period,
    tax_class: str,
    terms: str,
    pool: str | None = None,
) -> list[PricedLine]:
    """The true-up to a minimum spend and the discount to a maximum, against the money that was `spent`.

    The bound is prorated and rounded to money first, so that line and bound come out at it to the cent.
    """
    lines: list[PricedLine] = []
    for bound, kind, word in ((minimum, LineKind.MINIMUM, "minimum"), (maximum, LineKind.MAXIMUM_DISCOUNT, "maximum")):
        if bound is None:
            continue
        sheet, code = Sheet(), spent.currency
        sheet.fact("spent", spent.amount, code, "the period's usage")
        sheet.fact(f"{word} a period", bound, code)
        operands: tuple[str, ...] = (f"{word} a period",)
        if ratio != WHOLE:
            sheet.fact("share of the period", ratio, source=IN_WORDS[proration])
            sheet.conventions.append(IN_WORDS[proration])
            operands = (*operands, "share of the period")
        sheet.step(f"{word} exact", "multiply", operands, bound * ratio, code)
        held = rounded(sheet, bound * ratio, code, rounding, of=f"{word} exact", name=word)
        sheet.step("difference", "subtract", (word, "spent"), held.amount - spent.amount, code)
        if kind is LineKind.MINIMUM:
            amount, op, words = true_up(held.amount, spent.amount), "max", f"{name}, up to the minimum spend"
        else:
            amount, op, words = discount(held.amount, spent.amount), "min", f"{name}, discount to the maximum spend"
        if not amount:
            continue
        sheet.step("amount", op, ("difference", "0"), amount, code)
        net = rounded(sheet, amount, code, rounding)
        explanation = sheet.freeze(f"rating.{kind.value}", terms)
        lines.append(
            PricedLine(
                kind, key, service, words, period, WHOLE, "1", amount, amount, net, tax_class, terms, explanation, pool
            )
        )
        spent = spent + net
    return lines


_RULE: dict[type, str] = {
    PerUnit: "per_unit",
    Graduated: "graduated",
    Volume: "volume",
    Package: "package",
    Percentage: "percentage",
    GraduatedPercentage: "graduated_percentage",
    TieredBlocks: "tiered_blocks",
    Capacity: "capacity",
    Dynamic: "dynamic",
}


def rule_of(model: PriceModel) -> str:
    """A price model's name, as explanations carry it: `rating.graduated`."""
    return f"rating.{_RULE[type(model)]}"


def price_conventions(model: PriceModel) -> tuple[str, ...]:
    """The conventions of a price model that someone could have expected otherwise."""
    if not isinstance(model, Graduated | Volume | GraduatedPercentage):
        return ()
    words = []
    if model.edges is Edges.WHOLE_UNITS:
        words.append("a unit begun after a tier's end stays in that tier until it is full")
    if any(tier.flat for tier in model.tiers[:1]):
        due = "due" if model.zero_usage_flat is ZeroUsageFlat.CHARGE else "not due"
        words.append(f"the first tier's flat amount is {due} when nothing was used")
    return tuple(words)


def _costs_at_zero(model: PriceModel) -> bool:
    if isinstance(model, Graduated | Volume | GraduatedPercentage):
        return model.zero_usage_flat is ZeroUsageFlat.CHARGE and bool(model.tiers[0].flat)
    return isinstance(model, Capacity) and bool(model.tiers[0].price)


def stated_allowed(sheet: Sheet, overage: Fraction, allowed: Allowed, unit: str) -> Fraction:
    """State how much of the overage may be charged, as `charged`."""
    if allowed.explanation is not None:
        sheet.children.append(allowed.explanation)
    sheet.fact("allowed", allowed.quantity, unit, "consent, warning and limit")
    return sheet.step("charged", "min", ("overage", "allowed"), min(overage, allowed.quantity), unit)


def _stated_use(sheet: Sheet, quantity: Fraction, measure: Measure, source: str) -> Fraction:
    """State the figure as `used`, rounded to its step when the measure has one."""
    unit, size = measure.unit.name, measure.round_step
    if size is None or not quantity % size:
        return sheet.fact("used", quantity, unit, source)
    sheet.fact("measured", quantity, unit, source)
    steps = sheet.step("steps exact", "divide", ("measured", text(size)), quantity / size)
    whole = round_to(steps, 0, measure.round_rule)
    sheet.step("steps", "round", ("steps exact", "0", measure.round_rule.value), whole)
    return sheet.step("used", "multiply", ("steps", text(size)), whole * size, unit)


_RATERS: dict[tuple[int, int, Rounding, str], Rater] = {}


def rater(version: PlanVersion, charge: UsageCharge, rounding: Rounding, zone: ZoneInfo) -> Rater:
    """The `Rater` of a charge, remembered by the identity of its terms."""
    key = (id(version), id(charge), rounding, zone.key)
    found = _RATERS.get(key)
    if found is None or found.version is not version or found.charge is not charge:
        if len(_RATERS) > 4096:
            _RATERS.clear()
        found = _RATERS[key] = Rater(version, charge, rounding, zone)
    return found


def rate_charge(
    charge: UsageCharge,
    used: Figure | Fraction,
    *,
    period: Period,
    version: PlanVersion,
    zone: ZoneInfo,
    rounding: Rounding = Rounding.HALF_UP,
    active: Period | None = None,
    units: int = 1,
    service: str = "",
    allowed: Allowed | None = None,
) -> RatedCharge:
    """Rate one charge of one service over a period.

    `used` is a figure (or an exact quantity) in the measure's unit; `active` the part of the period that the service
    ran on these terms; `units` the subscription's quantity. A plan change in mid-period is two calls, each with its
    part as `active` and its own figure (see `segments`). `allowed` bounds what is charged of the overage; a pooled
    charge is bounded by its pool instead.
    """
    return rater(version, charge, rounding, zone).rate(
        used, period=period, active=active, units=units, service=service, allowed=allowed
    )


def included_quantity(charge: UsageCharge) -> Quantity | None:
    """What a charge includes for a whole period and one unit, as the contract states it."""
    part = charge.allowance or charge.commitment
    return None if part is None else part.quantity
