"""Reading collections and the files they went in."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection

from coulance.payments.errors import UnableToCollectError
from coulance_core.kernel import Money
from coulance_core.payments import Scheme
from coulance_core.payments.direct_debit import CollectionState

DEBTS = "debts"
INSTALMENT = "instalment"
TOP_UP = "top_up"
"""What a collection brings money for."""


@dataclass(frozen=True, slots=True)
class CollectionRow:
    """A collection as it stands, with what it is for: (ref, amount) of each debt."""

    id: int
    account: int
    mandate: int
    amount: Money
    collect_on: date
    end_to_end_id: str
    state: CollectionState
    sequence: str
    run: int | None
    receipt: int | None
    message_key: str
    attempt: int
    retry_of: int | None
    final_on: date | None
    return_code: str
    ended_on: date | None
    why: str
    planned_at: datetime
    purpose: str
    basis: str
    bank_says: str
    bank_said_at: datetime | None
    parts: tuple[tuple[str, Money], ...]

    @property
    def tops_up(self) -> bool:
        """Whether it fills the prepaid balance, for no debt."""
        return self.purpose == TOP_UP


@dataclass(frozen=True, slots=True)
class RunRow:
    """A file of collections. `batches` are the sums that bank statements may show: (id, amount)."""

    id: int
    reference: str
    scheme: Scheme
    form: str
    count: int
    total: Money
    file_hash: str
    made_at: datetime
    made_by: str
    handed_at: datetime | None
    handed_by: str
    cancelled_at: datetime | None
    cancelled_why: str


_COLLECTIONS = """
SELECT d.id, d.account_id, d.mandate_id, d.amount, d.currency, d.collect_on, d.end_to_end_id, d.state, d.sequence,
       d.run_id, d.receipt_id, d.message_key, d.attempt, d.retry_of_id, d.final_on, d.return_code, d.ended_on, d.why,
       d.planned_at, d.purpose, d.basis, d.bank_says, d.bank_said_at, coalesce((SELECT jsonb_agg(jsonb_build_array(
         coalesce('document/' || c.document_id, 'opening/' || c.opening_id), c.amount) ORDER BY c.id)
         FROM payments_claim c WHERE c.collection_id = d.id), '[]')::text
  FROM payments_collection d
"""


def fetch(statement: str, values: Sequence[Any]) -> list[Any]:
    """The rows that a statement gives."""
    with connection.cursor() as cursor:
        cursor.execute(statement, list(values))
        rows: list[Any] = cursor.fetchall()
        return rows


def _row(row: Sequence[Any]) -> CollectionRow:
    code = row[4]
    parts = tuple((ref, Money(amount, code)) for ref, amount in json.loads(row[23]))
    values = [*row[:3], Money(row[3], code), *row[5:7], CollectionState(row[7]), *row[8:23], parts]
    return CollectionRow(*values)


def collections(
    *,
    states: Iterable[CollectionState] | None = None,
    accounts: Iterable[int] | None = None,
    run: int | None = None,
    until: date | None = None,
    limit: int = 100_000,
) -> list[CollectionRow]:
    """Collections in these states, of accounts or a run, to collect up to a day; the first to collect first."""
    wanted = None if states is None else [state.value for state in states]
    owners = None if accounts is None else list(accounts)
    return [
        _row(row)
        for row in fetch(
            _COLLECTIONS + " WHERE (%s::text[] IS NULL OR d.state = ANY(%s))"
            " AND (%s::bigint[] IS NULL OR d.account_id = ANY(%s)) AND (%s::bigint IS NULL OR d.run_id = %s)"
            " AND (%s::date IS NULL OR d.collect_on <= %s) ORDER BY d.collect_on, d.id LIMIT %s",
            [wanted, wanted, owners, owners, run, run, until, until, limit],
        )
    ]


def page(
    *, account: int | None, run: int | None, state: CollectionState | None, before: int | None, limit: int
) -> list[CollectionRow]:
    """A page of collections, the last planned first; `before` is the id that the page before ended with."""
    value = None if state is None else state.value
    return [
        _row(row)
        for row in fetch(
            _COLLECTIONS + " WHERE (%s::bigint IS NULL OR d.account_id = %s) AND (%s::bigint IS NULL OR d.run_id = %s)"
            " AND (%s::text IS NULL OR d.state = %s) AND (%s::bigint IS NULL OR d.id < %s)"
            " ORDER BY d.id DESC LIMIT %s",
            [account, account, run, run, value, value, before, before, limit],
        )
    ]


def file_of(*, run: int) -> bytes:
    """The file of a run that was handed over, as the bank has it. Raises `UnableToCollectError` before that."""
    found = fetch("SELECT file, file_hash, reference, handed_at FROM payments_collection_run WHERE id = %s", [run])
    if not found:
        raise UnableToCollectError(f"there is no file {run}")
    content, digest, reference, handed = bytes(found[0][0]), bytes(found[0][1]), found[0][2], found[0][3]
    if handed is None:
        raise UnableToCollectError(f"file {reference} was not marked as sent: from then on it is under way")
    if hashlib.sha256(content).digest() != digest:
        raise UnableToCollectError(f"file {reference} is not the one that was made")
    return content


def collected_in_month(*, mandate: int, month: date, purpose: str | None = None) -> Money:
    """What was (or is being) collected by a mandate in the calendar month of a day: what came back doesn't count."""
    first = month.replace(day=1)
    rows = fetch(
        "SELECT coalesce(sum(amount), 0)::bigint FROM payments_collection WHERE mandate_id = %s"
        " AND state IN ('planned', 'filed', 'handed', 'collected') AND collect_on >= %s AND collect_on < %s"
        " AND (%s::text IS NULL OR purpose = %s)",
        [mandate, first, (first + timedelta(days=32)).replace(day=1), purpose, purpose],
    )
    return Money(int(rows[0][0]), "EUR")


def top_ups_to_count(*, before: date) -> list[CollectionRow]:
    """Top-ups that were collected, whose bank can return them no more as of a day, and that aren't on the balance."""
    return [
        _row(row)
        for row in fetch(
            _COLLECTIONS  # noqa: S608 - ours
            + " WHERE d.purpose = 'top_up' AND d.state = 'collected' AND d.final_on < %s AND NOT EXISTS ("
            "  SELECT 1 FROM payments_allocation a WHERE a.receipt_id = d.receipt_id AND a.prepaid"
            "  AND a.reversed_on IS NULL) ORDER BY d.id",
            [before],
        )
    ]


def collection(*, collection: int | None = None, end_to_end_id: str = "", receipt: int | None = None) -> CollectionRow:
    """One collection by its id, its end-to-end id or its receipt. Raises `UnableToCollectError`."""
    rows = fetch(
        _COLLECTIONS + " WHERE d.id = %s OR d.end_to_end_id = nullif(%s, '') OR d.receipt_id = %s",
        [collection, end_to_end_id, receipt],
    )
    if not rows:
        raise UnableToCollectError(f"there is no collection {collection or end_to_end_id or f'of receipt {receipt}'}")
    return _row(rows[0])


_RUNS = (
    "SELECT id, reference, scheme, form, count, total, currency, encode(file_hash, 'hex'), made_at, made_by, handed_at,"
    " handed_by, cancelled_at, cancelled_why FROM payments_collection_run"
)


def runs(*, run: int | None = None, reference: str = "", before: int | None = None, limit: int = 100) -> list[RunRow]:
    """Files of collections, the newest first; `before` is the id that a page of them ended with."""
    return [
        RunRow(row[0], row[1], Scheme(row[2]), row[3], row[4], Money(row[5], row[6]), *row[7:])
        for row in fetch(
            _RUNS + " WHERE (%s::bigint IS NULL OR id = %s) AND (%s = '' OR reference = %s)"
            " AND (%s::bigint IS NULL OR id < %s) ORDER BY id DESC LIMIT %s",
            [run, run, reference, reference, before, before, limit],
        )
    ]
