"""Remote write bodies made from the protobuf specification alone, knowing nothing of the decoder under test."""

import struct
from collections.abc import Iterable, Sequence

import cramjam

Labels = Sequence[tuple[str, str]]
Samples = Sequence[tuple[float, int]]


def varint(value: int) -> bytes:
    """Base 128, least significant group first; negative numbers as 64-bit two's complement."""
    value %= 1 << 64
    out = bytearray()
    while True:
        group = value % 128
        value //= 128
        out.append(group + (128 if value else 0))
        if not value:
            return bytes(out)


def tagged(number: int, kind: int) -> bytes:
    """A field's tag."""
    return varint(number * 8 + kind)


def delimited(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return tagged(number, 2) + varint(len(content)) + content


def label(name: str, value: str) -> bytes:
    """A Label, as a field of TimeSeries."""
    return delimited(1, delimited(1, name.encode()) + delimited(2, value.encode()))


def sample(value: float, at_ms: int) -> bytes:
    """A Sample, as a field of TimeSeries: what is zero is left out."""
    number = struct.pack("<d", value)
    content = tagged(1, 1) + number if number != bytes(8) else b""
    return delimited(2, content + (tagged(2, 0) + varint(at_ms) if at_ms else b""))


def series(labels: Labels, samples: Samples) -> bytes:
    """A TimeSeries, as a field of WriteRequest."""
    return delimited(1, b"".join(label(*one) for one in labels) + b"".join(sample(*one) for one in samples))


def request(every: Iterable[tuple[Labels, Samples]]) -> bytes:
    """A WriteRequest."""
    return b"".join(series(*one) for one in every)


def snappy(message: bytes) -> bytes:
    """A snappy block."""
    return bytes(cramjam.snappy.compress_raw(message))


def histogram(count: int, total: float, at: int) -> bytes:
    """A native histogram with a bucket or two, as both versions have it."""
    spans = delimited(11, tagged(1, 0) + b"\x02" + tagged(2, 0) + b"\x02")
    deltas = delimited(12, b"\x02\x04")
    return (
        tagged(1, 0)
        + varint(count)
        + tagged(3, 1)
        + struct.pack("<d", total)
        + spans
        + deltas
        + tagged(15, 0)
        + varint(at)
    )


def request_2(every: Iterable[tuple[Labels, Samples]], more: dict[int, bytes] | None = None) -> bytes:
    """A Request of remote write 2.0; `more` are further fields of a series, by its number."""
    symbols: dict[str, int] = {"": 0}
    out = b""
    for number, (labels, samples) in enumerate(every):
        refs = b"".join(varint(symbols.setdefault(text, len(symbols))) for pair in labels for text in pair)
        inner = (delimited(1, refs) if refs else b"") + b"".join(sample(*one) for one in samples)
        out += delimited(5, inner + (more or {}).get(number, b""))
    return b"".join(delimited(4, text.encode()) for text in symbols) + out
