"""Double entries: postings that sum to zero in every currency, or do not exist.

Debits are positive, credits negative, in whole minor units. An entry belongs to one customer account, known here by
its pseudonym only, so that what chains by hash holds no person.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache

from coulance_core.kernel import currency
from coulance_core.ledger.accounts import check_code

MINOR_LIMIT = 2**62
"""Amounts stay below this, so that sums of a few fit a database's bigint."""

_SOURCE = re.compile(r"[!-~]{1,120}")


class EntryError(ValueError):
    """Postings that are no entry: unbalanced, too few, or malformed."""


class EntryKind(StrEnum):
    """What happened."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"
    CARRY = "carry"
    """A small amount is carried forward instead of invoiced."""
    PAYMENT = "payment"
    WRITE_OFF = "write_off"
    ADJUSTMENT = "adjustment"
    REVERSAL = "reversal"
    """Undoes exactly one earlier entry, posting by posting."""


@dataclass(frozen=True, slots=True)
class Posting:
    """One leg of an entry: an amount in minor units, debit positive, on an account.

    >>> Posting("receivable", 1210, "EUR")
    Posting(account='receivable', amount=1210, currency='EUR')
    """

    account: str
    amount: int
    currency: str

    def __post_init__(self) -> None:
        _check_account(self.account)
        _check_currency(self.currency)
        if type(self.amount) is not int:
            raise EntryError(f"an amount is a whole number of minor units, not {type(self.amount).__name__}")
        if not self.amount or not -MINOR_LIMIT < self.amount < MINOR_LIMIT:
            raise EntryError(f"an amount is neither zero nor beyond 2^62 minor units: {self.amount}")


# Few codes and currencies occur a million times: remember that they were checked.
@lru_cache(maxsize=4096)
def _check_account(code: str) -> None:
    check_code(code)


@lru_cache(maxsize=512)
def _check_currency(code: str) -> None:
    currency(code)


@dataclass(frozen=True, slots=True)
class Entry:
    """One event in the books of one customer account.

    `party` is the account's pseudonym (16 bytes). `source` names what caused it (`document/4711`): unique, so that
    booking twice is refused, and free of personal data. `reverses` is the source of the entry a reversal undoes.
    Raises `EntryError` unless there are two postings or more that sum to zero in each currency.

    >>> legs = combine([("receivable", 1210, "EUR"), ("revenue:base", -1000, "EUR"), ("tax:NL-21", -210, "EUR")])
    >>> e = Entry(bytes(16), EntryKind.INVOICE, "document/1", date(2026, 11, 1), legs)
    >>> Entry(bytes(16), EntryKind.INVOICE, "document/2", date(2026, 11, 1), legs[:2])
    Traceback (most recent call last):
    coulance_core.ledger.entry.EntryError: document/2 does not balance: 210 minor units of EUR are left over
    """

    party: bytes
    kind: EntryKind
    source: str
    effective_on: date
    postings: tuple[Posting, ...]
    reverses: str | None = None

    def __post_init__(self) -> None:
        if len(self.party) != 16:
            raise EntryError(f"a party's pseudonym is 16 bytes, not {len(self.party)}")
        if not _SOURCE.fullmatch(self.source):
            raise EntryError(f"a source is 1 to 120 printable characters without spaces, not {self.source!r}")
        if len(self.postings) < 2:
            raise EntryError(f"{self.source} has {len(self.postings)} postings: double entry needs two or more")
        if (self.kind is EntryKind.REVERSAL) != (self.reverses is not None):
            raise EntryError(f"{self.source}: exactly a reversal names the entry it reverses")
        sums: dict[str, int] = {}
        for posting in self.postings:
            sums[posting.currency] = sums.get(posting.currency, 0) + posting.amount
        for code, left in sums.items():
            if left:
                raise EntryError(f"{self.source} does not balance: {left} minor units of {code} are left over")


def reversal(entry: Entry, *, source: str, effective_on: date) -> Entry:
    """The entry that undoes `entry`: every posting negated, in the same order.

    A reversal cannot itself be reversed: book what should have been instead.
    """
    if entry.kind is EntryKind.REVERSAL:
        raise EntryError(f"{entry.source} is a reversal: book a new entry instead of reversing it")
    return Entry(
        entry.party,
        EntryKind.REVERSAL,
        source,
        effective_on,
        tuple(Posting(p.account, -p.amount, p.currency) for p in entry.postings),
        reverses=entry.source,
    )


def combine(amounts: Iterable[tuple[str, int, str]]) -> tuple[Posting, ...]:
    """Postings from (account, amount, currency): equal accounts merged, zeros left out, in order of first mention.

    >>> legs = [("receivable", 5, "EUR"), ("revenue:base", -2, "EUR"), ("revenue:base", -3, "EUR"), ("tax:x", 0, "EUR")]
    >>> [(p.account, p.amount) for p in combine(legs)]
    [('receivable', 5), ('revenue:base', -5)]
    """
    sums: dict[tuple[str, str], int] = {}
    for account, amount, code in amounts:
        sums[account, code] = sums.get((account, code), 0) + amount
    return tuple(Posting(account, amount, code) for (account, code), amount in sums.items() if amount)


def fold(entries: Iterable[Entry]) -> Mapping[tuple[str, str], int]:
    """The balance of every (account, currency) after these entries, in minor units."""
    sums: dict[tuple[str, str], int] = {}
    for entry in entries:
        for posting in entry.postings:
            key = posting.account, posting.currency
            sums[key] = sums.get(key, 0) + posting.amount
    return sums
