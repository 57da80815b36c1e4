"""Remote write 1.0 on the wire: a snappy block that holds a protobuf WriteRequest, decoded without an object a sample.

    WriteRequest { repeated TimeSeries timeseries = 1; repeated MetricMetadata metadata = 3 }
    TimeSeries   { repeated Label labels = 1; repeated Sample samples = 2; exemplars = 3; histograms = 4 }
    Label        { string name = 1; string value = 2 }
    Sample       { double value = 1; int64 timestamp = 2 }        (milliseconds)

Prometheus sends the same label sets again and again, each with one sample, and a sample of our time has 18 bytes:
`12 10 09` value `10` timestamp. So the body is cut at those three bytes, by C; what precedes a sample, the head of
its series, is looked up as bytes in a table of heads that were parsed before; and values and timestamps are gathered
by numpy. A head that the table has was proven to be `0a`, a length that ends exactly with such a sample, and whole
labels; as each series begins where the one before it ended, what is cut so is what a parser would find. Whatever
is not found in the table (a new series, a value of 0, which protobuf leaves out, three bytes that were part of
a number) is parsed field by field from a proven place to a proven place.
"""

import itertools
import operator
import threading
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import cramjam
import numpy as np
from numpy.typing import NDArray

from coulance.integrations.prometheus.fields import STALE, Counted, Fields, NotAWriteRequestError, TooLargeError

__all__ = [
    "LARGEST_UNPACKED",
    "MOST_LABELS",
    "MOST_SAMPLES",
    "STALE",
    "LabelSets",
    "NotAWriteRequestError",
    "TooLargeError",
    "Written",
    "decode",
    "unpacked",
]
LARGEST_UNPACKED = 64 * 1024 * 1024
"""Bytes that a body may become."""
MOST_SAMPLES = 1_000_000
MOST_LABELS = 256
LONGEST_LABEL = 64 * 1024

_VERSION_2 = "io.prometheus.write.v2.Request"
_SAMPLE = b"\x12\x10\x09"
_TAIL = 15
"""What follows these three bytes in a sample: the value, a tag, six bytes of timestamp."""
_LONGEST_ORDER = 200_000
"""Heads whose order is remembered: some 40 MB of them."""

Floats = NDArray[np.float64]
Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Written:
    """The samples of a request: label set (its number), value, timestamp in milliseconds; and what else was in it.

    A native histogram gives two samples, of its metric with `_count` and `_sum` behind its name. `histograms` has the
    label sets of each one, of its count and of its sum.
    """

    labels: Int32s
    value: Floats
    at_ms: Int64s
    histograms: Int32s = field(default_factory=lambda: np.empty((0, 3), np.int32))
    sent: int = 0
    """Samples that were sent as such, histograms apart."""

    def __len__(self) -> int:
        return len(self.at_ms)


class LabelSets:
    """Label sets that were seen, by number; what `resolve` made of each is kept by the caller under that number."""

    def __init__(self, resolve: Callable[[Mapping[str, str]], None]) -> None:
        self.resolve = resolve
        self.heads: dict[bytes, int] = {}
        self.labels: dict[bytes, int] = {}
        self.size = 0
        self._lock = threading.Lock()
        self._order: tuple[list[bytes], list[int], dict[int, int]] = ([], [], {})

    def __len__(self) -> int:
        return len(self.labels)

    def of_heads(self, heads: list[bytes]) -> "list[int | None]":
        """The number of each head, `None` for one that was not seen.

        A sender goes through its series in the same order each time, wherever it cuts its requests: heads are compared
        with those that followed the first one of them before, which takes a third of the time of looking each up.
        """
        order, numbers, places = self._order
        first = self.heads.get(heads[0]) if heads else None
        place = -1 if first is None else places.get(first, -1)
        count = len(heads)
        if 0 <= place <= len(order) - count and all(map(operator.eq, heads, itertools.islice(order, place, None))):
            return list(numbers[place : place + count])
        found = list(map(self.heads.get, heads))
        if None not in found:
            self._remember(heads, found)
        return found

    def _remember(self, heads: list[bytes], numbers: "list[int | None]") -> None:
        with self._lock:
            if len(self._order[0]) + len(heads) > _LONGEST_ORDER:
                self._order = ([], [], {})
            order, known, places = self._order
            for place, number in enumerate(numbers, len(order)):
                if number is not None:
                    places.setdefault(number, place)
            known += [number for number in numbers if number is not None]
            order += heads  # last: a reader that sees these sees their numbers too

    def number(self, labels: bytes, parsed: Callable[[], Mapping[str, str]]) -> int:
        """The number of a label set, by its bytes; a new one is parsed and resolved."""
        known = self.labels.get(labels)
        if known is not None:
            return known
        names = parsed()
        with self._lock:
            known = self.labels.get(labels)
            if known is None:
                self.resolve(names)
                known = self.labels[labels] = len(self.labels)
                length = len(labels) + len(_SAMPLE) + _TAIL
                self.heads[b"\x0a" + _varint(length) + labels] = known
                self.size += 2 * len(labels)
        return known

    def named(self, names: Mapping[str, str]) -> int:
        """The number of a label set by its names and values, the same as if it had come as bytes."""
        return self.number(labels_of(names), lambda: names)

    def of_histogram(self, names: Mapping[str, str]) -> tuple[int, int]:
        """The label sets that a native histogram's count and sum are counted by: those a classic one has them under."""
        metric = names["__name__"]
        count, total = (self.named({**names, "__name__": metric + end}) for end in ("_count", "_sum"))
        return count, total


def labels_of(names: Mapping[str, str]) -> bytes:
    """A label set as remote write 1.0 has it on the wire, in the order given."""
    out = bytearray()
    for name, value in names.items():
        both = ((b"\x0a", name.encode()), (b"\x12", value.encode()))
        parts = b"".join(tag + _varint(len(raw)) + raw for tag, raw in both)
        out += b"\x0a" + _varint(len(parts)) + parts
    return bytes(out)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def unpacked(body: bytes) -> bytes:
    """The protobuf message in a snappy block, whose size is judged by what it says of itself before it is unpacked."""
    if not body:
        raise NotAWriteRequestError("the body is empty; expected a snappy block")
    declared, place = 0, 0
    for place in range(5):
        if place >= len(body):
            raise NotAWriteRequestError("the body ends within the length that a snappy block begins with")
        declared |= (body[place] & 0x7F) << 7 * place
        if body[place] < 0x80:
            break
    else:
        raise NotAWriteRequestError("the body does not begin with the length of a snappy block")
    if declared > LARGEST_UNPACKED:
        raise TooLargeError(f"the body says it unpacks to {declared} bytes; at most {LARGEST_UNPACKED} are taken")
    if declared > 64 * len(body) + 1024:  # what snappy's copies of 64 bytes, three bytes each, can't reach
        raise NotAWriteRequestError(f"the body says it unpacks to {declared} bytes, which {len(body)} can't hold")
    try:
        out = bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as fault:
        raise NotAWriteRequestError(f"not a snappy block: {fault}") from fault
    if len(out) != declared:
        raise NotAWriteRequestError(f"the snappy block says {declared} bytes and holds {len(out)}")
    return out


def decode(message: bytes, sets: LabelSets) -> Written:
    """The samples of a WriteRequest. Raises `NotAWriteRequestError`, `TooLargeError`."""
    pieces = message.split(_SAMPLE)
    count = len(pieces) - 1
    if count > MOST_SAMPLES:
        raise TooLargeError(f"a request has at most {MOST_SAMPLES} samples; this one has {count}")
    lengths = np.fromiter(map(len, pieces), np.int64, count + 1)
    ends = np.cumsum(lengths + len(_SAMPLE))  # where the part after each cut begins; the last is past the end
    tails = ends[:count]
    heads = [pieces[0], *[piece[_TAIL:] for piece in pieces[1:]]]
    last = heads.pop()
    codes = sets.of_heads(heads)
    begins = np.concatenate((np.zeros(1, np.int64), tails + _TAIL))
    rest = _Rest(message, sets)
    kept = np.ones(count, np.bool_)
    raw = np.frombuffer(message, np.uint8)
    good = tails + _TAIL <= len(raw)
    if not good.all():
        kept &= good
    rows = raw[np.minimum(tails, max(len(raw) - _TAIL, 0))[:, None] + np.arange(_TAIL)] if count else raw[:0]
    if count and len(raw) >= _TAIL:
        kept &= (rows[:, 8] == 0x10) & (rows[:, 9:14] >= 0x80).all(axis=1) & (rows[:, 14] < 0x80)
    unknown = None in codes
    if unknown or last or not kept.all():
        _slowly(codes, kept, begins, rest)
    numbers = np.array([-1 if code is None else code for code in codes] if unknown else codes, np.int32)
    if not kept.all():
        numbers, rows = numbers[kept], rows[kept]
    value = np.ascontiguousarray(rows[:, :8]).view("<f8").reshape(-1) if count else np.empty(0)
    at = np.zeros(len(numbers), np.int64)
    if count:
        for i in range(6):
            at |= (rows[:, 9 + i].astype(np.int64) & 0x7F) << (7 * i)
    if not rest.labels:
        return Written(numbers, value, at, sent=len(numbers))
    if len(numbers) + rest.count > MOST_SAMPLES:
        raise TooLargeError(f"a request has at most {MOST_SAMPLES} samples; this one has more")
    return Written(
        np.concatenate((numbers, *rest.labels)).astype(np.int32),
        np.concatenate((value, *rest.values)),
        np.concatenate((at, *rest.instants)),
        rest.of_histograms(),
        len(numbers) + rest.count - 2 * len(rest.histograms),
    )


def samples_at(message: bytes, places: Int64s) -> tuple[Floats, Int64s]:
    """Values and instants of samples of our time, by where their values begin."""
    if not len(places):
        return np.empty(0), np.empty(0, np.int64)
    rows = np.frombuffer(message, np.uint8)[places[:, None] + np.arange(_TAIL)]
    at = np.zeros(len(rows), np.int64)
    for i in range(6):
        at |= (rows[:, 9 + i].astype(np.int64) & 0x7F) << (7 * i)
    return np.ascontiguousarray(rows[:, :8]).view("<f8").reshape(-1), at


def _slowly(codes: "list[int | None]", kept: NDArray[np.bool_], begins: Int64s, rest: "_Rest") -> None:
    """Parse what the table does not have, from where a known series ended to where one ends that is known again.

    `codes[i]` is of the head that begins at `begins[i]`, whose sample the cut found; `kept[i]` says whether that
    sample is one of our time. What is parsed here is not kept there.
    """
    count = len(codes)
    starts = begins.tolist()
    odd = np.flatnonzero(np.array([code is None for code in codes], np.bool_) | ~kept).tolist()
    done = 0
    for i in [*odd, count]:
        if i < done:
            continue
        place = starts[i]
        while place < len(rest.message):
            place = rest.field(place)
            j = bisect_left(starts, place, i)
            if j <= count and starts[j] == place and (j == count or (codes[j] is not None and kept[j])):
                break
        else:
            j = count
        kept[i:j] = False
        done = j
        if place >= len(rest.message):
            kept[j:] = False
            break


class _Rest(Fields):
    """The parser of everything that the quick way does not do."""

    def __init__(self, message: bytes, sets: LabelSets) -> None:
        super().__init__(message)
        self.sets = sets
        self.labels: list[Int32s] = []
        self.values: list[Floats] = []
        self.instants: list[Int64s] = []
        self.count = 0
        self.histograms: list[tuple[int, int, int]] = []

    def field(self, place: int) -> int:
        """Take one field of the request; gives the place after it."""
        end = len(self.message)
        number, kind, after = self.tag(place, end)
        if number in (4, 5):
            said = f"field {number}, which is of remote write 2.0: its Content-Type says proto={_VERSION_2}"
            raise self.bad(place, said)
        if number != 1:
            return self.skip(kind, after, end)
        if kind != 2:
            raise self.bad(place, f"a series of wire type {kind}; expected 2")
        begin, stop = self.part(after, end, "series")
        self.series(begin, stop)
        return stop

    def series(self, place: int, end: int) -> None:
        """Take one TimeSeries."""
        start, labels, labels_end = place, [], place
        samples: list[tuple[int, int]] = []
        counted: list[Counted] = []
        while place < end:
            number, kind, after = self.tag(place, end)
            if number in (1, 2) and kind != 2:
                raise self.bad(place, f"a {'label' if number == 1 else 'sample'} of wire type {kind}; expected 2")
            if number == 1:
                begin, stop = self.part(after, end, "label")
                labels.append((place, begin, stop))
                place = labels_end = stop
            elif number == 2:
                if (
                    not samples
                    and (end - place) % 18 == 0
                    and end - place >= 72
                    and self._many(start, labels, place, end)
                ):
                    return
                begin, stop = self.part(after, end, "sample")
                samples.append((begin, stop))
                place = stop
            elif number == 4 and kind == 2:
                begin, place = self.part(after, end, "histogram")
                counted.append(self.histogram(begin, place))
            else:
                place = self.skip(kind, after, end)
        in_a_row = labels and sum(stop - first for first, _, stop in labels) == labels_end - start
        code = self._number(start, labels, labels_end, bool(in_a_row))
        if counted:
            self.take_histograms(code, self._parsed(start, labels), counted)
        if not samples:
            return
        pairs = [self.sample(begin, stop) for begin, stop in samples]
        self._add(code, np.array([v for v, _ in pairs]), np.array([t for _, t in pairs], np.int64))

    def take_histograms(self, code: int, names: Mapping[str, str], counted: "list[Counted]") -> None:
        """Take histograms of a label set as samples of their count and their sum."""
        count, total = self.sets.of_histogram(names)
        for one in counted:
            self.histograms.append((code, count, total))
            self._add(count, np.array([one.shown_count]), np.array([one.at_ms], np.int64))
            self._add(total, np.array([one.sum]), np.array([one.at_ms], np.int64))

    def of_histograms(self) -> Int32s:
        """Label sets of each histogram, of its count and of its sum."""
        return np.array(self.histograms, np.int32).reshape(-1, 3)

    def _add(self, code: int, values: Floats, instants: Int64s) -> None:
        self.labels.append(np.full(len(values), code, np.int32))
        self.values.append(values)
        self.instants.append(instants)
        self.count += len(values)

    def _many(self, start: int, labels: "list[tuple[int, int, int]]", place: int, end: int) -> bool:
        """Take samples that are all of the usual 18 bytes; whether they were."""
        rows = np.frombuffer(self.message, np.uint8, end - place, place).reshape(-1, 18)
        usual = (rows[:, :3] == np.frombuffer(_SAMPLE, np.uint8)).all() and (rows[:, 11] == 0x10).all()
        if not (usual and (rows[:, 12:17] >= 0x80).all() and (rows[:, 17] < 0x80).all()):
            return False
        at = np.zeros(len(rows), np.int64)
        for i in range(6):
            at |= (rows[:, 12 + i].astype(np.int64) & 0x7F) << (7 * i)
        in_a_row = sum(stop - first for first, _, stop in labels) == place - start
        self._add(
            self._number(start, labels, place, in_a_row),
            np.ascontiguousarray(rows[:, 3:11]).view("<f8").reshape(-1),
            at,
        )
        return True

    def _number(self, start: int, labels: "list[tuple[int, int, int]]", end: int, in_a_row: bool) -> int:
        if len(labels) > MOST_LABELS:
            raise self.bad(start, f"a series of {len(labels)} labels; at most {MOST_LABELS}")
        key = self.message[start:end] if in_a_row else b"".join(self.message[f:s] for f, _, s in labels)
        return self.sets.number(key, lambda: self._parsed(start, labels))

    def _parsed(self, start: int, labels: "list[tuple[int, int, int]]") -> Mapping[str, str]:
        out: dict[str, str] = {}
        for _, begin, end in labels:
            pair = ["", ""]
            place = begin
            while place < end:
                number, kind, after = self.tag(place, end)
                if number in (1, 2):
                    if kind != 2:
                        raise self.bad(place, f"a label's {'name' if number == 1 else 'value'} of wire type {kind}")
                    first, stop = self.part(after, end, "text")
                    if stop - first > LONGEST_LABEL:
                        raise self.bad(place, f"a label of {stop - first} bytes; at most {LONGEST_LABEL}")
                    try:
                        pair[number - 1] = self.message[first:stop].decode()
                    except UnicodeDecodeError as fault:
                        raise self.bad(first, f"a label that is not UTF-8: {fault.reason}") from fault
                    place = stop
                else:
                    place = self.skip(kind, after, end)
            name, value = pair
            if not name:
                raise self.bad(begin, "a label without a name")
            if name in out:
                raise self.bad(begin, f"the label {name!r} is there twice in one series")
            out[name] = value
        if not out.get("__name__"):
            raise self.bad(start, "a series without the label __name__")
        return out
