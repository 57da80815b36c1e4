"""What is under way to an account's debts, for whoever is about to pay or assign by hand: it would be paid twice."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from coulance.payments import collections
from coulance.payments import queries as payments
from coulance.payments.collections import CollectionRow
from coulance_core.kernel import Money
from coulance_core.payments.direct_debit import CollectionState

_WITH_THE_BANK = (CollectionState.HANDED, CollectionState.REFUSED)


@dataclass(frozen=True, slots=True)
class Coming:
    """So much of a debt is under way, by what, and until when that is so."""

    ref: str
    number: str
    amount: Money
    what: str
    final_on: date

    def __str__(self) -> str:
        return f"{self.amount} for {self.number} is under way ({self.what}), until {self.final_on}"


def coming(*, account: int, on: date, refs: Collection[str] | None = None) -> list[Coming]:
    """What is under way to an account's debts (or to these) as of a day."""
    flights = [one for one in payments.in_flight(accounts=[account], on=on) if refs is None or one.ref in refs]
    if not flights:
        return []
    numbers = {item.ref: item.number for item in payments.open_items(accounts=[account]).get(account, ())}
    return [Coming(one.ref, numbers.get(one.ref, one.ref), one.amount, one.what, one.final_on) for one in flights]


def may_be_of(*, account: int, amount: Money, refs: Collection[str]) -> list[CollectionRow]:
    """The collections with the bank that money of an account, for these debts (none: unsaid), may be the money of.

    Those it names debts of, whatever the amount; those of exactly the amount, where it names nothing.
    """
    named = set(refs)
    return [
        row
        for row in collections.collections(accounts=[account], states=_WITH_THE_BANK)
        if (named & {ref for ref, _ in row.parts} or (not named and row.amount == amount))
        # What the bank refused is seldom credited after all: only its very amount may be its money.
        and (row.state is CollectionState.HANDED or row.amount == amount)
    ]
