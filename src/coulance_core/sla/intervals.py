"""Sets of time as half-open spans, and their algebra: exact, in whole microseconds, without a loop a span.

A `Spans` is normal: sorted, no span empty, none touching the next. So two of them cover the same time exactly when they
are equal, and whatever order evidence came in leaves no trace.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from coulance_core.kernel import Period, require_aware

Instants = NDArray[np.int64]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)


def micros(instant: datetime) -> int:
    """Whole microseconds since 1970 (UTC) of an aware instant; exact. Naive: `PeriodError`.

    >>> micros(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC))
    1000005
    """
    return (require_aware(instant) - _EPOCH) // _MICRO


def instant(micro: int) -> datetime:
    """The aware instant, in UTC, of microseconds since 1970.

    >>> instant(1000005).isoformat()
    '1970-01-01T00:00:01.000005+00:00'
    """
    return _EPOCH + int(micro) * _MICRO


@dataclass(frozen=True, eq=False)
class Spans:
    """A set of time: `start[i] <= t < end[i]` for some i. Two int64 arrays of microseconds since 1970, normal.

    Made by `Spans.of` and the operations here, which keep it normal; don't change the arrays.

    >>> a = Spans.of([(0, 10), (20, 30)]); b = Spans.of([(5, 25)])
    >>> (a | b).pairs(), (a & b).pairs(), (a - b).pairs(), (a & b).total
    ([(0, 30)], [(5, 10), (20, 25)], [(0, 5), (25, 30)], 10)
    """

    start: Instants
    end: Instants

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]]) -> "Spans":
        """The time that any of these half-open pairs covers. Pairs may overlap, touch, be empty, in any order.

        Raises `ValueError` for one that ends before it starts.

        >>> Spans.of([(5, 9), (1, 5), (7, 12), (20, 20)]).pairs()
        [(1, 12)]
        """
        flat = np.array(list(pairs), np.int64).reshape(-1, 2)
        return cls.union_of(flat[:, 0], flat[:, 1])

    @classmethod
    def union_of(cls, start: Instants, end: Instants) -> "Spans":
        """As `of`, from columns."""
        if (end < start).any():
            bad = int(np.argmax(end < start))
            raise ValueError(f"a span ends before it starts: {instant(int(start[bad]))} .. {instant(int(end[bad]))}")
        some = end > start
        start, end = start[some], end[some]
        order = np.argsort(start, kind="stable")
        start, reach = start[order], np.maximum.accumulate(end[order])
        fresh = np.ones(start.size, bool)
        fresh[1:] = start[1:] > reach[:-1]
        last = np.ones(start.size, bool)
        last[:-1] = fresh[1:]
        return cls(start[fresh], reach[last])

    @classmethod
    def of_periods(cls, periods: Iterable[Period]) -> "Spans":
        """The time that any of these periods covers."""
        return cls.of((micros(p.start), micros(p.end)) for p in periods)

    def periods(self) -> tuple[Period, ...]:
        """As periods of aware instants, in order."""
        return tuple(Period(instant(s), instant(e)) for s, e in self.pairs())

    def pairs(self) -> list[tuple[int, int]]:
        """As plain pairs, in order."""
        return list(zip(self.start.tolist(), self.end.tolist(), strict=True))

    @property
    def total(self) -> int:
        """How long it is in all, in microseconds."""
        return int((self.end - self.start).sum())

    def covers(self, at: Instants) -> NDArray[np.bool_]:
        """For each instant, whether it lies in the set.

        >>> Spans.of([(2, 4)]).covers(np.array([1, 2, 3, 4])).tolist()
        [False, True, True, False]
        """
        if not self.start.size:
            return np.zeros(at.shape, bool)
        i = np.searchsorted(self.start, at, "right") - 1
        return np.asarray((i >= 0) & (at < self.end[np.maximum(i, 0)]), bool)

    def within(self, at: Instants) -> Instants:
        """For each instant, how much of the set lies before it, in microseconds: the running total of the set.

        >>> Spans.of([(2, 4), (10, 15)]).within(np.array([0, 3, 7, 12, 99])).tolist()
        [0, 1, 2, 4, 7]
        """
        if not self.start.size:
            return np.zeros(at.shape, np.int64)
        before = self.before
        i = np.searchsorted(self.start, at, "right") - 1
        j = np.maximum(i, 0)
        found: Instants = np.where(i < 0, 0, before[j] + np.minimum(at, self.end[j]) - self.start[j])
        return found

    @property
    def before(self) -> Instants:
        """How much of the set lies before each of its spans."""
        length = self.end - self.start
        running: Instants = np.cumsum(length)
        return running - length

    def longer_than(self, least: int) -> "Spans":
        """Only the spans that last longer than `least` microseconds."""
        keep = self.end - self.start > least
        return Spans(self.start[keep], self.end[keep])

    def clip(self, start: int, end: int) -> "Spans":
        """What of it lies in [start, end)."""
        first, last = np.maximum(self.start, start), np.minimum(self.end, end)
        some = last > first
        return Spans(first[some], last[some])

    def __or__(self, other: "Spans") -> "Spans":
        return at_least(1, self, other)

    def __and__(self, other: "Spans") -> "Spans":
        return at_least(2, self, other)

    def __sub__(self, other: "Spans") -> "Spans":
        return _swept(1, (self, other), (1, -1))

    def __bool__(self) -> bool:
        return bool(self.start.size)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Spans):
            return NotImplemented
        return np.array_equal(self.start, other.start) and np.array_equal(self.end, other.end)

    def __hash__(self) -> int:
        return hash((self.start.tobytes(), self.end.tobytes()))


EMPTY = Spans(np.empty(0, np.int64), np.empty(0, np.int64))


def at_least(k: int, *sets: Spans) -> Spans:
    """The time that at least `k` of the sets cover: 1 is their union, all of them their intersection.

    >>> a, b, c = Spans.of([(0, 10)]), Spans.of([(5, 15)]), Spans.of([(8, 20)])
    >>> at_least(2, a, b, c).pairs(), at_least(3, a, b, c).pairs()
    ([(5, 15)], [(8, 10)])
    """
    if k < 1:
        raise ValueError(f"at least {k} of some sets is all of time: expected 1 or more")
    return _swept(k, sets, (1,) * len(sets))


def _swept(k: int, sets: tuple[Spans, ...], weights: tuple[int, ...]) -> Spans:
    """Where the weights of the sets that cover an instant sum to `k` or more. `k` is above zero."""
    points = [part for one in sets for part in (one.start, one.end)]
    if not points:
        return EMPTY
    steps = [
        np.full(part.size, sign * weight, np.int64)
        for one, weight in zip(sets, weights, strict=True)
        for part, sign in ((one.start, 1), (one.end, -1))
    ]
    at = np.concatenate(points)
    order = np.argsort(at, kind="stable")
    at, step = at[order], np.concatenate(steps)[order]
    if not at.size:
        return EMPTY
    fresh = np.ones(at.size, bool)
    fresh[1:] = at[1:] != at[:-1]
    edges = at[fresh]
    level = np.cumsum(np.add.reduceat(step, np.flatnonzero(fresh)))
    inside = level >= k
    rises = inside.copy()
    rises[1:] &= ~inside[:-1]
    falls = np.zeros(inside.size, bool)
    falls[1:] = inside[:-1] & ~inside[1:]
    return Spans(edges[rises], edges[falls])
