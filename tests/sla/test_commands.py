"""`coulance sla` as an operator types it, in this process; and what plans, quotes and claims say."""

from contextlib import nullcontext
from datetime import date, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from coulance.cli import sla as commands
from coulance.cli import sla_common
from coulance.flows.promises import claims, outlook
from coulance.platform import alarms, clock
from tests.closing.world import World
from tests.sla.office import SLA, Office, instant

SUPPLIER = """
[[sla.terms]]
name = "line"
from = 2026-10-01
target = "99.9"
supplier = "Lijnen BV"
services = ["web"]
fee = "100.00 EUR"
claim_days = 30

[[sla.terms.credit]]
kind = "steps"
step = "30 min"
credit = "5 %"
count = "started"

[sla.composite.site]
parts = [{ part = "gold" }, { part = "net", availability = "99.6 %" }]
"""


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sla_common, "working_database", nullcontext)
    monkeypatch.setattr(clock, "now", lambda: instant("2026-11-04T06:00"))

    def typed(line: str, *, fails: bool = False) -> str:
        done = CliRunner().invoke(commands.sla, line.split(" "), catch_exceptions=False)
        assert (done.exit_code != 0) == fails, done.output
        return done.output

    return typed


def test_an_operators_day(world: World, run: Any, tmp_path: Any) -> None:
    office = Office(world, SLA + SUPPLIER)
    office.october(("2026-10-05T10:00", "2026-10-05T10:45"))
    assert run("agent add fra-1").startswith("cl_")
    assert "ams-1  probe" in run("agent list")
    assert "there is an agent" in run("agent add fra-1", fails=True)
    assert "Check" in run("check add --service web --kind tcp --target web.example:22 --vantage fra-1")
    assert "tcp web.example:22  every 30 s  fra-1" in run("check list")
    assert "is no instant" in run("outage add --service web --from noon --reason x", fails=True)
    assert "no service" in run("outage add --service nobody --from 2026-10-07T10:00Z --reason x", fails=True)
    said = run("outage add --service web --from 2026-10-07T10:00Z --reason switch")
    entry = said.split()[1].rstrip(":")
    run(f"outage end {entry} --until 2026-10-07T10:15Z")
    assert "2026-10-07 10:00:00 - 2026-10-07 10:15:00 UTC  entry" in run("outage list")
    run("maintenance add --service web --from 2026-12-07T10:00Z --until 2026-12-07T11:00Z --reason disks")
    run(
        "exclude --service web --from 2026-10-07T10:00Z --until 2026-10-07T10:05Z --reason flood"
        " --kind force_majeure --evidence mail-12"
    )
    # 45 minutes seen and 15 entered, less 5 excluded: 55 x 50 x 5.00 / 44,700.
    assert "web: 0.31 EUR credited\nC2026-0001 given" in run("credit --period 2026-10")
    assert run("credit --period 2026-10").startswith("1 measured")
    assert "web: 0.31 EUR in 2 months (1 missed), 3.10 % of its fees" in run("plan --terms gold --months 2")
    assert "there are no terms" in run("plan --terms silver", fails=True)
    quoted = run("quote site")
    assert "all of (gold, net)" in quoted
    assert "99.6000 %, 172.8 minutes in 30 days" in quoted
    claimed = run("upstream --period 2026-10")
    # Two outages, 45 and 15 minutes: 2 + 1 started half hours.
    assert "Lijnen BV: 15.00 EUR of 0.31 EUR owed to customers (claim by 2026-12-01); 0.00 EUR is ours" in claimed
    assert "2026-10-05 10:00:00 - 2026-10-05 10:45:00" in claimed
    history = tmp_path / "shop.csv"
    history.write_text("name,at,up\nShop,2026-10-05T10:00:00Z,0\n")
    assert "no check of kind outside is called 'Shop'" in run(f"bring {history}")
    run("check add --service web --kind outside --target Shop --changes-only")
    assert "1 looks taken" in run(f"bring {history}")
    run("agree --service web --terms gold --from 2026-12-01 --reason asked")
    assert "has no terms" in run("agree --service web --terms tin --from 2026-12-01 --reason asked", fails=True)
    assert "No customer's report waits" in run("cases")


def test_an_operator_s_other_day(world: World, run: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(world, SLA.replace('target = "100"', 'target = "100"\ncredited = "incident"') + SUPPLIER)
    office.october(("2026-10-05T10:00", "2026-10-05T10:45"))
    world.service("db", "vps", "2026-09-01")
    assert "go together" in run("pull --url http://127.0.0.1:1 --requests x", fails=True)
    assert "didn't answer" in run("pull --url http://127.0.0.1:1 --requests x --errors y", fails=True)
    assert "didn't answer" in run("pull --url http://127.0.0.1:1 --kuma", fails=True)
    run("check add --service web --kind requests --target shop")
    counts = tmp_path / "counts.csv"
    counts.write_text("name,at,requests,errors\nshop,2026-10-05T10:00:00Z,7,1\nwho,2026-10-05T10:00:00Z,7,1\n")
    assert "1 slots taken, 0 known" in run(f"bring {counts}")
    assert "requests shop  every 300 s  its source" in run("check list")
    run("agent distrust ams-1 --from 2026-10-07T10:00Z --until 2026-10-07T11:00Z --reason clock")
    assert "there is no agent" in run("agent distrust who --from 2026-10-07T10:00Z --reason clock", fails=True)
    run("outage add --service web --from 2026-10-08T10:00Z --until 2026-10-08T10:05Z --reason ours --wrongful")
    named = CliRunner().invoke(commands.sla, ["composite", "all of (web, db)", "--period", "2026-10"])
    assert "all of (web, db): really 99.8881 %, 50 min down" in named.output, named.output
    assert "independent: 99.8881 %" in named.output
    agreed = ["agree", "--service", "db", "--terms", "gold", "--from", "2026-11-01", "--of", "one of (db, web)"]
    said = CliRunner().invoke(commands.sla, [*agreed, "--reason", "contract"])
    assert said.output == "web: judged as parts of it from then on, and not by themselves.\n"
    # 45 + 5 minutes; the hour that isn't trusted is unknown (a look holds for three minutes), and waits for the end.
    monkeypatch.setattr(clock, "now", lambda: instant("2026-11-02T06:00"))
    assert "web: 0.28 EUR credited" in run("credit --incidents")
    monkeypatch.setattr(clock, "now", lambda: instant("2026-11-04T06:00"))
    assert "web: 0.32 EUR credited" in run("credit --period 2026-10")
    # The supplier's window of 30 days ends on 1 December: two weeks before, somebody is reminded.
    assert [one.month for one in claims.remind(at=instant("2026-11-04T06:00"))] == []
    assert [one.month for one in claims.remind(at=instant("2026-11-17T06:00"))] == ["2026-10"]
    (alarm,) = [one for one in alarms.open_alarms() if one.key.startswith("sla-claim/")]
    assert (alarm.key, alarm.severity) == ("sla-claim/line/2026-10", "warning")
    assert "Claim 10.00 EUR of Lijnen BV for 2026-10 by 2026-12-01" in alarm.what
    assert "2026-10-05 10:00:00 - 2026-10-05 10:45:00" in alarm.what, "its text is ready"
    claims.remind(at=instant("2026-11-29T06:00"))
    assert [one.severity for one in alarms.open_alarms() if one.key == alarm.key] == ["critical"]
    noted = CliRunner().invoke(
        commands.sla, ["claimed", "Lijnen BV", "--period", "2026-10", "--reference", "their ticket 17"]
    )
    assert noted.output == "10.00 EUR claimed of Lijnen BV for 2026-10.\n"
    assert not [one for one in alarms.open_alarms() if one.key == alarm.key]
    assert claims.remind(at=instant("2026-11-30T06:00")) == []
    assert "claimed on 2026-11-04: 10.00 EUR (their ticket 17)" in run("upstream --period 2026-10")
    assert "nothing is owed" in run("claimed Nobody --period 2026-10 --reference x", fails=True)


def test_what_is_at_risk_now(world: World) -> None:
    office = Office(world)
    at = instant("2026-10-05T12:00")
    office.hand_over(
        office.rows(instant("2026-09-30T21:55"), at, (at - timedelta(minutes=30), at)), at=at + timedelta(seconds=30)
    )
    (risk,) = outlook.at_risk(at=at + timedelta(minutes=1))
    assert (risk.service, risk.terms, risk.down_now) == ("web", "gold@2026-10-01", True)
    assert risk.downtime >= 20 * 60_000_000
    assert not claims.claims(year=2026, month=10, at=at)
    assert date(2026, 10, 5) == at.date()
