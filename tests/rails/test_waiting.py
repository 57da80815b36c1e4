"""What waits too long is said aloud until it is over; money left over is told of, and pays what comes or goes back."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from coulance.flows import payments as money
from coulance.flows.rails import daily as rails
from coulance.flows.rails import direct_debit, left_over, paying, paying_back, watching
from coulance.payments import charging, collections, payback_rows
from tests.payments.till import Customer, eur, faults
from tests.rails import world
from tests.rails.answers import batch, pain002, payment, reads
from tests.rails.fakes import FakeStripe
from tests.rails.test_bank_answers import named, texts
from tests.rails.test_paying_back import asked, leaves
from tests.rails.world import ACTOR, Bank, at, back, credit, hands_over, of, payer, plans, signs

ISSUED, LAST, DUE = date(2026, 11, 4), date(2026, 11, 16), date(2026, 11, 18)


@pytest.fixture(autouse=True)
def _provider(db: Any, tmp_path: Path) -> None:
    world.provider(tmp_path / "provider")


def alarms(day: date) -> list[str]:
    """The keys that a look raises, without their names."""
    return [key.split("/")[0] for key in watching.look(on=day, at=at(day))]


def owes(cents: int = 1210) -> Customer:
    one = payer()
    one.invoice("base", cents)
    signs(one, ISSUED)
    plans(date(2026, 11, 9))
    return one


def test_a_file_that_nobody_sent_and_a_collection_that_nobody_answers(tmp_path: Path) -> None:
    anna = owes()
    (run,) = direct_debit.file_due(on=LAST, actor=ACTOR, at=at(LAST)).runs
    assert alarms(LAST) == []
    assert alarms(LAST + timedelta(days=1)) == ["payments.file_unsent"]
    direct_debit.hand_over(run=run.id, actor=ACTOR, at=at(LAST))
    assert alarms(LAST + timedelta(days=1)) == []
    assert alarms(date(2026, 11, 23)) == []  # three days of business past its day
    assert alarms(date(2026, 11, 24)) == ["payments.unanswered"]
    Bank(tmp_path).says(credit(of(anna)[0], date(2026, 11, 24)), day=date(2026, 11, 24))
    assert alarms(date(2026, 11, 25)) == []


def test_a_refusal_of_what_was_credited_waits_for_the_entry_that_takes_it_back(tmp_path: Path) -> None:
    anna = owes()
    hands_over(LAST)
    file, (row,), bank = collections.runs()[0].reference, of(anna), Bank(tmp_path)
    bank.says(credit(row, DUE), day=DUE)
    reads(pain002(file, batch(named(file), payments=[payment(row.end_to_end_id, "RJCT", "AM04")])), when=at(DUE, 20))
    assert alarms(DUE) == ["payments.refused_after_credit"]
    bank.says(back(row, DUE + timedelta(days=1), "AM04"), day=DUE + timedelta(days=1))
    assert alarms(DUE + timedelta(days=1)) == []


def test_a_payment_at_a_gateway_that_stays_pending(stripe: FakeStripe) -> None:
    anna = payer()
    invoice = anna.invoice("base", 1210)
    begun = _begins(anna, invoice)
    intent = stripe.pay(begun, slowly=True)
    paying.refresh(payment=charging.payments()[0].id, at=at(DUE))
    final = charging.payments()[0].final_on
    assert final is not None
    assert alarms(final + timedelta(days=1)) == []
    assert alarms(final + timedelta(days=2)) == ["payments.pending"]
    stripe.settle(intent["id"], fails="bank_account_closed")
    paying.refresh(payment=charging.payments()[0].id, at=at(DUE))
    assert alarms(final + timedelta(days=3)) == []


def _begins(who: Customer, ref: str, cents: int = 1210) -> str:
    given: Any = {"return_url": "https://x.example/", "language": "en", "actor": "contact:desk", "at": at(ISSUED)}
    numbers = [(ref, who.numbers["base"])]
    return paying.start(account=who.id, name="stripe", amount=eur(cents), numbers=numbers, **given).payment.refs[0]


def test_money_that_is_to_go_back_and_does_not(tmp_path: Path) -> None:
    anna = payer()
    row = asked(anna)  # on 16 November
    assert alarms(date(2026, 11, 21)) == []
    assert alarms(date(2026, 11, 22)) == ["payments.payback_waits"]
    paying_back.approve(payback=row.id, actor=ACTOR, reason="paid twice", at=at(LAST))
    run = paying_back.file_due(on=LAST, actor=ACTOR, at=at(LAST))
    assert run is not None
    assert alarms(LAST + timedelta(days=1)) == ["payments.payback_unsent"]
    paying_back.hand_over(run=run.id, actor=ACTOR, at=at(LAST))
    assert alarms(date(2026, 11, 19)) == []
    assert alarms(date(2026, 11, 20)) == ["payments.payback_unconfirmed"]
    Bank(tmp_path).says(leaves(row, date(2026, 11, 20)), day=date(2026, 11, 20))
    assert alarms(date(2026, 11, 20)) == []


def test_two_pages_paid_leave_money_over_that_is_told_of_and_pays_the_next_invoice(stripe: FakeStripe) -> None:
    anna, ben = payer(language="nl"), payer()
    for who in (anna, ben):
        invoice = who.invoice("base", 1210)
        pages = [_begins(who, invoice), _begins(who, invoice)]
        for page in pages:
            stripe.pay(page)
    for row in charging.payments():
        paying.refresh(payment=row.id, at=at(ISSUED))
    day = ISSUED + timedelta(days=1)
    assert (anna.open(), anna.stands(), ben.stands()) == ({}, (0, 1210, 0), (0, 1210, 0))
    received = date(2026, 11, 2)
    assert left_over.tell_left_over(on=received, actor="worker", at=at(received)) == [], "not on the day itself"
    for _ in range(2):
        list(rails.run(at=at(day), actor="worker"))
    assert [len(texts(who)) for who in (anna, ben)] == [1, 1], "each is told once"
    assert "€\xa012,10 over: daar stond niets voor open" in texts(anna)[0]
    assert "Ask for it here: http://127.0.0.1:8000/my/paying" in texts(ben)[0]
    # Anna's pays her next invoice by itself; Ben asks for his, and has it back by the way it came.
    following = anna.invoice("next", 605, on=day)
    money.apply_on_hand(accounts=[anna.id, ben.id], actor="worker", reason="after the close", at=at(day))
    assert (following in anna.open(), anna.stands()) == (False, (0, 605, 0))
    (row,) = paying_back.ask_left_over(account=ben.id, actor="contact:desk", reason="they asked", at=at(day))
    paying_back.approve(payback=row.id, actor=ACTOR, reason="paid twice", at=at(day))
    assert (payback_rows.payback(payback=row.id).state.value, ben.stands()) == ("paid", (0, 0, 0))
    assert faults() == []
