"""Samples in, a close, and what is billed: the first law end to end, as a customer would tell it."""

import io
import json
import zipfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from textwrap import dedent
from typing import Any

import pypdf

from coulance.enforcement import operations as enforcement
from coulance.flows.evidence import export_samples
from coulance.flows.replay import replay
from coulance.invoicing.pdf import render
from coulance.notices import evidence, outcomes
from coulance.notices import operations as notices
from coulance.notices import queries as messages
from coulance.overage import operations, queries
from coulance_core.enforcement.restrictions import Action, Source
from coulance_core.kernel import Money
from coulance_core.notices import EvidenceKind
from coulance_core.overage.terms import Absorbed
from tests.closing.world import REST, World, check_explained, days, five_minutes, table
from tests.overage.world import account_id, acknowledge, at, consent, contact, customer, meter, verify


def settled(service: str = "s1") -> tuple[str, dict[str, str], str]:
    """(billable, absorbed by reason, what it would have come to) of the latest period."""
    row = next(one for one in queries.settlements(account=account_id()) if one.meter.startswith(service))
    return (
        str(float(row.billable)),
        {reason.value: str(float(quantity)) for reason, quantity in row.absorbed.items()},
        row.cost.decimal(),
    )


def adds_up(world: World, month: str = "2026-10") -> None:
    """Every unit of the statement is somewhere: included, charged, absorbed for a reason."""
    for item in world.statement(month):
        if "absorbed" not in item:
            continue
        absorbed = sum((Fraction(one["quantity"]) for one in item["absorbed"]), Fraction(0))
        attack = sum((Fraction(o["quantity"]) for o in item["absorbed"] if o["reason"] == "attack"), Fraction(0))
        allowance = min(Fraction(item["allowance"]), Fraction(item["used"]) - attack)
        assert allowance + Fraction(item["charged"]) + absorbed == Fraction(item["used"])
    check_explained(world.snapshot(f"U-{month}-acme"))


def pdf_text(snapshot: Mapping[str, Any]) -> str:
    """What the PDF of a document says."""
    pages = pypdf.PdfReader(io.BytesIO(render(snapshot))).pages
    return " ".join(" ".join(page.extract_text() for page in pages).replace("\u00a0", " ").split())


def became(kind: EvidenceKind, when: str, key: str = "warn:1") -> None:
    """What became known of a message's delivery."""
    found = outcomes.known([row.id for row in messages.messages() if row.key == key])
    evidence.record([outcomes.piece(one, kind, at=at(when), fact={}) for one in found], at=at(when))


def even(service: str, daily: int, world: World, count: int = 31) -> None:
    """The same use every day of October."""
    world.use(service, dict.fromkeys(days("2026-10-01", count), daily))


def test_a_no_consent_no_charge(world: World) -> None:
    customer(world).service("s1", "vps", meter="traffic")
    even("s1", 20, world)  # 620 GB on a plan of 100
    world.close("2026-10")
    assert world.papers(kinds="VC") == ""
    (item,) = world.statement("2026-10")
    assert (item["used"], item["overage"], item["charged"]) == ("620", "520", "0")
    assert item["absorbed"] == [{"reason": "no_consent", "quantity": "520"}]
    assert settled() == ("0.0", {"no_consent": "520.0"}, "52.00")
    adds_up(world)


def test_b_a_limit_of_fifty_payable_is_never_passed(world: World) -> None:
    customer(world).provider(more='\n[overage]\ncontrol = "enforce"\n').service("s1", "vps", meter="traffic")
    verify("2026-09-15")
    consent("2026-09-20", amount="50.00", quantity=413)
    even("s1", 19, world)
    operations.record_warning(
        meter=meter(), period_name="2026-10", threshold="80 %", counts=True, used=Fraction(80), at=at("2026-10-05")
    )
    acknowledge("2026-10-04T13:00")
    world.close("2026-10")
    # 489 GB past the allowance; a business pays 50.00 before tax at 0.10: 500 GB fit.
    assert world.papers(kinds="V") == table("""
        V2026-0001 2026-10: 48.90 + 10.27
          overage s1 10-01..11-01 489 GB at 0.1: 48.90
    """)
    adds_up(world)


def test_b_a_consumers_limit_includes_the_tax(world: World) -> None:
    customer(world).account("home", kind="consumer").service("h1", "vps", account="home", meter="traffic")
    contact("anna", account="home")
    verify("2026-09-15", account="home")
    consent("2026-09-20", amount="50.00", service="h1", account="home")
    world.use("h1", dict.fromkeys(days("2026-10-01", 31), 20))
    operations.acknowledge(
        meter=meter("h1"), period_name="2026-10", contact="anna", how="link", source="x", actor="customer:anna",
        at=at("2026-10-05"),
    )  # fmt: skip
    world.close("2026-10")
    # 41.32 + 8.68 = 50.00: 413.2 GB of the 520 GB.
    assert world.papers("home", kinds="V") == table("""
        V2026-0001 2026-10: 41.32 + 8.68
          overage h1 10-01..11-01 413.2 GB at 0.1: 41.32
    """)
    (item,) = world.snapshot("U-2026-10-home")["usage"]
    assert item["absorbed"] == [{"reason": "above_limit", "quantity": "106.8"}]


def test_c_a_bounced_warning_counts_from_the_call(world: World) -> None:
    customer(world, more='[sending]\nfrom = "post@polder.example"\n').service("s1", "vps", meter="traffic")
    verify("2026-09-15")
    consent("2026-09-20", amount="100.00")
    even("s1", 50, world)  # the allowance is used up on the second
    notices.queue_message(
        key="warn:1", account=account_id(), kind="warning", to=[notices.Recipient("anna@bakery.example", "Anna")],
        language="en", subject="80 %", text="80 GB", at=at("2026-10-02T12:01"),
    )  # fmt: skip
    operations.record_warning(
        meter=meter(), period_name="2026-10", threshold="80 %", counts=True, used=Fraction(100),
        at=at("2026-10-02T12:01"), message="warn:1",
    )  # fmt: skip
    became(EvidenceKind.ACCEPTED, "2026-10-02T12:02")
    became(EvidenceKind.BOUNCED, "2026-10-04T09:00")
    acknowledge("2026-10-05T15:00", how="operator")
    world.close("2026-10")
    # Days 3 to 6 (whose sample begins before the call) are ours; of 25 days at 50 GB the limit pays for 1,000 GB.
    assert settled() == ("1000.0", {"not_warned": "200.0", "above_limit": "250.0"}, "45.00")
    adds_up(world)


def test_d_raised_and_then_withdrawn(world: World) -> None:
    customer(world).service("s1", "vps", meter="traffic")
    verify("2026-09-15")
    consent("2026-09-20", amount="20.00")
    acknowledge("2026-10-01T13:00")
    even("s1", 50, world)
    raised = consent("2026-10-10T12:00", amount="60.00")
    operations.withdraw_consent(consent=raised.id, actor="customer:anna", reason="enough", at=at("2026-10-12T12:00"))
    world.close("2026-10")
    # 3..6 October at the first limit (200 GB), 7..10 above it, 11 and 12 under the second; none from the 13th on.
    assert settled() == ("300.0", {"above_limit": "200.0", "no_consent": "950.0"}, "115.00")
    adds_up(world)


def test_e_a_standing_consent_is_never_interrupted(world: World) -> None:
    customer(world, more='exposure = "20.00 EUR"\n').service("s1", "vps", meter="traffic")
    verify("2026-08-15")
    consent("2026-08-20", amount="500.00", beforehand="500.00")
    for month, first in (("2026-10", "2026-10-01"), ("2026-11", "2026-11-01")):
        world.use("s1", dict.fromkeys(days(first, 30), 50))
        operations.acknowledge(
            meter=meter(), period_name=month, contact="anna", how="link", source=month, actor="customer:anna",
            at=at(first),
        )  # fmt: skip
        world.close(month)
    assert world.papers(kinds="V") == table("""
        V2026-0001 2026-10: 140.00 + 29.40
          overage s1 10-01..11-01 1400 GB at 0.1: 140.00
        V2026-0002 2026-11: 140.00 + 29.40
          overage s1 11-01..12-01 1400 GB at 0.1: 140.00
    """)


def test_f_an_attack_is_excluded_with_its_evidence(world: World) -> None:
    customer(world).service("s1", "vps", meter="traffic")
    verify("2026-09-15")
    consent("2026-09-20", amount="100.00")
    acknowledge("2026-10-01T00:00")
    world.use("s1", {"2026-10-05": 60, "2026-10-06": 900, "2026-10-07": 60})
    operations.record_attack(
        service=meter().services[0], start=at("2026-10-05T13:00"), until=at("2026-10-06T11:00"), at_most=Fraction(880),
        in_unit="GB", evidence="flow capture 77", actor="operator:eva", reason="reflected flood", at=at("2026-10-08"),
    )  # fmt: skip
    world.close("2026-10")
    # 60 + 20 + 60 are the customer's own: 40 past the allowance, not 920.
    assert settled() == ("40.0", {"attack": "880.0"}, "88.00")
    (row,) = queries.settlements(account=account_id())
    assert row.on_budget.minor == 0
    adds_up(world)


def test_g_a_pool_shares_one_limit_and_members_cap_their_own(world: World) -> None:
    customer(world)
    for name in ("n1", "n2", "n3"):
        world.service(name, "node", meter="traffic")
    verify("2026-09-15")
    consent("2026-09-20", amount="30.00", pool="fleet", terms="pool:fleet@2025-01-01")  # 150 GB at 0.20
    consent("2026-09-20", quantity=40, service="n2")
    acts = operations.MeterRef.of_pool(account_id(), "fleet", "", ())
    operations.acknowledge(
        meter=acts, period_name="2026-10", contact="anna", how="portal", source="p", actor="customer:anna",
        at=at("2026-10-01"),
    )  # fmt: skip
    world.use("n1", {"2026-10-05": 290}).use("n2", {"2026-10-10": 100}).use("n3", {"2026-10-20": 200})
    world.close("2026-10")
    # 300 GB are included together. n2 goes 90 over, of which its cap allows 40; n3 has the 110 that are left of 150.
    assert world.papers(kinds="V") == table("""
        V2026-0001 2026-10: 30.00 + 6.30
          overage pool fleet 10-01..11-01 150 GB at 0.2: 30.00
    """)
    (row,) = queries.settlements(account=account_id())
    assert (row.overage, row.billable, dict(row.absorbed)) == (
        Fraction(290),
        Fraction(150),
        {Absorbed.ABOVE_LIMIT: Fraction(140)},
    )
    assert {item["charged"] for item in world.statement("2026-10")} == {"150"}


def _port(world: World, rows: list[int], high: int) -> World:
    """A port at 10 Mbit/s, and at 100 Mbit/s for `high` of its first samples."""
    low, top = 10 * 10**6 * 300 // 8, 100 * 10**6 * 300 // 8
    return world.send("p1", [(when, top if i < high else low) for i, when in enumerate(rows)])


def test_h_a_port_is_clipped_to_what_its_limit_reaches(world: World) -> None:
    customer(world).service("p1", "colo", meter="port")
    verify("2026-09-15")
    consent("2026-09-20", amount="33.00", service="p1", terms="colo@2025-01-01")  # 30 Mbit/s at 1.10
    operations.acknowledge(
        meter=meter("p1", "bw"), period_name="2026-10", contact="anna", how="portal", source="p",
        actor="customer:anna", at=at("2026-10-01"),
    )  # fmt: skip
    rows = five_minutes("2026-10-01", "2026-11-01")
    _port(world, rows, len(rows) // 10)
    world.close("2026-10")
    assert "overage p1 10-01..11-01 30 Mbit/s at 1.1: 33.00" in world.papers(kinds="V")
    (row,) = queries.settlements(account=account_id())
    assert (row.metered, row.billable, dict(row.absorbed)) == (
        Fraction(100),
        Fraction(30),
        {Absorbed.ABOVE_LIMIT: Fraction(60)},
    )
    check_explained(world.snapshot("U-2026-10-acme"))


def test_h_without_a_word_a_port_pays_its_commit(world: World) -> None:
    customer(world).service("p1", "colo", meter="port")
    rows = five_minutes("2026-10-01", "2026-11-01")
    _port(world, rows, len(rows) // 10).close("2026-10")
    assert "overage p1" not in world.papers(kinds="V")
    assert settled("p1") == ("0.0", {"no_consent": "90.0"}, "99.00")


def test_i_after_a_price_change_the_tighter_binds(world: World) -> None:
    dearer = """
        [[plans.vps.versions]]
        from = 2026-10-11
        base = "5.00 EUR/month"
        [plans.vps.versions.charges.out]
        name = "Traffic out"
        meter = "traffic"
        direction = "out"
        included = "100 GB"
        price = "0.20 EUR/GB"
    """
    rest = REST.replace("[plans.vps-xl]\n", dedent(dearer) + "\n[plans.vps-xl]\n", 1)
    customer(world, rest=rest).service("s1", "vps", meter="traffic")
    verify("2026-09-15")
    consent("2026-09-20", amount="40.00", quantity=400)
    acknowledge("2026-10-01T00:00")
    even("s1", 30, world)
    world.close("2026-10")
    total = sum(
        (Fraction(line["net"]) for line in world.snapshot("V2026-0001")["lines"] if line["kind"] == "overage"),
        Fraction(0),
    )
    # Both parts together stay within the 40.00 that were agreed to; what lies past it is absorbed.
    assert Fraction(39) < total <= 40
    adds_up(world)


def test_j_mails_that_bounce_on_purpose_buy_nothing(world: World) -> None:
    customer(world, more='budget = "10.00 EUR"\n').service("s1", "vps", meter="traffic")
    verify("2026-09-15")
    consent("2026-09-20", amount="100.00")
    even("s1", 50, world)
    world.close("2026-10")
    assert settled() == ("0.0", {"not_warned": "1450.0"}, "145.00")
    # Nothing becomes billable by it; but the budget is spent, and pauses come earlier from now on.
    assert world.papers(kinds="V") == ""
    assert queries.budget_spent(account=account_id(), at=at("2026-12-01")) == Money.of("145.00", "EUR")


def test_use_while_we_pause_is_not_charged(world: World) -> None:
    customer(world).service("s1", "vps", meter="traffic")
    verify("2026-09-15")
    consent("2026-09-20", amount="100.00")
    acknowledge("2026-10-01T00:00")
    world.use("s1", {"2026-10-05": 100, "2026-10-06": 40, "2026-10-07": 3, "2026-10-09": 10})
    enforcement.place(
        service=meter().services[0], source=Source.OVERAGE, ref="2026-10/out", reason="limit", action=Action.PAUSE,
        actor="worker", at=at("2026-10-06T12:00"),
    )  # fmt: skip
    enforcement.lift(
        service=meter().services[0], source=Source.OVERAGE, actor="customer:anna", reason="raised",
        at=at("2026-10-07T12:00"),
    )  # fmt: skip
    world.close("2026-10")
    assert settled() == ("50.0", {"paused": "3.0"}, "0.30")
    text = pdf_text(world.snapshot("U-2026-10-acme"))
    assert "not charged: 3 GB, used while the service was being paused" in text
    adds_up(world)


def test_by_contract_nothing_changes(world: World) -> None:
    customer(world, control="contract").service("s1", "vps", meter="traffic")
    even("s1", 20, world)
    world.close("2026-10")
    assert "overage s1 10-01..11-01 520 GB at 0.1: 52.00" in world.papers(kinds="V")
    assert not queries.settlements(account=account_id())
    assert "absorbed" not in world.statement("2026-10")[0]


def test_observed_it_is_billed_as_by_contract_and_on_record(world: World) -> None:
    customer(world, control="observe").service("s1", "vps", meter="traffic")
    even("s1", 20, world)
    world.close("2026-10")
    assert "overage s1 10-01..11-01 520 GB at 0.1: 52.00" in world.papers(kinds="V")
    (row,) = queries.settlements(account=account_id())
    assert (row.observed, row.billable, row.cost) == (True, Fraction(0), Money.of("52.00", "EUR"))
    assert "absorbed" not in world.statement("2026-10")[0]


def test_a_dry_run_shows_what_the_run_bills_and_records_nothing(world: World) -> None:
    customer(world).service("s1", "vps", meter="traffic")
    even("s1", 20, world)
    report = world.close("2026-10", dry_run=True)
    assert not report.totals.net.get("overage_invoice")
    assert not queries.settlements(account=account_id())


def test_late_use_is_under_its_own_periods_word(world: World) -> None:
    customer(world).service("s1", "vps", meter="traffic")
    verify("2026-09-15")
    first = consent("2026-09-20", amount="20.00")
    acknowledge("2026-10-01T00:00")
    world.use("s1", {"2026-10-05": 250})
    world.close("2026-10")
    assert "overage s1 10-01..11-01 150 GB at 0.1: 15.00" in world.papers(kinds="V")
    # Withdrawn since; but in October it held, and its limit holds for what comes late.
    operations.withdraw_consent(consent=first.id, actor="customer:anna", reason="enough", at=at("2026-11-05"))
    world.use("s1", {"2026-10-20": 80})
    world.close("2026-11")
    assert "late_usage s1" in world.papers(run="2026-11")
    late = sum(Fraction(line["net"]) for line in world.snapshot("V2026-0002")["lines"] if line["kind"] == "late_usage")
    assert late == 5
    row = next(one for one in queries.settlements(account=account_id()) if one.period_name == "2026-10")
    assert (row.revision, row.billable, dict(row.absorbed)) == (2, Fraction(200), {Absorbed.ABOVE_LIMIT: Fraction(30)})


def test_the_evidence_settles_again_offline(world: World, tmp_path: Path) -> None:
    customer(world).service("s1", "vps", meter="traffic").service("p1", "colo", meter="port")
    verify("2026-09-15")
    consent("2026-09-20", amount="33.00", service=None)
    operations.record_attack(
        service=meter().services[0], start=at("2026-10-20"), until=at("2026-10-21"), at_most=Fraction(3),
        in_unit="GB", evidence="flow 7", actor="operator:eva", reason="flood", at=at("2026-10-22"),
    )  # fmt: skip
    for name, charge in (("s1", "out"), ("p1", "bw")):
        acknowledge("2026-10-01T00:00", service=name, charge=charge)
    even("s1", 8, world)
    rows = five_minutes("2026-10-01", "2026-11-01")
    _port(world, rows, len(rows) // 10).close("2026-10")
    # 248 - 3 - 100 = 145 GB cost 14.50; of the other 18.50 the port gets 16.81 Mbit/s.
    for number, count in (("V2026-0001", 2), ("U-2026-10-acme", 2)):
        path = tmp_path / f"{number}.zip"
        export_samples(number=number, path=path)
        again = replay(path)
        assert len(again) == count
        assert all(row.equal for row in again), again
    billed = world.snapshot("V2026-0001")["totals"]["net"]
    assert Fraction(32) < Fraction(billed) <= 33
    with zipfile.ZipFile(tmp_path / "V2026-0001.zip") as old:
        facts = json.loads(old.read("overage.json"))
        forged = tmp_path / "forged.zip"
        for ground in facts["grounds"]:
            for one in ground["facts"].values():
                one["warned"] = []
        with zipfile.ZipFile(forged, "w") as new:
            for member in old.namelist():
                new.writestr(member, json.dumps(facts) if member == "overage.json" else old.read(member))
    assert [row.again for row in replay(forged)] == ["0.00 EUR"] * 2
