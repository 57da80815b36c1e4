# ruff: noqa: E501 - a table reads best with a case a line
"""Remote write over HTTP: what is committed, what is answered, and that nothing counts twice however it arrives."""

import random
import struct
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from coulance.api import prometheus
from coulance.integrations.prometheus import remote_write, rules, wire
from coulance.platform import clock, tokens
from coulance.usage import collecting, operations, queries, store
from coulance.usage.models import Batch, HalfReadings
from tests.collectors import protobuf as pb
from tests.collectors.world import NOW, T0, house, used

COLLECTOR = """
[collectors.nodes]
kind = "prometheus_remote_write"

[[collectors.nodes.rules]]
in = "node_network_receive_bytes_total"
out = "node_network_transmit_bytes_total"
series = "{instance}:{device}"
meter = "port"
include = { instance = "([^:]+):[0-9]+" }
exclude = { device = "veth.*|lo" }

[[collectors.nodes.rules]]
out = "bits_out"
series = "{instance}"
meter = "port"
scale = "0.125"

[[collectors.nodes.rules]]
out = "sent_bytes_sum"
series = "{instance}"
meter = "port"

[[collectors.nodes.rules]]
value = "disk_used_bytes"
series = "{instance}:disk"
meter = "disk"
"""
SERIES = {"web1:eth0": "port", "web2:eth0": "port", "bits": "port", "db:disk": "disk", "wrong:eth0": "disk"}


@pytest.fixture
def post(db: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """POST a request to remote write."""
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "segments"))
    monkeypatch.setattr(clock, "now", lambda: NOW)
    rules._translators.clear()
    prometheus._notes._noted.clear()
    house(tmp_path, COLLECTOR, SERIES)
    text, _ = tokens.make_token(name="prometheus", scopes=["usage:write"], at=NOW, actor="test")
    client = Client()

    def send(body: bytes, path: str = "/api/v1/prometheus/write", **headers: str) -> Any:
        usual = {
            "Authorization": f"Bearer {text}",
            "Content-Encoding": "snappy",
            "Content-Type": "application/x-protobuf",
        }
        named = {
            name: value
            for name, value in (usual | {k.replace("_", "-"): v for k, v in headers.items()}).items()
            if value
        }
        kind = named.pop("Content-Type", "")
        return client.post(path, data=body, content_type=kind, headers=named)

    return send


def port(direction: str, host: str, value: float, at: int, device: str = "eth0") -> tuple[pb.Labels, pb.Samples]:
    name = {"in": "node_network_receive_bytes_total", "out": "node_network_transmit_bytes_total"}[direction]
    return [("__name__", name), ("device", device), ("instance", f"{host}:9100")], [(value, at * 1000 + 123)]


def reading(host: str, v_in: float, v_out: float, at: int, device: str = "eth0") -> list[tuple[pb.Labels, pb.Samples]]:
    return [port("in", host, v_in, at, device), port("out", host, v_out, at, device)]


def body(*parts: tuple[pb.Labels, pb.Samples]) -> bytes:
    return pb.snappy(pb.request(parts))


def test_readings_become_use(post: Callable[..., Any]) -> None:
    for step in range(4):
        at = T0 + 15 * step
        answer = post(body(*reading("web1", 10**12 + 1000 * step, 7 * step, at), *reading("web1", 5, 5, at, "lo")))
        assert (answer.status_code, answer.content) == (204, b"")
    assert used("web1:eth0") == (4, 3000, 21)
    (health,) = queries.collector_health(at=NOW)
    assert (health.collector, health.state, health.failures, health.lag_s) == ("nodes", "behind", 0, 12 * 3600)
    assert queries.quarantined() == []


def test_in_and_out_that_come_apart_in_any_order(post: Callable[..., Any]) -> None:
    """Prometheus' shards: every half in a request of its own, shuffled, some sent twice."""
    halves = [
        port(way, host, 1000.0 * step + (way == "out"), T0 + 60 * step)
        for host in ("web1", "web2") for step in range(12) for way in ("in", "out")
    ]  # fmt: skip
    chance = random.Random(7)
    chance.shuffle(halves)
    requests = [body(*halves[i : i + 5]) for i in range(0, len(halves), 5)]
    again = [*requests, *requests[:4]]
    chance.shuffle(again)
    for one in again:
        assert post(one).status_code == 204
    assert used("web1:eth0") == used("web2:eth0") == (12, 11_000, 11_000)
    assert HalfReadings.objects.count() == 0
    assert list(queries.verify()) == []


def test_a_half_that_stays_alone_gives_up_and_is_counted(
    post: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert post(body(port("in", "web1", 5, T0))).status_code == 204
    assert used("web1:eth0")[0] == 0
    later = NOW + timedelta(hours=2)
    monkeypatch.setattr(clock, "now", lambda: later)
    post(body(port("in", "web2", 5, T0 + 60)))
    (health,) = queries.collector_health(at=later)
    assert health.unpaired == 1
    assert HalfReadings.objects.get().rows == 1


def test_one_direction_a_scale_and_a_level(post: Callable[..., Any]) -> None:
    for step in range(3):
        at = (T0 + 300 * step) * 1000
        post(body(
            ([("__name__", "bits_out"), ("instance", "bits")], [(8.0 * 2**40 + 8000 * step + 7, at)]),
            ([("__name__", "disk_used_bytes"), ("instance", "db")], [(500.75 + step, at)]),
        ))  # fmt: skip
    assert used("bits") == (3, 0, 2000)
    assert used("db:disk") == (3, 500 + 501 + 502, 0)


def test_the_same_request_again_and_concurrently_counts_once(post: Callable[..., Any]) -> None:
    one = body(*reading("web1", 5, 6, T0), port("in", "web2", 9, T0))
    for _ in range(3):
        assert post(one).status_code == 204
    assert post(body(port("out", "web2", 9, T0))).status_code == 204
    assert post(one).status_code == 204  # after its half was met: it does not begin to wait anew
    assert (used("web1:eth0")[0], used("web2:eth0")[0], HalfReadings.objects.count()) == (1, 1, 0)
    assert Batch.objects.count() == 2


def test_stale_markers_are_the_end_of_a_series_and_no_reading(post: Callable[..., Any]) -> None:
    stale = struct.unpack("<d", struct.pack("<Q", wire.STALE))[0]
    assert post(body(*reading("web1", 5, 6, T0))).status_code == 204
    assert post(body(*reading("web1", stale, stale, T0 + 15))).status_code == 204
    assert used("web1:eth0")[0] == 1


def test_a_reset_loses_nothing_before_it_and_invents_nothing(post: Callable[..., Any]) -> None:
    for step, value in enumerate([10**9, 10**9 + 500, 200, 700]):
        post(body(*reading("web1", value, value, T0 + 15 * step)))
    assert used("web1:eth0") == (4, 1000, 1000)


def test_unknown_series_wait_in_quarantine(post: Callable[..., Any]) -> None:
    assert post(body(*reading("new", 5, 6, T0))).status_code == 204
    assert [(one.key, one.rows) for one in queries.quarantined()] == [("new:eth0", 1)]


REFUSED = [
    # what                            samples                                                        what the sender is told
    ("a counter that is not a number", reading("web1", float("nan"), 6, T0),                          "no number that a counter"),
    ("an infinite one",                reading("web1", float("inf"), 6, T0),                          "inf is no number"),
    ("a negative one",                 reading("web1", -5, 6, T0),                                    "-5.0 is negative"),
    ("one above 2**63",                reading("web1", 2.0**63, 6, T0),                               "larger than a counter can be"),
    ("an instant in the future",       reading("web1", 5, 6, T0 + 86_400),                            "web1:eth0 at: in the future"),
    ("an instant of long ago",         reading("web1", 5, 6, 1000),                                   "web1:eth0 at: before the year 2000"),
    ("a series of another meter",      reading("wrong", 5, 6, T0),                                    "counts for meter 'disk', and the collector's rule says 'port'"),
    ("two sources of one series",      [port("in", "web1", 5, T0), port("out", "web1", 5, T0),
                                        ([*port("in", "web1", 5, T0)[0], ("replica", "b")], [(6.0, T0 * 1000)])], "second label set"),
]  # fmt: skip


@pytest.mark.parametrize(("parts", "says"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_samples_that_must_not_be_sent_again(post: Callable[..., Any], parts: Any, says: str) -> None:
    answer = post(body(*reading("web2", 1, 2, T0), *parts))
    assert answer.status_code == 400
    assert says in answer.json()["detail"]
    assert "don't send this again" in answer.json()["detail"]
    assert used("web2:eth0")[0] == 1, "the others are committed"
    again = post(body(*reading("web2", 1, 2, T0), *parts))
    assert (again.status_code, used("web2:eth0")[0]) == (400, 1)


NOT_TAKEN = [
    # what                     headers                                                                                status  what is said
    ("version 3",              {"Content_Type": "application/x-protobuf;proto=io.prometheus.write.v3.Request"},          415, "v2.Request"),
    ("1.0 said to be 2.0",     {"Content_Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"},          400, "is it a message of remote write 1.0"),
    ("JSON",                   {"Content_Type": "application/json"},                                                     415, "application/x-protobuf"),
    ("no snappy",              {"Content_Encoding": ""},                                                                 415, "snappy"),
    ("gzip",                   {"Content_Encoding": "gzip"},                                                             415, "not gzip"),
    ("no token",               {"Authorization": ""},                                                                    401, "send a token"),
    ("a wrong token",          {"Authorization": "Bearer cl_nonsense"},                                                  401, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "status", "says"), [case[1:] for case in NOT_TAKEN], ids=[case[0] for case in NOT_TAKEN]
)
def test_requests_that_are_no_remote_write(
    post: Callable[..., Any], headers: dict[str, str], status: int, says: str
) -> None:
    answer = post(body(*reading("web1", 5, 6, T0)), **headers)
    assert answer.status_code == status
    assert says in answer.json()["detail"]
    assert Batch.objects.count() == 0


def test_version_one_by_its_full_name(post: Callable[..., Any]) -> None:
    kind = "application/x-protobuf;proto=prometheus.WriteRequest"
    assert post(body(*reading("web1", 5, 6, T0)), Content_Type=kind).status_code == 204


V2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
WRITTEN = [f"X-Prometheus-Remote-Write-{what}-Written" for what in ("Samples", "Histograms", "Exemplars")]


def test_version_two_counts_the_same_and_says_what_it_wrote(post: Callable[..., Any]) -> None:
    for step in range(4):
        at = T0 + 15 * step
        readings = [*reading("web1", 10**12 + 1000 * step, 7 * step, at), *reading("web1", 5, 5, at, "lo")]
        answer = post(pb.snappy(pb.request_2(readings)), Content_Type=V2)
        assert (answer.status_code, [answer[name] for name in WRITTEN]) == (204, ["4", "0", "0"])
    assert used("web1:eth0") == (4, 3000, 21)
    wrong = [*reading("web1", -5, 9, T0 + 60), *reading("web2", 5, 6, T0 + 60)]
    answer = post(pb.snappy(pb.request_2(wrong)), Content_Type=V2 + "; charset=utf-8")
    assert (answer.status_code, answer[WRITTEN[0]]) == (400, "3")
    assert "X-Prometheus-Remote-Write-Samples-Written" not in post(body(*reading("web1", 5, 6, T0)))


def test_a_rule_counts_by_a_histograms_sum_and_one_that_names_the_histogram_is_told(
    post: Callable[..., Any],
) -> None:
    answer_bytes, bits = (
        [("__name__", "sent_bytes"), ("instance", "bits")],
        [("__name__", "bits_out"), ("instance", "bits")],
    )

    def message(total: float, at: int, labels: pb.Labels) -> bytes:
        return pb.snappy(pb.request_2([(labels, [])], {0: pb.delimited(3, pb.histogram(9, total, at * 1000))}))

    for step in range(3):
        answer = post(message(100.0 * step, T0 + 15 * step, answer_bytes), Content_Type=V2)
        assert (answer.status_code, [answer[name] for name in WRITTEN]) == (204, ["0", "1", "0"])
    assert used("bits") == (3, 0, 200)
    answer = post(message(1.0, T0, bits), Content_Type=V2)
    assert answer.status_code == 400
    assert "bits_out of bits: is a native histogram" in answer.json()["detail"]


def test_a_malformed_body_is_told_and_shows_in_the_health(post: Callable[..., Any]) -> None:
    answer = post(pb.snappy(b"\x0a\x7fxx"))
    assert answer.status_code == 400
    assert "byte 1" in answer.json()["detail"]
    assert post(pb.varint(2**31) + bytes(50)).status_code == 413
    (health,) = queries.collector_health(at=NOW)
    assert (health.state, health.failures) == ("failing", 2)
    assert "unpacks to" in health.last_error
    post(body(*reading("web1", 5, 6, T0)))
    assert queries.collector_health(at=NOW)[0].failures == 0


def test_a_database_that_fails_is_no_fault_of_the_sender(
    post: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(**_: object) -> None:
        raise OperationalError("the server closed the connection")

    one = body(*reading("web1", 5, 6, T0))
    with monkeypatch.context() as patch:
        patch.setattr(operations, "take_written", gone)
        answer = post(one)
        assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert post(one).status_code == 204
    assert used("web1:eth0")[0] == 1


def test_too_much_at_once_and_too_much_that_waits(post: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(prometheus._room, "acquire", lambda blocking: False)
        answer = post(body(*reading("web1", 5, 6, T0)))
        assert (answer.status_code, answer["Retry-After"]) == (429, "1")
    monkeypatch.setattr(collecting, "MOST_WAITING", 2)
    assert post(body(port("in", "web1", 5, T0), port("in", "web2", 5, T0))).status_code == 204
    answer = post(body(port("in", "web1", 6, T0 + 60)))
    assert (answer.status_code, answer["Retry-After"]) == (429, "30")
    assert HalfReadings.objects.get().rows == 2, "nothing of it is kept"
    assert post(body(port("out", "web1", 5, T0))).status_code == 204


def test_the_collector_must_be_known(post: Callable[..., Any]) -> None:
    assert post(body(), path="/api/v1/prometheus/write?collector=nodes").status_code == 204
    answer = post(body(), path="/api/v1/prometheus/write?collector=nobody")
    assert answer.status_code == 404
    assert "no collector 'nobody'" in answer.json()["detail"]


def test_what_no_rule_is_about_leaves_no_trace(post: Callable[..., Any]) -> None:
    assert post(body(([("__name__", "up"), ("instance", "x")], [(1.0, T0 * 1000)]))).status_code == 204
    assert post(body(*reading("web1", 5, 6, T0, "veth12"))).status_code == 204
    assert Batch.objects.count() == 0
    taken = remote_write.decode(body(([("__name__", "up")], [(1.0, T0 * 1000)])), _nodes())[1]
    assert (taken.other, taken.nothing) == (1, True)


def _nodes() -> Any:
    from coulance.catalog import queries as catalog

    return catalog.catalog().collectors["nodes"]
