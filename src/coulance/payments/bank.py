"""The bank's side of the room: statements and their entries as files gave them, and what became of each entry.

Everything here runs in the caller's transaction. An entry is stored once per bank account, by its fingerprint, whatever
statements it comes in; a statement once, by its content. What an entry moves is booked by `operations`; here is only
that it was. Statements of an account are stored under a lock on it, so that two imports at once store everything once.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, LiteralString

from django.db import connection

from coulance.payments.booking import require_transaction
from coulance.payments.errors import UnableToBookError, UnableToFindPaymentError
from coulance_core.kernel import Money, require_aware
from coulance_core.payments import ItemKind, OpenItem
from coulance_core.payments.bank import BankEntry, BankStatement, StatementKind, fingerprints
from coulance_core.payments.matching import EarlierReceipt, Refund

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
LOOK_BACK = timedelta(days=400)
"""How long a settled invoice, a receipt or a refund can be what an entry is about."""


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


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """One of the provider's accounts by its statements: `missing` is what the entries known don't explain."""

    iban: str
    currency: str
    statements: int
    entries: int
    first_on: date | None
    last_on: date | None
    closing: Money | None
    missing: Money | None


def iban_or_none(text: str) -> str:
    """The text when it has an IBAN's shape; else nothing, as columns for IBANs take no other number."""
    return text if _IBAN.fullmatch(text) else ""


def _fetch(statement: LiteralString, parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[Any] = cursor.fetchall()
        return rows


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
    before = _fetch(
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
    for number, form, opened, closed in _fetch(
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
    earlier = _fetch(
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
        (
            account,
            statement,
            number,
            hashlib.sha256(salt + mark).digest() if salt else mark,
            entry.booked_on,
            entry.value_on or entry.booked_on,
            entry.amount.minor,
            entry.amount.currency,
            entry.end_to_end_id[:140],
            entry.structured_reference[:140],
            entry.remittance,
            entry.counterparty_name[:200],
            entry.counterparty_iban[:60],
            entry.bank_ref[:140],
            (entry.return_reason or ("reversal" if entry.is_reversal else ""))[:60],
            entry.batch[:140],
            _json({"batch_count": entry.batch_count} if entry.batch_count else {}),
        )
        for number, (entry, mark) in enumerate(fingerprints(given), start=1)
    ]
    if not rows:
        return 0
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO payments_bank_entry (bank_account_id, statement_id, no, fingerprint, booked_on, value_on,"
            " amount, currency, end_to_end_id, structured_reference, remittance, counterparty_name, counterparty_iban,"
            " bank_ref, return_reason, batch, match, state)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, 'new')"
            " ON CONFLICT (bank_account_id, fingerprint) DO NOTHING",
            rows,
        )
        cursor.execute("SELECT count(*) FROM payments_bank_entry WHERE statement_id = %s", [statement])
        count: int = cursor.fetchone()[0]
    return count


_ENTRIES: LiteralString = """
SELECT e.id, b.iban, s.number, s.opening IS NULL, s.format, e.booked_on, e.value_on, e.amount, e.currency,
       e.end_to_end_id, e.structured_reference, e.remittance, e.counterparty_name, e.counterparty_iban, e.bank_ref,
       e.return_reason, e.batch, e.state, e.account_id, e.receipt_id, e.match, e.reason, e.decided_by, e.decided_at
  FROM payments_bank_entry e JOIN payments_bank_statement s ON s.id = e.statement_id
  JOIN payments_bank_account b ON b.id = e.bank_account_id
"""


def _row(row: Sequence[Any]) -> EntryRow:
    match = row[20] if isinstance(row[20], dict) else _loads(row[20])
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


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _loads(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(value)
    return found


def entry(*, entry: int, lock: bool = False) -> EntryRow:
    """An entry by its id; with `lock`, held until the transaction ends. Raises `UnableToFindPaymentError`."""
    if lock:
        require_transaction("entry")
        _fetch("SELECT id FROM payments_bank_entry WHERE id = %s FOR UPDATE", [entry])
    rows = _fetch(_ENTRIES + " WHERE e.id = %s", [entry])
    if not rows:
        raise UnableToFindPaymentError(f"there is no bank entry {entry}; see coulance bank queue")
    return _row(rows[0])


def entries(
    *, states: Collection[str], account: int | None = None, limit: int = 1000, offset: int = 0
) -> list[EntryRow]:
    """Entries in these states (of an account), the oldest first."""
    return [
        _row(row)
        for row in _fetch(
            _ENTRIES + " WHERE e.state = ANY(%s) AND (%s::bigint IS NULL OR e.account_id = %s)"
            " ORDER BY e.booked_on, e.id LIMIT %s OFFSET %s",
            [list(states), account, account, limit, offset],
        )
    ]


def count(*, states: Collection[str]) -> int:
    """How many entries are in these states."""
    found: int = _fetch("SELECT count(*) FROM payments_bank_entry WHERE state = ANY(%s)", [list(states)])[0][0]
    return found


def to_judge(*, limit: int) -> list[EntryRow]:
    """The next entries that nothing was decided on, the oldest first, held until the transaction ends.

    Entries of notifications are left out: `explain_batches` frees those whose batch a statement has.
    """
    require_transaction("to_judge")
    ids = [
        found
        for (found,) in _fetch(
            "SELECT e.id FROM payments_bank_entry e JOIN payments_bank_statement s ON s.id = e.statement_id"
            " WHERE e.state = 'new' AND (s.format NOT LIKE %s OR jsonb_exists(e.match, 'explains'))"
            " ORDER BY e.booked_on, e.id LIMIT %s FOR UPDATE OF e SKIP LOCKED",
            ["camt.054%", limit],
        )
    ]
    return [_row(row) for row in _fetch(_ENTRIES + " WHERE e.id = ANY(%s) ORDER BY e.booked_on, e.id", [ids])]


def explain_batches(*, at: datetime, actor: str) -> int:
    """Join batches that a statement books as one sum with the payments that a notification tells of them.

    Where the payments of a batch (same account, and the same batch or bank's reference) sum to the entry, the payments
    are freed to be judged and the sum is set aside; when the sum was booked as one already, the payments are. Nothing
    else of a notification ever moves the books. Gives how many sums were explained.
    """
    require_transaction("explain_batches")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payments_bank_entry e SET state = 'ignored', decided_at = %s, decided_by = %s,"
            " reason = 'the statement has it' FROM payments_bank_statement s"
            " WHERE s.id = e.statement_id AND e.state = 'new' AND s.format LIKE %s AND e.bank_ref <> ''"
            " AND NOT jsonb_exists(e.match, 'explains') AND EXISTS (SELECT 1 FROM payments_bank_entry o"
            "  JOIN payments_bank_statement t ON t.id = o.statement_id WHERE o.bank_account_id = e.bank_account_id"
            "  AND t.format NOT LIKE %s AND o.booked_on = e.booked_on AND o.amount = e.amount"
            "  AND o.bank_ref = e.bank_ref AND NOT jsonb_exists(o.match, 'batch_count'))",
            [at, actor, "camt.054%", "camt.054%"],
        )
    sums = _fetch(
        "SELECT e.id, e.bank_account_id, e.amount, e.batch, e.bank_ref, e.state FROM payments_bank_entry e"
        " JOIN payments_bank_statement s ON s.id = e.statement_id WHERE jsonb_exists(e.match, 'batch_count')"
        " AND s.format NOT LIKE %s AND (e.state IN ('new', 'suggested')"
        "   OR (e.state = 'booked' AND NOT jsonb_exists(e.match, 'told_late')))"
        " ORDER BY e.id FOR UPDATE OF e",
        ["camt.054%"],
    )
    explained = 0
    for whole, account, amount, batch, bank_ref, state in sums:
        parts = _fetch(
            "SELECT e.id, e.amount FROM payments_bank_entry e JOIN payments_bank_statement s ON s.id = e.statement_id"
            " WHERE e.bank_account_id = %s AND s.format LIKE %s AND e.state = 'new'"
            " AND NOT jsonb_exists(e.match, 'explains')"
            " AND ((%s <> '' AND e.batch = %s) OR (%s <> '' AND (e.bank_ref = %s OR e.batch = %s)))"
            " ORDER BY e.id FOR UPDATE OF e",
            [account, "camt.054%", batch, batch, bank_ref, bank_ref, bank_ref],
        )
        if not parts or sum(part for _, part in parts) != amount:
            continue
        ids = [number for number, _ in parts]
        with connection.cursor() as cursor:
            if state == "booked":
                cursor.execute(
                    "UPDATE payments_bank_entry SET state = 'ignored', decided_at = %s, decided_by = %s, reason = %s"
                    " WHERE id = ANY(%s)",
                    [at, actor, f"its batch was booked as one sum: bank entry {whole}", ids],
                )
                cursor.execute(
                    "UPDATE payments_bank_entry SET match = match || %s::jsonb WHERE id = %s",
                    [_json({"told_late": ids}), whole],
                )
                continue
            cursor.execute(
                "UPDATE payments_bank_entry SET match = match || %s::jsonb WHERE id = ANY(%s)",
                [_json({"explains": whole}), ids],
            )
            cursor.execute(
                "UPDATE payments_bank_entry SET state = 'ignored', decided_at = %s, decided_by = %s, reason = %s,"
                " match = %s::jsonb WHERE id = %s",
                [
                    at,
                    actor,
                    f"a batch: its {len(ids)} payments came by notification",
                    _json({"batch_count": len(ids), "parts": ids}),
                    whole,
                ],
            )
        explained += 1
    return explained


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
    rows = [
        (one.state, one.account, one.receipt, at, actor, one.reason, _json(one.match), one.entry) for one in decisions
    ]
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE payments_bank_entry SET state = %s, account_id = %s, receipt_id = %s, decided_at = %s,"
            " decided_by = %s, reason = %s, match = jsonb_strip_nulls(jsonb_build_object("
            " 'batch_count', match->'batch_count', 'explains', match->'explains')) || %s::jsonb WHERE id = %s",
            rows,
        )


def learn_ibans(*, learnt: Iterable[tuple[int, str, str]], at: datetime) -> None:
    """Remember that accounts pay from IBANs: (account, IBAN, what it was learnt from). Known ones stay as they are."""
    require_transaction("learn_ibans")
    rows = [(account, iban, at, source) for account, iban, source in learnt if iban_or_none(iban)]
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO payments_known_iban (account_id, iban, learnt_at, learnt_from) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (account_id, iban) DO NOTHING",
            rows,
        )


def own_ibans() -> frozenset[str]:
    """The provider's own accounts, as statements named them."""
    return frozenset(iban for (iban,) in _fetch("SELECT iban FROM payments_bank_account", []))


def known_marks(*, statement: BankStatement) -> frozenset[bytes]:
    """The fingerprints of a statement's entries that are stored already."""
    marks = [mark for _, mark in fingerprints(statement)]
    return frozenset(
        bytes(mark)
        for (mark,) in _fetch(
            "SELECT e.fingerprint FROM payments_bank_entry e JOIN payments_bank_account b ON b.id = e.bank_account_id"
            " WHERE b.iban = %s AND b.currency = %s AND e.fingerprint = ANY(%s)",
            [statement.account[:60], statement.currency, marks],
        )
    )


def settled_items(*, since: date) -> list[OpenItem]:
    """Invoices issued since that day, open or not, as items with nothing open: a late or double payment names them."""
    return [
        OpenItem(ref, account, ItemKind.OTHER, number, issued, due, Money(gross, code), Money(0, code))
        for ref, account, number, issued, due, gross, code in _fetch(
            "SELECT 'document/' || id, account_id, number, issued_on, due_on, gross, currency FROM invoicing_document"
            " WHERE state = 'issued' AND kind IN ('base_invoice', 'overage_invoice') AND issued_on >= %s"
            " UNION ALL SELECT 'opening/' || id, account_id, number, issued_on, due_on, gross, currency"
            " FROM payments_opening_item WHERE reversed_on IS NULL AND issued_on >= %s AND open > 0",
            [since, since],
        )
    ]


def earlier_receipts(*, since: date | None = None, entries: Sequence[int] | None = None) -> list[EarlierReceipt]:
    """Bank receipts since that day (or of these entries) that stand, with what their entries said of themselves."""
    if entries is not None and not entries:
        return []
    return [
        EarlierReceipt(receipt, account, Money(amount, code), e2e or "", ref or "", iban or "")
        for receipt, account, amount, code, e2e, ref, iban in _fetch(
            "SELECT r.id, r.account_id, r.amount, r.currency, e.end_to_end_id, e.bank_ref,"
            " coalesce(nullif(e.counterparty_iban, ''), r.payer_iban)"
            " FROM payments_receipt r LEFT JOIN payments_bank_entry e ON e.receipt_id = r.id AND e.amount > 0"
            " WHERE r.method = 'bank' AND r.reversed_on IS NULL AND (%s::date IS NULL OR r.received_on >= %s)"
            " AND (%s::bigint[] IS NULL OR e.id = ANY(%s)) ORDER BY r.received_on, r.id",
            [since, since, entries, entries],
        )
    ]


def taken_back_by(*, receipt: int) -> int | None:
    """The bank entry that undid this receipt, because the bank took the money back; None: no entry did."""
    rows = _fetch("SELECT id FROM payments_bank_entry WHERE match->>'undoes' = %s LIMIT 1", [str(receipt)])
    return rows[0][0] if rows else None


def refunds_expected(*, since: date) -> list[Refund]:
    """Refunds by bank since that day that no entry showed yet."""
    return [
        Refund(number, account, Money(amount, code), iban, key)
        for number, account, amount, code, iban, key in _fetch(
            "SELECT f.id, f.account_id, f.amount, f.currency, f.iban, f.source_key FROM payments_refund f"
            " WHERE f.method = 'bank' AND f.reversed_on IS NULL AND f.refunded_on >= %s AND NOT EXISTS ("
            "  SELECT 1 FROM payments_bank_entry e WHERE e.match->>'refund' = f.id::text)"
            " ORDER BY f.refunded_on, f.id",
            [since],
        )
    ]


def receipts_of(*, entry: int) -> int:
    """How many receipts were ever booked from an entry, undone ones too."""
    found: int = _fetch(
        "SELECT count(*) FROM payments_receipt WHERE source_key = %s OR source_key LIKE %s",
        [f"bank_entry/{entry}", f"bank_entry/{entry}/%"],
    )[0][0]
    return found


def status() -> list[AccountStatus]:
    """Each bank account by its statements: the first opening balance and all entries since give the last closing one.

    Entries of notifications are not counted: a statement has their sum.
    """
    out = []
    for iban, code, statements, entries_, first, last, opening, closing, moved in _fetch(
        "WITH s AS (SELECT * FROM payments_bank_statement WHERE opening IS NOT NULL AND closing IS NOT NULL)"
        " SELECT b.iban, b.currency, (SELECT count(*) FROM s WHERE s.bank_account_id = b.id),"
        " (SELECT count(*) FROM payments_bank_entry e JOIN s ON s.id = e.statement_id WHERE e.bank_account_id = b.id),"
        " (SELECT min(opened_on) FROM s WHERE s.bank_account_id = b.id),"
        " (SELECT max(closed_on) FROM s WHERE s.bank_account_id = b.id),"
        " (SELECT opening FROM s WHERE s.bank_account_id = b.id ORDER BY opened_on, closed_on, id LIMIT 1),"
        " (SELECT closing FROM s WHERE s.bank_account_id = b.id"
        "   ORDER BY closed_on DESC, opened_on DESC, id DESC LIMIT 1),"
        " (SELECT coalesce(sum(e.amount), 0)::bigint FROM payments_bank_entry e JOIN s ON s.id = e.statement_id"
        "   WHERE e.bank_account_id = b.id)"
        " FROM payments_bank_account b ORDER BY b.iban, b.currency",
        [],
    ):
        missing = None if opening is None else Money(closing - opening - moved, code)
        now = None if closing is None else Money(closing, code)
        out.append(AccountStatus(iban, code, statements, entries_, first, last, now, missing))
    return out
