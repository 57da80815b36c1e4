"""Whether a contract is fair, to both: what was paid, used and delivered, and a verdict that one quarter never tips.

A quiet year isn't unfair. Standby and cover for the bad year have a price, and what was served free counts for the
provider. So each side has a surplus:

    provider   paid - cost of the hours delivered - penalties - other cost to serve
    customer   what the hours would have cost by the hour + standby + tail cover + penalties received - paid

and the verdict is on the *expected* year, by credibility, not on the one that happened.
"""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from coulance_core.contracts.credibility import Estimate
from coulance_core.kernel import Explanation
from coulance_core.kernel.explanation import ExplanationBuilder

ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Prices:
    """What things are worth, in major units: an hour by the hour, an hour's cost to us, standby and tail cover a year.

    `standby` is what being reachable is worth to the customer, `tail` what cover above the expected is (see
    `stop_loss`). `serve` is our cost besides hours: hardware, network, power.
    """

    hourly: Fraction
    hour_cost: Fraction
    standby: Fraction = ZERO
    tail: Fraction = ZERO
    serve: Fraction = ZERO

    def __post_init__(self) -> None:
        if min(self.hourly, self.hour_cost, self.standby, self.tail, self.serve) < 0:
            raise ValueError("prices and costs are zero or more")


@dataclass(frozen=True, slots=True)
class Used:
    """What happened in a period: money paid, hours paid for (delivered), given free, lapsed unused; penalties paid.

    `years` is how long the period was.
    """

    paid: Fraction
    hours: Fraction
    free_hours: Fraction = ZERO
    lapsed_hours: Fraction = ZERO
    penalties: Fraction = ZERO
    years: Fraction = Fraction(1)


class Verdict(StrEnum):
    """What can be said of a contract."""

    FAIR = "fair"
    COSTS_PROVIDER = "costs_provider"
    """We are expected to lose on it."""
    COSTS_CUSTOMER = "costs_customer"
    """They would be better off without it, standby and cover for the bad year counted."""
    TOO_EARLY = "too_early"
    """Its own history says too little yet."""


@dataclass(frozen=True)
class Fairness:
    """Both surpluses of a period as it happened, and of an expected year; the verdict rests on the expected."""

    provider: Fraction
    customer: Fraction
    expected_provider: Fraction
    expected_customer: Fraction
    verdict: Verdict
    explanation: Explanation


def judge(
    used: Used,
    expected: Estimate,
    price: Fraction,
    prices: Prices,
    *,
    version: str = "",
    margin: Fraction = Fraction(1, 10),
    least: Fraction = Fraction(1, 2),
) -> Fairness:
    """How fair a contract is: `price` a year, `expected` hours a year (by credibility), what happened in `used`.

    A side's surplus within `margin` of the price is fair. Below a credibility of `least`, or with under a year seen,
    nothing is said yet: a quarter, or a year that its portfolio doesn't bear out, never tips a verdict alone.

    >>> seen = Estimate(Fraction(2), Fraction(4, 5), Fraction(3), Fraction(3))
    >>> prices = Prices(hourly=Fraction(95), hour_cost=Fraction(50), standby=Fraction(200), tail=Fraction(150))
    >>> judge(Used(Fraction(1200), Fraction(2)), seen, Fraction(1200), prices).verdict
    <Verdict.COSTS_CUSTOMER: 'costs_customer'>
    """
    e = Explanation.build("contracts.fairness", terms=version)
    for name, value in (("hourly rate", prices.hourly), ("hour's cost", prices.hour_cost), ("standby", prices.standby)):
        e.fact(name, value)
    e.fact("tail cover", prices.tail).fact("cost to serve", prices.serve).fact("years", used.years)
    e.fact("paid", used.paid).fact("hours", used.hours, "h").fact("free hours", used.free_hours, "h")
    e.fact("penalties", used.penalties)
    if used.lapsed_hours:
        e.fact("lapsed hours", used.lapsed_hours, "h")
    _sides(e, "", "paid", "hours", "years", "penalties")
    e.fact("price", price).fact("expected hours", expected.expected, "h", f"credibility {expected.credibility}")
    e.fact("one year", 1)
    _sides(e, "expected ", "price", "expected hours", "one year", None)
    provider, customer = e.number("expected provider"), e.number("expected customer")
    edge = margin * price
    if expected.credibility < least or expected.exposure < 1:
        verdict = Verdict.TOO_EARLY
    elif provider < -edge:
        verdict = Verdict.COSTS_PROVIDER
    elif customer < -edge:
        verdict = Verdict.COSTS_CUSTOMER
    else:
        verdict = Verdict.FAIR
    e.convention(f"fair within {margin} of the price").convention(f"judged from a credibility of {least} on")
    return Fairness(e.number("provider"), e.number("customer"), provider, customer, verdict, e.freeze())


def _sides(e: ExplanationBuilder, prefix: str, paid: str, hours: str, years: str, penalties: str | None) -> None:
    """State both surpluses. Free hours cost us and are worth an hour to the customer; expected years have none."""
    free = "free hours" if penalties else "0"
    e.step(f"{prefix}delivered", "add", hours, free, unit="h")
    e.step(f"{prefix}labour", "multiply", f"{prefix}delivered", "hour's cost")
    e.step(f"{prefix}serving", "multiply", "cost to serve", years)
    e.step(f"{prefix}after labour", "subtract", paid, f"{prefix}labour")
    e.step(f"{prefix}after serving", "subtract", f"{prefix}after labour", f"{prefix}serving")
    e.step(f"{prefix}provider", "subtract", f"{prefix}after serving", penalties or "0")
    e.step(f"{prefix}by the hour", "multiply", f"{prefix}delivered", "hourly rate")
    e.step(f"{prefix}standing by", "add", "standby", "tail cover")
    e.step(f"{prefix}ready", "multiply", f"{prefix}standing by", years)
    e.step(f"{prefix}worth", "add", f"{prefix}by the hour", f"{prefix}ready", penalties or "0")
    e.step(f"{prefix}customer", "subtract", f"{prefix}worth", paid)
