"""Reading invoicing: documents as issued, runs, parked accounts, and what the next run must know."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Any

from django.db import connection

from coulance.customers import queries as customers
from coulance.invoicing.carried import line_from_json
from coulance.invoicing.errors import UnableToFindDocumentError
from coulance.invoicing.frozen import SPAN_COLUMNS, span_of
from coulance.invoicing.runs import Run
from coulance.invoicing.writing import unpack
from coulance_core.invoicing import BillLine
from coulance_core.kernel import Money, exact
from coulance_core.rating.base import BilledSpan


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A document without its content. `number` is none for a draft; `invoice` the invoice that a credit note lowers."""

    id: int
    kind: str
    state: str
    number: str | None
    account: int
    buyer_ref: str
    run: int | None
    purpose: str
    period_name: str
    issued_on: date
    due_on: date
    net: Money
    tax: Money
    gross: Money
    credit_type: str
    invoice: str | None
    sent_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document with its content: the snapshot (`coulance.document/1`), its number filled in."""

    row: DocumentRow
    snapshot: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LineRow:
    """A line of a document as columns."""

    document: int
    no: int
    kind: str
    service: int | None
    pool: str
    charge: str
    plan_version: str
    description: str
    quantity: Fraction
    unit: str
    net: Money
    tax_code: str
    settled: str


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """An account that a run left out, and why."""

    run: int
    account: int
    account_ref: str
    reason: str
    detail: str
    parked_at: datetime


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run with what it made so far."""

    run: Run
    chunks: int
    chunks_done: int
    parked: int
    documents: dict[str, int]
    gross: dict[str, Money]


@dataclass(frozen=True, slots=True)
class OpenCarry:
    """A carried amount that waits: the line to bill (its `carried_id` set), and the day by which it must be."""

    id: int
    account: int
    period_name: str
    line: BillLine
    bill_by: date


@dataclass(frozen=True, slots=True)
class SettledRow:
    """The latest settlement of a charge and period: what was used as known then, and what was billed for it in all."""

    account: int
    service: int | None
    pool: str
    charge: str
    period_name: str
    revision: int
    quantity: Fraction
    unit: str
    n: int
    seen: int
    expected: int
    net: Money
    watermark: str
    detail: dict[str, Any]


_DOCUMENT = (
    "SELECT d.id, d.kind, d.state, d.number, d.account_id, d.buyer_ref, d.run_id, d.purpose, d.period_name,"
    " d.issued_on, d.due_on, d.net, d.tax, d.gross, d.currency, d.credit_type, i.number, d.sent_at"
    " FROM invoicing_document d LEFT JOIN invoicing_document i ON i.id = d.invoice_id"
)
_BODY = _DOCUMENT.replace(" FROM invoicing_document d", ", b.snapshot FROM invoicing_document d").replace(
    "LEFT JOIN invoicing_document i",
    "JOIN invoicing_document_body b ON b.document_id = d.id LEFT JOIN invoicing_document i",
)


def _row(row: Sequence[Any]) -> DocumentRow:
    code = row[14]
    return DocumentRow(
        id=row[0],
        kind=row[1],
        state=row[2],
        number=row[3],
        account=row[4],
        buyer_ref=row[5],
        run=row[6],
        purpose=row[7],
        period_name=row[8],
        issued_on=row[9],
        due_on=row[10],
        net=Money(row[11], code),
        tax=Money(row[12], code),
        gross=Money(row[13], code),
        credit_type=row[15],
        invoice=row[16],
        sent_at=row[17],
    )


def _fetch(statement: str, parameters: list[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[Any] = cursor.fetchall()
        return rows


def document(*, number: str) -> StoredDocument:
    """The issued document of that number. Raises `UnableToFindDocumentError`."""
    rows = _fetch(_BODY + " WHERE d.number = %s", [number])
    if not rows:
        raise UnableToFindDocumentError(f"there is no document {number!r}")
    return _stored(rows[0])


def document_by_id(*, document: int) -> StoredDocument:
    """A document by its database id, drafts too. Raises `UnableToFindDocumentError`."""
    rows = _fetch(_BODY + " WHERE d.id = %s", [document])
    if not rows:
        raise UnableToFindDocumentError(f"there is no document with id {document}")
    return _stored(rows[0])


def _stored(row: Any) -> StoredDocument:
    return StoredDocument(_row(row), unpack(bytes(row[18]), row[3]))


def documents(
    *,
    account: int | None = None,
    run: int | None = None,
    period_name: str | None = None,
    kind: str | None = None,
    state: str | None = None,
    limit: int = 1000,
    offset: int = 0,
) -> list[DocumentRow]:
    """Documents by what is given, newest issue first, then by number."""
    asked = {
        "d.account_id": account,
        "d.run_id": run,
        "d.period_name": period_name,
        "d.kind": kind,
        "d.state": state,
    }
    given = {column: value for column, value in asked.items() if value is not None}
    where = " WHERE " + " AND ".join(f"{column} = %s" for column in given) if given else ""
    return [
        _row(row)
        for row in _fetch(
            f"{_DOCUMENT}{where} ORDER BY d.issued_on DESC, d.number, d.id LIMIT %s OFFSET %s",
            [*given.values(), limit, offset],
        )
    ]


def documents_before(
    *,
    account: int | None = None,
    period_name: str | None = None,
    kind: str | None = None,
    before: tuple[date, int] | None = None,
    limit: int,
) -> list[DocumentRow]:
    """Issued documents by what is given, newest issue first, then the latest made; those after (issued_on, id)."""
    asked = {"d.account_id": account, "d.period_name": period_name, "d.kind": kind}
    given = {column: value for column, value in asked.items() if value is not None}
    where = "".join(f" AND {column} = %s" for column in given)
    values: list[Any] = list(given.values())
    if before is not None:
        where += " AND (d.issued_on, d.id) < (%s, %s)"
        values += before
    return [
        _row(row)
        for row in _fetch(
            f"{_DOCUMENT} WHERE d.state = 'issued'{where} ORDER BY d.issued_on DESC, d.id DESC LIMIT %s",
            [*values, limit],
        )
    ]


def count_documents(*, kind: str | None = None, state: str = "issued") -> int:
    """How many documents there are."""
    rows = _fetch(
        "SELECT count(*) FROM invoicing_document WHERE state = %s AND (%s::text IS NULL OR kind = %s)",
        [state, kind, kind],
    )
    return int(rows[0][0])


def row_of(*, document: int) -> DocumentRow:
    """A document by its database id, without its content. Raises `UnableToFindDocumentError`."""
    rows = _fetch(_DOCUMENT + " WHERE d.id = %s", [document])
    if not rows:
        raise UnableToFindDocumentError(f"there is no document with id {document}")
    return _row(rows[0])


def issued_at(documents: Collection[int]) -> dict[int, datetime]:
    """When these documents were issued; drafts are left out."""
    rows = _fetch(
        "SELECT id, issued_at FROM invoicing_document WHERE id = ANY(%s) AND issued_at IS NOT NULL", [list(documents)]
    )
    return dict(rows)


def lines(*, document: int) -> list[LineRow]:
    """A document's lines, in order."""
    return [
        LineRow(
            document=row[0],
            no=row[1],
            kind=row[2],
            service=row[3],
            pool=row[4],
            charge=row[5],
            plan_version=row[6],
            description=row[7],
            quantity=exact(row[8]),
            unit=row[9],
            net=Money(row[10], row[13]),
            tax_code=row[11],
            settled=row[12],
        )
        for row in _fetch(
            "SELECT l.document_id, l.no, l.kind, l.service_id, l.pool, l.charge, l.plan_version, l.description,"
            " l.quantity, l.unit, l.net, l.tax_code, l.settled, d.currency FROM invoicing_document_line l"
            " JOIN invoicing_document d ON d.id = l.document_id WHERE l.document_id = %s ORDER BY l.no",
            [document],
        )
    ]


def run(*, period: str, purpose: str = "close") -> Run | None:
    """The run of a period and purpose, or none."""
    rows = _fetch(
        "SELECT id, period, purpose, state, opened_at, opened_by, closed_at FROM invoicing_run"
        " WHERE period = %s AND purpose = %s",
        [period, purpose],
    )
    return Run(*rows[0]) if rows else None


def runs() -> list[RunSummary]:
    """Every run, newest period first, with what it made."""
    found = _fetch(
        "SELECT id, period, purpose, state, opened_at, opened_by, closed_at FROM invoicing_run"
        " ORDER BY period DESC, purpose",
        [],
    )
    chunks = {
        row[0]: row[1:]
        for row in _fetch("SELECT run_id, count(*), count(done_at) FROM invoicing_run_chunk GROUP BY 1", [])
    }
    parked_count = dict(
        _fetch("SELECT run_id, count(*) FROM invoicing_parked_account WHERE resolved_at IS NULL GROUP BY 1", [])
    )
    counts: dict[int, dict[str, int]] = {}
    gross: dict[int, dict[str, Money]] = {}
    for owner, kind, currency, count, total in _fetch(
        "SELECT run_id, kind, currency, count(*), sum(gross)::bigint FROM invoicing_document"
        " WHERE run_id IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        [],
    ):
        of_run = counts.setdefault(owner, {})
        of_run[kind] = of_run.get(kind, 0) + count
        sums = gross.setdefault(owner, {})
        sums[currency] = sums.get(currency, Money(0, currency)) + Money(total, currency)
    return [
        RunSummary(
            run=Run(*row),
            chunks=chunks.get(row[0], (0, 0))[0],
            chunks_done=chunks.get(row[0], (0, 0))[1],
            parked=parked_count.get(row[0], 0),
            documents=counts.get(row[0], {}),
            gross=gross.get(row[0], {}),
        )
        for row in found
    ]


def chunks_left(*, run: int) -> int:
    """How many chunks of a run are not done, those that others work on included."""
    return int(_fetch("SELECT count(*) FROM invoicing_run_chunk WHERE run_id = %s AND done_at IS NULL", [run])[0][0])


def parked(*, run: int | None = None) -> list[ParkedRow]:
    """Accounts left out and not taken up again, by account; of one run, or of all."""
    rows = _fetch(
        "SELECT run_id, account_id, reason, detail, parked_at FROM invoicing_parked_account"
        " WHERE resolved_at IS NULL AND (%s::bigint IS NULL OR run_id = %s) ORDER BY run_id",
        [run, run],
    )
    refs = {row.id: row.external_id for row in customers.accounts({row[1] for row in rows})} if rows else {}
    found = [ParkedRow(run_id, account, refs[account], *rest) for run_id, account, *rest in rows]
    return sorted(found, key=lambda one: (one.account_ref, one.run))


def billed_spans(*, services: Iterable[int], since: date | None = None) -> dict[int, tuple[BilledSpan, ...]]:
    """What base lines charged and gave back, drafts included, by service; of cycles that end after `since`."""
    out: dict[int, list[BilledSpan]] = {}
    made: dict[tuple[Any, ...], BilledSpan] = {}  # many services have the very same span
    for row in _fetch(
        SPAN_COLUMNS + " WHERE s.service_id = ANY(%s) AND (%s::date IS NULL OR s.cycle_end > %s)"
        " ORDER BY s.document_id, s.line_no",
        [list(services), since, since],
    ):
        span = made.get(row[2:])
        if span is None:
            span = made[row[2:]] = span_of(row)
        out.setdefault(row[0], []).append(span)
    return {service: tuple(spans) for service, spans in out.items()}


def carried(*, accounts: Iterable[int]) -> dict[int, tuple[OpenCarry, ...]]:
    """Amounts that wait for an invoice, oldest first, by account. One on a draft no longer waits."""
    out: dict[int, list[OpenCarry]] = {}
    for carried_id, account, period_name, data, bill_by in _fetch(
        "SELECT c.id, c.account_id, c.period_name, c.line::text, c.bill_by FROM invoicing_carried_line c"
        " WHERE c.account_id = ANY(%s) AND c.confirmed AND NOT EXISTS ("
        "   SELECT 1 FROM invoicing_document_line l WHERE l.carried_id = c.id)"
        " ORDER BY c.account_id, c.period_name, c.purpose, c.no",
        [list(accounts)],
    ):
        line = line_from_json(_json(data), carried_id)
        out.setdefault(account, []).append(OpenCarry(carried_id, account, period_name, line, bill_by))
    return {account: tuple(waiting) for account, waiting in out.items()}


def settled_figures(*, accounts: Iterable[int], period_name: str | None = None) -> list[SettledRow]:
    """The latest settlement of every charge and period of these accounts; of one period, or of all."""
    return [
        SettledRow(
            account=row[0],
            service=row[1],
            pool=row[2],
            charge=row[3],
            period_name=row[4],
            revision=row[5],
            quantity=exact(row[6]),
            unit=row[7],
            n=row[8],
            seen=row[9],
            expected=row[10],
            net=Money(row[11], row[12]),
            watermark=row[13],
            detail=_json(row[14]),
        )
        for row in _fetch(
            "SELECT DISTINCT ON (account_id, service_id, pool, charge, period_name) account_id, service_id, pool,"
            " charge, period_name, revision, quantity, unit, n, seen, expected, net, currency, watermark, detail::text"
            " FROM invoicing_settled_figure WHERE account_id = ANY(%s) AND (%s::text IS NULL OR period_name = %s)"
            " ORDER BY account_id, service_id, pool, charge, period_name, revision DESC",
            [list(accounts), period_name, period_name],
        )
    ]


def closed_until() -> str | None:
    """The newest period with a closed run, such as `2026-10`; none when nothing was closed yet."""
    found: str | None = _fetch("SELECT max(period) FROM invoicing_run WHERE state = 'closed'", [])[0][0]
    return found


def _json(text: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(text)
    return data


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind a debt: the services (external ids) on a document's lines, and when it was sent, if it was."""

    services: tuple[str, ...]
    sent_at: datetime | None


def behind(*, documents: Iterable[int]) -> dict[int, Behind]:
    """The services that these documents are for, and when each was sent; one query whatever their number."""
    rows = _fetch(
        "SELECT d.id, d.sent_at, coalesce(array_agg(DISTINCT s.external_id) FILTER (WHERE s.id IS NOT NULL), '{}')"
        " FROM invoicing_document d LEFT JOIN invoicing_document_line l ON l.document_id = d.id"
        " LEFT JOIN services_service s ON s.id = l.service_id WHERE d.id = ANY(%s) GROUP BY d.id",
        [list(documents)],
    )
    return {row[0]: Behind(tuple(sorted(row[2])), row[1]) for row in rows}


def billed_by_day(*, since: date) -> dict[str, dict[date, int]]:
    """What was invoiced (less credit notes) to everybody since a day: minor units, by currency and day of issue."""
    out: dict[str, dict[date, int]] = {}
    for code, day, gross in _fetch(
        "SELECT currency, issued_on, sum(gross)::bigint FROM invoicing_document WHERE state = 'issued'"
        " AND kind <> 'usage_statement' AND issued_on >= %s GROUP BY 1, 2",
        [since],
    ):
        out.setdefault(code, {})[day] = gross
    return out


def billed_since(*, accounts: Iterable[int], since: date) -> dict[int, dict[str, int]]:
    """What was invoiced (less credit notes) to these accounts since a day: minor units, by account and currency."""
    out: dict[int, dict[str, int]] = {}
    for account, code, gross in _fetch(
        "SELECT account_id, currency, sum(gross)::bigint FROM invoicing_document WHERE state = 'issued'"
        " AND kind <> 'usage_statement' AND account_id = ANY(%s) AND issued_on >= %s GROUP BY 1, 2",
        [list(accounts), since],
    ):
        out.setdefault(account, {})[code] = gross
    return out
