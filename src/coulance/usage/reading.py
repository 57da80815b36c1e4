"""Reading samples back: unsealed blobs and segments together, the last revision of each, sorted by series and instant.

Blobs are read before the manifest: a blob sealed in between then shows up twice with the same revision, which does no
harm, and never not at all. A segment that is superseded in between stays readable: its deletion is delayed.
"""

import itertools
from typing import NamedTuple

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from coulance.usage import segments
from coulance.usage.blobs import Rows, decode
from coulance.usage.models import Segment
from coulance.usage.segments import Part
from coulance.usage.store import SegmentStore, current

Int64s = NDArray[np.int64]

ALL_TIME = (-(2**62), 2**62)
"""Bounds that leave nothing out."""


def _blob_parts(series: Int64s | None, low: int, high: int) -> list[Part]:
    bounds = (int(series[0]), int(series[-1])) if series is not None else ALL_TIME
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, data FROM usage_blob WHERE at_min <= %s AND at_max >= %s AND series_min <= %s"
            " AND series_max >= %s ORDER BY id",
            [high, low, bounds[1], bounds[0]],
        )
        found = cursor.fetchall()
    parts = []
    for revision, data in found:
        rows = decode(data)
        keep = (rows.at >= low) & (rows.at <= high)
        if series is not None:
            keep &= is_in(rows.series, series)
        if not keep.all():
            rows = rows.take(keep)
        if len(rows):
            parts.append(Part(rows, np.full(len(rows), revision, np.int64)))
    return parts


def is_in(values: Int64s, members: Int64s) -> NDArray[np.bool_]:
    """Which of `values` are among `members` (sorted)."""
    if not len(members):
        return np.zeros(len(values), np.bool_)
    place = np.minimum(np.searchsorted(members, values), len(members) - 1)
    return np.asarray(members[place] == values)


def read_rows(
    *, series: Int64s | None, low: int, high: int, store: SegmentStore | None = None, threads: bool = False
) -> Part:
    """Samples of `series` (sorted distinct ids; `None` for all) with an instant in [low, high], in epoch seconds.

    One row for each series and instant, its last revision; revisions read as 0 where nothing had to be compared.
    """
    if series is not None and not len(series):
        return segments.concat([])
    parts = _blob_parts(series, low, high)
    files = store or current()
    live = Segment.objects.filter(state="live", at_min__lte=high, at_max__gte=low)
    if series is not None:
        live = live.filter(series_min__lte=int(series[-1]), series_max__gte=int(series[0]))
    listed = [Listed(*row) for row in live.values_list("path", "series_min", "series_max", "at_min", "at_max")]
    groups = _in_time(listed)
    alone = (
        not parts
        and all(_disjoint(group) for group in groups)
        and all(segments.index_of(files, one.path).one_revision for one in listed)
    )
    read = [
        [segments.read(files, one.path, series, low, high, revisions=not alone, threads=threads) for one in group]
        for group in groups
    ]
    if alone:  # the files of a group follow one another by series, and the groups in time
        return segments.merge([segments.concat([part for part in group if len(part)]) for group in read])
    return segments.newest(segments.merge([*(part for group in read for part in group), *parts]))


class Listed(NamedTuple):
    """A segment as the manifest lists it."""

    path: str
    series_min: int
    series_max: int
    at_min: int
    at_max: int


def _in_time(listed: list[Listed]) -> list[list[Listed]]:
    """Groups of segments that follow one another in time; those of a group overlap, and are sorted by series."""
    groups: list[list[Listed]] = []
    end = -(2**62)
    for one in sorted(listed, key=lambda one: one.at_min):
        if one.at_min > end:
            groups.append([])
        groups[-1].append(one)
        end = max(end, one.at_max)
    return [sorted(group, key=lambda one: one.series_min) for group in groups]


def _disjoint(group: list[Listed]) -> bool:
    """Whether no two segments can hold the same series."""
    return all(one.series_max < following.series_min for one, following in itertools.pairwise(group))


def find(rows: Rows, stored: Rows) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """For each of `rows`, whether `stored` (sorted, distinct) has its series and instant, and at which index."""
    if not len(stored):
        return np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.intp)
    base = int(min(rows.at.min(), stored.at.min()))
    span = int(max(rows.at.max(), stored.at.max())) - base + 1
    ids = np.unique(stored.series)
    if len(ids) * span >= 2**62:  # instants centuries apart: no bad clock gets this far past validation
        raise OverflowError("instants too far apart to be looked up together")
    rank = np.minimum(np.searchsorted(ids, rows.series), len(ids) - 1)
    known = ids[rank] == rows.series
    haystack = np.searchsorted(ids, stored.series) * span + (stored.at - base)
    needle = rank * span + (rows.at - base)
    place = np.minimum(np.searchsorted(haystack, needle), len(haystack) - 1)
    return known & (haystack[place] == needle), place
