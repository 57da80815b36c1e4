"""What a mandate collects by its owner's word: invoices or not, within limits; a balance; a plan's instalments."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from coulance.arrears import operations as arrears
from coulance.flows import payments as money
from coulance.flows.rails import by_mandate, direct_debit, mandates
from coulance.flows.rails.by_mandate import ToppedUp
from coulance.ledger import operations as ledger
from coulance.payments import agreements
from coulance.payments import mandates as signed
from coulance.payments import operations as room
from coulance.payments.operations import TakenItem
from coulance_core.arrears.facts import Instalment
from coulance_core.kernel import Money
from coulance_core.ledger import HoldKind
from coulance_core.payments import ItemKind
from coulance_core.payments.bank import BankEntry
from tests.payments.till import Customer, eur, faults
from tests.rails import world
from tests.rails.test_bank_answers import texts
from tests.rails.world import ACTOR, Bank, arrives, at, back, credit, hands_over, of, payer, plans, signs, states

DAY = date(2026, 11, 4)
EACH = date(2026, 11, 9)
LAST = date(2026, 11, 16)
DUE = date(2026, 11, 18)


@pytest.fixture(autouse=True)
def _provider(db: Any, tmp_path: Path) -> None:
    world.provider(tmp_path / "provider")


def fills(who: Customer, below: int = 2000, by: int = 2500, month: int = 5000) -> agreements.AgreementRow:
    """They agree that their balance is filled by their mandate."""
    return by_mandate.agree_top_up(
        account=who.id, below=eur(below), amount=eur(by), most_a_month=eur(month), language="en",
        given_by="contact:desk", on=DAY, at=at(DAY),
    )  # fmt: skip


def looks(day: date) -> ToppedUp:
    done = by_mandate.top_up_low(on=day, actor="worker", at=at(day))
    for one in done.planned:
        arrives(one.message_key, at(day, 10))
    return done


def test_a_balance_is_filled_told_ahead_and_counts_when_no_bank_can_take_it_back(tmp_path: Path) -> None:
    anna = payer()
    signs(anna, DAY)
    agreed = fills(anna)
    assert "collects €25.00 from your account NL91 ABNA **** 4300, tells you 5 days ahead" in agreed.text
    assert "once your bank can return it no more" in agreed.text
    (row,) = looks(DAY).planned
    assert (row.amount, row.collect_on, row.parts, row.tops_up) == (eur(2500), date(2026, 11, 10), (), True)
    assert looks(DAY + timedelta(days=1)).planned == []
    assert "Top-up of your balance  €25.00" in texts(anna)[0]
    assert direct_debit.file_due(on=DAY, actor=ACTOR, at=at(DAY)).runs == []
    hands_over(date(2026, 11, 6))
    assert states(anna) == ["handed"]
    bank = Bank(tmp_path)
    assert [
        (one.outcome, one.rule) for one in bank.says(credit(of(anna)[0], row.collect_on), day=row.collect_on).judged
    ] == [("booked", "collection")]
    assert (states(anna), anna.stands()) == (["collected"], (0, 2500, 0))
    invoice = anna.invoice("base", 605, on=date(2026, 11, 10))
    money.settle(accounts=[anna.id], on=date(2026, 11, 11), actor=ACTOR, reason="due", at=at(date(2026, 11, 11)))
    assert invoice not in anna.open(), "until then it pays what is due"
    final = of(anna)[0].final_on
    assert final == date(2026, 11, 17)
    done = looks(final)
    assert (done.counted, [one.amount for one in done.planned]) == ([], [eur(2500)]), "what is coming is too little"
    done = looks(final + timedelta(days=1))
    assert (done.counted, done.planned, anna.stands()) == ([(anna.id, eur(1895))], [], (0, 0, 1895))
    assert faults() == []


def test_a_top_up_that_comes_back_is_taken_off_with_what_it_paid_and_is_not_tried_again(tmp_path: Path) -> None:
    world.provider(tmp_path / "at_once", world.RAILS + 'top_up_counts = "collected"\n')
    anna = payer(language="nl")
    signs(anna, DAY)
    assert "as soon as your bank paid it" in fills(anna).text
    (row,) = looks(DAY).planned
    hands_over(date(2026, 11, 6))
    bank = Bank(tmp_path)
    bank.says(credit(row, row.collect_on), day=row.collect_on)
    assert anna.stands() == (0, 0, 2500)
    invoice = anna.invoice("base", 605, on=date(2026, 11, 10))
    money.settle(accounts=[anna.id], on=date(2026, 11, 11), actor=ACTOR, reason="due", at=at(date(2026, 11, 11)))
    assert anna.stands() == (0, 0, 1895)
    bank.says(back(row, date(2026, 11, 13), "AM04"), day=date(2026, 11, 13))
    assert (anna.open(), anna.stands()) == ({invoice: 605}, (605, 0, 0))
    assert states(anna) == ["returned"]
    assert agreements.agreements(accounts=[anna.id]) == []
    assert signed.mandates(accounts=[anna.id])[0].withdrawn_on is None
    assert "Uw aanvulling" not in texts(anna)[0]
    assert "niet doorgegaan: er stond niet genoeg geld op de rekening (AM04)" in texts(anna)[0]
    assert faults() == []


def test_a_top_up_in_a_batch_fills_no_debts_and_is_called_off_when_not_low(tmp_path: Path) -> None:
    anna, ben = payer(), payer()
    for who, iban in ((anna, world.THEIRS), (ben, "NL20INGB0001234567")):
        signs(who, DAY, iban=iban)
        fills(who)
    rows = looks(DAY).planned
    with transaction.atomic():
        room.take_over_prepaid(
            account=ben.id, amount=eur(2000), taken_on=DAY, source_key="old", actor=ACTOR, reason="had it", at=at(DAY)
        )
    done = direct_debit.file_due(on=date(2026, 11, 6), actor=ACTOR, at=at(date(2026, 11, 6)))
    assert [one.why for one in done.cancelled] == ["the balance is not low any more"]
    (run,) = done.runs
    direct_debit.hand_over(run=run.id, actor=ACTOR, at=at(date(2026, 11, 6)))
    debt = anna.invoice("base", 605, on=DAY)
    entry = BankEntry(
        rows[0].collect_on, eur(2500), value_on=rows[0].collect_on, batch=f"{run.reference}-RCUR-1110", batch_count=2
    )
    assert [one.outcome for one in Bank(tmp_path).says(entry, day=rows[0].collect_on).judged] == ["booked"]
    assert (anna.open(), anna.stands()) == ({debt: 605}, (605, 2500, 0))
    assert (states(anna), states(ben)) == (["collected"], ["cancelled"])


def test_their_last_word_says_whether_and_how_much_of_invoices_is_collected() -> None:
    anna = payer()
    given: Any = {"account": anna.id, "language": "en", "at": at(DAY), "on": DAY}
    mandates.sign_in_portal(
        contact="desk", address="192.0.2.1", iban=world.THEIRS, holder="Anna", invoices=False, **given
    )
    invoice, large = anna.invoice("base", 1210), anna.invoice("large", 6050, overage=True)
    assert plans(EACH).made == []
    by_mandate.collect_invoices(most_each=eur(5000), most_a_month=None, given_by="contact:desk", **given)
    done = plans(EACH)
    assert [[ref for ref, _ in row.parts] for row in done.made] == [[invoice]]
    assert [(one.what, one.why) for one in done.left] == [
        (anna.numbers["large"], "it is more than they let us collect at once")
    ]
    by_mandate.stop_collecting(by="contact:desk", **given)
    anna.invoice("next", 605)
    assert plans(date(2026, 11, 10)).made == []
    (mandate,) = signed.mandates(accounts=[anna.id])
    # Another mandate takes its place: what was agreed by the first is over, and the new one says for itself.
    by_mandate.collect_invoices(most_each=None, most_a_month=eur(1000), given_by="contact:desk", **given)
    mandates.sign_in_portal(contact="desk", address="", iban="NL20INGB0001234567", holder="Anna", **given)
    assert agreements.agreements(accounts=[anna.id]) == []
    assert signed.mandate(mandate=mandate.id).withdrawn_on == DAY
    assert large in anna.open()


def plan_of(who: Customer, debts: list[str], *amounts: int, first: date = DUE) -> int:
    """A plan of these instalments, a month apart, agreed."""
    with transaction.atomic():
        plan = arrears.propose_plan(
            account=who.id, debts=debts,
            instalments=[Instalment(first + timedelta(days=30 * n), eur(cents)) for n, cents in enumerate(amounts)],
            reason="", by="contact:desk", at=at(DAY),
        )  # fmt: skip
        arrears.agree_plan(plan=plan, by=ACTOR, at=at(DAY), reason="within bounds")
    return plan


def test_a_debt_in_a_plan_is_collected_by_its_instalments_and_never_the_contested_part(tmp_path: Path) -> None:
    anna = payer()
    debt = anna.invoice("base", 12100)
    signs(anna, DAY)
    plan = plan_of(anna, [debt], 4000, 4000, 4100)
    (row,) = plans(EACH).made
    assert (row.parts, row.collect_on, row.purpose, row.basis) == (
        ((debt, eur(4000)),),
        DUE,
        "instalment",
        f"plan/{plan}/1",
    )
    assert plans(date(2026, 11, 10)).made == []
    hands_over(LAST)
    bank = Bank(tmp_path)
    bank.says(credit(row, DUE), day=DUE)
    assert anna.open() == {debt: 8100}
    second = date(2026, 12, 18)
    assert plans(date(2026, 11, 20)).made == [], "the next is a month away"
    with transaction.atomic():
        ledger.place_hold(
            account=anna.id, kind=HoldKind.DISPUTE, amount=eur(5000), source="dispute/9", at=at(DAY), about=debt
        )
    (row,) = plans(date(2026, 12, 8)).made
    assert (row.parts, row.collect_on) == (((debt, eur(3100)),), second)
    hands_over(date(2026, 12, 16))
    bank.says(credit(row, second), back(row, second, "AM04"), day=second)
    assert (anna.open(), states(anna)) == ({debt: 8100}, ["collected", "returned", "planned"])
    (_, _, again) = of(anna)
    assert (again.parts, again.purpose) == (((debt, eur(3100)),), "instalment"), "no more than the instalment"


def test_an_instalment_that_was_paid_or_whose_plan_ended_is_called_off() -> None:
    anna, ben = payer(), payer()
    debts = {}
    for who, iban in ((anna, world.THEIRS), (ben, "NL20INGB0001234567")):
        debts[who.id] = who.invoice("base", 12100)
        signs(who, DAY, iban=iban)
    hers, his = plan_of(anna, [debts[anna.id]], 4000, 8100), plan_of(ben, [debts[ben.id]], 4000, 8100)
    assert len(plans(EACH).made) == 2
    anna.pays(1000, on=EACH, at=at(EACH))
    with transaction.atomic():
        arrears.end_plan(plan=his, by=ACTOR, reason="asked to", at=at(EACH))
    done = direct_debit.file_due(on=LAST, actor=ACTOR, at=at(LAST))
    assert sorted(one.why for one in done.cancelled) == sorted(
        [f"40.00 EUR was announced of plan {hers}, and it wants 30.00 EUR now", f"plan {his} is ended"]
    )
    made = {row.account: row for row in plans(LAST).made}
    assert made[anna.id].parts == ((debts[anna.id], eur(3000)),)
    assert made[ben.id].parts == ((debts[ben.id], eur(12100)),), "without its plan it is due whole"


def test_what_was_taken_over_is_collected_as_any_debt(tmp_path: Path) -> None:
    anna = payer()
    signs(anna, DAY)
    with transaction.atomic():
        taken = room.take_over_items(
            account=anna.id, taken_on=DAY, actor=ACTOR, reason="from the old system", at=at(DAY),
            items=[
                TakenItem(
                    kind=ItemKind.OTHER, number="OLD-7", issued_on=DAY, due_on=DUE, gross=Money(1500, "EUR"),
                    open=Money(700, "EUR"), source_key="old/7",
                )
            ],
        )  # fmt: skip
    assert taken is not None
    (row,) = plans(EACH).made
    hands_over(LAST)
    assert [amount for _, amount in row.parts] == [eur(700)]
    bank = Bank(tmp_path)
    bank.says(credit(row, DUE), day=DUE)
    assert (anna.open(), states(anna)) == ({}, ["collected"])
    bank.says(back(row, date(2026, 11, 19), "MD06"), day=date(2026, 11, 19))
    assert (list(anna.open().values()), states(anna), faults()) == ([700], ["returned"], [])
