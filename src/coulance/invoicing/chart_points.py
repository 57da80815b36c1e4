"""From samples to the few points that a picture shows; for whoever freezes a snapshot."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import floor, log10
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Points = list[list[float]]

MOST_POINTS = 800
"""Columns a picture can show; more points than that are enveloped by their maximum, so that no peak is lost."""


def daily_points(at: Ints, v_in: Ints, v_out: Ints, zone: ZoneInfo, divisor: int | float = 1) -> Points:
    """Sums per civil day in `zone`, divided by `divisor` (10**9 for GB): [[epoch of the day's start, in, out], ...].

    `at` is sorted epoch seconds; a sample belongs to the day that it lies in. Days without samples are left out.
    """
    if at.size == 0:
        return []
    starts = day_starts(int(at[0]), int(at[-1]) + 1, zone)
    edges = np.searchsorted(at, np.asarray(starts, dtype=np.int64))
    points: Points = []
    for day, (low, high) in zip(starts, pairwise([*edges.tolist(), at.size]), strict=True):
        if high > low:
            sums = (int(v_in[low:high].sum()), int(v_out[low:high].sum()))
            points.append([day, *(_short(s / divisor) for s in sums)])
    return points


def rate_points(
    at: Ints, v_in: Ints, v_out: Ints, interval_s: int, divisor: int | float = 10**6, limit: int = MOST_POINTS
) -> Points:
    """Bytes per sample as bit rates over `divisor` (10**6 for Mbit/s), at most `limit` buckets by their maximum."""
    factor = 8 / interval_s / divisor
    return [[t, _short(i * factor), _short(o * factor)] for t, i, o in _envelope(at, (v_in, v_out), interval_s, limit)]


def level_points(at: Ints, value: Ints, interval_s: int, divisor: int | float = 1, limit: int = MOST_POINTS) -> Points:
    """A gauge's highest level in each of at most `limit` buckets, divided by `divisor`: [[epoch, level, 0], ...]."""
    return [[t, _short(v / divisor), 0] for t, v in _envelope(at, (value,), interval_s, limit)]


def _envelope(at: Ints, columns: Sequence[Ints], interval_s: int, limit: int) -> list[list[int]]:
    if at.size == 0:
        return []
    first = int(at[0])
    width = max(1, -(-(int(at[-1]) - first + interval_s) // limit))
    width = -(-width // interval_s) * interval_s  # whole samples a bucket, or buckets would alternate in size
    bucket = (at - first) // width
    begins = np.flatnonzero(np.concatenate(([True], bucket[1:] != bucket[:-1])))
    times = first + bucket[begins] * width
    rows: list[list[int]] = np.column_stack([times, *(np.maximum.reduceat(c, begins) for c in columns)]).tolist()
    return rows


def _short(value: float) -> float:
    """Four significant figures: finer than a picture shows, and a third of the bytes."""
    if value == 0:
        return 0
    digits = 3 - floor(log10(abs(value)))
    rounded = round(value, digits)
    return int(rounded) if rounded == int(rounded) else rounded


def day_starts(start: int, end: int, zone: ZoneInfo) -> list[int]:
    """The civil midnights in `zone` from the day that `start` lies in until before `end`."""
    day = datetime.fromtimestamp(start, zone).date()
    starts: list[int] = []
    while True:
        midnight = int(datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC).timestamp())
        if midnight >= end:
            return starts
        starts.append(midnight)
        day += timedelta(days=1)
