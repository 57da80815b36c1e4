"""Money at risk, who will probably be late and what is gentler, bills that reached nobody, our own errors."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from coulance.flows.arrears import people, risk
from coulance.invoicing import operations as invoicing
from coulance.payments import mandates
from coulance_core.arrears import StayKind
from coulance_core.arrears.risk import Gentler
from tests.payments.till import Customer
from tests.rails import world
from tests.rails.world import RAILS, at, payer, signs

TODAY = date(2026, 12, 2)


@pytest.fixture
def late(db: Any, tmp_path: Path) -> Customer:
    """Who paid three bills by three weeks late each, and owes one that was sent and one that wasn't."""
    world.provider(tmp_path / "provider", rails=RAILS + '\n[arrears]\nmode = "observe"\n')
    who = payer()
    for month in (7, 8, 9):
        ref = who.invoice(f"m{month}", 12_100, on=date(2026, month, 1))
        who.pays(12_100, ref, on=date(2026, month, 1) + timedelta(days=14 + 21))
    who.invoice("sent", 24_200)
    invoicing.mark_sent(number=who.numbers["sent"], at=at(date(2026, 11, 4)))
    who.invoice("lost", 6050, overage=True)
    good = payer("good")
    for month in (7, 8, 9):
        good.pays(1210, good.invoice(f"m{month}", 1210, on=date(2026, month, 1)), on=date(2026, month, 5))
    return who


def test_what_is_at_risk_and_who_will_probably_be_late(late: Customer) -> None:
    found = risk.risk(at=at(TODAY))
    (euros,) = found.money
    assert (str(euros.open), str(euros.late), str(euros.expected.loss)) == ("302.50 EUR", "302.50 EUR", "3.03 EUR")
    assert euros.days_outstanding is not None
    assert euros.days_outstanding >= (TODAY - date(2026, 11, 4)).days
    (one,) = found.likely
    assert (one.account.id, one.score.bills, one.remind_days) == (late.id, 5, 7)
    assert one.gentler == (Gentler.REMIND_EARLIER, Gentler.INVITE_AUTO_PAY, Gentler.OFFER_PLAN)
    assert one.score.explanation.recompute()["chance"] == one.score.chance
    # Who is collected from isn't invited to be.
    signs(late, TODAY)
    assert mandates.in_force(on=TODAY, accounts=[late.id])
    (one,) = risk.risk(at=at(TODAY)).likely
    assert Gentler.INVITE_AUTO_PAY not in one.gentler


def test_a_bill_that_nobody_received_is_shown_and_is_not_due_and_our_own_error_too(late: Customer) -> None:
    (bill,) = risk.risk(at=at(TODAY)).unreceived
    assert (bill.number, str(bill.open)) == (late.numbers["lost"], "60.50 EUR")
    invoicing.mark_sent(number=bill.number, at=at(TODAY))
    assert risk.risk(at=at(TODAY)).unreceived == ()
    # Our own error rests everything, and is shown.
    people.stay(account=late.id, kind=StayKind.OWN_ERROR, why="billed twice", actor="operator:anna", at=at(TODAY))
    (one,) = risk.risk(at=at(TODAY, 12)).our_errors
    assert (one.account.id, one.why) == (late.id, "billed twice")
