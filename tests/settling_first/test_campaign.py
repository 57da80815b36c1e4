"""Inviting existing customers: at a pace, each by their own link; who always paid for more is not stopped by it."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from coulance.flows import advice, advising, campaigning
from coulance.flows.overage_control import acting, rounds
from coulance.notices import queries as sent
from coulance.overage import campaigns, operations, ways_out
from coulance.overage import queries as overage
from coulance.overage.errors import UnableToRecordError
from coulance.platform import alarms, clock
from coulance.services import queries as services
from tests.overage.fair import ALWAYS, TABLES
from tests.overage_control.town import Town

HOUR = timedelta(hours=1)


@pytest.fixture
def provider(db: Any, store_here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Town:
    """Two months by contract: `heavy` uses 15 times its 100 GB each month, the others little. Then control."""
    monkeypatch.setenv("COULANCE_URL", "https://billing.example.nl")
    town = Town(tmp_path)
    town.provider(extra='email = "hulp@polder.example"\n')
    for ref in ("heavy", "light", "other"):
        town.customer(ref).service(ref, "vps", "2026-08-01", account=ref, meter="traffic")
    town.account("silent").service("silent", "vps", "2026-08-01", account="silent", meter="traffic")
    for month in ("08", "09"):
        town.use("heavy", {f"2026-{month}-10": 1500}).use("light", {f"2026-{month}-10": 20}).close(f"2026-{month}")
    town.controlled()
    return town


def test_a_batch_at_its_pace_with_habits_kept_running(provider: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    at = provider.at("2026-10-05T09:00")
    asked: dict[str, Any] = {"name": "autumn", "per_hour": 2, "actor": "cli:root", "reason": "limits from October on"}
    would = campaigning.start(**asked, at=at, dry_run=True)
    assert (would.invited, would.provisional, len(would.left_out)) == (3, 1, 1)
    assert campaigns.campaigns() == []
    done = campaigning.start(**asked, at=at)
    assert done.left_out == (("silent/out", "nobody who may incur cost has an address"),)
    with pytest.raises(UnableToRecordError, match="already"):
        campaigning.start(**asked, at=at)
    (limit,) = overage.provisional()
    assert limit.limit.quantity == 1400  # the most they ever used past what is included
    assert limit.confirm_by == at + timedelta(days=60)
    # Two an hour, however often it looks.
    assert [campaigning.send_due(at=at + n * timedelta(minutes=5)) for n in range(3)] == [2, 0, 0]
    campaigning.set_state(campaign=1 if done.campaign is None else done.campaign, state="paused", actor="a",
                          reason="wait", at=at)  # fmt: skip
    assert campaigning.send_due(at=at + 2 * HOUR) == 0
    assert done.campaign is not None
    campaigning.set_state(campaign=done.campaign, state="running", actor="a", reason="go on", at=at)
    assert campaigning.send_due(at=at + 2 * HOUR) == 1
    (row,) = campaigns.campaigns()
    assert (row.state, row.sent, row.failed, row.answered) == ("done", 3, 0, 0)
    # Not paused by the migration; nothing is charged of it before a warning has arrived.
    provider.uses("heavy", "2026-10-06T12:00", 900)
    assert provider.restricted("heavy") == []
    provider.uses("other", "2026-10-06T12:00", 120)
    assert provider.restricted("other") == ["overage"]
    # By their own link, with the limit that they choose.
    monkeypatch.setattr(clock, "now", lambda: provider.at("2026-10-07T12:00"))
    mail = next(one for one in provider.mails("heavy") if one.key.startswith("invitation/"))
    words = sent.text_of(message=mail.message)
    assert words is not None
    assert "4 December 2026" in words.text
    found = re.search(r"https://billing\.example\.nl(/invited/\S+)", words.text)
    assert found is not None
    client = Client()
    assert client.get(found[1]).status_code == 200
    assert overage.provisional() != []
    page = client.post(found[1], {"act": "preview", "amount": "200"}).content.decode()
    digest = re.search(r'name="digest" value="(\w+)"', page)
    assert digest is not None
    page = client.post(found[1], {"act": "allow", "amount": "200", "digest": digest[1]}).content.decode()
    assert "Your limit is set." in page
    assert overage.provisional() == []
    assert campaigns.campaigns()[0].answered == 1
    assert client.get(found[1][:-2] + "xx").status_code == 404


@pytest.fixture
def fleet(db: Any, store_here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Town:
    """Nodes that pool 300 GB at 0.20 beyond and used 500 in two months, beside a server within its own 100."""
    monkeypatch.setenv("COULANCE_URL", "https://billing.example.nl")
    town = Town(tmp_path)
    town.provider(extra='email = "hulp@polder.example"\n')
    town.customer().verify("boss@acme.example", "2026-10-01T09:00")
    for name in ("n1", "n2", "n3"):
        town.service(name, "node", "2026-08-01", meter="traffic")
    town.service("web", "vps", "2026-08-01", meter="traffic")
    for month in ("08", "09"):
        town.use("n1", {f"2026-{month}-10": 500}).use("web", {f"2026-{month}-10": 20}).close(f"2026-{month}")
    town.controlled()
    return town


def test_a_pool_is_asked_about_as_one_and_keeps_running(fleet: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    at = fleet.at("2026-10-05T09:00")
    done = campaigning.start(name="autumn", per_hour=9, actor="cli:root", reason="limits", at=at)
    assert (done.invited, done.provisional) == (2, 1)
    (limit,) = overage.provisional()
    assert (limit.scope, limit.pool, limit.limit.quantity) == ("pool", "fleet", 200)
    assert campaigning.send_due(at=at) == 2
    fleet.uses("n2", "2026-10-06T12:00", 350)
    assert fleet.restricted("n1") == []
    path = link_of(fleet, "overage of Fleet traffic")
    monkeypatch.setattr(clock, "now", lambda: fleet.at("2026-10-07T12:00"))
    agree(path, "30")
    assert overage.provisional() == []
    assert campaigns.campaigns()[0].answered == 1


def test_one_invitation_to_one_limit_for_everything(fleet: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    at = fleet.at("2026-10-05T09:00")
    asked: dict[str, Any] = {"per_hour": 9, "actor": "cli:root", "reason": "limits", "at": at, "for_all": True}
    assert campaigning.start(name="would", dry_run=True, **asked).provisional == 1
    done = campaigning.start(name="autumn", **asked)
    assert (done.invited, done.provisional) == (1, 1)
    (limit,) = overage.provisional()
    assert (limit.scope, str(limit.limit.amount), limit.limit.quantity) == ("account", "40.00 EUR", None)
    assert campaigning.send_due(at=at) == 1
    path = link_of(fleet, "how far overage may go")
    monkeypatch.setattr(clock, "now", lambda: fleet.at("2026-10-07T12:00"))
    page = Client().get(path)
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert "Taken of it so far in this period: €0.00." in page.content.decode()
    agree(path, "25")
    assert [(row.scope, str(row.limit.amount)) for row in overage.consents(account=limit.account, open_only=True)] == [
        ("account", "25.00 EUR")
    ]
    assert campaigns.campaigns()[0].answered == 1
    # 100 GB past the pool's 300 are 20.00, and 50 past the server's own 100 the rest of it: then both stop.
    for name, charge in (("n1", "pool:fleet"), ("web", "out")):
        judged = acting.one_of(account=limit.account, service=fleet.service_id(name), charge=charge, at=clock.now())
        operations.acknowledge(
            meter=judged.ref, period_name="2026-10", contact="boss", how="portal", source=name, actor="t",
            at=clock.now(),
        )  # fmt: skip
    assert fleet.uses("n1", "2026-10-08T12:00", 400).placed == 0
    assert fleet.uses("web", "2026-10-09T12:00", 149).placed == 0
    assert fleet.uses("web", "2026-10-10T12:00", 1).placed == 4
    monkeypatch.setattr(clock, "now", lambda: fleet.at("2026-10-10T12:30"))
    # Lower than what is taken of it can't be; withdrawn, nothing more may be used, and higher lets all go on.
    assert "is used already" in agree(path, "24.99", fault=True)
    agree(path, "60")
    assert [fleet.restricted(name) for name in ("n1", "n3", "web")] == [[], [], []]


def link_of(town: Town, subject: str) -> str:
    """The path of the link in the invitation whose subject says so."""
    mail = next(one for one in town.mails() if one.key.startswith("invitation/") and subject in one.subject)
    words = sent.text_of(message=mail.message)
    assert words is not None
    found = re.search(r"https://billing\.example\.nl(/invited/\S+)", words.text)
    assert found is not None
    return found[1]


def agree(path: str, amount: str, *, fault: bool = False) -> str:
    """Type an amount, look at what that means, and agree; what the page says then."""
    client = Client()
    page = client.post(path, {"act": "preview", "amount": amount}).content.decode()
    digest = re.search(r'name="digest" value="(\w+)"', page)
    assert digest is not None
    answer = client.post(path, {"act": "allow", "amount": amount, "digest": digest[1]})
    assert answer.status_code == (422 if fault else 200)
    said = answer.content.decode()
    assert fault or "Your limit is set." in said
    return said


def test_an_invitation_that_fails_holds_up_nobody_after_it(provider: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    at = provider.at("2026-10-05T09:00")
    campaigning.start(name="autumn", per_hour=9, actor="cli:root", reason="limits", at=at)
    written = campaigning.letters.written
    calls: list[int] = []

    def breaks(*given: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise KeyError("a row nobody thought of")
        return written(*given, **more)

    monkeypatch.setattr(campaigning.letters, "written", breaks)
    assert campaigning.send_due(at=at) == 2
    (row,) = campaigns.campaigns()
    assert (row.state, row.sent, row.failed) == ("done", 2, 1)


def test_a_provisional_limit_that_nobody_confirms_lapses(provider: Town) -> None:
    at = provider.at("2026-10-05T09:00")
    campaigning.start(name="autumn", per_hour=9, actor="cli:root", reason="limits", at=at)
    rounds.sweep(at=at + timedelta(days=61))
    assert overage.provisional() == []
    ended = [row for row in overage.consents(account=services.service("heavy").account_id) if row.ended_at]
    assert [row.ended_why for row in ended] == ["lapsed"]


def test_repeat_payers_are_told_of_a_cheaper_plan_unasked_but_not_each_month(
    db: Any, store_here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One customer's failure holds up no other's: it is shown, and they are told by the next run."""
    town = Town(tmp_path)
    tables = TABLES.replace("[advice]\n", "[advice]\nmail = true\n")
    town.provider(extra='email = "hulp@polder.example"\n', rest=tables)
    town.customer()
    names = ("vps-1", "vps-2", "vps-3")
    for name in names:
        town.service(name, "vps-s", "2026-01-01", meter="traffic")
    for month, quantity in enumerate(ALWAYS, 1):
        for name in names:
            town.use(name, {f"2026-{month:02}-15": quantity})
        town.close(f"2026-{month:02}")
    at = town.at("2026-07-05T09:00")
    compared, written = advice._compared, advising.written

    def unmeasured(account: Any, service: Any, *rest: Any) -> Any:
        if service.external_id == "vps-1":
            raise KeyError("a plan nobody thought of")
        return compared(account, service, *rest)

    def unwritten(found: Any, **more: Any) -> Any:
        if found.service.external_id == "vps-2":
            raise ValueError("no words for it")
        return written(found, **more)

    with monkeypatch.context() as broken:
        broken.setattr(advice, "_compared", unmeasured)
        broken.setattr(advising, "written", unwritten)
        done = advising.tell_repeat_payers(at=at, actor="worker")
    assert (done.told, [service for service, _ in done.left_out]) == (("vps-3",), ["vps-1", "vps-2"])
    assert {one.key for one in alarms.open_alarms()} == {"advice-failed:vps-1", "advice-failed:vps-2"}
    done = advising.tell_repeat_payers(at=at + timedelta(hours=1), actor="worker")
    assert done.told == ("vps-1", "vps-2")
    assert alarms.open_alarms() == []
    (mail,) = [one for one in town.mails() if one.key.startswith(f"advice/{services.service('vps-1').id}/")]
    words = sent.text_of(message=mail.message)
    assert words is not None
    assert words.subject == "A cheaper plan for VPS-1"
    # VPS S: 6 x (10.00 + 14000 x 0.10); VPS XL: 6 x 60.00.
    for said in ("€8,460.00", "€360.00", "VPS S (now)"):
        assert said in words.text.replace("\u00a0", " "), words.text
    assert advising.tell_repeat_payers(at=at + timedelta(days=1), actor="worker").told == ()
    assert ways_out.last_advised(service=services.service("vps-1").id) == "2026-06"
    town.provider(extra='email = "hulp@polder.example"\n', rest=TABLES)
    assert advising.tell_repeat_payers(at=at + timedelta(days=200), actor="worker").told == ()  # not wanted
