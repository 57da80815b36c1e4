"""Paying back what is left of a receipt.

Private to the room; `operations` is the way in.
"""

from datetime import date, datetime

from django.db import connection

from coulance.ledger import operations as ledger
from coulance.payments import booking, taking_over, undoing
from coulance.payments.errors import (
    UnableToRefundError,
)
from coulance.platform import audit
from coulance.platform.db import next_ids
from coulance_core.kernel import Money, require_aware
from coulance_core.payments import (
    Method,
    refund_entry,
)


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
