# ruff: noqa: E501 - a table reads best with a case a line
"""The remote write decoder against messages built from the protobuf specification: the same samples, whatever they are."""

import math
import struct
from collections.abc import Mapping

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coulance.integrations.prometheus import wire
from tests.collectors import protobuf as pb


class Seen:
    """Label sets as the decoder numbers them."""

    def __init__(self) -> None:
        self.labels: list[dict[str, str]] = []
        self.sets = wire.LabelSets(self.add)

    def add(self, labels: Mapping[str, str]) -> None:
        self.labels.append(dict(labels))

    def samples(self, message: bytes) -> list[tuple[tuple[tuple[str, str], ...], bytes, int]]:
        """(labels, the value's bytes, milliseconds), sorted."""
        found = wire.decode(wire.unpacked(pb.snappy(message)), self.sets)
        rows = zip(found.labels.tolist(), found.value.tolist(), found.at_ms.tolist(), strict=True)
        return sorted((tuple(self.labels[code].items()), struct.pack("<d", value), at) for code, value, at in rows)


def expected(every: list[tuple[pb.Labels, pb.Samples]]) -> list[tuple[tuple[tuple[str, str], ...], bytes, int]]:
    return sorted((tuple(labels), struct.pack("<d", value), at) for labels, samples in every for value, at in samples)


NOW = 1_790_000_000_000
CUT = "\x12\x10\t"
LABELS = st.lists(
    st.tuples(st.sampled_from(["device", "instance", "job", "a", CUT]), st.text(max_size=6) | st.just(CUT * 2)),
    unique_by=lambda pair: pair[0],
    max_size=4,
).map(lambda more: [("__name__", "m"), *more])
SAMPLES = st.lists(
    st.tuples(
        st.floats(allow_nan=False)
        | st.sampled_from([0.0, -0.0, 1e9, struct.unpack("<d", b"\x12\x10\t\x12\x10\t\x12\x10")[0]]),
        st.integers(NOW, NOW + 10**9) | st.sampled_from([0, 1, -1, 2**41, 2**35 - 1, 2**63 - 1, -(2**63)]),
    ),
    max_size=7,
)


@settings(max_examples=75, deadline=None)
@given(bodies=st.lists(st.lists(st.tuples(LABELS, SAMPLES), max_size=6), min_size=1, max_size=3))
@example(bodies=[[([("__name__", "m")], [(1.0, NOW)])] * 2, [([("__name__", "m")], [(0.0, NOW), (2.0, NOW)])]])
def test_what_is_decoded_is_what_was_written(bodies: list[list[tuple[pb.Labels, pb.Samples]]]) -> None:
    seen = Seen()
    for every in [*bodies, *bodies]:  # the second time from the table of heads
        assert seen.samples(pb.request(every)) == expected(every)


@pytest.mark.parametrize("zeros", [(), (0,), (3,), (7,), (0, 1, 2), (5, 6, 7), tuple(range(8))])
def test_idle_ports_among_busy_ones(zeros: tuple[int, ...]) -> None:
    """A counter of 0 is left out of its sample, which makes it shorter than the quick way knows."""
    seen = Seen()
    for step in range(3):
        every = [
            ([("__name__", "m"), ("device", f"eth{i}")], [(0.0 if i in zeros and step else 5.0 + i, NOW + step)])
            for i in range(8)
        ]
        assert seen.samples(pb.request(every)) == expected(every)


def test_unknown_fields_metadata_exemplars_and_histograms_are_stepped_over() -> None:
    labels = pb.label("__name__", "m") + pb.delimited(9, b"later")
    inner = (
        labels
        + pb.sample(7.0, NOW)
        + pb.delimited(3, b"exemplar")
        + pb.delimited(4, pb.histogram(12, 30.5, NOW))
        + pb.sample(8.0, NOW + 1)
    )
    message = (
        pb.delimited(3, b"metadata") + pb.tagged(8, 5) + b"abcd" + pb.delimited(1, inner) + pb.tagged(7, 1) + bytes(8)
    )
    seen = Seen()
    found = wire.decode(message, seen.sets)
    # A native histogram counts as a classic one does, by its count and its sum.
    assert found.value.tolist() == [12.0, 30.5, 7.0, 8.0]
    assert [seen.labels[code]["__name__"] for code in found.labels.tolist()] == ["m_count", "m_sum", "m", "m"]
    assert (found.sent, found.histograms.tolist()) == (2, [[0, 1, 2]])


def test_a_histogram_that_has_ended_is_two_series_that_have() -> None:
    ended = struct.unpack("<d", struct.pack("<Q", wire.STALE))[0]
    inner = pb.label("__name__", "m") + pb.delimited(4, pb.histogram(0, ended, NOW))
    found = wire.decode(pb.delimited(1, inner), Seen().sets)
    assert found.value.tobytes() == struct.pack("<Q", wire.STALE) * 2


def test_a_stale_marker_keeps_its_bits() -> None:
    stale = struct.unpack("<d", struct.pack("<Q", wire.STALE))[0]
    found = wire.decode(pb.request([([("__name__", "m")], [(stale, NOW)])]), Seen().sets)
    assert math.isnan(found.value[0])
    assert found.value.tobytes() == struct.pack("<Q", wire.STALE)


GOOD = pb.request([([("__name__", "m"), ("device", "eth0")], [(5.0, NOW)])])
NAME = pb.label("__name__", "m")
MALFORMED = [
    # what                                    the unpacked message                                      what is said
    ("cut in the middle of a sample",         GOOD[:-3],                                                "are left"),
    ("cut in the middle of a label",          GOOD[:9],                                                 "are left"),
    ("only a tag",                            b"\x0a",                                                  "ends within a number"),
    ("a length longer than the message",      b"\x0a\x7f" + GOOD[2:],                                   "a series of 127 bytes"),
    ("a length that never ends",              b"\x0a" + b"\xff" * 12,                                   "does not end"),
    ("a length of more than 64 bits",         b"\x0a" + b"\xff" * 9 + b"\x7f",                          "more than 64 bits"),
    ("a group, which nobody uses",            b"\x0b\x0c",                                              "wire type 3"),
    ("field number 0",                        b"\x02\x00",                                              "field of number 0"),
    ("wire type 7",                           b"\x0f",                                                  "wire type 7"),
    ("no name",                               pb.request([([("device", "eth0")], [(5.0, NOW)])]),       "without the label __name__"),
    ("a label twice",                         pb.request([([("__name__", "m"), ("a", "1"), ("a", "2")], [(5.0, NOW)])]), "'a' is there twice"),
    ("a label without a name",                pb.request([([("__name__", "m"), ("", "1")], [(5.0, NOW)])]), "a label without a name"),
    ("a label that is not UTF-8",             pb.delimited(1, NAME + pb.delimited(1, pb.delimited(1, b"a") + pb.delimited(2, b"\xff")) + pb.sample(1.0, NOW)), "not UTF-8"),
    ("a value that is a text",                pb.delimited(1, NAME + pb.delimited(2, pb.delimited(1, b"5"))), "value of wire type 2"),
    ("a timestamp that is a double",          pb.delimited(1, NAME + pb.delimited(2, pb.tagged(2, 1) + bytes(8))), "timestamp of wire type 1"),
    ("a value cut short",                     pb.delimited(1, NAME + pb.delimited(2, pb.tagged(1, 1) + bytes(3))), "ends within a field"),
    ("a series that is a number",             b"\x08\x05",                                              "a series of wire type 0"),
    ("a label that is a number",              pb.delimited(1, b"\x08\x05"),                             "a label of wire type 0"),
    ("three hundred labels",                  pb.request([([("__name__", "m"), *((f"l{i}", "x") for i in range(300))], [(5.0, NOW)])]), "at most 256"),
    ("a label of a hundred kilobytes",        pb.request([([("__name__", "m"), ("a", "x" * 100_000)], [(5.0, NOW)])]), "a label of 100000 bytes"),
    ("JSON",                                  b'{"timeseries": []}',                                    "wire type 3"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "says"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED])
@pytest.mark.parametrize("after", [b"", GOOD, GOOD * 3], ids=["alone", "after a good series", "after three"])
def test_malformed_messages(message: bytes, says: str, after: bytes) -> None:
    seen = Seen()
    wire.decode(GOOD, seen.sets)
    with pytest.raises(wire.NotAWriteRequestError, match=says) as told:
        wire.decode(after + message, seen.sets)
    assert "byte " in str(told.value)


BODIES = [
    ("nothing",                      b"",                                      wire.NotAWriteRequestError, "empty"),
    ("no snappy",                    GOOD,                                     wire.NotAWriteRequestError, "snappy"),
    ("a length that never ends",     b"\xff" * 8,                              wire.NotAWriteRequestError, "does not begin with"),
    ("ends within the length",       b"\x80",                                  wire.NotAWriteRequestError, "ends within the length"),
    ("cut short",                    pb.snappy(GOOD * 9)[:-5],                 wire.NotAWriteRequestError, "not a snappy block"),
    ("framed instead of a block",    b"\xff\x06\x00\x00sNaPpY" + pb.snappy(GOOD), wire.NotAWriteRequestError, "."),
    ("says 4 GB",                    pb.varint(2**32 - 1) + b"\x00" * 40,      wire.TooLargeError,         "at most 67108864"),
    ("says 60 MB in 20 bytes",       pb.varint(60 * 2**20) + b"\x00" * 20,     wire.NotAWriteRequestError, "which 24 can't hold"),
    ("says more than it has",        pb.varint(400) + pb.snappy(GOOD)[1:],     wire.NotAWriteRequestError, "snappy block"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "fault", "says"), [case[1:] for case in BODIES], ids=[case[0] for case in BODIES])
def test_bodies_that_are_no_snappy_block(body: bytes, fault: type[Exception], says: str) -> None:
    with pytest.raises(fault, match=says):
        wire.unpacked(body)


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, len(GOOD) * 3), byte=st.integers(0, 255), cut=st.booleans())
def test_any_damage_is_refused_or_read_as_what_it_now_says(at: int, byte: int, cut: bool) -> None:
    """Quick and slow way agree on damaged messages too: the same samples, or both refuse."""
    message = bytearray(GOOD * 3)
    if cut:
        message = message[:at]
    elif at < len(message):
        message[at] = byte
    warm, cold = Seen(), Seen()
    warm.samples(GOOD)
    answers = []
    for seen in (warm, cold):
        try:
            answers.append(seen.samples(bytes(message)))
        except wire.NotAWriteRequestError as fault:
            answers.append([str(fault)])  # type: ignore[list-item]
    assert answers[0] == answers[1]


def test_a_million_and_one_samples_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_SAMPLES", 100)
    every = [([("__name__", "m"), ("i", str(i))], [(5.0, NOW)]) for i in range(101)]
    with pytest.raises(wire.TooLargeError, match="at most 100 samples"):
        Seen().samples(pb.request(every))
    with pytest.raises(wire.TooLargeError, match="at most 100 samples"):
        Seen().samples(pb.request([([("__name__", "m")], [(5.0, NOW + i) for i in range(101)])]))
