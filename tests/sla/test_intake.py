"""Evidence on its way in: the real agent over HTTP against the real API, and what other monitoring sends."""

import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from coulance.integrations.uptime import reading
from coulance.integrations.uptime.reading import Seen, UnableToReadUptimeError
from coulance.platform import clock, tokens
from coulance.sla import operations
from coulance.sla import queries as sla
from coulance_probe.agent import Agent
from coulance_probe.server import Server
from coulance_probe.spool import Spool
from tests.closing.world import World
from tests.sla.office import Office

AT = datetime(2026, 10, 5, 10, tzinfo=UTC)


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def test_the_real_agent_asks_looks_and_hands_over(lasting: World, served: str, tmp_path: Path) -> None:
    page = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=page.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    lasting.provider().account().service("web", "vps")
    from coulance.services import queries as services

    service = services.service("web").id
    at = clock.now()
    token = operations.add_agent(name="ams-1", actor="test", at=at)
    check = operations.add_check(
        service=service,
        kind="http",
        target=f"http://127.0.0.1:{page.server_port}/",
        every_s=1,
        timeout_s=1,
        actor="test",
        at=at,
    )
    operations.add_check(
        service=service, kind="http", target="http://x/", vantages=["ams-1"], every_s=60, actor="test", at=at
    )
    server = Server(served, token)
    agent = Agent("ams-1", server, Spool(tmp_path / "spool"), hand_over_s=0.05)
    runs = threading.Thread(target=agent.run)
    runs.start()
    wait_until(lambda: sla.agents()[0].taken >= 1)
    agent.stop()
    runs.join(10)
    server.close()
    page.shutdown()
    page.server_close()
    assert set(agent.checks) == {check.id, check.id + 1}
    (row,) = sla.agents()
    assert row.last_at is not None
    assert row.taken >= 1
    from coulance.sla import looks

    (stream, *_) = looks.streams(checks=[check.id], start=at - timedelta(hours=1), end=at + timedelta(hours=1))
    assert stream.up.all()


def wait_until(done: Any) -> None:
    until = threading.Event()
    for _ in range(400):
        if done():
            return
        until.wait(0.02)
    pytest.fail("it never came")


def test_what_other_monitoring_sends_becomes_looks_of_its_checks(world: World, client: Any) -> None:
    office = Office(world)
    check = office.add_check(kind="outside", target="Shop", holds=True)
    token = tokens.make_token(name="kuma", scopes=["uptime:write", "uptime:read"], at=clock.now(), actor="test")[0]

    def post(path: str, body: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        return client.post(f"/api/v1/uptime/{path}", body, content_type="application/json", headers=headers)

    beat = {"heartbeat": {"status": 0, "time": "2026-10-05 10:00:00.123"}, "monitor": {"name": "Shop"}, "msg": "down"}
    assert post("kuma", beat).json() == {"accepted": 1, "doubles": 0, "unknown": []}
    assert post("kuma", beat).json() == {"accepted": 0, "doubles": 1, "unknown": []}
    pingdom = {"check_name": "Shop", "current_state": "UP", "state_changed_timestamp": int(AT.timestamp()) + 600}
    assert post("pingdom?source=eu", pingdom).json()["accepted"] == 1
    more = {"looks": [{"name": "Nobody", "at": "2026-10-05T10:00:00Z", "up": True}]}
    assert post("looks", more).json() == {"accepted": 0, "doubles": 0, "unknown": ["Nobody"]}
    assert post("kuma", {"heartbeat": {"status": 9}, "monitor": {"name": "Shop"}}).status_code == 422
    future = {"looks": [{"name": "Shop", "at": "2199-10-05T10:00:00Z", "up": True}]}
    assert post("looks", future).status_code == 422
    from coulance.sla import looks

    found = looks.streams(checks=[check], start=AT, end=AT + timedelta(hours=1), holding=[check])
    assert [(s.up.tolist(), len(s.at)) for s in found] == [([False], 1), ([True], 1)]
    office.october()
    office.credit()
    shown = client.get("/api/v1/uptime/periods?account=acme", headers={"Authorization": f"Bearer {token}"}).json()
    assert [one["service"] for one in shown["items"]] == ["web"]
    assert client.get("/api/v1/probe/checks", headers={"Authorization": f"Bearer {token}"}).status_code == 403


PINGDOM = {
    "check_id": 12345,
    "check_name": "Shop",
    "check_type": "HTTP",
    "check_params": {"hostname": "shop.example", "port": 443, "url": "/", "encryption": True, "ipv6": False},
    "tags": [],
    "previous_state": "UP",
    "current_state": "DOWN",
    "importance_level": "HIGH",
    "state_changed_timestamp": 1_791_194_400,
    "state_changed_utc_time": "2026-10-05T10:00:00",
    "long_description": "Could not connect",
    "description": "HTTP error 500",
    "first_probe": {"ip": "192.0.2.5", "ipv6": "2001:db8::5", "location": "Stockholm, Sweden"},
    "second_probe": {"ip": "192.0.2.6", "ipv6": "2001:db8::6", "location": "Austin, US", "version": 1},
}
"""An uptime check's state change, as Pingdom documents it."""
_WRONG: tuple[Any, ...] = ("{", [], {"heartbeat": {}})
KUMA = """# HELP monitor_status Monitor Status (1 = UP, 0= DOWN, 2= PENDING, 3= MAINTENANCE)
# TYPE monitor_status gauge
monitor_status{monitor_name="Shop",monitor_type="http",monitor_url="https://shop.example",monitor_port="null"} 0
monitor_status{monitor_name="Api \\"v2\\"",monitor_type="http",monitor_url="https://api.example",monitor_port="null"} 1
monitor_status{monitor_name="Later",monitor_type="http",monitor_url="https://later.example",monitor_port="null"} 2
"""


def test_monitoring_that_can_not_sign_sends_to_an_address_that_carries_its_token(world: World, client: Any) -> None:
    office = Office(world)
    by_name = office.add_check(kind="outside", target="Shop", holds=True)
    office.add_check(kind="outside", target="777", holds=True)
    now = clock.now()
    hook = tokens.make_token(name="pingdom", scopes=["uptime:hook"], at=now, actor="test")[0]
    other = tokens.make_token(name="api", scopes=["uptime:write"], at=now, actor="test")[0]

    def post(kind: str, body: Any, token: str = hook, query: str = "") -> Any:
        return client.post(f"/hooks/uptime/{kind}/{token}{query}", body, content_type="application/json")

    assert post("pingdom", PINGDOM).json() == {"accepted": 1, "doubles": 0, "unknown": []}
    assert post("pingdom", PINGDOM).json() == {"accepted": 0, "doubles": 1, "unknown": []}
    renamed = PINGDOM | {
        "check_name": "Shop 2",
        "check_id": 777,
        "check_type": "TRANSACTION",
        "current_state": "FAILING",
    }
    assert post("pingdom", renamed).json()["accepted"] == 1
    assert post("pingdom", PINGDOM | {"current_state": "UNCONFIRMED_DOWN"}).json()["accepted"] == 0
    beat = {"heartbeat": {"monitorID": 1, "status": 1, "time": "2026-10-05 10:05:00.5"}, "monitor": {"name": "Shop"}}
    assert post("kuma", beat, query="?source=eu").json()["accepted"] == 1
    assert [post("kuma", beat, token).status_code for token in (other, hook[:-1] + "x", "nothing")] == [404] * 3
    assert post("zabbix", beat).status_code == 404
    assert client.get(f"/hooks/uptime/kuma/{hook}").status_code == 405
    assert [post("kuma", wrong).status_code for wrong in _WRONG] == [422] * 3
    assert client.get("/api/v1/uptime/periods", headers={"Authorization": f"Bearer {hook}"}).status_code == 403
    from coulance.sla import looks

    found = looks.streams(checks=[by_name], start=AT, end=AT + timedelta(hours=1), holding=[by_name])
    assert [(s.up.tolist(), s.at.size) for s in found] == [([False], 1), ([True], 1)]
    tokens.revoke_token(prefix=hook.split("_")[1], at=now, actor="test")
    assert post("pingdom", PINGDOM).status_code == 404


def test_what_uptime_kuma_sees_now() -> None:
    assert reading.kuma_metrics(KUMA, AT) == [Seen("Shop", AT, False), Seen('Api "v2"', AT, True)]
    for text in ("<html>", "up 1\n"):
        with pytest.raises(UnableToReadUptimeError):
            reading.kuma_metrics(text, AT)


READ: list[tuple[Any, Any, list[Seen] | str]] = [
    (reading.kuma, {"heartbeat": None, "msg": "a test"}, []),
    (reading.kuma, {"heartbeat": {"status": 2, "time": "x"}, "monitor": {"name": "a"}}, []),
    (reading.kuma, [], "expected an object"),
    (reading.pingdom, {"check_name": "a", "current_state": "UNCONFIRMED_DOWN"}, []),
    (reading.pingdom, PINGDOM, [Seen("Shop", AT, False, "12345")]),
    (reading.pingdom, {"check_name": "a", "current_state": "ODD"}, "current_state"),
    (reading.generic, {"looks": [{"name": "a", "at": 1_791_194_400, "up": False}]}, [Seen("a", AT, False)]),
    (reading.generic, {"looks": [{"name": "a", "at": "soon", "up": False}]}, r"looks\[0\].at"),
    (
        reading.prometheus,
        {
            "status": "success",
            "data": {
                "result": [{"metric": {"instance": "a"}, "values": [[1_791_194_400, "1"], [1_791_194_400.5, "0"]]}]
            },
        },
        [Seen("a", AT, True), Seen("a", AT + timedelta(milliseconds=500), False)],
    ),
    (reading.prometheus, {"status": "error"}, "Prometheus answered"),
    (reading.table, "name,at,up\na,2026-10-05T12:00:00+02:00,down\n", [Seen("a", AT, False)]),
    (reading.table, "name,at,up\na,2026-10-05,perhaps\n", "line 2"),
    (reading.table, "name,when\n", "line 1"),
]


def test_each_reader_reads_what_its_source_sends_and_says_where_it_can_not() -> None:
    for reader, given, expected in READ:
        if isinstance(expected, str):
            with pytest.raises(UnableToReadUptimeError, match=expected):
                reader(given)
        else:
            assert reader(given) == expected, given
    history = [(AT, "🟥 Shop is down (0 in 0 ms) [skip ci]"), (AT - timedelta(1), "🟩 Shop is up (200 in 90 ms)")]
    assert [one.up for one in reading.upptime("Shop", [*history, (AT, "typo")])] == [True, False]
