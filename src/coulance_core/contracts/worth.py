"""What recurring revenue is worth, on the low side: a margin a year, the chance that it goes on, a rate of discount.

Of each coming year, what is expected to be left of it: what a contract's own term makes sure counts whole, what comes
after by the chance of going on, and each year's money is counted at its end. After some years nothing is counted.

The chance of going on is that of all contracts together, and one end more is counted than there was: with little
history little is promised, with none nothing beyond the term.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from coulance_core.kernel import Explanation, Money, Rounding, currency

ZERO, ONE = Fraction(0), Fraction(1)


@dataclass(frozen=True, slots=True)
class WorthTerms:
    """How revenue is valued: `discount` a year, `years` ahead at most, and `goes_on`, the chance where it is stated."""

    discount: Fraction = Fraction(15, 100)
    years: int = 5
    goes_on: Fraction | None = None

    def __post_init__(self) -> None:
        if self.discount < 0 or not 1 <= self.years <= 30:
            raise ValueError("a value wants a discount of zero or more, and 1 to 30 years ahead")
        if self.goes_on is not None and not 0 <= self.goes_on <= 1:
            raise ValueError(f"a chance of {self.goes_on}: expected between 0 and 1")


@dataclass(frozen=True, slots=True)
class Recurring:
    """A contract: its fee and its margin a year (both may differ in sign), years that are sure yet, whether it ends.

    `sure` is what is left of its term, or until it ends where that was said.
    """

    key: str
    fee: Fraction
    margin: Fraction
    sure: Fraction
    ends: bool = False


@dataclass(frozen=True)
class Worth:
    """What recurring revenue is worth, by contract and in all, the chance of going on, and why."""

    amount: Money
    each: tuple[tuple[str, Money], ...]
    goes_on: Fraction
    explanation: Explanation


def going_on(ended: int, years: Fraction) -> Fraction:
    """The chance that a contract goes on for another year: 1 - (ended + 1) / (years of contracts + 1), at least zero.

    >>> [str(going_on(*seen)) for seen in ((0, Fraction(0)), (0, Fraction(9)), (2, Fraction(19)))]
    ['0', '9/10', '17/20']
    """
    return max(ZERO, ONE - Fraction(ended + 1) / (years + 1))


def worth(contracts: Iterable[Recurring], terms: WorthTerms, *, ended: int, years: Fraction, code: str) -> Worth:
    """The value of contracts in currency `code`; `ended` of them in so many contract `years` that were seen.

    A margin below zero counts whole: who loses on a contract must not hide it in the sum. Each contract is rounded
    down, so the sum is at most the exact one.

    >>> one = Recurring("care", Fraction(1200), Fraction(400), Fraction(1, 2))
    >>> found = worth([one], WorthTerms(Fraction(1, 4), 2, Fraction(1, 2)), ended=0, years=Fraction(0), code="EUR")
    >>> found.amount  # 400 x (0.75 / 1.25 + 0.375 / 1.5625)
    Money(minor=33600, currency='EUR')
    """
    e = Explanation.build("contracts.worth").fact("discount", terms.discount)
    if terms.goes_on is None:
        e.fact("contracts that ended", ended).fact("contract years seen", years)
        e.step("ends counted", "add", "contracts that ended", "1").step("over", "add", "contract years seen", "1")
        e.step("ends a year", "divide", "ends counted", "over").step("left", "subtract", "1", "ends a year")
        e.step("goes on", "max", "left", "0")
    else:
        e.fact("goes on", terms.goes_on, "", "stated by the provider")
    chance = e.number("goes on")
    found = []
    for one in contracts:
        why = _explained(one, terms, chance, code)
        found.append((one.key, Money.of(why.recompute()["worth"], code)))
        e.child(why)
    total = sum((amount for _, amount in found), Money(0, code))
    e.step("worth", "add", *([str(amount.amount) for _, amount in found] or ["0"]), unit=code)
    e.convention(f"{terms.years} years are counted, each at its end; what is sure counts whole")
    e.convention("one end more is counted than there was" if terms.goes_on is None else "the chance is the provider's")
    return Worth(total, tuple(found), chance, e.freeze())


def shares(one: Recurring, years: int, chance: Fraction) -> Sequence[Fraction]:
    """What of each coming year is expected of a contract.

    >>> [str(share) for share in shares(Recurring("a", ONE, ONE, Fraction(1, 2)), 3, Fraction(1, 2))]
    ['3/4', '3/8', '3/16']
    """
    goes_on = ZERO if one.ends else chance
    whole = int(one.sure)
    part = one.sure - whole
    first = part + (ONE - part) * goes_on
    return [ONE if year < whole else first * goes_on ** (year - whole) for year in range(years)]


def _explained(one: Recurring, terms: WorthTerms, chance: Fraction, code: str) -> Explanation:
    e = Explanation.build("contracts.worth_of_one").fact("fee a year", one.fee, code).fact("margin a year", one.margin)
    e.fact("years that are sure", one.sure).fact("discount", terms.discount).step("a year", "add", "1", "discount")
    e.note(one.key + (", which ends" if one.ends else ""))
    worths = []
    before = "1"
    for number, share in enumerate(shares(one, terms.years, chance), 1):
        e.step(f"discounted {number}", "multiply", before, "a year")
        before = f"discounted {number}"
        if not share:
            continue
        e.fact(f"share of year {number}", share)
        e.step(f"margin {number}", "multiply", "margin a year", f"share of year {number}")
        e.step(f"worth {number}", "divide", f"margin {number}", before)
        worths.append(f"worth {number}")
    e.step("exact", "add", *(worths or ["0"]))
    e.step("worth", "round", "exact", currency(code).exponent, Rounding.FLOOR.value, unit=code)
    return e.freeze()
