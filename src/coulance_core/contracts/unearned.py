"""What of a card's price is earned: hours that were used, hours that lapsed; the rest is owed in work.

Money for hours that are still to come is a liability (IFRS 15.106, ASC 606-10-45-2). It becomes income as hours are
used. What is never used becomes income when the card ends: breakage, without a forecast (IFRS 15.B46, the careful way).
"""

from dataclasses import dataclass

from coulance_core.contracts.hours import CardState
from coulance_core.kernel import Money, Rounding


@dataclass(frozen=True, slots=True)
class Earned:
    """A card's price by what became of its hours; the three add up to it."""

    used: Money
    lapsed: Money
    unearned: Money


def earned(state: CardState, net: Money) -> Earned:
    """What of `net`, which is what was charged for a card less what was credited, is earned at an instant.

    What is unearned is rounded up and what lapsed down, so that a cent is never income too early; a card without an
    hour left owes nothing.

    >>> from datetime import UTC, datetime
    >>> from coulance_core.contracts.terms import Card
    >>> card = Card("C1", 3 * 3600, Money(10_000, "EUR"), datetime(2026, 5, 1, tzinfo=UTC), None)
    >>> found = earned(CardState(card, 3600, 7200, 0), Money(10_000, "EUR"))
    >>> found.used.minor, found.lapsed.minor, found.unearned.minor
    (3333, 0, 6667)
    """
    seconds = state.card.seconds
    unearned = Money.of(net.amount * state.left / seconds, net.currency, Rounding.UP)
    lapsed = Money.of(net.amount * state.lapsed / seconds, net.currency, Rounding.DOWN)
    return Earned(net - unearned - lapsed, lapsed, unearned)
