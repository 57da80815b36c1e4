"""From what probes saw to when a service was down, up or unknown, with bounds.

A probe's samples make a step function that expires: what is older than its time to live says nothing. A service is
down when enough fresh probes say so, and unknown when too few are fresh: silence never counts as up or down. One
failure is not an outage until it is confirmed by the next ones; then it began with the first.

What is known lies between bounds: the least is from the first failure to the last, the most from the last success to
the first success after. A contract says which is paid. Precedents: Route 53 (a share of checkers must agree),
Trinocular (unknown is a state of its own).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from coulance_core.sla.intervals import EMPTY, Instants, Spans, at_least

Flags = NDArray[np.bool_]


class Bound(StrEnum):
    """Which reading of the same evidence counts as the outage."""

    LOWER = "lower"
    """From the first failure to the last: what is proven."""
    STEP = "step"
    """From the first failure to the first success: each sample holds until the next. Upptime's way."""
    UPPER = "upper"
    """From the last success to the first success: what can't be excluded."""
    MIDPOINT = "midpoint"
    """Half way between lower and upper at both ends."""


@dataclass(frozen=True, slots=True)
class Quorum:
    """How samples make an outage. Times in microseconds.

    A sample says something for `ttl`. Down when at least `down` fresh probes say so, and more than `share` of the fresh
    ones where that is above zero; known only while at least `fresh` are fresh. `confirm` failures in a row make a
    failure. `shortest`: outages that last no longer are ignored (by the bound that is paid).

    >>> Quorum(ttl=90_000_000, down=2, fresh=2).confirm
    1
    """

    ttl: int
    down: int = 1
    fresh: int = 1
    confirm: int = 1
    share: Fraction = Fraction(0)
    shortest: int = 0

    def __post_init__(self) -> None:
        for name in ("ttl", "down", "fresh", "confirm"):
            if getattr(self, name) < 1:
                raise ValueError(f"quorum: {name} is {getattr(self, name)}, expected 1 or more")
        if not 0 <= self.share < 1 or self.shortest < 0:
            raise ValueError("quorum: expected a share of at least 0 and below 1, and a shortest outage of 0 or more")


@dataclass(frozen=True, eq=False)
class Samples:
    """What one probe saw of one service from one vantage point: instants in order without doubles, and whether up.

    `ttl` in place of the quorum's, for sources that have a rhythm of their own, or tell of changes only.
    """

    at: Instants
    up: Flags
    ttl: int | None = None

    @classmethod
    def of(cls, at: Instants, up: Flags, ttl: int | None = None) -> "Samples":
        """From samples in any order. Of several at one instant, one that failed decides: doubt is the customer's."""
        order = np.lexsort((up, at))
        at, up = at[order], up[order]
        first = np.ones(at.size, bool)
        first[1:] = at[1:] != at[:-1]
        return cls(at[first], up[first], ttl)


def aligned(at: Instants, received: Instants, tolerance: int) -> Instants:
    """Instants by a probe's own clock, put right by when its samples came in.

    No sample was taken after it was received. A clock that runs ahead by more than `tolerance` shows in samples from
    the future; all of the batch moves back by the most it was ahead. A late batch (the probe was cut off) is not
    moved: late is not skewed.

    >>> aligned(np.array([100, 160]), np.array([90, 150]), 5).tolist()
    [90, 150]
    >>> aligned(np.array([100, 160]), np.array([900, 900]), 5).tolist()
    [100, 160]
    """
    if not at.size:
        return at
    ahead = int((at - received).max())
    return at - ahead if ahead > tolerance else np.minimum(at, received)


@dataclass(frozen=True)
class Seen:
    """One probe's verdict over time: when it was fresh, and when it said down, by each reading."""

    fresh: Spans
    lower: Spans
    step: Spans
    upper: Spans


def seen(samples: Samples, quorum: Quorum) -> Seen:
    """A probe's step functions. A sample holds until the next one, but no longer than its time to live.

    >>> at = np.array([0, 60, 120, 180, 240]); up = np.array([True, False, False, True, True])
    >>> one = seen(Samples.of(at, up), Quorum(ttl=100, confirm=2))
    >>> one.lower.pairs(), one.step.pairs(), one.upper.pairs(), one.fresh.pairs()
    ([(60, 120)], [(60, 180)], [(0, 180)], [(0, 340)])
    """
    at, up = samples.at, samples.up
    if not at.size:
        return Seen(EMPTY, EMPTY, EMPTY, EMPTY)
    following = np.append(at[1:], np.iinfo(np.int64).max)
    ttl = quorum.ttl if samples.ttl is None else samples.ttl
    holds = np.minimum(following, at + ttl)
    breaks = np.flatnonzero(holds[:-1] < at[1:])
    fresh = Spans(np.append(at[:1], at[breaks + 1]), np.append(holds[breaks], holds[-1:]))
    if up.all():
        return Seen(fresh, EMPTY, EMPTY, EMPTY)
    # Runs of failures: their first and last sample; a run goes on over a silence, but silence adds nothing to it.
    change = np.flatnonzero(up[1:] != up[:-1]) + 1
    edges = np.concatenate(([0], change, [up.size]))
    first, after = edges[:-1], edges[1:]
    failing = ~up[first] & (after - first >= quorum.confirm)
    first, last = first[failing], after[failing] - 1
    known = fresh
    lower = Spans.union_of(at[first], at[last]) & known
    step = Spans.union_of(at[first], holds[last]) & known
    before = np.where(first > 0, at[np.maximum(first - 1, 0)], at[first])
    # The last success said up until it expired; what came then was unknown, and isn't claimed as down.
    stale = at[first] - before > ttl
    upper = Spans.union_of(np.where(stale, at[first], before), holds[last]) & known
    return Seen(fresh, lower, step, upper)


@dataclass(frozen=True)
class Verdict:
    """A service over [start, end) by all its probes: the outages by each bound, and the time nothing is known of."""

    lower: Spans
    step: Spans
    upper: Spans
    unknown: Spans

    def down(self, bound: Bound) -> Spans:
        """The outages by a bound."""
        if bound is not Bound.MIDPOINT:
            return {Bound.LOWER: self.lower, Bound.STEP: self.step, Bound.UPPER: self.upper}[bound]
        return _midpoints(self.lower, self.upper)


def judge(probes: Sequence[Samples], quorum: Quorum, start: int, end: int) -> Verdict:
    """What several probes together say of [start, end).

    >>> at = np.arange(0, 600, 60)
    >>> a, b = Samples.of(at, (at < 120) | (at > 300)), Samples.of(at, (at < 180) | (at > 240))
    >>> together = judge([a, b], Quorum(ttl=100, down=2, fresh=2), 0, 600)
    >>> together.step.pairs(), together.unknown.pairs()
    ([(180, 300)], [])
    >>> judge([a], Quorum(ttl=100, down=2, fresh=2), 0, 600).unknown.pairs()
    [(0, 600)]
    """
    # A sample from before the period may hold into it, and one after it may confirm what began in it.
    verdicts = [seen(probe, quorum) for probe in probes]
    whole = Spans.of([(start, end)])
    fresh = [one.fresh for one in verdicts]
    known = at_least(quorum.fresh, *fresh) if len(fresh) >= quorum.fresh else EMPTY

    def together(down: list[Spans]) -> Spans:
        found = at_least(quorum.down, *down) & known
        if quorum.share:
            found = found & _more_than(quorum.share, down, fresh)
        # As long as it was, also where the period cuts it: an outage over midnight is one, and no two short ones.
        return found.longer_than(quorum.shortest) & whole

    return Verdict(
        together([one.lower for one in verdicts]),
        together([one.step for one in verdicts]),
        together([one.upper for one in verdicts]),
        whole - known,
    )


def _more_than(share: Fraction, down: Sequence[Spans], fresh: Sequence[Spans]) -> Spans:
    """Where more than a share of the fresh probes say down."""
    parts = []
    for count in range(1, len(fresh) + 1):
        enough = int(share * count) + 1
        exactly = at_least(count, *fresh) - (at_least(count + 1, *fresh) if count < len(fresh) else EMPTY)
        parts.append(exactly & at_least(enough, *down))
    return at_least(1, *parts)


def _midpoints(lower: Spans, upper: Spans) -> Spans:
    """Each upper span, drawn in half way to the lower ones it holds. One that holds none is none: nothing is proven."""
    pairs = []
    for start, end in upper.pairs():
        inner = lower.clip(start, end)
        if inner:
            pairs.append(((start + int(inner.start[0])) // 2, (end + int(inner.end[-1]) + 1) // 2))
    return Spans.of(pairs) if pairs else EMPTY


UPPTIME = Quorum(ttl=2**60, shortest=15 * 60 * 1_000_000)
"""Upptime's own conventions, with `Bound.STEP`: a check holds until the next, and what is over within 15 minutes is no
outage (its history keeps no shorter incident). Its published minutes of a day agree with this on real histories."""
