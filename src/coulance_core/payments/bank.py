"""What a bank says happened on an account, in one form whatever the file: statements and their entries.

An amount is signed as the account sees it: money that came in is positive. Readers for MT940 and camt give these
values; matching and booking read nothing else. A statement adds up when opening plus entries is closing.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum

from coulance_core.kernel import Money


class StatementKind(StrEnum):
    """How final a file is."""

    STATEMENT = "statement"
    """Booked entries between two balances: MT940, camt.053. Only these move the books by themselves."""
    NOTIFICATION = "notification"
    """Booked entries in detail, without balances: camt.054. They explain batches that a statement books as one sum."""
    INTERIM = "interim"
    """Entries of the day so far: MT942, camt.052. They come again in the statement, so they are never booked."""


@dataclass(frozen=True, slots=True)
class BankEntry:
    """One movement, or one payment of a batch.

    `amount` is signed: positive came in. `end_to_end_id` is what the payer's side gave along (never `NOTPROVIDED`).
    `structured_reference` is the creditor reference as it stands in the file, its check digits not looked at.
    `batch` names the batch that a payment came in; `batch_count` above 1 says that this entry is a batch's sum, whose
    payments the file does not give. `return_reason` is the ISO code or the bank's words when an earlier payment
    came back. `place` says where in the file it stands, and is no part of what the entry is.
    """

    booked_on: date
    amount: Money
    value_on: date | None = None
    end_to_end_id: str = ""
    structured_reference: str = ""
    remittance: str = ""
    counterparty_name: str = ""
    counterparty_iban: str = ""
    bank_ref: str = ""
    mandate_id: str = ""
    return_reason: str = ""
    is_reversal: bool = False
    batch: str = ""
    batch_count: int = 0
    code: str = ""
    charges: Money | None = None
    place: str = field(default="", compare=False)

    @property
    def is_return(self) -> bool:
        """Whether it takes back an earlier movement."""
        return self.is_reversal or bool(self.return_reason)


@dataclass(frozen=True, slots=True)
class BankStatement:
    """The entries of one account over one span, with the balances they lie between.

    `account` is the IBAN without spaces, or the bank's own number where the file gives none. `number` is the
    statement's number as the bank counts (`19322`, or `2026-117`), `page` its page. A notification has no balances.
    `notes` are things a person should know about how it was read.
    """

    account: str
    currency: str
    entries: tuple[BankEntry, ...]
    kind: StatementKind = StatementKind.STATEMENT
    number: str = ""
    page: str = ""
    opening: Money | None = None
    closing: Money | None = None
    opened_on: date | None = None
    closed_on: date | None = None
    form: str = ""
    place: str = field(default="", compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def total(self) -> Money:
        """The sum of all entries."""
        return Money(sum(entry.amount.minor for entry in self.entries), self.currency)

    def fault(self) -> str | None:
        """What does not add up, in words; None when it does, or when the file gives no balances to check.

        >>> entry = BankEntry(date(2026, 1, 2), Money(500, "EUR"))
        >>> BankStatement("NL1", "EUR", (entry,), opening=Money(0, "EUR"), closing=Money(400, "EUR")).fault()
        'opening 0.00 EUR + 1 entry of 5.00 EUR is 5.00 EUR, but the closing balance says 4.00 EUR'
        """
        for what, balance in (("opening", self.opening), ("closing", self.closing)):
            if balance is not None and balance.currency != self.currency:
                return f"the {what} balance is in {balance.currency}, the account in {self.currency}"
        for entry in self.entries:
            if entry.amount.currency != self.currency:
                return f"{entry.place or 'an entry'} is in {entry.amount.currency}, the account in {self.currency}"
        if self.opening is None or self.closing is None:
            return None
        reached = self.opening + self.total
        if reached == self.closing:
            return None
        count = f"{len(self.entries)} {'entry' if len(self.entries) == 1 else 'entries'}"
        return (
            f"opening {self.opening} + {count} of {self.total} is {reached}, "
            f"but the closing balance says {self.closing}"
        )


def fingerprints(statement: BankStatement) -> Iterator[tuple[BankEntry, bytes]]:
    """Each entry with the SHA-256 that it has in any other statement of the same account too.

    It covers what the bank repeats word for word: account, day, amount, references, counterparty, text. Two equal
    payments of one day are told apart by their order, so pages of one statement are joined first (`joined`).

    >>> day, one = date(2026, 1, 2), Money(1, "EUR")
    >>> statement = BankStatement("NL1", "EUR", (BankEntry(day, one), BankEntry(day, one), BankEntry(day, -one)))
    >>> len({mark for _, mark in fingerprints(statement)})
    3
    """
    seen: dict[tuple[str, ...], int] = {}
    for entry in statement.entries:
        key = (
            statement.account,
            statement.currency,
            entry.booked_on.isoformat(),
            str(entry.amount.minor),
            entry.bank_ref,
            entry.batch,
            entry.end_to_end_id,
            entry.structured_reference,
            entry.counterparty_iban,
            "".join(entry.remittance.split()),
        )
        seen[key] = seen.get(key, 0) + 1
        parts = (*key, str(seen[key]))
        yield entry, hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).digest()


def joined(statements: Iterable[BankStatement]) -> Iterator[BankStatement]:
    """Statements with the pages of one number joined: a page that opens where the one before it closed.

    >>> page = BankStatement("NL1", "EUR", (), number="7", page="1", opening=Money(0, "EUR"), closing=Money(0, "EUR"))
    >>> [s.page for s in joined([page, replace(page, page="2")])]
    ['1-2']
    """
    last: BankStatement | None = None
    for statement in statements:
        if last is not None and _continues(last, statement):
            last = replace(
                last,
                entries=last.entries + statement.entries,
                closing=statement.closing,
                closed_on=statement.closed_on,
                page=f"{last.page.split('-')[0]}-{statement.page}",
                notes=last.notes + statement.notes,
            )
            continue
        if last is not None:
            yield last
        last = statement
    if last is not None:
        yield last


def _continues(last: BankStatement, statement: BankStatement) -> bool:
    return (
        bool(statement.number and statement.page)
        and statement.page != last.page.split("-")[-1]
        and (last.account, last.currency, last.number, last.kind)
        == (statement.account, statement.currency, statement.number, statement.kind)
        and last.closing == statement.opening
    )
