"""Using what an account has on hand: money left over, and credit, for what it owes.

Private to the room; `operations` is the way in.
"""

from collections.abc import Collection, Sequence
from datetime import date, datetime

from coulance.ledger import operations as ledger
from coulance.payments import booking, claims, queries
from coulance.payments.allocating import allocate_receipt, record
from coulance.payments.booking import DEFAULT_POLICY, Booked, NewReceipt
from coulance.payments.errors import (
    UnableToAllocateError,
    UnableToBookError,
)
from coulance.payments.giving_up import undo_credited_write_offs
from coulance.platform.db import copy_rows, next_ids
from coulance_core.kernel import Money, require_aware
from coulance_core.payments import (
    Allocation,
    AllocationError,
    Choice,
    Method,
    Order,
    set_off,
)


def settle(
    *, account: int, on: date, actor: str, reason: str, at: datetime, policy: Order = DEFAULT_POLICY
) -> list[Allocation]:
    """Use what an account has on hand for what it owes: money left over (the oldest first), credit, then prepaid.

    For after new invoices. Nothing payable, or nothing on hand: nothing happens, however often it is asked. What is
    being collected or charged is left alone: it would be paid twice.
    """
    booking.require_transaction("settle")
    ledger.lock_accounts(accounts=[account])
    coming = claims.under_way(account=account)
    undo_credited_write_offs(account=account, on=on, actor=actor, reason=reason, at=at)
    done: list[Allocation] = []
    for found in reversed(queries.receipts(accounts=[account], with_left=True)):
        if not _payable(account, coming).get(found.left.currency):
            continue
        allocation = allocate_receipt(
            receipt=found.id, on=on, actor=actor, reason=reason, at=at, policy=policy, leave=coming
        )
        if allocation is not None:
            done.append(allocation)
    for code in sorted(_payable(account, coming)):
        key = f"settle/{account}/{code}/{at.isoformat()}"
        booked = _set_off(account, code, on, (), policy, None, key, actor, reason, at, leave=coming)
        if booked is not None and booked.allocation is not None:
            done.append(booked.allocation)
    for code, owed in sorted(_payable(account, coming).items()):
        there = min(queries.prepaid(account=account, currency=code).minor, owed)
        if there <= 0:
            continue
        drawn = NewReceipt(
            account=account,
            amount=Money(there, code),
            received_on=on,
            method=Method.PREPAID,
            source_key=f"settle/{account}/{code}/{at.isoformat()}/prepaid",
            reason=reason,
            policy=policy,
            leave=coming,
        )
        allocation = booking.book(receipts=[drawn], actor=actor, at=at)[0].allocation
        if allocation is not None:
            done.append(allocation)
    return done


def _payable(account: int, coming: Collection[str]) -> dict[str, int]:
    """What may be paid of the account's debts now, by currency, in minor units.

    Disputed parts are not asked for, nor what is coming another way.
    """
    sums: dict[str, int] = {}
    for item in queries.open_items(accounts=[account]).get(account, ()):
        if item.payable.minor > 0 and item.ref not in coming:
            sums[item.open.currency] = sums.get(item.open.currency, 0) + item.payable.minor
    return sums


def apply_credit(
    *,
    account: int,
    currency: str,
    on: date,
    source_key: str,
    actor: str,
    reason: str,
    at: datetime,
    choice: Sequence[Choice | str] = (),
    policy: Order = DEFAULT_POLICY,
) -> Booked:
    """Set the account's credit (credit notes on what was paid, or taken over) off against its debts.

    A write-off of a debt that was credited since is undone first: nobody paid that. Raises `UnableToAllocateError` when
    there is no credit, or nothing to set it off against.
    """
    booked = _set_off(account, currency, on, choice, policy, None, source_key, actor, reason, at)
    if booked is None:
        raise UnableToAllocateError("there is no credit to set off, or no debt to set it off against")
    return booked


def free_credit(
    *, account: int, amount: Money, on: date, source_key: str, actor: str, reason: str, at: datetime
) -> Booked:
    """Turn credit of the account into unallocated money, all of it: to pay it back, or to allocate it by hand.

    Raises `UnableToAllocateError` when there is less credit than that.
    """
    booked = _set_off(account, amount.currency, on, (), DEFAULT_POLICY, amount, source_key, actor, reason, at)
    if booked is None:
        raise UnableToAllocateError("there is no credit to free")
    return booked


def _set_off(
    account: int,
    code: str,
    on: date,
    choice: Sequence[Choice | str],
    policy: Order,
    free: Money | None,
    source_key: str,
    actor: str,
    reason: str,
    at: datetime,
    leave: Collection[str] = (),
) -> Booked | None:
    booking.require_transaction("setting credit off")
    why, at = booking.require_reason(reason), require_aware(at)
    parties = ledger.lock_accounts(accounts=[account])
    before = queries.receipt_by_source(source_key=source_key)
    if before is not None:
        if (before.account, before.method) != (account, Method.CREDIT):
            raise UnableToBookError(f"{source_key!r} was booked as receipt {before.id} with other content")
        return Booked(before.id, None, already=True)
    undo_credited_write_offs(account=account, on=on, actor=actor, reason=why, at=at)
    books = booking.OpenBooks([account])
    listed = [item for item in books.items(account, code) if item.ref not in leave]
    # Freed whole, it is for no debt: only the credits take part.
    taking_part = listed if free is None else [item for item in listed if item.open.minor < 0]
    try:
        done = set_off(taking_part, code=code, on=on, choice=choice, policy=policy, free=free)
    except AllocationError as error:
        raise UnableToAllocateError(str(error)) from error
    if not done.freed:
        return None
    parts = (*done.freed, *done.allocation.parts)
    first = min((books.since(part.ref) for part in done.freed), default=on)
    day = max(on, first)
    (receipt,) = next_ids(sequence="payments_receipt_id_seq", count=1)
    copy_rows(
        table="payments_receipt",
        columns=("id account_id amount currency received_on method source_key policy reason actor recorded_at".split()),
        rows=[
            (receipt, account, 0, code, day, Method.CREDIT.value, source_key, policy.value, why, actor, at),
        ],
    )
    targets = [booking.Target(part.ref, part.amount, books.since(part.ref)) for part in parts]
    batch = booking.NewAllocations(receipt, account, Method.CREDIT, day, tuple(targets))
    ledger.post_entries(entries=booking.write_allocations([batch], parties, actor, at), at=at)
    record(queries.receipt(receipt=receipt), "payment.credit_applied", targets, actor, why, at)
    return Booked(receipt, done.allocation)
