"""How much an Arrow stream would become, judged before anything is unpacked.

Thirty million equal rows compress to thirty kilobytes. What a stream says of itself (rows of each batch, size of each
buffer once unpacked) stands in its messages' metadata, so that a batch that is too large is refused unread. The layout
is Arrow's "Encapsulated message format"; metadata is a flatbuffer, of which only the fields below are looked at.
"""

import struct

import pyarrow as pa

_HEADER_TYPE, _HEADER = 1, 2
_LENGTH, _BUFFERS, _COMPRESSION = 0, 2, 3
_DICTIONARY_DATA = 1
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_I64 = struct.Struct("<q")


class NotAStreamError(ValueError):
    """The bytes are not Arrow messages; says why."""


def _field(data: bytes, table: int, number: int) -> int:
    """Where a field of a flatbuffer table stands, 0 when it isn't there."""
    vtable = table - int.from_bytes(data[table : table + 4], "little", signed=True)
    place = 4 + 2 * number
    if place + 2 > int.from_bytes(data[vtable : vtable + 2], "little"):
        return 0
    offset = int.from_bytes(data[vtable + place : vtable + place + 2], "little")
    return table + offset if offset else 0


def _follow(data: bytes, place: int) -> int:
    return place + int.from_bytes(data[place : place + 4], "little")


def _of_message(message: pa.Message) -> tuple[int, int]:
    """(rows, bytes once unpacked) of a message."""
    data = message.metadata.to_pybytes()
    root = _follow(data, 0)
    kind = data[_field(data, root, _HEADER_TYPE)]
    if kind not in (_RECORD_BATCH, _DICTIONARY_BATCH):
        return 0, 0
    batch = _follow(data, _field(data, root, _HEADER))
    if kind == _DICTIONARY_BATCH:
        batch = _follow(data, _field(data, batch, _DICTIONARY_DATA))
    place = _field(data, batch, _LENGTH)
    rows = _I64.unpack_from(data, place)[0] if place else 0
    body = message.body
    place = _field(data, batch, _BUFFERS)
    if body is None or not place or not _field(data, batch, _COMPRESSION):
        return rows, 0 if body is None else body.size
    view, total = memoryview(body), 0
    vector = _follow(data, place)
    for i in range(int.from_bytes(data[vector : vector + 4], "little")):
        offset, length = struct.unpack_from("<qq", data, vector + 4 + 16 * i)
        if length >= _I64.size:
            unpacked = _I64.unpack_from(view, offset)[0]
            total += length if unpacked < 0 else unpacked
    return rows, total


def size_of(stream: bytes) -> tuple[int, int]:
    """(the most rows that its batches have together, or a dictionary has; bytes once unpacked) of an IPC stream.

    Raises NotAStreamError for what is no stream of messages; whether they make sense is for Arrow to say.
    """
    rows = largest = unpacked = 0
    try:
        for message in pa.ipc.MessageReader.open_stream(pa.py_buffer(stream)):
            count, size = _of_message(message)
            if message.type == "record batch":
                rows += count
            largest = max(largest, count)
            unpacked += size
    except (pa.ArrowException, OSError, struct.error, IndexError) as fault:
        raise NotAStreamError(str(fault)) from fault
    return max(rows, largest), unpacked
