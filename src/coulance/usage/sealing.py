"""Blobs become segments, small segments large ones, old months expire, and files without use go.

Each act writes its files first and then changes the manifest in one transaction: killed anywhere, either nothing has
happened (but for a file that nobody names, which `collect_garbage` removes) or all has. A file that left the manifest
stays for `KEEP_LEFT`, longer than the oldest backup that may name it. One act runs at a time (an advisory lock).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
from django.db import connection, transaction
from numpy.typing import NDArray

from coulance.platform.db import lock_key
from coulance.usage import blobs, segments
from coulance.usage.errors import UnableToReadSegmentError, UnableToSealError
from coulance.usage.models import Batch, Blob, Horizon, Segment
from coulance.usage.segments import Part, Written
from coulance.usage.store import SegmentStore, current

Int64s = NDArray[np.int64]

SEALING_LOCK = lock_key("usage", "sealing")
ROWS_A_ROUND = 8_000_000
"""Rows that sealing holds in memory at once."""
ROWS_A_SEGMENT = 8_000_000
"""Rows that a merged segment has about; also what compaction holds at once, times the inputs' overlap."""
KEEP_LEFT = timedelta(days=35)
"""How long a file stays after it left the manifest: longer than backups are kept by default (30 days)."""
DAY_S = 86_400
ORPHAN_AGE = timedelta(days=2)
"""A file that no manifest row names is removed when it is older: a run that is under way may be about to name it."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What sealing did."""

    blobs: int
    rows: int
    segments: int
    size: int


@dataclass(frozen=True, slots=True)
class Compacted:
    """What compaction did."""

    months: int
    merged: int
    into: int
    rows: int


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the sealing lock on this connection, across transactions. Raises `UnableToSealError` when it is taken."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [SEALING_LOCK])
        row = cursor.fetchone()
    if not (row and row[0]):
        raise UnableToSealError("samples are being sealed or compacted by another process; try again later")
    try:
        yield
    finally:
        if connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [SEALING_LOCK])


def seal(*, now: datetime, before: datetime | None = None, store: SegmentStore | None = None) -> Sealed:
    """Turn all blobs (or those of batches recorded before an instant) into segments, one file a UTC month.

    Ingest goes on meanwhile. Raises `UnableToSealError` when another process is at it.
    """
    files = store or current()
    total = Sealed(0, 0, 0, 0)
    with _alone():
        for ids in _rounds(before):
            data = Blob.objects.filter(id__in=ids).order_by("id").values_list("id", "data")
            parts = []
            for revision, blob in data.iterator(chunk_size=256):
                rows = blobs.decode(blob)
                parts.append(Part(rows, np.full(len(rows), revision, np.int64)))
            written = [_put(files, part, level=0) for part in _by_month(segments.merge(parts))]
            with transaction.atomic():
                gone, _ = Blob.objects.filter(id__in=ids).delete()
                if gone != len(ids):  # the lock was lost with its connection, and another process sealed them
                    raise UnableToSealError("blobs vanished while they were sealed; nothing was changed, try again")
                _name(written, level=0, now=now)
            total = Sealed(
                total.blobs + len(ids),
                total.rows + sum(one.rows for one in written),
                total.segments + len(written),
                total.size + sum(len(one.data) for one in written),
            )
    return total


def _rounds(before: datetime | None) -> Iterator[list[int]]:
    """Lists of blob ids, each of at most about ROWS_A_ROUND rows."""
    waiting = Blob.objects.order_by("id")
    if before is not None:
        waiting = waiting.filter(id__in=Batch.objects.filter(recorded_at__lt=before).values("id"))
    ids: list[int] = []
    rows = 0
    for revision, count in list(waiting.values_list("id", "rows")):
        if ids and rows + count > ROWS_A_ROUND:
            yield ids
            ids, rows = [], 0
        ids.append(revision)
        rows += count
    if ids:
        yield ids


def _by_month(part: Part) -> Iterator[Part]:
    months = segments.month_of(part.rows.at)
    found = np.unique(months)
    for month in found:
        yield part if len(found) == 1 else part.take(months == month)


def _put(files: SegmentStore, part: Part, level: int) -> Written:
    one = segments.write(part, level)
    try:
        files.put(one.path, one.data)
    except OSError as fault:
        raise UnableToSealError(
            f"segment {one.path} can't be written: {fault}; every sample is still kept where it was"
        ) from fault
    return one


def _name(written: Iterable[Written], *, level: int, now: datetime) -> None:
    """Add manifest rows."""
    Segment.objects.bulk_create(
        Segment(
            path=one.path,
            month=one.month,
            level=level,
            rows=one.rows,
            size=len(one.data),
            sha256=one.sha256,
            series_min=one.series[0],
            series_max=one.series[1],
            at_min=one.at[0],
            at_max=one.at[1],
            revision_min=one.revision[0],
            revision_max=one.revision[1],
            state="live",
            sealed_at=now,
        )
        for one in written
    )


def compact(*, now: datetime, least: int = 2, store: SegmentStore | None = None) -> Compacted:
    """Merge each month that has `least` or more segments beside its merged ones into larger, series-major ones.

    All revisions are kept: they are the trail of corrections.
    """
    files = store or current()
    total = Compacted(0, 0, 0, 0)
    with _alone():
        months = Segment.objects.filter(state="live").values_list("month", flat=True).distinct().order_by("month")
        for month in list(months):
            total = _compact_month(files, month, now, least, total)
    return total


def _compact_month(files: SegmentStore, month: date, now: datetime, least: int, total: Compacted) -> Compacted:
    live = list(Segment.objects.filter(state="live", month=month).order_by("revision_min", "id"))
    if sum(one.level == 0 for one in live) < least:
        return total
    written = []
    for bounds in _cuts(files, live):
        parts = [
            segments.read(files, one.path, _between(files, one.path, *bounds), -(2**62), 2**62)
            for one in live
            if one.series_min < bounds[1] and one.series_max >= bounds[0]
        ]
        written += [_put(files, part, level=1) for part in _bands(segments.merge(parts), month)]
    if sum(one.rows for one in written) != sum(one.rows for one in live):
        raise UnableToSealError(f"the merged segments of {month:%Y-%m} do not have all rows; nothing was changed")
    # What came out as it went in (no new samples for those series) stays as it is.
    same = {one.path for one in written} & {one.path for one in live}
    live = [one for one in live if one.path not in same]
    written = [one for one in written if one.path not in same]
    with transaction.atomic():
        left = Segment.objects.filter(id__in=[one.id for one in live], state="live").update(
            state="superseded", left_at=now, delete_after=now + KEEP_LEFT
        )
        if left != len(live):
            raise UnableToSealError("segments changed while they were merged; nothing was changed, try again")
        # The same rows merged again make the same file, which may be on record as superseded once.
        Segment.objects.filter(path__in=[one.path for one in written]).exclude(state="live").delete()
        _name(written, level=1, now=now)
    rows = sum(one.rows for one in written)
    return Compacted(total.months + 1, total.merged + len(live), total.into + len(written), total.rows + rows)


def _bands(part: Part, month: date) -> Iterator[Part]:
    """A month's first day, its last day, and what is between, apart.

    A billing month in a zone begins some hours before or after the UTC month: its reader then decodes one day of the
    neighbouring month, not all of it.
    """
    number = segments.month_number(month)
    edges = np.array([segments.month_start(number) + DAY_S, segments.month_start(number + 1) - DAY_S])
    band = np.searchsorted(edges, part.rows.at, side="right")
    for one in range(3):
        mine = band == one
        if mine.all():
            yield part
        elif mine.any():
            yield part.take(mine)


def _between(files: SegmentStore, path: str, low: int, high: int) -> Int64s:
    ids = segments.index_of(files, path).ids
    return ids[(ids >= low) & (ids < high)]


def _cuts(files: SegmentStore, live: list[Segment]) -> Iterator[tuple[int, int]]:
    """Ranges [low, high) of series ids, each of about ROWS_A_SEGMENT rows over all inputs."""
    ids, counts = [], []
    for one in live:
        index = segments.index_of(files, one.path)
        ids.append(index.ids)
        counts.append(np.diff(index.starts))
    every, place = np.unique(np.concatenate(ids), return_inverse=True)
    rows = np.zeros(len(every), np.int64)
    np.add.at(rows, place, np.concatenate(counts))
    file_number = (np.cumsum(rows) - 1) // ROWS_A_SEGMENT
    edges = np.flatnonzero(np.concatenate(([True], file_number[1:] != file_number[:-1])))
    lows = every[edges].tolist()
    yield from zip(lows, [*lows[1:], int(every[-1]) + 1], strict=True)


def retain(*, before: date, now: datetime) -> int:
    """Let samples of whole UTC months before the month of `before` expire; returns how many segments left.

    Their daily counters stay. From then on older samples are refused, for they could not be told from duplicates.
    """
    first = before.replace(day=1)
    with _alone(), transaction.atomic():
        kept_from = int(datetime(first.year, first.month, 1, tzinfo=UTC).timestamp())
        row, made = Horizon.objects.get_or_create(id=1, defaults={"kept_from": kept_from})
        if not made and row.kept_from >= kept_from:
            kept_from = row.kept_from
        else:
            Horizon.objects.filter(id=1).update(kept_from=kept_from)
        return int(
            Segment.objects.filter(state="live", month__lt=first).update(
                state="expired", left_at=now, delete_after=now + KEEP_LEFT
            )
        )


def collect_garbage(*, now: datetime, store: SegmentStore | None = None) -> tuple[int, int]:
    """Remove files whose time is over, and files that no manifest row names. Returns how many of each.

    The manifest keeps a row for every file that it named: when it left, and when the file was removed.
    """
    files = store or current()
    removed = orphans = 0
    with _alone():
        due = Segment.objects.filter(state__in=("superseded", "expired"), delete_after__lte=now)
        for pk, path in list(due.values_list("id", "path")):
            files.delete(path)
            Segment.objects.filter(id=pk).update(state="deleted", deleted_at=now)
            removed += 1
        named = set(Segment.objects.exclude(state="deleted").values_list("path", flat=True))
        limit = (now - ORPHAN_AGE).timestamp()
        for path, changed in files.list():
            if path not in named and changed < limit:
                files.delete(path)
                orphans += 1
    return removed, orphans


def forget_batches(*, before: datetime) -> int:
    """Forget the answers of batches recorded before an instant: a resend of one is then judged row by row again."""
    held = Blob.objects.values("id")
    gone, _ = Batch.objects.filter(recorded_at__lt=before).exclude(id__in=held).delete()
    return gone


def check_files(*, contents: bool = True, store: SegmentStore | None = None) -> list[str]:
    """Faults of the segments that the manifest names: missing, of another size, or (with `contents`) damaged."""
    files = store or current()
    faults = []
    for path, size, digest in Segment.objects.filter(state="live").values_list("path", "size", "sha256"):
        found = files.size(path)
        if found is None:
            faults.append(f"segment {path} is missing; restore it from a backup")
        elif found != size:
            faults.append(f"segment {path} has {found} bytes and should have {size}; restore it from a backup")
        elif contents:
            try:
                if files.sha256(path) != bytes(digest):
                    faults.append(f"segment {path} is damaged (its checksum differs); restore it from a backup")
            except UnableToReadSegmentError as fault:
                faults.append(str(fault))
    return faults
