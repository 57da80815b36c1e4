"""Proof that a table of tiers says one thing for every availability: no gap, no overlap, never less for more downtime.

Published tables fail it: bands printed as 99.0-99.9 and 95.0-98.9 leave 98.95 undefined. A table that fails is refused
with the very place, before a contract rests on it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from coulance_core.kernel import show

_FULL = Fraction(100)


class TermsError(ValueError):
    """Terms that can't be meant."""


class TierError(TermsError):
    """A table of tiers with a gap, an overlap, a credit out of order; `where` names the place."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where


@dataclass(frozen=True, slots=True)
class Tier:
    """From `least` percent availability up to, not including, `below`, this share of the fee is credited.

    100 is included in the last one. A tier from 100 to 100 is full availability alone: terms that promise 100 %.
    """

    least: Fraction
    below: Fraction
    credit: Fraction

    def __str__(self) -> str:
        return f"{show(self.least)} to {show(self.below)}"


def share(value: Fraction, name: str) -> None:
    """Raise `TermsError` for a share out of [0, 1]."""
    if not 0 <= value <= 1:
        raise TermsError(f"{name} is {show(value)}: expected a share between 0 and 1")


def prove(tiers: Iterable[Tier]) -> tuple[Tier, ...]:
    """The tiers in rising order, proven to partition [0, 100] with credits that never rise with availability.

    Raises `TierError` that says which tiers and what lies between.

    >>> F = Fraction
    >>> prove([Tier(F(99), F(100), F(0)), Tier(F(0), F("98.9"), F(1, 4))])
    Traceback (most recent call last):
    ...
    coulance_core.sla.proof.TierError: between tiers 0 to 98.9 and 99 to 100: 98.9 to 99 is in neither
    """
    ordered = tuple(sorted(tiers, key=lambda t: (t.least, t.below)))
    if not ordered:
        raise TierError("tiers", "there are none")
    for tier in ordered:
        if not (tier.least < tier.below or tier.least == tier.below == _FULL):
            raise TierError(f"tier {tier}", "it is empty: expected a lower bound below the upper one")
        share(tier.credit, f"credit of tier {tier}")
    if ordered[0].least != 0:
        raise TierError(f"tier {ordered[0]}", f"nothing is said of 0 to {show(ordered[0].least)}")
    for low, high in pairwise(ordered):
        between = f"between tiers {low} and {high}"
        if low.below < high.least:
            raise TierError(between, f"{show(low.below)} to {show(high.least)} is in neither")
        if low.below > high.least:
            raise TierError(between, f"{show(high.least)} to {show(min(low.below, high.below))} is in both")
        if low.credit < high.credit:
            raise TierError(between, "less availability would credit less")
    if ordered[-1].below != 100:
        raise TierError(f"tier {ordered[-1]}", f"nothing is said of {show(ordered[-1].below)} to 100")
    return ordered


def tiers_below(bounds: Iterable[tuple[Fraction, Fraction]]) -> tuple[Tier, ...]:
    """Tiers from (below this percentage, this share), in any order; at and above the highest bound nothing is owed.

    >>> [str(t) for t in tiers_below([(Fraction(99), Fraction(1, 10)), (Fraction(95), Fraction(1))])]
    ['0 to 95', '95 to 99', '99 to 100']
    """
    edges = sorted(bounds)
    for (low, _), (high, _) in pairwise(edges):
        if low == high:
            raise TierError(f"below {show(low)}", "it is said twice")
    if not edges:
        raise TierError("tiers", "there are none")
    lows = [Fraction(0), *(bound for bound, _ in edges)]
    found = [Tier(low, bound, credit) for low, (bound, credit) in zip(lows, edges, strict=False)]
    top = edges[-1][0]
    return prove([*found, Tier(top, _FULL, Fraction(0))])
