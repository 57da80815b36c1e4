"""Reclaiming a refund: what it paid back came out of money that the bank took back since, so the customer owes it.

Private to the room; `operations` is the way in.
"""

from datetime import date, datetime

from coulance.ledger import operations as ledger
from coulance.payments import booking
from coulance.payments.queries import RefundRow
from coulance.platform.db import copy_rows, next_ids
from coulance_core.payments import ItemKind, reclaim_entry


def number_of(refund: int) -> str:
    """What people know a reclaim by."""
    return f"REFUND-{refund}"


def reclaim(refund: RefundRow, *, on: date, actor: str, why: str, at: datetime) -> int:
    """Write the debt of a refund whose receipt is undone in this transaction, and book it; the item's id."""
    party = ledger.lock_accounts(accounts=[refund.account])[refund.account]
    day = max(on, refund.refunded_on)
    (opening,) = next_ids(sequence="payments_opening_item_id_seq", count=1)
    row = {
        "id": opening,
        "account_id": refund.account,
        "kind": ItemKind.OTHER.value,
        "number": number_of(refund.id),
        "issued_on": day,
        "due_on": day,
        "gross": refund.amount.minor,
        "open": refund.amount.minor,
        "currency": refund.amount.currency,
        "taken_on": day,
        "refund_id": refund.id,
        "source_key": f"reclaim/{refund.id}",
        "reason": why,
        "actor": actor,
        "recorded_at": at,
    }
    copy_rows(table="payments_opening_item", columns=list(row), rows=[tuple(row.values())])
    source = booking.opening_source(opening)
    ledger.post_entries(entries=[reclaim_entry(refund.amount, party=party, source=source, on=day)], at=at)
    return opening
