"""The columnar form of a batch inside the database, until it is sealed.

Little-endian: a header (magic `CBL1`, flags, rows, series, base of the instants, CRC-32 of the rest), then the
distinct series ids, how many rows each has, the instants as offsets from the base, the values in, the values out.
Parts that say nothing (one row a series, one instant for all, no values out) are left away. Rows are sorted by series,
then by instant, and no two have both in common.
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]

_HEADER = struct.Struct("<4sB3xIIqI")
_MAGIC = b"CBL1"
_ONE_ROW_EACH, _ONE_INSTANT, _NO_OUT, _WIDE = 1, 2, 4, 8


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


def encode(rows: Rows) -> bytes:
    """`rows` (sorted by series and instant, at least one) as bytes."""
    n = len(rows)
    starts = np.flatnonzero(np.concatenate(([True], rows.series[1:] != rows.series[:-1])))
    flags = 0
    parts = [rows.series[starts].astype("<i8", copy=False).tobytes()]
    if len(starts) == n:
        flags |= _ONE_ROW_EACH
    else:
        parts.append(np.diff(starts, append=n).astype("<u4").tobytes())
    base, top = int(rows.at.min()), int(rows.at.max())
    if base == top:
        flags |= _ONE_INSTANT
    elif top - base < 2**32:
        parts.append((rows.at - base).astype("<u4").tobytes())
    else:
        flags |= _WIDE
        parts.append((rows.at - base).astype("<i8", copy=False).tobytes())
    parts.append(rows.v_in.astype("<i8", copy=False).tobytes())
    if rows.v_out.any():
        parts.append(rows.v_out.astype("<i8", copy=False).tobytes())
    else:
        flags |= _NO_OUT
    body = b"".join(parts)
    return _HEADER.pack(_MAGIC, flags, n, len(starts), base, zlib.crc32(body)) + body


def decode(data: bytes | memoryview) -> Rows:
    """The reverse of `encode`. Raises `BlobError` when the bytes are not what was written."""
    view = memoryview(data)
    if len(view) < _HEADER.size:
        raise BlobError(f"a blob of {len(view)} bytes is too short for its header")
    magic, flags, n, k, base, crc = _HEADER.unpack(view[: _HEADER.size])
    body = view[_HEADER.size :]
    if magic != _MAGIC:
        raise BlobError(f"not a sample blob: it begins with {magic!r}")
    if zlib.crc32(body) != crc:
        raise BlobError("its checksum does not match: it was damaged after it was written")
    at_size = 0 if flags & _ONE_INSTANT else 8 if flags & _WIDE else 4
    position = 0

    def part(dtype: str, count: int) -> NDArray[np.generic]:
        nonlocal position
        array = np.frombuffer(body, dtype, count, position)
        position += array.nbytes
        return array

    ids = part("<i8", k)
    series = ids if flags & _ONE_ROW_EACH else np.repeat(ids, part("<u4", k).astype(np.int64))
    at = np.full(n, base, np.int64)
    if at_size:
        at += part(f"<{'u4' if at_size == 4 else 'i8'}", n).astype(np.int64)
    v_in = part("<i8", n)
    v_out = np.zeros(n, np.int64) if flags & _NO_OUT else part("<i8", n)
    return Rows(series, at, v_in, v_out)  # type: ignore[arg-type]
