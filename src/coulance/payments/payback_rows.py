"""Reading paybacks and the files they went in; and what an undone refund means for one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from coulance.payments.collections import fetch
from coulance.payments.errors import UnableToPayBackError, UnableToReverseError
from coulance_core.kernel import Money, require_aware
from coulance_core.payments.paybacks import PaybackState


@dataclass(frozen=True, slots=True)
class PaybackRow:
    """Money that goes back, as it stands. `way` is `bank` or a gateway; `approved_by` are different people."""

    id: int
    account: int
    receipt: int
    amount: Money
    way: str
    iban: str
    holder: str
    end_to_end_id: str
    state: PaybackState
    source_key: str
    reason: str
    asked_at: datetime
    asked_by: str
    run: int | None
    refund: int | None
    bank_says: str
    ended_on: date | None
    why: str
    changed_at: datetime
    approved_by: tuple[str, ...]

    @property
    def shown_iban(self) -> str:
        """The IBAN with its middle left out, as it is shown and mailed; empty while nobody said one."""
        return f"{self.iban[:4]} {self.iban[4:8]} **** {self.iban[-4:]}" if self.iban else ""


@dataclass(frozen=True, slots=True)
class PaybackRunRow:
    """A file of paybacks."""

    id: int
    reference: str
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


_PAYBACKS = """
SELECT p.id, p.account_id, p.receipt_id, p.amount, p.currency, p.way, p.iban, p.holder, p.end_to_end_id, p.state,
       p.source_key, p.reason, p.asked_at, p.asked_by, p.run_id, p.refund_id, p.bank_says, p.ended_on, p.why,
       p.changed_at, ARRAY(SELECT a.by FROM payments_payback_approval a WHERE a.payback_id = p.id ORDER BY a.id)
  FROM payments_payback p
"""


def _row(row: Sequence[Any]) -> PaybackRow:
    values = [*row[:3], Money(row[3], row[4]), *row[5:9], PaybackState(row[9]), *row[10:20], tuple(row[20])]
    return PaybackRow(*values)


def paybacks(
    *,
    accounts: Iterable[int] | None = None,
    states: Iterable[PaybackState] | None = None,
    receipts: Iterable[int] | None = None,
    run: int | None = None,
    before: int | None = None,
    limit: int = 1000,
) -> list[PaybackRow]:
    """Paybacks, the newest first; `before` is the id that a page of them ended with."""
    owners = None if accounts is None else list(accounts)
    wanted = None if states is None else [state.value for state in states]
    of = None if receipts is None else list(receipts)
    return [
        _row(row)
        for row in fetch(
            _PAYBACKS + " WHERE (%s::bigint[] IS NULL OR p.account_id = ANY(%s))"
            " AND (%s::text[] IS NULL OR p.state = ANY(%s)) AND (%s::bigint[] IS NULL OR p.receipt_id = ANY(%s))"
            " AND (%s::bigint IS NULL OR p.run_id = %s) AND (%s::bigint IS NULL OR p.id < %s)"
            " ORDER BY p.id DESC LIMIT %s",
            [owners, owners, wanted, wanted, of, of, run, run, before, before, limit],
        )
    ]


def payback(
    *, payback: int | None = None, refund: int | None = None, end_to_end_id: str = "", lock: bool = False
) -> PaybackRow:
    """One by its id, its refund, or the id that banks know it by. Raises `UnableToPayBackError`."""
    rows = fetch(
        _PAYBACKS
        + " WHERE p.id = %s OR p.refund_id = %s OR p.end_to_end_id = nullif(%s, '')"
        + (" FOR UPDATE" if lock else ""),
        [payback, refund, end_to_end_id],
    )
    if not rows:
        raise UnableToPayBackError(f"there is no payback {payback or end_to_end_id or f'of refund {refund}'}")
    return _row(rows[0])


def payback_runs(*, run: int | None = None, reference: str = "", limit: int = 100) -> list[PaybackRunRow]:
    """Files of paybacks, the newest first."""
    return [
        PaybackRunRow(row[0], row[1], row[2], row[3], Money(row[4], row[5]), *row[6:])
        for row in fetch(
            "SELECT id, reference, form, count, total, currency, encode(file_hash, 'hex'), made_at, made_by, handed_at,"
            " handed_by, cancelled_at, cancelled_why FROM payments_payback_run"
            " WHERE (%s::bigint IS NULL OR id = %s) AND (%s = '' OR reference = %s) ORDER BY id DESC LIMIT %s",
            [run, run, reference, reference, limit],
        )
    ]


def move(
    row: PaybackRow, becomes: PaybackState, *, at: datetime, on: date | None = None, why: str = "", **more: Any
) -> PaybackRow:
    """Move one on, if it still stands where it was read. Raises `UnableToPayBackError` when it doesn't."""
    columns = {"state": becomes.value, "changed_at": require_aware(at), "ended_on": on, "why": why, **more}
    assigned = ", ".join(f"{name} = %s" for name in columns)
    if not fetch(
        f"UPDATE payments_payback SET {assigned} WHERE id = %s AND state = %s RETURNING id",  # noqa: S608 - ours
        [*columns.values(), row.id, row.state.value],
    ):
        raise UnableToPayBackError(f"payback {row.end_to_end_id} is not {row.state.value} any more")
    return payback(payback=row.id)


def refund_undone(*, refund: int, on: date, why: str, at: datetime) -> PaybackRow | None:
    """A refund was undone: what of a payback it was has failed. Raises `UnableToReverseError` while it is in a file."""
    rows = fetch(_PAYBACKS + " WHERE p.refund_id = %s", [refund])
    if not rows:
        return None
    row = _row(rows[0])
    if row.state in (PaybackState.DECLINED, PaybackState.FAILED):
        return None
    if row.state is PaybackState.FILED:
        raise UnableToReverseError(f"refund {refund} is in a file that nobody fetched yet: call that file off first")
    return move(row, PaybackState.FAILED, at=at, on=on, why=why)
