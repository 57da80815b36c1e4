"""Money that came in and that nothing was open for: its customer is told, once, and it waits for what comes next.

A payment on account. It pays the next invoice (`apply_on_hand`), or goes back when the customer asks (`paying_back`).
"""

from datetime import date, datetime, timedelta

from django.db import transaction

from coulance.catalog import queries as catalog
from coulance.flows.rails import left_wording, paying_back
from coulance.flows.rails.alone import alone
from coulance.flows.rails.telling import portal_link, tell
from coulance.payments import collections
from coulance.payments import queries as payments
from coulance.payments.errors import UnableToCollectError
from coulance_core.payments import Receipt

_SINCE = timedelta(days=14)
"""Older money left over was on hand before anybody would be told of it: no flood of mail after an upgrade."""


def tell_left_over(*, on: date, actor: str, at: datetime) -> list[int]:
    """Tell customers of money of theirs that is left over since some days; the receipts, each told of once.

    What was asked back already, and what waits to be put on a balance, is not told of.
    """
    told: list[int] = []
    for found in payments.receipts(with_left=True, since=on - _SINCE, limit=100_000):
        if not found.method.is_money or found.received_on >= on:
            continue  # today's is allocated perhaps this night
        with alone(f"telling of what is left of receipt {found.id}", at=at), transaction.atomic():
            if _told(found, actor, at):
                told.append(found.id)
    return told


def _told(found: Receipt, actor: str, at: datetime) -> bool:
    left = paying_back.left_of(found.id)
    if left.minor <= 0 or _fills_balance(found.id):
        return False
    whole = catalog.catalog()
    return tell(
        key=f"left_over/{found.id}",
        account=found.account,
        about=f"receipt/{found.id}",
        at=at,
        actor=actor,
        write=lambda language, name: left_wording.left_over(
            left=left,
            received=found.amount,
            seller=whole.provider,
            language=language,
            name=name,
            link=portal_link(),
        ),
    )


def _fills_balance(receipt: int) -> bool:
    try:
        return collections.collection(receipt=receipt).tops_up
    except UnableToCollectError:
        return False
