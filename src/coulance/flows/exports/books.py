"""The journal of some days, and the names that accountants want beside it: customers, numbers, the provider."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.customers.queries import AccountRow
from coulance.invoicing.naming import numbers_of
from coulance.ledger import queries as ledger
from coulance_core.catalog.provider import ProviderTerms
from coulance_core.kernel import currency
from coulance_core.ledger import Entry, Posting


class UnableToExportError(Exception):
    """Books that a format can't carry, with what to do about it; nothing is written."""


@dataclass(frozen=True, slots=True)
class Books:
    """The entries of [start, end] in one currency, the day order kept, and what was before.

    Entries in other currencies are left out whole legs at a time (each currency balances by itself); `others` says of
    how many entries. `before` is each account's balance at the start, debit positive.
    """

    provider: ProviderTerms
    currency: str
    start: date
    end: date
    entries: tuple[Entry, ...]
    before: dict[str, int]
    others: int
    customers: dict[bytes, AccountRow]
    numbers: dict[int, str]

    def customer(self, entry: Entry) -> AccountRow | None:
        """Whose entry it is; None for one whose person was erased."""
        return self.customers.get(entry.party)

    def reference(self, entry: Entry) -> str:
        """What a person looks the entry up by: a document's number, else its source."""
        kind, _, number = entry.source.partition("/")
        if kind == "document" and number.isdigit() and int(number) in self.numbers:
            return self.numbers[int(number)]
        return entry.source

    def accounts(self) -> list[str]:
        """Every ledger account that is used, sorted."""
        return sorted({p.account for entry in self.entries for p in entry.postings} | set(self.before))


def books(*, start: date, end: date, code: str = "") -> Books:
    """The books of [start, end]. Raises `UnableToExportError` for a span or currency that no format takes."""
    if end < start:
        raise UnableToExportError(f"the last day ({end}) is before the first ({start})")
    provider = catalog.catalog().provider
    code = code or provider.currency
    if currency(code).exponent > 2:
        raise UnableToExportError(f"{code} has more than two decimals, which neither DATEV nor an auditfile takes")
    entries: list[Entry] = []
    before: dict[str, int] = {}
    others = 0
    for entry in ledger.journal():
        if entry.effective_on > end:
            break
        legs = tuple(p for p in entry.postings if p.currency == code)
        if entry.effective_on < start:
            for leg in legs:
                before[leg.account] = before.get(leg.account, 0) + leg.amount
            continue
        others += len(legs) < len(entry.postings)
        if legs:
            entries.append(_with(entry, legs))
    parties = {row.pseudonym.bytes: row for row in customers.accounts() if isinstance(row.pseudonym, UUID)}
    return Books(
        provider,
        code,
        start,
        end,
        tuple(entries),
        {account: amount for account, amount in before.items() if amount},
        others,
        {entry.party: parties[entry.party] for entry in entries if entry.party in parties},
        numbers_of(_documents(entries)),
    )


def _with(entry: Entry, legs: Sequence[Posting]) -> Entry:
    if len(legs) == len(entry.postings):
        return entry
    return Entry(entry.party, entry.kind, entry.source, entry.effective_on, tuple(legs), entry.reverses)


def _documents(entries: Iterable[Entry]) -> set[int]:
    found = set()
    for entry in entries:
        kind, _, number = entry.source.partition("/")
        if kind == "document" and number.isdigit():
            found.add(int(number))
    return found


def decimal(minor: int, code: str) -> str:
    """An amount in major units with two decimals, whatever the currency has: `12.30`."""
    exponent = currency(code).exponent
    scaled = minor * 10 ** (2 - exponent)
    return f"{'-' if scaled < 0 else ''}{abs(scaled) // 100}.{abs(scaled) % 100:02d}"
