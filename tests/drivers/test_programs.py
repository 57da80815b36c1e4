"""Drivers that ask a provider's own program: by signed HTTP, as a command, and on record only."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from coulance.drivers import factory
from coulance.drivers.command import Command
from coulance.drivers.record import RecordOnly
from coulance.drivers.webhook import WebhookDriver
from coulance.enforcement import executing
from coulance.enforcement.ports import DriverError, TargetRow
from coulance_core.catalog.terms import Driver, DriverKind
from coulance_core.enforcement.restrictions import FREE, Desired
from tests.enforcement.world import T0

KEY = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
VPS = TargetRow("vps-1", "own", "vm-1", {"port": 7})
WANTED = Desired(paused=True, rate_bps=1_000_000, blackholed=frozenset({"192.0.2.7"}))


def now() -> datetime:
    return datetime.now(UTC)


class Receiver:
    """A provider's program behind HTTP, which verifies every signature."""

    def __init__(self) -> None:
        self.state = FREE.to_json()
        self.identity = "vm-1"
        self.seen: list[tuple[str, dict[str, Any], str]] = []
        self.answer: tuple[int, bytes] | None = None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                held = Webhook(KEY).verify(body, dict(self.headers.items()))
                receiver.seen.append((self.path, held, self.headers["webhook-id"]))
                if self.path == "/set":
                    receiver.state = held["desired"]
                status, out = receiver.answer or (
                    200,
                    json.dumps({"identity": receiver.identity, "state": receiver.state}).encode(),
                )
                self.send_response(status)
                self.send_header("Content-Length", str(len(out)))
                self.end_headers()
                self.wfile.write(out)

            def log_message(self, *words: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def driver(self, **more: Any) -> WebhookDriver:
        base = f"http://127.0.0.1:{self.server.server_port}"
        known: dict[str, Any] = {
            "url": f"{base}/set",
            "read_url": f"{base}/read",
            "secret": lambda: KEY,
            "now": now,
            "networks": ["127.0.0.0/8"],
        }
        return WebhookDriver(**(known | more))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_webhook_gets_what_should_hold_signed_and_is_read_back(receiver: Receiver) -> None:
    outcome = executing.act_on(VPS, receiver.driver(), WANTED, "vps-1/3", now)
    assert (outcome.outcome, outcome.before, outcome.after) == ("done", FREE, WANTED)
    path, held, name = receiver.seen[1]
    assert (path, held["key"], held["parameters"], held["desired"]) == (
        "/set",
        "vps-1/3",
        {"port": 7},
        WANTED.to_json(),
    )
    receiver.driver().write(VPS, WANTED, key="vps-1/3")
    assert receiver.seen[-1][2] == name, "the same decision has the same id"
    assert executing.act_on(VPS, receiver.driver(), WANTED, "k", now).outcome == "unchanged"


def test_a_webhook_that_shows_another_service_is_not_told(receiver: Receiver) -> None:
    receiver.identity = "vm-2"
    assert executing.act_on(VPS, receiver.driver(), WANTED, "k", now).outcome == "refused"
    assert [path for path, _, _ in receiver.seen] == ["/read"]


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (500, b"down", "answered 500"),
        (302, b"", "answered 302"),
        (200, b"ok", "no identity and state"),
        (200, b'{"identity": 7, "state": {"paused": false, "rate_bps": null, "blackholed": []}}', "no text"),
        (200, b'{"identity": "vm-1"}', "no identity and state"),
        (200, b'{"identity": "vm-1", "state": {"paused": "yes", "rate_bps": null, "blackholed": []}}', "no identity"),
        (200, b"[]", "no identity and state"),
    ],
)
def test_wrong_answers_of_a_webhook(receiver: Receiver, status: int, body: bytes, says: str) -> None:
    receiver.answer = (status, body)
    with pytest.raises(DriverError, match=says):
        receiver.driver().read(VPS)


def test_a_webhook_stays_out_of_networks_that_were_not_named(receiver: Receiver) -> None:
    with pytest.raises(DriverError, match="not a public address"):
        receiver.driver(networks=["10.0.0.0/8"]).read(VPS)
    with pytest.raises(DriverError, match="signing key"):
        receiver.driver(secret=lambda: "whsec_").read(VPS)
    assert receiver.seen == []


PROGRAM = """
import json, os, pathlib, sys
held = json.load(sys.stdin)
where = pathlib.Path(sys.argv[1])
if held["do"] == "write":
    where.write_text(json.dumps(held["desired"]))
    print("taken by", sorted(os.environ))
else:
    state = json.loads(where.read_text()) if where.exists() else {"paused": False, "rate_bps": None, "blackholed": []}
    print(json.dumps({"identity": "vm-1", "state": state}))
"""


def test_a_command_is_told_and_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COULANCE_OTHER", "ours")
    own = Command([sys.executable, "-c", PROGRAM, str(tmp_path / "state")], secret=lambda: "s", timeout_s=20)
    outcome = executing.act_on(VPS, own, WANTED, "k", now)
    assert (outcome.outcome, outcome.after) == ("done", WANTED)
    assert "COULANCE_DRIVER_SECRET" in outcome.proof
    assert "COULANCE_OTHER" not in outcome.proof


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("import sys; sys.exit('no such port')", "status 1: no such port"),
        ("print('x' * 100_000)", "more than"),
        ("print('fine')", "no identity and state"),
    ],
)
def test_a_command_that_fails(program: str, says: str) -> None:
    with pytest.raises(DriverError, match=says):
        Command([sys.executable, "-c", program], timeout_s=20).read(VPS)
    with pytest.raises(DriverError, match="can't be run"):
        Command(["/nowhere/program"]).read(VPS)


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    program = (
        "import os, subprocess, sys, time; p = subprocess.Popen(['sleep', '60']);"
        f"open({str(pids)!r}, 'w').write(str(p.pid)); time.sleep(60)"
    )
    begun = time.monotonic()
    with pytest.raises(DriverError, match="did not end"):
        Command([sys.executable, "-c", program], timeout_s=3).read(VPS)
    assert time.monotonic() - begun < 20
    if pids.exists():  # a busy machine may not have come that far
        child = Path(f"/proc/{pids.read_text()}/stat")
        give_up = time.monotonic() + 10
        while _runs(child):  # a signal was sent; dying takes a moment
            assert time.monotonic() < give_up
            time.sleep(0.02)


def _runs(stat: Path) -> bool:
    try:
        return stat.read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False


def test_on_record_only() -> None:
    driver = RecordOnly()
    outcome = executing.act_on(VPS, driver, WANTED, "k", lambda: T0)
    assert (outcome.outcome, outcome.after) == ("done", WANTED)
    again = TargetRow("vps-1", "own", "vm-1", {}, last=WANTED)
    assert executing.act_on(again, RecordOnly(), WANTED, "k", lambda: T0).outcome == "unchanged", "over a restart too"


def test_drivers_are_made_of_their_terms_and_one_that_cannot_be_says_why() -> None:
    made = factory.drivers(
        {
            "edge": Driver("edge", DriverKind.NFTABLES, keep=("10.0.0.0/8", "10.1.0.0/16")),
            "pve": Driver("pve", DriverKind.PROXMOX, url="https://pve", secret="no-such-secret"),
            "bad": Driver("bad", DriverKind.PROXMOX, url="https://pve", secret="x", ca_file="/nowhere"),
            "paper": Driver("paper", DriverKind.RECORD),
        },
        now=now,
    )
    with pytest.raises(DriverError, match="ca_file"):
        made["bad"].read(VPS)
    with pytest.raises(DriverError, match="coulance secret set no-such-secret"):
        made["pve"].read(TargetRow("vps-1", "pve", "101/web1", {"vmid": 101}))
    assert made["paper"].read(VPS).state == FREE
