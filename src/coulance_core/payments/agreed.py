"""What a customer agreed to be charged by itself: whether a charge fits it, and when a balance is topped up."""

from dataclasses import dataclass
from enum import StrEnum

from coulance_core.kernel import Money


class ChargeRefusal(StrEnum):
    """Why nothing is charged, in order of precedence."""

    ENDED = "ended"
    """The customer stopped it, or took the way to pay back."""
    NOT_TOLD = "not_told"
    """It was not announced in time, or the announcement came back."""
    CHANGED = "changed"
    """What is owed is not what was announced."""
    ABOVE_EACH = "above_each"
    ABOVE_MONTH = "above_month"


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that may be charged at once, and in a calendar month; none is no limit."""

    each: Money | None = None
    a_month: Money | None = None

    def refuses(self, amount: Money, charged: Money) -> ChargeRefusal | None:
        """Why `amount` may not be charged, where `charged` was (or is being) charged this month already.

        >>> limits = Limits(Money(5000, "EUR"), Money(8000, "EUR"))
        >>> [limits.refuses(Money(cents, "EUR"), Money(4000, "EUR")) for cents in (4000, 4001, 5001)]
        [None, <ChargeRefusal.ABOVE_MONTH: 'above_month'>, <ChargeRefusal.ABOVE_EACH: 'above_each'>]
        """
        if self.each is not None and amount > self.each:
            return ChargeRefusal.ABOVE_EACH
        if self.a_month is not None and charged + amount > self.a_month:
            return ChargeRefusal.ABOVE_MONTH
        return None


def top_up(*, balance: Money, below: Money, by: Money, under_way: Money) -> Money | None:
    """By how much a balance is topped up now: `by`, when it with what is under way to it is below `below`.

    >>> eur = lambda cents: Money(cents, "EUR")
    >>> top_up(balance=eur(900), below=eur(1000), by=eur(2500), under_way=eur(0))
    Money(minor=2500, currency='EUR')
    >>> top_up(balance=eur(900), below=eur(1000), by=eur(2500), under_way=eur(2500)) is None
    True
    """
    return by if balance + under_way < below else None
