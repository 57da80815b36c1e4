"""Cumulative counters become deltas; nothing that was not surely used is counted, and every doubt is flagged.

A counter that shows less than before has wrapped or was reset, and the number alone cannot tell which. Evidence
decides where there is any (the device's uptime, a discontinuity time); otherwise a decrease is a wrap only when what
that would mean is possible for the line and not far above what the series lately did. What stays unknown is resolved
by a named policy, in the customer's favour. See docs/adr/0004-counter-policies.md.
"""

from dataclasses import dataclass
from enum import IntFlag
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from coulance_core.catalog.terms import GapPolicy, Meter, ResetPolicy
from coulance_core.usage.samples import Bools, FlagBytes, Ints, SamplesError, check_offsets, first_rows, rows_of
from coulance_core.usage.vendors import VendorPolicy, vendor_deltas

_TWO32 = np.uint64(1 << 32)
_MASK32 = np.uint64((1 << 32) - 1)
_TOP = (1 << 62) - 1
"""More than any line carries in any interval that is metered here; above it a delta is impossible by itself."""
_UPTIME_MODULUS = 1 << 32
_UPTIME_SLACK = 500  # 5 s of clock difference between device and poller, in hundredths


class Flag(IntFlag):
    """What is not plain about an interval. None of them set: two good readings, one interval apart."""

    WRAP = 1
    """The counter passed its top; the delta is exact."""
    RESET = 2
    """It was reset; what it counted before the reset is lost."""
    IMPOSSIBLE = 4
    """The step is more than the line can carry, or negative."""
    GAP = 8
    """Polls were missed: the interval is longer than it should be."""
    SPREAD = 16
    """Known in total, spread evenly over the slots it spans."""
    ESTIMATED = 32
    """Not measured: estimated by a named policy; contestable."""
    UNKNOWN = 64
    """Nothing is counted for it."""
    NARROWED = 128
    """A 64-bit counter went on as a 32-bit one; the delta is exact modulo 2^32."""


def byte(*flags: Flag) -> np.uint8:
    """These flags together, as they are stored."""
    both = 0
    for flag in flags:
        both |= int(flag)
    return np.uint8(both)


def flag_counts(flags: FlagBytes) -> dict[str, int]:
    """How many intervals carry each flag, by lower-case name; flags that none carries are left out.

    >>> flag_counts(np.array([0, 1, 9], np.uint8))
    {'wrap': 2, 'gap': 1}
    """
    counts = {f.name.lower(): int(np.count_nonzero(flags & byte(f))) for f in Flag if f.name}
    return {name: count for name, count in counts.items() if count}


@dataclass(frozen=True, slots=True)
class CounterPolicy:
    """How a counter is read.

    `bits` is its width, or `None` to infer it for each series: 64 when a value needs it, else 32. `max_rate` is the
    most it can count in a second (stored units). A poll later than `gap_after_s` is a gap. Without evidence, a
    decrease is a wrap only when the implied rate is at most `plausible` times the highest of the `recent` plain
    intervals before it. `vendor` gives all that up and reproduces another program instead.
    """

    bits: int | None = None
    max_rate: Fraction | None = None
    interval_s: int = 300
    gap: GapPolicy = GapPolicy.ZERO
    reset: ResetPolicy = ResetPolicy.UNKNOWN
    plausible: int = 2
    recent: int = 288
    vendor: VendorPolicy | None = None

    @classmethod
    def of(cls, meter: Meter) -> "CounterPolicy":
        """The policy that a meter's terms state; its rate in stored integers."""
        rate = None if meter.max_rate is None else meter.max_rate * 10**meter.scale
        return cls(meter.counter_bits, rate, meter.interval_s, meter.gap, meter.reset)

    @property
    def gap_after_s(self) -> int:
        """One and a half intervals: a poll that comes later has at least one missed poll before it."""
        return self.interval_s * 3 // 2

    def ceiling(self, seconds: Ints) -> Ints:
        """The most that can be counted in so many seconds, a tenth of an interval allowed for late clocks."""
        if self.max_rate is None:
            return np.full(seconds.shape, _TOP, np.int64)
        rate = -(-self.max_rate.numerator // self.max_rate.denominator)
        spare = seconds + self.interval_s // 10
        return np.where(spare > _TOP // rate, _TOP, np.minimum(spare, _TOP // rate) * rate)


@dataclass(frozen=True, slots=True)
class Deltas:
    """What was counted in each interval (`start`, `at`] of each series, and what is to be known about it.

    `value` is never negative and 0 where `flags` says UNKNOWN. Series i is rows `offsets[i]:offsets[i + 1]`.
    """

    start: Ints
    at: Ints
    value: Ints
    flags: FlagBytes
    offsets: Ints

    @property
    def known(self) -> Bools:
        """Which intervals have a value."""
        known: Bools = (self.flags & byte(Flag.UNKNOWN)) == 0
        return known

    def rows(self) -> Ints:
        """The number of the series that each interval belongs to."""
        return rows_of(self.offsets)


def to_deltas(
    at: Ints,
    raw: Ints,
    policy: CounterPolicy,
    *,
    offsets: Ints | None = None,
    uptime: Ints | None = None,
    discontinuity: Ints | None = None,
) -> Deltas:
    """The deltas of cumulative readings, of one series or (with `offsets`) of many.

    `raw` holds uint64 patterns viewed as int64. The first reading of a series is a base line and gives no delta.
    Raises `SamplesError` for instants that do not ascend within a series.

    >>> at = np.array([0, 300, 600, 900, 1200])
    >>> raw = np.array([4_000_000_000, 4_200_000_000, 105_032_704, 305_032_704, 5_000])
    >>> d = to_deltas(at, raw, CounterPolicy(bits=32))
    >>> d.value.tolist()
    [200000000, 200000000, 200000000, 0]
    >>> [str(Flag(f).name) for f in d.flags.tolist()]
    ['None', 'WRAP', 'None', 'RESET|UNKNOWN']
    """
    if offsets is None:
        offsets = np.array([0, at.size], np.int64)
    check_offsets(at, offsets)
    if raw.shape != at.shape:
        raise SamplesError(f"raw has {raw.size} rows where at has {at.size}")
    inner = np.flatnonzero(~first_rows(offsets, at.size))
    before = inner - 1
    start, end = at[before], at[inner]
    bounds = offsets - np.searchsorted(np.flatnonzero(np.diff(offsets)), np.arange(offsets.size))
    pattern = raw.view(np.uint64)
    old, new = pattern[before], pattern[inner]
    if policy.vendor is not None:
        amount, known = vendor_deltas(start, end, old, new, policy.vendor)
        fits = known & (amount <= np.uint64(_TOP))
        flags = np.where(fits, 0, np.where(known, byte(Flag.IMPOSSIBLE, Flag.UNKNOWN), byte(Flag.GAP, Flag.UNKNOWN)))
        return Deltas(start, end, np.where(fits, amount, 0).astype(np.int64), flags.astype(np.uint8), bounds)
    restarted, vouched, since = _evidence(start, end, before, inner, uptime, discontinuity)
    width = _width(pattern, offsets, policy.bits)[rows_of(offsets)[inner]] if inner.size else np.zeros(0, np.int64)
    case = _Intervals(policy, end - start, old, new, width, bounds, restarted, vouched, since)
    value, flags = case.judge()
    return Deltas(start, end, value, flags, bounds)


def checked_deltas(at: Ints, value: Ints, policy: CounterPolicy, *, offsets: Ints | None = None) -> Deltas:
    """The deltas of a meter that sends deltas: its interval runs from the sample before, or is a regular one.

    After a gap the sample stands for its own regular interval; the time before it is unknown, not part of it. A
    negative value, or one above the ceiling, is impossible: counted as unknown.

    >>> checked_deltas(np.array([300, 601, 1500]), np.array([7, -1, 9]), CounterPolicy()).start.tolist()
    [0, 300, 1200]
    """
    if offsets is None:
        offsets = np.array([0, at.size], np.int64)
    check_offsets(at, offsets)
    start = np.empty_like(at)
    start[1:] = at[:-1]
    alone = first_rows(offsets, at.size)
    alone[1:] |= at[1:] - at[:-1] > policy.gap_after_s
    start[alone] = at[alone] - policy.interval_s
    bad = value < 0
    if policy.max_rate is not None:
        bad |= value > policy.ceiling(at - start)
    flags = np.zeros(at.shape, np.uint8)
    if bad.any():
        flags[bad] = byte(Flag.IMPOSSIBLE, Flag.UNKNOWN)
        value = np.where(bad, 0, value)
    return Deltas(start, at, value, flags, offsets)


def _width(pattern: NDArray[np.uint64], offsets: Ints, bits: int | None) -> Ints:
    """Declared, or inferred for each series: 64 bits when any of its values needs them."""
    if bits is not None:
        return np.full(offsets.size - 1, bits, np.int64)
    needs = np.concatenate(([0], np.cumsum(pattern >= _TWO32)))
    return np.where(needs[offsets[1:]] > needs[offsets[:-1]], 64, 32)


def _evidence(
    start: Ints, end: Ints, before: Ints, inner: Ints, uptime: Ints | None, discontinuity: Ints | None
) -> tuple[Bools, Bools, Ints]:
    """(certainly restarted, certainly not, seconds counted since the restart) of each interval."""
    length = end - start
    restarted = np.zeros(length.shape, np.bool_)
    vouched = np.zeros(length.shape, np.bool_)
    since = length.copy()
    if uptime is not None:
        # sysUpTime itself wraps after 497 days: compare what passed on both clocks modulo its own width.
        passed = (uptime[inner] - uptime[before] - 100 * length) % _UPTIME_MODULUS
        off = np.minimum(passed, _UPTIME_MODULUS - passed)
        agrees = off <= _UPTIME_SLACK + length  # 1 % of clock drift
        restarted |= ~agrees
        vouched |= agrees
        since = np.where(agrees, since, np.minimum(since, uptime[inner] // 100 + 1))
    if discontinuity is not None:
        broke = discontinuity[inner] != discontinuity[before]
        restarted |= broke
        vouched &= ~broke
    return restarted, vouched, since


@dataclass(frozen=True, slots=True)
class _Intervals:
    """All intervals of a batch, with what is needed to judge them."""

    policy: CounterPolicy
    length: Ints
    old: NDArray[np.uint64]
    new: NDArray[np.uint64]
    width: Ints
    bounds: Ints
    restarted: Bools
    vouched: Bools
    since: Ints

    def judge(self) -> tuple[Ints, FlagBytes]:
        ceiling = self.policy.ceiling(self.length)
        top = ceiling.astype(np.uint64)
        gap = self.length > self.policy.gap_after_s
        flags = np.zeros(self.length.shape, np.uint8)
        step = self.new - self.old  # modulo 2^64, as the counter itself counts
        rises = (self.new >= self.old) & ~self.restarted
        plain = rises & (step <= top)
        value = np.where(plain, step, 0).astype(np.int64)
        flags[rises & ~plain] |= byte(Flag.IMPOSSIBLE, Flag.UNKNOWN)

        falls = np.flatnonzero(~rises & ~self.restarted)
        if falls.size:
            self._wraps(falls, value, flags, plain & ~gap, top)
        resets = np.flatnonzero(~rises & ((flags & byte(Flag.WRAP, Flag.NARROWED)) == 0))
        if resets.size:
            flags[resets] |= byte(Flag.RESET, Flag.UNKNOWN)
            if self.policy.reset is ResetPolicy.SINCE_ZERO:
                self._since_zero(resets, value, flags, plain & ~gap)
        self._gaps(gap, value, flags)
        if self.policy.reset is ResetPolicy.PREVIOUS_DELTA:
            self._repeat(value, flags)
        return value, flags

    def _wraps(self, falls: Ints, value: Ints, flags: FlagBytes, plain: Bools, top: NDArray[np.uint64]) -> None:
        """Accept as wraps the decreases that evidence vouches for or that the recent peak makes plausible."""
        old, new, vouched = self.old[falls], self.new[falls], self.vouched[falls]
        narrow = (self.width[falls] == 32) & (old < _TWO32)
        implied = np.where(narrow, (new - old) & _MASK32, new - old)
        possible = implied <= top[falls]
        # A 64-bit counter that fell back to 32 bits while the device ran on: only evidence can show that.
        fallback = ~narrow & vouched & (new < _TWO32) & ~possible & (((new - old) & _MASK32) <= top[falls])
        implied = np.where(fallback, (new - old) & _MASK32, implied)
        accepted = fallback | (possible & vouched)
        for _ in range(2):  # a second look, with the wraps of the first among the peaks
            bound, any_peak = self._bound(falls, value, plain)
            near = np.where(any_peak, implied <= bound.astype(np.uint64), self.policy.max_rate is not None)
            accepted |= possible & near
            rows = falls[accepted]
            value[rows] = implied[accepted].astype(np.int64)
            flags[rows] |= byte(Flag.WRAP)
            plain = plain.copy()
            plain[rows] = self.length[rows] <= self.policy.gap_after_s
        flags[falls[fallback]] ^= byte(Flag.WRAP, Flag.NARROWED)

    def _since_zero(self, resets: Ints, value: Ints, flags: FlagBytes, plain: Bools) -> None:
        """Count the reading since the reset where that is surely use: in reach of the line, and near the peak."""
        reading, certain = self.new[resets], self.restarted[resets]
        bound, any_peak = self._bound(resets, value, plain)
        reach = self.policy.ceiling(self.since[resets]).astype(np.uint64)
        near = np.where(any_peak, reading <= bound.astype(np.uint64), self.policy.max_rate is not None)
        sure = (reading <= reach) & (near | certain)
        value[resets[sure]] = reading[sure].astype(np.int64)
        flags[resets[sure]] &= ~byte(Flag.UNKNOWN)

    def _gaps(self, gap: Bools, value: Ints, flags: FlagBytes) -> None:
        """A gap's total is known from the counter: spread it, or, by policy zero, count nothing."""
        flags[gap] |= byte(Flag.GAP)
        known = gap & ((flags & byte(Flag.UNKNOWN)) == 0)
        if self.policy.gap is GapPolicy.ZERO:
            value[known] = 0
            flags[known] |= byte(Flag.UNKNOWN)
        else:
            flags[known] |= byte(Flag.SPREAD)

    def _repeat(self, value: Ints, flags: FlagBytes) -> None:
        """LibreNMS's way: the last delta again. It invents use; kept to reproduce other programs' bills."""
        lost = ((flags & byte(Flag.UNKNOWN)) != 0) & ((flags & byte(Flag.RESET, Flag.IMPOSSIBLE)) != 0)
        series = rows_of(self.bounds)
        source = np.maximum.accumulate(np.where(lost, -1, np.arange(value.size)))
        # -1 says that no earlier row of the whole batch is good; a good row of another series is no source either.
        ours = lost & (source >= 0) & (series[source] == series)
        value[ours] = value[source[ours]]
        flags[ours] = (flags[ours] & ~byte(Flag.UNKNOWN)) | byte(Flag.ESTIMATED)

    def _bound(self, rows: Ints, value: Ints, plain: Bools) -> tuple[Ints, Bools]:
        """The most that is plausible in these intervals, and whether their series has anything to compare with.

        The peak looks back over `recent` intervals; at the start of a series, where there is no past, it looks ahead
        as far.
        """
        rate = np.where(plain, -(-value // self.length), -1)
        series = rows_of(self.bounds)[rows]
        first, last = self.bounds[:-1][series], self.bounds[1:][series]
        peak = _range_max(rate, np.maximum(first, rows - self.policy.recent), rows)
        ahead = _range_max(rate, rows + 1, np.minimum(last, rows + 1 + self.policy.recent))
        peak = np.where(peak >= 0, peak, ahead)
        fastest = np.clip(peak, 0, _TOP // self.policy.plausible)
        most = self.policy.plausible * fastest
        seconds = self.length[rows]
        bound = np.where(most > _TOP // np.maximum(seconds, 1), _TOP, np.minimum(most, _TOP // seconds) * seconds)
        return bound, peak >= 0


def _range_max(values: Ints, low: Ints, high: Ints) -> Ints:
    """The greatest of `values[low:high]` for each pair, -1 where that is empty. O(n log n), no loop per query.

    >>> _range_max(np.array([3, 9, 4]), np.array([0, 2, 1]), np.array([1, 2, 3])).tolist()
    [3, -1, 9]
    """
    found = np.full(low.shape, -1, np.int64)
    size = np.maximum(high - low, 0)
    level, table = 0, values
    while size.size and (1 << level) <= int(size.max()):
        span = 1 << level
        here = np.flatnonzero((size >= span) & (size < 2 * span))
        found[here] = np.maximum(table[low[here]], table[high[here] - span])
        if table.size <= span:
            break  # no longer stretch exists, so no query asks for one
        table = np.maximum(table[: table.size - span], table[span:])
        level += 1
    return found
