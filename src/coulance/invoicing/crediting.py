"""Credit notes on issued invoices, numbered and booked at once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db import connection, transaction

from coulance.invoicing.errors import UnableToCreditError, UnableToFindDocumentError
from coulance.invoicing.frozen import buyer_of, lines_of, national_of, seller_of, taxes_of
from coulance.invoicing.numbering import issue_documents
from coulance.invoicing.writing import NewDocument, unpack, write_drafts
from coulance.platform import audit
from coulance_core.catalog.terms import NumberSeries
from coulance_core.invoicing import (
    CreditError,
    CreditRequest,
    CreditType,
    DocumentDraft,
    Issued,
    NationalRate,
    credit_note,
)
from coulance_core.kernel import Money, Period

CREDITABLE = ("base_invoice", "overage_invoice", "fee_invoice", "interest_invoice")
"""Kinds of documents that a credit note can be on."""


@dataclass(frozen=True, slots=True)
class CreditableLine:
    """A line of an invoice: its net as issued, and what earlier credit notes left of it."""

    no: int
    service: str
    description: str
    net: Money
    left: Money


def issue_credit_note(
    *,
    number: str,
    lines: Sequence[CreditRequest] | None,
    credit_type: CreditType,
    reason: str,
    at: datetime,
    issued_on: date,
    actor: str,
    series: NumberSeries,
    tax_point: date | None = None,
    national: NationalRate | None = None,
) -> str:
    """Credit lines of the invoice `number` (none: all that is left), and return the credit note's number.

    Numbered, booked and written to the audit log in one transaction. `tax_point` is the invoice's when not given.
    Raises `UnableToFindDocumentError` or `UnableToCreditError`, with nothing changed.
    """
    with transaction.atomic():
        account, invoice, invoice_tax_point = creditable(number)
        draft = _draft(invoice, lines, credit_type, reason, issued_on, tax_point or invoice_tax_point, national)
        (document,) = write_drafts(run=None, drafts=[NewDocument(account, draft)], purpose="credit")
        issue_documents(ids=[document], series={series.key: series}, at=at)
        with connection.cursor() as cursor:
            cursor.execute("SELECT number FROM invoicing_document WHERE id = %s", [document])
            given: str = cursor.fetchone()[0]
        audit.record(
            actor=actor,
            act="invoice.credited",
            subject=f"invoice:{number}",
            at=at,
            reason=reason.strip(),
            detail={"credit_note": given, "type": credit_type.value, "gross": str(draft.totals.gross)},
        )
    return given


def draft_credit_note(
    *,
    number: str,
    lines: Sequence[CreditRequest] | None,
    credit_type: CreditType,
    reason: str,
    issued_on: date,
    tax_point: date | None = None,
    national: NationalRate | None = None,
) -> DocumentDraft:
    """What `issue_credit_note` would issue, to the cent, with nothing written. Raises what that raises."""
    with transaction.atomic():  # for the lock that reading takes; it is let go at once
        _, invoice, invoice_tax_point = creditable(number)
        return _draft(invoice, lines, credit_type, reason, issued_on, tax_point or invoice_tax_point, national)


def creditable_lines(number: str) -> list[CreditableLine]:
    """The lines of an invoice, with what is left to credit of each. Raises `UnableToCreditError`."""
    with transaction.atomic():
        _, invoice, _ = creditable(number)
    return [
        CreditableLine(
            line.no,
            line.service.name if line.service else line.pool,
            line.description,
            line.net,
            line.net - Money(invoice.credited.get(line.no, 0), invoice.currency),
        )
        for line in invoice.lines
    ]


def booked_of_lines(lines: Collection[tuple[str, int]]) -> dict[tuple[str, int], Money]:
    """What is left on each line's own ledger account: its net, less credit notes, plus debit notes on those.

    By (number, line). Compensation is another account's, so it takes nothing off.
    """
    numbers, nos = [number for number, _ in lines], [no for _, no in lines]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.number, l.no, d.currency, l.net + coalesce((SELECT sum(x.net) FROM invoicing_document c"
            " JOIN invoicing_document_line x ON x.document_id = c.id WHERE c.number IS NOT NULL"
            " AND (c.invoice_id = d.id OR c.invoice_id IN (SELECT n.id FROM invoicing_document n"
            " WHERE n.invoice_id = d.id)) AND x.credits_no = l.no AND x.account = l.account), 0)::bigint"
            " FROM unnest(%s::text[], %s::int[]) AS wanted(number, no) JOIN invoicing_document d USING (number)"
            " JOIN invoicing_document_line l ON l.document_id = d.id AND l.no = wanted.no",
            [numbers, nos],
        )
        return {(number, no): Money(minor, code) for number, no, code, minor in cursor.fetchall()}


def _draft(
    invoice: Issued,
    lines: Sequence[CreditRequest] | None,
    credit_type: CreditType,
    reason: str,
    issued_on: date,
    tax_point: date,
    national: NationalRate | None,
) -> DocumentDraft:
    try:
        return credit_note(
            invoice,
            lines=lines,
            credit_type=credit_type,
            reason=reason,
            issued_on=issued_on,
            tax_point=tax_point,
            national=national,
        )
    except CreditError as error:
        raise UnableToCreditError(str(error)) from error


def creditable(number: str) -> tuple[int, Issued, date]:
    """An issued invoice as crediting needs it, its account's database id and its tax point; locked against others.

    Drafts of credit notes count as given, so that two runs cannot promise the same cent twice.
    """
    return _creditable("d.number = %s", number)


def as_if_issued(document: int) -> tuple[int, Issued, date]:
    """The same of a draft that waits to be issued, its number still empty: what could be given on it once it is."""
    return _creditable("d.state = 'draft' AND d.id = %s", document)


_INVOICE = (
    "SELECT d.id, d.account_id, d.kind, d.state, d.issued_on, d.period_name, d.period_start, d.period_end,"
    "       d.currency, d.tax_rounding, d.tax_point, b.snapshot, d.number"
    "  FROM invoicing_document d JOIN invoicing_document_body b ON b.document_id = d.id WHERE "
)


def _creditable(where: str, what: str | int) -> tuple[int, Issued, date]:
    with connection.cursor() as cursor:
        cursor.execute(
            _INVOICE + where + " FOR NO KEY UPDATE OF d",
            [what],
        )
        row = cursor.fetchone()
        if row is None:
            raise UnableToFindDocumentError(f"there is no document {what!r}")
        document, account, kind, _, issued_on, period_name, start, end, currency, rounding, tax_point, stored = row[:12]
        number = row[12] or ""
        if kind not in CREDITABLE:
            raise UnableToCreditError(f"{number} is a {kind.replace('_', ' ')}: only invoices are credited")
        cursor.execute(
            "SELECT l.credits_no, sum(l.net)::bigint FROM invoicing_document_line l"
            " JOIN invoicing_document c ON c.id = l.document_id WHERE c.invoice_id = %s GROUP BY 1",
            [document],
        )
        credited = {no: -net for no, net in cursor.fetchall() if no is not None}
        cursor.execute(
            "SELECT t.code, sum(t.tax)::bigint FROM invoicing_document_tax t"
            " JOIN invoicing_document c ON c.id = t.document_id"
            " WHERE c.invoice_id = %s AND c.credit_type <> 'damages' GROUP BY 1",
            [document],
        )
        credited_tax = {code: -tax for code, tax in cursor.fetchall()}
        cursor.execute(
            "SELECT w.tax_code, sum(l.net)::bigint FROM invoicing_document_line l"
            " JOIN invoicing_document c ON c.id = l.document_id AND c.credit_type = 'damages'"
            " JOIN invoicing_document_line w ON w.document_id = c.invoice_id AND w.no = l.credits_no"
            " WHERE c.invoice_id = %s GROUP BY 1",
            [document],
        )
        damages = {code: -net for code, net in cursor.fetchall()}
    snapshot = unpack(bytes(stored), number)
    invoice = Issued(
        number=number,
        issued_on=issued_on,
        period_name=period_name,
        period=Period(start, end),
        seller=seller_of(snapshot["seller"]),
        buyer=buyer_of(snapshot["buyer"], currency, snapshot["language"]),
        currency=currency,
        lines=lines_of(document, currency, snapshot),
        tax=taxes_of(document, currency),
        tax_rounding=rounding,
        credited=credited,
        credited_tax=credited_tax,
        damages=damages,
        national=national_of(snapshot),
    )
    return account, invoice, tax_point
