"""What was billed before, as closing needs it to go on or to give back. Reads only."""

from collections.abc import Collection
from datetime import date, datetime
from typing import NamedTuple

from django.db import connection


class BaseLine(NamedTuple):
    """An issued invoice's line that charged days of a base fee or commitment."""

    service: int
    key: str
    cycle_start: date
    cycle_end: date
    start: date
    end: date
    invoice: str
    line: int


class UsageLine(NamedTuple):
    """An issued invoice's line that charged usage of a service's charge, or of a pool."""

    account: int
    service: int | None
    pool: str
    charge: str
    invoice: str
    line: int
    net: int
    settled: str


class SettledMark(NamedTuple):
    """Up to which mark of the sample store an account's period was settled last."""

    account: int
    period_name: str
    watermark: int


def accounts_done(*, period: str, purpose: str = "close") -> set[int]:
    """Accounts that a run of the period has billed, or found nothing to bill for; parked ones are not among them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT unnest(c.accounts) FROM invoicing_run_chunk c JOIN invoicing_run r ON r.id = c.run_id"
            " WHERE r.period = %s AND r.purpose = %s AND c.done_at IS NOT NULL"
            " EXCEPT SELECT p.account_id FROM invoicing_parked_account p JOIN invoicing_run r ON r.id = p.run_id"
            " WHERE r.period = %s AND r.purpose = %s AND p.resolved_at IS NULL"
            # One that is taken up again is in a done chunk too, from when it was parked.
            " EXCEPT SELECT unnest(c.accounts) FROM invoicing_run_chunk c JOIN invoicing_run r ON r.id = c.run_id"
            " WHERE r.period = %s AND r.purpose = %s AND c.done_at IS NULL",
            [period, purpose] * 3,
        )
        return {account for (account,) in cursor.fetchall()}


def unfinished_runs(*, but: str, purpose: str = "close") -> list[str]:
    """Periods other than `but` whose run was begun and whose documents have no numbers yet, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT period FROM invoicing_run WHERE state = 'open' AND purpose = %s AND period <> %s ORDER BY period",
            [purpose, but],
        )
        return [period for (period,) in cursor.fetchall()]


def newest_issue() -> date | None:
    """The newest day that a numbered document is dated; none when there is none yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(newest) FROM (SELECT max(issued_on) AS newest FROM invoicing_document"
            " WHERE state = 'issued' AND series <> '' GROUP BY series) each"
        )
        found: date | None = cursor.fetchone()[0]
    return found


def run_progress(*, run: int) -> tuple[int, int]:
    """(accounts computed and committed, accounts in all) of a run."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(cardinality(accounts)) FILTER (WHERE done_at IS NOT NULL), 0),"
            " coalesce(sum(cardinality(accounts)), 0) FROM invoicing_run_chunk WHERE run_id = %s",
            [run],
        )
        done, total = cursor.fetchone()
    return int(done), int(total)


def settled_marks(*, accounts: Collection[int], since: str) -> list[SettledMark]:
    """The mark of the sample store that each of these accounts' periods, from the one named `since`, was settled by.

    The newest of the period's figures: whoever settles a part of a period again has looked at all of it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT account_id, period_name, max(watermark::bigint) FROM invoicing_settled_figure"
            " WHERE account_id = ANY(%s) AND period_name >= %s GROUP BY 1, 2 ORDER BY 2, 1",
            [list(accounts), since],
        )
        return [SettledMark(*row) for row in cursor.fetchall()]


def base_lines(*, services: Collection[int]) -> list[BaseLine]:
    """Issued lines that charged base fees of these services, newest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.service_id, s.key, s.cycle_start, s.cycle_end, s.start, s.end, d.number, s.line_no"
            " FROM invoicing_billed_span s JOIN invoicing_document d ON d.id = s.document_id"
            " WHERE s.service_id = ANY(%s) AND NOT s.credit AND d.state = 'issued' AND d.kind = 'base_invoice'"
            " ORDER BY d.issued_on DESC, d.id DESC, s.line_no",
            [list(services)],
        )
        return [BaseLine(*row) for row in cursor.fetchall()]


def usage_lines(*, accounts: Collection[int], start: datetime, end: datetime) -> list[UsageLine]:
    """Issued lines above zero that charged usage of [start, end) to these accounts, newest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.account_id, l.service_id, l.pool, l.charge, d.number, l.no, l.net, l.settled"
            " FROM invoicing_document d JOIN invoicing_document_line l ON l.document_id = d.id"
            " WHERE d.account_id = ANY(%s) AND d.kind = 'overage_invoice' AND d.state = 'issued' AND l.net > 0"
            " AND l.period_start >= %s AND l.period_end <= %s ORDER BY d.issued_on DESC, d.id DESC, l.no",
            [list(accounts), start, end],
        )
        return [UsageLine(*row) for row in cursor.fetchall()]
