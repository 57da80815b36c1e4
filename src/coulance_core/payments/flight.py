"""Money under way: what a provider of payments itself says is coming, and until when that may be believed.

A payment in flight stops the steps against a debt. What the customer says ("I paid") is a promise and no flight; nor is
a page to pay on that was opened. Evidence is a collection handed to the bank, or a payment that the gateway says it
has in hand. Each has a day by which it is final: past that it counts no more, whatever became of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from coulance_core.kernel import Money


@dataclass(frozen=True, slots=True)
class InFlight:
    """So much of an item is under way since an instant, and final on a day. `what` names the evidence for people.

    `ref` is the item's ("document/7", "opening/3"); empty for money that is for no item (a top-up).
    """

    ref: str
    account: int
    amount: Money
    since: datetime
    final_on: date
    what: str

    def counts(self, on: date) -> bool:
        """Whether it may still come: up to and with the day it is final.

        >>> from datetime import UTC
        >>> one = InFlight("document/7", 1, Money(5, "EUR"), datetime(2026, 11, 1, tzinfo=UTC), date(2026, 11, 9), "")
        >>> one.counts(date(2026, 11, 9)), one.counts(date(2026, 11, 10))
        (True, False)
        """
        return on <= self.final_on


def under_way(flights: Iterable[InFlight], *, ref: str, on: date, currency: str) -> Money:
    """What of an item may still come in by itself, as of a day."""
    return Money(sum(one.amount.minor for one in flights if one.ref == ref and one.counts(on)), currency)
