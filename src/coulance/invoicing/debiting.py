"""Debit notes: taking an issued credit note back, numbered and booked at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import connection, transaction

from coulance.invoicing.errors import UnableToBillTwiceError, UnableToCreditError, UnableToFindDocumentError
from coulance.invoicing.frozen import buyer_of, lines_of, national_of, seller_of, taxes_of
from coulance.invoicing.numbering import issue_documents
from coulance.invoicing.writing import NewDocument, unpack, write_drafts
from coulance.platform import audit
from coulance_core.catalog.terms import NumberSeries
from coulance_core.invoicing import CreditType, DebitError, DocumentDraft, IssuedNote, debit_note
from coulance_core.kernel import Period


@dataclass(frozen=True, slots=True)
class _Reversible:
    """A credit note that may be taken back: its ids, and the days its invoice gave to pay."""

    id: int
    account: int
    note: IssuedNote
    days_to_pay: timedelta


def purpose_of(credit_note: int) -> str:
    """The purpose of the debit note that takes a credit note back: there is one, or none."""
    return f"reverses/{credit_note}"


def issue_debit_note(
    *, number: str, reason: str, at: datetime, issued_on: date, actor: str, series: NumberSeries
) -> str:
    """Take the credit note `number` back whole, and return the debit note's number.

    It is a claim of its own, due after as many days as the invoice gave. What the credit note took off the invoice may
    be credited again. Raises `UnableToFindDocumentError` or `UnableToCreditError`, with nothing changed: for what is no
    credit note, was taken back before, was given by a run (that settles again what it settled), or gave back days that
    were billed anew since.
    """
    with transaction.atomic():
        found = _reversible(number)
        draft = _draft(found, reason, issued_on)
        try:
            (document,) = write_drafts(
                run=None, drafts=[NewDocument(found.account, draft)], purpose=purpose_of(found.id)
            )
        except UnableToBillTwiceError as error:
            raise UnableToCreditError(
                f"{number} gave days back that were billed anew since: credit that document first ({error})"
            ) from error
        issue_documents(ids=[document], series={series.key: series}, at=at)
        with connection.cursor() as cursor:
            cursor.execute("SELECT number FROM invoicing_document WHERE id = %s", [document])
            given: str = cursor.fetchone()[0]
        audit.record(
            actor=actor,
            act="credit_note.reversed",
            subject=f"invoice:{found.note.references['invoice']}",
            at=at,
            reason=reason.strip(),
            detail={"credit_note": number, "debit_note": given, "gross": str(draft.totals.gross)},
        )
    return given


def draft_debit_note(*, number: str, reason: str, issued_on: date) -> DocumentDraft:
    """What `issue_debit_note` would issue, to the cent, with nothing written. Raises what that raises."""
    with transaction.atomic():  # for the lock that reading takes; it is let go at once
        return _draft(_reversible(number), reason, issued_on)


def reversed_by(*, credit_note: int) -> str | None:
    """The number of the debit note that took a credit note (by its id) back; none: it stands."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.number FROM invoicing_document c JOIN invoicing_document d ON d.invoice_id = c.invoice_id"
            " AND d.kind = 'debit_note' AND d.state = 'issued' AND d.purpose = %s WHERE c.id = %s",
            [purpose_of(credit_note), credit_note],
        )
        row = cursor.fetchone()
    return None if row is None else str(row[0])


def taken_back(numbers: Iterable[str]) -> set[str]:
    """Those of these credit notes, by number, that a debit note took back."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.number FROM invoicing_document c JOIN invoicing_document d ON d.invoice_id = c.invoice_id"
            " AND d.kind = 'debit_note' AND d.state = 'issued' AND d.purpose = 'reverses/' || c.id"
            " WHERE c.kind = 'credit_note' AND c.number = ANY(%s)",
            [list(numbers)],
        )
        return {str(row[0]) for row in cursor.fetchall()}


def _draft(found: _Reversible, reason: str, issued_on: date) -> DocumentDraft:
    try:
        return debit_note(found.note, reason=reason, issued_on=issued_on, due_on=issued_on + found.days_to_pay)
    except DebitError as error:
        raise UnableToCreditError(str(error)) from error


def _reversible(number: str) -> _Reversible:
    with connection.cursor() as cursor:
        # Crediting locks the invoice: whoever gives and whoever takes back wait for each other.
        cursor.execute(
            "SELECT d.id, d.account_id, d.kind, d.run_id, d.issued_on, d.tax_point, d.period_name, d.period_start,"
            "       d.period_end, d.currency, d.tax_rounding, d.credit_type, b.snapshot, i.due_on - i.issued_on"
            "  FROM invoicing_document d JOIN invoicing_document_body b ON b.document_id = d.id"
            "  LEFT JOIN invoicing_document i ON i.id = d.invoice_id WHERE d.number = %s",
            [number],
        )
        row = cursor.fetchone()
        if row is None:
            raise UnableToFindDocumentError(f"there is no document {number!r}")
        if row[2] != "credit_note":
            raise UnableToCreditError(f"{number} is a {row[2].replace('_', ' ')}: only credit notes are taken back so")
        cursor.execute(
            "SELECT i.id FROM invoicing_document i JOIN invoicing_document d ON d.invoice_id = i.id"
            " WHERE d.id = %s FOR NO KEY UPDATE OF i",
            [row[0]],
        )
    if row[3] is not None:
        raise UnableToCreditError(
            f"{number} was given by the close of {row[6]}, for what it settled: put that right, and the next close "
            "settles the difference"
        )
    before = reversed_by(credit_note=row[0])
    if before is not None:
        raise UnableToCreditError(f"{number} was taken back by {before} already")
    snapshot = unpack(bytes(row[12]), number)
    currency = row[9]
    note = IssuedNote(
        number=number,
        issued_on=row[4],
        credit_type=CreditType(row[11]),
        references={key: value for key, value in snapshot["references"].items() if key != "period"},
        period_name=row[6],
        period=Period(row[7], row[8]),
        seller=seller_of(snapshot["seller"]),
        buyer=buyer_of(snapshot["buyer"], currency, snapshot["language"]),
        currency=currency,
        lines=lines_of(row[0], currency, snapshot),
        tax=taxes_of(row[0], currency),
        tax_rounding=row[10],
        tax_point=row[5],
        national=national_of(snapshot),
    )
    return _Reversible(row[0], row[1], note, timedelta(days=max(row[13], 0)))
