# ruff: noqa: E501 - a table reads best with a case a line
"""Collectors that ask HTTP APIs, against servers with a state: exact through outages, restarts, moves and bad answers."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coulance.integrations.collectors import reconciling, runner
from coulance.usage import queries
from coulance.usage.models import CollectorTarget
from tests.collectors.fakes import Answer, Fake, FakeLibreNms, FakePrometheus, FakeProxmox
from tests.collectors.world import NOW, used

NOW_S = int(NOW.timestamp())

PROMETHEUS = """
[collectors.prom]
kind = "prometheus"
url = "URL"
auth = "bearer"
secret = "prom"
window = "10 min"
lag = "30 s"
back_fill = "10 min"

[[collectors.prom.rules]]
in = "node_network_receive_bytes_total"
out = "node_network_transmit_bytes_total"
series = "{instance}:{device}"
meter = "port"
include = { instance = "([^:]+):9100", device = "eth.*" }
"""
PROXMOX = """
[collectors.pve]
kind = "proxmox"
url = "URL"
secret = "pve"

[[collectors.pve.rules]]
series = "vm-{vmid}"
meter = "port"
exclude = { name = "test-.*" }
"""
LIBRENMS = """
[collectors.nms]
kind = "librenms"
url = "URL"
secret = "nms"

[[collectors.nms.rules]]
series = "{hostname}:{ifname}"
meter = "port"
"""


@pytest.fixture
def prometheus() -> Iterator[FakePrometheus]:
    fake = FakePrometheus(token="Bearer s3cret-token")
    with fake.serving():
        yield fake


@pytest.fixture
def proxmox() -> Iterator[FakeProxmox]:
    fake = FakeProxmox()
    with fake.serving():
        yield fake


@pytest.fixture
def librenms() -> Iterator[FakeLibreNms]:
    fake = FakeLibreNms()
    with fake.serving():
        yield fake


def scrapes(fake: FakePrometheus, begin: int, end: int, every: int = 15, rate: int = 1000) -> None:
    """Scrapes of one port; the value is a pure function of the instant, so truth is a subtraction."""
    for at in range(begin, end, every):
        for way in ("receive", "transmit"):
            value = (at - 1_700_000_000) * rate + (way == "transmit")
            fake.scrape(
                at + 0.217, f"node_network_{way}_bytes_total", value, instance="web1:9100", device="eth0", job="node"
            )
            fake.scrape(at + 0.217, f"node_network_{way}_bytes_total", 7, instance="web1:9100", device="lo", job="node")


# Prometheus


def test_raw_samples_are_fetched_and_nothing_else(asking: Callable[..., Any], prometheus: FakePrometheus) -> None:
    ask = asking(PROMETHEUS.replace("URL", prometheus.url), ["web1:eth0"], prom="s3cret-token")
    scrapes(prometheus, NOW_S - 7200, NOW_S + 1200)
    done = ask.go()
    assert (done.error, sum(a.accepted for a in done.answers)) == ("", 40)  # back_fill: ten minutes of four a minute
    ask.go(300)
    assert used("web1:eth0") == (60, 59 * 15 * 1000, 59 * 15 * 1000)
    assert all(one.query["query"].endswith("s]") for one in prometheus.asked)
    assert 'device=~"eth.*"' in prometheus.asked[0].query["query"]
    assert queries.quarantined() == []
    assert ask.health().lag_s == 30


def test_an_outage_of_hours_is_caught_up_with_window_by_window(
    asking: Callable[..., Any], prometheus: FakePrometheus
) -> None:
    ask = asking(PROMETHEUS.replace("URL", prometheus.url), ["web1:eth0"], prom="s3cret-token")
    scrapes(prometheus, NOW_S - 1200, NOW_S + 9 * 3600)
    ask.go()
    prometheus.instead = lambda _: Answer(b"upstream is down", 502)
    for _ in range(6):
        assert "status 502: upstream is down" in ask.go(3600).error
    assert (ask.health().state, ask.health().failures) == ("failing", 6)
    prometheus.instead = None
    begun = len(prometheus.asked)
    done = ask.go(3600)
    windows = (len(prometheus.asked) - begun) // 2
    assert (done.error, windows) == ("", 42)  # seven hours of ten minutes each
    assert used("web1:eth0") == ((7 * 3600 + 600) // 15, (7 * 3600 + 585) * 1000, (7 * 3600 + 585) * 1000)
    assert (ask.health().state, ask.health().lag_s) == ("ok", 30)


def test_a_window_that_is_too_much_for_the_server_is_halved(
    asking: Callable[..., Any], prometheus: FakePrometheus
) -> None:
    ask = asking(PROMETHEUS.replace("URL", prometheus.url), ["web1:eth0"], prom="s3cret-token")
    scrapes(prometheus, NOW_S - 1200, NOW_S)
    prometheus.most = 12
    assert ask.go().error == ""
    assert used("web1:eth0")[0] == 40
    prometheus.most = 1
    assert "too many samples" in ask.go(600).error


def test_a_reset_between_two_scrapes(asking: Callable[..., Any], prometheus: FakePrometheus) -> None:
    ask = asking(PROMETHEUS.replace("URL", prometheus.url), ["web1:eth0"], prom="s3cret-token")
    for i, value in enumerate([10_000, 11_000, 12_000, 300, 900, 1400]):
        for way in ("receive", "transmit"):
            prometheus.scrape(
                NOW_S - 400 + 60 * i, f"node_network_{way}_bytes_total", value, instance="web1:9100", device="eth0"
            )
    ask.go()
    assert used("web1:eth0") == (6, 2000 + 1100, 2000 + 1100)


def test_asked_twice_and_crossing_windows_nothing_counts_twice(
    asking: Callable[..., Any], prometheus: FakePrometheus
) -> None:
    ask = asking(PROMETHEUS.replace("URL", prometheus.url), ["web1:eth0"], prom="s3cret-token")
    scrapes(prometheus, NOW_S - 1200, NOW_S + 600)
    ask.go()
    CollectorTarget.objects.update(cursor=NOW_S - 500)  # as if the cursor had been lost
    ask.go()
    assert used("web1:eth0")[0] == 40
    assert list(queries.verify()) == []


# Proxmox


def test_guests_count_start_again_move_and_stop(asking: Callable[..., Any], proxmox: FakeProxmox) -> None:
    ask = asking(PROXMOX.replace("URL", proxmox.url), ["vm-100", "vm-101"], pve=proxmox.token)
    proxmox.add(100, netin=10**9, netout=5 * 10**9)
    proxmox.add(101, type="lxc")
    proxmox.add(102, name="test-1")
    proxmox.add(103, template=1, status="stopped")
    assert ask.go().error == ""
    proxmox.passes(300, in_100=10, out_100=20, in_101=1)
    ask.go(300)
    assert used("vm-100") == (2, 3000, 6000)

    # A reboot 100 s before the poll, with more traffic since than the counter had shown: only the uptime can tell.
    proxmox.passes(200, in_100=10, out_100=20)
    proxmox.start_anew(100)
    proxmox.passes(100, in_100=10**8, out_100=10**8)
    ask.go(300)
    assert used("vm-100") == (3, 3000, 6000), "what the reboot hid is not invented"
    proxmox.passes(300, in_100=10, out_100=20)
    ask.go(300)
    assert used("vm-100") == (4, 6000, 12_000)

    # A live migration: another process on another node, the same guest.
    proxmox.start_anew(100, node="pve2")
    proxmox.passes(300, in_100=10, out_100=20)
    ask.go(300)
    proxmox.passes(300, in_100=10, out_100=20)
    ask.go(300)
    assert used("vm-100") == (6, 9000, 18_000)

    # Stopped for an hour: no reading; started again it goes on.
    proxmox.guests[100] |= {"status": "stopped", "uptime": 0, "netin": 0, "netout": 0}
    ask.go(300)
    proxmox.guests[100]["status"] = "running"
    proxmox.passes(60, in_100=10, out_100=20)
    ask.go(3300)
    proxmox.passes(300, in_100=10, out_100=20)
    ask.go(300)
    assert used("vm-100") == (8, 12_000, 24_000)
    assert queries.quarantined() == []


# LibreNMS


def device(**more: Any) -> dict[str, Any]:
    return {"device_id": 3, "hostname": "sw1.example.net", "sysName": "sw1", "uptime": 500_000, "status": 1, **more}


def port(name: str, v_in: Any, v_out: Any, polled: int, **more: Any) -> dict[str, Any]:
    return {
        "port_id": 40 + len(name), "device_id": 3, "ifName": name, "ifAlias": "Cust: s1", "ifDescr": name, "ifInOctets": v_in,
        "ifOutOctets": v_out, "poll_time": polled, "deleted": 0, **more,
    }  # fmt: skip


def test_ports_are_read_as_of_when_they_were_polled(asking: Callable[..., Any], librenms: FakeLibreNms) -> None:
    ask = asking(LIBRENMS.replace("URL", librenms.url), ["sw1.example.net:xe-0/0/1"], nms=librenms.token)
    for step in range(3):
        polled = NOW_S - 120 + 300 * step
        librenms.devices = [device(uptime=500_000 + 300 * step)]
        librenms.ports = [
            port("xe-0/0/1", 10**12 + 5000 * step, str(2**63 + 7 * step), polled),
            port("gone", 5, 5, polled, deleted=1),
            port("new", None, None, polled),
        ]
        ask.go(0 if not step else 300)
        ask.go(20)  # polled no more since: nothing new
    assert used("sw1.example.net:xe-0/0/1") == (3, 10_000, 14)
    assert ask.health().notes == ("1 ports have no counters, or were never polled",)
    assert librenms.asked[1].query["columns"].startswith("port_id,")


def test_a_device_that_started_again_is_told_by_its_uptime(asking: Callable[..., Any], librenms: FakeLibreNms) -> None:
    ask = asking(LIBRENMS.replace("URL", librenms.url), ["sw1.example.net:a"], nms=librenms.token)
    for uptime, value in ((500_000, 1000), (100, 10**9), (400, 10**9 + 500)):
        librenms.devices = [device(uptime=uptime)]
        librenms.ports = [port("a", value, value, int(ask.at.timestamp()) + 280)]
        ask.go(300)
    assert used("sw1.example.net:a") == (3, 500, 500)


def test_their_bills_beside_ours(asking: Callable[..., Any], librenms: FakeLibreNms) -> None:
    ask = asking(LIBRENMS.replace("URL", librenms.url), ["sw1.example.net:a"], nms=librenms.token)
    begin = datetime(2026, 11, 9, tzinfo=UTC)
    ask.at = begin - timedelta(seconds=300)
    total = 0
    librenms.devices = [device()]
    for step in range(73):
        total += 300 * (1_000_000 if step % 10 else 9_000_000) if step else 0
        librenms.devices[0]["uptime"] = 500_000 + 300 * step
        librenms.ports = [port("a", total, 0, int(begin.timestamp()) + 300 * step)]
        ask.go(300)
    ask.at = NOW
    librenms.bills = [
        {"bill_id": 7, "bill_name": "Ada's rack", "bill_ref": "s1", "bill_type": "cdr"},
        {"bill_id": 8, "bill_name": "Another's", "bill_ref": "", "bill_type": "quota"},
    ]
    span = {"bill_datefrom": "2026-11-09 00:00:00", "bill_dateto": "2026-11-09 06:00:00"}
    librenms.history = {
        "7": [
            {
                "bill_id": 7,
                **span,
                "rate_95th": 72_000_000,
                "dir_95th": "in",
                "traf_total": total,
                "traf_in": total,
                "traf_out": 0,
            }
        ],
        "8": [{"bill_id": 8, **span, "rate_95th": 5, "dir_95th": "in", "traf_total": 6, "traf_in": 6, "traf_out": 0}],
    }
    collector = runner.asked_collectors()["nms"]
    ours, other = reconciling.compare(collector, ask.now, runner.secrets_of(collector))
    assert (ours.service, ours.our_total, ours.our_95th, ours.apart, ours.coverage) == (
        "s1",
        total,
        72_000_000,
        0,
        1000,
    )
    assert (other.service, other.our_total, other.apart) == ("", None, None)


def test_two_collectors_on_one_port_count_it_once(
    asking: Callable[..., Any], librenms: FakeLibreNms, prometheus: FakePrometheus
) -> None:
    rules = PROMETHEUS.replace("URL", prometheus.url)
    ask = asking(LIBRENMS.replace("URL", librenms.url) + rules, ["web1:eth0"], nms=librenms.token, prom="s3cret-token")
    other = type(ask)("prom")
    librenms.devices = [device(hostname="web1")]
    scrapes(prometheus, NOW_S - 600, NOW_S + 3600)
    for step in range(10):
        polled = NOW_S - 100 + 300 * step
        value = (polled - 1_700_000_000) * 1000
        librenms.devices[0]["uptime"] = 500_000 + 300 * step
        librenms.ports = [port("eth0", value, value + 1, polled)]
        ask.go(300 if step else 0)
        other.at = ask.at
        if step % 3 == 2:
            assert other.go().error == ""
    instants = queries.stored_instants(key="web1:eth0", after=0, until=2**40)
    truth = (instants[-1] - instants[0]) * 1000
    assert len(instants) > 150
    assert used("web1:eth0") == (len(instants), truth, truth)
    assert list(queries.verify()) == []


# Faults


BAD = [
    # whose        what                          the answer                                                                          what is said
    ("proxmox",    "a login page",               Answer(b"<html>Sign in</html>", headers={"Content-Type": "text/html"}),             "not what this API gives"),
    ("proxmox",    "JSON of another kind",       Answer({"data": {"a": 1}}),                                                         "not what this API gives"),
    ("proxmox",    "cut short",                  Answer(b'{"data": [{"vmid": 1'),                                                    "not what this API gives"),
    ("proxmox",    "no data",                    Answer({}),                                                                         "not what this API gives"),
    ("proxmox",    "a wrong token",              Answer({"message": "invalid token"}, 401),                                          "check the secret 'pve'"),
    ("proxmox",    "too often",                  Answer(b"slow down", 429, {"Retry-After": "120"}),                                  "status 429: slow down"),
    ("proxmox",    "a redirect",                 Answer(b"", 302, {"Location": "http://127.0.0.1:1/"}),                              "sends us elsewhere"),
    ("proxmox",    "an error of its own",        Answer({"message": "cluster not ready - no quorum?"}, 500),                         "no quorum"),
    ("proxmox",    "a negative counter",         Answer({"data": [{"type": "qemu", "vmid": 1, "status": "running", "uptime": 9, "netin": -5, "netout": 1}]}), "below 0"),
    ("proxmox",    "a counter of 70 bits",       Answer({"data": [{"type": "qemu", "vmid": 1, "status": "running", "uptime": 9, "netin": 2**70, "netout": 1}]}), "64 bits"),
    ("librenms",   "status error",               Answer({"status": "error", "message": "no permission"}),                            "LibreNMS says error: no permission"),
    ("librenms",   "a list",                     Answer([1, 2]),                                                                     "not what this API gives"),
    ("librenms",   "bytes that are no UTF-8",    Answer(b'{"status": "\xff\xfe"}'),                                                  "not what this API gives"),
    ("prometheus", "an error with status 200",   Answer({"status": "error", "errorType": "timeout", "error": "query timed out"}),    "timeout: query timed out"),
    ("prometheus", "a vector",                   Answer({"status": "success", "data": {"resultType": "vector", "result": []}}),      "a matrix of raw samples, not vector"),
    ("prometheus", "a value that is no number",  Answer({"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {"__name__": "x"}, "values": [[1, "abc"]]}]}}), "no number"),
    ("prometheus", "a series without a name",    Answer({"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "1"]]}]}}), "has no name"),
    ("prometheus", "not found",                  Answer(b"404 page not found", 404),                                                 "status 404"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("who", "answer", "says"), [(c[0], c[2], c[3]) for c in BAD], ids=[f"{c[0]}: {c[1]}" for c in BAD]
)
def test_answers_that_make_no_sense(
    asking: Callable[..., Any], who: str, answer: Answer, says: str, request: pytest.FixtureRequest
) -> None:
    fake: Fake = request.getfixturevalue(who)
    text = {"proxmox": PROXMOX, "librenms": LIBRENMS, "prometheus": PROMETHEUS}[who].replace("URL", fake.url)
    ask = asking(text, pve="coulance@pve!meter=1234-5678", nms="token-of-librenms", prom="s3cret-token")
    fake.instead = lambda _: answer
    done = ask.go()
    assert says in done.error
    assert done.answers == ()
    health = ask.health()
    assert (health.state, health.failures, health.lag_s) == ("failing", 1, None)
    wait = (done.next_at - ask.at).total_seconds()
    assert wait == 120 if "Retry-After" in answer.headers else 13 <= wait <= 17
    fake.instead = None
    assert ask.go(3600).error == ""
    assert (ask.health().failures, ask.health().last_error) == (0, "")


def test_secrets_stand_in_no_error(asking: Callable[..., Any], prometheus: FakePrometheus) -> None:
    ask = asking(PROMETHEUS.replace("URL", prometheus.url), prom="s3cret-token")
    prometheus.instead = lambda asked: Answer({"error": f"no user for {asked.headers['Authorization']}"}, 403)
    error = ask.go().error
    assert "s3cret" not in error
    assert "no user for Bearer ***" in error
    assert "s3cret" not in CollectorTarget.objects.get().error


def test_a_secret_that_is_not_set_says_how_to_set_it(asking: Callable[..., Any], prometheus: FakePrometheus) -> None:
    ask = asking(PROMETHEUS.replace("URL", prometheus.url))
    assert "coulance secret set prom" in ask.go().error
    assert prometheus.asked == []


def test_nobody_answers(asking: Callable[..., Any]) -> None:
    ask = asking(PROXMOX.replace("URL", "http://127.0.0.1:9"), pve="coulance@pve!meter=1234-5678")
    assert "can't connect" in ask.go().error


def test_a_slow_server_is_not_waited_for(asking: Callable[..., Any], proxmox: FakeProxmox) -> None:
    import threading

    ask = asking(
        PROXMOX.replace("URL", proxmox.url).replace('secret = "pve"', 'secret = "pve"\ntimeout = "1 s"'),
        pve=proxmox.token,
    )
    leave = threading.Event()
    proxmox.instead = lambda _: (leave.wait(5), None)[1]
    assert "no answer within 1 s" in ask.go().error
    leave.set()


def test_unknown_guests_wait_in_quarantine_and_are_noted(asking: Callable[..., Any], proxmox: FakeProxmox) -> None:
    ask = asking(PROXMOX.replace("URL", proxmox.url), pve=proxmox.token)
    proxmox.add(100)
    ask.go()
    assert [one.key for one in queries.quarantined()] == ["vm-100"]
    assert "nobody assigned" in ask.health().notes[0]


def test_two_sources_of_one_series_are_both_refused(asking: Callable[..., Any], proxmox: FakeProxmox) -> None:
    ask = asking(PROXMOX.replace("URL", proxmox.url).replace("vm-{vmid}", "{name}"), ["same", "vm7"], pve=proxmox.token)
    proxmox.add(100, name="same")
    proxmox.add(101, name="same")
    proxmox.add(7)
    ask.go()
    assert (used("same")[0], used("vm7")[0]) == (0, 1)
    assert "of two sources each" in ask.health().notes[0]


def test_series_of_another_meter_are_refused(asking: Callable[..., Any], proxmox: FakeProxmox) -> None:
    ask = asking(PROXMOX.replace("URL", proxmox.url), {"vm-100": "disk", "vm-101": "port"}, pve=proxmox.token)
    proxmox.add(100)
    proxmox.add(101)
    ask.go()
    assert (used("vm-100")[0], used("vm-101")[0], ask.health().refused) == (0, 1, 1)
    assert "counts for meter 'disk'" in ask.health().notes[0]


def test_tls_is_checked(asking: Callable[..., Any], proxmox: FakeProxmox) -> None:
    """A server with a certificate nobody vouches for is not told the token."""
    import ssl
    from pathlib import Path

    ask = asking(PROXMOX.replace("URL", proxmox.url.replace("http:", "https:")), pve=proxmox.token)
    assert "can't connect" in ask.go().error  # it speaks no TLS at all
    assert proxmox.asked == []
    from coulance.integrations.collectors.http import _context

    collector = runner.asked_collectors()["pve"]
    assert _context(collector).verify_mode is ssl.CERT_REQUIRED
    assert _context(collector).check_hostname
    assert Path(collector.ca_file) == Path()
