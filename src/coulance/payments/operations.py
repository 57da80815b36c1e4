"""Writing payments. Every function runs inside the caller's transaction and locks the account's books before it reads.

Acts that move money say why, are written to the audit log, and have an act that undoes them:

| act | undone by |
| --- | --- |
| `book_receipt`, `draw_prepaid`, `write_off`, `apply_credit`, `free_credit` | `reverse_receipt` |
| `allocate_receipt` | `reverse_allocation`, `reallocate_receipt` |
| `refund` | `reverse_refund` |
| `take_over_items` | `reverse_opening` |
| `take_over_prepaid` | `reverse_receipt` |
| `take_over_mandate` | `withdraw_mandate` |
"""

from collections.abc import Sequence
from datetime import date, datetime

from coulance.ledger import operations as ledger
from coulance.payments import booking, queries, taking_over
from coulance.payments.allocating import allocate_receipt, reallocate_receipt
from coulance.payments.booking import DEFAULT_POLICY, Booked, NewReceipt
from coulance.payments.errors import (
    PaymentsError,
    UnableToAllocateError,
    UnableToBookError,
    UnableToFindPaymentError,
    UnableToRefundError,
    UnableToReverseError,
    UnableToTakeOverError,
)
from coulance.payments.giving_up import undo_credited_write_offs, write_off
from coulance.payments.refunding import refund
from coulance.payments.settling import apply_credit, free_credit, settle
from coulance.payments.taking_over import TakenItem, TakenItems, take_over_mandate, withdraw_mandate
from coulance.payments.undoing import reverse_allocation, reverse_opening, reverse_receipt, reverse_refund
from coulance_core.kernel import Money
from coulance_core.payments import (
    Choice,
    Method,
    Order,
)

__all__ = [
    "DEFAULT_POLICY",
    "Booked",
    "NewReceipt",
    "PaymentsError",
    "TakenItem",
    "TakenItems",
    "UnableToAllocateError",
    "UnableToBookError",
    "UnableToFindPaymentError",
    "UnableToRefundError",
    "UnableToReverseError",
    "UnableToTakeOverError",
    "allocate_receipt",
    "apply_credit",
    "book_receipt",
    "book_receipts",
    "draw_prepaid",
    "free_credit",
    "reallocate_receipt",
    "refund",
    "reverse_allocation",
    "reverse_opening",
    "reverse_receipt",
    "reverse_refund",
    "settle",
    "take_over_items",
    "take_over_mandate",
    "take_over_prepaid",
    "undo_credited_write_offs",
    "withdraw_mandate",
    "write_off",
]


def book_receipts(*, receipts: Sequence[NewReceipt], actor: str, at: datetime) -> list[Booked]:
    """Book receipts in the order given, and divide each over what the ones before it left open; all or none.

    Idempotent by source: one that was booked before, with the same content, is answered as `already`. Raises
    `UnableToBookError` for what can't be: nothing of the batch is booked then.
    """
    return booking.book(receipts=receipts, actor=actor, at=at)


def book_receipt(*, receipt: NewReceipt, actor: str, at: datetime) -> Booked:
    """Book one receipt: see `NewReceipt` and `book_receipts`. What nothing is open for stays unallocated."""
    return booking.book(receipts=[receipt], actor=actor, at=at)[0]


def draw_prepaid(
    *,
    account: int,
    amount: Money,
    drawn_on: date,
    source_key: str,
    actor: str,
    reason: str,
    at: datetime,
    choice: Sequence[Choice | str] = (),
    policy: Order = DEFAULT_POLICY,
) -> Booked:
    """Pay debts out of the account's prepaid balance. Raises `UnableToBookError` when there is less than `amount`."""
    booking.require_transaction("draw_prepaid")
    ledger.lock_accounts(accounts=[account])
    there = queries.prepaid(account=account, currency=amount.currency)
    if amount > there and queries.receipt_by_source(source_key=source_key) is None:
        raise UnableToBookError(f"the prepaid balance is {there}: {amount} can't be drawn from it")
    drawn = NewReceipt(
        account=account,
        amount=amount,
        received_on=drawn_on,
        method=Method.PREPAID,
        source_key=source_key,
        reason=reason,
        choice=tuple(choice),
        policy=policy,
    )
    return book_receipt(receipt=drawn, actor=actor, at=at)


def take_over_items(
    *, account: int, items: Sequence[TakenItem], taken_on: date, actor: str, reason: str, at: datetime
) -> TakenItems:
    """Take over what stands open of an account elsewhere: it counts here from `taken_on`, with its number and age.

    A credit note has amounts below zero and becomes credit of the account. Idempotent by each item's source. Raises
    `UnableToTakeOverError` for an item that contradicts itself or what was taken over before.
    """
    return taking_over.take_over_items(
        account=account, items=items, taken_on=taken_on, actor=actor, reason=reason, at=at
    )


def take_over_prepaid(
    *, account: int, amount: Money, taken_on: date, source_key: str, actor: str, reason: str, at: datetime
) -> Booked:
    """Take over a customer's prepaid balance (or credit balance) of the system that is left; idempotent by source."""
    taken = NewReceipt(
        account=account,
        amount=amount,
        received_on=taken_on,
        method=Method.OPENING,
        source_key=source_key,
        reason=reason,
        prepaid=True,
    )
    return book_receipt(receipt=taken, actor=actor, at=at)
