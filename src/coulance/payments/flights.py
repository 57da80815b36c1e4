"""What is under way to an account's debts, by the evidence of those who bring it. Exported by `queries`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from django.db import connection

from coulance_core.kernel import Money
from coulance_core.payments import InFlight

_FLIGHTS = """
SELECT coalesce('document/' || c.document_id, 'opening/' || c.opening_id), c.account_id, c.amount, c.currency,
       coalesce(r.handed_at, p.changed_at), coalesce(d.final_on, p.final_on),
       CASE WHEN d.id IS NOT NULL THEN 'collection ' || d.end_to_end_id ELSE p.gateway || ' payment ' || p.key END
  FROM payments_claim c
  LEFT JOIN payments_collection d ON d.id = c.collection_id LEFT JOIN payments_collection_run r ON r.id = d.run_id
  LEFT JOIN payments_gateway_payment p ON p.id = c.payment_id
 WHERE c.ended_at IS NULL AND (d.state = 'handed' OR p.state = 'pending')
   AND (%(accounts)s::bigint[] IS NULL OR c.account_id = ANY(%(accounts)s))
   AND (%(on)s::date IS NULL OR coalesce(d.final_on, p.final_on) >= %(on)s)
 ORDER BY c.account_id, c.id
"""


def in_flight(*, accounts: Iterable[int] | None = None, on: date | None = None) -> list[InFlight]:
    """What of debts is under way: collections whose file went to the bank, payments that a gateway has in hand.

    With `on` only what may still come then; the caller otherwise asks each (`InFlight.counts`). A page to pay on that
    was opened, or a collection that is only planned, is none.
    """
    wanted = None if accounts is None else sorted(set(accounts))
    if wanted == []:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_FLIGHTS, {"accounts": wanted, "on": on})
        return [
            InFlight(ref, account, Money(amount, code), since, final_on, what)
            for ref, account, amount, code, since, final_on, what in cursor.fetchall()
        ]


@dataclass(frozen=True, slots=True)
class CameBack:
    """A payment of a debt that came back: when it was known, and by which of the bank's codes, where it was one of
    our collections."""

    ref: str
    account: int
    at: datetime
    on: date
    code: str


def came_back(*, accounts: Iterable[int]) -> list[CameBack]:
    """Payments of debts of these accounts that their payer's bank took or sent back, in order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce('document/' || a.document_id, 'opening/' || a.opening_id), a.account_id, a.reversed_at,"
            " a.reversed_on, coalesce(c.return_code, '') FROM payments_allocation a"
            " LEFT JOIN payments_collection c ON c.receipt_id = a.receipt_id"
            " WHERE a.account_id = ANY(%s) AND a.reversed_kind IN ('bounced', 'returned') AND NOT a.prepaid"
            " ORDER BY a.id",
            [sorted(set(accounts))],
        )
        return [CameBack(*row) for row in cursor.fetchall()]
