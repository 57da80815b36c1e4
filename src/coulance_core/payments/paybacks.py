"""Money that goes back to a customer: asked for, approved by as many people as the provider says, in a file, paid."""

from collections.abc import Collection
from enum import StrEnum

from coulance_core.kernel import Money


class PaybackState(StrEnum):
    """Where money stands that is to be paid back."""

    ASKED = "asked"
    """It waits for people (or an account to pay it to). Until then it is money on hand, and pays what falls due."""
    APPROVED = "approved"
    """Booked as paid back; to be put in a file, or being paid back by the gateway it came by."""
    FILED = "filed"
    """In a file that nobody has fetched yet."""
    HANDED = "handed"
    """The file went to the bank."""
    PAID = "paid"
    """A bank entry shows it leaving, or the gateway paid it."""
    FAILED = "failed"
    """The bank refused it or it came back: the money is on hand again."""
    DECLINED = "declined"
    """Not paid back after all, before it went."""

    @property
    def is_live(self) -> bool:
        """Whether it may still be paid."""
        return self in (PaybackState.ASKED, PaybackState.APPROVED, PaybackState.FILED, PaybackState.HANDED)


FOLLOWS: dict[PaybackState, frozenset[PaybackState]] = {
    PaybackState.ASKED: frozenset({PaybackState.APPROVED, PaybackState.DECLINED}),
    PaybackState.APPROVED: frozenset(
        {PaybackState.FILED, PaybackState.PAID, PaybackState.FAILED, PaybackState.DECLINED}
    ),
    PaybackState.FILED: frozenset({PaybackState.HANDED, PaybackState.APPROVED}),
    PaybackState.HANDED: frozenset({PaybackState.PAID, PaybackState.FAILED}),
    PaybackState.PAID: frozenset({PaybackState.FAILED}),
    PaybackState.FAILED: frozenset(),
    PaybackState.DECLINED: frozenset(),
}
"""What may follow what; the database holds the same table."""


def people_needed(amount: Money, *, people: int, two_above: Money | None) -> int:
    """How many people approve that an amount is paid back: `people`, or two from `two_above` on.

    A bound in another currency says nothing of this amount: then two, for nobody knows that it is small.

    >>> eur = lambda cents: Money(cents, "EUR")
    >>> [people_needed(eur(cents), people=1, two_above=eur(5000)) for cents in (4999, 5000)]
    [1, 2]
    >>> people_needed(Money(1, "USD"), people=0, two_above=eur(5000))
    2
    """
    if two_above is not None and (two_above.currency != amount.currency or amount >= two_above):
        return 2
    return people


def may_go(amount: Money, approved_by: Collection[str], *, people: int, two_above: Money | None) -> bool:
    """Whether enough different people approved it; who asked counts only if they approve too.

    >>> may_go(Money(1, "EUR"), ["operator:anna", "operator:anna"], people=2, two_above=None)
    False
    """
    return len(set(approved_by)) >= people_needed(amount, people=people, two_above=two_above)
