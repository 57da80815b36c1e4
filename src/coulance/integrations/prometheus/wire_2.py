"""Remote write 2.0 on the wire: the same, with every text once in a table of symbols, and labels as places in it.

    Request    { repeated string symbols = 4; repeated TimeSeries timeseries = 5 }
    TimeSeries { repeated uint32 labels_refs = 1 (packed); repeated Sample samples = 2;
                 repeated Histogram histograms = 3; exemplars = 4; metadata = 5; int64 created_timestamp = 6 }

Symbols are numbered anew in each request, so a series is not known again by its bytes. The walk from series to series
notes where its references and its sample stand; all references are then decoded at once by numpy, made places in a
table of texts that outlives requests, and what becomes of a series is one look-up by these. Values and timestamps are
gathered by numpy, as for 1.0. A series of another shape (several samples, a value of 0, a histogram) is read field by
field. Source: the specification, prometheus.io/docs/specs/prw/remote_write_spec_2_0.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from coulance.integrations.prometheus.fields import Counted, Fields
from coulance.integrations.prometheus.wire import (
    LONGEST_LABEL,
    MOST_LABELS,
    MOST_SAMPLES,
    Floats,
    Int32s,
    Int64s,
    LabelSets,
    TooLargeError,
    Written,
    samples_at,
)

MOST_SYMBOLS = 1_000_000
_MOST_KEPT = 500_000
"""Texts that are remembered between requests."""


class Symbols:
    """Texts by number, and label sets by the numbers of their texts: what requests of one sender have in common."""

    def __init__(self) -> None:
        self.numbers: dict[bytes, int] = {}
        self.sets: dict[bytes, int] = {}
        self._lock = threading.Lock()

    def places(self, texts: list[bytes]) -> tuple[Int32s, dict[bytes, int]]:
        """The number of each text, new ones added, and the label sets that are known by such numbers."""
        with self._lock:
            if len(self.numbers) > _MOST_KEPT or len(self.sets) > _MOST_KEPT:
                self.numbers, self.sets = {}, {}
            known = self.numbers
            found = np.fromiter((known.setdefault(text, len(known)) for text in texts), np.int32, len(texts))
            return found, self.sets


@dataclass(slots=True)
class _Walked:
    """What a walk over a request found: texts, where each series' references stand, and the usual samples."""

    texts: list[bytes]
    refs: list[int]
    ends: list[int]
    usual: list[int]
    """Where the one sample of a series begins; -1 for a series of another shape."""
    series: list[tuple[int, int]]


def decode(message: bytes, sets: LabelSets, symbols: Symbols) -> Written:
    """The samples of a Request. Raises `NotAWriteRequestError`, `TooLargeError`."""
    reader = _Reader(message, sets)
    walked = reader.walk()
    codes = reader.codes(walked, symbols)
    usual = np.array(walked.usual, np.int64)
    quick = usual >= 0
    value, at = samples_at(message, usual[quick])
    reader.rest(walked, codes, np.flatnonzero(~quick).tolist())
    numbers = codes[quick]
    if len(numbers) + reader.count > MOST_SAMPLES:
        raise TooLargeError(f"a request has at most {MOST_SAMPLES} samples; this one has more")
    return Written(
        np.concatenate((numbers, *reader.labels)).astype(np.int32),
        np.concatenate((value, *reader.values)),
        np.concatenate((at, *reader.instants)),
        np.array(reader.histograms, np.int32).reshape(-1, 3),
        len(numbers) + reader.count - 2 * len(reader.histograms),
    )


class _Reader(Fields):
    def __init__(self, message: bytes, sets: LabelSets) -> None:
        super().__init__(message)
        self.sets = sets
        self.labels: list[Int32s] = []
        self.values: list[Floats] = []
        self.instants: list[Int64s] = []
        self.histograms: list[tuple[int, int, int]] = []
        self.count = 0

    def walk(self) -> _Walked:
        """Every symbol and series of the request, in order."""
        out = _Walked([], [], [], [], [])
        message, end, place = self.message, len(self.message), 0
        while place < end:
            number, kind, after = self.tag(place, end)
            if number in (1, 2, 3):
                raise self.bad(place, f"field {number}, which 2.0 has not: is it a message of remote write 1.0?")
            if number not in (4, 5):
                place = self.skip(kind, after, end)
                continue
            if kind != 2:
                what = "symbol" if number == 4 else "series"
                raise self.bad(place, f"a {what} of wire type {kind}; expected 2")
            begin, place = self.part(after, end, "symbol" if number == 4 else "series")
            if number == 4:
                if place - begin > LONGEST_LABEL:
                    raise self.bad(begin, f"a symbol of {place - begin} bytes; at most {LONGEST_LABEL}")
                out.texts.append(message[begin:place])
                if len(out.texts) > MOST_SYMBOLS:
                    raise TooLargeError(f"a request has at most {MOST_SYMBOLS} symbols; this one has more")
                continue
            self.one(out, begin, place)
        if out.series and (not out.texts or out.texts[0]):
            raise self.bad(0, "the first symbol is not the empty text, which it has to be")
        return out

    def one(self, out: _Walked, begin: int, end: int) -> None:
        """Note a series: quickly where it is references, one sample of our time, and perhaps metadata behind it."""
        message = self.message
        if begin + 2 < end and message[begin] == 0x0A and message[begin + 1] < 0x80:
            refs = begin + 2
            after = refs + message[begin + 1]
            tail = after + 18
            if (
                tail <= end
                and message[after : after + 3] == b"\x12\x10\x09"
                and message[after + 11] == 0x10
                and message[after + 17] < 0x80
                and min(message[after + 12 : after + 17]) >= 0x80
                and (tail == end or self.only_metadata(tail, end))
            ):
                out.refs.append(refs)
                out.ends.append(after)
                out.usual.append(after + 3)
                out.series.append((begin, end))
                return
        first = stop = begin
        place = begin
        while place < end:
            number, kind, after = self.tag(place, end)
            if number == 1:
                if kind != 2 or stop > first:
                    raise self.bad(place, "references to labels that are not one packed list")
                first, stop = self.part(after, end, "list of references")
                place = stop
            else:
                place = self.skip(kind, after, end)
        out.refs.append(first)
        out.ends.append(stop)
        out.usual.append(-1)
        out.series.append((begin, end))

    def only_metadata(self, place: int, end: int) -> bool:
        """Whether what is left of a series is nothing that counts: exemplars, metadata, when it was created."""
        while place < end:
            number, kind, after = self.tag(place, end)
            if number not in (4, 5, 6):
                return False
            place = self.skip(kind, after, end)
        return True

    def codes(self, walked: _Walked, symbols: Symbols) -> Int32s:
        """The number of each series' label set."""
        if not walked.series:
            return np.empty(0, np.int32)
        pieces = [self.message[a:b] for a, b in zip(walked.refs, walked.ends, strict=True)]
        raw = np.frombuffer(b"".join(pieces), np.uint8)
        lasts = raw < 0x80  # where a number ends
        if any(piece and piece[-1] >= 0x80 for piece in pieces):
            i = next(i for i, piece in enumerate(pieces) if piece and piece[-1] >= 0x80)
            raise self.bad(walked.refs[i], "a reference that does not end")
        stops = np.flatnonzero(lasts) + 1
        starts = np.concatenate((np.zeros(1, np.int64), stops[:-1]))
        widths = stops - starts
        if len(widths) and int(widths.max()) > 5:
            raise self.bad(walked.refs[0], "a reference of more than 32 bits")
        refs = np.zeros(len(stops), np.int64)
        for i in range(int(widths.max()) if len(widths) else 0):
            more = widths > i
            refs[more] |= (raw[starts[more] + i].astype(np.int64) & 0x7F) << (7 * i)
        lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
        counted = np.concatenate((np.zeros(1, np.int64), np.cumsum(lasts)))
        bounds = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
        first = counted[bounds]
        counts = np.diff(first)
        if (odd := np.flatnonzero((counts % 2 != 0) | (counts == 0) | (counts > 2 * MOST_LABELS))).size:
            i = int(odd[0])
            expected = f"a name and a value of each of 1 to {MOST_LABELS} labels"
            what = f"a series of {int(counts[i])} references: expected {expected}"
            raise self.bad(walked.series[i][0], what)
        if len(refs) and int(refs.max()) >= len(walked.texts):
            i = int(np.searchsorted(first, int(refs.argmax()), "right")) - 1
            what = f"a reference to symbol {int(refs.max())}, of {len(walked.texts)} that there are"
            raise self.bad(walked.series[i][0], what)
        numbered, kept = symbols.places(walked.texts)
        places = numbered[refs]
        whole, bounds_list = places.tobytes(), (first * 4).tolist()
        out = np.empty(len(pieces), np.int32)
        for i in range(len(pieces)):
            key = whole[bounds_list[i] : bounds_list[i + 1]]
            code = kept.get(key)
            if code is None:
                names = self.names(walked, refs[first[i] : first[i + 1]].tolist(), walked.series[i][0])
                code = kept[key] = self.sets.named(names)
            out[i] = code
        return out

    def names(self, walked: _Walked, refs: list[int], place: int) -> Mapping[str, str]:
        """The labels of a series, as texts."""
        out: dict[str, str] = {}
        try:
            texts = [walked.texts[ref].decode() for ref in refs]
        except UnicodeDecodeError as fault:
            raise self.bad(place, f"a label that is not UTF-8: {fault.reason}") from fault
        for name, value in zip(texts[::2], texts[1::2], strict=True):
            if not name:
                raise self.bad(place, "a label without a name")
            if name in out:
                raise self.bad(place, f"the label {name!r} is there twice in one series")
            out[name] = value
        if not out.get("__name__"):
            raise self.bad(place, "a series without the label __name__")
        return out

    def rest(self, walked: _Walked, codes: Int32s, which: list[int]) -> None:
        """Read series of another shape field by field."""
        names: dict[int, Mapping[str, str]] = {}
        for i in which:
            place, end = walked.series[i]
            code = int(codes[i])
            pairs: list[tuple[float, int]] = []
            while place < end:
                number, kind, after = self.tag(place, end)
                if number in (2, 3) and kind != 2:
                    what = "sample" if number == 2 else "histogram"
                    raise self.bad(place, f"a {what} of wire type {kind}; expected 2")
                if number == 2:
                    begin, place = self.part(after, end, "sample")
                    pairs.append(self.sample(begin, place))
                elif number == 3:
                    begin, place = self.part(after, end, "histogram")
                    if code not in names:
                        names[code] = self.names(walked, self.refs_of(walked, i), walked.series[i][0])
                    self.counted(code, names[code], self.histogram(begin, place))
                else:
                    place = self.skip(kind, after, end)
            if pairs:
                self.add(code, [v for v, _ in pairs], [t for _, t in pairs])

    def refs_of(self, walked: _Walked, i: int) -> list[int]:
        """The references of one series."""
        place, end, out = walked.refs[i], walked.ends[i], []
        while place < end:
            ref, place = self.varint(place, end)
            out.append(ref)
        return out

    def counted(self, code: int, names: Mapping[str, str], found: Counted) -> None:
        """Take a histogram as samples of its count and its sum."""
        count, total = self.sets.of_histogram(names)
        self.histograms.append((code, count, total))
        self.add(count, [found.shown_count], [found.at_ms])
        self.add(total, [found.sum], [found.at_ms])

    def add(self, code: int, values: list[float], instants: list[int]) -> None:
        """Keep samples of a label set."""
        self.labels.append(np.full(len(values), code, np.int32))
        self.values.append(np.array(values))
        self.instants.append(np.array(instants, np.int64))
        self.count += len(values)
