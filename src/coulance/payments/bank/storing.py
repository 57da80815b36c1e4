"""Storing statements: each once by its content, each entry once by its fingerprint, gaps and other formats noticed."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from coulance.payments.bank.reading import as_json, fetch
from coulance.payments.booking import require_transaction
from coulance.payments.errors import UnableToBookError
from coulance_core.kernel import Money, require_aware
from coulance_core.payments.bank import BankStatement, StatementKind, fingerprints


@dataclass(frozen=True, slots=True)
class Stored:
    """What storing a statement came to: new and known entries. `again`: the very same statement came before."""

    statement: int
    account: str
    number: str
    fresh: int
    known: int
    again: bool
    notes: tuple[str, ...] = ()


_MANY = 1000
"""Entries of a statement from which on statistics are worth their time."""
_AT_ONCE = 5000
"""Entries written by one statement."""
_COLUMNS = {
    "no": "int",
    "fingerprint": "bytea",
    "booked_on": "date",
    "value_on": "date",
    "amount": "bigint",
    "currency": "text",
    "end_to_end_id": "text",
    "structured_reference": "text",
    "remittance": "text",
    "counterparty_name": "text",
    "counterparty_iban": "text",
    "bank_ref": "text",
    "return_reason": "text",
    "batch": "text",
    "match": "jsonb",
}
"""What an entry's row says."""


def content_of(statement: BankStatement) -> bytes:
    """The SHA-256 of what a statement says: its account, number, balances and entries."""
    parts = [statement.account, statement.currency, statement.kind.value, statement.number, statement.page]
    parts += [str(statement.opening), str(statement.closing), str(statement.opened_on), str(statement.closed_on)]
    parts += [mark.hex() for _, mark in fingerprints(statement)]
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).digest()


def store_statement(*, statement: BankStatement, file_name: str, actor: str, at: datetime) -> Stored:
    """Store a statement and those of its entries that no other statement of the account had; lock the account first.

    Raises `UnableToBookError` for a statement that says what another one, in another format, said already: their
    entries are worded differently, so both would be booked.
    """
    require_transaction("store_statement")
    require_aware(at)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO payments_bank_account (iban, currency, name, added_at) VALUES (%s, %s, '', %s)"
            " ON CONFLICT (iban, currency) DO NOTHING",
            [statement.account[:60], statement.currency, at],
        )
        cursor.execute(
            "SELECT id FROM payments_bank_account WHERE iban = %s AND currency = %s FOR UPDATE",
            [statement.account[:60], statement.currency],
        )
        account: int = cursor.fetchone()[0]
    content = content_of(statement)
    before = fetch(
        "SELECT id FROM payments_bank_statement WHERE bank_account_id = %s AND fingerprint = %s", [account, content]
    )
    if before:
        return Stored(before[0][0], statement.account, statement.number, 0, len(statement.entries), True)
    _refuse_other_format(account, statement)
    notes = list(_gaps(account, statement))
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO payments_bank_statement (bank_account_id, number, sequence, opened_on, closed_on, opening,"
            " closing, fingerprint, format, file_name, imported_at, imported_by)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
            [
                account,
                statement.number[:60],
                statement.page[:60],
                statement.opened_on,
                statement.closed_on,
                None if statement.opening is None else statement.opening.minor,
                None if statement.closing is None else statement.closing.minor,
                content,
                statement.form,
                file_name[:200],
                at,
                actor,
            ],
        )
        number: int = cursor.fetchone()[0]
    fresh = _store_entries(account, number, statement)
    known = len(statement.entries) - fresh
    # An overlapping statement opens inside another one: no gap.
    return Stored(number, statement.account, statement.number, fresh, known, False, () if known else tuple(notes))


def _family(form: str) -> str:
    return "camt" if form.startswith("camt") else "mt940"


def _refuse_other_format(account: int, statement: BankStatement) -> None:
    if statement.kind is not StatementKind.STATEMENT:
        return
    for number, form, opened, closed in fetch(
        "SELECT number, format, opened_on, closed_on FROM payments_bank_statement"
        " WHERE bank_account_id = %s AND opening IS NOT NULL AND opened_on < %s AND closed_on > %s"
        " OR (bank_account_id = %s AND opening = %s AND closing = %s AND closed_on = %s)",
        [
            account,
            statement.closed_on,
            statement.opened_on,
            account,
            None if statement.opening is None else statement.opening.minor,
            None if statement.closing is None else statement.closing.minor,
            statement.closed_on,
        ],
    ):
        if _family(form) != _family(statement.form):
            raise UnableToBookError(
                f"statement {statement.number} ({statement.form}) covers what statement {number} ({form}, {opened} to "
                f"{closed}) covers: import one format of a bank account, not both"
            )


def _gaps(account: int, statement: BankStatement) -> Iterable[str]:
    """What is missing before this statement, by the balances."""
    if statement.opening is None or statement.opened_on is None:
        return
    earlier = fetch(
        "SELECT number, closing, closed_on FROM payments_bank_statement WHERE bank_account_id = %s"
        " AND closing IS NOT NULL AND closed_on <= %s ORDER BY closed_on DESC, id DESC",
        [account, statement.closed_on or statement.opened_on],
    )
    if not earlier or any(closing == statement.opening.minor for _, closing, _ in earlier):
        return
    number, closing, closed = earlier[0]
    was = Money(closing, statement.currency)
    yield (
        f"before statement {statement.number or '(no number)'}: it opens with {statement.opening}, statement "
        f"{number or '(no number)'} closed with {was} on {closed}: {statement.opening - was} is not accounted for; "
        "import what lies between"
    )


def _store_entries(account: int, statement: int, given: BankStatement) -> int:
    # A notification tells what a statement tells too: its entries never stand for the statement's.
    salt = b"notification" if given.kind is StatementKind.NOTIFICATION else b""
    rows = [
        {
            "no": number,
            "fingerprint": "\\x" + (hashlib.sha256(salt + mark).digest() if salt else mark).hex(),
            "booked_on": entry.booked_on.isoformat(),
            "value_on": (entry.value_on or entry.booked_on).isoformat(),
            "amount": entry.amount.minor,
            "currency": entry.amount.currency,
            "end_to_end_id": entry.end_to_end_id[:140],
            "structured_reference": entry.structured_reference[:140],
            "remittance": entry.remittance,
            "counterparty_name": entry.counterparty_name[:200],
            "counterparty_iban": entry.counterparty_iban[:60],
            "bank_ref": entry.bank_ref[:140],
            "return_reason": (entry.return_reason or ("reversal" if entry.is_reversal else ""))[:60],
            "batch": entry.batch[:140],
            "match": {"batch_count": entry.batch_count} if entry.batch_count else {},
        }
        for number, (entry, mark) in enumerate(fingerprints(given), start=1)
    ]
    if not rows:
        return 0
    with connection.cursor() as cursor:
        for start in range(0, len(rows), _AT_ONCE):
            cursor.execute(
                f"INSERT INTO payments_bank_entry (bank_account_id, statement_id, state, {', '.join(_COLUMNS)})"  # noqa: S608
                f" SELECT %s, %s, 'new', {', '.join(f'n.{column}' for column in _COLUMNS)}"
                f" FROM jsonb_to_recordset(%s::jsonb) AS n ({', '.join(' '.join(one) for one in _COLUMNS.items())})"
                " ORDER BY n.no ON CONFLICT (bank_account_id, fingerprint) DO NOTHING",
                [account, statement, as_json(rows[start : start + _AT_ONCE])],
            )
        cursor.execute("SELECT count(*) FROM payments_bank_entry WHERE statement_id = %s", [statement])
        count: int = cursor.fetchone()[0]
        if count > _MANY:
            # What follows in this transaction joins the table with itself: its planner has to know that it grew.
            cursor.execute("ANALYZE payments_bank_entry")
    return count
