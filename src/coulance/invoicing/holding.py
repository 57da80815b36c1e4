"""Overage invoices that wait for their customer's choice: drafts that a run leaves without a number until it is made.

A draft that waits has its content and no number, so the series stays without gaps; when it is issued it is dated then.
What became of it is kept, whether it was issued, replaced, or given up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import connection, transaction

from coulance.invoicing.errors import UnableToFindDocumentError, UnableToNumberError
from coulance.invoicing.numbering import issue_documents
from coulance.invoicing.writing import discard, pack, rewrite_draft, unpack
from coulance_core.catalog.provider import NumberSeries
from coulance_core.invoicing import DocumentDraft
from coulance_core.kernel import Money, require_aware


class UnableToSettleHeldError(RuntimeError):
    """It doesn't wait: it never did, or what it waited for was settled before."""


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A document that waits, or waited. `told` counts who was asked by mail; `until` is none before anybody was.

    Once it ended: `way` (`pay`, `silence`, `released`, ...), by whom, why, and the numbers that came of it.
    """

    document: int
    account: int
    period_name: str
    gross: Money
    why: str
    held_at: datetime
    told_at: datetime | None
    told: int
    until: datetime | None
    ended_at: datetime | None
    ended_by: str
    way: str
    reason: str
    made: tuple[str, ...]


_HELD = (
    "SELECT document_id, account_id, period_name, gross, currency, why, held_at, told_at, told, until, ended_at,"
    " ended_by, way, reason, made FROM invoicing_held "
)


def hold_documents(*, documents: Sequence[int], why: str, at: datetime) -> None:
    """Have these drafts wait: no run numbers them. In the transaction that wrote them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO invoicing_held (document_id, account_id, period_name, gross, currency, why, held_at)"
            " SELECT id, account_id, period_name, gross, currency, %s, %s FROM invoicing_document"
            " WHERE id = ANY(%s) AND state = 'draft'",
            [why, require_aware(at), list(documents)],
        )


def held(
    *, account: int | None = None, document: int | None = None, ended: bool | None = False, limit: int = 1000
) -> list[HeldRow]:
    """What waits (`ended` false), what was settled (true), or both (none): those that end first come first."""
    return _rows(
        "WHERE (%s::bigint IS NULL OR account_id = %s) AND (%s::bigint IS NULL OR document_id = %s)"
        " AND (%s::boolean IS NULL OR (ended_at IS NOT NULL) = %s)"
        " ORDER BY ended_at DESC NULLS FIRST, until NULLS FIRST, document_id LIMIT %s",
        [account, account, document, document, ended, ended, limit],
    )


def newest_held(*, before: int | None = None, ended: bool = False, limit: int) -> list[HeldRow]:
    """What waits, the latest made first; with `ended` what was settled too; those made before that document."""
    return _rows(
        "WHERE (%s::bigint IS NULL OR document_id < %s) AND (%s OR ended_at IS NULL)"
        " ORDER BY document_id DESC LIMIT %s",
        [before, before, ended, limit],
    )


def untold(*, limit: int = 1000) -> list[HeldRow]:
    """Those whose run is finished and whose customer was not asked yet."""
    return _rows(
        "WHERE told_at IS NULL AND ended_at IS NULL AND EXISTS (SELECT 1 FROM invoicing_document d"
        " JOIN invoicing_run r ON r.id = d.run_id AND r.state = 'closed' WHERE d.id = document_id)"
        " ORDER BY document_id LIMIT %s",
        [limit],
    )


def lapsed(*, at: datetime, limit: int = 1000) -> list[HeldRow]:
    """Those whose wait is over, the longest over first."""
    return _rows(
        "WHERE ended_at IS NULL AND until <= %s ORDER BY until, document_id LIMIT %s", [require_aware(at), limit]
    )


def waiting_accounts(*, accounts: Sequence[int], but: str) -> dict[int, HeldRow]:
    """Of these accounts, those with an invoice that waits, of another period than `but`."""
    found = _rows(
        "WHERE ended_at IS NULL AND account_id = ANY(%s) AND period_name <> %s ORDER BY document_id",
        [list(accounts), but],
    )
    return {row.account: row for row in found}


def lock_held(*, document: int) -> HeldRow:
    """One that waits, locked until the transaction ends. Raises `UnableToSettleHeldError`."""
    rows = _rows("WHERE document_id = %s FOR UPDATE", [document])
    if not rows:
        raise UnableToSettleHeldError(f"document {document} does not wait for anybody")
    if rows[0].ended_at is not None:
        raise UnableToSettleHeldError(f"document {document} was settled before: {rows[0].way}")
    return rows[0]


def mark_told(*, document: int, told: int, until: datetime, at: datetime) -> None:
    """Say that its customer was asked now, `told` people by mail; the wait ends at `until`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE invoicing_held SET told_at = %s, told = %s, until = %s"
            " WHERE document_id = %s AND told_at IS NULL AND ended_at IS NULL",
            [require_aware(at), told, require_aware(until), document],
        )


def issue_held(*, document: int, on: date, series: dict[str, NumberSeries], at: datetime) -> str:
    """Number, issue and book a draft that waited, dated `on`; gives its number. In the caller's transaction.

    It is due as many days later as it would have been, and never dated before the newest document of its series:
    numbers follow dates. End its wait in the same transaction.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.series, d.issued_on, d.due_on, b.snapshot, b.accounts, b.amounts FROM invoicing_document d"
            " JOIN invoicing_document_body b ON b.document_id = d.id WHERE d.id = %s AND d.state = 'draft' FOR UPDATE",
            [document],
        )
        row = cursor.fetchone()
        if row is None:
            raise UnableToFindDocumentError(f"there is no draft {document}")
        key, issued_on, due_on, stored, accounts, amounts = row
        if key not in series:
            raise UnableToNumberError(f"draft {document} wants a number of series {key!r}, which the catalog lacks")
        # Whoever numbers in this series waits from here on: read after that, the newest day stays the newest.
        cursor.execute("SELECT 1 FROM invoicing_number_series WHERE series = %s ORDER BY year FOR UPDATE", [key])
        cursor.execute("SELECT max(issued_on) FROM invoicing_document WHERE state = 'issued' AND series = %s", [key])
        (newest,) = cursor.fetchone()
        day = max(on, issued_on, newest or on)
        due = day + (due_on - issued_on)
        snapshot = unpack(bytes(stored), None) | {"issued_on": day.isoformat(), "due_on": due.isoformat()}
        cursor.execute("DELETE FROM invoicing_document_body WHERE document_id = %s", [document])
        cursor.execute(
            "INSERT INTO invoicing_document_body (document_id, snapshot, accounts, amounts) VALUES (%s, %s, %s, %s)",
            [document, pack(snapshot), accounts, amounts],
        )
        cursor.execute("UPDATE invoicing_document SET issued_on = %s, due_on = %s WHERE id = %s", [day, due, document])
        issue_documents(ids=[document], series=series, at=at)
        cursor.execute("SELECT number FROM invoicing_document WHERE id = %s", [document])
        number: str = cursor.fetchone()[0]
    return number


def lower_held(*, document: int, account: int, lowered: DocumentDraft) -> None:
    """Rewrite a draft that waits as `lowered`, which has its lines and more: the same document, and less to pay.

    In the caller's transaction, with the wait locked.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.gross, b.snapshot FROM invoicing_document d"
            " JOIN invoicing_document_body b ON b.document_id = d.id"
            " WHERE d.id = %s AND d.account_id = %s AND d.state = 'draft' FOR UPDATE OF d",
            [document, account],
        )
        row = cursor.fetchone()
        if row is None:
            raise UnableToFindDocumentError(f"there is no draft {document}")
        if lowered.totals.gross.minor >= row[0]:
            raise UnableToSettleHeldError(f"draft {document} would come to no less")
        usage = unpack(bytes(row[1]), None)["usage"]
        rewrite_draft(document=document, draft=lowered, usage=usage)
        cursor.execute(
            "UPDATE invoicing_held SET gross = %s WHERE document_id = %s AND ended_at IS NULL",
            [lowered.totals.gross.minor, document],
        )


def replace_held(*, document: int) -> tuple[int | None, str]:
    """Throw a draft that waited away, since another takes its place; gives its run and purpose for that."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT run_id, purpose FROM invoicing_document WHERE id = %s AND state = 'draft' FOR UPDATE", [document]
        )
        row = cursor.fetchone()
        if row is None:
            raise UnableToFindDocumentError(f"there is no draft {document}")
    discard([document])
    return row[0], row[1]


def end_hold(*, document: int, way: str, made: Sequence[str], actor: str, reason: str, at: datetime) -> None:
    """Say what became of it, and which numbers came of that."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE invoicing_held SET ended_at = %s, ended_by = %s, way = %s, reason = %s, made = %s"
            " WHERE document_id = %s AND ended_at IS NULL",
            [require_aware(at), actor, way, reason, list(made), document],
        )
        if not cursor.rowcount:
            raise UnableToSettleHeldError(f"document {document} was settled before")


def _rows(where: str, values: list[Any]) -> list[HeldRow]:
    with connection.cursor() as cursor:
        cursor.execute(_HELD + where, values)
        return [
            HeldRow(
                row[0], row[1], row[2], Money(row[3], row[4]), row[5], row[6], row[7], row[8], row[9], row[10], row[11],
                row[12], row[13], tuple(row[14]),
            )
            for row in cursor.fetchall()
        ]  # fmt: skip
