"""Statements of account: they equal the journal on any day, and the PDF says so in both languages."""

import io
import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import pikepdf
import pypdf
import pytest
from django.db import connection, transaction

from coulance.customers import queries as customers
from coulance.payments import operations, queries, statements
from coulance.payments.documents.view import TABLE, view
from coulance.payments.pdf import render_statement
from coulance_core.catalog.provider import ProviderTerms
from coulance_core.kernel import Money
from coulance_core.payments import (
    Choice,
    ItemKind,
    Method,
    ReversalKind,
    Row,
    RowKind,
    StatementError,
    statement_of_account,
)
from tests.payments.till import ACTOR, AT, DAY, ON, WHY, Customer, customer, eur

ACT: Any = {"actor": ACTOR, "reason": WHY, "at": AT + 30 * DAY}
SELLER = ProviderTerms(
    name="Example Hosting B.V.",
    country="NL",
    currency="EUR",
    zone="Europe/Amsterdam",
    address=("Kade 1", "1000 AA Amsterdam"),
    vat_id="NL000000000B01",
    registration="24123456",
    email="billing@example.nl",
    iban="NL91ABNA0417164300",
    bic="ABNANL2A",
)


def busy() -> Customer:
    """A month in which everything happened once."""
    one = customer("busy")
    with transaction.atomic():
        operations.take_over_items(
            account=one.id,
            items=[
                operations.TakenItem(
                    source_key=f"old/{one.ref}",
                    kind=ItemKind.BASE,
                    number="2026-0881",
                    issued_on=date(2026, 7, 1),
                    due_on=date(2026, 7, 15),
                    gross=eur(6050),
                    open=eur(3025),
                )
            ],
            taken_on=date(2026, 10, 1),
            **ACT,
        )
    a = one.invoice("a", 12100)
    b = one.invoice("b", 24200, overage=True)
    one.pays(15000, a, on=ON + 3 * DAY, at=ACT["at"], payer_ref="RF18 5390 0754 7034")
    bounced = one.pays(4800, b, on=ON + 4 * DAY, at=ACT["at"], payer_ref="rekening b")
    one.pays(9000, on=ON + 20 * DAY, prepaid=True, at=ACT["at"], payer_ref="tegoed")
    connection.check_constraints()
    one.credit("a", 5000, on=ON + 6 * DAY)
    with transaction.atomic():
        operations.reverse_receipt(receipt=bounced.receipt, kind=ReversalKind.BOUNCED, on=ON + 8 * DAY, **ACT)
        operations.write_off(
            account=one.id,
            items=[Choice(b, eur(200))],
            on=ON + 9 * DAY,
            source_key=f"w/{one.ref}",
            currency="EUR",
            **ACT,
        )
        operations.draw_prepaid(
            account=one.id, amount=eur(2000), drawn_on=ON + 21 * DAY, source_key=f"d/{one.ref}", choice=[b], **ACT
        )
        freed = operations.free_credit(
            account=one.id, amount=eur(6050), on=ON + 22 * DAY, source_key=f"c/{one.ref}", **ACT
        )
        operations.refund(
            receipt=freed.receipt,
            amount=eur(1000),
            refunded_on=ON + 22 * DAY,
            method=Method.BANK,
            iban="NL91ABNA0417164300",
            source_key=f"r/{one.ref}",
            **ACT,
        )
    connection.check_constraints()
    return one


def of(one: Customer, start: date, end: date) -> Any:
    return statements.account_statement(account=one.id, currency="EUR", start=start, end=end)


def test_statements_chain_day_by_day_and_equal_the_journal(db: Any) -> None:
    one = busy()
    before = eur(0)
    for n in range(-35, 30):
        day = ON + n * DAY
        found = of(one, day, day + DAY)
        assert found.opening == before
        stands = queries.balance(account=one.id, currency="EUR", on=day)
        assert found.closing == stands.due
        assert found.ages.due == stands.due
        assert found.ages.unallocated == stands.unallocated
        assert found.prepaid == stands.prepaid
        before = found.closing
    whole = of(one, ON - 35 * DAY, ON + 30 * DAY)
    assert (whole.opening, whole.closing) == (eur(0), before)
    assert {found.row.kind for found in whole.rows} == set(RowKind) - {
        RowKind.DEBIT_NOTE,
        RowKind.RECLAIMED,
        RowKind.RECLAIMED_REVERSED,
        RowKind.REFUND_REVERSED,
        RowKind.WRITE_OFF_REVERSED,
        RowKind.TO_PREPAID_REVERSED,
        RowKind.FROM_PREPAID_REVERSED,
        RowKind.TAKEN_OVER_REVERSED,
        RowKind.CREDIT_FREED_REVERSED,
        RowKind.OTHER,
    }


def test_a_statement_that_contradicts_the_journal_is_never_made() -> None:
    row = Row(ON, RowKind.INVOICE, "B1", eur(5), eur(5), "document/1")
    given: Any = {"start": ON, "end": ON + DAY, "currency": "EUR", "prepaid": eur(0), "items": [], "on": ON}
    assert statement_of_account([row], closing=eur(5), **given).closing == eur(5)
    with pytest.raises(StatementError, match="the journal says"):
        statement_of_account([row], closing=eur(6), **given)
    with pytest.raises(StatementError, match="USD"):
        statement_of_account(
            [Row(ON, RowKind.INVOICE, "B1", Money(5, "USD"), Money(5, "USD"), "x")], closing=eur(0), **given
        )


def test_debts_are_aged_on_any_day(db: Any) -> None:
    one = customer()
    one.invoice("a", 12100)  # due 14 days after
    one.pays(100, on=ON + DAY, at=ACT["at"])
    (aged,) = statements.aged_accounts(on=ON, accounts=[one.id])
    assert (aged.ages.not_late, aged.ages.due) == (eur(12100), eur(12100))
    due = aged.items[0].due_on
    for late, bucket in ((0, "not_late"), (1, "to_30"), (30, "to_30"), (31, "to_60"), (61, "to_90"), (91, "older")):
        (aged,) = statements.aged_accounts(on=due + late * DAY, accounts=[one.id])
        assert getattr(aged.ages, bucket) == eur(12000), (late, bucket)
        assert aged.ages.debts == eur(12000)
    assert statements.aged_accounts(on=ON - DAY, accounts=[one.id]) == []
    assert statements.totals([aged, aged])["EUR"].older == eur(24000)


def text_of(printed: bytes) -> str:
    pages = pypdf.PdfReader(io.BytesIO(printed)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).replace("\u00a0", " ").split())


def test_the_pdf_says_it_in_english_and_dutch_and_holds_the_data(db: Any) -> None:
    one = busy()
    found = of(one, ON - 35 * DAY, ON + 28 * DAY)
    (buyer,) = customers.accounts([one.id])
    english = render_statement(found, seller=SELLER, buyer=buyer, language="en")
    dutch = render_statement(found, seller=SELLER, buyer=buyer, language="nl")
    if where := os.environ.get("COULANCE_SHOW"):
        Path(where, "statement-en.pdf").write_bytes(english)
        Path(where, "statement-nl.pdf").write_bytes(dutch)
    due = found.closing.decimal()
    assert f"To be paid €{due}" in text_of(english)
    for said in ("Invoice B2026-000001", "to be paid by", "Payment taken back", "NL91 ABNA 0417 1643 00", "31-60 days"):
        assert said in text_of(english), said
    assert f"Te betalen € {due.replace('.', ',')}" in text_of(dutch)
    assert "Rekeningoverzicht" in text_of(dutch)
    assert render_statement(found, seller=SELLER, buyer=buyer, language="en") == english
    with pikepdf.open(io.BytesIO(english)) as pdf, pdf.open_metadata() as about:
        assert about["pdfaid:part"] == "3"
        assert about["pdfaid:conformance"] == "B"
        data = json.loads(pdf.attachments["statement.json"].get_file().read_bytes())
    assert (data["closing"], len(data["rows"])) == (due, len(found.rows))


def test_names_stay_text_and_words_are_complete(db: Any) -> None:
    one = customer()
    one.invoice("a", 12100)
    (buyer,) = customers.accounts([one.id])
    hostile = buyer._replace(name='#image("/etc/passwd") *x* \\ <b>', address=["] #panic()", "中"])
    printed = render_statement(of(one, ON, ON + DAY), seller=SELLER, buyer=hostile)
    assert '#image("/etc/passwd") *x*' in text_of(printed)
    assert set(TABLE["en"]) == set(TABLE["nl"])
    for key, said in TABLE["en"].items():
        marks = {part.split("}")[0] for part in said.split("{")[1:]}
        assert marks == {part.split("}")[0] for part in TABLE["nl"][key].split("{")[1:]}, key
    assert {f"row_{kind.value}" for kind in RowKind} <= set(TABLE["en"])


def test_nothing_to_pay_asks_for_nothing(db: Any) -> None:
    one = customer()
    (buyer,) = customers.accounts([one.id])
    shown = view(of(one, ON, ON + DAY), seller=SELLER, buyer=buyer)
    assert shown["callout"]["label"] == "Nothing to pay"
    assert shown["callout"]["how"] == []
    one.pays(500)
    shown = view(of(one, ON, ON + DAY), seller=SELLER, buyer=buyer)
    assert (shown["callout"]["label"], shown["callout"]["amount"]) == ("In your favour", "€5.00")
    assert "€5.00 of yours" in shown["unallocated"]
