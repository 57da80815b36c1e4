"""Statements of account, and how old debts are.

A statement is the journal as the customer sees it: what they were billed and credited, what they paid and got back,
each with the balance after it. Its balance is what they owe less their money on hand; prepaid money is apart.
Allocations move no balance: they say which payment paid what.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from coulance_core.kernel import Money
from coulance_core.payments.terms import OpenItem


class StatementError(ValueError):
    """Rows that are no statement: of another currency, a closing balance that the journal doesn't have."""


class RowKind(StrEnum):
    """What a row of a statement is."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"
    DEBIT_NOTE = "debit_note"
    """A claim that takes a credit note back."""
    PAYMENT = "payment"
    PAYMENT_REVERSED = "payment_reversed"
    REFUND = "refund"
    REFUND_REVERSED = "refund_reversed"
    WRITE_OFF = "write_off"
    WRITE_OFF_REVERSED = "write_off_reversed"
    TO_PREPAID = "to_prepaid"
    TO_PREPAID_REVERSED = "to_prepaid_reversed"
    FROM_PREPAID = "from_prepaid"
    FROM_PREPAID_REVERSED = "from_prepaid_reversed"
    TAKEN_OVER = "taken_over"
    TAKEN_OVER_REVERSED = "taken_over_reversed"
    ALLOCATED = "allocated"
    """A memo: which payment (or credit) paid which item."""
    ALLOCATION_REVERSED = "allocation_reversed"
    CREDIT_FREED = "credit_freed"
    """A memo: credit on an item becomes money on hand, or pays another."""
    CREDIT_FREED_REVERSED = "credit_freed_reversed"
    RECLAIMED = "reclaimed"
    """A memo: what was refunded out of a payment that was taken back since became a debt."""
    RECLAIMED_REVERSED = "reclaimed_reversed"
    OTHER = "other"
    """An adjustment booked by hand."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line: the day it counts, what it is, its number or reference, and what it changes.

    `amount` is as printed; `effect` is what it adds to the balance (zero for a memo). `about` is the other document:
    the invoice that a credit note lowers or an allocation pays. `source` is the journal's.
    """

    on: date
    kind: RowKind
    reference: str
    amount: Money
    effect: Money
    source: str
    about: str = ""
    due_on: date | None = None


@dataclass(frozen=True, slots=True)
class BalancedRow:
    """A row and the balance after it."""

    row: Row
    balance: Money


@dataclass(frozen=True, slots=True)
class Ages:
    """Debts of one currency by how late they are: not late (due today included), 1-30, 31-60, 61-90 and over 90 days.

    `credit` is what items below zero come to, and `unallocated` money on hand, both above zero: they lower `due`.
    `disputed` is what is held of debts, of whatever age: that part alone doesn't grow older.
    """

    currency: str
    not_late: Money
    to_30: Money
    to_60: Money
    to_90: Money
    older: Money
    credit: Money
    unallocated: Money
    disputed: Money

    @property
    def debts(self) -> Money:
        """All debts, disputed ones too."""
        return self.not_late + self.to_30 + self.to_60 + self.to_90 + self.older + self.disputed

    @property
    def due(self) -> Money:
        """Debts less credit and money on hand."""
        return self.debts - self.credit - self.unallocated

    def plus(self, other: "Ages") -> "Ages":
        """The sums of two."""
        return Ages(
            self.currency,
            self.not_late + other.not_late,
            self.to_30 + other.to_30,
            self.to_60 + other.to_60,
            self.to_90 + other.to_90,
            self.older + other.older,
            self.credit + other.credit,
            self.unallocated + other.unallocated,
            self.disputed + other.disputed,
        )


def ages(items: Iterable[OpenItem], *, on: date, currency: str, unallocated: Money | None = None) -> Ages:
    """Sort the open items of a currency by how many days late they are on that day.

    >>> from coulance_core.payments.terms import ItemKind
    >>> day = date(2026, 11, 30)
    >>> five = Money(5, "EUR")
    >>> debt = OpenItem("a", 1, ItemKind.BASE, "A", date(2026, 10, 1), date(2026, 10, 31), five, five)
    >>> a = ages([debt], on=day, currency="EUR")
    >>> a.to_30.minor, a.due.minor
    (5, 5)
    """
    sums = [0] * 7
    for item in items:
        if item.open.currency != currency:
            continue
        if item.open.minor < 0:
            sums[5] -= item.open.minor
        else:
            late = item.days_late(on)
            sums[0 if late <= 0 else 1 if late <= 30 else 2 if late <= 60 else 3 if late <= 90 else 4] += (
                item.payable.minor
            )
            sums[6] += item.open.minor - item.payable.minor
    not_late, to_30, to_60, to_90, older, credit, disputed = (Money(minor, currency) for minor in sums)
    on_hand = Money(0, currency) if unallocated is None else unallocated
    return Ages(currency, not_late, to_30, to_60, to_90, older, credit, on_hand, disputed)


@dataclass(frozen=True, slots=True)
class AccountStatement:
    """An account's statement of [start, end) in one currency.

    `opening` and `closing` are balances (above zero: the customer owes). `prepaid` is the prepaid balance at the end;
    `items` is what is open then, and `ages` how old it is.
    """

    start: date
    end: date
    currency: str
    opening: Money
    rows: tuple[BalancedRow, ...]
    closing: Money
    prepaid: Money
    items: tuple[OpenItem, ...]
    ages: Ages


def statement_of_account(
    rows: Sequence[Row],
    *,
    start: date,
    end: date,
    currency: str,
    closing: Money,
    prepaid: Money,
    items: Sequence[OpenItem],
    on: date,
) -> AccountStatement:
    """Fold rows (in the order they were booked) into the statement of [start, end).

    `closing` is the journal's own balance at the end: a statement that comes to anything else raises `StatementError`,
    and never prints. `items` is what is open then; `on` is the day by which debts are aged.
    """
    zero = Money(0, currency)
    opening, inside = zero, list[Row]()
    for row in rows:
        if row.effect.currency != currency:
            raise StatementError(f"{row.source} is in {row.effect.currency}, the statement in {currency}")
        if row.on < start:
            opening += row.effect
        elif row.on < end:
            inside.append(row)
    inside.sort(key=lambda row: row.on)  # stable: the same day keeps the order of booking
    out: list[BalancedRow] = []
    balance = opening
    for row in inside:
        balance += row.effect
        out.append(BalancedRow(row, balance))
    if balance != closing:
        raise StatementError(f"the rows come to {balance}, and the journal says {closing}")
    open_sum = sum((item.open.minor for item in items if item.open.currency == currency), 0)
    on_hand = Money(open_sum, currency) - closing
    aged = replace(ages(items, on=on, currency=currency), unallocated=on_hand)
    return AccountStatement(start, end, currency, opening, tuple(out), balance, prepaid, tuple(items), aged)
