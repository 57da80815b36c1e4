"""A warning that turns out to be void after the bill: what was charged by it is given back without being asked for."""

from datetime import UTC, datetime
from fractions import Fraction

from coulance.notices import evidence, outcomes
from coulance.notices import operations as notices
from coulance.notices import queries as messages
from coulance.overage import operations, queries
from coulance_core.notices import EvidenceKind
from tests.closing.world import World, table
from tests.overage.test_close import became, even
from tests.overage.world import account_id, at, consent, customer, meter, verify


def _warned(world: World) -> None:
    customer(world, more='[sending]\nfrom = "post@polder.example"\n').service("s1", "vps", meter="traffic")
    verify("2026-09-15")
    consent("2026-09-20", amount="20.00")
    even("s1", 10, world)  # 310 GB on a plan of 100
    notices.queue_message(
        key="warn:1", account=account_id(), kind="warning", to=[notices.Recipient("anna@bakery.example", "Anna")],
        language="en", subject="80 %", text="80 GB", at=at("2026-10-08T12:01"),
    )  # fmt: skip
    operations.record_warning(
        meter=meter(), period_name="2026-10", threshold="80 %", counts=True, used=Fraction(80),
        at=at("2026-10-08T12:01"), message="warn:1",
    )  # fmt: skip
    became(EvidenceKind.ACCEPTED, "2026-10-08T12:02")


def came_back(when: str, known: str) -> None:
    found = outcomes.known([row.id for row in messages.messages() if row.key == "warn:1"])
    evidence.record(
        [outcomes.piece(one, EvidenceKind.BOUNCED, at=at(when), source="report") for one in found], at=at(known)
    )


def test_a_bounce_that_is_read_after_the_bill_is_credited_by_itself(world: World) -> None:
    _warned(world)
    world.close("2026-10")
    assert world.papers(kinds="V") == table(
        """
        V2026-0001 2026-10: 20.00 + 4.20
          overage s1 10-01..11-01 200 GB at 0.1: 20.00
        """
    )
    came_back("2026-10-09T09:00", "2026-11-10T08:00")  # within 72 hours: it had never arrived
    assert queries.warning_voided(accounts=[account_id()], since="2026-01") == {
        account_id(): {"2026-10": frozenset({"s1/out"})}
    }
    world.close("2026-11")
    assert world.papers(kinds="C").splitlines()[0] == "C2026-0001 2026-10: -20.00 + -4.20 on V2026-0001, correction"
    (row,) = queries.settlements(account=account_id(), period_name="2026-10")
    assert (row.revision, row.billable) == (2, 0)
    # Once is enough.
    assert queries.warning_voided(accounts=[account_id()], since="2026-01") == {}
    world.close("2026-12")
    assert len(world.papers(kinds="C").split("C2026-")) == 2


def test_a_bounce_days_later_credits_only_what_was_used_after_it(world: World) -> None:
    _warned(world)
    world.close("2026-10")
    came_back("2026-10-20T13:00", "2026-11-10T08:00")  # it had arrived, and counted until then
    world.close("2026-11")
    (row,) = queries.settlements(account=account_id(), period_name="2026-10")
    assert row.billable == 100  # the samples of the 11th to the 20th
    assert "-10.00" in world.papers(kinds="C")


def test_later_news_never_makes_a_settled_period_dearer(world: World) -> None:
    _warned(world)
    came_back("2026-10-09T09:00", "2026-10-09T09:00")
    world.close("2026-10")
    assert world.papers(kinds="V") == ""
    # Somebody answers in December, and the mail bounces once more: nothing is settled again, and nothing is charged.
    operations.acknowledge(
        meter=meter(), period_name="2026-10", contact="anna", how="portal", source="late", actor="t",
        at=datetime(2026, 12, 1, tzinfo=UTC),
    )  # fmt: skip
    world.close("2026-11")
    assert world.papers(kinds="VC") == ""
