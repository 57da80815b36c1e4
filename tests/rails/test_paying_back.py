"""Money that goes back: one queue, as many people as the provider says, one file, confirmed by the bank; or undone."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from lxml import etree

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.flows import payments as money
from coulance.flows.promises import crediting
from coulance.flows.rails import paying, paying_back
from coulance.payments import charging, payback_rows
from coulance.payments import queries as payments
from coulance.payments.errors import UnableToPayBackError, UnableToReverseError
from coulance.payments.operations import NewReceipt
from coulance.payments.payback_rows import PaybackRow
from coulance.payments.transfer_file import Debtor, Transfer, transfer_file
from coulance.platform.alarms import open_alarms
from coulance_core.catalog.paying import TransferFile
from coulance_core.payments import Method, ReversalKind
from coulance_core.payments.bank import BankEntry
from coulance_core.payments.paybacks import FOLLOWS
from coulance_core.sla.paying import Pays
from tests.payments.till import Customer, eur, faults
from tests.rails import world
from tests.rails.answers import pain002, payment, reads
from tests.rails.fakes import FakeStripe
from tests.rails.test_bank_answers import texts
from tests.rails.world import Bank, at, payer

DAY = date(2026, 11, 16)
ANNA, BEN = "operator:anna", "operator:ben"
WHY: Any = {"reason": "paid twice", "at": at(DAY)}


@pytest.fixture(autouse=True)
def _provider(db: Any, tmp_path: Path) -> None:
    world.provider(tmp_path / "provider", world.RAILS + 'payback_two_above = "50.00 EUR"\n')


def paid(who: Customer, cents: int, iban: str = world.THEIRS) -> int:
    """They paid, and nothing is open for it; the receipt."""
    with transaction.atomic():
        return money.book_payment(
            receipt=NewReceipt(
                account=who.id, amount=eur(cents), received_on=DAY, method=Method.BANK, reason="on the statement",
                source_key=f"p/{who.ref}/{cents}", payer_iban=iban, beyond_choice=False,
            ), actor=ANNA, at=at(DAY),
        ).receipt  # fmt: skip


def asked(who: Customer, cents: int = 1210, **more: Any) -> PaybackRow:
    receipt = paid(who, cents)
    return paying_back.ask(receipt=receipt, amount=eur(cents), source_key=f"left/{receipt}/1", actor=BEN, **WHY, **more)


def learnt(who: Customer) -> None:
    from coulance.payments import bank

    with transaction.atomic():
        bank.learn_ibans(learnt=[(who.id, world.THEIRS, "bank_entry/1")], at=at(DAY))


def state(row: PaybackRow) -> str:
    return payback_rows.payback(payback=row.id).state.value


def goes(row: PaybackRow, day: date = DAY) -> tuple[int, bytes]:
    """Approved, filed and fetched."""
    paying_back.approve(payback=row.id, actor=ANNA, **WHY)
    run = paying_back.file_due(on=day, actor=ANNA, at=at(day))
    assert run is not None
    return run.id, paying_back.hand_over(run=run.id, actor=ANNA, at=at(day))[1]


def leaves(row: PaybackRow, day: date) -> BankEntry:
    return BankEntry(day, -row.amount, value_on=day, end_to_end_id=row.end_to_end_id, counterparty_iban=row.iban)


def test_it_is_approved_filed_once_and_confirmed_by_the_statement(tmp_path: Path) -> None:
    anna = payer(language="nl")
    row = asked(anna)
    assert (row.iban, anna.stands()) == (world.THEIRS, (0, 1210, 0))
    assert asked_again(row) == row
    run, file = goes(row)
    assert anna.stands() == (0, 0, 0)
    root = etree.fromstring(file)
    said = {
        what: [one.text for one in root.iterfind(f".//{{*}}{what}")] for what in ("EndToEndId", "InstdAmt", "BtchBookg")
    }
    assert said == {"EndToEndId": [row.end_to_end_id], "InstdAmt": ["12.10"], "BtchBookg": ["false"]}
    with pytest.raises(UnableToPayBackError, match="it may be paid twice"):
        paying_back.hand_over(run=run, actor=BEN, at=at(DAY))
    assert paying_back.hand_over(run=run, actor=BEN, at=at(DAY), reason="the upload broke off")[1] == file
    assert paying_back.file_due(on=DAY, actor=ANNA, at=at(DAY)) is None
    report = Bank(tmp_path).says(leaves(row, DAY + timedelta(days=1)), day=DAY + timedelta(days=1))
    assert [(one.outcome, one.rule) for one in report.judged] == [("ignored", "refund")]
    assert state(row) == "paid"
    assert "12,10 te betalen op NL91 ABNA **** 4300" in texts(anna)[0]
    assert faults() == []


def asked_again(row: PaybackRow) -> PaybackRow:
    return paying_back.ask(receipt=row.receipt, amount=row.amount, source_key=row.source_key, actor=BEN, **WHY)


def test_a_large_amount_wants_two_people_and_each_counts_once() -> None:
    anna = payer()
    row = asked(anna, 6050)
    assert paying_back.approve(payback=row.id, actor=ANNA, **WHY).state.value == "asked"
    with pytest.raises(UnableToPayBackError, match="another person"):
        paying_back.approve(payback=row.id, actor=ANNA, **WHY)
    assert paying_back.approve(payback=row.id, actor=BEN, **WHY).state.value == "approved"
    assert payments.refunds(accounts=[anna.id])[0].amount == eur(6050)


def test_by_itself_only_to_an_account_that_paid_us(tmp_path: Path) -> None:
    world.provider(tmp_path / "alone", world.RAILS + "payback_people = 0\n")
    anna, ben = payer(), payer()
    learnt(anna)
    assert asked(anna).state.value == "approved"
    row = asked(ben, iban="NL20INGB0001234567")
    assert row.state.value == "asked"
    (waits,) = paying_back.waiting(on=DAY)
    assert (waits.row.id, waits.needed) == (row.id, 1)
    assert "nothing ever came from that account" in waits.cautions[0]


def test_nothing_is_asked_back_twice_and_what_paid_an_invoice_meanwhile_is_not_paid_back() -> None:
    anna = payer()
    row = asked(anna)
    with pytest.raises(UnableToPayBackError, match="is asked back already"):
        paying_back.ask(receipt=row.receipt, amount=eur(1), source_key="other", actor=BEN, **WHY)
    anna.invoice("next", 605)
    money.settle(accounts=[anna.id], on=DAY, actor=ANNA, reason="a new invoice", at=at(DAY))
    (waits,) = paying_back.waiting(on=DAY)
    assert "only 6.05 EUR of the payment is left" in waits.cautions[0]
    with pytest.raises(UnableToPayBackError, match=r"6\.05 EUR is left"):
        paying_back.approve(payback=row.id, actor=ANNA, **WHY)
    assert (state(row), payback_rows.payback(payback=row.id).approved_by) == ("asked", ())
    paying_back.decline(payback=row.id, actor=ANNA, **WHY)
    (again,) = paying_back.ask_left_over(account=anna.id, actor="contact:desk", **WHY)
    assert again.amount == eur(605)


def test_called_off_or_declined_in_time_the_money_is_on_hand_again() -> None:
    anna = payer()
    row = asked(anna)
    paying_back.approve(payback=row.id, actor=ANNA, **WHY)
    run = paying_back.file_due(on=DAY, actor=ANNA, at=at(DAY))
    assert run is not None
    with pytest.raises(UnableToPayBackError, match="call that file off"):
        paying_back.decline(payback=row.id, actor=ANNA, **WHY)
    refund = payback_rows.payback(payback=row.id).refund
    assert refund is not None
    with pytest.raises(UnableToReverseError, match="in a file"):
        money.reverse_refund(refund=refund, kind=ReversalKind.MISTAKE, on=DAY, actor=ANNA, **WHY)
    assert paying_back.cancel_run(run=run.id, actor=ANNA, **WHY) == 1
    paying_back.decline(payback=row.id, actor=ANNA, **WHY)
    assert (state(row), anna.stands()) == ("declined", (0, 1210, 0))
    with pytest.raises(UnableToPayBackError, match="called off"):
        paying_back.hand_over(run=run.id, actor=ANNA, at=at(DAY))
    with pytest.raises(OperationalError, match="can't become"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE payments_payback SET state = 'approved' WHERE id = %s", [row.id])
    assert faults() == []


def test_what_the_bank_refuses_or_sends_back_is_on_hand_again_and_the_customer_is_asked(tmp_path: Path) -> None:
    anna, ben = payer(), payer(language="nl")
    hers, his = asked(anna), asked(ben, 605)
    paying_back.approve(payback=his.id, actor=ANNA, **WHY)
    run, _ = goes(hers)
    (file,) = payback_rows.payback_runs(run=run)
    (told,) = reads(pain002(file.reference, _batch(payment(hers.end_to_end_id, "RJCT", "AC03"))), when=at(DAY, 12)).told
    assert (told.outcome, state(hers), anna.stands()) == ("refused", "failed", (0, 1210, 0))
    bank, day = Bank(tmp_path), DAY + timedelta(days=1)
    bank.says(leaves(his, day), day=day)
    assert (state(his), ben.stands()) == ("paid", (0, 0, 0))
    back = BankEntry(
        day, his.amount, value_on=day, end_to_end_id=his.end_to_end_id, counterparty_iban=his.iban,
        is_reversal=True, return_reason="AC04",
    )  # fmt: skip
    (judged,) = bank.says(back, day=day).judged
    assert (judged.outcome, judged.rule) == ("reversed", "sent_back")
    assert (state(his), ben.stands()) == ("failed", (0, 605, 0))
    assert "kon niet worden betaald op NL91 ABNA **** 4300" in texts(ben)[0]
    assert faults() == []


def _batch(*payments_: str) -> str:
    return f"<OrgnlPmtInfAndSts><OrgnlPmtInfId>X</OrgnlPmtInfId>{''.join(payments_)}</OrgnlPmtInfAndSts>"


def test_a_payment_that_bounces_is_not_paid_back() -> None:
    anna, ben = payer(), payer()
    hers, his = asked(anna), asked(ben)
    paying_back.approve(payback=his.id, actor=ANNA, **WHY)
    for row in (hers, his):
        money.reverse_payment(
            receipt=row.receipt, kind=ReversalKind.BOUNCED, on=DAY, actor=ANNA, reason="MD06", at=at(DAY)
        )
    assert (state(hers), state(his)) == ("declined", "declined")
    assert (anna.stands(), ben.stands(), faults()) == ((0, 0, 0), (0, 0, 0), [])


def test_what_the_bank_paid_without_us_raises_an_alarm(tmp_path: Path) -> None:
    anna = payer()
    row = asked(anna)
    paying_back.approve(payback=row.id, actor=ANNA, **WHY)
    Bank(tmp_path).says(leaves(row, DAY), day=DAY)
    assert state(row) == "approved"
    assert [one.key for one in open_alarms()] == [f"payments.paid_unfetched/{row.end_to_end_id}"]


def test_what_came_by_a_gateway_goes_back_by_it(stripe: FakeStripe) -> None:
    anna = payer()
    given: Any = {"return_url": "https://x.example/", "language": "en", "actor": "contact:desk", "at": at(DAY)}
    invoice = anna.invoice("base", 1210)
    for _ in range(2):  # two pages for one invoice, both paid
        begun = paying.start(
            account=anna.id, name="stripe", amount=eur(1210), numbers=[(invoice, anna.numbers["base"])], **given
        )
        stripe.pay(begun.payment.refs[0])
    for row in charging.payments(accounts=[anna.id]):
        paying.refresh(payment=row.id, at=at(DAY))
    assert (anna.open(), anna.stands()) == ({}, (0, 1210, 0))
    (back,) = paying_back.ask_left_over(account=anna.id, actor="contact:desk", **WHY)
    assert back.way == "stripe"
    paying_back.approve(payback=back.id, actor=ANNA, **WHY)
    assert (state(back), anna.stands()) == ("paid", (0, 0, 0))
    assert [one["amount"] for one in stripe.all("refund")] == [1210]
    assert paying_back.file_due(on=DAY, actor=ANNA, at=at(DAY)) is None
    assert faults() == []


def test_a_promise_that_pays_money_waits_in_the_queue() -> None:
    anna = payer()
    learnt(anna)
    anna.invoice("base", 1210)
    anna.pays(1210, on=DAY, at=at(DAY))
    anna.credit("base", 500, on=DAY)
    (owner,) = customers.accounts([anna.id])
    with transaction.atomic():
        crediting._as_preferred(owner, Pays.MONEY_BACK, eur(605), at(DAY), "worker", "V1")
    (row,) = payback_rows.paybacks(accounts=[anna.id])
    assert (row.state.value, row.amount, row.iban) == ("asked", eur(605), world.THEIRS)
    goes(row)
    assert (state(row), anna.stands(), open_alarms(), faults()) == ("handed", (0, 0, 0), [], [])


@pytest.mark.parametrize("form", [one.value for one in TransferFile])
def test_files_are_valid_by_the_schema_and_the_same_each_time(form: str) -> None:
    def made(reference: str = "PB20261116-1") -> bytes:
        return transfer_file(
            reference=reference, form=form, debtor=Debtor("Polder & Söhne <BV>", world.OURS, "DEMONL2AXXX"),
            transfers=[
                Transfer(f"PB{n:010d}", eur(100 + n), "Łukasz Ñandú & Co.", world.THEIRS, "1001 € 5") for n in range(3)
            ],
            pay_on=DAY, made_at=at(DAY),
        )  # fmt: skip

    assert made() == made()
    assert [one.text for one in etree.fromstring(made()).iterfind(".//{*}GrpHdr/{*}CtrlSum")] == ["3.03"]
    with pytest.raises(UnableToPayBackError, match="would not be valid"):
        made("x" * 36)


def test_the_database_holds_the_same_table_of_what_follows() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT encode(tgargs, 'escape') FROM pg_trigger WHERE tgname = 'payback_follows'")
        (said,) = cursor.fetchone()
    ours = {f"{was.value}>{becomes.value}" for was, then in FOLLOWS.items() for becomes in then}
    assert set(said.removesuffix("\\000").split(" ")) == ours
    assert catalog.payment_terms().payback_people == 1


def test_the_command_takes_it_from_asking_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import nullcontext

    from click.testing import CliRunner

    from coulance.cli import payback as command
    from coulance.platform import clock

    monkeypatch.setattr(command, "working_database", nullcontext)
    monkeypatch.setattr(clock, "now", lambda: at(DAY))

    def run(*arguments: str, fails: bool = False) -> str:
        answer = CliRunner().invoke(command.payback, [*arguments])
        assert (answer.exit_code != 0) is fails, (answer.output, answer.exception)
        return answer.output

    anna = payer()
    assert "nothing is left over" in run("ask", anna.ref, "--reason", "x", fails=True)
    paid(anna, 1210, iban="")
    number = run("ask", anna.ref, "--reason", "paid twice").split()[0]
    assert "careful: nobody said yet to which account it goes" in run("list")
    assert "NL91 ABNA **** 4300" in run("to", number, world.THEIRS, "--reason", "she said so")
    assert "approved" in run("approve", number, "--reason", "seen")
    file = run("file").split()[0]
    assert "1 are to be filed again" in run("cancel-file", file, "--reason", "not yet")
    file = run("file").split()[0]
    path = tmp_path / "run.xml"
    assert "SHA-256" in run("fetch", file, str(path))
    assert b"pain.001.001.09" in path.read_bytes()
    assert "name a new file" in run("fetch", file, str(path), fails=True)
    assert "handed" in run("list", "--all")
    assert "can't be declined" in run("decline", number, "--reason", "too late", fails=True)
