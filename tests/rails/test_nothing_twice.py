"""Nothing is taken twice, and one that fails stops no other: after a long night, a person in between, a bad row."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from coulance.flows import payments as money
from coulance.flows.rails import daily, direct_debit, paying, wallet
from coulance.payments import agreements, charging, collections, told
from coulance.payments import queries as payments
from coulance.payments.errors import UnableToChargeError, UnableToCollectError
from coulance.payments.ports import Seen, SeenState
from coulance.payments.restored import ALARM, rest_after_restore
from coulance.platform import alarms
from coulance_core.payments import Method
from tests.payments.till import Customer, eur, faults
from tests.rails import world
from tests.rails.fakes import FakeMollie, FakeStripe
from tests.rails.test_direct_debit import ISSUED, LAST
from tests.rails.test_gateways import begins
from tests.rails.test_wallet import keeps
from tests.rails.world import ACTOR, at, hands_over, payer, plans, signs, states

DAY = date(2026, 11, 9)
NOW = at(DAY)


@pytest.fixture(autouse=True)
def _provider(db: Any, tmp_path: Path) -> None:
    world.provider(tmp_path / "provider")


def puts_by(who: Customer, cents: int, **more: Any) -> None:
    """Money of theirs comes in that pays nothing yet."""
    with transaction.atomic():
        money.book_payment(
            receipt=money.NewReceipt(
                account=who.id, amount=eur(cents), received_on=ISSUED, method=Method.CASH,
                source_key=f"till/{who.ref}/{cents}/{more}", reason="handed over",
                **(more or {"choice": ("document/0",), "beyond_choice": False}),
            ),
            actor=ACTOR,
            at=at(ISSUED),
        )  # fmt: skip


@pytest.mark.parametrize("more", [{}, {"prepaid": True}])
def test_money_on_hand_leaves_alone_what_the_bank_is_collecting(more: dict[str, Any]) -> None:
    anna = payer()
    under_way = anna.invoice("base", 1210)
    signs(anna, ISSUED)
    plans(DAY)
    hands_over(LAST)
    assert states(anna) == ["handed"]
    other = anna.invoice("later", 605)
    puts_by(anna, 2000, **more)
    for _ in range(2):
        money.apply_on_hand(actor="worker", reason="each night", at=at(LAST))
    assert anna.open() == {under_way: 1210}
    assert [row.ref for row in payments.allocations(accounts=[anna.id]) if row.ref != "prepaid"] == [other]
    assert faults() == []


def test_credit_leaves_alone_what_a_gateway_is_bringing(stripe: FakeStripe) -> None:
    anna = payer()
    invoice = anna.invoice("base", 1210)
    row = begins(anna, "stripe", invoice, 1210)
    stripe.pay(row.refs[0], slowly=True)
    paying.refresh(payment=row.id, at=NOW)
    anna.pays(1210, anna.invoice("old", 1210))
    anna.credit("old")
    money.apply_on_hand(accounts=[anna.id], actor="worker", reason="each night", at=NOW)
    assert anna.open()[invoice] == 1210


@pytest.mark.parametrize("what", ["paid", "withdrawn", "too late"])
def test_a_file_is_not_handed_over_when_what_is_in_it_is_not_so_any_more(what: str) -> None:
    anna = payer()
    invoice = anna.invoice("base", 1210)
    mandate = signs(anna, ISSUED)
    plans(DAY)
    (run,) = direct_debit.file_due(on=LAST, actor=ACTOR, at=at(LAST)).runs
    when = at(LAST)
    if what == "paid":
        anna.pays(1210, invoice, on=LAST, at=when)
    elif what == "withdrawn":
        direct_debit.end_mandate(mandate=mandate.id, on=LAST, actor=ACTOR, reason="asked to", at=when)
    else:
        when = at(LAST + timedelta(days=9))
    with pytest.raises(UnableToCollectError, match="Call this file off, and make it anew"):
        direct_debit.hand_over(run=run.id, actor=ACTOR, at=when)
    assert (states(anna), collections.runs()[0].handed_at) == (["filed"], None)
    direct_debit.cancel_run(run=run.id, actor=ACTOR, reason="as it says", at=when)
    assert direct_debit.file_due(on=when.date(), actor=ACTOR, at=when).runs == []
    assert states(anna) == ["cancelled"]


def test_a_gateway_that_forgot_our_keys_charges_and_refunds_once(mollie: FakeMollie) -> None:
    anna = payer()
    first = begins(anna, "mollie", anna.invoice("first", 1210), 1210, keep=True)
    mollie.pay(first.refs[0])
    paying.refresh(payment=first.id, at=NOW)
    (kept,) = charging.stored_methods(accounts=[anna.id])
    invoice = anna.invoice("base", 2420)
    given: Any = {"account": anna.id, "method": kept.id, "amount": eur(2420), "purpose": "auto_pay", "key": "k1"}
    mollie.broken = 1
    assert paying.charge(**given, claimed=[(invoice, eur(2420))], actor="worker", at=NOW).state == "made"
    mollie.broken = 1
    paying.refund(payment=first.id, amount=eur(210), actor=ACTOR, reason="too much", at=NOW, key="r1")
    mollie._answers.clear()  # a night later
    later = NOW + timedelta(hours=9)
    assert paying.charge(**given, claimed=[(invoice, eur(2420))], actor="worker", at=later).state == "pending"
    paying.sweep(at=later)
    assert (len(mollie.all("payment")), len(mollie.all("refund"))) == (2, 1)
    assert [one.state for one in told.refunds_of(payment=first.id)] == ["done"]
    with pytest.raises(UnableToChargeError, match="something else"):
        paying.charge(**(given | {"amount": eur(1)}), actor="worker", at=later)


def test_one_payment_that_fails_stops_no_other_and_is_said_aloud(
    stripe: FakeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, bert = payer(), payer("other")
    theirs = begins(anna, "stripe", anna.invoice("base", 1210), 1210)
    his = begins(bert, "stripe", bert.invoice("base", 1210), 1210)
    stripe.pay(theirs.refs[0])
    fold = paying.fold

    def breaks(*, payment: int, seen: Seen, at: Any) -> Any:
        if payment == his.id:
            raise RuntimeError("a row nobody thought of")
        return fold(payment=payment, seen=seen, at=at)

    monkeypatch.setattr(paying, "fold", breaks)
    paying.sweep(at=NOW + timedelta(hours=2))
    assert anna.open() == {}
    assert [one.key for one in alarms.open_alarms()] == [f"payments.rails/payment {his.id} at stripe"]
    monkeypatch.undo()


def test_a_page_given_up_may_be_pending_there_and_pays_when_it_comes(stripe: FakeStripe) -> None:
    anna = payer()
    invoice = anna.invoice("base", 1210)
    row = begins(anna, "stripe", invoice, 1210)
    paying.fold(payment=row.id, seen=Seen((), row.key, SeenState.CANCELLED, row.amount), at=NOW)
    pending = Seen((), row.key, SeenState.PENDING, row.amount, final_on=DAY + timedelta(days=3))
    assert paying.fold(payment=row.id, seen=pending, at=NOW).state == "cancelled"
    paid = Seen((), row.key, SeenState.PAID, row.amount, paid_on=DAY)
    assert paying.fold(payment=row.id, seen=paid, at=NOW).state == "paid"
    assert anna.open() == {}


def test_an_agreement_that_fails_stops_no_other(stripe: FakeStripe, monkeypatch: pytest.MonkeyPatch) -> None:
    anna, bert = payer(), payer("other")
    for who in (anna, bert):
        wallet.agree_top_up(
            account=who.id, method=keeps(who, stripe), below=eur(2000), amount=eur(1000), most_a_month=eur(5000),
            language="en", given_by="contact:desk", at=NOW,
        )  # fmt: skip
    charge = paying.charge

    def breaks(**given: Any) -> Any:
        if given["account"] == min(anna.id, bert.id):
            raise RuntimeError("a row nobody thought of")
        return charge(**given)

    monkeypatch.setattr(paying, "charge", breaks)
    wallet.run(on=DAY, at=NOW, actor="worker")
    assert len(agreements.agreements(kind=agreements.AUTO_TOP_UP)) == 2
    assert sorted(len(charging.payments(accounts=[who.id])) for who in (anna, bert)) == [1, 2]
    assert len(alarms.open_alarms()) == 1


def test_after_a_restore_nothing_is_taken_until_a_person_has_looked(stripe: FakeStripe) -> None:
    assert rest_after_restore(why="restored", at=NOW) is False  # nobody collects or charges here
    anna, bert = payer(), payer("other")
    anna.invoice("base", 1210)
    signs(anna, ISSUED)
    plans(DAY)
    invoice = bert.invoice("base", 1210)
    kept = keeps(bert, stripe)
    given: Any = {"account": bert.id, "method": kept, "amount": eur(1210), "purpose": "auto_pay", "key": "k1"}
    lost = paying.charge(**given, claimed=[(invoice, eur(1210))], actor="worker", at=NOW)
    before = collections.runs()
    assert rest_after_restore(why="restored", at=NOW) is True
    assert len(list(daily.run(at=at(LAST), actor="worker"))) == 1
    with pytest.raises(UnableToChargeError, match="clear the alarm"):
        paying.charge(**given, actor="worker", at=NOW)
    for act in (direct_debit.plan_due, direct_debit.file_due):
        with pytest.raises(UnableToCollectError, match=r"payments\.restored"):
            act(on=LAST, actor=ACTOR, at=at(LAST))
    assert collections.runs() == before
    alarms.clear_alarm(key=ALARM, at=NOW, actor="operator:anna", reason="looked at both lists")
    # What was charged there, and is not known here any more, is found by its key.
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM payments_gateway_payment WHERE id = %s", [lost.id])
        cursor.execute("SET LOCAL session_replication_role = origin")
    charges = len(stripe.all("payment_intent"))
    stripe._answers.clear()
    again = paying.charge(**given, actor="worker", at=NOW)
    assert (again.state, again.id != lost.id, len(stripe.all("payment_intent"))) == ("paid", True, charges)
    assert hands_over(LAST)
    assert collections.runs()[0].id > 100_000  # a name that a bank may have seen is not given again
