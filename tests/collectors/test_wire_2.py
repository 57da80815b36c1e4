# ruff: noqa: E501 - a table reads best with a case a line
"""Remote write 2.0 says the same as 1.0 in other words: what one decoder finds, the other finds."""

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coulance.integrations.prometheus import wire, wire_2
from tests.collectors import protobuf as pb
from tests.collectors.test_wire import LABELS, NOW, SAMPLES, Seen, expected


class Seen2(Seen):
    """The same for 2.0."""

    def __init__(self) -> None:
        super().__init__()
        self.symbols = wire_2.Symbols()

    def samples(self, message: bytes) -> list[tuple[tuple[tuple[str, str], ...], bytes, int]]:
        found = wire_2.decode(message, self.sets, self.symbols)
        assert found.sent == len(found)
        rows = zip(found.labels.tolist(), found.value.tolist(), found.at_ms.tolist(), strict=True)
        return sorted((tuple(self.labels[code].items()), struct.pack("<d", value), at) for code, value, at in rows)


@settings(max_examples=75, deadline=None)
@given(bodies=st.lists(st.lists(st.tuples(LABELS, SAMPLES), max_size=6), min_size=1, max_size=3))
@example(bodies=[[([("__name__", "m")], [(1.0, NOW)])] * 2, [([("__name__", "m")], [(0.0, NOW), (2.0, NOW)])]])
def test_what_is_decoded_is_what_was_written(bodies: list[list[tuple[pb.Labels, pb.Samples]]]) -> None:
    seen = Seen2()
    for every in [*bodies, *bodies]:  # the second time by texts that are known
        assert seen.samples(pb.request_2(every)) == expected(every)


def test_both_versions_know_a_series_as_one() -> None:
    seen = Seen2()
    every = [([("__name__", "m"), ("device", "eth0")], [(5.0, NOW)])]
    assert wire.decode(pb.request(every), seen.sets).labels.tolist() == [0]
    assert wire_2.decode(pb.request_2(every), seen.sets, seen.symbols).labels.tolist() == [0]
    assert len(seen.labels) == 1


def test_what_goes_with_a_series_is_stepped_over_and_histograms_give_count_and_sum() -> None:
    seen = Seen2()
    about = pb.delimited(4, b"\x0a\x00") + pb.delimited(5, b"\x08\x01") + pb.tagged(6, 0) + pb.varint(NOW)
    every = [
        ([("__name__", "m"), ("a", "b")], [(7.0, NOW)]),
        ([("__name__", "h")], []),
        ([("__name__", "n")], [(1.0, NOW)]),
    ]
    message = pb.request_2(every, {0: about, 1: pb.delimited(3, pb.histogram(3, 4.5, NOW + 1))})
    found = wire_2.decode(message, seen.sets, seen.symbols)
    told = zip((seen.labels[code]["__name__"] for code in found.labels.tolist()), found.value.tolist(), strict=True)
    assert sorted(told) == [("h_count", 3.0), ("h_sum", 4.5), ("m", 7.0), ("n", 1.0)]
    assert (found.sent, len(found.histograms)) == (2, 1)


GOOD = pb.request_2([([("__name__", "m"), ("device", "eth0")], [(5.0, NOW)])])


def series(refs: bytes, *symbols: bytes) -> bytes:
    texts = b"".join(pb.delimited(4, text) for text in (b"", *symbols))
    return texts + pb.delimited(5, pb.delimited(1, refs) + pb.sample(1.0, NOW))


MALFORMED = [
    # what                                   the message                                                 what is said
    ("cut in the middle of a series",        GOOD[:-3],                                                  "are left"),
    ("a symbol longer than the message",     b"\x22\x7f",                                              "a symbol of 127 bytes"),
    ("a reference beyond the table",         series(b"\x01\x05", b"__name__", b"m"),                   "symbol 5, of 3"),
    ("a name without a value",               series(b"\x01\x02\x01", b"__name__", b"m"),              "3 references"),
    ("no references",                        pb.delimited(4, b"") + pb.delimited(5, pb.sample(1.0, NOW)), "0 references"),
    ("a reference that does not end",        series(b"\x01\x82", b"__name__", b"m"),                   "does not end"),
    ("a reference of six bytes",             series(b"\x01" + b"\x82" * 5 + b"\x00", b"__name__", b"m"), "more than 32 bits"),
    ("references one by one",                pb.delimited(4, b"") + pb.delimited(5, b"\x08\x00\x08\x00"), "one packed list"),
    ("no name",                              series(b"\x01\x02", b"a", b"m"),                          "without the label __name__"),
    ("a label twice",                        series(b"\x01\x02\x01\x02", b"__name__", b"m"),         "is there twice"),
    ("a label without a name",               series(b"\x01\x02\x00\x02", b"__name__", b"m"),         "without a name"),
    ("a label that is not UTF-8",            series(b"\x01\x02", b"__name__", b"\xff"),               "not UTF-8"),
    ("a table that begins otherwise",        pb.delimited(4, b"x") + pb.delimited(5, pb.delimited(1, b"\x00\x00")), "first symbol"),
    ("a message of 1.0",                     pb.request([([("__name__", "m")], [(1.0, NOW)])]),          "1.0"),
    ("a series that is a number",            b"\x28\x05",                                              "a series of wire type 0"),
    ("a sample that is a number",            pb.delimited(4, b"") + pb.delimited(5, b"\x10\x05"),       "references"),
    ("a histogram whose sum is a text",      pb.request_2([([("__name__", "h")], [])], {0: pb.delimited(3, pb.delimited(3, b"5"))}), "of a histogram of wire type 2"),
    ("three hundred labels",                 pb.request_2([([("__name__", "m"), *((f"l{i}", "x") for i in range(300))], [(5.0, NOW)])]), "602 references"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "says"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED])
def test_malformed_messages(message: bytes, says: str) -> None:
    seen = Seen2()
    seen.samples(GOOD)
    with pytest.raises(wire.NotAWriteRequestError, match=says) as told:
        seen.samples(message)
    assert "byte " in str(told.value)
    assert seen.samples(GOOD) == [((("__name__", "m"), ("device", "eth0")), struct.pack("<d", 5.0), NOW)]


def test_a_message_of_2_that_says_it_is_1_is_told() -> None:
    with pytest.raises(wire.NotAWriteRequestError, match=r"v2\.Request"):
        wire.decode(GOOD, Seen().sets)
