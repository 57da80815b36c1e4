"""Entries as stored, and what became of each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, LiteralString

from django.db import connection

from coulance.payments.bank.reading import as_json, fetch, from_json
from coulance.payments.booking import require_transaction
from coulance.payments.errors import UnableToFindPaymentError
from coulance_core.kernel import Money
from coulance_core.payments.bank import BankEntry, StatementKind


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry as stored. `entry` is what the bank said; `match` how it was matched, or what is suggested."""

    id: int
    bank_account: str
    statement: str
    kind: StatementKind
    entry: BankEntry
    state: str
    account: int | None
    receipt: int | None
    match: Mapping[str, Any]
    reason: str
    decided_by: str
    decided_at: datetime | None


_ENTRIES: LiteralString = """
SELECT e.id, b.iban, s.number, s.opening IS NULL, s.format, e.booked_on, e.value_on, e.amount, e.currency,
       e.end_to_end_id, e.structured_reference, e.remittance, e.counterparty_name, e.counterparty_iban, e.bank_ref,
       e.return_reason, e.batch, e.state, e.account_id, e.receipt_id, e.match, e.reason, e.decided_by, e.decided_at
  FROM payments_bank_entry e JOIN payments_bank_statement s ON s.id = e.statement_id
  JOIN payments_bank_account b ON b.id = e.bank_account_id
"""


def _row(row: Sequence[Any]) -> EntryRow:
    match = row[20] if isinstance(row[20], dict) else from_json(row[20])
    entry = BankEntry(
        booked_on=row[5],
        value_on=row[6],
        amount=Money(row[7], row[8]),
        end_to_end_id=row[9],
        structured_reference=row[10],
        remittance=row[11],
        counterparty_name=row[12],
        counterparty_iban=row[13],
        bank_ref=row[14],
        return_reason=row[15],
        batch=row[16],
        batch_count=int(match.get("batch_count", 0)),
    )
    kind = StatementKind.NOTIFICATION if row[4].startswith("camt.054") else StatementKind.STATEMENT
    return EntryRow(row[0], row[1], row[2], kind, entry, row[17], row[18], row[19], match, row[21], row[22], row[23])


def entry(*, entry: int, lock: bool = False) -> EntryRow:
    """An entry by its id; with `lock`, held until the transaction ends. Raises `UnableToFindPaymentError`."""
    if lock:
        require_transaction("entry")
        fetch("SELECT id FROM payments_bank_entry WHERE id = %s FOR UPDATE", [entry])
    rows = fetch(_ENTRIES + " WHERE e.id = %s", [entry])
    if not rows:
        raise UnableToFindPaymentError(f"there is no bank entry {entry}; see coulance bank queue")
    return _row(rows[0])


def entries(
    *, states: Collection[str], account: int | None = None, limit: int = 1000, offset: int = 0
) -> list[EntryRow]:
    """Entries in these states (of an account), the oldest first."""
    return [
        _row(row)
        for row in fetch(
            _ENTRIES + " WHERE e.state = ANY(%s) AND (%s::bigint IS NULL OR e.account_id = %s)"
            " ORDER BY e.booked_on, e.id LIMIT %s OFFSET %s",
            [list(states), account, account, limit, offset],
        )
    ]


def count(*, states: Collection[str]) -> int:
    """How many entries are in these states."""
    found: int = fetch("SELECT count(*) FROM payments_bank_entry WHERE state = ANY(%s)", [list(states)])[0][0]
    return found


def to_judge(*, limit: int) -> list[EntryRow]:
    """The next entries that nothing was decided on, the oldest first, held until the transaction ends.

    Entries of notifications are left out: `explain_batches` frees those whose batch a statement has.
    """
    require_transaction("to_judge")
    ids = [
        found
        for (found,) in fetch(
            "SELECT e.id FROM payments_bank_entry e JOIN payments_bank_statement s ON s.id = e.statement_id"
            " WHERE e.state = 'new' AND (s.format NOT LIKE %s OR jsonb_exists(e.match, 'explains'))"
            " ORDER BY e.booked_on, e.id LIMIT %s FOR UPDATE OF e SKIP LOCKED",
            ["camt.054%", limit],
        )
    ]
    return [_row(row) for row in fetch(_ENTRIES + " WHERE e.id = ANY(%s) ORDER BY e.booked_on, e.id", [ids])]


def decide(
    *,
    entry: int,
    state: str,
    actor: str,
    at: datetime,
    reason: str,
    match: Mapping[str, Any],
    account: int | None = None,
    receipt: int | None = None,
) -> None:
    """Write what became of an entry. What was known of its batch stays."""
    decide_many(
        decisions=[NewDecision(entry, state, reason, match, account=account, receipt=receipt)], actor=actor, at=at
    )


@dataclass(frozen=True, slots=True)
class NewDecision:
    """What became of one entry."""

    entry: int
    state: str
    reason: str
    match: Mapping[str, Any]
    account: int | None = None
    receipt: int | None = None


def decide_many(*, decisions: Sequence[NewDecision], actor: str, at: datetime) -> None:
    """Write what became of entries. What was known of their batches stays."""
    require_transaction("decide_many")
    if not decisions:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payments_bank_entry e SET state = d.state, account_id = d.account, receipt_id = d.receipt,"
            " decided_at = %s, decided_by = %s, reason = d.reason, match = jsonb_strip_nulls(jsonb_build_object("
            " 'batch_count', e.match->'batch_count', 'explains', e.match->'explains')) || d.match"
            " FROM jsonb_to_recordset(%s::jsonb)"
            " AS d (entry bigint, state text, account bigint, receipt bigint, reason text, match jsonb)"
            " WHERE e.id = d.entry",
            [at, actor, as_json([asdict(one) for one in decisions])],
        )


def receipts_of(*, entry: int) -> int:
    """How many receipts were ever booked from an entry, undone ones too."""
    found: int = fetch(
        "SELECT count(*) FROM payments_receipt WHERE source_key = %s OR source_key LIKE %s",
        [f"bank_entry/{entry}", f"bank_entry/{entry}/%"],
    )[0][0]
    return found
