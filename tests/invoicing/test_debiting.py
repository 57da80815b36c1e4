"""Taking credit notes back: once, whole, to the cent, numbered without a gap, and nothing else by raw SQL either."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from coulance.invoicing import crediting, debiting, operations, queries
from coulance.invoicing.check import check_documents
from coulance.invoicing.check_laws import check_charges
from coulance.ledger import queries as ledger
from coulance.payments import queries as payments
from coulance.platform import audit
from coulance_core.invoicing import CreditRequest, CreditType, ServiceRef
from coulance_core.kernel import Money
from tests.invoicing.paper import AT, ON, SERIES, draft, line, make_service, span
from tests.payments.till import ACTOR, CREDIT, Customer, customer, faults


@pytest.fixture
def one(db: Any) -> Customer:
    return customer("debit")


def debit(number: str, **change: Any) -> str:
    given = {"reason": "meant for another", "at": AT, "issued_on": ON, "actor": ACTOR, "series": CREDIT}
    return operations.issue_debit_note(number=number, **(given | change))


def test_a_wrong_credit_note_is_taken_back_and_the_right_one_given(one: Customer) -> None:
    ref = one.invoice("a", 12100)
    wrong = one.credit("a")  # all of it, where half was meant
    assert one.open() == {}
    back = debit(wrong)
    assert (wrong, back) == ("C2026-0001", "C2026-0002")
    stored = queries.document(number=back)
    assert (stored.row.kind, stored.row.gross, stored.row.invoice) == (
        "debit_note",
        Money(12100, "EUR"),
        one.numbers["a"],
    )
    assert stored.row.due_on - ON == timedelta(days=14)  # as many days as the invoice gave
    assert debiting.reversed_by(credit_note=queries.document(number=wrong).row.id) == back
    right = one.credit("a", 5000)
    assert right == "C2026-0003"
    # The invoice is credited half again, and the debit note is a debt of its own.
    assert one.open() == {ref: -6050, f"document/{stored.row.id}": 12100}
    assert one.stands() == (6050, 0, 0)
    (item,) = [row for row in payments.items(account=one.id) if row.number == back]
    assert (item.kind.value, item.due_on) == ("base", stored.row.due_on)
    assert list(check_documents()) == []
    assert list(check_charges()) == []
    assert faults() == []
    (told,) = audit.events(subject=f"invoice:{one.numbers['a']}", act="credit_note.reversed")
    assert (told.actor, told.reason) == (ACTOR, "meant for another")


def test_days_given_back_are_charged_again_unless_they_were_billed_anew(one: Customer) -> None:
    service = make_service(one.id, f"{one.ref}-s")
    ref = ServiceRef(f"{one.ref}-s", "Server", service)
    days = span(date(2026, 11, 1), date(2026, 12, 1))
    bill = [line(1000, "base", service=ref, span=days)]
    number = _issue(one, bill, "first")
    note = _credit(number)
    debit(note)
    with pytest.raises(operations.UnableToBillTwiceError):
        _issue(one, bill, "again")
    again = _credit(number)
    newer = _issue(one, bill, "again")
    with pytest.raises(operations.UnableToCreditError, match="billed anew"):
        debit(again)
    _credit(newer)
    debit(again)
    assert list(check_documents()) == []


def _issue(one: Customer, lines: Any, purpose: str) -> str:
    with transaction.atomic():
        (document,) = operations.write_drafts(
            run=None, drafts=[operations.NewDocument(one.id, draft(one.ref, lines))], purpose=f"{one.ref}-{purpose}"
        )
        operations.issue_documents(ids=[document], series=SERIES, at=AT)
    return queries.document_by_id(document=document).row.number or ""


def _credit(number: str) -> str:
    return operations.issue_credit_note(
        number=number,
        lines=None,
        credit_type=CreditType.CORRECTION,
        reason="wrong",
        at=AT,
        issued_on=ON,
        actor=ACTOR,
        series=CREDIT,
    )


def test_what_cannot_be_taken_back_says_why_and_changes_nothing(one: Customer) -> None:
    one.invoice("a", 12100)
    note = one.credit("a", 5000)
    with pytest.raises(operations.UnableToCreditError, match="only credit notes"):
        debit(one.numbers["a"])
    with pytest.raises(operations.UnableToFindDocumentError):
        debit("C2026-9999")
    with pytest.raises(operations.UnableToCreditError, match="says why"):
        debit(note, reason=" ")
    back = debit(note)
    with pytest.raises(operations.UnableToCreditError, match=f"taken back by {back} already"):
        debit(note)
    with pytest.raises(operations.UnableToCreditError, match="only invoices are credited"):
        crediting.creditable(back)
    with pytest.raises(operations.UnableToCreditError, match="only credit notes"):
        debit(back)
    assert [row.number for row in queries.documents(account=one.id, kind="debit_note")] == [back]
    assert one.credit("a") == "C2026-0003"  # a refusal costs no number


def test_a_run_settles_its_own_credit_notes(one: Customer) -> None:
    one.invoice("a", 12100)
    with transaction.atomic():
        account, invoice, point = crediting.creditable(one.numbers["a"])
        note = crediting.draft_credit_note(
            number=one.numbers["a"],
            lines=[CreditRequest(1, Money(100, "EUR"))],
            credit_type=CreditType.CORRECTION,
            reason="late samples",
            issued_on=ON,
        )
        run = operations.open_run(period="2026-10", purpose="close", at=AT, actor=ACTOR)
        operations.write_drafts(run=run.id, drafts=[operations.NewDocument(account, note)])
    operations.assign_numbers(run=run.id, series=SERIES, at=AT)
    (row,) = queries.documents(run=run.id)
    assert invoice.number == one.numbers["a"]
    assert point == ON
    with pytest.raises(operations.UnableToCreditError, match="given by the close of 2026-10"):
        debit(row.number or "")


ATTACKS = {
    "a debit note of another amount": (
        "UPDATE invoicing_document_line SET net = net + 1 WHERE document_id = %(draft)s",
        "is refused",
    ),
    "one that takes nothing back": (
        "UPDATE invoicing_document SET purpose = 'reverses/0' WHERE id = %(draft)s;" + "ISSUE",
        "does not mirror",
    ),
    "one by another's credit note": (
        "UPDATE invoicing_document SET purpose = 'reverses/%(other)s' WHERE id = %(draft)s;" + "ISSUE",
        "does not mirror",
    ),
    "one without its purpose": (
        "UPDATE invoicing_document SET purpose = 'because' WHERE id = %(draft)s",
        "document_credit_names_invoice",
    ),
    "one that is larger": (
        "UPDATE invoicing_document SET net = net + 1, gross = gross + 1 WHERE id = %(draft)s;" + "ISSUE",
        "does not",
    ),
    "a second one": (
        "INSERT INTO invoicing_document (kind, account_id, buyer_ref, purpose, period_name, period_start, period_end,"  # noqa: ISC004
        " series, issued_on, due_on, tax_point, currency, net, tax, gross, tax_rounding, credit_type, invoice_id)"
        " SELECT kind, account_id, buyer_ref, purpose, period_name, period_start, period_end, series, issued_on,"
        " due_on, tax_point, currency, net, tax, gross, tax_rounding, credit_type, invoice_id"
        " FROM invoicing_document WHERE id = %(draft)s",
        "document_billed_once",
    ),
}
ISSUE = (
    "UPDATE invoicing_document SET state = 'issued', issued_at = now(), number = 'C2026-0009', series_no = 9,"
    " series_year = 2026 WHERE id = %(draft)s"
)


def attack(statements: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statements)


@pytest.mark.parametrize("name", ATTACKS)
def test_raw_sql_takes_no_credit_note_back_otherwise(one: Customer, name: str) -> None:
    one.invoice("a", 12100)
    one.invoice("b", 24200)
    note, other = one.credit("a"), one.credit("b")
    found = queries.document(number=note).row
    paper = debiting.draft_debit_note(number=note, reason="wrong", issued_on=ON)
    with transaction.atomic():
        (made,) = operations.write_drafts(
            run=None, drafts=[operations.NewDocument(one.id, paper)], purpose=debiting.purpose_of(found.id)
        )
    statement, said = ATTACKS[name]
    values = {"draft": made, "other": queries.document(number=other).row.id}
    with pytest.raises(DatabaseError, match=said):
        attack(statement.replace("ISSUE", ISSUE) % values)
    with transaction.atomic():
        operations.issue_documents(ids=[made], series=SERIES, at=AT)
    assert ledger.entries(sources=[f"document/{made}"])
    assert list(check_documents()) == []
