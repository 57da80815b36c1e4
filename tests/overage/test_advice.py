"""Advice from samples as they were sent, offers on invoices as they were issued, and what taking one leaves behind."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from coulance.flows.advice import UnableToAdviseError, advise, note_told, repeat_payers
from coulance.flows.retroactive import UnableToOfferError, accept_plan, plan_offers
from coulance.invoicing import queries as invoicing
from coulance.services import queries as services
from coulance_core.kernel import Money
from coulance_core.overage.advice import AdvicePolicy, Verdict
from tests.closing.world import closing_instant, table
from tests.overage.fair import ALWAYS, NOW, ONCE, TABLES, fair_world, months


@pytest.fixture
def folder(db: Any, store_here: Path, tmp_path: Path) -> Path:
    return tmp_path


def test_once_three_terabytes(folder: Path) -> None:
    fair_world(folder, ONCE)
    found = advise(service="vps-1", at=NOW)
    assert [(r.version.plan, str(r.total), str(r.saved), r.cheaper_in) for r in found.comparison.ranked] == [
        ("vps-m", "150.00 EUR", "110.00 EUR", 1),
        ("vps-s", "260.00 EUR", "0.00 EUR", 0),
        ("vps-xl", "360.00 EUR", "-100.00 EUR", 1),
        ("node", "934.00 EUR", "-674.00 EUR", 0),
    ]
    assert found.advice.verdict is Verdict.NOT_OFTEN
    assert found.through == "2026-06"


def test_what_the_present_plan_cost_is_what_was_billed(folder: Path) -> None:
    """The advice's own figure for each month is the overage that the month's closing put on paper."""
    fair_world(folder, (400, 1200, 3000, 1000, 1001, 2500))
    billed = {
        row.period_name: row.net for row in invoicing.settled_figures(accounts=[services.service("vps-1").account_id])
    }
    costs = advise(service="vps-1", at=NOW).comparison.present.costs
    assert {cost.period: cost.usage for cost in costs if not cost.forecast} == billed
    assert [str(billed[f"2026-0{n}"]) for n in (2, 5)] == ["20.00 EUR", "0.10 EUR"]


def test_a_repeat_payer_is_told_unasked_but_not_every_month(folder: Path) -> None:
    world = fair_world(folder, ALWAYS)
    world.account("calm").service("vps-2", "vps-s", "2026-01-01", account="calm", meter="traffic")
    (found,) = repeat_payers(at=NOW)
    assert (found.service.external_id, found.advice.verdict) == ("vps-1", Verdict.CHANGE)
    assert found.advice.plan is not None
    assert (found.advice.plan.plan, found.advice.saved) == ("vps-xl", Money(810000, "EUR"))
    assert note_told(found, actor="test", at=NOW)
    assert not note_told(found, actor="test", at=NOW)
    assert [one.advice.verdict for one in repeat_payers(at=NOW)] == [Verdict.TOLD]
    # Whoever asks is told all the same.
    assert advise(service="vps-1", at=NOW).advice.verdict is Verdict.CHANGE
    for month in ("2026-07", "2026-08"):
        world.use("vps-1", {f"{month}-15": 15_000}).close(month)
        (again,) = repeat_payers(at=closing_instant(month))
        assert again.advice.verdict is Verdict.TOLD
    world.use("vps-1", {"2026-09-15": 15_000}).close("2026-09")
    (again,) = repeat_payers(at=closing_instant("2026-09"))
    assert (again.advice.verdict, again.through) == (Verdict.CHANGE, "2026-09")


def test_a_forecast_stops_advice_that_has_had_its_time(folder: Path) -> None:
    """Six dear months; and then a July that goes on at 31 GB in 15 days, on which XL would be dearer."""
    world = fair_world(folder, ALWAYS, close=False)
    world.use("vps-1", {"2026-07-03": 31})
    at = datetime(2026, 7, 16, 9, tzinfo=UTC)
    found = advise(service="vps-1", at=at)
    (ahead,) = found.comparison.present.ahead
    assert (ahead.period, ahead.net) == ("2026-07", Money(1000, "EUR"))
    assert found.advice.verdict is Verdict.DEARER_AHEAD
    world.use("vps-1", {"2026-07-04": 7500})
    found = advise(service="vps-1", at=at)
    # 7531 GB in 15 of 31 days: 15,564 GB, so 14,564.0666... above, at 0.10.
    assert found.comparison.present.ahead[0].usage == Money(145641, "EUR")
    assert found.advice.verdict is Verdict.CHANGE


def test_a_pool_is_advised_whole(folder: Path) -> None:
    """Two nodes share 100 GB each; ours brings 1000, the other 50: 850 above at 0.20. Alone on S: nothing above."""
    world = fair_world(folder, (1000,), plan="node", close=False)
    world.service("vps-2", "node", "2026-01-01", meter="traffic").use("vps-2", {"2026-01-10": 50})
    found = advise(
        service="vps-1",
        at=datetime(2026, 2, 2, tzinfo=UTC),
        policy=AdvicePolicy(share=Fraction(0), in_periods=1, of_periods=1),
    )
    assert [(r.version.plan, str(r.total)) for r in found.comparison.ranked] == [
        ("vps-s", "10.00 EUR"),
        ("vps-m", "25.00 EUR"),
        ("vps-xl", "60.00 EUR"),
        ("node", "179.00 EUR"),
    ]
    assert found.advice.verdict is Verdict.CHANGE


def test_there_must_be_something_to_compare(folder: Path) -> None:
    world = fair_world(folder, ())
    with pytest.raises(UnableToAdviseError, match="no whole period"):
        advise(service="vps-1", at=datetime(2026, 1, 20, tzinfo=UTC))
    world.use("vps-1", {"2026-01-15": 1}).end("vps-1", "2026-03-01")
    with pytest.raises(UnableToAdviseError, match="on no plan"):
        advise(service="vps-1", at=NOW)
    with pytest.raises(services.UnableToFindServiceError):
        advise(service="vps-9", at=NOW)


def test_the_larger_plan_instead_of_the_bill(folder: Path) -> None:
    world = fair_world(folder, ONCE)
    before = world.papers(kinds="B")
    (offered,) = plan_offers(number="V2026-0001")
    assert (offered.service, offered.lines, str(offered.overage)) == ("vps-1", (1,), "200.00 EUR")
    assert [(o.plan.plan, str(o.difference), str(o.saves)) for o in offered.offers] == [
        ("vps-m", "15.00 EUR", "185.00 EUR"),
        ("vps-xl", "50.00 EUR", "150.00 EUR"),
    ]
    taken = accept_plan(
        number="V2026-0001", service="vps-1", plan="vps-m", reason="by mail of 4 July", actor="test", at=NOW
    )
    assert taken.offer.reverts_on.isoformat() == "2026-07-01"
    assert world.papers(kinds="VC") == table(
        """
        V2026-0001 2026-06: 200.00 + 42.00
          overage vps-1 06-01..07-01 2000 GB at 0.1: 200.00
        C2026-0001 2026-06: -200.00 + -42.00 on V2026-0001, price_reduction
          credit vps-1 06-01..07-01 1: -200.00
        V2026-0002 2026-06: 15.00 + 3.15
          plan_difference vps-1 06-01..07-01 1 at 15: 15.00
        """
    )
    assert (taken.credit_note, taken.invoice) == ("C2026-0001", "V2026-0002")
    assert world.snapshot("V2026-0002")["notes"] == ["VPS M instead of overage on VPS S, for this period only"]
    with pytest.raises(UnableToOfferError, match="nothing is left"):
        accept_plan(number="V2026-0001", service="vps-1", plan="vps-m", reason="again", actor="test", at=NOW)
    # The base invoice is untouched, and so is July: on the old plan, closed as ever.
    assert world.papers(kinds="B") == before
    world.use("vps-1", {"2026-07-15": 1100}).close("2026-07")
    assert world.papers(kinds="V").endswith("  overage vps-1 07-01..08-01 100 GB at 0.1: 10.00")


def test_a_second_server_keeps_its_overage(folder: Path) -> None:
    world = fair_world(folder, (), close=False)
    world.service("vps-2", "vps-s", "2026-01-01", meter="traffic")
    world.use("vps-1", {"2026-01-15": 3000}).use("vps-2", {"2026-01-15": 1010}).close("2026-01")
    first, second = plan_offers(number="V2026-0001")
    assert [o.plan.plan for o in first.offers] == ["vps-m", "vps-xl"]
    assert (second.offers, second.why_none) == ((), "no larger plan would have been cheaper")
    accept_plan(number="V2026-0001", service="vps-1", plan="vps-xl", reason="asked", actor="test", at=NOW)
    first, second = plan_offers(number="V2026-0001")
    assert (str(first.overage), str(second.overage)) == ("0.00 EUR", "1.00 EUR")


def test_offers_that_are_not_made(folder: Path) -> None:
    world = fair_world(folder, (3000,), close=False)
    world.change("vps-1", "vps-m", "2026-01-10").close("2026-01", at="2026-02-04T06:00")
    world.service("vps-2", "vps-s", "2026-01-01", meter="traffic")
    for number, why in (("B2026-0001", "base invoice"),):
        with pytest.raises(UnableToOfferError, match=why):
            plan_offers(number=number)
    with pytest.raises(UnableToOfferError, match="reason"):
        accept_plan(number="V2026-0001", service="vps-1", plan="vps-m", reason=" ", actor="test", at=NOW)


def test_a_changed_plan_and_a_wrong_name(folder: Path) -> None:
    world = fair_world(folder, (), close=False)
    world.use("vps-1", {"2026-01-05": 9000}).change("vps-1", "vps-m", "2026-01-10").close("2026-01")
    (offered,) = plan_offers(number="V2026-0001")
    assert offered.why_none == "its plan changed within the period, or it ran for a part of it"
    months(world, "vps-1", ())
    world.use("vps-1", {"2026-02-05": 9000}).close("2026-02")
    with pytest.raises(UnableToOfferError, match="'vps-s' is not offered to vps-1 instead of V2026-0002: vps-xl"):
        accept_plan(number="V2026-0002", service="vps-1", plan="vps-s", reason="asked", actor="test", at=NOW)
    with pytest.raises(UnableToOfferError, match="no overage of 'vps-7'"):
        accept_plan(number="V2026-0002", service="vps-7", plan="vps-xl", reason="asked", actor="test", at=NOW)


def test_a_plan_no_longer_sold_is_not_advised(folder: Path) -> None:
    world = fair_world(folder, ALWAYS, close=False)
    start, end = TABLES.index("[plans.vps-xl]"), TABLES.index("[plans.node]")
    world.provider(rest=TABLES[:start] + TABLES[end:])
    found = advise(service="vps-1", at=NOW)
    assert [r.version.plan for r in found.comparison.ranked][:2] == ["vps-m", "vps-s"]
    assert replace(found.advice, explanation=None).plan == found.comparison.best.version  # type: ignore[arg-type]
