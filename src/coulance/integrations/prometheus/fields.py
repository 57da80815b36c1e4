"""Protobuf field by field, for what no quicker way reads, and what goes wrong with it named by its byte.

Sample    { double value = 1; int64 timestamp = 2 }                                     (milliseconds)
Histogram { uint64 count_int = 1; double count_float = 2; double sum = 3; ...; int64 timestamp = 15 }
"""

import struct
from dataclasses import dataclass

STALE = 0x7FF0000000000002
"""The bits of the number that says "this series has ended"."""
_DOUBLE = struct.Struct("<d")
_BITS = struct.Struct("<Q")


class NotAWriteRequestError(ValueError):
    """The body can't be decoded; says what is wrong and at which byte of the unpacked message."""


class TooLargeError(ValueError):
    """The body would become more than is taken in one request."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a histogram counted, and when: its buckets are nothing that is billed."""

    count: float
    sum: float
    at_ms: int

    @property
    def shown_count(self) -> float:
        """The count, or the number that says that the series has ended, where its sum is that."""
        return self.sum if _BITS.unpack(_DOUBLE.pack(self.sum))[0] == STALE else self.count


class Fields:
    """Reads fields of one message. Raises `NotAWriteRequestError`."""

    def __init__(self, message: bytes) -> None:
        self.message = message

    def bad(self, place: int, what: str) -> NotAWriteRequestError:
        return NotAWriteRequestError(f"byte {place}: {what}")

    def varint(self, place: int, end: int) -> tuple[int, int]:
        """(number, place after it)."""
        value = shift = 0
        start, message = place, self.message
        while place < end and shift < 70:
            byte = message[place]
            place += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >= 1 << 64:
                    raise self.bad(start, "a number of more than 64 bits")
                return value, place
            shift += 7
        raise self.bad(start, "a number that does not end" if shift >= 70 else "the message ends within a number")

    def part(self, place: int, end: int, what: str) -> tuple[int, int]:
        """(begin, end) of a length-delimited value whose length stands at `place`."""
        length, begin = self.varint(place, end)
        if length > end - begin:
            raise self.bad(place, f"a {what} of {length} bytes, and {end - begin} are left")
        return begin, begin + length

    def skip(self, kind: int, place: int, end: int) -> int:
        """The place after a value of that wire type."""
        if kind == 0:
            return self.varint(place, end)[1]
        if kind == 2:
            return self.part(place, end, "field")[1]
        size = {1: 8, 5: 4}.get(kind)
        if size is None:
            raise self.bad(place, f"wire type {kind}, which protobuf has not")
        if place + size > end:
            raise self.bad(place, "the message ends within a field")
        return place + size

    def tag(self, place: int, end: int) -> tuple[int, int, int]:
        """(field number, wire type, place after them)."""
        tag, after = self.varint(place, end)
        if not tag >> 3:
            raise self.bad(place, "a field of number 0")
        return tag >> 3, tag & 7, after

    def sample(self, place: int, end: int) -> tuple[float, int]:
        """(value, milliseconds) of a Sample; what it leaves out is 0."""
        value, at = 0.0, 0
        while place < end:
            number, kind, after = self.tag(place, end)
            if number == 1:
                if kind != 1:
                    raise self.bad(place, f"a sample's value of wire type {kind}; expected 1")
                place = self.skip(kind, after, end)
                value = _DOUBLE.unpack_from(self.message, after)[0]
            elif number == 2:
                if kind != 0:
                    raise self.bad(place, f"a sample's timestamp of wire type {kind}; expected 0")
                at, place = self.varint(after, end)
                at -= (at >> 63) << 64
            else:
                place = self.skip(kind, after, end)
        return value, at

    def histogram(self, place: int, end: int) -> Counted:
        """Count, sum and instant of a Histogram; its buckets are passed over, and must be whole."""
        count, total, at = 0.0, 0.0, 0
        while place < end:
            number, kind, after = self.tag(place, end)
            wanted = {1: 0, 2: 1, 3: 1, 15: 0}.get(number)
            if wanted is not None and kind != wanted:
                raise self.bad(place, f"field {number} of a histogram of wire type {kind}; expected {wanted}")
            place = self.skip(kind, after, end)
            if number == 1:
                count = float(self.varint(after, end)[0])
            elif number == 2:
                count = _DOUBLE.unpack_from(self.message, after)[0]
            elif number == 3:
                total = _DOUBLE.unpack_from(self.message, after)[0]
            elif number == 15:
                at = self.varint(after, end)[0]
                at -= (at >> 63) << 64
        return Counted(count, total, at)
