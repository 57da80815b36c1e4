"""Statements imported: what is booked, once, and what waits for a person; everything undone and done again."""

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from coulance.customers import queries as customers
from coulance.flows import bank_queue
from coulance.flows.bank_import import UnableToImportStatementsError
from coulance.flows.bank_queue import UnableToAssignEntryError
from coulance.payments import bank
from coulance.payments import queries as payments
from coulance.platform import audit
from coulance_core.invoicing.references import creditor_reference
from coulance_core.kernel import Money
from coulance_core.payments import Method
from coulance_core.payments.bank import BankStatement, StatementKind
from tests.bank.scene import ACT, AT, DAY, OURS, brought, notification, outcomes, pays, receipts, statement
from tests.payments.till import Customer, customer, faults

IBAN = "NL91ABNA0417164300"
OTHER_IBAN = "DE89370400440532013000"


def rf(one: Customer, name: str) -> str:
    return creditor_reference(one.numbers[name])


def test_a_day_of_payments(db: Any) -> None:
    anna, ben = customer("anna"), customer("ben")
    a, b, c = anna.invoice("a", 12100), anna.invoice("b", 6050), ben.invoice("c", 24200)
    told = [
        pays(12100, structured_reference=rf(anna, "a"), counterparty_iban=IBAN),
        pays(5000, f"deel van {ben.numbers['c']}", counterparty_iban=OTHER_IBAN),
        pays(4242, "cadeau"),
        pays(-90000, "rent", counterparty_iban="NL00LAND0000000001"),
        pays(700, "from savings", counterparty_iban=OURS),
    ]
    report = brought(statement(told))
    assert outcomes(report) == [
        "booked reference",
        "booked number",
        "queued",
        "ignored own_transfer",
        "ignored outgoing",
    ]
    assert report.judged[1].flags == ("partial",)
    assert anna.open() == {b: 6050}
    assert ben.open() == {c: 19200}
    assert a not in anna.open()
    assert report.waiting == 1
    assert faults() == []
    # What was sure taught the IBANs, so that the next payment without a word is known.
    later = statement([pays(6050, "nota", counterparty_iban=IBAN, booked_on=DAY + timedelta(days=1))], 2, 32_042)
    later = replace(later, opened_on=DAY, closed_on=DAY + timedelta(days=1))
    assert outcomes(brought(later)) == ["booked iban_and_amount"]
    assert anna.open() == {}
    assert [one.missing for one in bank.status()] == [Money(0, "EUR")]


def test_a_dry_run_says_the_same_and_leaves_nothing(db: Any) -> None:
    anna = customer("anna")
    a = anna.invoice("a", 12100)
    given = statement([pays(12100, anna.numbers["a"]), pays(1, "?")])
    dry = brought(given, apply=False)
    assert anna.open() == {a: 12100}
    assert bank.status() == []
    real = brought(given)
    assert outcomes(dry) == outcomes(real)
    assert anna.open() == {}


def test_twice_and_overlapping_books_nothing_twice(db: Any) -> None:
    anna = customer("anna")
    for name in "abcd":
        anna.invoice(name, 12100)
    one, two, three, four = (pays(12100, structured_reference=rf(anna, name)) for name in "abcd")
    first = statement([one, two], 1)
    again = brought(first)
    assert [stored.again for stored in again.stored] == [False]
    assert [stored.again for stored in brought(first).stored] == [True]
    # A statement of the week holds the day's entries too.
    week = statement([one, two, three], 9, opened_on=DAY - timedelta(days=6))
    (stored,) = brought(week).stored
    assert (stored.fresh, stored.known) == (1, 2)
    # And so does the next day's, from the same file as one more.
    both = brought(statement([three, four], 3, 100_000 + 24_200), first)
    assert sum(stored.fresh for stored in both.stored) == 1
    assert receipts(anna.id) == [12100] * 4
    assert anna.stands() == (0, 0, 0)
    assert faults() == []


def test_two_equal_payments_of_a_day_are_two(db: Any) -> None:
    anna = customer("anna")
    anna.invoice("a", 12100)
    told = [pays(6050, anna.numbers["a"]), pays(6050, anna.numbers["a"])]
    assert outcomes(brought(statement(told))) == ["booked number", "booked number"]
    assert anna.stands() == (0, 0, 0)
    brought(statement(told, page="1"))
    assert receipts(anna.id) == [6050, 6050]


def test_gaps_are_named(db: Any) -> None:
    brought(statement([pays(100)], 1, 0))
    third = statement([pays(100)], 3, 400)
    third = replace(third, opened_on=DAY + timedelta(days=2), closed_on=DAY + timedelta(days=3))
    third = replace(third, entries=(pays(100, booked_on=DAY + timedelta(days=3)),))
    notes = " ".join(brought(third).notes)
    assert "statement 3: it opens with 4.00 EUR, statement 1 closed with 1.00 EUR" in notes
    assert "3.00 EUR is not accounted for" in notes
    assert [one.missing for one in bank.status()] == [Money(300, "EUR")]


def test_one_account_in_two_formats_is_refused(db: Any) -> None:
    first = statement([pays(100, "as camt words it")], 1)
    brought(first)
    other = statement([pays(100, "as MT940 words it")], 77, form="mt940", opened_on=DAY - timedelta(days=2))
    with pytest.raises(UnableToImportStatementsError, match="import one format"):
        brought(other)
    assert sum(one.entries for one in bank.status()) == 1


def test_interim_reports_are_never_booked(db: Any) -> None:
    anna = customer("anna")
    anna.invoice("a", 12100)
    interim = statement([pays(12100, anna.numbers["a"])], kind=StatementKind.INTERIM, form="mt942")
    report = brought(interim)
    assert (report.judged, report.stored) == ([], [])
    assert "interim report" in report.notes[0]


def test_a_paid_invoice_paid_again_is_unallocated(db: Any) -> None:
    anna = customer("anna")
    anna.invoice("a", 12100)
    b = anna.invoice("b", 24200)
    anna.pays(12100, f"document/{_document(anna, 'a')}")
    report = brought(statement([pays(12100, structured_reference=rf(anna, "a"))]))
    assert report.judged[0].flags == ("settled",)
    assert anna.open() == {b: 24200}
    assert anna.stands() == (24200, 12100, 0)


def _document(one: Customer, name: str) -> int:
    (items,) = payments.items_by_number(numbers=[one.numbers[name]]).values()
    return int(items[0].ref.removeprefix("document/"))


def test_a_reference_goes_before_an_iban(db: Any) -> None:
    anna, ben = customer("anna"), customer("ben")
    anna.invoice("a", 12100)
    b = ben.invoice("b", 12100)
    brought(statement([pays(100, anna.numbers["a"], counterparty_iban=IBAN)]))
    told = statement([pays(12100, structured_reference=rf(ben, "b"), counterparty_iban=IBAN)], 2, 100_100)
    report = brought(told)
    assert report.judged[0].flags == ("iban_of_another",)
    assert b not in ben.open()
    # From then on the IBAN is several accounts': an amount from it proves nothing, and a person decides.
    assert {one.account for one in payments.known_ibans(ibans=[IBAN])} == {anna.id, ben.id}
    ben.invoice("c", 4840)
    later = replace(statement([pays(4840, "nota", counterparty_iban=IBAN)], 3, 112_200), opened_on=DAY)
    assert outcomes(brought(later)) == ["queued"]


def test_the_account_of_a_provider_of_payments_teaches_nothing(db: Any) -> None:
    anna = customer("anna")
    anna.invoice("a", 12100)
    anna.invoice("b", 6050)
    known = {"counterparty_iban": OTHER_IBAN, "counterparty_name": "Stichting Mollie Payments"}
    told = [pays(12100, structured_reference=rf(anna, "a"), **known), pays(6050, "settlement", **known)]
    assert outcomes(brought(statement(told))) == ["booked reference", "queued"]
    assert payments.known_ibans(ibans=[OTHER_IBAN]) == []


def test_two_imports_at_once_wait_for_each_other(committed_db: Any) -> None:
    """What came in is booked before what came back is undone: two imports meet the same customers in other orders."""
    people = [customer(f"c{number}") for number in range(12)]
    for one in people:
        one.invoice("a", 1210)
        one.invoice("b", 2420)
    brought(statement([pays(1210, one.numbers["a"], end_to_end_id=f"E-{one.id}") for one in people]))

    def day(number: int, opening: int, come: list[Customer], gone: list[Customer]) -> BankStatement:
        told = [pays(2420, one.numbers["b"]) for one in come]
        told += [pays(-1210, "", end_to_end_id=f"E-{one.id}", return_reason="MD06") for one in gone]
        return statement(told, number, opening, opened_on=DAY)

    told = [day(2, 114_520, people[:6], people[6:]), day(3, 121_780, people[6:], people[:6])]
    reports: list[Any] = []
    wrong: list[BaseException] = []
    barrier = threading.Barrier(2)

    def run(given: Any) -> None:
        try:
            barrier.wait(20)
            reports.append(brought(given))
        except BaseException as error:
            wrong.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(one,)) for one in told]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert sum(report.count("booked") for report in reports) == 12
    assert sum(report.count("reversed") for report in reports) == 12
    assert {sum(one.open().values()) for one in people} == {1210}
    assert faults() == []


def test_what_comes_back_undoes_its_receipt_on_the_same_statement_too(db: Any) -> None:
    anna = customer("anna")
    a = anna.invoice("a", 12100)
    paid = pays(12100, structured_reference=rf(anna, "a"), end_to_end_id="E-1", counterparty_iban=IBAN)
    back = pays(-12100, "", end_to_end_id="E-1", return_reason="MD06", counterparty_iban=IBAN)
    report = brought(statement([back, paid]))
    assert outcomes(report) == ["booked reference", "reversed returned"]
    assert anna.open() == {a: 12100}
    assert receipts(anna.id) == []
    assert faults() == []
    # What the bank took back is not taken up again.
    gone = next(row for row in bank.entries(states=("booked",)) if row.entry.amount.minor > 0)
    with pytest.raises(UnableToAssignEntryError, match="took this money back"):
        bank_queue.reopen(entry=gone.id, **ACT)
    # The same return once more is not known any more: a person sees it.
    again = statement([replace(back, booked_on=DAY + timedelta(days=1))], 2, closed_on=DAY + timedelta(days=1))
    assert outcomes(brought(again)) == ["queued"]


def test_our_refund_is_recognised_when_it_leaves(db: Any) -> None:
    from django.db import transaction

    from coulance.payments import operations
    from coulance_core.payments import Method

    anna = customer("anna")
    booked = anna.pays(5000, payer_iban=IBAN)
    with transaction.atomic():
        operations.refund(
            receipt=booked.receipt,
            amount=Money(5000, "EUR"),
            refunded_on=DAY,
            source_key="refund-1",
            method=Method.BANK,
            iban=IBAN,
            **ACT,
        )
    report = brought(statement([pays(-5000, "terugbetaling", counterparty_iban=IBAN)]))
    assert outcomes(report) == ["ignored refund"]
    second = statement([pays(-5000, "again", counterparty_iban=IBAN)], 2, 95_000)
    assert outcomes(brought(second)) != ["ignored refund"]


def test_a_batch_waits_for_its_payments_in_any_order(db: Any) -> None:
    for notification_first in (False, True):
        anna, ben = customer("anna"), customer("ben")
        anna.invoice("a", 12100)
        ben.invoice("b", 6050)
        batch = f"B-{anna.id}"
        whole = statement([pays(18150, "verzamelboeking", batch=batch, batch_count=2, bank_ref=batch)], anna.id)
        parts = notification(
            [
                pays(12100, structured_reference=rf(anna, "a"), batch=batch, bank_ref=batch),
                pays(6050, ben.numbers["b"], batch=batch, bank_ref=batch),
            ],
            anna.id,
        )
        first, second = (parts, whole) if notification_first else (whole, parts)
        early = brought(first)
        assert early.count("booked") == 0
        late = brought(second)
        assert (late.batches, late.count("booked")) == (1, 2)
        assert (anna.stands(), ben.stands()) == ((0, 0, 0), (0, 0, 0))
        brought(first, second)
        assert (receipts(anna.id), receipts(ben.id)) == ([12100], [6050])


def test_a_batch_booked_as_one_sum_is_not_booked_by_its_payments(db: Any) -> None:
    anna = customer("anna")
    anna.invoice("a", 12100)
    whole = statement([pays(12100, "sum", batch="B7", batch_count=2)])
    brought(whole)
    (row,) = bank.entries(states=("suggested",))
    bank_queue.assign(entry=row.id, account=anna.ref, **ACT)
    parts = [pays(6050, anna.numbers["a"], batch="B7"), pays(6050, "x", batch="B7")]
    told = notification(parts)
    assert brought(told).count("booked") == 0
    assert receipts(anna.id) == [12100]
    assert {entry.reason for entry in bank.entries(states=("ignored",))} == {
        f"its batch was booked as one sum: bank entry {row.id}"
    }


def test_a_person_decides_and_takes_it_back(db: Any) -> None:
    anna = customer("anna")
    a = anna.invoice("a", 12100)
    brought(statement([pays(12100, "hosting", counterparty_iban=IBAN, counterparty_name="A. de Vries")]))
    (row,) = bank.entries(states=("suggested",))
    assert row.match["suggestions"][0]["refs"] == [a]
    done = bank_queue.assign(entry=row.id, numbers=[anna.numbers["a"]], **ACT)
    assert (done.who, anna.open()) == (anna.ref, {})
    assert [one.account for one in payments.known_ibans(ibans=[IBAN])] == [anna.id]
    with pytest.raises(UnableToAssignEntryError, match="reopen it first"):
        bank_queue.ignore(entry=row.id, **ACT)
    bank_queue.reopen(entry=row.id, **ACT)
    assert anna.open() == {a: 12100}
    bank_queue.ignore(entry=row.id, **ACT)
    bank_queue.reopen(entry=row.id, **ACT)
    bank_queue.assign(entry=row.id, account=anna.ref, **ACT)
    assert (anna.open(), receipts(anna.id)) == ({}, [12100])
    acts = [event.act for event in audit.events(subject=f"bank_entry:{row.id}")]
    assert sorted(acts) == ["bank.ignored", "bank.reopened", "bank.reopened"]
    assert faults() == []


WRONG = [
    ({"account": "nobody"}, "no account 'nobody'"),
    ({"numbers": ["B1999-1"]}, "there is no invoice 'B1999-1'"),
    ({}, "name an account or an invoice's number"),
    ({"receipt": 999_999}, "is money in"),
    ({"account": "nobody", "reason": " "}, "say why"),
]


@pytest.mark.parametrize(("wrong", "why"), WRONG)
def test_a_wrong_decision_is_refused_and_changes_nothing(db: Any, wrong: dict[str, Any], why: str) -> None:
    brought(statement([pays(100, "?")]))
    (row,) = bank.entries(states=("suggested",))
    with pytest.raises(UnableToAssignEntryError, match=why):
        bank_queue.assign(entry=row.id, **{**ACT, **wrong})
    assert bank.entry(entry=row.id).state == "suggested"


def test_a_return_is_assigned_to_the_receipt_it_takes_back(db: Any) -> None:
    anna = customer("anna")
    a = anna.invoice("a", 12100)
    booked = anna.pays(12100)
    brought(statement([pays(-12100, "storno", is_reversal=True), pays(-5, "storno", is_reversal=True)]))
    small, row = bank.entries(states=("suggested",))[::-1]
    with pytest.raises(UnableToAssignEntryError, match="not that one"):
        bank_queue.assign(entry=small.id, receipt=booked.receipt, **ACT)
    bank_queue.assign(entry=row.id, receipt=booked.receipt, **ACT)
    assert anna.open() == {a: 12100}
    with pytest.raises(UnableToAssignEntryError, match="book the payment anew"):
        bank_queue.reopen(entry=row.id, **ACT)


def test_what_cannot_be_booked_waits_with_the_reason_and_holds_up_nobody(db: Any) -> None:
    anna, ben = customer("anna"), customer("ben")
    anna.invoice("a", 12100)
    b = ben.invoice("b", 12100)
    early = AT.date() + timedelta(days=3)
    told = [
        pays(12100, structured_reference=rf(ben, "b"), booked_on=early),
        pays(12100, structured_reference=rf(anna, "a")),
    ]
    report = brought(statement(told, closed_on=early))
    assert sorted(outcomes(report)) == ["booked reference", "queued"]
    assert ben.open() == {b: 12100}
    (row,) = bank.entries(states=("suggested",))
    assert "still to come" in row.reason


def test_names_lead_to_suggestions(db: Any) -> None:
    anna = customer("anna")
    anna.invoice("a", 12100)
    name = customers.account(anna.ref).name
    brought(statement([pays(777, "?", counterparty_name=name.upper())]))
    (row,) = bank.entries(states=("suggested",))
    assert any("called so" in reason for one in row.match["suggestions"] for reason in one["reasons"])


def test_what_a_notification_tells_is_not_assigned_since_its_statement_has_it_too(db: Any) -> None:
    anna = customer("anna")
    told = pays(12100, f"nota {anna.numbers.get('a', '')}", bank_ref="B1")
    anna.invoice("a", 12100)
    brought(notification([told]))
    (row,) = bank.entries(states=("new",))
    with pytest.raises(UnableToAssignEntryError, match="told by a notification"):
        bank_queue.assign(entry=row.id, account=anna.ref, **ACT)
    brought(statement([replace(told, remittance=anna.numbers["a"])]))
    assert receipts(anna.id) == [12100]
    # Set aside, and taken up again: still not booked.
    brought(notification([replace(told, bank_ref="B2")], 2), statement([], 2, 112_100, opened_on=DAY))
    (row,) = bank.entries(states=("new",))
    bank_queue.ignore(entry=row.id, **ACT)
    bank_queue.reopen(entry=row.id, **ACT)
    with pytest.raises(UnableToAssignEntryError, match="told by a notification"):
        bank_queue.assign(entry=row.id, account=anna.ref, **ACT)
    assert faults() == []


def test_a_bank_entry_takes_back_what_came_by_bank_only(db: Any) -> None:
    anna = customer("anna")
    paid = anna.pays(12100, method=Method.CASH).receipt
    brought(statement([pays(-12100, "terug", counterparty_iban=IBAN, return_reason="MD06")]))
    (row,) = bank.entries(states=("suggested",))
    with pytest.raises(UnableToAssignEntryError, match="came by cash, not by bank"):
        bank_queue.assign(entry=row.id, receipt=paid, **ACT)
    assert receipts(anna.id) == [12100]
