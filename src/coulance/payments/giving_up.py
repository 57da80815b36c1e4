"""Giving debts up, and taking that back where they were credited since.

Private to the room; `operations` is the way in.
"""

from collections.abc import Sequence
from datetime import date, datetime

from coulance.ledger import operations as ledger
from coulance.payments import booking, queries
from coulance.payments.booking import Booked
from coulance.payments.errors import (
    UnableToAllocateError,
)
from coulance.payments.undoing import reverse_receipt
from coulance_core.kernel import Money
from coulance_core.payments import (
    Choice,
    Method,
    ReversalKind,
)


def write_off(
    *,
    account: int,
    items: Sequence[Choice],
    on: date,
    source_key: str,
    actor: str,
    reason: str,
    at: datetime,
    currency: str,
) -> Booked:
    """Give up debts: these items, each in part or (without an amount) whole; booked as a bad debt.

    The tax in them stays as it was declared: whether and when it may be reclaimed is the law of the place, and a matter
    of the tax return, not of this entry. Raises `UnableToAllocateError` when an item has less open than that.
    """
    booking.require_transaction("write_off")
    booking.require_reason(reason)
    ledger.lock_accounts(accounts=[account])
    there = queries.receipt_by_source(source_key=source_key)
    exact = _exactly(account, items) if there is None else []
    total = sum((one.amount for one in exact if one.amount is not None), Money(0, currency))
    given_up = booking.NewReceipt(
        account=account,
        amount=total if there is None else there.amount,
        received_on=on,
        method=Method.WRITE_OFF,
        source_key=source_key,
        reason=reason,
        choice=tuple(exact),
        beyond_choice=False,
    )
    return booking.book(receipts=[given_up], actor=actor, at=at)[0]


def _exactly(account: int, items: Sequence[Choice]) -> list[Choice]:
    """The items with the amount to give up of each: all that is open, where none is named."""
    known = {item.ref: item for item in queries.open_items(accounts=[account]).get(account, ())}
    exact: list[Choice] = []
    for wanted in items:
        item = known.pop(wanted.ref, None)
        if item is None and any(one.ref == wanted.ref for one in exact):
            raise UnableToAllocateError(f"{wanted.ref} is named twice")
        if item is None:
            raise UnableToAllocateError(f"{wanted.ref}: nothing is open to be written off")
        amount = item.open if wanted.amount is None else wanted.amount
        if not 0 < amount.minor <= item.open.minor:
            raise UnableToAllocateError(f"{item.number} ({item.ref}): only {item.open} is open to be written off")
        exact.append(Choice(item.ref, amount))
    return exact


def undo_credited_write_offs(*, account: int, on: date, actor: str, reason: str, at: datetime) -> list[int]:
    """Undo write-offs of debts that were credited since, and write off again what is still open of them.

    A credit note on a debt that was given up gives no money back: nobody paid it. Gives the receipts undone. Credit is
    never set off, freed or settled without this.
    """
    booking.require_transaction("undo_credited_write_offs")
    booking.require_reason(reason)
    ledger.lock_accounts(accounts=[account])
    undone: list[int] = []
    credited = [item.ref for item in queries.open_items(accounts=[account]).get(account, ()) if item.open.minor < 0]
    if not credited:
        return []
    for number in sorted({row.receipt for row in queries.allocations(refs=credited)}):
        found = queries.receipt(receipt=number)
        if found.method is not Method.WRITE_OFF:
            continue
        given_up = [(row.ref, row.amount) for row in queries.allocations(receipts=[number])]
        why = f"credited since it was written off: {reason}"
        day = max(on, found.received_on)
        undone.append(number)
        reverse_receipt(receipt=number, kind=ReversalKind.MISTAKE, on=day, actor=actor, reason=why, at=at)
        open_now = {item.ref: item.open for item in queries.open_items(accounts=[account]).get(account, ())}
        again = [
            Choice(ref, min(amount, open_now[ref]))
            for ref, amount in given_up
            if ref in open_now and open_now[ref].minor > 0
        ]
        if again:
            write_off(
                account=account,
                items=again,
                on=day,
                source_key=f"again/{number}",
                actor=actor,
                reason=why,
                at=at,
                currency=found.amount.currency,
            )
    return undone
