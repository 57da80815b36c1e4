"""Money at risk, who will probably be late and what is gentler, bills that reached nobody, our own errors."""

from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from coulance.arrears import nights
from coulance.customers import queries as customers
from coulance.flows.arrears import figuring, inviting, people, risk
from coulance.flows.arrears.facts import read
from coulance.flows.overage_control.links import UnableToAnswerError
from coulance.invoicing import operations as invoicing
from coulance.notices import queries as sent
from coulance.payments import mandates
from coulance.platform import clock
from coulance.platform.alarms import open_alarms
from coulance_core.arrears import StayKind
from coulance_core.arrears.risk import Gentler
from coulance_core.kernel import Explanation
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


def a_night(when: Any) -> risk.Risk:
    """What the night works out, without acting: the picture after it."""
    everybody = risk.everybody(at=when)
    accounts = [row.id for row in customers.accounts()]
    figuring.work_out_habits(accounts, everybody=everybody, at=when)
    figuring.note_bills(read(accounts, at=when), at=when)
    figuring.work_out_figures(everybody=everybody, at=when)
    return risk.risk(at=when)


def test_what_is_at_risk_and_who_will_probably_be_late(late: Customer) -> None:
    assert risk.risk(at=at(TODAY)).money == ()  # nothing was worked out yet, and the page says so
    found = a_night(at(TODAY))
    assert found.at == at(TODAY)
    (euros,) = found.money
    # 242.00 is late by less than a month; 60.50 that nobody received isn't due, and isn't counted as late.
    assert (str(euros.open), str(euros.late), str(euros.not_received)) == ("302.50 EUR", "242.00 EUR", "60.50 EUR")
    assert str(euros.expected.loss) == "2.72 EUR"
    assert euros.days_outstanding is not None
    assert euros.days_outstanding >= (TODAY - date(2026, 11, 4)).days
    (one,) = found.likely
    assert (one.account.id, one.bills, one.remind_days) == (late.id, 5, 7)
    assert one.gentler == (Gentler.REMIND_EARLIER, Gentler.INVITE_AUTO_PAY, Gentler.OFFER_PLAN)
    (kept,) = nights.habits(accounts=[late.id])
    exact = risk.score_of(late.id, at=at(TODAY)).chance
    assert Explanation.from_json(kept.explanation).recompute()["chance"] == exact
    assert 0 <= exact - one.chance < Fraction(1, 10_000)
    # Who is collected from isn't invited to be.
    signs(late, TODAY)
    assert mandates.in_force(on=TODAY, accounts=[late.id])
    (one,) = a_night(at(TODAY)).likely
    assert Gentler.INVITE_AUTO_PAY not in one.gentler


def test_a_bill_that_nobody_received_is_not_due_and_somebody_is_asked_to_reach_them(late: Customer) -> None:
    (bill,) = a_night(at(TODAY)).unreceived
    assert (bill.number, str(bill.open)) == (late.numbers["lost"], "60.50 EUR")
    assert figuring.reach(after_days=3, at=at(TODAY)) == []
    later = TODAY + timedelta(days=3)
    assert [row.number for row in figuring.reach(after_days=3, at=at(later))] == [bill.number]
    (alarm,) = [one for one in open_alarms() if one.key.startswith("bill-unreceived:")]
    assert "reached nobody" in alarm.what
    assert "Reach them another way" in alarm.what
    figuring.reach(after_days=3, at=at(later + timedelta(days=1)))
    assert len([one for one in open_alarms() if one.key.startswith("bill-unreceived:")]) == 1
    # Received on the 5th of December, a month late: it ages from then, and the alarm is gone.
    invoicing.mark_sent(number=bill.number, at=at(later))
    found = a_night(at(later))
    assert found.unreceived == ()
    assert str(found.money[0].late) == "242.00 EUR"
    assert [one for one in open_alarms() if one.key.startswith("bill-unreceived:")] == []


def test_our_own_error_is_shown(late: Customer) -> None:
    people.stay(account=late.id, kind=StayKind.OWN_ERROR, why="billed twice", actor="operator:anna", at=at(TODAY))
    (one,) = risk.risk(at=at(TODAY, 12)).our_errors
    assert (one.account.id, one.why) == (late.id, "billed twice")


def test_who_forgets_is_invited_once_when_they_have_just_paid_late(late: Customer, monkeypatch: Any) -> None:
    monkeypatch.setenv("COULANCE_URL", "https://billing.example.nl")
    a_night(at(TODAY))
    assert inviting.invite(at=at(TODAY)) == []  # a bill of theirs is late: not now
    (ref,) = [ref for ref, cents in late.open().items() if cents == 24_200]
    late.pays(24_200, ref, on=TODAY, at=at(TODAY, 11))
    a_night(at(TODAY, 12))
    assert inviting.invite(at=at(TODAY, 12)) == [late.id]
    assert inviting.invite(at=at(TODAY, 13)) == []
    (mail,) = [row for row in sent.messages(account=late.id) if row.about == f"arrears/auto-pay/{late.id}"][:1]
    text = sent.text_of(message=mail.message)
    assert text is not None
    token = text.text.partition("/by-itself/")[2].split()[0]
    who = inviting.read(token, at=at(TODAY, 14))
    assert who.account == late.id
    # The one link: opening it does nothing, and its button says no for good.
    monkeypatch.setattr(clock, "now", lambda: at(TODAY, 14))
    page = Client().get(f"/by-itself/{token}").content.decode()
    assert "/my/paying" in page
    assert "won't ask you again" not in page
    assert "ask you again" in Client().post(f"/by-itself/{token}").content.decode()
    assert nights.invited([late.id]) == {late.id}
    with pytest.raises(UnableToAnswerError):
        inviting.read(token, at=at(TODAY + timedelta(days=61)))
