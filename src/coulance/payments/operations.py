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

from django.db import connection

from coulance.ledger import operations as ledger
from coulance.payments import booking, queries, taking_over, undoing
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
from coulance.payments.taking_over import TakenItem, TakenItems, take_over_mandate, withdraw_mandate
from coulance.payments.undoing import reverse_allocation, reverse_opening, reverse_receipt, reverse_refund
from coulance.platform import audit
from coulance.platform.db import copy_rows, next_ids
from coulance_core.kernel import Money, require_aware
from coulance_core.payments import (
    Allocation,
    AllocationError,
    AllocationPolicy,
    Choice,
    Method,
    Receipt,
    ReversalKind,
    refund_entry,
    set_off,
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


def book_receipt(
    *,
    account: int,
    amount: Money,
    received_on: date,
    method: Method,
    source_key: str,
    actor: str,
    reason: str,
    at: datetime,
    payer_ref: str = "",
    payer_name: str = "",
    payer_iban: str = "",
    choice: Sequence[Choice | str] = (),
    policy: AllocationPolicy = DEFAULT_POLICY,
    beyond_choice: bool = True,
    prepaid: bool = False,
) -> Booked:
    """Book one receipt: see `NewReceipt` and `book_receipts`. What nothing is open for stays unallocated."""
    one = NewReceipt(
        account=account,
        amount=amount,
        received_on=received_on,
        method=method,
        source_key=source_key,
        reason=reason,
        payer_ref=payer_ref,
        payer_name=payer_name,
        payer_iban=payer_iban,
        choice=tuple(choice),
        policy=policy,
        beyond_choice=beyond_choice,
        prepaid=prepaid,
    )
    return booking.book(receipts=[one], actor=actor, at=at)[0]


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
    policy: AllocationPolicy = DEFAULT_POLICY,
) -> Booked:
    """Pay debts out of the account's prepaid balance. Raises `UnableToBookError` when there is less than `amount`."""
    booking.require_transaction("draw_prepaid")
    ledger.lock_accounts(accounts=[account])
    there = queries.prepaid(account=account, currency=amount.currency)
    if amount > there and queries.receipt_by_source(source_key=source_key) is None:
        raise UnableToBookError(f"the prepaid balance is {there}: {amount} can't be drawn from it")
    return book_receipt(
        account=account,
        amount=amount,
        received_on=drawn_on,
        method=Method.PREPAID,
        source_key=source_key,
        actor=actor,
        reason=reason,
        at=at,
        choice=choice,
        policy=policy,
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
    if there is not None:
        return book_receipt(
            account=account,
            amount=there.amount,
            received_on=on,
            method=Method.WRITE_OFF,
            source_key=source_key,
            actor=actor,
            reason=reason,
            at=at,
        )
    known = {item.ref: item for item in queries.open_items(accounts=[account]).get(account, ())}
    total = Money(0, currency)
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
        total += amount
    return book_receipt(
        account=account,
        amount=total,
        received_on=on,
        method=Method.WRITE_OFF,
        source_key=source_key,
        actor=actor,
        reason=reason,
        at=at,
        choice=exact,
        beyond_choice=False,
    )


def allocate_receipt(
    *,
    receipt: int,
    on: date,
    actor: str,
    reason: str,
    at: datetime,
    choice: Sequence[Choice | str] = (),
    policy: AllocationPolicy = DEFAULT_POLICY,
    beyond_choice: bool = False,
    prepaid: Money | None = None,
) -> Allocation | None:
    """Allocate what is left of a receipt: as chosen (and beyond, by policy, if asked), or all of it by policy.

    With `prepaid`, that much goes to the prepaid balance instead (None is returned). Counts from `on`, but not before
    the money was there and free. Raises `UnableToAllocateError` when nothing is left, or a choice is not open.
    """
    booking.require_transaction("allocate_receipt")
    why = booking.require_reason(reason)
    found = undoing.locked_receipt(receipt)
    if found.reversed_on is not None:
        raise UnableToAllocateError(f"receipt {receipt} was undone on {found.reversed_on}")
    if found.left.minor <= 0:
        raise UnableToAllocateError(f"nothing is left of receipt {receipt} to allocate")
    if prepaid is not None:
        if not 0 < prepaid.minor <= found.left.minor or prepaid.currency != found.left.currency:
            raise UnableToAllocateError(f"{found.left} is left of receipt {receipt}, not {prepaid}")
        done, targets = None, [booking.Target("prepaid", prepaid, None)]
    else:
        done, targets = _divide(found, on, choice, policy, beyond_choice or not choice)
    _write(found, on, targets, actor, at)
    _record(found, "payment.allocated", targets, actor, why, at)
    return done


def _divide(
    found: Receipt, on: date, choice: Sequence[Choice | str], policy: AllocationPolicy, beyond: bool
) -> tuple[Allocation, list[booking.Target]]:
    books = booking.OpenBooks([found.account])
    done, targets = books.divide(found.left, on=on, account=found.account, choice=choice, policy=policy, beyond=beyond)
    if done.unmet:
        raise UnableToAllocateError(f"nothing is open on {', '.join(done.unmet)}")
    if not done.parts:
        raise UnableToAllocateError(f"receipt {found.id}: the account has nothing open to allocate it to")
    return done, targets


def _write(found: Receipt, on: date, targets: Sequence[booking.Target], actor: str, at: datetime) -> None:
    parties = ledger.lock_accounts(accounts=[found.account])
    day = max(on, found.received_on, undoing.last_undone(found.id) or on)
    batch = booking.NewAllocations(found.id, found.account, found.method, day, tuple(targets))
    ledger.post_entries(entries=booking.write_allocations([batch], parties, actor, require_aware(at)), at=at)


def _record(found: Receipt, act: str, targets: Sequence[booking.Target], actor: str, why: str, at: datetime) -> None:
    audit.record(
        actor=actor,
        act=act,
        subject=f"account:{undoing.external_id(found.account)}",
        at=at,
        reason=why,
        detail={"receipt": found.id, "to": {target.ref: str(target.amount) for target in targets}},
    )


def reallocate_receipt(
    *,
    receipt: int,
    on: date,
    actor: str,
    reason: str,
    at: datetime,
    choice: Sequence[Choice | str] = (),
    policy: AllocationPolicy = DEFAULT_POLICY,
    beyond_choice: bool = False,
) -> Allocation | None:
    """Take back every allocation of a receipt, and allocate it anew: the payer said otherwise, or we were wrong."""
    booking.require_transaction("reallocate_receipt")
    why = booking.require_reason(reason)
    undoing.locked_receipt(receipt)
    for row in queries.allocations(receipts=[receipt]):
        reverse_allocation(allocation=row.id, on=on, kind=ReversalKind.MISTAKE, actor=actor, reason=why, at=at)
    return allocate_receipt(
        receipt=receipt,
        on=on,
        actor=actor,
        reason=why,
        at=at,
        choice=choice,
        policy=policy,
        beyond_choice=beyond_choice,
    )


def settle(*, account: int, on: date, actor: str, reason: str, at: datetime) -> list[Allocation]:
    """Allocate all money on hand of an account that is left over, the oldest first, and set its credit off.

    For after new invoices. Nothing open, or nothing left: nothing happens.
    """
    booking.require_transaction("settle")
    ledger.lock_accounts(accounts=[account])
    undo_credited_write_offs(account=account, on=on, actor=actor, reason=reason, at=at)
    done: list[Allocation] = []
    for found in reversed(queries.receipts(accounts=[account], with_left=True)):
        debts = queries.open_items(accounts=[account]).get(account, ())
        if not any(item.open.minor > 0 and item.open.currency == found.left.currency for item in debts):
            continue
        allocation = allocate_receipt(receipt=found.id, on=on, actor=actor, reason=reason, at=at)
        if allocation is not None:
            done.append(allocation)
    for code in sorted({item.open.currency for item in queries.open_items(accounts=[account]).get(account, ())}):
        key = f"settle/{account}/{code}/{at.isoformat()}"
        booked = _set_off(account, code, on, (), DEFAULT_POLICY, None, key, actor, reason, at)
        if booked is not None and booked.allocation is not None:
            done.append(booked.allocation)
    return done


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
    policy: AllocationPolicy = DEFAULT_POLICY,
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


def _set_off(
    account: int,
    code: str,
    on: date,
    choice: Sequence[Choice | str],
    policy: AllocationPolicy,
    free: Money | None,
    source_key: str,
    actor: str,
    reason: str,
    at: datetime,
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
    listed = books.items(account, code)
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
    _record(queries.receipt(receipt=receipt), "payment.credit_applied", targets, actor, why, at)
    return Booked(receipt, done.allocation)


def refund(
    *,
    receipt: int,
    amount: Money,
    refunded_on: date,
    source_key: str,
    actor: str,
    reason: str,
    at: datetime,
    method: Method | None = None,
    iban: str = "",
) -> int:
    """Book money paid back out of what is left of a receipt: by the way it came, to where it came from, unless said.

    Idempotent by source; gives the refund's id. It records that the money goes out; the bank sends it. Raises
    `UnableToRefundError` for more than is left (take allocations back first), or when nobody knows where to.
    """
    booking.require_transaction("refund")
    why, at = booking.require_reason(reason), require_aware(at)
    found = undoing.locked_receipt(receipt)
    there = _refunded_before(receipt, amount, source_key)
    if there is not None:
        return there
    if found.reversed_on is not None:
        raise UnableToRefundError(f"receipt {receipt} was undone on {found.reversed_on}")
    if amount.currency != found.amount.currency or not 0 < amount.minor <= found.left.minor:
        raise UnableToRefundError(
            f"{found.left} is left of receipt {receipt}, and {amount} is asked back: take allocations back first"
        )
    if found.method is Method.WRITE_OFF:
        raise UnableToRefundError(f"receipt {receipt} is a write-off: there is no money in it")
    if refunded_on < found.received_on:
        raise UnableToRefundError(f"receipt {receipt} came in on {found.received_on}: it isn't paid back before")
    free_since = undoing.last_undone(receipt)
    if free_since is not None and refunded_on < free_since:
        raise UnableToRefundError(f"receipt {receipt} was allocated until {free_since}: it isn't paid back before")
    way = method or (found.method if found.method.is_money else None)
    if way is None or not way.is_money:
        raise UnableToRefundError(f"receipt {receipt} came by {found.method.value}: say by which way it is paid back")
    to = taking_over.checked_iban(iban, "refund") if iban else found.payer_iban
    if way is Method.BANK and not to:
        raise UnableToRefundError(f"receipt {receipt} has no IBAN of its payer: say where the refund goes")
    (made,) = next_ids(sequence="payments_refund_id_seq", count=1)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO payments_refund (id, receipt_id, account_id, amount, currency, refunded_on, method, iban,"
            " source_key, reason, actor, recorded_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                made,
                receipt,
                found.account,
                amount.minor,
                amount.currency,
                refunded_on,
                way.value,
                to,
                source_key,
                why,
                actor,
                at,
            ],
        )
    party = ledger.lock_accounts(accounts=[found.account])[found.account]
    entry = refund_entry(way, amount, party=party, source=booking.refund_source(made), on=refunded_on)
    ledger.post_entries(entries=[entry], at=at)
    audit.record(
        actor=actor,
        act="payment.refunded",
        subject=f"account:{undoing.external_id(found.account)}",
        at=at,
        reason=why,
        detail={
            "refund": made,
            "receipt": receipt,
            "amount": str(amount),
            "method": way.value,
            "to_source": bool(to) and to == found.payer_iban,
        },
    )
    return made


def _refunded_before(receipt: int, amount: Money, source_key: str) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, receipt_id, amount, currency, reversed_on FROM payments_refund WHERE source_key = %s",
            [source_key],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    if (row[1], Money(row[2], row[3])) != (receipt, amount) or row[4] is not None:
        raise UnableToRefundError(f"{source_key!r} was booked as refund {row[0]}, with other content or undone since")
    return int(row[0])


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
    return book_receipt(
        account=account,
        amount=amount,
        received_on=taken_on,
        method=Method.OPENING,
        source_key=source_key,
        actor=actor,
        reason=reason,
        at=at,
        prepaid=True,
    )
