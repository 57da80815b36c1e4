"""Direct debit from mandate to file to bank and back: told ahead, collected once, final, returned with sense."""

import hashlib
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from lxml import etree

from coulance.flows import bank_queue
from coulance.flows import payments as money
from coulance.flows.rails import direct_debit, returning, settling
from coulance.payments import collections, mandates
from coulance.payments import queries as payments
from coulance.payments.debit_file import Creditor, Transaction, debit_file
from coulance.payments.errors import UnableToCollectError
from coulance.payments.operations import NewReceipt
from coulance_core.kernel import Money
from coulance_core.ledger import HoldKind
from coulance_core.notices import EvidenceKind
from coulance_core.payments import MandateSequence, Method, Scheme
from coulance_core.payments.bank import BankEntry
from coulance_core.payments.direct_debit import FOLLOWS, CollectionState
from tests.payments.till import eur, faults
from tests.rails import world
from tests.rails.world import ACTOR, Bank, arrives, at, back, credit, hands_over, of, payer, plans, signs, states

ISSUED = date(2026, 11, 4)
DUE = date(2026, 11, 18)
LAST = date(2026, 11, 16)
"""Two days of business before it is due: the file is made by then."""


@pytest.fixture(autouse=True)
def _provider(db: Any, tmp_path: Path) -> None:
    world.provider(tmp_path / "provider")


def names(file: bytes, what: str) -> list[str]:
    """The texts of every such element of a pain file."""
    return [element.text for element in etree.fromstring(file).iterfind(f".//{{*}}{what}")]


def test_an_invoice_is_announced_filed_collected_and_paid(tmp_path: Path) -> None:
    anna = payer()
    base, extra = anna.invoice("base", 1210), anna.invoice("extra", 605, overage=True)
    signs(anna, ISSUED)
    planned = plans(date(2026, 11, 9))
    assert [(row.collect_on, row.amount, [ref for ref, _ in row.parts]) for row in planned.made] == [
        (DUE, eur(1815), [base, extra])
    ]
    assert direct_debit.file_due(on=date(2026, 11, 13), actor=ACTOR, at=at(date(2026, 11, 13))).waiting == 1
    assert payments.in_flight(accounts=[anna.id]) == []

    file = hands_over(LAST)
    (row,) = of(anna)
    assert (row.state, row.sequence, row.final_on) == (CollectionState.HANDED, "recurring", date(2026, 11, 25))
    assert names(file, "EndToEndId") == [row.end_to_end_id]
    assert names(file, "InstdAmt") == ["18.15"]
    assert names(file, "CtrlSum") == ["18.15", "18.15"]
    assert names(file, "SeqTp") == ["RCUR"]
    assert names(file, "ReqdColltnDt") == ["2026-11-18"]
    flights = payments.in_flight(accounts=[anna.id])
    assert [(one.ref, one.amount, one.final_on) for one in flights] == [
        (base, eur(1210), date(2026, 11, 25)),
        (extra, eur(605), date(2026, 11, 25)),
    ]
    assert payments.in_flight(accounts=[anna.id], on=date(2026, 11, 26)) == []  # nobody waits for it for ever
    assert _held() == [(HoldKind.IN_FLIGHT.value, 605), (HoldKind.IN_FLIGHT.value, 1210)]

    report = Bank(tmp_path).says(credit(row, DUE), day=DUE)
    assert [(one.outcome, one.rule) for one in report.judged] == [("booked", "collection")]
    assert (anna.open(), states(anna), _held()) == ({}, ["collected"], [])
    assert payments.in_flight() == []
    assert faults() == []


def _held() -> list[tuple[str, int]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind, amount FROM ledger_hold WHERE released_at IS NULL ORDER BY amount")
        return list(cursor.fetchall())


def test_nothing_is_collected_twice() -> None:
    anna = payer()
    anna.invoice("base", 1210)
    signs(anna, ISSUED)
    assert len(plans(date(2026, 11, 9)).made) == 1
    assert plans(date(2026, 11, 10)).made == []
    assert len(direct_debit.file_due(on=LAST, actor=ACTOR, at=at(LAST)).runs) == 1
    assert direct_debit.file_due(on=LAST, actor=ACTOR, at=at(LAST)).runs == []
    (row,) = of(anna)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:  # nor by hand
        cursor.execute(
            "INSERT INTO payments_claim (account_id, document_id, amount, currency, collection_id, since)"
            " SELECT account_id, document_id, amount, currency, collection_id, since FROM payments_claim"
        )
    assert states(anna) == ["filed"]
    assert row.run is not None


def test_a_file_goes_to_the_bank_once_and_is_the_same_when_fetched_again() -> None:
    anna = payer()
    anna.invoice("base", 1210)
    signs(anna, ISSUED)
    plans(date(2026, 11, 9))
    first = hands_over(LAST)
    (run,) = collections.runs()
    assert run.file_hash == hashlib.sha256(first).hexdigest()
    with pytest.raises(UnableToCollectError, match="Say why it is fetched again"):
        direct_debit.hand_over(run=run.id, actor=ACTOR, at=at(LAST))
    again = direct_debit.hand_over(run=run.id, actor=ACTOR, at=at(LAST), reason="the upload broke off")[1]
    assert again == first
    with pytest.raises(UnableToCollectError, match="fetched for the bank"):
        direct_debit.cancel_run(run=run.id, actor=ACTOR, reason="changed our minds", at=at(LAST))


def test_a_file_called_off_in_time_leaves_its_collections_planned() -> None:
    anna = payer()
    anna.invoice("base", 1210)
    signs(anna, ISSUED)
    plans(date(2026, 11, 9))
    (run,) = direct_debit.file_due(on=LAST, actor=ACTOR, at=at(LAST)).runs
    assert direct_debit.cancel_run(run=run.id, actor=ACTOR, reason="wrong account", at=at(LAST)) == 1
    assert states(anna) == ["planned"]
    assert names(hands_over(LAST), "EndToEndId") == [of(anna)[0].end_to_end_id]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("never arrived", "its announcement has not arrived"),
        ("came back", "its announcement has not arrived"),
        ("late", "less than 5 days ahead"),
        ("paid meanwhile", "0.00 EUR is asked for now"),
        ("paid in part", "6.05 EUR is asked for now"),
        ("withdrawn", "ended"),
    ],
)
def test_what_must_not_be_collected_is_called_off(what: str, said: str) -> None:
    anna = payer()
    invoice = anna.invoice("base", 1210)
    mandate = signs(anna, ISSUED)
    day = date(2026, 11, 9)
    (row,) = direct_debit.plan_due(on=day, actor=ACTOR, at=at(day)).made
    if what not in ("never arrived",):
        arrives(row.message_key, at(day if what != "late" else date(2026, 11, 14), 10))
    if what == "came back":
        arrives(row.message_key, at(day, 11), EvidenceKind.BOUNCED)
    if what.startswith("paid"):
        anna.pays(1210 if what == "paid meanwhile" else 605, invoice, on=day, at=at(day))
    if what == "withdrawn":
        direct_debit.end_mandate(mandate=mandate.id, on=day, actor=ACTOR, reason="asked to", at=at(day))
    done = direct_debit.file_due(on=LAST, actor=ACTOR, at=at(LAST))
    assert done.runs == []
    assert states(anna) == ["cancelled"]
    assert said in of(anna)[0].why
    assert world.live() == ["0 of 0"]


def test_money_on_hand_and_disputes_go_before_a_collection() -> None:
    from coulance.ledger import operations as ledger

    anna = payer()
    invoice = anna.invoice("base", 1210)
    signs(anna, ISSUED)
    with transaction.atomic():
        ledger.place_hold(
            account=anna.id, kind=HoldKind.DISPUTE, amount=eur(400), source="dispute/1", at=at(ISSUED), about=invoice
        )
        money.book_payment(
            receipt=NewReceipt(
                account=anna.id, amount=eur(100), received_on=ISSUED, method=Method.CASH, source_key="till/1",
                reason="handed over", beyond_choice=False,
            ),
            actor=ACTOR,
            at=at(ISSUED),
        )  # fmt: skip
    (row,) = plans(date(2026, 11, 9)).made
    assert row.parts == ((invoice, eur(710)),)  # 12.10, less 1.00 on hand, less 4.00 contested


def test_a_return_reopens_the_debt_and_is_tried_again_once(tmp_path: Path) -> None:
    anna = payer(language="nl")
    invoice = anna.invoice("base", 1210)
    signs(anna, ISSUED)
    plans(date(2026, 11, 9))
    hands_over(LAST)
    bank = Bank(tmp_path)
    (first,) = of(anna)
    bank.says(credit(first, DUE), day=DUE)
    day = date(2026, 11, 20)
    report = bank.says(back(first, day, "AM04"), day=day)
    assert [(one.outcome, one.rule) for one in report.judged] == [("reversed", "returned")]
    assert anna.open() == {invoice: 1210}
    _, second = of(anna)
    assert (states(anna), second.attempt, second.collect_on) == (["returned", "planned"], 2, date(2026, 11, 27))
    arrives(second.message_key, at(day, 20))
    hands_over(date(2026, 11, 25))
    bank.says(credit(of(anna)[1], date(2026, 11, 27)), day=date(2026, 11, 27))
    last = date(2026, 12, 1)
    bank.says(back(of(anna)[1], last, "AM04"), day=last)
    assert states(anna) == ["returned", "returned"]
    left = plans(date(2026, 12, 2))
    assert (left.made, [one.why for one in left.left]) == (
        [],
        ["it came back (AM04: there is not enough money on the account): a person decides"],
    )
    third = returning.collect_again(
        collection=of(anna)[1].id, on=last, actor=ACTOR, reason="they called: it is there now", at=at(last)
    )
    assert (third.attempt, third.state) == (3, CollectionState.PLANNED)
    assert faults() == []


@pytest.mark.parametrize("code", ["MD01", "AC04"])
def test_a_mandate_that_cannot_be_used_ends_with_what_is_planned_by_it(code: str, tmp_path: Path) -> None:
    anna = payer()
    anna.invoice("base", 1210)
    signs(anna, ISSUED)
    plans(date(2026, 11, 9))
    hands_over(LAST)
    anna.invoice("next", 605, on=date(2026, 11, 17))
    plans(date(2026, 11, 20))
    bank = Bank(tmp_path)
    bank.says(credit(of(anna)[0], DUE), day=DUE)
    day = date(2026, 11, 23)
    bank.says(back(of(anna)[0], day, code), day=day)
    assert states(anna) == ["returned", "cancelled"]
    assert mandates.in_force(on=day) == {}
    assert mandates.mandates(accounts=[anna.id])[0].withdrawn_why.startswith(f"a collection came back: {code}")


def test_a_debtor_who_wants_it_back_is_asked_not_collected_again(tmp_path: Path) -> None:
    anna = payer()
    anna.invoice("base", 1210)
    signs(anna, ISSUED)
    plans(date(2026, 11, 9))
    hands_over(LAST)
    bank = Bank(tmp_path)
    bank.says(credit(of(anna)[0], DUE), day=DUE)
    bank.says(back(of(anna)[0], date(2026, 12, 28), "MD06"), day=date(2026, 12, 28))
    assert states(anna) == ["returned"]
    assert len(mandates.in_force(on=date(2026, 12, 28))) == 1
    assert plans(date(2026, 12, 29)).made == []


def test_a_batch_is_settled_by_its_sum_and_returned_one_by_one(tmp_path: Path) -> None:
    people = [payer(f"batch{n}") for n in range(3)]
    for n, one in enumerate(people):
        one.invoice("base", 1210 + 121 * n)
        signs(one, ISSUED)
    plans(date(2026, 11, 9))
    file = hands_over(LAST)
    (batch,) = names(file, "PmtInfId")
    bank = Bank(tmp_path)
    whole = credit(of(people[0])[0], DUE, end_to_end_id="", batch=batch, batch_count=3, counterparty_iban="")
    total = Money(sum(of(one)[0].amount.minor for one in people), "EUR")
    report = bank.says(replace(whole, amount=total), day=DUE)
    assert [(one.outcome, one.rule, one.what) for one in report.judged] == [("booked", "collection", "3 collections")]
    assert [states(one) for one in people] == [["collected"]] * 3
    bank.says(back(of(people[1])[0], date(2026, 11, 19), "AM04"), day=date(2026, 11, 19))
    assert [one.open() == {} for one in people] == [True, False, True]
    assert faults() == []


def test_a_batch_that_can_not_be_credited_waits_for_a_person_and_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [payer(f"batch{n}") for n in range(2)]
    other = payer("other")
    for n, one in enumerate(people):
        one.invoice("base", 1210 + 121 * n)
        signs(one, ISSUED)
    invoice = other.invoice("base", 2420)
    plans(date(2026, 11, 9))
    (batch,) = names(hands_over(LAST), "PmtInfId")
    total = Money(sum(of(one)[0].amount.minor for one in people), "EUR")
    row = of(people[0])[0]
    whole = replace(credit(row, DUE, end_to_end_id="", batch=batch, batch_count=2, counterparty_iban=""), amount=total)
    monkeypatch.setattr(settling, "_COMING", frozenset())
    paid = BankEntry(DUE, eur(2420), remittance=other.numbers["base"], counterparty_iban="", value_on=DUE)
    report = Bank(tmp_path).says(whole, paid, day=DUE)
    assert sorted(one.outcome for one in report.judged) == ["booked", "queued"]
    assert (invoice in other.open(), states(people[0])) == (False, ["handed"])
    assert faults() == []


def test_a_return_that_a_person_assigns_means_what_it_means_when_matched(tmp_path: Path) -> None:
    anna = payer()
    anna.invoice("base", 1210)
    mandate = signs(anna, ISSUED)
    plans(date(2026, 11, 9))
    hands_over(LAST)
    bank = Bank(tmp_path)
    bank.says(credit(of(anna)[0], DUE), day=DUE)
    (row,) = of(anna)
    stray = back(row, date(2026, 11, 19), "MD01", end_to_end_id="", counterparty_iban="")
    (told,) = bank.says(stray, day=date(2026, 11, 19)).judged
    assert told.outcome == "queued"
    assert row.receipt is not None
    bank_queue.assign(
        entry=told.entry, receipt=row.receipt, actor=ACTOR, reason="it is hers", at=at(date(2026, 11, 20))
    )
    assert states(anna) == ["returned"]
    assert mandates.mandate(mandate=mandate.id).withdrawn_on is not None  # there is no mandate, says the bank
    assert plans(date(2026, 11, 21)).made == []
    assert faults() == []


def test_a_refusal_of_the_bank_frees_the_debt_and_what_it_credits_after_all_counts(tmp_path: Path) -> None:
    anna = payer()
    anna.invoice("base", 1210)
    signs(anna, ISSUED)
    plans(date(2026, 11, 9))
    hands_over(LAST)
    (row,) = of(anna)
    returning.refuse(
        end_to_end_id=row.end_to_end_id, code="RC01", on=LAST, actor=ACTOR, reason="by pain.002", at=at(LAST)
    )
    assert (states(anna), payments.in_flight()) == (["refused"], [])
    Bank(tmp_path).says(credit(row, DUE), day=DUE)
    assert (states(anna), anna.open()) == (["collected"], {})


def test_a_mandate_lapses_after_36_months_unused_and_another_takes_its_place() -> None:
    anna = payer()
    mandate = signs(anna, date(2023, 11, 1))
    anna.invoice("base", 1210)
    day = date(2026, 11, 9)
    assert direct_debit.plan_due(on=day, actor=ACTOR, at=at(day)).made == []
    (old,) = mandates.mandates(accounts=[anna.id])
    assert (old.id, old.withdrawn_why) == (mandate.id, "nothing was collected by it for 36 months")
    fresh = signs(anna, day)
    assert signs(anna, day) == fresh  # the same once more is the one that is there
    other = signs(anna, day, iban="NL20INGB0001234567")
    assert [one.withdrawn_on for one in mandates.mandates(accounts=[anna.id])] == [None, day, day]
    assert other.text_hash == hashlib.sha256(other.text.encode()).hexdigest()
    assert "at least 5 days ahead" in other.text


def test_a_bank_that_wants_first_gets_it_once() -> None:
    anna = payer()
    anna.invoice("base", 1210)
    world.provider(Path(str(_folder())), world.RAILS + "first_says_first = true\n")
    signs(anna, ISSUED)
    plans(date(2026, 11, 9))
    assert names(hands_over(LAST), "SeqTp") == ["FRST"]
    anna.invoice("next", 605, on=date(2026, 11, 20))
    plans(date(2026, 11, 25))
    assert names(hands_over(date(2026, 12, 2)), "SeqTp") == ["RCUR"]


def _folder() -> Path:
    import tempfile

    return Path(tempfile.mkdtemp())


@pytest.mark.parametrize("form", ["pain.008.001.02", "pain.008.001.08"])
@pytest.mark.parametrize("scheme", list(Scheme))
def test_files_are_valid_by_the_schema_and_the_same_each_time(form: str, scheme: Scheme) -> None:
    def made(**more: Any) -> bytes:
        given: dict[str, Any] = {
            "reference": "DD20261116-1",
            "form": form,
            "scheme": scheme,
            "creditor": Creditor("Polder & Söhne <BV>", world.OURS, "DEMONL2AXXX", "NL79ZZZ999999990000"),
            "transactions": [
                Transaction(
                    f"DD{n:010d}", eur(100 + n), DUE + timedelta(days=n % 2), list(MandateSequence)[n % 4], f"M{n}",
                    ISSUED, "Łukasz Ñandú & Co.", world.THEIRS, "", "B2026-000001 € 5",
                )
                for n in range(8)
            ],
            "made_at": at(LAST),
        } | more  # fmt: skip
        return debit_file(**given)

    file = made()
    assert file == made()
    assert names(file, "LclInstrm/{*}Cd") == [scheme.value.upper()] * len(names(file, "PmtInfId"))
    assert sum(int(one) for one in names(file, "PmtInf/{*}NbOfTxs")) == 8
    assert names(file, "GrpHdr/{*}CtrlSum") == ["8.28"]
    with pytest.raises(UnableToCollectError, match="would not be valid"):
        made(reference="x" * 36)


def test_the_database_holds_the_same_table_of_what_follows() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT encode(tgargs, 'escape') FROM pg_trigger WHERE tgname = 'collection_follows'")
        (said,) = cursor.fetchone()
    ours = {f"{was.value}>{becomes.value}" for was, then in FOLLOWS.items() for becomes in then}
    assert set(said.removesuffix("\\000").split(" ")) == ours


def test_what_is_collected_is_told_in_the_customers_language() -> None:
    from coulance.notices import queries as sent

    anna = payer(language="nl")
    anna.invoice("base", 1210)
    signs(anna, ISSUED)
    (row,) = plans(date(2026, 11, 9)).made
    (told,) = sent.messages(account=anna.id)
    text = sent.text_of(message=told.message)
    assert text is not None
    assert "18\xa0november\xa02026" in text.text
    assert "NL91 ABNA **** 4300" in text.text
    assert "NL91ABNA0417164300" not in text.text
    assert (told.language, told.key) == ("nl", row.message_key)
