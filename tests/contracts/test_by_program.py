"""Contracts and tickets by command, API, CSV and webhook: the same acts, and faults where they are."""

import hashlib
import hmac
import json
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from django.test import Client

from coulance.catalog.reader import read_provider_file
from coulance.cli import contract as contract_module
from coulance.cli import ticket as ticket_module
from coulance.contracts import queries, tickets
from coulance.flows.contracts import fairness, importing
from coulance.platform import clock
from coulance_core.contracts.fairness import Verdict
from tests.api.conftest import Api, make_token
from tests.api.test_lists import pages
from tests.closing.world import PROVIDER, REST
from tests.contracts.desk import ACTOR, CONTRACTS, MAY, Desk, later


@pytest.fixture
def typed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Type a command: what it says; it should end with `status`."""

    @contextmanager
    def here() -> Any:
        yield None

    for module in (contract_module, ticket_module):
        monkeypatch.setattr(module, "working_database", here)
    monkeypatch.setattr(clock, "now", lambda: later(100))

    def said(*arguments: str, status: int = 0) -> str:
        group = {"contract": contract_module.contract, "ticket": ticket_module.ticket}[arguments[0]]
        answer = CliRunner().invoke(group, list(arguments[1:]))
        assert answer.exit_code == status, (answer.output, answer.exception)
        return answer.output

    return said


def test_a_contract_by_command(desk: Desk, typed: Any, tmp_path: Path) -> None:
    assert "No contracts" in typed("contract", "list")
    assert "strips@2026-01-01" in typed(
        "contract", "agree", "k1", "--account", "acme", "--terms", "strips", "--from", "2026-05-01"
    )
    assert "invoice B2026-0001" in typed("contract", "card", "k1", "10h", "--name", "order-1", "--from", "2026-05-01")
    assert ": new" in typed(
        "contract", "work", "k1", "20", "--began", "2026-05-05T09:00+02:00", "--who", "anna", "--text", "DNS"
    )
    shown = typed("contract", "show", "k1")
    assert "9:30 left, 0:30 used" in shown
    assert "DNS: 0:30 card" in shown
    assert "asked of 1" in typed("contract", "ask", "k1", "60", "a new report")
    file = tmp_path / "kimai.csv"
    file.write_text(
        "Date,From,To,Duration,User,Customer,Project,Activity,Description,Tags\n"
        "2026-05-06,10:00,10:45,0:45,anna,Acme,k1,corrective,Mail,\n"
        "2026-05-06,11:00,11:30,0.5,anna,Acme,nobody,corrective,Mail,\n"
        "2026-05-06,25:00,11:30,x,anna,Acme,k1,,Mail,\n"
    )
    refused = typed("contract", "import", str(file), "--form", "kimai", status=1)
    assert f"{file}:3: no contract" in refused
    assert f"{file}:4: '2026-05-06 25:00'" in refused
    file.write_text("\n".join(file.read_text().splitlines()[:2]))
    assert typed("contract", "import", str(file), "--form", "kimai").startswith("1 new")
    assert "1 there already" in typed("contract", "import", str(file), "--form", "kimai")
    assert "1 contracts: 0 invoices" in typed("contract", "run")
    assert "Too early to say" in typed("contract", "fairness", "k1")
    said = typed("contract", "fairness", "--all", "--worth")
    assert "recur in a year" in said
    assert "That is worth 0.00 EUR: its margin, 2 % going on" in said
    assert "discount = 0.15" in said
    assert "In all 787.50 EUR are owed in hours." in typed("contract", "unearned")
    typed("contract", "agree", "k2", "--account", "acme", "--terms", "care", "--from", "2026-05-01")
    told = tmp_path / "tickets.csv"
    told.write_text("number,at,event,subject,priority,contract\nT1,2026-05-07 09:00,opened,Down,normal,k2\n")
    assert typed("ticket", "import", str(told), "--source", "desk").startswith("1 tickets are new")
    assert "first_response due 2026-05-07 09:00 UTC" in typed("ticket", "list")
    assert "first_response: late" in typed("ticket", "show", "desk", "T1")
    assert "0 near their deadline, 1 late" in typed("ticket", "watch")


def test_toggl_and_plain_files_and_a_clock_that_skips(desk: Desk) -> None:
    desk.agrees("k1", "strips", on="2026-01-01")
    toggl = (
        "User,Email,Client,Project,Description,Start date,Start time,End date,End time,Duration,Tags\n"
        'anna,a@b.nl,Acme,k1,Fix,2026-03-02,09:00:00,2026-03-02,10:30:00,01:30:00,"preventive, free"\n'
    )
    given: dict[str, Any] = {"zone": "Europe/Amsterdam", "actor": ACTOR, "at": MAY}
    assert importing.import_work(text=toggl, form="toggl", **given).new == 1
    (one,) = queries.facts([desk.id("k1")])[desk.id("k1")].work
    assert (one.entry.seconds, one.entry.work.value, one.entry.free) == (5400, "preventive", True)
    plain = "key;contract;began_at;minutes;who\nx1;k1;2026-03-29 02:30;10;anna\nx1;k1;2026-03-30 02:30;10\n"
    with pytest.raises(importing.UnableToImportError) as refused:
        importing.import_work(text=plain, form="plain", **given)
    assert [line for line, _ in refused.value.faults] == [2, 3]
    assert "skipped by the clock" in refused.value.faults[0][1]


KIMAI = (
    '"Date","From","To","Duration","Rate","User","Customer","Project","Activity","Description","Exported","Tags",'
    '"Hourly rate","Fixed rate"\n'
)
"""The heading of a Kimai 2 file as its documentation has it, with the duration in seconds."""


def test_kimai_s_own_rows_with_seconds_clocks_and_decimals_and_toggl_s_own_heading(desk: Desk) -> None:
    desk.agrees("k1", "strips", on="2026-01-01")
    given: dict[str, Any] = {"zone": "Europe/Amsterdam", "actor": ACTOR, "at": MAY}
    rows = [  # from, to, duration: seconds
        ("15:50", "17:51", "7260", 7260), ("09:00", "09:05", "300", 300), ("10:00", "11:30", "1:30:00", 5400),
        ("11:00", "12:30", "1.5", 5400), ("13:00", "15:00", "2", 7200), ("23:30", "00:30", "3600", 3600),
        ("16:00", "17:00", "0.75", 2700), ("08:00", "08:30", "", 1800),
    ]  # fmt: skip
    rest = '"0","anna@host.example","Acme","k1","Testing","x","0","a,b","95","0"'
    lines = [f'"2026-03-{n + 2:02}","{a}","{b}","{d}",{rest}' for n, (a, b, d, _) in enumerate(rows)]
    assert importing.import_work(text=KIMAI + "\n".join(lines), form="kimai", **given).new == len(rows)
    found = [one.entry.seconds for one in queries.facts([desk.id("k1")])[desk.id("k1")].work]
    assert found == [seconds for *_, seconds in rows]
    wrong = '"2026-04-02","09:00","10:00","9000","0","a@b.example","Acme","k1","T","x","0","","95","0"'
    with pytest.raises(importing.UnableToImportError, match="longer than from 09:00 to 10:00"):
        importing.import_work(text=KIMAI + wrong, form="kimai", **given)
    toggl = (
        "\ufeffUser,Email,Client,Project,Task,Description,Billable,Start date,Start time,End date,End time,Duration,"
        'Tags,Amount (EUR)\nAnna,anna@host.example,Acme,k1,,"Fix, and test",No,2026-04-05,08:30:00,2026-04-05,'
        '10:00:00,01:30:00,"site, preventive",\n'
    )
    assert importing.import_work(text=toggl, form="toggl", **given).new == 1


def test_contracts_by_the_api(desk: Desk, typed: Any) -> None:
    desk.agrees("k1", "strips").sells("k1")
    desk.agrees("k2", "care")
    api = Api(make_token("contracts:read", "contracts:write"), Client())
    assert [c["key"] for c in api("GET", "/contracts?limit=1").json()["items"]] == ["k1"]
    entry = {"key": "a", "began_at": later(1).isoformat(), "seconds": 1200, "who": "anna"}
    assert api("POST", "/contracts/k1/work", {"work": [entry]}).json() == {"new": 1, "corrected": 0, "known": 0}
    assert api("POST", "/contracts/k1/work", {"work": [entry | {"seconds": 60}]}).status_code == 422
    (done,) = api("GET", "/contracts/k1/work").json()["items"]
    assert done["paid"] == [{"by": "card", "source": "c1", "seconds": 1800}]
    assert api("GET", "/contracts/k1").json()["left"] == 34_200
    assert api("POST", "/contracts/k1/leave", {"seconds": 3600, "text": "a report"}).json()["rate"]["amount"] == "95.00"
    told = {"source": "desk", "number": "9", "email": "boss@acme.example", "opened_at": later(0).isoformat()}
    made = api("POST", "/tickets", told).json()
    assert (made["contract"], made["clocks"][0]["state"]) == ("k2", "late")
    answered = {"key": "n1", "at": later(1).isoformat(), "kind": "answered"}
    again = api("POST", "/tickets", told | {"events": [answered, answered]}).json()
    assert [e["kind"] for e in again["events"]] == ["opened", "answered"]
    assert api("GET", f"/tickets/{made['id']}").json()["clocks"][0]["state"] == "kept"
    assert api("POST", "/tickets", told | {"number": "10", "email": "who@else.example"}).status_code == 422
    # Pages: each once, also while others come, open or not.
    for n in range(5):
        api("POST", "/tickets", told | {"number": f"p{n}", "opened_at": later(n / 2).isoformat()})
        api("POST", "/contracts/k1/work", {"work": [entry | {"key": f"p{n}", "began_at": later(n // 2).isoformat()}]})
    solved = {"key": "s", "at": later(9).isoformat(), "kind": "solved"}
    api("POST", "/tickets", told | {"number": "p2", "events": [solved]})
    more = iter(range(100, 103))

    def one_more() -> None:
        if (n := next(more, None)) is not None:
            api("POST", "/tickets", told | {"number": f"p{n}", "opened_at": later(50).isoformat()})

    for limit in (1, 2, 3):
        found = [t["number"] for t in pages(api, "/tickets", limit, one_more)]
        assert len(found) == len(set(found))
        assert [n for n in found if not n.startswith("p10")] == ["p4", "p3", "p2", "p1", "p0", "9"]
        assert "p2" not in [t["number"] for t in pages(api, "/tickets?open=true", limit)]
        assert [w["key"] for w in pages(api, "/contracts/k1/work", limit)] == ["p0", "p1", "a", "p2", "p3", "p4"]
        assert [c["key"] for c in pages(api, "/contracts", limit)] == ["k1", "k2"]
    assert api("GET", "/tickets?cursor=bm8=").status_code == 422
    assert api("GET", "/contracts/k9").status_code == 404


def _zammad(article: int, sender: str, at: str, state: str = "open", **more: Any) -> bytes:
    """As Zammad sends it: the state as text, the priority and the customer as objects."""
    ticket = {
        "number": "77", "title": "Down", "created_at": later(0).isoformat(), "updated_at": at, "article_count": 1,
        "priority": {"id": 2, "name": "2 normal", "default_create": True}, "state": state, "state_id": 2,
        "customer": {"email": "boss@acme.example", "organization": "Acme", "roles": ["Customer"]},
    }  # fmt: skip
    said = {"id": article, "sender": sender, "created_at": at, "internal": False, "type": "email", **more}
    return json.dumps({"ticket": ticket, "article": said}).encode()


def test_webhooks_are_signed_and_tell_each_thing_once(desk: Desk, typed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.agrees("k2", "care")
    for source in ("zammad", "freshdesk", "osticket"):
        monkeypatch.setenv(f"COULANCE_TICKETS_{source.upper()}", "s3cret")
    client = Client()

    def post(source: str, body: bytes, **headers: str) -> int:
        return client.post(
            f"/hooks/tickets/{source}", body, content_type="application/json", headers=headers
        ).status_code

    def signed(body: bytes, key: str = "s3cret") -> int:
        mark = hmac.new(key.encode(), body, hashlib.sha1).hexdigest()
        return post("zammad", body, **{"X-Hub-Signature": f"sha1={mark}"})

    first = _zammad(1, "Customer", later(0).isoformat())
    assert signed(first, "guess") == 403
    assert signed(first) == 200
    assert signed(first) == 200
    assert signed(_zammad(2, "Agent", later(1).isoformat())) == 200
    assert signed(_zammad(3, "Agent", later(2).isoformat(), "pending reminder")) == 200
    # A machine's answer, as Zammad marks it, ends no wait; nor does an article for ourselves, or of the system.
    away = {"preferences": {"is-auto-response": True, "send-auto-response": False}}
    assert signed(_zammad(8, "Customer", later(2.5).isoformat(), "pending reminder", **away)) == 200
    assert signed(_zammad(9, "System", later(2.6).isoformat(), "pending reminder")) == 200
    for hours_ in (3, 4):
        assert signed(_zammad(4, "Agent", later(hours_).isoformat(), "closed")) == 200
    (row,) = tickets.tickets()
    assert [e.kind.value for e in row.events] == ["opened", "answered", "answered", "waits", "answered", "solved"]
    assert row.solved_at == later(3)
    assert {e.priority for e in row.events} == {"normal", ""}
    fresh = {"ticket_id": 5, "ticket_subject": "Slow", "ticket_requester_email": "boss@acme.example",
             "ticket_priority": "normal", "ticket_status": "Open", "ticket_created_at": later(5).isoformat(),
             "triggered_event": "{reply_sent:agent}", "ticket_updated_at": later(6).isoformat()}  # fmt: skip
    body = json.dumps({"freshdesk_webhook": fresh}).encode()
    assert post("freshdesk", body, **{"X-Webhook-Secret": "s3cret"}) == 200
    assert post("freshdesk", body) == 403
    # Its other names for whom it is from, a status as a number, and times as it writes them.
    other = {"ticket_id": 4, "ticket_subject": "Slow", "ticket_contact_email": "boss@acme.example",
             "ticket_priority": "Low", "ticket_status": 4, "triggered_event": "{status:{from:2,to:4}}"}  # fmt: skip
    body = json.dumps({"freshdesk_webhook": other}).encode()
    assert post("freshdesk", body, **{"X-Webhook-Secret": "s3cret"}) == 200
    (fourth,) = [t for t in tickets.tickets() if t.number == "4"]
    assert [e.kind.value for e in fourth.events] == ["opened", "solved"]
    ost = {"ticket": {"number": "6", "subject": "x", "email": "boss@acme.example", "created": later(7).isoformat()},
           "entry": {"id": 1, "type": "R", "created": later(8).isoformat()}}  # fmt: skip
    body = json.dumps(ost).encode()
    mark = hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    assert post("osticket", body, **{"X-Hub-Signature-256": f"sha256={mark}"}) == 200
    assert [[e.kind.value for e in t.events] for t in tickets.tickets() if t.number in "56"] == [
        ["opened", "answered"]
    ] * 2
    assert post("otrs", body) == 404


def test_faults_of_the_file_are_named_at_their_line(tmp_path: Path) -> None:
    path = tmp_path / "provider.toml"
    wrong = CONTRACTS.replace('rule = "started"', 'rule = "begun"').replace('within = "2 h"', 'within = "soon"', 1)
    path.write_text(PROVIDER + REST + wrong)
    text = path.read_text().splitlines()
    faults = [str(one) for one in read_provider_file(path).faults]
    for words, line in (("begun", 'rule = "begun"'), ("soon", 'within = "soon"')):
        number = next(n for n, one in enumerate(text, 1) if line in one)
        assert any(f":{number}" in fault and words in fault for fault in faults), faults


def test_a_contract_that_is_unfair_and_to_whom(desk: Desk) -> None:
    """The quiet one pays 1200 a year for nothing; the busy one costs 50 an hour: a year says it, not a quarter."""
    desk.agrees("busy", "care", on="2026-01-01", at=later(-2800))
    desk.agrees("quiet", "care", on="2026-01-01", at=later(-2800))
    for month in range(16):
        desk.works("busy", f"b{month}", later(-2800 + month * 730), 20 * 60)
    end = later(-2800 + 16 * 730)
    early = {c.contract.key: c.fairness.verdict for c in fairness.judge_all(at=later(100))[0].contracts}
    assert set(early.values()) == {Verdict.TOO_EARLY}
    desk.runs(end)
    (portfolio,) = fairness.judge_all(at=end + timedelta(days=60))
    found = {c.contract.key: c for c in portfolio.contracts}
    assert found["busy"].fairness.verdict is Verdict.COSTS_PROVIDER
    assert found["quiet"].fairness.verdict is Verdict.COSTS_CUSTOMER
    assert found["busy"].advice.price.minor > found["busy"].price.minor
    assert portfolio.year is not None
    assert portfolio.year.bad > 0.9
