"""Billing runs: opened once a period and purpose, cut into chunks of accounts, resumed wherever they stopped."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from coulance.invoicing.errors import UnableToFindRunError, UnableToPlanError
from coulance_core.kernel import require_aware


@dataclass(frozen=True, slots=True)
class Run:
    """A billing run. `state` is open until its documents are numbered, then closed."""

    id: int
    period: str
    purpose: str
    state: str
    opened_at: datetime
    opened_by: str
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Accounts (customers' database ids) that are computed and committed together."""

    id: int
    run: int
    no: int
    accounts: tuple[int, ...]


_RUN = "SELECT id, period, purpose, state, opened_at, opened_by, closed_at FROM invoicing_run"


def open_run(*, period: str, purpose: str = "close", at: datetime, actor: str) -> Run:
    """The run of that period and purpose, made when there is none yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO invoicing_run (period, purpose, state, opened_at, opened_by) VALUES (%s, %s, 'open', %s, %s)"
            " ON CONFLICT (period, purpose) DO NOTHING",
            [period, purpose, require_aware(at), actor],
        )
        cursor.execute(_RUN + " WHERE period = %s AND purpose = %s", [period, purpose])
        return Run(*cursor.fetchone())


def get_run(run: int) -> Run:
    """The run of that id. Raises `UnableToFindRunError`."""
    with connection.cursor() as cursor:
        cursor.execute(_RUN + " WHERE id = %s", [run])
        row = cursor.fetchone()
    if row is None:
        raise UnableToFindRunError(f"there is no billing run {run}")
    return Run(*row)


def lock_run(run: int) -> Run:
    """The run, held until the transaction ends, so that planning and numbering don't cross."""
    with connection.cursor() as cursor:
        cursor.execute(_RUN + " WHERE id = %s FOR UPDATE", [run])
        row = cursor.fetchone()
    if row is None:
        raise UnableToFindRunError(f"there is no billing run {run}")
    return Run(*row)


def plan_chunks(*, run: int, chunks: Sequence[Sequence[int]]) -> int:
    """Add chunks of accounts to a run; accounts that it has already are left out. Returns how many were added.

    A closed run opens again when accounts come that it did not have, so that they can be billed too.
    """
    lock_run(run)
    with connection.cursor() as cursor:
        cursor.execute("SELECT unnest(accounts) FROM invoicing_run_chunk WHERE run_id = %s", [run])
        known = {account for (account,) in cursor.fetchall()}
        added = 0
        cursor.execute("SELECT coalesce(max(no), 0) FROM invoicing_run_chunk WHERE run_id = %s", [run])
        (no,) = cursor.fetchone()
        for accounts in chunks:
            fresh = [account for account in dict.fromkeys(accounts) if account not in known]
            if not fresh:
                continue
            known.update(fresh)
            added += len(fresh)
            no += 1
            cursor.execute(
                "INSERT INTO invoicing_run_chunk (run_id, no, accounts) VALUES (%s, %s, %s)", [run, no, fresh]
            )
        if added:
            _reopen(run)
    return added


def next_chunk(*, run: int) -> Chunk | None:
    """An unfinished chunk that nobody else works on, locked until the transaction ends; none when there is none.

    Compute it, write its documents and `finish_chunk` in this same transaction. `None` may mean that others still
    work on the last ones: see `queries.chunks_left`.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, run_id, no, accounts FROM invoicing_run_chunk WHERE run_id = %s AND done_at IS NULL"
            " ORDER BY no LIMIT 1 FOR UPDATE SKIP LOCKED",
            [run],
        )
        row = cursor.fetchone()
    return None if row is None else Chunk(row[0], row[1], row[2], tuple(row[3]))


def finish_chunk(*, chunk: int, at: datetime) -> None:
    """Mark a chunk done, in the transaction that wrote its documents. Raises `UnableToPlanError` if it is done."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE invoicing_run_chunk SET done_at = %s WHERE id = %s AND done_at IS NULL", [require_aware(at), chunk]
        )
        if not cursor.rowcount:
            raise UnableToPlanError(f"chunk {chunk} is done already, or not there")


def park_account(*, run: int, account: int, reason: str, detail: str, at: datetime) -> None:
    """Leave an account out of a run, saying why: `reason` is a short code, `detail` what a person needs to mend it.

    Parking it again in the same run replaces the reason.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO invoicing_parked_account (run_id, account_id, reason, detail, parked_at)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (run_id, account_id) WHERE resolved_at IS NULL"
            " DO UPDATE SET reason = excluded.reason, detail = excluded.detail, parked_at = excluded.parked_at",
            [run, account, reason[:60], detail, require_aware(at)],
        )


def retry_parked(*, run: int, at: datetime, chunk_size: int = 100) -> int:
    """Take every parked account of a run up again, in new chunks; returns how many. A closed run opens for them."""
    lock_run(run)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE invoicing_parked_account SET resolved_at = %s WHERE run_id = %s AND resolved_at IS NULL"
            " RETURNING account_id",
            [require_aware(at), run],
        )
        accounts = sorted(account for (account,) in cursor.fetchall())
        cursor.execute("SELECT coalesce(max(no), 0) FROM invoicing_run_chunk WHERE run_id = %s", [run])
        (no,) = cursor.fetchone()
        for start in range(0, len(accounts), chunk_size):
            no += 1
            cursor.execute(
                "INSERT INTO invoicing_run_chunk (run_id, no, accounts) VALUES (%s, %s, %s)",
                [run, no, accounts[start : start + chunk_size]],
            )
        if accounts:
            _reopen(run)
    return len(accounts)


def _reopen(run: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE invoicing_run SET state = 'open', closed_at = NULL WHERE id = %s AND state = 'closed'", [run]
        )
