"""Auditing issued documents: numbers without gaps, sums that hold, and a journal that says the same.

The database refuses what would break these; this recomputes them from the rows, for whoever doubts the guards.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection

from coulance.invoicing.numbering import document_source
from coulance.invoicing.writing import unpack
from coulance.ledger import queries as ledger
from coulance_core.invoicing import SnapshotError, check
from coulance_core.kernel import Money
from coulance_core.ledger import Posting

_BATCH = 2000


@dataclass(frozen=True, slots=True)
class DocumentFault:
    """What is wrong, and where: a series (`series base 2026`) or a document (`document B2026-000017`)."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def check_documents() -> Iterator[DocumentFault]:
    """Every fault among issued documents, as it is found; nothing for sound ones. Reads, never writes."""
    yield from _check_series()
    last = 0
    while rows := _issued_after(last):
        yield from _check_batch(rows)
        last = rows[-1][0]


def _check_series() -> Iterator[DocumentFault]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n.series, n.year, n.first, n.last, count(d.id), min(d.series_no), max(d.series_no)"
            "  FROM invoicing_number_series n LEFT JOIN invoicing_document d"
            "    ON d.series = n.series AND d.series_year = n.year AND d.series_no IS NOT NULL"
            " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2"
        )
        for series, year, first, last, count, least, most in cursor.fetchall():
            where = f"series {series} {year}" if year else f"series {series}"
            given = 0 if last is None else last - first + 1
            if count != given or (count and (least, most) != (first, last)):
                missing = _first_missing(series, year, first, last or first - 1)
                tail = f"; the first missing is {missing}" if missing is not None else ""
                yield DocumentFault(where, f"gave {given} numbers from {first} on, and {count} are in use{tail}")
        cursor.execute(
            "SELECT series, series_year, count(*) FROM invoicing_document d WHERE series_no IS NOT NULL"
            " AND NOT EXISTS (SELECT 1 FROM invoicing_number_series n"
            "                  WHERE n.series = d.series AND n.year = d.series_year) GROUP BY 1, 2"
        )
        for series, year, count in cursor.fetchall():
            yield DocumentFault(f"series {series} {year}", f"{count} documents have its numbers, and it gave none")


def _first_missing(series: str, year: int, first: int, last: int) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(n) FROM generate_series(%s::bigint, %s::bigint) n WHERE NOT EXISTS (SELECT 1"
            " FROM invoicing_document d WHERE d.series = %s AND d.series_year = %s AND d.series_no = n)",
            [first, last, series, year],
        )
        found: int | None = cursor.fetchone()[0]
        return found


def _issued_after(last: int) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.id, d.number, d.kind, d.currency, d.net, d.tax, d.gross, b.snapshot, b.accounts, b.amounts,"
            "  (SELECT coalesce(sum(l.net), 0)::bigint FROM invoicing_document_line l WHERE l.document_id = d.id),"
            "  (SELECT coalesce(sum(t.tax), 0)::bigint FROM invoicing_document_tax t WHERE t.document_id = d.id)"
            " FROM invoicing_document d LEFT JOIN invoicing_document_body b ON b.document_id = d.id"
            " WHERE d.state = 'issued' AND d.id > %s ORDER BY d.id LIMIT %s",
            [last, _BATCH],
        )
        rows: list[Any] = cursor.fetchall()
        return rows


def _check_batch(rows: list[Any]) -> Iterator[DocumentFault]:
    booked = ledger.entries(sources=[document_source(row[0]) for row in rows])
    for document, number, kind, code, net, tax, gross, stored, accounts, amounts, lines, taxes in rows:
        where = f"document {number}"
        if (lines, taxes, net + tax) != (net, tax, gross):
            yield DocumentFault(where, f"its lines sum to {lines}, its tax to {taxes}, its totals say {net} and {tax}")
        if stored is None:
            yield DocumentFault(where, "has no content")
            continue
        snapshot = unpack(bytes(stored), number)
        try:
            check(snapshot)
        except SnapshotError as error:
            yield DocumentFault(where, f"its snapshot contradicts itself: {error}")
        if snapshot["totals"]["gross"] != Money(gross, code).decimal():
            yield DocumentFault(where, f"its snapshot says {snapshot['totals']['gross']}, its row {gross} minor units")
        entry = booked.get(document_source(document))
        legs = tuple(Posting(account, amount, code) for account, amount in zip(accounts, amounts, strict=True))
        if entry is None:
            if legs:
                yield DocumentFault(where, "is issued and not in the journal")
        elif entry.postings != legs:
            yield DocumentFault(where, "the journal booked something else than it says")
        if entry is not None and kind == "usage_statement":
            yield DocumentFault(where, "is a statement, and was booked")
