"""Undoing what was booked: the row is marked once, and its entry reversed, in one transaction.

Private to the room; `operations` is the way in.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, LiteralString

from django.db import connection

from coulance.customers import queries as customers
from coulance.ledger import operations as ledger
from coulance.payments import booking, payback_rows, queries, reclaiming
from coulance.payments.errors import UnableToFindPaymentError, UnableToReverseError
from coulance.platform import audit
from coulance_core.kernel import require_aware
from coulance_core.payments import Method, Receipt, ReversalKind


def locked_receipt(receipt: int) -> Receipt:
    """A receipt as it stands once the books of its account are locked. Raises `UnableToFindPaymentError`."""
    found = queries.receipt(receipt=receipt)
    ledger.lock_accounts(accounts=[found.account])
    return queries.receipt(receipt=receipt)


def last_undone(receipt: int) -> date | None:
    """The last day on which an allocation or refund of a receipt was undone: until then, its money was away.

    What uses that money again counts from that day on, so that no day sees it used twice.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(reversed_on) FROM (SELECT reversed_on FROM payments_allocation WHERE receipt_id = %s"
            " UNION ALL SELECT reversed_on FROM payments_refund WHERE receipt_id = %s) uses",
            [receipt, receipt],
        )
        found: date | None = cursor.fetchone()[0]
        return found


def external_id(account: int) -> str:
    """How people know an account."""
    return customers.accounts([account])[0].external_id


def reverse_allocation(*, allocation: int, on: date, kind: ReversalKind, actor: str, reason: str, at: datetime) -> None:
    """Take an allocation back: the debt is open again, the money unallocated. See `operations`."""
    booking.require_transaction("reverse_allocation")
    why = booking.require_reason(reason)
    row = _one(
        "SELECT account_id, receipt_id, reversed_on FROM payments_allocation WHERE id = %s",
        [allocation],
        f"there is no allocation {allocation}",
    )
    found = locked_receipt(row[1])
    if found.method is Method.WRITE_OFF:
        raise UnableToReverseError(
            f"allocation {allocation} is a write-off, and no money that could be left over: reverse receipt {found.id}"
        )
    _undo_allocations([allocation], on, kind, why, at)
    audit.record(
        actor=actor,
        act="payment.allocation_reversed",
        subject=f"account:{external_id(row[0])}",
        at=at,
        reason=why,
        detail={"receipt": row[1], "allocation": allocation, "kind": kind.value},
    )


def reverse_receipt(
    *, receipt: int, kind: ReversalKind, on: date, actor: str, reason: str, at: datetime, reclaim: bool = False
) -> list[int]:
    """Undo a receipt with its allocations, and what was drawn from a prepaid balance that it had filled.

    What of it was refunded, and stays so, is reclaimed when asked: the customer owes it from then on. Without that,
    such a receipt is not undone. Gives the receipts undone, this one first. See `operations`.
    """
    booking.require_transaction("reverse_receipt")
    why = booking.require_reason(reason)
    found = locked_receipt(receipt)
    if found.reversed_on is not None:
        raise UnableToReverseError(f"receipt {receipt} was undone on {found.reversed_on}")
    standing = [refund for refund in queries.refunds(receipts=[receipt]) if refund.reversed_on is None]
    if standing and not reclaim:
        raise UnableToReverseError(
            f"receipt {receipt}: {standing[0].amount} of it was paid back (refund {standing[0].id}): "
            "reverse the refund first, or reclaim it"
        )
    on = max(on, last_undone(receipt) or on)
    undone = [receipt]
    undone += _free_prepaid(found, on, kind, why, at)
    _undo_receipt(found, on, kind, why, at)
    for refund in standing:
        reclaiming.reclaim(refund, on=on, actor=actor, why=why, at=require_aware(at))
    audit.record(
        actor=actor,
        act="payment.reversed",
        subject=f"account:{external_id(found.account)}",
        at=at,
        reason=why,
        detail={
            "receipt": receipt,
            "kind": kind.value,
            "amount": str(found.amount),
            "drawn": undone[1:],
            "reclaimed": [refund.id for refund in standing],
        },
    )
    return undone


def _free_prepaid(found: Receipt, on: date, kind: ReversalKind, why: str, at: datetime) -> list[int]:
    """Undo what was drawn from the prepaid balance, the newest first, until taking this receipt's part is possible."""
    code = found.amount.currency
    filled = sum(row.amount.minor for row in queries.allocations(receipts=[found.id]) if row.ref == "prepaid")
    short = filled - queries.prepaid(account=found.account, currency=code).minor
    if filled == 0 or short <= 0:
        return []
    undone: list[int] = []
    for drawn in _drawn(found.account, code):
        if short <= 0:
            break
        if any(refund.reversed_on is None for refund in queries.refunds(receipts=[drawn.id])):
            continue
        _undo_receipt(
            drawn, max(on, drawn.received_on), kind, f"receipt {found.id} that filled it is undone: {why}", at
        )
        undone.append(drawn.id)
        short -= drawn.amount.minor
    if short > 0:
        raise UnableToReverseError(
            f"receipt {found.id} filled a prepaid balance that was paid back meanwhile: reverse that refund first"
        )
    return undone


def _drawn(account: int, currency: str) -> list[Receipt]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM payments_receipt WHERE account_id = %s AND currency = %s AND method = 'prepaid'"
            " AND reversed_on IS NULL ORDER BY received_on DESC, id DESC",
            [account, currency],
        )
        return [queries.receipt(receipt=receipt) for (receipt,) in cursor.fetchall()]


def _undo_receipt(found: Receipt, on: date, kind: ReversalKind, why: str, at: datetime) -> None:
    if on < found.received_on:
        raise UnableToReverseError(
            f"receipt {found.id} came in on {found.received_on}: it isn't undone before, on {on}"
        )
    going = [row.id for row in queries.allocations(receipts=[found.id])]
    _mark("UPDATE payments_receipt SET", found.id, on, kind, why, at)
    if found.method is not Method.CREDIT:
        ledger.reverse_entry(source=booking.receipt_source(found.id), effective_on=on, at=at)
    _undo_allocations(going, on, kind, why, at)


def _undo_allocations(ids: Sequence[int], on: date, kind: ReversalKind, why: str, at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, effective_on, reversed_on FROM payments_allocation WHERE id = ANY(%s) ORDER BY id",
            [list(ids)],
        )
        rows = cursor.fetchall()
    for allocation, effective_on, undone in rows:
        if undone is not None:
            raise UnableToReverseError(f"allocation {allocation} was undone on {undone}")
        # An allocation may count from later than the receipt (its invoice came later): it ends no earlier than that.
        day = max(on, effective_on)
        _mark("UPDATE payments_allocation SET", allocation, day, kind, why, at)
        ledger.reverse_entry(source=booking.allocation_source(allocation), effective_on=day, at=at)


def reverse_refund(*, refund: int, kind: ReversalKind, on: date, actor: str, reason: str, at: datetime) -> None:
    """Take a refund back: the money is here again, unallocated. If it was reclaimed, that is undone with it."""
    booking.require_transaction("reverse_refund")
    why = booking.require_reason(reason)
    query: LiteralString = "SELECT account_id, receipt_id, refunded_on, reversed_on FROM payments_refund WHERE id = %s"
    account = _one(query, [refund], f"there is no refund {refund}")[0]
    ledger.lock_accounts(accounts=[account])
    _, receipt, refunded_on, undone = _one(query, [refund], "")
    if undone is not None:
        raise UnableToReverseError(f"refund {refund} was undone on {undone}")
    if on < refunded_on:
        raise UnableToReverseError(f"refund {refund} was paid on {refunded_on}: it isn't undone before, on {on}")
    _undo_reclaim(refund, on, kind, why, at)
    payback_rows.refund_undone(refund=refund, on=on, why=why, at=at)
    _mark("UPDATE payments_refund SET", refund, on, kind, why, at)
    ledger.reverse_entry(source=booking.refund_source(refund), effective_on=on, at=at)
    audit.record(
        actor=actor,
        act="payment.refund_reversed",
        subject=f"account:{external_id(account)}",
        at=at,
        reason=why,
        detail={"refund": refund, "receipt": receipt, "kind": kind.value},
    )


def _undo_reclaim(refund: int, on: date, kind: ReversalKind, why: str, at: datetime) -> None:
    """Undo the debt that reclaims a refund, with what was allocated to it, if there is one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, taken_on FROM payments_opening_item WHERE refund_id = %s AND reversed_on IS NULL", [refund]
        )
        row = cursor.fetchone()
    if row is None:
        return
    opening, taken_on = row
    _undo_allocations([one.id for one in queries.allocations(refs=[f"opening/{opening}"])], on, kind, why, at)
    day = max(on, taken_on)
    _mark("UPDATE payments_opening_item SET", opening, day, kind, why, at)
    ledger.reverse_entry(source=booking.opening_source(opening), effective_on=day, at=at)


def reverse_opening(*, opening: int, on: date, actor: str, reason: str, at: datetime) -> None:
    """Undo the taking over of an item, before anything was allocated to it. See `operations`."""
    booking.require_transaction("reverse_opening")
    why = booking.require_reason(reason)
    query: LiteralString = (
        "SELECT account_id, number, taken_on, reversed_on, refund_id, (SELECT count(*) FROM payments_allocation a"
        " WHERE a.opening_id = o.id AND a.reversed_on IS NULL) FROM payments_opening_item o WHERE id = %s"
    )
    account = _one(query, [opening], f"there is no item opening/{opening}")[0]
    ledger.lock_accounts(accounts=[account])
    _, number, taken_on, undone, refund, uses = _one(query, [opening], "")
    if undone is not None:
        raise UnableToReverseError(f"{number} (opening/{opening}) was undone on {undone}")
    if refund is not None:
        raise UnableToReverseError(f"{number} (opening/{opening}) reclaims refund {refund}: reverse the refund")
    if uses:
        raise UnableToReverseError(f"{number} (opening/{opening}): {uses} allocations go to it: reverse them first")
    item = next((one for one in queries.items(account=account) if one.ref == f"opening/{opening}"), None)
    if item is not None and item.held is not None:
        raise UnableToReverseError(f"{number} (opening/{opening}) is contested: decide that first")
    if on < taken_on:
        raise UnableToReverseError(f"{number} was taken over on {taken_on}: it isn't undone before, on {on}")
    _mark("UPDATE payments_opening_item SET", opening, on, ReversalKind.MISTAKE, why, at)
    ledger.reverse_entry(source=booking.opening_source(opening), effective_on=on, at=at)
    audit.record(
        actor=actor,
        act="opening.reversed",
        subject=f"account:{external_id(account)}",
        at=at,
        reason=why,
        detail={"opening": opening, "number": number},
    )


def _mark(update: LiteralString, row: int, on: date, kind: ReversalKind, why: str, at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            update + " reversed_on = %s, reversed_at = %s, reversed_kind = %s, reversed_why = %s"
            " WHERE id = %s AND reversed_on IS NULL",
            [on, require_aware(at), kind.value, why, row],
        )
        if not cursor.rowcount:
            raise UnableToReverseError(f"row {row} was undone by another meanwhile")


def _one(query: LiteralString, parameters: Iterable[Any], missing: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query, list(parameters))
        row = cursor.fetchone()
    if row is None:
        raise UnableToFindPaymentError(missing)
    return row
