"""What an account owes, and how it came to that: statements with an opening, movements and a closing balance."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from coulance_core.kernel import Money
from coulance_core.ledger.entry import EntryKind


class HoldKind(StrEnum):
    """Why an amount is set aside without editing the books."""

    DISPUTE = "dispute"
    """The customer contests it: it is not demanded until decided."""
    IN_FLIGHT = "in_flight"
    """Our own evidence says a payment of it is under way."""


@dataclass(frozen=True, slots=True)
class Movement:
    """One entry's effect on what a customer owes: when it counts, what it was, and the amount (plus: owes more)."""

    effective_on: date
    kind: EntryKind
    source: str
    amount: Money


@dataclass(frozen=True, slots=True)
class StatementRow:
    """A movement and the balance after it."""

    movement: Movement
    balance: Money


@dataclass(frozen=True, slots=True)
class Statement:
    """Movements in [start, end) between an opening and a closing balance, of one currency."""

    start: date
    end: date
    opening: Money
    rows: tuple[StatementRow, ...]
    closing: Money


def statement(movements: Iterable[Movement], *, start: date, end: date, currency: str) -> Statement:
    """Fold movements, in the order they were booked, into a statement of [start, end).

    Rows go by the day they count; those before `start` make the opening balance, those from `end` on are left out.

    >>> owed = Movement(date(2026, 10, 1), EntryKind.INVOICE, "document/1", Money(500, "EUR"))
    >>> paid = Movement(date(2026, 11, 3), EntryKind.PAYMENT, "receipt/1", Money(-500, "EUR"))
    >>> s = statement([owed, paid], start=date(2026, 11, 1), end=date(2026, 12, 1), currency="EUR")
    >>> str(s.opening), len(s.rows), str(s.closing)
    ('5.00 EUR', 1, '0.00 EUR')
    """
    opening = Money(0, currency)
    inside: list[Movement] = []
    for movement in movements:
        if movement.effective_on < start:
            opening += movement.amount
        elif movement.effective_on < end:
            inside.append(movement)
    inside.sort(key=lambda m: m.effective_on)  # stable: same day keeps the order of booking
    rows: list[StatementRow] = []
    balance = opening
    for movement in inside:
        balance += movement.amount
        rows.append(StatementRow(movement, balance))
    return Statement(start, end, opening, tuple(rows), balance)


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account owes in one currency, and what of it is set aside by open holds."""

    owed: Money
    disputed: Money
    in_flight: Money

    @property
    def demandable(self) -> Money:
        """Owed, less what is disputed or under way, never below zero: all that a demand may ask for.

        >>> str(Standing(Money(1000, "EUR"), Money(300, "EUR"), Money(900, "EUR")).demandable)
        '0.00 EUR'
        """
        rest = self.owed - self.disputed - self.in_flight
        return rest if rest.minor > 0 else Money(0, self.owed.currency)


def standing(owed: Money, holds: Sequence[tuple[HoldKind, Money]]) -> Standing:
    """Judge a balance beside its open holds, all of one currency (others raise `CurrencyMismatchError`)."""
    sums: Mapping[HoldKind, list[Money]] = {kind: [Money(0, owed.currency)] for kind in HoldKind}
    for kind, amount in holds:
        sums[kind].append(amount)
    zero = Money(0, owed.currency)
    return Standing(owed, sum(sums[HoldKind.DISPUTE], zero), sum(sums[HoldKind.IN_FLIGHT], zero))
