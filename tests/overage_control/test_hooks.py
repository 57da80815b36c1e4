"""A customer's own webhook: registered, verified by a challenge, told of warnings; and what that proves."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from django.db import connection
from standardwebhooks import Webhook

from coulance.flows.overage_control import acting
from coulance.notices import hooks
from coulance.notices import queries as sent
from coulance.notices.check import check_evidence
from coulance.notices.hooks import UnableToHookError
from coulance.overage import queries as records
from coulance.platform import alarms, audit, clock
from tests.overage_control.town import Town, sent_accounts
from tests.portal.test_portal import _enter


class Machine:
    """A customer's receiver: checks every signature, answers challenges if it knows its secret, keeps what it got."""

    def __init__(self) -> None:
        self.secret, self.status = "", 200
        self.got: list[dict[str, Any]] = []
        machine = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                said = json.loads(body)
                machine.got.append(said | {"id": self.headers["webhook-id"]})
                answer = b"{}"
                if machine.secret:
                    at = datetime.fromtimestamp(int(self.headers["webhook-timestamp"]), UTC)
                    signed = Webhook(machine.secret).sign(
                        msg_id=self.headers["webhook-id"], timestamp=at, data=body.decode()
                    )
                    assert signed == self.headers["webhook-signature"]
                    key = base64.b64decode(machine.secret.removeprefix("whsec_"))
                    challenge = said["data"].get("challenge", "").encode()
                    answer = json.dumps({"answer": hmac.new(key, challenge, hashlib.sha256).hexdigest()}).encode()
                self.send_response(machine.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *given: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/warn"
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv(hooks.VARIABLE, "127.0.0.0/8")
    one = Machine()
    yield one
    one.server.shutdown()
    one.server.server_close()


def account() -> int:
    return sent_accounts("acme")[0]


def hooked(town: Town, machine: Machine, more: str = "") -> None:
    """A server, and the boss with a webhook that answered its challenge."""
    town.controlled(more=more).customer().service("web", "vps", meter="traffic")
    at = town.at("2026-10-01T09:00")
    row, machine.secret = hooks.add_hook(account=account(), contact="boss", url=machine.url, actor="t", at=at)
    hooks.verify_hook(hook=row.id, account=account(), actor="t", at=at)


def send(town: Town, when: str) -> dict[str, int]:
    at = town.at(when)
    return {state.value: n for state, n in hooks.send_hooks_due(clock=lambda: at).states.items()}


def test_it_is_told_signed_and_chained_and_reaches_nobody(town: Town, machine: Machine) -> None:
    hooked(town, machine)
    assert town.uses("web", "2026-10-02T12:00", 85).messages == 2  # a mail, and the machine
    assert send(town, "2026-10-02T12:01") == {"accepted": 1}
    warning = machine.got[-1]
    assert warning["type"] == "overage.warning"
    assert {k: warning["data"][k] for k in ("service", "used", "included", "unit", "stopped")} == {
        "service": "web", "used": "85", "included": "100", "unit": "GB", "stopped": False,
    }  # fmt: skip
    assert "/answer/" in warning["data"]["link"]
    judged = town.judged("web", "2026-10-02T13:00")
    assert (judged.standing.warned, judged.standing.acknowledged) == (False, False)
    assert [row.threshold for row in records.warnings(account=account(), period_name="2026-10") if not row.counts] == [
        "50 % webhook 1", "80 % webhook 1",
    ]  # fmt: skip
    assert list(check_evidence()) == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT array_agg(DISTINCT kind ORDER BY kind) FROM notices_evidence WHERE channel = 'webhook'")
        assert cursor.fetchone() == (["accepted", "attempted", "queued"],)
    # A person who follows its link does reach them.
    token = warning["data"]["link"].rpartition("/")[2]
    from coulance.flows.overage_control import links

    of = links.read(token, at=town.at("2026-10-02T13:00"))
    by = acting.customer_of(account=of.account, contact=of.contact, how="link", message=of.message)
    acting.acknowledge(by=by, judged=judged, at=town.at("2026-10-02T13:00"))
    assert [one.kind.value for one in sent.evidence(of.message)][-1] == "acknowledged"


def test_where_the_terms_say_so_what_it_took_was_delivered_and_never_more(town: Town, machine: Machine) -> None:
    hooked(town, machine, "webhook_counts = true")
    town.uses("web", "2026-10-02T12:00", 85)
    send(town, "2026-10-02T12:01")
    judged = town.judged("web", "2026-10-02T13:00")
    assert (judged.standing.warned, judged.standing.acknowledged) == (True, False)


def test_it_fails_comes_later_and_is_gone(town: Town, machine: Machine) -> None:
    hooked(town, machine)
    town.uses("web", "2026-10-02T12:00", 85)
    machine.status = 503
    assert send(town, "2026-10-02T12:01") == {"waiting": 1}
    machine.status = 200
    assert send(town, "2026-10-02T14:00") == {"accepted": 1}
    assert machine.got[-1]["id"] == machine.got[-2]["id"]  # the same, for whoever got it twice
    machine.status = 410
    town.uses("web", "2026-10-03T12:00", 15)
    assert send(town, "2026-10-03T12:01") == {"refused": 1}
    assert hooks.hooks(accounts=[account()]) == []


def test_a_machine_alone_tells_nobody(town: Town, machine: Machine) -> None:
    """No mail goes anywhere: somebody must be called, whatever the machine took."""
    hooked(town, machine)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE customers_contact SET channels = '{}', email = ''")
    done = town.uses("web", "2026-10-02T12:00", 105)
    assert (done.unreached, done.messages) == (1, 1)
    assert [task.why for task in records.phone_tasks()] == ["unreached"]
    assert any(alarm.key.startswith("overage-unreached") for alarm in alarms.open_alarms())


def test_it_counts_only_once_it_holds_its_secret(town: Town, machine: Machine) -> None:
    town.controlled().customer().service("web", "vps", meter="traffic")
    at = town.at("2026-10-01T09:00")
    row, secret = hooks.add_hook(account=account(), contact="boss", url=machine.url, actor="t", at=at)
    with pytest.raises(UnableToHookError, match="HMAC"):  # whoever is there knows nothing of it
        hooks.verify_hook(hook=row.id, account=account(), actor="t", at=at)
    with pytest.raises(UnableToHookError, match="ten seconds"):
        hooks.verify_hook(hook=row.id, account=account(), actor="t", at=at)
    machine.secret, machine.status = secret, 302
    with pytest.raises(UnableToHookError, match="answered 302"):
        hooks.verify_hook(hook=row.id, account=account(), actor="t", at=at + timedelta(minutes=1))
    assert town.uses("web", "2026-10-02T12:00", 85).messages == 1  # the mail alone
    machine.status = 200
    with pytest.raises(UnableToHookError, match="no such"):
        hooks.verify_hook(hook=row.id, account=account() + 1, actor="t", at=at + timedelta(minutes=2))
    hooks.verify_hook(hook=row.id, account=account(), actor="t", at=at + timedelta(minutes=2))
    assert town.uses("web", "2026-10-03T12:00", 15).messages == 2
    # Another in its place is unknown again, and the secret is nowhere to be read.
    hooks.add_hook(account=account(), contact="boss", url=machine.url, actor="t", at=at + timedelta(days=3))
    assert [one.verified_at for one in hooks.hooks(accounts=[account()])] == [None]
    kept = json.dumps([event.detail for event in audit.events(subject=f"account:{account()}")])
    assert secret not in kept
    assert "/warn" not in kept
    with connection.cursor() as cursor:
        cursor.execute("SELECT encode(secret_sealed, 'escape') FROM notices_hook")
        assert all(secret not in str(found) for found in cursor.fetchall())


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/x",
        "https://10.0.0.5/x",
        "https://169.254.169.254/x",
        "https://u:p@shop.example/x",
        "ftp://x",
    ],
)
def test_it_leads_into_no_network_of_ours(town: Town, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even into those that the provider's own endpoints may be in."""
    monkeypatch.setenv("COULANCE_WEBHOOK_NETWORKS", "10.0.0.0/8 169.254.0.0/16")
    town.controlled().customer()
    with pytest.raises(UnableToHookError, match="expected"):
        hooks.add_hook(account=account(), contact="boss", url=url, actor="t", at=town.at("2026-10-01T09:00"))


def test_in_the_portal(town: Town, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    town.controlled().customer().service("web", "vps", meter="traffic")
    monkeypatch.setattr(clock, "now", lambda: town.at("2026-10-02T12:00"))
    client = _enter("acme")
    page = client.post("/my/contacts", {"act": "hook-add", "url": machine.url}).content.decode()
    found = re.search(r"<code>(whsec_[^<]+)</code>", page)
    assert found is not None
    assert found[1] not in client.get("/my/contacts").content.decode()  # shown once
    assert "That did not work" in client.post("/my/contacts", {"act": "hook-verify"}).content.decode()
    machine.secret = found[1]
    monkeypatch.setattr(clock, "now", lambda: town.at("2026-10-02T12:01"))
    assert "Your webhook answered" in client.post("/my/contacts", {"act": "hook-verify"}).content.decode()
    assert "told nothing" in client.post("/my/contacts", {"act": "hook-end"}).content.decode()
    assert hooks.hooks(accounts=[account()]) == []
