"""What a contract should cost at its renewal, and what a portfolio may earn or lose in a year.

Price = cost x expected hours + safety loading, with stop-loss: hours above a bound are charged, or reinsured in the
price. Real tasks have heavy tails (the top hundredth of tasks takes over a quarter of the hours), and contracts'
outliers average out less than independence promises, so the distribution is drawn from what really happened.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from coulance_core.contracts.credibility import Estimate
from coulance_core.kernel import Explanation, Money, Rounding, currency

ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a year costs to deliver: hardware over its life, network, power, upkeep; and what an hour of labour costs.

    >>> server = Cost(hardware=Fraction(2400), life_years=Fraction(4), watts=Fraction(150), pue=Fraction(3, 2),
    ...               kwh=Fraction(1, 4), network=Fraction(120), upkeep=Fraction(60))
    >>> round(float(server.year), 2)
    1273.09
    """

    hardware: Fraction = ZERO
    life_years: Fraction = Fraction(4)
    network: Fraction = ZERO
    watts: Fraction = ZERO
    pue: Fraction = Fraction(1)
    kwh: Fraction = ZERO
    upkeep: Fraction = ZERO
    hour: Fraction = ZERO

    def __post_init__(self) -> None:
        parts = (self.hardware, self.network, self.watts, self.kwh, self.upkeep, self.hour)
        if min(parts) < 0 or self.life_years <= 0 or self.pue < 1:
            raise ValueError("costs are zero or more, a life above zero, and power's overhead (PUE) at least 1")

    @property
    def power(self) -> Fraction:
        """Power for a year of 8,766 hours (365.25 days), with the building's overhead."""
        return self.watts * self.pue * 8766 / 1000 * self.kwh

    @property
    def year(self) -> Fraction:
        """All but labour."""
        return self.hardware / self.life_years + self.network + self.power + self.upkeep


@dataclass(frozen=True)
class Advice:
    """A price a year, with its parts, and why."""

    price: Money
    expected: Fraction
    loading: Fraction
    tail: Fraction
    explanation: Explanation


def advise(
    expected: Estimate,
    cost: Cost,
    years: Sequence[Fraction],
    *,
    code: str,
    loading: Fraction,
    stop: Fraction | None,
    ready: Fraction = ZERO,
) -> Advice:
    """The price of a year of a contract, in currency `code`.

    `years` are hours of comparable years (see `years_of`, `to_scale`), from which the tail is taken: with `stop`, hours
    above it are the customer's and the price covers only what is below; without, all is covered. No years: nothing is
    taken off. `loading` is the safety loading, as a share of the labour. `ready` is the price of a year of standing by
    and of cover for a bad one, by the contract's terms: whoever is seldom needed is still there, and that is bought
    too. Raises `ValueError` for a loading or a `ready` below zero.

    >>> seen = Estimate(Fraction(10), Fraction(1, 2), Fraction(12), Fraction(2))
    >>> advise(seen, Cost(hour=Fraction(60)), [], code="EUR", loading=Fraction(1, 10), stop=None).price
    Money(minor=79200, currency='EUR')
    >>> quiet = Estimate(Fraction(0), Fraction(1), Fraction(0), Fraction(2))
    >>> advise(quiet, Cost(), [], code="EUR", loading=Fraction(0), stop=None, ready=Fraction(550)).price
    Money(minor=55000, currency='EUR')
    """
    if loading < 0 or ready < 0:
        raise ValueError(f"a safety loading of {loading} and {ready} for being ready: expected zero or more")
    tail = stop_loss(years, stop) if stop is not None else ZERO
    e = Explanation.build("contracts.price")
    e.fact("expected hours", expected.expected, "h").fact("above the stop", tail, "h").fact("hour's cost", cost.hour)
    e.fact("loading", loading).fact("cost to serve", cost.year)
    e.fact("standing by", ready)
    e.step("covered hours", "subtract", "expected hours", "above the stop", unit="h")
    e.step("hours", "max", "covered hours", "0", unit="h")
    e.step("labour", "multiply", "hours", "hour's cost")
    e.step("safety", "multiply", "labour", "loading")
    e.step("worth", "add", "labour", "safety", "cost to serve", "standing by")
    e.step("price", "round", "worth", currency(code).exponent, Rounding.UP.value, unit=code)
    return Advice(Money.of(e.number("price"), code), expected.expected, e.number("safety"), tail, e.freeze())


def years_of(quarters: Sequence[Fraction]) -> list[Fraction]:
    """The years in a history of whole quarters, oldest first: each four that follow each other. A quarter is no year.

    >>> [int(year) for year in years_of([Fraction(q) for q in (20, 0, 1, 0, 3)])]
    [21, 4]
    """
    return [sum(quarters[n : n + 4], ZERO) for n in range(len(quarters) - 3)]


def to_scale(years: Sequence[Fraction], mean: Fraction) -> list[Fraction]:
    """Years of others as years of a contract of which `mean` is expected: their shape, its size. All zero: none.

    >>> [int(year) for year in to_scale([Fraction(10), Fraction(30)], Fraction(4))]
    [2, 6]
    """
    whole = sum(years, ZERO)
    return [year * mean * len(years) / whole for year in years] if whole else []


def stop_loss(years: Sequence[Fraction], stop: Fraction) -> Fraction:
    """The mean of what years exceed `stop` by: E[(X - d)+], the net price of cover above d. No years: zero.

    >>> stop_loss([Fraction(x) for x in (0, 5, 10, 45)], Fraction(20))
    Fraction(25, 4)
    """
    if not years:
        return ZERO
    return sum((max(ZERO, hours - stop) for hours in years), ZERO) / len(years)


@dataclass(frozen=True)
class Year:
    """A portfolio's year: profit in every draw (major units, sorted, float for statistics only)."""

    profit: NDArray[np.float64]

    @property
    def bad(self) -> float:
        """The probability of a loss."""
        return float((self.profit < 0).mean())

    @property
    def mean(self) -> float:
        """The expected profit."""
        return float(self.profit.mean())

    def at(self, share: float) -> float:
        """The profit that a share of the years stays below: 0.05 for the bad year of twenty."""
        return float(np.quantile(self.profit, share))


def bootstrap(
    hours: Sequence[Sequence[float]], price: Sequence[float], hour_cost: float, draws: NDArray[np.int64]
) -> Year:
    """Profit of all contracts together, over years drawn from what happened.

    `hours[i]` are a contract's past years, aligned with the others' (the same position is the same year), so that what
    happens to all at once stays together: `draws` are indexes of whole years, chosen by the caller's seeded generator.
    Contracts with fewer years repeat theirs. Raises `ValueError` without contracts or draws.

    >>> year = bootstrap([[1.0, 9.0], [2.0, 8.0]], [300.0, 300.0], 50.0, np.array([0, 1, 0, 1]))
    >>> year.bad, year.mean
    (0.5, 100.0)
    """
    if not hours or not draws.size or not all(hours) or len(hours) != len(price):
        raise ValueError("a portfolio wants contracts with at least a year and a price each, and draws")
    total = np.zeros(draws.size)
    for mine, paid in zip(hours, price, strict=True):
        past = np.asarray(mine, float)
        total += paid - hour_cost * past[draws % past.size]
    return Year(np.sort(total))
