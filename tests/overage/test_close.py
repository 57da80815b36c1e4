"""Samples in, a close, and what is billed: the first law end to end, as a customer would tell it."""

from fractions import Fraction

from coulance.notices import evidence, outcomes
from coulance.notices import operations as notices
from coulance.notices import queries as messages
from coulance.overage import operations, queries
from coulance_core.notices import EvidenceKind
from tests.closing.world import World, check_explained, days, table
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
