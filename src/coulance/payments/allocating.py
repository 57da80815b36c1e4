"""Allocating what is left of a receipt, and allocating it anew.

Private to the room; `operations` is the way in.
"""

from collections.abc import Collection, Sequence
from datetime import date, datetime

from coulance.ledger import operations as ledger
from coulance.payments import booking, queries, undoing
from coulance.payments.booking import DEFAULT_POLICY
from coulance.payments.errors import (
    UnableToAllocateError,
)
from coulance.payments.undoing import reverse_allocation
from coulance.platform import audit
from coulance_core.kernel import Money, require_aware
from coulance_core.payments import (
    Allocation,
    Choice,
    Order,
    Receipt,
    ReversalKind,
)


def allocate_receipt(
    *,
    receipt: int,
    on: date,
    actor: str,
    reason: str,
    at: datetime,
    choice: Sequence[Choice | str] = (),
    policy: Order = DEFAULT_POLICY,
    beyond_choice: bool = False,
    prepaid: Money | None = None,
    leave: Collection[str] = (),
) -> Allocation | None:
    """Allocate what is left of a receipt: as chosen (and beyond, by policy, if asked), or all of it by policy.

    With `prepaid`, that much goes to the prepaid balance instead (None is returned). Counts from `on`, but not before
    the money was there and free. The items of `leave` take no part. Raises `UnableToAllocateError` when nothing is
    left, or a choice is not open.
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
        done, targets = _divide(found, on, choice, policy, beyond_choice or not choice, leave)
    _write(found, on, targets, actor, at)
    record(found, "payment.allocated", targets, actor, why, at)
    return done


def _divide(
    found: Receipt,
    on: date,
    choice: Sequence[Choice | str],
    policy: Order,
    beyond: bool,
    leave: Collection[str],
) -> tuple[Allocation, list[booking.Target]]:
    books = booking.OpenBooks([found.account])
    done, targets = books.divide(
        found.left, on=on, account=found.account, choice=choice, policy=policy, beyond=beyond, leave=leave
    )
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


def record(found: Receipt, act: str, targets: Sequence[booking.Target], actor: str, why: str, at: datetime) -> None:
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
    policy: Order = DEFAULT_POLICY,
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
