"""Where a meter stands now: which warnings are due, and whether use must stop, by the same limits that settle it.

Everything is a position on one axis: the quantity used so far in the period. A threshold, a limit, an exposure to
acknowledge: each lies somewhere on it, so the store can arm one number a warning and compare as samples come in.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from math import ceil

from coulance_core.catalog.terms import Action, Of, Threshold
from coulance_core.kernel import Explanation, Money, Rounding, unit
from coulance_core.overage.limit import amount_for, most, reach
from coulance_core.overage.terms import Consent, PriceTerms
from coulance_core.rating.models import price

ZERO = Fraction(0)


class Stop(StrEnum):
    """Why use must stop."""

    ALLOWANCE = "allowance"
    """The allowance is used up, and nobody agreed to overage. Ends by a consent with room in it."""
    DORMANT = "dormant"
    """The allowance is used up, and no contact behind the consent is verified. Ends by a verified contact."""
    LIMIT = "limit"
    """The customer's limit is reached. Ends by a higher limit."""
    EXPOSURE = "exposure"
    """Overage has run up, and nobody has acknowledged it. Ends by an acknowledgement."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a meter and its period at an instant. Quantities in the measure's unit.

    `used` counts no attacks. `billable` is what settling up to now says. `consent` is the one in force, if any;
    `verified`, `warned`, `acknowledged` whether each holds now. Thresholds in another `unit` are turned into it.
    """

    used: Fraction
    included: Fraction
    terms: PriceTerms
    billable: Fraction = ZERO
    tolerance: Fraction = ZERO
    consent: Consent | None = None
    verified: bool = False
    warned: bool = False
    acknowledged: bool = False
    exposure: Money | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """The provider's part: what happens when use must stop, and how much earlier.

    `reserve` is what may still run through while a pause takes effect (line rate x lag); it counts only once the
    absorption budget is spent. `observe` records what would have been done, and does nothing.
    """

    action: Action = Action.PAUSE
    reserve: Fraction = ZERO
    budget_spent: bool = False
    observe: bool = False


@dataclass(frozen=True, slots=True)
class StopPoint:
    """Where on the axis of use it must stop, and why."""

    at: Fraction
    why: Stop


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done now. `act` is None while use may go on; `left` is how much until then (None: no end)."""

    act: Action | None
    point: StopPoint | None
    left: Fraction | None
    observe: bool
    explanation: Explanation


def stop_point(standing: Standing) -> StopPoint | None:
    """The position of use at which it must stop; None: nowhere. Of two at one place the limit goes before exposure.

    A consent whose warning has not arrived is our own trouble: use goes on and is absorbed, until the same distance
    past the allowance that the limit would have allowed.

    >>> from coulance_core.catalog.terms import PerUnit
    >>> prices = PriceTerms("v", PerUnit(Fraction(1, 10)), "EUR")
    >>> stop_point(Standing(Fraction(900), Fraction(1000), prices))
    StopPoint(at=Fraction(1000, 1), why=<Stop.ALLOWANCE: 'allowance'>)
    """
    top = standing.included + standing.tolerance
    consent = standing.consent
    if consent is None:
        return StopPoint(top, Stop.ALLOWANCE)
    if not standing.verified:
        return StopPoint(top, Stop.DORMANT)
    points: list[StopPoint] = []
    allowed = most(consent.limit, standing.terms, consent.terms)
    if allowed is not None:
        by_use = max(standing.used, top) + allowed - standing.billable
        points.append(StopPoint(by_use if standing.warned else top + allowed, Stop.LIMIT))
    exposed = _exposed(standing, consent)
    if exposed is not None:
        points.append(StopPoint(max(standing.included + exposed, top), Stop.EXPOSURE))
    return min(points, key=lambda point: point.at, default=None)


def _exposed(standing: Standing, consent: Consent) -> Fraction | None:
    if standing.acknowledged or standing.exposure is None:
        return None
    reached = reach(standing.terms.price, standing.exposure.amount)
    if reached is None or consent.pre_acknowledged is None:
        return reached
    beforehand = reach(standing.terms.price, consent.pre_acknowledged.amount)
    return None if beforehand is None else max(reached, beforehand)


def decide(standing: Standing, policy: Policy) -> Decision:
    """Whether use must stop now, and what is done about it.

    >>> from coulance_core.catalog.terms import PerUnit
    >>> prices = PriceTerms("v", PerUnit(Fraction(1, 10)), "EUR")
    >>> decide(Standing(Fraction(1000), Fraction(1000), prices), Policy()).act
    <Action.PAUSE: 'pause'>
    """
    e = Explanation.build("overage.decided", terms=standing.terms.version)
    e.fact("used", standing.used).fact("included", standing.included)
    point = stop_point(standing)
    if point is None:
        return Decision(None, None, None, policy.observe, e.note("the limit has no end for this price").freeze())
    reserve = policy.reserve if policy.budget_spent else ZERO
    e.fact("stop at", point.at, source=point.why.value).fact("reserve", reserve)
    e.step("stop", "subtract", "stop at", "reserve").step("left", "subtract", "stop", "used")
    left = e.number("left")
    act = policy.action if left <= 0 else None
    return Decision(act, point, max(left, ZERO), policy.observe, e.freeze())


def position(threshold: Threshold, standing: Standing) -> Fraction | None:
    """Where on the axis of use a threshold lies; None: nowhere, as with a share of a limit that is not there."""
    match threshold.of:
        case Of.ALLOWANCE:
            return threshold.value * standing.included
        case Of.QUANTITY:
            return _in_unit(threshold, standing)
        case Of.OVERAGE:
            if threshold.unit and threshold.unit != standing.terms.currency:
                return None
            # The price reaches an amount at the end of the stretch that costs less.
            reached = reach(standing.terms.price, threshold.value)
            return None if reached is None else standing.included + standing.tolerance + reached
        case Of.LIMIT:
            point = stop_point(standing)
            if point is None or point.why in (Stop.ALLOWANCE, Stop.DORMANT):
                return None
            top = standing.included + standing.tolerance
            return top + threshold.value * (point.at - top)
        case Of.BURST | Of.FORECAST | Of.UNUSUAL:
            return None


def _in_unit(threshold: Threshold, standing: Standing) -> Fraction | None:
    """A quantity of another kind than the meter's (GB for a port in Mbit/s) lies nowhere on its axis."""
    if not threshold.unit or not standing.unit or threshold.unit == standing.unit:
        return threshold.value
    one, other = unit(threshold.unit), unit(standing.unit)
    return threshold.value * one.size / other.size if one.dimension is other.dimension else None


def crossed(
    thresholds: Sequence[Threshold], standing: Standing, *, told: Collection[str] = ()
) -> tuple[tuple[Threshold, Fraction], ...]:
    """The thresholds that use has reached and nobody was told of in this period, in the order they lie.

    Each once, whatever number of them one sample jumps over; what was told once is not told again when use is
    corrected downwards and rises again.

    >>> from coulance_core.catalog.terms import PerUnit
    >>> s = Standing(Fraction(950), Fraction(1000), PriceTerms("v", PerUnit(Fraction(1)), "EUR"))
    >>> shares = [Threshold(f"{n} %", Of.ALLOWANCE, Fraction(n, 100)) for n in (50, 80, 90, 100)]
    >>> [t.key for t, _ in crossed(shares, s, told={"50 %"})]
    ['80 %', '90 %']
    """
    found = [(t, at) for t in thresholds if t.key not in told and (at := position(t, standing)) is not None]
    return tuple(sorted([f for f in found if f[1] <= standing.used], key=lambda f: (f[1], f[0].key)))


def arm(
    thresholds: Sequence[Threshold], standing: Standing, *, told: Collection[str] = (), policy: Policy | None = None
) -> Fraction | None:
    """The next position at which something must be looked at: a threshold not told of, or the stop; None: none.

    With a `policy` whose budget is spent, the stop lies its reserve earlier.
    """
    ahead = [at for t in thresholds if t.key not in told and (at := position(t, standing)) is not None]
    point = stop_point(standing)
    if point is not None:
        ahead.append(point.at - (policy.reserve if policy is not None and policy.budget_spent else ZERO))
    return min([at for at in ahead if at > standing.used], default=None)


def share_of(standing: Standing, sharers: int) -> Fraction | None:
    """The position at which this one has taken an even part of what is left of a limit that `sharers` have together.

    As long as none of them has gone further, they can't have taken more than was left: so all are looked at again
    once one is there. None where nothing is shared, or the limit has no end. The standing's consent is already less
    what the others took.

    >>> from coulance_core.catalog.terms import PerUnit
    >>> from coulance_core.overage.terms import Limit, Span
    >>> from datetime import UTC, datetime
    >>> word = Consent("1", Span(datetime(2026, 10, 1, tzinfo=UTC)), Limit(Money.of("10.00", "EUR"), None), "v")
    >>> terms = PriceTerms("v", PerUnit(Fraction(1, 10)), "EUR")
    >>> share_of(Standing(Fraction(70), Fraction(50), terms, Fraction(20), consent=word, verified=True), 4)
    Fraction(90, 1)
    """
    consent = standing.consent
    if sharers < 2 or consent is None or not standing.verified:
        return None
    amount, quantity, own = consent.limit.amount, consent.limit.quantity, standing.billable
    if amount is not None:
        spent = min(amount_for(own, standing.terms), amount) if own else Money(0, amount.currency)
        amount = spent + Money((amount.minor - spent.minor) // sharers, amount.currency)
    if quantity is not None:
        quantity = min(own, quantity) + max(quantity - own, ZERO) / sharers
    part = most(replace(consent.limit, amount=amount, quantity=quantity), standing.terms, consent.terms)
    if part is None:
        return None
    return max(standing.used, standing.included + standing.tolerance) + max(part - own, ZERO)


def exposure_bound(line_rate: Fraction, lag_s: int, standing: Standing) -> Money:
    """What the provider may have to absorb of one meter: what the line can carry while a pause takes effect.

    `line_rate` in the measure's unit a second; `lag_s` from a sample's beginning to the executed pause. Priced as
    overage would be, beyond what is billable already, rounded up to whole cents.

    >>> from coulance_core.catalog.terms import PerUnit
    >>> s = Standing(Fraction(0), Fraction(1000), PriceTerms("v", PerUnit(Fraction(1, 10)), "EUR"))
    >>> str(exposure_bound(Fraction(1, 80), 310, s))
    '0.39 EUR'
    """
    runs = line_rate * lag_s
    cost = price(standing.terms.price, standing.billable + runs) - price(standing.terms.price, standing.billable)
    return Money.of(max(cost, ZERO), standing.terms.currency, Rounding.CEILING)


@dataclass(frozen=True, slots=True)
class BurstStanding:
    """How much burst a percentile port has left: `free` samples may lie above the rate, `above` do so far."""

    free: int
    above: int
    interval_s: int

    @property
    def minutes_left(self) -> Fraction:
        """Minutes above the rate that change nothing on the bill."""
        return Fraction(max(self.free - self.above, 0) * self.interval_s, 60)

    def throttle(self, lag_s: int) -> bool:
        """Whether a port that must stay within the rate has to be held to it now: one more sample, and the time it
        takes to act, and the percentile would be above."""
        return self.above + ceil(Fraction(lag_s, self.interval_s)) >= self.free
