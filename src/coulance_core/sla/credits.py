"""What is owed for downtime that counts: the models of the terms, together, capped, rounded once, explained."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from coulance_core.kernel import Explanation, Money, currency
from coulance_core.kernel.explanation import ExplanationBuilder
from coulance_core.sla.downtime import Downtime, Facts, Piece, downtime
from coulance_core.sla.intervals import micros
from coulance_core.sla.terms import (
    ErrorTiers,
    FreeSlots,
    Model,
    Multiple,
    Started,
    Steps,
    Tiers,
    Together,
    UptimeTerms,
    YearOf,
)

ZERO = Fraction(0)
_DAY = 86_400 * 1_000_000


@dataclass(frozen=True, slots=True)
class Charges:
    """What a service cost: the period's fee; what the 30 days up to its outages cost; the dearest month's fee of the
    twelve that end with the period; all their fees; what was credited in the eleven before.

    `before`, `month` and `year` default to the fee. All in one currency.
    """

    fee: Money
    before: Money | None = None
    month: Money | None = None
    credited: Money | None = None
    year: Money | None = None


@dataclass(frozen=True)
class Credit:
    """What is owed for a period: rounded once, why, and what it was before the caps.

    `share` is what the models come to, of whatever fee: above zero the promise was broken, also where there is no fee.
    """

    amount: Money
    uncapped: Fraction
    downtime: Downtime
    explanation: Explanation
    share: Fraction = ZERO


def credit(terms: UptimeTerms, facts: Facts, charges: Charges) -> Credit:
    """The credit for one service and period. Monotone in downtime, never above a cap, zero when the target was kept.

    The target decides whether anything is owed; then the models say how much. With a target of 100 % any downtime does.

    >>> from datetime import UTC, datetime
    >>> from coulance_core.kernel import Period
    >>> from coulance_core.sla.downtime import MINUTE, Outage
    >>> from coulance_core.sla.intervals import Spans
    >>> may = Period(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))
    >>> start = micros(may.start)
    >>> facts = Facts(may, Spans.of_periods([may]), (Outage("o1", Spans.of([(start, start + 62 * MINUTE)])),))
    >>> terms = UptimeTerms("upcloud", Fraction(100), (Multiple(Fraction(50)),), shortest=5 * MINUTE)
    >>> credit(terms, facts, Charges(Money(1000, "EUR"))).amount
    Money(minor=69, currency='EUR')
    """
    down = downtime(terms, facts)
    fee = charges.fee
    e = Explanation.build("sla.credit", terms=terms.version).child(down.explanation)
    e.fact("fee", fee.decimal(), fee.currency).fact("target", terms.target, "%")
    e.fact("availability", down.availability, "%")
    names = []
    for number, model in enumerate(terms.models, 1):
        name = f"share {number}"
        e.fact(name, _share(model, terms, down, facts, e), source=_name(model))
        names.append(name)
    e.step("together", "add" if terms.together is Together.SUM else "max", *names)
    e.step("uncapped", "multiply", "fee", "together", unit=fee.currency)
    capped = _capped(e, terms, charges)
    e.step("rounded", "round", capped, currency(fee.currency).exponent, terms.rounding.value, unit=fee.currency)
    amount = Money.of(e.number("rounded"), fee.currency)
    if terms.least is not None and terms.least.currency == amount.currency and amount < terms.least:
        e.note(f"below {terms.least}, which these terms don't pay")
        amount = Money(0, fee.currency)
    return Credit(amount, e.number("uncapped"), down, e.freeze(), e.number("together"))


def _capped(e: ExplanationBuilder, terms: UptimeTerms, charges: Charges) -> str:
    """State every cap of the terms; returns the name of what is left."""
    fee, caps, name = charges.fee, terms.caps, "uncapped"
    year = charges.month if caps.year_of is YearOf.MONTH else charges.year
    bounds = [
        ("cap of a period", caps.period, fee),
        ("cap by the 30 days before", caps.before, fee if charges.before is None else charges.before),
        ("cap of a year", caps.year, fee if year is None else year),
    ]
    for bound, part, of in bounds:
        if part is None:
            continue
        most = part * of.amount
        if bound == "cap of a year" and charges.credited is not None:
            most = max(ZERO, most - charges.credited.amount)
        e.fact(bound, most, fee.currency)
        e.step(f"within {bound}", "min", name, bound, unit=fee.currency)
        name = f"within {bound}"
    return name


def _share(
    model: Model, terms: UptimeTerms, down: Downtime, facts: Facts, e: ExplanationBuilder | None = None
) -> Fraction:
    """What a model credits, as a share of the fee, each outage capped where the terms cap one."""
    day = Fraction(_DAY, micros(facts.period.end) - micros(facts.period.start))
    if isinstance(model, ErrorTiers):
        return model.tiers.credit(_mean_success(facts, down, e))
    if down.availability >= terms.target or not down.pieces:
        return ZERO
    match model:
        case Tiers():
            return model.credit(down.availability)
        case FreeSlots():
            return _free(model, down, facts)
        case Steps() if not model.per_outage:
            return _steps(model, _beyond(terms, down, down.length), day)
    each = [_of(model, piece, down, _part(terms, down), day) for piece in down.pieces]
    cap = terms.caps.incident
    return sum((share if cap is None else min(share, cap) for share in each), ZERO)


def _part(terms: UptimeTerms, down: Downtime) -> Fraction:
    """The part of each outage that counts, where only what is past the target's allowance does."""
    if not terms.beyond_target:
        return Fraction(1)
    return _beyond(terms, down, down.length) / down.length


def _beyond(terms: UptimeTerms, down: Downtime, length: int) -> Fraction:
    allowed = terms.allowed(down.scheduled) if terms.beyond_target else ZERO
    return max(ZERO, length - allowed)


def _of(model: Steps | Multiple, piece: Piece, down: Downtime, part: Fraction, day: Fraction) -> Fraction:
    if isinstance(model, Steps):
        return _steps(model, piece.length * part, day)
    share = model.times * piece.length * part / down.scheduled
    return share * piece.affected if model.by_affected else share


def _steps(model: Steps, length: Fraction, day: Fraction) -> Fraction:
    counted = max(ZERO, length - model.grace) / model.step
    whole = -((-counted.numerator) // counted.denominator) if model.count is Started.STARTED else int(counted)
    return whole * model.credit * (day if model.in_days else 1)


def _free(model: FreeSlots, down: Downtime, facts: Facts) -> Fraction:
    """Slots of the clock (from midnight UTC on) with too much downtime, each free."""
    spans = down.spans
    first, last = int(spans.start[0]) // model.slot, -(-int(spans.end[-1]) // model.slot)
    edges = np.arange(first, last + 1) * model.slot
    within = np.diff(spans.within(edges))
    start, end = micros(facts.period.start), micros(facts.period.end)
    length = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)
    return model.times * int(length[within > model.over].sum()) / down.scheduled


def _mean_success(facts: Facts, down: Downtime, e: ExplanationBuilder | None) -> Fraction:
    """100 less the mean of the slots' error rates, in percent; a slot without requests had no errors."""
    requests, errors = facts.requests, facts.errors
    if requests is None or errors is None:
        return Fraction(100)
    if (errors > requests).any() or (errors < 0).any():
        raise ValueError("error rates: more errors than requests, or fewer than none, in some slot")
    if facts.slots is not None:
        counts = (down.promised - down.excused).covers(facts.slots)
        requests, errors = requests[counts], errors[counts]
    if not requests.size:
        return Fraction(100)
    some = requests > 0
    # Exact, and one division for each distinct number of requests, not for each slot.
    kinds, which = np.unique(requests[some], return_inverse=True)
    sums = np.zeros(kinds.size, np.int64)
    np.add.at(sums, which, errors[some])
    total = sum((Fraction(int(s), int(k)) for s, k in zip(sums, kinds, strict=True)), ZERO)
    if e is not None and not e.has("slots"):
        e.fact("slots", int(requests.size), source="of time, each with its error rate")
        e.fact("slots with errors", int((errors > 0).sum()))
        e.fact("requests", int(requests.sum())).fact("errors", int(errors.sum()))
        e.fact("error rates together", total)
        e.step("mean error rate", "divide", "error rates together", "slots")
        e.step("mean error percent", "multiply", "mean error rate", "100", unit="%")
        e.step("success", "subtract", "100", "mean error percent", unit="%")
    return 100 * (1 - total / requests.size)


def _name(model: Model) -> str:
    return {
        Tiers: "tiers of availability",
        ErrorTiers: "tiers of error rates",
        Steps: "steps of downtime",
        Multiple: "a multiple of the downtime's charge",
        FreeSlots: "free slots",
    }[type(model)]
