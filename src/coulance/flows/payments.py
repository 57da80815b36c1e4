"""Money in and out, as interfaces ask for it: one transaction an act, and the webhooks that tell of it.

Accounts are customers' database ids. Each act is described, with what it refuses, at its operation in
`coulance.payments.operations`; amounts beyond what is there, and acts without a reason, are refused there.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, transaction

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.flows.arrears.looking import look_soon
from coulance.flows.overage_control.soon import paid_soon
from coulance.flows.payment_order import order_of, orders
from coulance.payments import operations, queries
from coulance.payments.operations import Booked, NewReceipt
from coulance.platform.alarms import clear_alarm, raise_alarm
from coulance.platform.webhooks import anybody_listens, emit, emit_many
from coulance_core.kernel import Money
from coulance_core.payments import Allocation, AllocationPolicy, Choice, Method, Order, ReversalKind

_log = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")


def _act(operation: Callable[P, R]) -> Callable[P, R]:
    """An operation as an act of its own: one transaction, nothing to tell of."""

    @wraps(operation)
    def act(*args: P.args, **kwargs: P.kwargs) -> R:
        with transaction.atomic():
            return operation(*args, **kwargs)

    return act


def book_payments(*, receipts: Sequence[NewReceipt], actor: str, at: datetime) -> list[Booked]:
    """Book receipts, all or none; those booked before are answered as such. A bank file comes this way."""
    with transaction.atomic():
        done = operations.book_receipts(receipts=_ordered(receipts, at), actor=actor, at=at)
        _tell_received([(a, b) for a, b in zip(receipts, done, strict=True) if not b.already], at)
        look_soon({one.account for one in receipts})
        paid_soon(
            [
                (asked.account, asked.amount, f"receipt/{booked.receipt}")
                for asked, booked in zip(receipts, done, strict=True)
                if asked.method.is_money and not booked.already
            ]
        )
    return done


def _ordered(receipts: Sequence[NewReceipt], at: datetime) -> list[NewReceipt]:
    """The receipts, each with the order that its account's law says, where none is named for it or that one is."""
    open_ = [one for one in receipts if not one.prepaid and one.policy in (None, AllocationPolicy.LAW_PACK)]
    by: dict[tuple[int, Order | None], Order] = {}
    for named in {one.policy for one in open_}:
        found = orders({one.account for one in open_ if one.policy is named}, at=at, policy=named)
        by |= {(account, named): order for account, order in found.items()}
    asked = set(map(id, open_))
    return [replace(one, policy=by[one.account, one.policy]) if id(one) in asked else one for one in receipts]


def book_payment(*, receipt: NewReceipt, actor: str, at: datetime) -> Booked:
    """Book money that came in, and divide it over what the account owes."""
    return book_payments(receipts=[receipt], actor=actor, at=at)[0]


def allocate_payment(
    *,
    receipt: int,
    on: date,
    actor: str,
    reason: str,
    at: datetime,
    choice: Sequence[Choice | str] = (),
    policy: Order | None = None,
    beyond_choice: bool = False,
    prepaid: Money | None = None,
    anew: bool = False,
) -> Allocation | None:
    """Allocate what is left of a receipt; `anew` takes its allocations back first and begins again.

    By the provider file's order of allocation, unless a `policy` is named.
    """
    with transaction.atomic():
        order = order_of(queries.receipt(receipt=receipt).account, at=at, policy=policy)
        if anew:
            done = operations.reallocate_receipt(
                receipt=receipt,
                on=on,
                actor=actor,
                reason=reason,
                at=at,
                choice=choice,
                policy=order,
                beyond_choice=beyond_choice,
            )
        else:
            done = operations.allocate_receipt(
                receipt=receipt,
                on=on,
                actor=actor,
                reason=reason,
                at=at,
                choice=choice,
                policy=order,
                beyond_choice=beyond_choice,
                prepaid=prepaid,
            )
        found = queries.receipt(receipt=receipt)
        data = {"receipt": receipt, "allocated": _allocated(done), "unallocated": _money(found.left)}
        emit(event="payment.allocated", data=_of(found.account) | data, at=at)
        look_soon([found.account])
    return done


def reverse_payment(
    *,
    receipt: int,
    kind: ReversalKind,
    on: date,
    actor: str,
    reason: str,
    at: datetime,
    reclaim: bool = False,
    by_hand: bool = True,
) -> list[int]:
    """Undo a receipt with all that was done with it: it bounced, was returned, or never was. Debts are open again.

    What of it was refunded is reclaimed when asked (the refund has left; the customer owes it), refused otherwise. Of a
    collection's money it means that it did not come; where a bank entry says so, its import sees to that.
    """
    from coulance.flows.rails import paying_back, settling

    with transaction.atomic():
        found = queries.receipt(receipt=receipt)
        paying_back.stop_for(receipt=receipt, actor=actor, reason=reason, at=at)
        undone = operations.reverse_receipt(
            receipt=receipt, kind=kind, on=on, actor=actor, reason=reason, at=at, reclaim=reclaim
        )
        if by_hand:
            settling.undone_by_hand(receipt=receipt, kind=kind, on=on, actor=actor, at=at)
        data = {"receipt": receipt, "amount": _money(found.amount), "kind": kind.value, "on": on.isoformat()}
        emit(event="payment.reversed", data=_of(found.account) | data, at=at)
        look_soon([found.account])
    return undone


def reverse_allocation(*, allocation: int, on: date, actor: str, reason: str, at: datetime) -> None:
    """Take one allocation back: its debt is open again, its money unallocated."""
    with transaction.atomic():
        operations.reverse_allocation(
            allocation=allocation, on=on, kind=ReversalKind.MISTAKE, actor=actor, reason=reason, at=at
        )


def refund_payment(
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
    """Book money paid back out of a receipt; the refund's id."""
    with transaction.atomic():
        before = {one.id for one in queries.refunds(receipts=[receipt])}
        made = operations.refund(
            receipt=receipt,
            amount=amount,
            refunded_on=refunded_on,
            source_key=source_key,
            actor=actor,
            reason=reason,
            at=at,
            method=method,
            iban=iban,
        )
        if made in before:
            return made  # it was told of then
        found = queries.receipt(receipt=receipt)
        data = {"refund": made, "receipt": receipt, "amount": _money(amount), "on": refunded_on.isoformat()}
        emit(event="payment.refunded", data=_of(found.account) | data, at=at)
    return made


def refund_credit(
    *,
    account: int,
    amount: Money,
    refunded_on: date,
    source_key: str,
    actor: str,
    reason: str,
    at: datetime,
    method: Method,
    iban: str = "",
) -> int:
    """Pay credit of the account back (a credit note on what was paid already); the refund's id."""
    with transaction.atomic():
        freed = operations.free_credit(
            account=account, amount=amount, on=refunded_on, source_key=source_key, actor=actor, reason=reason, at=at
        )
        return refund_payment(
            receipt=freed.receipt,
            amount=amount,
            refunded_on=refunded_on,
            source_key=source_key,
            actor=actor,
            reason=reason,
            at=at,
            method=method,
            iban=iban,
        )


reverse_refund = _act(operations.reverse_refund)
reverse_opening = _act(operations.reverse_opening)
write_off = _act(operations.write_off)


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
    policy: Order | None = None,
) -> Booked:
    """Pay debts out of the prepaid balance: as chosen, then by the file's order unless a `policy` is named."""
    with transaction.atomic():
        return operations.draw_prepaid(
            account=account,
            amount=amount,
            drawn_on=drawn_on,
            source_key=source_key,
            actor=actor,
            reason=reason,
            at=at,
            choice=choice,
            policy=order_of(account, at=at, policy=policy),
        )


def settle(
    *,
    accounts: Sequence[int],
    on: date,
    actor: str,
    reason: str,
    at: datetime,
    policy: Order | None = None,
) -> dict[int, list[Allocation]]:
    """Use money on hand, credit and prepaid of these accounts for what they owe, each in its own transaction.

    By the provider file's order of allocation, unless a `policy` is named.
    Gives what was done by account; an account where nothing was to be done is left out.
    """
    order = orders(accounts, at=at, policy=policy)
    out: dict[int, list[Allocation]] = {}
    for account in sorted(set(accounts)):
        with transaction.atomic():
            done = operations.settle(account=account, on=on, actor=actor, reason=reason, at=at, policy=order[account])
            if done:
                look_soon([account])
        if done:
            out[account] = done
    return out


def apply_on_hand(
    *, accounts: Sequence[int] | None = None, actor: str, reason: str, at: datetime
) -> dict[int, list[Allocation]]:
    """What accounts have on hand pays what they owe, as the provider's file says, after documents were issued.

    For these accounts (none: all), each in its own transaction. Safe at any time and as often as one likes: killed in
    between, the next one does what is left. An account that fails raises an alarm and stops no other. Gives what was
    done by account.
    """
    terms = catalog.catalog()
    if not terms.payments.apply_on_hand:
        return {}
    on = at.astimezone(terms.provider.zone_info).date()
    done: dict[int, list[Allocation]] = {}
    for account in queries.with_means(accounts=accounts):
        key = f"payments.on_hand/{account}"
        try:
            done |= settle(
                accounts=[account], on=on, actor=actor, reason=reason, at=at, policy=terms.payments.allocation
            )
        except (InterfaceError, OperationalError):
            raise  # the database's trouble, not the account's
        except Exception as error:
            _log.exception("what account %s has on hand can't be used", account)
            raise_alarm(
                key=key,
                severity="warning",
                what=f"What account {account} has on hand does not pay what it owes: {error}",
                at=at,
            )
        else:
            clear_alarm(key=key, at=at)
    return done


def choices(*, account: int, named: Sequence[tuple[str, Money | None]]) -> list[Choice]:
    """What people name by document numbers, as choices of an account's open items.

    Raises `UnableToAllocateError` for a number that the account has nothing open under.
    """
    items = queries.open_items(accounts=[account]).get(account, ())
    refs = {item.number: item.ref for item in items} | {item.ref: item.ref for item in items}
    found: list[Choice] = []
    for number, amount in named:
        if number not in refs:
            there = ", ".join(item.number for item in items if item.open.minor > 0) or "nothing"
            raise operations.UnableToAllocateError(f"nothing is open under {number!r}; open: {there}")
        found.append(Choice(refs[number], amount))
    return found


def _tell_received(pairs: Sequence[tuple[NewReceipt, Booked]], at: datetime) -> None:
    """Tell of receipts in a few statements whatever their number: a bank file has thousands."""
    told = [(asked, booked) for asked, booked in pairs if asked.method.is_money]
    if not told or not anybody_listens():
        return
    refs = {row.id: row.external_id for row in customers.accounts({asked.account for asked, _ in told})}
    emit_many(
        event="payment.received",
        data=[
            {
                "account": refs[asked.account],
                "receipt": booked.receipt,
                "amount": _money(asked.amount),
                "method": asked.method.value,
                "received_on": asked.received_on.isoformat(),
                "allocated": _allocated(booked.allocation),
                "unallocated": _money(
                    booked.allocation.rest if booked.allocation is not None else Money(0, asked.amount.currency)
                ),
            }
            for asked, booked in told
        ],
        at=at,
    )


def _of(account: int) -> dict[str, Any]:
    return {"account": customers.accounts([account])[0].external_id}


def _allocated(done: Allocation | None) -> list[dict[str, Any]]:
    if done is None:
        return []
    numbers = {move.item.ref: move.item.number for move in done.moves}
    return [{"number": numbers[part.ref], **_money(part.amount)} for part in done.parts]


def _money(amount: Money) -> dict[str, str]:
    return {"amount": amount.decimal(), "currency": amount.currency}
