"""Seeded traffic that looks like the real thing: what a provider's collectors would have sent.

Every series has a level, a day and a week rhythm in local time, slow drift, correlated noise and heavy-tailed bursts.
What makes real data hard is here too: jittered and missed polls, a 64-bit counter that is reset, a 32-bit counter that
wraps, duplicates and files that come late. All of it is a function of the seed, so that two runs are equal.

Volumes are bytes in each five-minute interval, as int64 arrays of shape (intervals,). Readings are what a poller saw.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

INTERVAL = 300
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Profile:
    """How a kind of server behaves.

    `level` is the median outbound rate in Mbit/s; `inbound` the share of it that comes in; `day` and `week` are the
    depth of the rhythms (0 flat, 1 silent at night or at the weekend); `noise` the spread of the correlated noise;
    `bursts` how many bursts a week; `line` the port's speed in Mbit/s.
    """

    level: float
    inbound: float
    day: float
    week: float
    noise: float
    bursts: float
    line: float


PROFILES = {
    "web": Profile(0.9, 0.12, 0.75, 0.25, 0.35, 6, 1000),
    "shop": Profile(1.6, 0.15, 0.80, -0.25, 0.40, 9, 1000),
    "office": Profile(0.5, 0.60, 0.90, 0.85, 0.40, 2, 1000),
    "game": Profile(1.8, 0.35, 0.60, -0.40, 0.30, 4, 1000),
    "backup": Profile(0.6, 4.00, 0.20, 0.05, 0.50, 7, 1000),
    "stream": Profile(4.5, 0.04, 0.70, -0.15, 0.30, 5, 1000),
    "port": Profile(95.0, 0.35, 0.65, 0.20, 0.25, 5, 1000),
    "quiet": Profile(0.05, 0.40, 0.40, 0.10, 0.60, 1, 100),
}


def rng_for(seed: int, key: str) -> np.random.Generator:
    """A generator of its own for each series: adding one series does not move another's numbers."""
    return np.random.default_rng([seed, *key.encode()])


def interval_ends(start: datetime, end: datetime) -> Ints:
    """The epoch seconds at which each five-minute interval of [start, end) ends."""
    first = int(start.timestamp())
    return np.arange(first + INTERVAL, int(end.timestamp()) + 1, INTERVAL, dtype=np.int64)


def volumes(
    profile: Profile, ends: Ints, zone: ZoneInfo, rng: np.random.Generator, scale: float = 1.0
) -> tuple[Ints, Ints]:
    """Bytes in and out in each interval that ends at `ends`, never above the port's line rate."""
    n = len(ends)
    hour, weekend = _local_clock(ends, zone)
    peak = 20.5 if profile.week < 0 else 15.0  # leisure peaks in the evening, business in the afternoon
    rhythm = 1 - profile.day * (0.5 - 0.5 * np.cos((hour - peak) / 24 * 2 * np.pi)) ** 1.3
    rhythm *= 1 - profile.week * weekend
    drift = 1 + rng.normal(0, 0.10) * np.linspace(-1, 1, n)
    noise = np.exp(_ar1(rng, n, 0.97, profile.noise))
    rate = scale * profile.level * rhythm * drift * noise
    for begin in np.flatnonzero(rng.random(n) < profile.bursts / 2016):
        length = int(rng.integers(2, 36))
        rate[begin : begin + length] *= 1 + min(rng.pareto(1.6), 12.0)
    rate = np.minimum(rate, 0.94 * profile.line)
    inbound = np.minimum(rate * profile.inbound * np.exp(_ar1(rng, n, 0.9, 0.2)), 0.94 * profile.line)
    return _bytes(inbound), _bytes(rate)


def flood(volume: Ints, begin: int, hours: float, mbit: float, rng: np.random.Generator) -> Ints:
    """The same intervals with a flood of `mbit` Mbit/s on top, from interval `begin` for some hours."""
    out = volume.copy()
    length = int(hours * 12)
    out[begin : begin + length] += _bytes(mbit * rng.uniform(0.9, 1.0, len(out[begin : begin + length])))
    return out


def runaway(volume: Ints, begin: int, mbit: float) -> Ints:
    """The same intervals with a process gone wild from interval `begin` on: a steady rate, day and night."""
    out = volume.copy()
    out[begin:] = np.maximum(out[begin:], _bytes(np.full(len(out) - begin, mbit)))
    return out


@dataclass(frozen=True, slots=True)
class Polls:
    """What a collector recorded: epoch seconds and one or two columns of whole numbers (counters as int64 patterns)."""

    at: Ints
    v_in: Ints
    v_out: Ints


def polled(
    ends: Ints, v_in: Ints, v_out: Ints, rng: np.random.Generator, *, bits: int, resets: tuple[int, ...] = ()
) -> Polls:
    """Cumulative counters as a poller reads them: jitter, missed polls, wraps at `bits`, resets before the given polls.

    Between two instants traffic flows evenly, so a poll four seconds late has seen four seconds of the next interval.
    The reading is exact: the sum of the deltas over any stretch is what flowed between its polls.
    """
    n = len(ends) + 1
    jitter = np.clip(np.round(rng.normal(0, 1.2, n)), -4, 4).astype(np.int64)
    jitter[0] = 0
    at = np.concatenate(([ends[0] - INTERVAL], ends)) + jitter  # counting starts with a reading at the very start
    edges = np.concatenate(([ends[0] - INTERVAL], ends, [ends[-1] + INTERVAL]))
    columns = []
    for volume in (v_in, v_out):
        total = np.concatenate(([0], np.cumsum(volume), [int(volume.sum()) + int(volume[-1])]))
        slot = np.searchsorted(edges, at, side="right") - 1
        partial = (total[slot + 1] - total[slot]) * (at - edges[slot]) // INTERVAL
        reading = total[slot] + partial + int(rng.integers(0, 2**31))
        for poll in resets:
            reading[poll:] -= reading[poll - 1]
        columns.append(np.mod(reading, 2**bits) if bits == 32 else reading)
    keep = rng.random(n) >= 0.003
    for begin in np.flatnonzero(rng.random(n) < 0.0002):  # a collector that restarts misses several in a row
        keep[begin : begin + int(rng.integers(2, 8))] = False
    keep[[0, n - 1]] = True
    return Polls(at[keep], columns[0][keep], columns[1][keep])


def gauge_storage(ends: Ints, rng: np.random.Generator, gigabytes: float) -> Polls:
    """Bytes stored, read every hour: grows with daily uploads and shrinks when old backups are pruned on Sundays."""
    hourly = ends[11::12]
    steps = np.maximum(rng.gamma(0.6, gigabytes * 0.0012, len(hourly)), 0)
    weekday = ((hourly // 86400) + 4) % 7  # 1 January 1970 was a Thursday; 0 is Sunday
    level = np.empty(len(hourly))
    now = gigabytes
    for i, step in enumerate(steps):
        now += step
        if weekday[i] == 0 and hourly[i] % 86400 == 3 * 3600:
            now *= rng.uniform(0.86, 0.95)
        level[i] = now
    stored = (level * 1e9).astype(np.int64)
    return Polls(hourly, stored, np.zeros_like(stored))


def gauge_seats(ends: Ints, rng: np.random.Generator, seats: int) -> Polls:
    """Seats in use, reported daily: people join and leave on working days."""
    daily = ends[287::288]
    moves = rng.choice([-1, 0, 0, 0, 0, 1, 1], len(daily))
    count = np.maximum(seats + np.cumsum(moves), 1).astype(np.int64)
    return Polls(daily, count, np.zeros_like(count))


def visits(ends: Ints, zone: ZoneInfo, rng: np.random.Generator, scale: float) -> Polls:
    """Requests an hour, counted on the customer's own machine, which is switched off now and then."""
    hourly = ends[11::12]
    hour, weekend = _local_clock(hourly, zone)
    rhythm = 0.15 + 0.85 * (0.5 + 0.5 * np.cos((hour - 20.5) / 24 * 2 * np.pi)) * (1 + 0.4 * weekend)
    count = rng.poisson(scale * 520 * rhythm * np.exp(_ar1(rng, len(hourly), 0.9, 0.25))).astype(np.int64)
    keep = np.ones(len(hourly), dtype=bool)
    for begin in np.flatnonzero(rng.random(len(hourly)) < 0.002):
        keep[begin : begin + int(rng.integers(3, 20))] = False
    return Polls(hourly[keep], count[keep], np.zeros_like(count[keep]))


def _local_clock(ends: Ints, zone: ZoneInfo) -> tuple[Floats, NDArray[np.bool_]]:
    """Hour of the day (with fraction) and whether it is a weekend, in local time; the offset is looked up daily."""
    days, where = np.unique(ends // 86400, return_inverse=True)
    offsets = np.array([_offset(int(day) * 86400 + 43200, zone) for day in days])
    local = ends + offsets[where]
    weekday = ((local // 86400) + 3) % 7  # 0 is Monday
    return (local % 86400) / 3600.0, weekday >= 5


def _offset(epoch: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(epoch, zone).utcoffset()
    return int(offset.total_seconds()) if offset else 0


def _ar1(rng: np.random.Generator, n: int, keep: float, spread: float) -> Floats:
    """Correlated noise with standard deviation `spread`, by blocks: a loop over samples would cost most of the demo."""
    shocks = rng.normal(0, spread * np.sqrt(1 - keep**2), n)
    block = 256
    weights = keep ** np.arange(block)
    kernel = np.tril(weights[np.subtract.outer(np.arange(block), np.arange(block)).clip(0)])
    padded = np.zeros(-(-n // block) * block)
    padded[:n] = shocks
    rows = padded.reshape(-1, block) @ kernel.T
    carry = rng.normal(0, spread)
    for row in rows:
        row += carry * keep ** np.arange(1, block + 1)
        carry = row[-1]
    return np.asarray(rows.ravel()[:n], np.float64)


def _bytes(mbit: Floats) -> Ints:
    return np.asarray(mbit * (1e6 / 8 * INTERVAL), dtype=np.int64)
