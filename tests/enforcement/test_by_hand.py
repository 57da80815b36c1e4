"""Restricting and lifting by hand: by command, by API and on the console; targets from a file; what is told of it."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from coulance.cli import enforce as command
from coulance.drivers import factory
from coulance.enforcement import executing, operations, queries
from coulance.flows import enforcing
from coulance.platform import audit
from coulance_core.catalog.terms import Driver, DriverKind
from coulance_core.enforcement.restrictions import FREE, Action, Desired, Source
from tests.enforcement.world import ACTOR, T0, make_services

Run = Callable[..., Result]
PAUSED = Desired(paused=True)
DRIVERS = {"paper": Driver("paper", DriverKind.RECORD), "edge": Driver("edge", DriverKind.NFTABLES)}


class _Catalog:
    drivers = DRIVERS


@pytest.fixture
def services(db: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    monkeypatch.setattr("coulance.catalog.queries.catalog", _Catalog)
    return make_services("vps-1", "vps-2")


@pytest.fixture
def run(services: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(command, "working_database", lambda: nullcontext())
    return lambda *words: CliRunner().invoke(command.enforce, list(words))


def execute() -> int:
    made = factory.drivers(DRIVERS, now=lambda: datetime.now(UTC))
    return executing.round_of(made, worker="w", now=lambda: datetime.now(UTC))


def test_by_command_from_target_to_history(run: Run) -> None:
    assert run("target", "set", "vps-1", "paper", "--identity", "vm-1").exit_code == 0
    execute()
    assert run("pause", "vps-1").exit_code == 2, "no reason"
    assert "is placed" in run("pause", "vps-1", "--reason", "spam").output
    assert "was there" in run("throttle", "vps-1", "10 Mbit/s", "--reason", "a", "--ref", "t").output.replace(
        "is placed", "was there"
    )
    assert run("blackhole", "vps-1", "192.0.2.7", "--reason", "attack").exit_code == 0
    shown = run("status", "--json")
    held = json.loads(shown.output)
    assert {r["action"] for r in held["restrictions"]} == {"pause", "throttle", "blackhole"}
    assert execute() == 1
    assert queries.desired(enforcing.service_id("vps-1")) == Desired(True, 10_000_000, frozenset({"192.0.2.7"}))
    assert "what still holds: paused" in run("lift", "vps-1", "--address", "192.0.2.7", "--reason", "over").output
    assert "what still holds: free" in run("lift", "vps-1", "--reason", "cleaned").output
    execute()
    told = run("history", "vps-1").output
    assert "paper: done, should be free" in told
    assert "lifted" in told
    assert "Nothing is restricted" in run("status", "vps-1").output
    acts = [event.act for event in audit.events(limit=50)]
    assert acts.count("restriction.placed") == 3
    assert acts.count("restriction.lifted") == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("pause", "nobody", "--reason", "x"), "nobody"),
        (("throttle", "vps-1", "fast", "--reason", "x"), "such as"),
        (("throttle", "vps-1", "10 GB", "--reason", "x"), "such as"),
        (("throttle", "vps-1", "0 Mbit/s", "--reason", "x"), "more than 0"),
        (("blackhole", "vps-1", "10.0.0.999", "--reason", "x"), "no IP address"),
        (("lift", "vps-1", "--reason", "x"), "nothing that was placed by hand"),
        (("target", "set", "vps-1", "nowhere", "--identity", "x"), "expected one of edge, paper"),
        (("target", "set", "vps-1", "paper", "--identity", "x", "--parameters", "[1]"), "JSON object"),
        (("target", "set", "vps-1", "paper", "--identity", "x", "--parameters", "{"), "expected JSON"),
        (("target", "remove", "vps-1", "paper", "--reason", "x"), "has no target"),
    ],
)
def test_what_can_not_be_says_why_and_changes_nothing(run: Run, words: tuple[str, ...], says: str) -> None:
    done = run(*words)
    assert done.exit_code == 1
    assert says in done.output
    assert queries.restrictions(open_only=False) == []
    assert queries.all_targets() == []


def test_a_limit_pause_and_a_debt_are_not_lifted_by_hand(services: dict[str, int]) -> None:
    for source, ref in ((Source.OVERAGE, "2026-10"), (Source.ARREARS, "case-1")):
        operations.place(
            service=services["vps-1"], source=source, ref=ref, reason="r", action=Action.PAUSE, actor="worker", at=T0
        )
        with pytest.raises(enforcing.UnableToEnforceError, match="by its own rules"):
            enforcing.restrict(service="vps-1", action=Action.PAUSE, source=source, reason="r", actor=ACTOR, at=T0)
    for row in queries.restrictions():
        with pytest.raises(enforcing.UnableToEnforceError, match=r"ends by the customer|its own rules"):
            enforcing.release(restriction=row.id, reason="please", actor=ACTOR, at=T0)
    with pytest.raises(enforcing.UnableToEnforceError, match="ends by the customer"):
        enforcing.release_service(service="vps-1", reason="please", actor=ACTOR, at=T0)
    assert len(queries.restrictions()) == 2


def test_targets_from_a_file(run: Run, tmp_path: Path) -> None:
    good = tmp_path / "targets.csv"
    good.write_text(
        "service,driver,identity,parameters\n"
        'vps-1,edge,vps-1,"{""addresses"": [""192.0.2.7"", ""2001:db8::7""]}"\n'
        "vps-2,paper,vm-2,\n"
    )
    shown = run("targets", "import", str(good))
    assert "2 targets, 2 new or changed" in shown.output
    assert queries.all_targets() == []
    assert run("targets", "import", str(good), "--apply").exit_code == 0
    assert "2 targets, 0 new or changed" in run("targets", "import", str(good)).output
    assert json.loads(run("target", "list", "--json").output)[0]["parameters"]["addresses"][0] == "192.0.2.7"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("service,identity\n", "t.csv:1: no column driver"),
        ("service,driver,identity,port\n", "t.csv:1: column 'port'"),
        ("service,driver,identity\nvps-9,paper,x\n", "t.csv:2: no service 'vps-9'"),
        ("service,driver,identity\nvps-1,papr,x\n", "t.csv:2: no driver 'papr'"),
        ("service,driver,identity\nvps-1,paper,\n", "t.csv:2: expected the identity"),
        ("service,driver,identity,parameters\nvps-1,paper,x,{\n", "t.csv:2: parameters:"),
        ("service,driver,identity,parameters\nvps-1,paper,x,[]\n", "t.csv:2: parameters: expected"),
        ('service,driver,identity,parameters\nvps-1,paper,x,{"a": 1, "b": 2}\n', "t.csv:2: more values"),
        ("service,driver,identity\nvps-1,paper,x\nvps-1,paper,y\n", "t.csv:3: vps-1 at paper is there twice"),
    ],
)
def test_a_file_with_faults_is_not_imported(run: Run, tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    done = run("targets", "import", str(path), "--apply")
    assert done.exit_code == 1
    assert says in done.output
    assert queries.all_targets() == []


def test_a_blackhole_that_no_driver_can_hold_is_told(services: dict[str, int]) -> None:
    from coulance.drivers.proxmox import Proxmox
    from coulance.enforcement.ports import Observed, TargetRow

    class Hypervisor(Proxmox):
        def __init__(self) -> None:
            pass

        def read(self, target: TargetRow) -> Observed:
            return Observed(target.identity, FREE)

    vps = services["vps-1"]
    operations.set_target(service=vps, driver="pve", identity="101/x", parameters={}, actor=ACTOR, at=T0)
    enforcing.restrict(
        service="vps-1", action=Action.BLACKHOLE, address="192.0.2.7", reason="attack", actor=ACTOR, at=T0
    )
    executing.round_of({"pve": Hypervisor()}, worker="w", now=lambda: T0)
    assert "can't blackhole 192.0.2.7" in queries.acts(vps)[0].fault
    assert len(queries.waiting()) == 1


def test_what_a_late_executor_wrote_is_looked_at_once_more(services: dict[str, int]) -> None:
    from tests.enforcement.world import Clock, Network

    vps, clock, network = services["vps-1"], Clock(), Network()
    operations.set_target(service=vps, driver="router", identity="vps-1", parameters={}, actor=ACTOR, at=T0)
    executing.round_of({"router": network}, worker="w", now=clock)
    placed = enforcing.restrict(service="vps-1", action=Action.PAUSE, reason="spam", actor=ACTOR, at=clock.tick())
    (late,) = executing.claim(most=1, worker="late", at=clock())
    clock.tick(61)  # its claim runs out, the pause is lifted, and another finds the service free
    enforcing.release(restriction=placed.restriction, reason="over", actor=ACTOR, at=clock())
    executing.round_of({"router": network}, worker="w", now=clock)
    assert queries.waiting() == []
    outcome = executing.act_on(late.targets[0], network, late.desired, "k", clock)
    assert network.states["vps-1"] == PAUSED, "an order of before"
    executing.finish(late, [outcome], worker="late", at=clock())
    executing.round_of({"router": network}, worker="w", now=clock)
    assert network.states["vps-1"] == FREE


def test_by_api(services: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    from django.test import Client

    from tests.api.conftest import Api, make_token

    monkeypatch.setenv("COULANCE_WEBHOOK_KEY", "a key for tests")
    api = Api(make_token("enforce:read", "enforce:write"), Client())
    given = {"service": "vps-1", "action": "pause", "reason": "spam", "ref": "abuse-7"}
    made = api("POST", "/restrictions", given)
    assert made.status_code == 201, made.content
    assert api("POST", "/restrictions", given).status_code == 200
    assert api("POST", "/restrictions", given | {"service": "nobody"}).status_code == 404
    assert api("POST", "/restrictions", given | {"action": "throttle", "ref": "x"}).status_code == 422
    (row,) = api.get("/restrictions?service=vps-1")["items"]
    assert (row["ref"], row["source"], row["confirmed_at"]) == ("abuse-7", "security", None)
    lifted = api("POST", f"/restrictions/{row['id']}/lift", {"reason": "cleaned"})
    assert lifted.status_code == 200
    assert lifted.json()["lifted_by"].startswith("token:")
    assert api("POST", f"/restrictions/{row['id']}/lift", {"reason": "again"}).status_code == 409
    assert api.get("/restrictions")["items"] == []
    assert len(api.get("/restrictions?lifted=true")["items"]) == 1


def test_on_the_console(services: dict[str, int]) -> None:
    from coulance.platform.models import Operator
    from tests.console.conftest import signed_in

    anna = Operator.objects.create_user("anna", "anna@example.nl", "correct horse battery", is_staff=True, role="admin")
    browser = signed_in(anna)
    form = {"token": "t" * 20, "service": "vps-1", "action": "pause", "source": "security", "reason": "spam"}
    looked = browser.post("/restrictions/new", form)
    assert b"This will happen" in looked.content
    assert b"No driver reaches it" in looked.content
    assert queries.restrictions() == []
    assert browser.post("/restrictions/new", form | {"step": "do"}).status_code == 302
    assert browser.post("/restrictions/new", form | {"step": "do"}).status_code == 302, "a second click"
    (row,) = queries.restrictions()
    page = browser.get("/restrictions").content.decode()
    assert "vps-1" in page
    assert "no driver" in page
    lift = {"token": "u" * 20, "restriction": str(row.id)}
    assert browser.post("/restrictions/lift", lift).status_code == 422, "no reason"
    assert browser.post("/restrictions/lift", lift | {"reason": "cleaned"}).status_code == 302
    assert queries.restrictions() == []
    for wrong in (
        {"action": "stop"},
        {"action": "throttle", "rate": "x"},
        {"service": "nobody"},
        {"source": "arrears"},
    ):
        assert browser.post("/restrictions/new", form | {"token": "v" * 20} | wrong).status_code == 422, wrong
