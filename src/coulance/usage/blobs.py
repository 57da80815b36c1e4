"""The columnar form of a batch inside the database, until it is sealed.

Little-endian: a header (magic `CBL1`, flags, rows, series, base of the instants, CRC-32 of the rest), then the
distinct series ids, how many rows each has, the instants as offsets from the base, the values in, the values out.
Parts that say nothing (neighbouring ids, one row a series) are left away. Of numbers only the bytes are kept that any
of a column uses (none when all are zero), all lowest bytes first, then all second ones: what isn't written need not be
flushed, and flushing is most of what a commit costs. Rows are sorted by series, then by instant, and no
two have both in common.
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]

_HEADER = struct.Struct("<4sBBBBBxxxIIqqI")
_MAGIC = b"CBL1"
_ONE_ROW_EACH, _NEIGHBOURS = 1, 2


class BlobError(RuntimeError):
    """A blob is damaged; the message says how."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Samples as parallel arrays: series id, instant (epoch seconds), value in, value out."""

    series: Int64s
    at: Int64s
    v_in: Int64s
    v_out: Int64s

    def __len__(self) -> int:
        return len(self.at)

    def take(self, which: NDArray[np.generic]) -> "Rows":
        """The rows at an index array or a mask."""
        return Rows(self.series[which], self.at[which], self.v_in[which], self.v_out[which])


def no_rows() -> Rows:
    """No samples at all."""
    empty = np.empty(0, np.int64)
    return Rows(empty, empty, empty, empty)


def _planes(values: Int64s) -> tuple[int, bytes]:
    """(bytes a value, the bytes: plane after plane)."""
    low, high = int(values.min()), int(values.max())
    width = 8 if low < 0 else (high.bit_length() + 7) // 8
    whole = values.astype("<i8", copy=False).view(np.uint8).reshape(-1, 8)
    return width, whole[:, :width].T.tobytes()


def _unplaned(body: memoryview, position: int, width: int, n: int) -> Int64s:
    out = np.zeros((n, 8), np.uint8)
    out[:, :width] = np.frombuffer(body, np.uint8, n * width, position).reshape(width, n).T
    return out.reshape(-1).view("<i8").astype(np.int64, copy=False)


def encode(rows: Rows) -> bytes:
    """`rows` (sorted by series and instant, at least one) as bytes."""
    n = len(rows)
    starts = np.flatnonzero(np.concatenate(([True], rows.series[1:] != rows.series[:-1])))
    ids, flags, parts = rows.series[starts], 0, []
    first = int(ids[0])
    if int(ids[-1]) - first + 1 == len(ids):
        flags |= _NEIGHBOURS
    else:
        parts.append(ids.astype("<i8", copy=False).tobytes())
    width_count = 0
    if len(starts) == n:
        flags |= _ONE_ROW_EACH
    else:
        width_count, counts = _planes(np.diff(starts, append=n))
        parts.append(counts)
    base = int(rows.at.min())
    width_at, at = _planes(rows.at - base)
    width_in, v_in = _planes(rows.v_in)
    width_out, v_out = _planes(rows.v_out)
    body = b"".join((*parts, at, v_in, v_out))
    widths = (width_count, width_at, width_in, width_out)
    return _HEADER.pack(_MAGIC, flags, *widths, n, len(starts), base, first, zlib.crc32(body)) + body


def decode(data: bytes | memoryview) -> Rows:
    """The reverse of `encode`. Raises `BlobError` when the bytes are not what was written."""
    view = memoryview(data)
    if len(view) < _HEADER.size:
        raise BlobError(f"a blob of {len(view)} bytes is too short for its header")
    magic, flags, width_count, width_at, width_in, width_out, n, k, base, first, crc = _HEADER.unpack(
        view[: _HEADER.size]
    )
    body = view[_HEADER.size :]
    if magic != _MAGIC:
        raise BlobError(f"not a sample blob: it begins with {bytes(magic)!r}")
    if zlib.crc32(body) != crc:
        raise BlobError("its checksum does not match: it was damaged after it was written")
    position = 0

    def part(width: int, count: int) -> Int64s:
        nonlocal position
        array = _unplaned(body, position, width, count)
        position += width * count
        return array

    if flags & _NEIGHBOURS:
        ids = np.arange(first, first + k, dtype=np.int64)
    else:
        ids = np.frombuffer(body, "<i8", k).astype(np.int64, copy=False)
        position = 8 * k
    series = ids if flags & _ONE_ROW_EACH else np.repeat(ids, part(width_count, k))
    at = base + part(width_at, n)
    return Rows(series, at, part(width_in, n), part(width_out, n))
