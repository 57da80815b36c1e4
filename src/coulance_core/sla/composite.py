"""The availability of several parts together, before it happened and after.

Before: three numbers, since nobody knows how failures of parts go together. `independent` multiplies; `worst` and
`best` are what any dependence allows (Frechet's bounds). In series the parts' failures tend to coincide, which makes
independence a lower bound there; redundant parts that fail together make it an upper one.

After: nobody has to assume anything; the real outages are combined.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from coulance_core.sla.intervals import EMPTY, Spans, at_least

ONE = Fraction(1)


class Kind(StrEnum):
    """How parts make a whole."""

    PART = "part"
    SERIES = "series"
    """All are needed."""
    PARALLEL = "parallel"
    """One is enough."""
    K_OF_N = "k_of_n"
    """At least `k` are needed."""


@dataclass(frozen=True)
class Composite:
    """A part by name, or a whole of parts. `k` is set for k of n only.

    >>> lines = Composite.parallel(Composite.part("line a"), Composite.part("line b"))
    >>> str(Composite.series(Composite.part("power"), lines))
    'all of (power, one of (line a, line b))'
    """

    kind: Kind
    name: str = ""
    parts: tuple["Composite", ...] = ()
    k: int = 0

    def __post_init__(self) -> None:
        if (self.kind is Kind.PART) != bool(self.name) or (self.kind is Kind.PART) == bool(self.parts):
            raise ValueError("a composite is a named part, or a whole of parts")
        if self.kind is Kind.K_OF_N and not 1 <= self.k <= len(self.parts):
            raise ValueError(f"{self.k} of {len(self.parts)} parts: expected between 1 and all of them")

    @classmethod
    def part(cls, name: str) -> "Composite":
        """A single part."""
        return cls(Kind.PART, name)

    @classmethod
    def series(cls, *parts: "Composite") -> "Composite":
        """All of them are needed."""
        return cls(Kind.SERIES, parts=parts)

    @classmethod
    def parallel(cls, *parts: "Composite") -> "Composite":
        """One of them is enough."""
        return cls(Kind.PARALLEL, parts=parts)

    @classmethod
    def k_of_n(cls, k: int, *parts: "Composite") -> "Composite":
        """At least `k` of them are needed."""
        return cls(Kind.K_OF_N, parts=parts, k=k)

    @property
    def needed(self) -> int:
        """How many of its parts must be up."""
        return {Kind.SERIES: len(self.parts), Kind.PARALLEL: 1, Kind.K_OF_N: self.k, Kind.PART: 0}[self.kind]

    def names(self) -> tuple[str, ...]:
        """The parts, in order, as often as they are in it."""
        return (self.name,) if self.kind is Kind.PART else tuple(n for part in self.parts for n in part.names())

    def __str__(self) -> str:
        if self.kind is Kind.PART:
            return self.name
        words = {Kind.SERIES: "all", Kind.PARALLEL: "one", Kind.K_OF_N: str(self.k)}
        return f"{words[self.kind]} of ({', '.join(map(str, self.parts))})"


def read_composite(text: str) -> Composite:
    """A composite as `str` writes it: `all of (web, one of (db-1, db-2))`; a name alone is a part. Raises `ValueError`.

    >>> str(read_composite("all of (web, 2 of (a, b, c))"))
    'all of (web, 2 of (a, b, c))'
    """
    words = re.findall(r"[(),]|[^\s(),]+", text)
    found, rest = _read(words, text)
    if rest:
        raise ValueError(f"{text!r}: expected nothing after the first whole, and {rest[0]!r} is there")
    return found


def _read(words: Sequence[str], text: str) -> tuple[Composite, Sequence[str]]:
    if not words or words[0] in "(),":
        raise ValueError(f'{text!r}: expected a part\'s name, or such as "all of (web, one of (db-1, db-2))"')
    if len(words) < 3 or words[1] != "of" or words[2] != "(":
        return Composite.part(words[0]), words[1:]
    many, rest, parts = words[0], words[3:], []
    while True:
        part, rest = _read(rest, text)
        parts.append(part)
        if not rest or rest[0] not in ",)":
            raise ValueError(f"{text!r}: expected a comma or a closing bracket after {part}")
        ends, rest = rest[0] == ")", rest[1:]
        if ends:
            break
    if many in ("all", "one"):
        return (Composite.series if many == "all" else Composite.parallel)(*parts), rest
    if not many.isdecimal():
        raise ValueError(f"{text!r}: expected all of, one of, or a number of, not {many!r} of")
    return Composite.k_of_n(int(many), *parts), rest


@dataclass(frozen=True, slots=True)
class Quote:
    """Availabilities as shares between 0 and 1: at worst, if parts fail independently, at best."""

    worst: Fraction
    independent: Fraction
    best: Fraction

    def minutes(self, period_minutes: int) -> tuple[Fraction, Fraction, Fraction]:
        """The downtime each allows in a period of so many minutes.

        >>> Quote(Fraction("0.99"), Fraction("0.995"), ONE).minutes(43_200)
        (Fraction(432, 1), Fraction(216, 1), Fraction(0, 1))
        """
        worst, independent, best = ((ONE - a) * period_minutes for a in (self.worst, self.independent, self.best))
        return worst, independent, best


def quote(whole: Composite, availability: dict[str, Fraction]) -> Quote:
    """What a whole promises, from its parts' availabilities (shares). The bounds hold under every dependence.

    Bounds of a nested whole are those of its parts' bounds: they hold, and may be wider than they need be. A part
    used twice is one part: `independent` then conditions on it, exactly. Raises `ValueError` where a number is missing.

    >>> two = Composite.series(Composite.part("host"), Composite.part("net"))
    >>> found = quote(two, {"host": Fraction("0.99"), "net": Fraction("0.996")})
    >>> [float(round(100 * a, 4)) for a in (found.worst, found.independent, found.best)]
    [98.6, 98.604, 99.0]
    """
    names = whole.names()
    for name in names:
        if not 0 <= availability.get(name, Fraction(-1)) <= 1:
            raise ValueError(f"part {name!r}: an availability between 0 and 1 is needed")
    worst, best = _bounds(whole, availability)
    shared = tuple(sorted({n for n in names if names.count(n) > 1}))
    return Quote(worst, _independent(whole, availability, shared), best)


def _bounds(whole: Composite, availability: dict[str, Fraction]) -> tuple[Fraction, Fraction]:
    if whole.kind is Kind.PART:
        return availability[whole.name], availability[whole.name]
    lows, highs = zip(*(_bounds(part, availability) for part in whole.parts), strict=True)
    n, k = len(whole.parts), whole.needed
    return _least(k, n, lows), _most(k, highs)


def _most(k: int, each: Sequence[Fraction]) -> Fraction:
    """The most that P(at least k of n up) can be, given each part's probability, under any dependence.

    Sharp: the least over j below k of (the sum of all but the j greatest) / (k - j), at most 1 (Rueger 1978).
    """
    ordered = sorted(each)
    return min([ONE, *(sum(ordered[: len(ordered) - j], Fraction(0)) / (k - j) for j in range(k))])


def _least(k: int, n: int, each: Sequence[Fraction]) -> Fraction:
    """The least it can be: one less the most that at least n - k + 1 parts are down."""
    return ONE - _most(n - k + 1, [ONE - a for a in each])


def _independent(whole: Composite, availability: dict[str, Fraction], shared: tuple[str, ...]) -> Fraction:
    """The probability that a whole is up if parts fail independently; parts used twice are conditioned on."""
    if shared:
        name, rest = shared[0], shared[1:]
        up = _independent(whole, availability | {name: ONE}, rest)
        down = _independent(whole, availability | {name: Fraction(0)}, rest)
        return availability[name] * up + (ONE - availability[name]) * down
    if whole.kind is Kind.PART:
        return availability[whole.name]
    chances = [ONE]  # of exactly so many parts being up
    for part in whole.parts:
        a = _independent(part, availability, ())
        chances = [
            (chances[i] * (ONE - a) if i < len(chances) else Fraction(0)) + (chances[i - 1] * a if i else Fraction(0))
            for i in range(len(chances) + 1)
        ]
    return sum(chances[whole.needed :], Fraction(0))


def down(whole: Composite, outages: dict[str, Spans]) -> Spans:
    """When the whole was really down, from when its parts were: no dependence needs to be assumed.

    >>> a, b = Spans.of([(0, 10)]), Spans.of([(5, 15)])
    >>> both = Composite.parallel(Composite.part("a"), Composite.part("b"))
    >>> down(both, {"a": a, "b": b}).pairs()
    [(5, 10)]
    """
    if whole.kind is Kind.PART:
        return outages.get(whole.name, EMPTY)
    return at_least(len(whole.parts) - whole.needed + 1, *(down(part, outages) for part in whole.parts))
