"""Writing drafts in bulk: documents, lines, tax, bodies, billed spans, carried amounts and figures, all by COPY.

Every function belongs into the caller's transaction, that of the chunk. Refusals of the database come back by name,
from a savepoint, so that the caller may split the chunk and go on.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from hashlib import sha256
from itertools import repeat
from typing import Any

import msgspec
from django.db import IntegrityError, connection, transaction

from coulance.invoicing.carried import line_to_json
from coulance.invoicing.errors import UnableToBillTwiceError, UnableToWriteError
from coulance.platform.db import copy_lines, copy_rows, copy_text, next_ids
from coulance_core.catalog.provider import PriceBasis
from coulance_core.invoicing import (
    SERIES,
    BillLine,
    DocumentDraft,
    DraftLine,
    TaxLine,
    journal,
    snapshot_of,
)
from coulance_core.kernel import Money, show

NULL = "\\N"


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A draft to write: whose it is (customers' database id), and the usage figures that its snapshot shows."""

    account: int
    draft: DocumentDraft
    usage: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class NewCarry:
    """A line too small to invoice now. `on` is the day it counts as earned; by `bill_by` it must be billed."""

    account: int
    line: BillLine
    period_name: str
    on: date
    bill_by: date
    prices: PriceBasis = PriceBasis.NET


@dataclass(frozen=True, slots=True)
class NewFigure:
    """A figure that a period was settled by. `service` is a database id, none for a pool.

    `net` is what was billed for it all in all, this settlement included. `watermark` is the sample store's mark of
    what was known: when it has moved, samples came late.
    """

    account: int
    service: int | None
    charge: str
    period_name: str
    quantity: Fraction
    unit: str
    n: int
    seen: int
    expected: int
    net: Money
    watermark: str
    pool: str = ""
    detail: Mapping[str, Any] | None = None


_TWICE = {
    "document_billed_once": "the account has this kind of document for the period already",
    "a_day_is_charged_once": "a day of a base fee is billed already",
    "line_bills_carried_once": "a carried amount is billed already",
    "carried_once": "the amount is carried already",
    "settled_once": "the figure is settled already",
}


@contextmanager
def refusals_named() -> Iterator[None]:
    """Turn what the database refuses into this room's errors; what was written inside is undone."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        cause = getattr(error.__cause__, "diag", None)
        name = getattr(cause, "constraint_name", None) or ""
        detail = getattr(cause, "message_detail", None) or str(error)
        if name in _TWICE:
            raise UnableToBillTwiceError(f"{_TWICE[name]} ({detail})") from error
        raise UnableToWriteError(f"the database refuses these documents: {error}") from error


def write_drafts(*, run: int | None, drafts: Sequence[NewDocument], purpose: str = "close") -> list[int]:
    """Write drafts with all that belongs to them; returns their ids in the same order.

    `purpose` is the run's: an account has one document of a kind for a period and purpose. Raises
    `UnableToBillTwiceError` when something is billed already, `UnableToWriteError` for anything else refused; either
    way nothing is written.
    """
    if not drafts:
        return []
    with refusals_named():
        ids = next_ids(sequence="invoicing_document_id_seq", count=len(drafts))
        invoices = _invoice_ids(new.draft.references["invoice"] for new in drafts if "invoice" in new.draft.references)
        spans: list[str] = []
        lanes: list[tuple[int, int, DraftLine]] = []
        lines: list[str] = []
        taxes: list[str] = []
        bodies: list[str] = []
        documents: list[str] = []
        for document, new in zip(ids, drafts, strict=True):
            snapshot = snapshot_of(new.draft, usage=new.usage)
            documents.append(_document(document, run, purpose, new, invoices))
            lines.extend(map(_line, repeat(document), new.draft.lines, snapshot["lines"]))
            taxes.extend(map(_tax, repeat(document), new.draft.tax, snapshot["tax"]))
            bodies.append(_body(document, new.draft, snapshot))
            for line in new.draft.lines:
                if line.span is not None:
                    if line.service is None or line.service.id is None:
                        raise UnableToWriteError(f"{line.description!r} bills days of a service it does not name")
                    spans.append(_span(document, line.service.id, line))
                    lanes.append((lane_of(line.service.id, line.span.key), line.service.id, line))
        copy_lines(table="invoicing_document", columns=_DOCUMENT, lines=documents)
        copy_lines(table="invoicing_document_line", columns=_LINE, lines=lines)
        copy_lines(table="invoicing_document_tax", columns=_TAX_ROW, lines=taxes)
        copy_lines(table="invoicing_document_body", columns=_BODY, lines=bodies)
        copy_lines(table="invoicing_billed_span", columns=_SPAN, lines=spans)
        _occupy(lanes)
    return list(ids)


def rewrite_draft(*, document: int, draft: DocumentDraft, usage: Sequence[Mapping[str, Any]]) -> None:
    """Write a draft anew that got more lines; those that it has are the first of them, and stay as they are."""
    with refusals_named(), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM invoicing_document_line WHERE document_id = %s", [document])
        (there,) = cursor.fetchone() or (0,)
        snapshot = snapshot_of(draft, usage=usage)
        cursor.execute("DELETE FROM invoicing_document_tax WHERE document_id = %s", [document])
        cursor.execute("DELETE FROM invoicing_document_body WHERE document_id = %s", [document])
        new = list(zip(draft.lines, snapshot["lines"], strict=True))[there:]
        copy_lines(
            table="invoicing_document_line", columns=_LINE, lines=[_line(document, line, shown) for line, shown in new]
        )
        taxes = list(map(_tax, repeat(document), draft.tax, snapshot["tax"]))
        copy_lines(table="invoicing_document_tax", columns=_TAX_ROW, lines=taxes)
        copy_lines(table="invoicing_document_body", columns=_BODY, lines=[_body(document, draft, snapshot)])
        totals = draft.totals
        cursor.execute(
            "UPDATE invoicing_document SET net = %s, tax = %s, gross = %s WHERE id = %s AND state = 'draft'",
            [totals.net.minor, totals.tax.minor, totals.gross.minor, document],
        )


_DOCUMENT = (
    "id",
    "kind",
    "account_id",
    "buyer_ref",
    "run_id",
    "purpose",
    "period_name",
    "period_start",
    "period_end",
    "series",
    "issued_on",
    "due_on",
    "tax_point",
    "currency",
    "net",
    "tax",
    "gross",
    "tax_rounding",
    "credit_type",
    "invoice_id",
)


def _document(document: int, run: int | None, purpose: str, new: NewDocument, invoices: Mapping[str, int]) -> str:
    d, t = new.draft, new.draft.totals
    invoice: int | str = NULL
    if "invoice" in d.references:
        number = d.references["invoice"]
        if number not in invoices:
            raise UnableToWriteError(f"a credit note names invoice {number}, which is not there")
        invoice = invoices[number]
    return (
        f"{document}\t{d.kind.value}\t{new.account}\t{copy_text(d.buyer.external_id)}\t{NULL if run is None else run}\t"
        f"{copy_text(purpose)}\t{d.period_name}\t{d.period.start.isoformat()}\t{d.period.end.isoformat()}\t"
        f"{SERIES.get(d.kind, '')}\t{d.issued_on.isoformat()}\t{d.due_on.isoformat()}\t{d.tax_point.isoformat()}\t"
        f"{d.currency}\t{t.net.minor}\t{t.tax.minor}\t{t.gross.minor}\t{d.tax_rounding}\t"
        f"{d.credit_type.value if d.credit_type else ''}\t{invoice}\n"
    )


_LINE = (
    "document_id",
    "no",
    "kind",
    "service_id",
    "pool",
    "charge",
    "plan_version",
    "description",
    "period_start",
    "period_end",
    "quantity",
    "unit",
    "unit_price",
    "net",
    "tax_code",
    "tax_rate",
    "account",
    "settled",
    "carried_id",
    "credits_no",
)


def _line(document: int, line: DraftLine, shown: Mapping[str, Any]) -> str:
    # Exact numbers were written as text for the snapshot already; writing them again would cost as much again.
    service = NULL if line.service is None or line.service.id is None else line.service.id
    return (
        f"{document}\t{line.no}\t{line.kind}\t{service}\t{copy_text(line.pool)}\t{copy_text(line.charge)}\t"
        f"{copy_text(line.plan_version)}\t{copy_text(line.description)}\t{shown['period']['start']}\t"
        f"{shown['period']['end']}\t{shown['quantity']}\t{copy_text(line.unit)}\t"
        f"{NULL if line.unit_price is None else shown['unit_price']}\t{line.net.minor}\t{copy_text(line.tax_code)}\t"
        f"{shown['tax_rate']}\t{line.account}\t{copy_text(line.settled)}\t"
        f"{NULL if line.carried_id is None else line.carried_id}\t{NULL if line.credits is None else line.credits}\n"
    )


_TAX_ROW = ("document_id", "code", "kind", "country", "rate", "base", "tax", "reason")


def _tax(document: int, row: TaxLine, shown: Mapping[str, Any]) -> str:
    return (
        f"{document}\t{copy_text(row.code)}\t{row.kind.value}\t{row.country}\t{shown['rate']}\t{row.base.minor}\t"
        f"{row.tax.minor}\t{copy_text(row.reason)}\n"
    )


_BODY = ("document_id", "snapshot", "accounts", "amounts")


def _body(document: int, draft: DocumentDraft, snapshot: Mapping[str, Any]) -> str:
    packed = pack(snapshot)
    legs = journal(draft)
    # Account codes hold nothing that an array's text form would want quoted.
    accounts = ",".join([leg.account for leg in legs])
    amounts = ",".join([str(leg.amount) for leg in legs])
    return f"{document}\t\\\\x{packed.hex()}\t{{{accounts}}}\t{{{amounts}}}\n"


def pack(snapshot: Mapping[str, Any]) -> bytes:
    """A snapshot as it is stored: JSON, compressed lightly (a large run is bound by this)."""
    return zlib.compress(msgspec.json.encode(snapshot), 1)


def unpack(stored: bytes, number: str | None) -> dict[str, Any]:
    """A stored snapshot, with the number it was issued under."""
    snapshot: dict[str, Any] = json.loads(zlib.decompress(stored))
    snapshot["number"] = number
    return snapshot


def _invoice_ids(numbers: Iterable[str]) -> dict[str, int]:
    wanted = list(numbers)
    if not wanted:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT number, id FROM invoicing_document WHERE number = ANY(%s)"
            " AND kind IN ('base_invoice', 'overage_invoice', 'fee_invoice', 'interest_invoice')",
            [wanted],
        )
        return dict(cursor.fetchall())


_SPAN = (
    "document_id",
    "line_no",
    "service_id",
    "key",
    "plan",
    "terms",
    "name",
    "tax_class",
    "fee",
    "proration",
    "start",
    "end",
    "cycle_start",
    "cycle_end",
    "net",
    "currency",
    "credit",
)


def _span(document: int, service: int, line: DraftLine) -> str:
    s = line.span
    assert s is not None
    return (
        f"{document}\t{line.no}\t{service}\t{copy_text(s.key)}\t{copy_text(s.plan)}\t{copy_text(s.terms)}\t"
        f"{copy_text(s.name)}\t{copy_text(s.tax_class)}\t{show(s.fee)}\t{s.proration.value}\t"
        f"{s.start.isoformat()}\t{s.end.isoformat()}\t{s.cycle_start.isoformat()}\t{s.cycle_end.isoformat()}\t"
        f"{s.net.minor}\t{s.net.currency}\t{'t' if s.credit else 'f'}\n"
    )


def lane_of(service: int, key: str) -> int:
    """The number that a service's base fee, or one of its commitments, is fenced by: 62 bits of a hash."""
    return int.from_bytes(sha256(f"{service}\x1f{key}".encode()).digest()[:8], "big") >> 2


def _occupy(lanes: Sequence[tuple[int, int, DraftLine]]) -> None:
    """Enter the charged days. Where days are given back, too, the lane is worked out again from all its spans."""
    mixed = {lane: service for lane, service, line in lanes if line.span is not None and line.span.credit}
    copy_lines(
        table="invoicing_billed_days",
        columns=("lane", "service_id", "days"),
        lines=[
            f"{lane}\t{service}\t[{line.span.start.isoformat()},{line.span.end.isoformat()})\n"
            for lane, service, line in lanes
            if line.span is not None and lane not in mixed
        ],
    )
    rebuild_lanes(mixed)


def rebuild_lanes(lanes: Mapping[int, int]) -> None:
    """Work out the days that are charged now, for these lanes (lane to service), from their spans in order.

    Within one document what is given back goes first. Raises `UnableToBillTwiceError` when a day is charged twice.
    """
    if not lanes:
        return
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM invoicing_billed_days WHERE lane = ANY(%s)", [sorted(lanes)])
        cursor.execute(
            'SELECT service_id, key, start, "end", credit FROM invoicing_billed_span WHERE service_id = ANY(%s)'
            " ORDER BY document_id, credit DESC, line_no",
            [sorted(set(lanes.values()))],
        )
        rows: list[tuple[int, str, date, date, bool]] = cursor.fetchall()
    charged: dict[int, set[date]] = {lane: set() for lane in lanes}
    for service, key, start, end, credit in rows:
        lane = lane_of(service, key)
        if lane not in charged:
            continue
        days = {start + timedelta(days=n) for n in range((end - start).days)}
        if credit:
            charged[lane] -= days
        elif twice := charged[lane] & days:
            raise UnableToBillTwiceError(f"a day of a base fee is billed already: {key} on {min(twice).isoformat()}")
        else:
            charged[lane] |= days
    copy_rows(
        table="invoicing_billed_days",
        columns=("lane", "service_id", "days"),
        rows=[
            (lane, lanes[lane], f"[{start.isoformat()},{end.isoformat()})")
            for lane in sorted(charged)
            for start, end in _stretches(charged[lane])
        ],
    )


def _stretches(days: set[date]) -> Iterator[tuple[date, date]]:
    start = before = None
    for day in sorted(days):
        if before is None or day != before + timedelta(days=1):
            if start is not None and before is not None:
                yield start, before + timedelta(days=1)
            start = day
        before = day
    if start is not None and before is not None:
        yield start, before + timedelta(days=1)


def carry_lines(*, run: int, purpose: str, lines: Sequence[NewCarry]) -> None:
    """Keep small amounts for a later invoice. They count once the run is numbered, and go with it if it is abandoned.

    Raises `UnableToBillTwiceError` when an account's amounts of that period and purpose are carried already.
    """
    counts: dict[tuple[int, str], int] = {}
    rows = []
    for new in lines:
        key = new.account, new.period_name
        counts[key] = counts.get(key, 0) + 1
        rows.append(
            (
                run,
                new.account,
                new.period_name,
                purpose,
                counts[key],
                json.dumps(line_to_json(new.line)),
                new.line.amount.minor,
                new.line.amount.currency,
                new.bill_by,
                new.prices is PriceBasis.NET,
                new.on,
            )
        )
    columns = (
        "run_id",
        "account_id",
        "period_name",
        "purpose",
        "no",
        "line",
        "amount",
        "currency",
        "bill_by",
        "booked",
        "effective_on",
    )
    with refusals_named():
        copy_rows(table="invoicing_carried_line", columns=columns, rows=rows)


def record_figures(*, run: int | None, figures: Sequence[NewFigure]) -> None:
    """Record what periods were settled by; a further settlement of the same charge and period is its next revision."""
    if not figures:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT account_id, service_id, pool, charge, period_name, max(revision) FROM invoicing_settled_figure"
            " WHERE account_id = ANY(%s) AND period_name = ANY(%s) GROUP BY 1, 2, 3, 4, 5",
            [sorted({f.account for f in figures}), sorted({f.period_name for f in figures})],
        )
        last = {tuple(row[:5]): row[5] for row in cursor.fetchall()}
    lines = []
    for f in figures:
        key = (f.account, f.service, f.pool, f.charge, f.period_name)
        last[key] = revision = last.get(key, 0) + 1
        lines.append(
            f"{NULL if run is None else run}\t{f.account}\t{NULL if f.service is None else f.service}\t"
            f"{copy_text(f.pool)}\t{copy_text(f.charge)}\t{f.period_name}\t{revision}\t{show(f.quantity)}\t"
            f"{copy_text(f.unit)}\t{f.n}\t{f.seen}\t{f.expected}\t{f.net.minor}\t{f.net.currency}\t"
            f"{copy_text(f.watermark)}\t{copy_text(json.dumps(dict(f.detail or {})))}\n"
        )
    with refusals_named():
        copy_lines(table="invoicing_settled_figure", columns=_FIGURE, lines=lines)


_FIGURE = (
    "run_id",
    "account_id",
    "service_id",
    "pool",
    "charge",
    "period_name",
    "revision",
    "quantity",
    "unit",
    "n",
    "seen",
    "expected",
    "net",
    "currency",
    "watermark",
    "detail",
)


def abandon_drafts(*, run: int, accounts: Sequence[int] | None = None) -> int:
    """Throw a run's unnumbered drafts away, with their figures and carried amounts; of all accounts or of some.

    Returns how many documents went. Issued ones stay: the database refuses to remove them.
    """
    wanted = None if accounts is None else list(accounts)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM invoicing_document WHERE state = 'draft' AND run_id = %s"
            " AND (%s::bigint[] IS NULL OR account_id = ANY(%s)) ORDER BY id FOR UPDATE",
            [run, wanted, wanted],
        )
        ids = [document for (document,) in cursor.fetchall()]
        discard(ids)
        cursor.execute(
            "DELETE FROM invoicing_carried_line WHERE NOT confirmed AND run_id = %s"
            " AND (%s::bigint[] IS NULL OR account_id = ANY(%s))",
            [run, wanted, wanted],
        )
        cursor.execute(
            "DELETE FROM invoicing_settled_figure f WHERE run_id = %s"
            " AND (%s::bigint[] IS NULL OR account_id = ANY(%s)) AND NOT EXISTS ("
            " SELECT 1 FROM invoicing_document d WHERE d.run_id = f.run_id AND d.account_id = f.account_id)",
            [run, wanted, wanted],
        )
        cursor.execute("DELETE FROM invoicing_held WHERE document_id = ANY(%s) AND ended_at IS NULL", [ids])
        return len(ids)


def discard(drafts: Sequence[int]) -> None:
    """Remove these drafts with their parts, in the caller's transaction; the database keeps what is issued."""
    ids = list(drafts)
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT service_id, key FROM invoicing_billed_span WHERE document_id = ANY(%s)", [ids])
        lanes = {lane_of(service, key): service for service, key in cursor.fetchall()}
        cursor.execute("DELETE FROM invoicing_document_line WHERE document_id = ANY(%s)", [ids])
        cursor.execute("DELETE FROM invoicing_document_tax WHERE document_id = ANY(%s)", [ids])
        cursor.execute("DELETE FROM invoicing_document_body WHERE document_id = ANY(%s)", [ids])
        cursor.execute("DELETE FROM invoicing_billed_span WHERE document_id = ANY(%s)", [ids])
        cursor.execute("DELETE FROM invoicing_document WHERE id = ANY(%s)", [ids])
    rebuild_lanes(lanes)
