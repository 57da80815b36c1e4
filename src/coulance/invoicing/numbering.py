"""The final block step: numbers without gaps, issue, and the journal, in one transaction or not at all.

Documents are computed in parallel and in any order; numbers are given here, in the order of customers' external ids,
under a lock on each series. Killed at any instant, either every document has its number and its entry, or none has.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any

from django.db import connection, transaction

from coulance.invoicing.errors import UnableToNumberError
from coulance.invoicing.runs import lock_run
from coulance.ledger.operations import parties_for, post_entries
from coulance.platform import audit, webhooks
from coulance_core.catalog.provider import NumberSeries, Resets
from coulance_core.invoicing import Block, carry_entry, next_block, series_year, sql_format
from coulance_core.kernel import Money, require_aware
from coulance_core.ledger import Entry, EntryKind, Posting

_NOT_HELD = """(id = ANY(%(ids)s) OR run_id = %(run)s AND NOT EXISTS (
                     SELECT 1 FROM invoicing_held h
                      WHERE h.document_id = invoicing_document.id AND h.ended_at IS NULL))"""
"""What is numbered now: a run's drafts, but for those that wait for their customer; or those that are named."""
_TO_NUMBER = "SELECT series, issued_on, count(*) FROM invoicing_document WHERE state = 'draft' AND NOT_HELD".replace(
    "NOT_HELD", _NOT_HELD
)
_NUMBER = """
WITH ordered AS (
  SELECT id, row_number() OVER (
           ORDER BY issued_on, buyer_ref COLLATE "C", kind, invoice_id, period_name, id) AS place
    FROM invoicing_document
   WHERE state = 'draft' AND series = %(series)s AND issued_on = ANY(%(days)s)
     AND NOT_HELD)
UPDATE invoicing_document d
   SET state = 'issued', issued_at = %(at)s, series_year = %(year)s,
       series_no = %(first)s + place - 1,
       number = %(prefix)s || lpad((%(first)s + place - 1)::text,
                  greatest(%(width)s, length((%(first)s + place - 1)::text)), '0') || %(suffix)s
  FROM ordered WHERE ordered.id = d.id RETURNING d.id
""".replace("NOT_HELD", _NOT_HELD)
BATCH = 20_000
"""Entries that are booked at a time: bounds the memory of a large run."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """What a numbering gave out: the blocks, how many documents were issued (statements too), entries booked."""

    blocks: tuple[Block, ...]
    documents: int
    entries: int


def document_source(document: int) -> str:
    """The ledger source of a document's entry."""
    return f"document/{document}"


def carry_source(carried: int) -> str:
    """The ledger source of a carried amount's entry."""
    return f"carried/{carried}"


def assign_numbers(*, run: int, series: Mapping[str, NumberSeries], at: datetime) -> Numbered:
    """Number, issue and book every draft of a run, and close it; safe to call again, when there is nothing left.

    Everything happens in one transaction (its own, or the caller's). Raises `UnableToNumberError` while chunks are
    unfinished or when a series is missing.
    """
    at = require_aware(at)
    with transaction.atomic():
        held = lock_run(run)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM invoicing_run_chunk WHERE run_id = %s AND done_at IS NULL", [run])
            (left,) = cursor.fetchone()
        if left:
            raise UnableToNumberError(f"run {held.period} ({held.purpose}) has {left} chunks to do: finish them first")
        numbered = _issue(run, [], series, at)
        carried = _book_carried(run, at)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE invoicing_run SET state = 'closed', closed_at = %s WHERE id = %s AND state = 'open'", [at, run]
            )
            if cursor.rowcount:
                count = numbered.documents
                data = {"period": held.period, "purpose": held.purpose, "documents": count}
                webhooks.emit(event="period.closed", data=data, at=at)
    return Numbered(numbered.blocks, numbered.documents, numbered.entries + carried)


def issue_documents(*, ids: Sequence[int], series: Mapping[str, NumberSeries], at: datetime) -> Numbered:
    """Number, issue and book these drafts, outside a run; in the caller's transaction."""
    return _issue(None, list(ids), series, require_aware(at))


def _issue(run: int | None, ids: list[int], series: Mapping[str, NumberSeries], at: datetime) -> Numbered:
    scope = {"run": run, "ids": ids}
    issued: list[int] = []
    blocks: list[Block] = []
    with connection.cursor() as cursor:
        cursor.execute(
            _TO_NUMBER + " GROUP BY series, issued_on ORDER BY series, issued_on",
            scope,
        )
        counts: dict[tuple[str, int], list[tuple[date, int]]] = {}
        statements = 0
        for key, issued_on, count in cursor.fetchall():
            if not key:
                statements += count
                continue
            if key not in series:
                raise UnableToNumberError(f"{count} documents want numbers of series {key!r}, which the catalog lacks")
            counts.setdefault((key, series_year(series[key], issued_on)), []).append((issued_on, count))
        # Series are locked in one order by everybody: two runs queue here, and cannot lock each other out.
        for (key, year), days in sorted(counts.items()):
            block = _take_block(series[key], year, sum(count for _, count in days))
            blocks.append(block)
            prefix, width, suffix = sql_format(series[key], year)
            cursor.execute(
                _NUMBER,
                {
                    **scope,
                    "series": key,
                    "days": [day for day, _ in days],
                    "at": at,
                    "year": year,
                    "first": block.first,
                    "prefix": prefix,
                    "width": width,
                    "suffix": suffix,
                },
            )
            given = [document for (document,) in cursor.fetchall()]
            if len(given) != block.count:
                raise UnableToNumberError(
                    f"series {key!r}: {block.count} documents were counted and {len(given)} found; try again"
                )
            issued.extend(given)
        if statements:
            cursor.execute(
                """
                UPDATE invoicing_document SET state = 'issued', issued_at = %(at)s,
                       number = 'U-' || period_name || '-' || buyer_ref
                                || CASE purpose WHEN 'close' THEN '' ELSE '-' || purpose END
                 WHERE state = 'draft' AND series = '' AND (run_id = %(run)s OR id = ANY(%(ids)s))
                """,
                {**scope, "at": at},
            )
    _tell(run, ids, at)
    entries = _book(issued, at)
    return Numbered(tuple(blocks), len(issued) + statements, entries)


_EVENTS = {
    "credit_note": "credit_note.issued",
    "debit_note": "debit_note.issued",
    "usage_statement": "statement.issued",
}


def _tell(run: int | None, ids: Sequence[int], at: datetime) -> None:
    """Tell endpoints of what was issued at this instant, a batch at a time; without endpoints it costs one query."""
    if not webhooks.anybody_listens():
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.kind, d.number, d.buyer_ref, d.period_name, d.issued_on, d.due_on, d.gross, d.currency, i.number"
            "  FROM invoicing_document d LEFT JOIN invoicing_document i ON i.id = d.invoice_id"
            " WHERE d.issued_at = %s AND (d.run_id = %s OR d.id = ANY(%s)) ORDER BY d.kind, d.number",
            [at, run, list(ids)],
        )
        for kind, rows in groupby(cursor.fetchall(), key=lambda row: str(row[0])):
            webhooks.emit_many(event=_EVENTS.get(kind, "invoice.issued"), data=map(_told, rows), at=at)


def _told(row: tuple[Any, ...]) -> dict[str, Any]:
    kind, number, account, period, issued_on, due_on, gross, currency, invoice = row
    data = {
        "number": number,
        "kind": kind,
        "account": account,
        "period": period,
        "issued_on": issued_on.isoformat(),
        "due_on": due_on.isoformat(),
        "gross": {"amount": Money(gross, currency).decimal(), "currency": currency},
    }
    return data if invoice is None else {**data, "invoice": invoice}


def _take_block(series: NumberSeries, year: int, count: int) -> Block:
    """The next numbers of a series, its state locked until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO invoicing_number_series (series, year, first) VALUES (%s, %s, %s)"
            " ON CONFLICT (series, year) DO NOTHING",
            [series.key, year, series.start],
        )
        cursor.execute(
            "SELECT last FROM invoicing_number_series WHERE series = %s AND year = %s FOR UPDATE", [series.key, year]
        )
        (last,) = cursor.fetchone()
        block = next_block(series, year=year, last=last, count=count)
        cursor.execute(
            "UPDATE invoicing_number_series SET last = %s WHERE series = %s AND year = %s",
            [block.last, series.key, year],
        )
    return block


def continue_series(
    *, series: Mapping[str, NumberSeries], key: str, year: int, last: int, actor: str, reason: str, at: datetime
) -> bool:
    """Go on after `last`, which was given out elsewhere in that year (0: a series without years); in a transaction.

    The same again changes nothing: says whether it did. Raises `UnableToNumberError` for a series that gave numbers
    here already, or isn't there: what was given can't be given again.
    """
    terms = series.get(key)
    if terms is None or last < 0 or (terms.resets is Resets.YEARLY) != (year > 0):
        raise UnableToNumberError(f"series {key!r} of year {year} can't go on after {last}")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO invoicing_number_series (series, year, first, last) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (series, year) DO NOTHING",
            [key, year, last + 1, last],
        )
        if cursor.rowcount:
            audit.record(
                actor=actor, act="series.continued", subject=f"series:{key}", at=require_aware(at), reason=reason,
                detail={"year": year, "last": last},
            )  # fmt: skip
            return True
        cursor.execute("SELECT first FROM invoicing_number_series WHERE series = %s AND year = %s", [key, year])
        (first,) = cursor.fetchone()
    if first != last + 1:
        raise UnableToNumberError(
            f"series {key!r} of {year or 'all years'} began here at {first}: it can't go on after {last}"
        )
    return False


def continued_after(*, key: str, year: int) -> int | None:
    """After which number a series went on that was begun elsewhere, or here; none where it gave none yet."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT first FROM invoicing_number_series WHERE series = %s AND year = %s", [key, year])
        row = cursor.fetchone()
    return None if row is None else int(row[0]) - 1


def _book(documents: Sequence[int], at: datetime) -> int:
    booked = 0
    for start in range(0, len(documents), BATCH):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT d.id, d.account_id, d.kind, d.issued_on, d.currency, b.accounts, b.amounts"
                "  FROM invoicing_document d JOIN invoicing_document_body b ON b.document_id = d.id"
                " WHERE d.id = ANY(%s) AND cardinality(b.accounts) > 0 ORDER BY d.series, d.series_no",
                [list(documents[start : start + BATCH])],
            )
            rows = cursor.fetchall()
        parties = parties_for(accounts={row[1] for row in rows})
        entries = [
            Entry(
                parties[account],
                EntryKind.CREDIT_NOTE if kind == "credit_note" else EntryKind.INVOICE,
                document_source(document),
                issued_on,
                tuple([Posting(code, amount, currency) for code, amount in zip(codes, amounts, strict=True)]),
            )
            for document, account, kind, issued_on, currency, codes, amounts in rows
        ]
        post_entries(entries=entries, at=at)
        booked += len(entries)
    return booked


def _book_carried(run: int, at: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE invoicing_carried_line SET confirmed = true WHERE run_id = %s AND NOT confirmed"
            " RETURNING id, account_id, amount, currency, effective_on, booked",
            [run],
        )
        rows = sorted(row for row in cursor.fetchall() if row[5])
    parties = parties_for(accounts={row[1] for row in rows}) if rows else {}
    entries = list(_carried_entries(rows, parties))
    post_entries(entries=entries, at=at)
    return len(entries)


def _carried_entries(rows: Sequence[tuple[Any, ...]], parties: Mapping[int, bytes]) -> Iterator[Entry]:
    for carried, account, minor, currency, on, _ in rows:
        entry = carry_entry(Money(minor, currency), party=parties[account], source=carry_source(carried), on=on)
        if entry is not None:
            yield entry
