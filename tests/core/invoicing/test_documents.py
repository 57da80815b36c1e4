"""Documents: sums, postings and snapshots agree whatever the lines; credit notes never take more than there is."""

import json
from dataclasses import replace
from datetime import date
from fractions import Fraction

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.invoicing.samples import ON, SERVICE, bill_line, buyer, document, documents

from coulance_core.catalog.terms import NumberSeries, PriceBasis, Resets, TaxRounding
from coulance_core.invoicing import (
    SCHEMA,
    CreditError,
    CreditRequest,
    CreditType,
    DocumentDraft,
    DocumentError,
    DocumentKind,
    Issued,
    NationalRate,
    SnapshotError,
    assemble,
    check,
    credit_note,
    decide_carry,
    entry_for,
    journal,
    next_block,
    series_year,
    snapshot_of,
    sql_format,
    write,
)
from coulance_core.kernel import Money
from coulance_core.ledger import fold

PARTY = bytes(16)
VALIDATOR = jsonschema.Draft202012Validator(dict(SCHEMA))


@given(documents())
def test_sum_of_lines_is_total_is_ledger_is_snapshot(draft: DocumentDraft) -> None:
    totals = draft.totals
    assert sum(line.net.minor for line in draft.lines) == totals.net.minor
    assert totals.gross == totals.net + totals.tax
    entry = entry_for(draft, party=PARTY, source="document/1")
    booked = fold([entry] if entry else [])  # an Entry balances or does not exist
    assert entry is not None or not any(line.net.minor for line in draft.lines) or not totals.gross.minor
    assert booked.get(("receivable", draft.currency), 0) == totals.gross.minor
    taxes = sum(amount for (account, _), amount in booked.items() if account.startswith("tax:"))
    assert -taxes == totals.tax.minor
    snapshot = json.loads(json.dumps(snapshot_of(draft)))
    VALIDATOR.validate(snapshot)
    check(snapshot)
    assert snapshot["totals"]["gross"] == totals.gross.decimal()


@given(documents())
@settings(max_examples=25)
def test_the_same_lines_give_the_same_document(draft: DocumentDraft) -> None:
    again = replace(draft)
    assert snapshot_of(again) == snapshot_of(draft)
    assert journal(again) == journal(draft)


@given(documents(), st.data())
def test_credit_notes_end_at_nothing_left_and_reverse_every_cent(draft: DocumentDraft, data: st.DataObject) -> None:
    invoice = Issued.of(draft, "O2026-000001")
    notes: list[DocumentDraft] = []
    for _ in range(3):  # part of some lines, three times
        chosen = [
            line for line in draft.lines if invoice.left(line) > 0 and data.draw(st.booleans(), label=f"line {line.no}")
        ]
        requests = [
            CreditRequest(line.no, Money(data.draw(st.integers(1, invoice.left(line))), draft.currency))
            for line in chosen
        ]
        try:
            note = _credit(invoice, requests)
        except CreditError:
            continue
        notes.append(note)
        invoice = invoice.after(note)
    if any(invoice.left(line) for line in draft.lines):
        try:
            note = _credit(invoice, None)
        except DocumentError:  # all that is left is a discount: nothing to give back
            return
        notes.append(note)
        invoice = invoice.after(note)
    assert all(invoice.left(line) == 0 for line in draft.lines)
    total = sum(note.totals.gross.minor for note in notes)
    assert total == -draft.totals.gross.minor
    entries = [entry_for(d, party=PARTY, source=f"document/{i}") for i, d in enumerate([draft, *notes])]
    left = fold([entry for entry in entries if entry is not None])
    assert left.get(("receivable", draft.currency), 0) == 0
    assert not any(amount for (account, _), amount in left.items() if account.startswith("tax:"))
    for note in notes:
        VALIDATOR.validate(json.loads(json.dumps(snapshot_of(note))))
        check(snapshot_of(note))
    with pytest.raises(CreditError, match="nothing is left"):
        _credit(invoice, None)


def _credit(
    invoice: Issued, lines: list[CreditRequest] | None, kind: CreditType = CreditType.PRICE_REDUCTION
) -> DocumentDraft:
    return credit_note(invoice, lines=lines, credit_type=kind, reason="Outage", issued_on=ON, tax_point=ON)


def test_a_credit_names_its_invoice_type_and_original_rate() -> None:
    draft = document([bill_line(1000), bill_line(500, tax_class="reduced")])
    note = _credit(Issued.of(draft, "O2026-000007"), [CreditRequest(2, Money(200, "EUR"))])
    assert note.references == {"invoice": "O2026-000007", "invoice_issued_on": "2026-11-04"}
    assert [(t.code, t.base.minor, t.tax.minor) for t in note.tax] == [("NL-9", -200, -18)]
    assert note.lines[0].credits == 2
    assert note.lines[0].explanation.recompute()["net"] == -2
    shown = snapshot_of(note)
    assert (shown["type"], shown["lines"][0]["credits_line"]) == ("price_reduction", 2)


def test_damages_reverse_no_tax_and_their_tax_stays_reversed_never() -> None:
    draft = document([bill_line(1000)])
    invoice = Issued.of(draft, "O1")
    damages = _credit(invoice, [CreditRequest(1, Money(400, "EUR"))], CreditType.DAMAGES)
    assert (damages.totals.net.minor, damages.totals.tax.minor) == (-400, 0)
    assert {p.account: p.amount for p in journal(damages)} == {"receivable": -400, "damages": 400}
    rest = _credit(invoice.after(damages), None)
    assert (rest.totals.net.minor, rest.totals.tax.minor) == (-600, -126)


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ([CreditRequest(1, Money(1001, "EUR"))], "10.00 EUR left to credit, not 10.01"),
        ([CreditRequest(1, Money(0, "EUR"))], "left to credit"),
        ([CreditRequest(1, Money(-1, "EUR"))], "left to credit"),
        ([CreditRequest(9)], "no line 9: expected 1 to 2"),
        ([CreditRequest(1), CreditRequest(1)], "twice"),
        ([CreditRequest(1, Money(1, "USD"))], "is in EUR"),
        ([CreditRequest(1)], "credit the discount's line too"),
        ([], "nothing is left"),
    ],
)
def test_impossible_credits_are_refused(requests: list[CreditRequest], message: str) -> None:
    invoice = Issued.of(document([bill_line(1000), bill_line(-300, "maximum_discount")]), "O1")
    with pytest.raises(CreditError, match=message):
        _credit(invoice, requests)


def test_a_credit_says_why() -> None:
    with pytest.raises(CreditError, match="give a reason"):
        credit_note(
            Issued.of(document([bill_line(1)]), "O1"),
            lines=None,
            credit_type=CreditType.CORRECTION,
            reason="  ",
            issued_on=ON,
            tax_point=ON,
        )


def test_a_discount_is_credited_with_what_it_discounted() -> None:
    draft = document([bill_line(1000), bill_line(-300, "maximum_discount")])
    note = _credit(Issued.of(draft, "O1"), None)
    assert note.totals.gross == -draft.totals.gross


def test_invoices_below_zero_mixed_currencies_and_broken_sums_cannot_exist() -> None:
    with pytest.raises(DocumentError, match="is a credit note"):
        document([bill_line(-5, "credit")])
    with pytest.raises(DocumentError, match="is in USD"):
        document([bill_line(5, code="USD")])
    good = document([bill_line(500)])
    with pytest.raises(DocumentError, match="not the sums"):
        replace(good, totals=replace(good.totals, tax=Money(1, "EUR"), gross=Money(501, "EUR")))
    with pytest.raises(DocumentError, match="bases of tax"):
        replace(good, lines=())
    with pytest.raises(DocumentError, match="has a type"):
        replace(good, kind=DocumentKind.CREDIT_NOTE)
    with pytest.raises(DocumentError, match="made from its invoice"):
        document([bill_line(5)], DocumentKind.CREDIT_NOTE)


def test_prices_with_tax_explain_how_they_became_net() -> None:
    draft = document([bill_line(999)] * 3, prices=PriceBasis.GROSS, algorithm=TaxRounding.SUM_BY_GROSS)
    assert draft.totals.gross.minor == 2997
    for line in draft.lines:
        assert line.explanation.recompute()["net"] == line.net.amount
    assert [line.explanation.recompute()["moved to keep the total"] for line in draft.lines] == [
        0,
        0,
        Fraction(-1, 100),
    ]


def test_base_and_overage_book_apart_and_carried_amounts_clear_their_account() -> None:
    draft = document([bill_line(100, "base"), bill_line(20, "overage"), bill_line(3, "carried")])
    assert {p.account: p.amount for p in journal(draft)} == {
        "receivable": 149,
        "revenue:base": -100,
        "revenue:overage": -20,
        "carried": -3,
        "tax:NL-21": -26,
    }


def test_national_tax_is_stated_by_a_dated_rate() -> None:
    rate = NationalRate("EUR", Fraction("0.8765"), date(2026, 11, 3), "ECB")
    draft = document([bill_line(10_000, code="USD")], code="USD", national=rate)
    shown = snapshot_of(draft)["national"]
    # 21.00 USD x 0.8765 = 18.4065
    assert shown == {"currency": "EUR", "rate": "0.8765", "date": "2026-11-03", "tax": "18.41", "source": "ECB"}
    with pytest.raises(DocumentError, match="above zero"):
        document([bill_line(1, code="USD")], code="USD", national=replace(rate, rate=Fraction(0)))


def test_a_statement_of_nothing_books_nothing() -> None:
    draft = document([], DocumentKind.USAGE_STATEMENT)
    assert journal(draft) == ()
    assert entry_for(draft, party=PARTY, source="document/1") is None
    VALIDATOR.validate(snapshot_of(draft))


def test_a_snapshot_that_contradicts_itself_is_caught() -> None:
    good = json.dumps(snapshot_of(document([bill_line(1000), bill_line(50)])))

    def spoil(change: str) -> None:
        snapshot = json.loads(good)
        exec(change, {"s": snapshot})
        with pytest.raises(SnapshotError):
            check(snapshot)

    check(json.loads(good))
    for change in (
        "s['schema'] = 'coulance.document/0'",
        "s['lines'][0]['net'] = '10.01'",
        "s['lines'][0]['net'] = '10.0'",
        "s['lines'][1]['no'] = 1",
        "s['tax'][0]['base'] = '10.51'",
        "s['tax'][0]['tax'] = '2.22'",
        "s['totals']['gross'] = '12.72'",
        "s['lines'][0]['explanation']['steps'][0][3] = '11'",
        "s['national'] = {'rate': '0'}",
    ):
        spoil(change)


def test_two_rates_under_one_code_are_refused() -> None:
    from tests.core.invoicing.samples import PERIOD, SELLER

    from coulance_core.catalog.terms import TaxRate, TaxTable
    from coulance_core.invoicing import TaxTerms

    table = TaxTable(
        tuple(
            TaxRate("NL", name, Fraction(p), date(2020, 1, 1), "VAT") for name, p in (("standard", 21), ("reduced", 9))
        )
    )
    with pytest.raises(DocumentError, match="two rates"):
        assemble(
            kind=DocumentKind.OVERAGE_INVOICE,
            period_name="2026-10",
            period=PERIOD,
            seller=SELLER,
            buyer=buyer(),
            lines=[bill_line(1), bill_line(1, tax_class="reduced")],
            terms=TaxTerms(table),
            issued_on=ON,
            tax_point=ON,
            payment_days=14,
        )


def test_numbers() -> None:
    base = NumberSeries("base", "B{year}-{number:06d}", start=100)
    assert write(base, 7, ON) == "B2026-000007"
    assert next_block(base, year=2026, last=None, count=3).last == 102
    assert next_block(base, year=2026, last=102, count=0).last == 102
    with pytest.raises(ValueError, match="0 numbers or more"):
        next_block(base, year=2026, last=None, count=-1)
    plain = NumberSeries("credit", "{number}/X", Resets.NEVER)
    assert (series_year(base, ON), series_year(plain, ON)) == (2026, 0)


@given(
    st.sampled_from(
        ["B{year}-{number:06d}", "{number}", "0{number:03d}0", "{number:02d}-{year}", "{year}{number:05d}/NL"]
    ),
    st.integers(0, 10**9),
    st.integers(2000, 2099),
)
def test_numbers_written_by_the_database_are_those_written_here(form: str, number: int, year: int) -> None:
    series = NumberSeries("x", form, Resets.YEARLY if "{year}" in form else Resets.NEVER)
    prefix, width, suffix = sql_format(series, year)
    assert prefix + str(number).rjust(width, "0") + suffix == write(series, number, date(year, 6, 1))


def test_small_amounts_wait_and_not_for_ever() -> None:
    least, small = Money(500, "EUR"), Money(499, "EUR")
    on, later = date(2026, 11, 1), date(2027, 11, 1)
    assert decide_carry(small, below=least, on=on, bill_by=later).carry
    assert not decide_carry(small, below=least, on=later, bill_by=later).carry
    assert not decide_carry(small, below=least, on=on, closing=True).carry
    assert not decide_carry(least, below=least, on=on).carry
    assert not decide_carry(Money(0, "EUR"), below=least, on=on).carry
    assert not decide_carry(Money(-499, "EUR"), below=least, on=on).carry
    assert not decide_carry(small, below=None, on=on).carry
    with pytest.raises(ValueError, match="mix"):
        decide_carry(small, below=Money(500, "USD"), on=on)


def test_services_travel_on_lines() -> None:
    draft = document([bill_line(10)])
    assert draft.lines[0].service is SERVICE
    assert snapshot_of(draft)["lines"][0]["service"] == {"id": "s-1", "name": "web1"}
