"""Lists of documents and runs for screens: searched, filtered, a page at a time; and usage items from statements."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from django.db import connection

from coulance.invoicing.writing import unpack
from coulance_core.kernel import Money


@dataclass(frozen=True, slots=True)
class ListedDocument:
    """A document as a list shows it. `number` is none for a draft."""

    id: int
    kind: str
    state: str
    number: str | None
    account: str
    account_name: str
    period_name: str
    issued_on: date
    due_on: date
    gross: Money


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run with what it made: documents and gross by kind and currency, parked accounts, coverage of its figures."""

    id: int
    period: str
    purpose: str
    state: str
    opened_at: datetime
    opened_by: str
    closed_at: datetime | None
    parked: int
    seen: int
    expected: int
    made: tuple[tuple[str, int, Money, Money], ...]
    """(kind, how many, net, gross) for each kind and currency."""


_FROM = "FROM invoicing_document d JOIN customers_account a ON a.id = d.account_id"
_COLUMNS = (
    "SELECT d.id, d.kind, d.state, d.number, a.external_id, a.name, d.period_name, d.issued_on, d.due_on,"
    " d.gross, d.currency"
)


def _listed(row: Any) -> ListedDocument:
    document, kind, state, number, account, name, period, issued, due, gross, currency = row
    return ListedDocument(document, kind, state, number, account, name, period, issued, due, Money(gross, currency))


def _fetch(statement: str, values: list[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        rows: list[Any] = cursor.fetchall()
        return rows


def find_documents(
    *,
    text: str = "",
    kind: str = "",
    period_name: str = "",
    account: int | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[ListedDocument]:
    """Documents, newest issue first. `text` is the start of a number, or an account's external id."""
    where, values = _where(text, kind, period_name, account)
    return [
        _listed(row)
        for row in _fetch(
            f"{_COLUMNS} {_FROM} {where} ORDER BY d.issued_on DESC, d.id DESC LIMIT %s OFFSET %s",
            [*values, limit, offset],
        )
    ]


def count_documents(*, text: str = "", kind: str = "", period_name: str = "", account: int | None = None) -> int:
    """How many documents `find_documents` has in all."""
    where, values = _where(text, kind, period_name, account)
    return int(_fetch(f"SELECT count(*) {_FROM} {where}", values)[0][0])


def number_of(*, document: int) -> str:
    """The number of a document by its id; empty for a draft, or when there is none."""
    found = _fetch("SELECT number FROM invoicing_document WHERE id = %s", [document])
    return str(found[0][0] or "") if found else ""


def documents_of_service(*, service: int, limit: int = 50) -> list[ListedDocument]:
    """Documents with a line for this service, newest first."""
    return [
        _listed(row)
        for row in _fetch(
            f"{_COLUMNS} {_FROM} WHERE d.id IN (SELECT document_id FROM invoicing_document_line WHERE service_id = %s)"  # noqa: S608
            " ORDER BY d.issued_on DESC, d.id DESC LIMIT %s",
            [service, limit],
        )
    ]


def period_names() -> list[str]:
    """Periods that were ever run, newest first."""
    return [row[0] for row in _fetch("SELECT DISTINCT period FROM invoicing_run ORDER BY period DESC", [])]


def closed_periods() -> list[str]:
    """Periods whose close is finished, newest first."""
    return [
        row[0]
        for row in _fetch(
            "SELECT period FROM invoicing_run WHERE purpose = 'close' AND state = 'closed' ORDER BY period DESC", []
        )
    ]


def statement_periods(*, account: int) -> list[str]:
    """Periods for which the account has a usage statement, newest first."""
    return [
        row[0]
        for row in _fetch(
            "SELECT DISTINCT period_name FROM invoicing_document WHERE account_id = %s AND kind = 'usage_statement'"
            " ORDER BY period_name DESC",
            [account],
        )
    ]


def latest_statements(*, accounts: Collection[int], period_name: str = "") -> Mapping[int, dict[str, Any]]:
    """The newest usage statement's snapshot of each account, or that of one period; accounts without are left out."""
    return {
        row[0]: unpack(bytes(row[1]), row[2])
        for row in _fetch(
            "SELECT DISTINCT ON (d.account_id) d.account_id, b.snapshot, d.number FROM invoicing_document d"
            " JOIN invoicing_document_body b ON b.document_id = d.id WHERE d.account_id = ANY(%s)"
            " AND d.kind = 'usage_statement' AND (%s = '' OR d.period_name = %s)"
            " ORDER BY d.account_id, d.period_name DESC, d.id DESC",
            [list(accounts), period_name, period_name],
        )
    }


def runs_page(
    *, limit: int = 12, offset: int = 0, period: str = "", before: tuple[str, int] | None = None
) -> list[RunRow]:
    """Runs, newest period first, with what each made; of one period, or after (period, id), if given."""
    runs = _fetch(
        "SELECT id, period, purpose, state, opened_at, opened_by, closed_at FROM invoicing_run"
        " WHERE (%s = '' OR period = %s) AND (%s = '' OR (period, id) < (%s, %s))"
        " ORDER BY period DESC, id DESC LIMIT %s OFFSET %s",
        [period, period, *((before[0], *before) if before else ("", "", 0)), limit, offset],
    )
    ids: list[Any] = [[row[0] for row in runs]]
    made: dict[int, list[tuple[str, int, Money, Money]]] = {}
    for owner, kind, currency, count, net, gross in _fetch(
        "SELECT run_id, kind, currency, count(*), sum(net)::bigint, sum(gross)::bigint FROM invoicing_document"
        " WHERE run_id = ANY(%s) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        ids,
    ):
        made.setdefault(owner, []).append((kind, count, Money(net, currency), Money(gross, currency)))
    parked = dict(
        _fetch(
            "SELECT run_id, count(*) FROM invoicing_parked_account WHERE run_id = ANY(%s) AND resolved_at IS NULL"
            " GROUP BY 1",
            ids,
        )
    )
    coverage = {
        row[0]: (int(row[1]), int(row[2]))
        for row in _fetch(
            "SELECT run_id, sum(seen), sum(expected) FROM invoicing_settled_figure WHERE run_id = ANY(%s) GROUP BY 1",
            ids,
        )
    }
    out = []
    for row in runs:
        run, period, purpose, state, opened_at, opened_by, closed_at = row
        seen, expected = coverage.get(run, (0, 0))
        kinds = tuple(made.get(run, ()))
        left_out = parked.get(run, 0)
        out.append(
            RunRow(run, period, purpose, state, opened_at, opened_by, closed_at, left_out, seen, expected, kinds)
        )
    return out


def largest(*, run: int, kind: str = "overage_invoice", limit: int = 8) -> list[ListedDocument]:
    """The documents of a run with the largest totals."""
    return [
        _listed(row)
        for row in _fetch(
            f"{_COLUMNS} {_FROM} WHERE d.run_id = %s AND d.kind = %s ORDER BY d.gross DESC, d.id LIMIT %s",
            [run, kind, limit],
        )
    ]


class Issued(NamedTuple):
    """What was issued in a civil month: net by kind and currency, credit notes below zero."""

    month: str
    kind: str
    number: int
    net: Money


def issued_by_month(*, since: date) -> list[Issued]:
    """What was issued from `since` on, by month, kind and currency, oldest first; usage statements are left out."""
    return [
        Issued(month, kind, number, Money(net, currency))
        for month, kind, currency, number, net in _fetch(
            "SELECT to_char(issued_on, 'YYYY-MM'), kind, currency, count(*), sum(net)::bigint FROM invoicing_document"
            " WHERE state = 'issued' AND kind <> 'usage_statement' AND issued_on >= %s"
            " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            [since],
        )
    ]


def net_by_account(*, run: int, accounts: Collection[int]) -> dict[int, dict[str, Money]]:
    """What a run billed these accounts, net by kind of document; usage statements are left out."""
    out: dict[int, dict[str, Money]] = {}
    for account, kind, currency, net in _fetch(
        "SELECT account_id, kind, currency, sum(net)::bigint FROM invoicing_document WHERE run_id = %s"
        " AND account_id = ANY(%s) AND kind <> 'usage_statement' GROUP BY 1, 2, 3",
        [run, list(accounts)],
    ):
        out.setdefault(account, {})[kind] = Money(net, currency)
    return out


class ParkedOnPage(NamedTuple):
    """An account that a run left out and nothing has taken up again."""

    id: int
    account: str
    period: str
    reason: str
    detail: str
    parked_at: datetime


def parked_after(*, after: int = 0, limit: int) -> list[ParkedOnPage]:
    """Accounts that are parked, in the order in which they were; those after the one of that id."""
    return [
        ParkedOnPage(*row)
        for row in _fetch(
            "SELECT p.id, a.external_id, r.period, p.reason, p.detail, p.parked_at FROM invoicing_parked_account p"
            " JOIN customers_account a ON a.id = p.account_id JOIN invoicing_run r ON r.id = p.run_id"
            " WHERE p.resolved_at IS NULL AND p.id > %s ORDER BY p.id LIMIT %s",
            [after, limit],
        )
    ]


def number_states() -> list[tuple[str, int, int, int | None]]:
    """Where each number series stands: (series, year, first, last), by series and year."""
    return [
        tuple(row)
        for row in _fetch("SELECT series, year, first, last FROM invoicing_number_series ORDER BY series, year", [])
    ]


def count_runs() -> int:
    """How many runs there are."""
    return int(_fetch("SELECT count(*) FROM invoicing_run", [])[0][0])


def _where(text: str, kind: str, period_name: str, account: int | None) -> tuple[str, list[Any]]:
    terms: list[str] = []
    values: list[Any] = []
    if text:
        like = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        terms.append("(d.number LIKE %s OR d.buyer_ref = %s)")
        values += [f"{like}%", text]
    for column, value in (("d.kind", kind), ("d.period_name", period_name)):
        if value:
            terms.append(f"{column} = %s")
            values.append(value)
    if account is not None:
        terms.append("d.account_id = %s")
        values.append(account)
    return ("WHERE " + " AND ".join(terms) if terms else ""), values
