"""Segments: immutable Parquet files of samples, sorted by series, instant and revision; one UTC month a file.

Plain Parquet with columns series, at, v_in, v_out, revision (all int64), so that any engine reads them. What makes
ours fast is extra: the footer says which series has how many rows, so that a reader of a few series decodes a few row
groups and never the series column.
"""

import hashlib
import io
import itertools
import json
import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from coulance.usage.blobs import Rows
from coulance.usage.errors import UnableToReadSegmentError
from coulance.usage.store import SegmentStore

Int64s = NDArray[np.int64]

ROW_GROUP = 131_072
"""Rows a row group: what is decoded at least to read one series."""

_ENCODINGS = {
    "series": "DELTA_BINARY_PACKED",
    "at": "DELTA_BINARY_PACKED",
    "revision": "DELTA_BINARY_PACKED",
    "v_in": "BYTE_STREAM_SPLIT",
    "v_out": "BYTE_STREAM_SPLIT",
}
_INDEX = b"coulance.index"


@dataclass(frozen=True, slots=True)
class Written:
    """A segment's bytes and what its manifest row says of it."""

    path: str
    data: bytes
    sha256: bytes
    month: date
    rows: int
    series: tuple[int, int]
    at: tuple[int, int]
    revision: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Part:
    """Rows with their revisions."""

    rows: Rows
    revision: Int64s

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, which: NDArray[np.generic]) -> "Part":
        """The rows at an index array or a mask."""
        rows = self.rows.take(which)
        return Part(rows, unread(len(rows)) if self.revision.strides == (0,) else self.revision[which])


def unread(count: int) -> Int64s:
    """Revisions that nobody asked for: zeros that take no memory."""
    return np.broadcast_to(np.int64(0), count)


def _revisions(parts: "list[Part]") -> Int64s | None:
    """`None` when the parts have revisions, else the unread ones of all of them."""
    if all(part.revision.strides == (0,) for part in parts):
        return unread(sum(map(len, parts)))
    return None


def concat(parts: "list[Part]") -> Part:
    """Parts after one another."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        empty = np.empty(0, np.int64)
        return Part(Rows(empty, empty, empty, empty), empty)
    return Part(
        Rows(
            np.concatenate([p.rows.series for p in parts]),
            np.concatenate([p.rows.at for p in parts]),
            np.concatenate([p.rows.v_in for p in parts]),
            np.concatenate([p.rows.v_out for p in parts]),
        ),
        np.concatenate([p.revision for p in parts]) if (zeros := _revisions(parts)) is None else zeros,
    )


def sort(part: Part) -> Part:
    """By series, then instant, then revision; free when it is sorted already."""
    rows = part.rows
    if len(rows) < 2:
        return part
    low, base = int(rows.series.min()), int(rows.at.min())
    width = (int(rows.at.max()) - base + 1).bit_length()
    if (int(rows.series.max()) - low + 1).bit_length() + width <= 62:
        key = ((rows.series - low) << width) | (rows.at - base)
        step = np.diff(key)
        if (step > 0).all():
            return part
        order = np.argsort(key, kind="stable")
        key = key[order]
        if (key[1:] == key[:-1]).any():
            order = np.lexsort((part.revision, rows.at, rows.series))
        return part.take(order)
    return part.take(np.lexsort((part.revision, rows.at, rows.series)))


def merge(parts: "list[Part]") -> Part:
    """Sorted parts as one sorted part. Where they follow one another in time, as polls and months do, without sorting:
    each row's place follows from how many rows each series has in each part.
    """
    parts = [part for part in parts if len(part)]
    if len(parts) < 2:
        return concat(parts)
    bounds = [(int(part.rows.at.min()), int(part.rows.at.max())) for part in parts]
    order = sorted(range(len(parts)), key=bounds.__getitem__)
    if any(bounds[a][1] >= bounds[b][0] for a, b in itertools.pairwise(order)):
        return sort(concat(parts))
    parts = [parts[i] for i in order]
    starts = [np.flatnonzero(np.append(True, p.rows.series[1:] != p.rows.series[:-1])) for p in parts]
    ids = [p.rows.series[begin] for p, begin in zip(parts, starts, strict=True)]
    counts = [np.diff(begin, append=len(p)) for p, begin in zip(parts, starts, strict=True)]
    every = np.unique(np.concatenate(ids))
    places = [np.searchsorted(every, own) for own in ids]
    totals = np.zeros(len(every), np.int64)
    for place, count in zip(places, counts, strict=True):
        totals[place] += count
    # The stretches of the parts in the order in which they go, and one copy of them for each column.
    source = np.concatenate([np.full(len(place), number) for number, place in enumerate(places)])
    begin = np.concatenate(starts)
    stretch = np.lexsort((source, np.concatenate(places)))
    source, begin = source[stretch], begin[stretch]
    plan = list(zip(source.tolist(), begin.tolist(), (begin + np.concatenate(counts)[stretch]).tolist(), strict=True))

    def joined(columns: list[Int64s]) -> Int64s:
        return np.concatenate([columns[i][low:high] for i, low, high in plan])

    return Part(
        Rows(
            np.repeat(every, totals),
            joined([p.rows.at for p in parts]),
            joined([p.rows.v_in for p in parts]),
            joined([p.rows.v_out for p in parts]),
        ),
        joined([p.revision for p in parts]) if (zeros := _revisions(parts)) is None else zeros,
    )


def newest(part: Part) -> Part:
    """Of a sorted part, the last revision of each (series, instant)."""
    rows = part.rows
    if len(rows) < 2:
        return part
    last = np.append((rows.series[1:] != rows.series[:-1]) | (rows.at[1:] != rows.at[:-1]), True)
    return part if last.all() else part.take(last)


def month_of(at: Int64s) -> Int64s:
    """The UTC month of each instant, as months since January 1970."""
    return at.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)


def month_start(month: int) -> int:
    """The first instant of a month numbered as by `month_of`, in epoch seconds."""
    return int(datetime(1970 + month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp())


def month_date(month: int) -> date:
    """The first day of a month numbered as by `month_of`."""
    return date(1970 + month // 12, month % 12 + 1, 1)


def month_number(first: date) -> int:
    """The reverse of `month_date`."""
    return (first.year - 1970) * 12 + first.month - 1


def write(part: Part, level: int) -> Written:
    """The segment of `part` (sorted; all of one UTC month). Its name holds its hash: the same rows, the same file."""
    rows = part.rows
    starts = np.flatnonzero(np.concatenate(([True], rows.series[1:] != rows.series[:-1])))
    ids, counts = rows.series[starts], np.diff(starts, append=len(rows))
    same = (rows.series[1:] == rows.series[:-1]) & (rows.at[1:] == rows.at[:-1])
    index = zlib.compress(ids.astype("<i8").tobytes() + counts.astype("<i8").tobytes(), 1)
    facts = {"version": 1, "series": len(ids), "level": level, "one_revision": not bool(same.any())}
    table = pa.table(
        {
            "series": rows.series,
            "at": rows.at,
            "v_in": rows.v_in,
            "v_out": rows.v_out,
            "revision": part.revision,
        }
    ).replace_schema_metadata({_INDEX: index, b"coulance": json.dumps(facts).encode()})
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
        column_encoding=_ENCODINGS,
        row_group_size=ROW_GROUP,
        store_schema=True,
    )
    data = sink.getvalue()
    digest = hashlib.sha256(data).digest()
    month = month_date(int(month_of(rows.at[:1])[0]))
    path = (
        f"{month:%Y/%m}/{'sealed' if level == 0 else 'merged'}-{int(ids[0])}-{int(ids[-1])}-{digest.hex()[:24]}.parquet"
    )
    return Written(
        path=path,
        data=data,
        sha256=digest,
        month=month,
        rows=len(rows),
        series=(int(ids[0]), int(ids[-1])),
        at=(int(rows.at.min()), int(rows.at.max())),
        revision=(int(part.revision.min()), int(part.revision.max())),
    )


@dataclass(frozen=True, slots=True)
class Index:
    """What a segment's footer says: its series, where each begins, where row groups begin, and its metadata."""

    ids: Int64s
    starts: Int64s
    groups: Int64s
    one_revision: bool
    metadata: pq.FileMetaData


@lru_cache(maxsize=1024)
def index_of(store: SegmentStore, path: str) -> Index:
    """The index of a segment; kept, for a segment never changes. Raises `UnableToReadSegmentError`."""
    with store.open(path) as file:
        try:
            metadata = pq.read_metadata(file)
            extra = metadata.metadata or {}
            facts = json.loads(extra[b"coulance"])
            both = np.frombuffer(zlib.decompress(extra[_INDEX]), "<i8")
        except (pa.ArrowException, OSError, KeyError, ValueError, zlib.error) as fault:
            raise UnableToReadSegmentError(f"segment {path} is damaged: {fault}") from fault
    ids, counts = both[: len(both) // 2], both[len(both) // 2 :]
    sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    return Index(
        ids=ids,
        starts=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        groups=np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
        one_revision=bool(facts["one_revision"]),
        metadata=metadata,
    )


def read(
    store: SegmentStore,
    path: str,
    series: Int64s | None,
    low: int,
    high: int,
    *,
    revisions: bool = True,
    threads: bool = False,
) -> Part:
    """The rows of `series` (sorted ids; all when `None`) with an instant in [low, high], in the file's order.

    Without `revisions` the revision column is not decoded and reads as zero.
    """
    index = index_of(store, path)
    if series is None:
        wanted = np.arange(len(index.ids))
    else:
        place = np.searchsorted(index.ids, series)
        place = place[place < len(index.ids)] if len(index.ids) else place[:0]
        wanted = np.unique(place)
        wanted = wanted[np.isin(index.ids[wanted], series, assume_unique=True)]
    if not len(wanted):
        return concat([])
    first, last = index.starts[wanted], index.starts[wanted + 1]
    opening = np.searchsorted(index.groups, first, side="right") - 1
    closing = np.searchsorted(index.groups, last - 1, side="right") - 1
    needed = np.zeros(len(index.groups) - 1, np.bool_)
    edge = np.zeros(len(needed) + 1, np.int64)
    np.add.at(edge, opening, 1)
    np.add.at(edge, closing + 1, -1)
    needed = np.cumsum(edge)[:-1] > 0
    groups = np.flatnonzero(needed)
    columns = ["at", "v_in", "v_out", *(["revision"] if revisions else [])]
    with store.open(path) as file:
        try:
            table = pq.ParquetFile(file, metadata=index.metadata).read_row_groups(
                groups.tolist(), columns=columns, use_threads=threads
            )
        except (pa.ArrowException, OSError) as fault:
            raise UnableToReadSegmentError(f"segment {path} is damaged: {fault}") from fault
        at, v_in, v_out, *rest = (table.column(name).to_numpy() for name in columns)
    revision = rest[0] if revisions else unread(len(at))
    # Where each wanted series' rows are in what was decoded: the skipped row groups are taken out of the count.
    sizes = np.diff(index.groups)
    skipped = np.concatenate(([0], np.cumsum(np.where(needed, 0, sizes))))
    begin = first - skipped[opening]
    lengths = last - first
    whole = np.repeat(index.ids[wanted], lengths)
    if len(whole) == len(at):
        part = Part(Rows(whole, at, v_in, v_out), revision)
    else:
        offsets = np.concatenate(([0], np.cumsum(lengths)[:-1]))
        take = np.arange(len(whole)) + np.repeat(begin - offsets, lengths)
        part = Part(Rows(whole, at[take], v_in[take], v_out[take]), revision[take])
    if len(part) and (int(part.rows.at.min()) < low or int(part.rows.at.max()) > high):
        part = part.take((part.rows.at >= low) & (part.rows.at <= high))
    return part
