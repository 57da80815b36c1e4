"""The journal as text that plain-text accounting tools read: beancount and hledger.

Both are lossless for amounts: every entry, every posting, every currency with its own decimals. A customer appears as
its pseudonym; their names are in the customers room, not in the books.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from enum import StrEnum

from coulance_core.kernel import Money
from coulance_core.ledger import RECEIVABLE, AccountClass, Entry, account_class


class ExportFormat(StrEnum):
    """Which tool the text is for."""

    BEANCOUNT = "beancount"
    HLEDGER = "hledger"


def export(entries: Iterable[Entry], *, to: ExportFormat) -> Iterator[str]:
    """The journal as lines of text for that tool, opening directives included. Entries come sorted by day.

    beancount wants every account opened with a day: all are opened on the first entry's day, so entries are read
    once into memory there; hledger's are streamed.
    """
    return _beancount(entries) if to is ExportFormat.BEANCOUNT else _hledger(entries)


def account_name(code: str, party: bytes) -> str:
    """A ledger account as both tools spell it: `Assets:Receivable:C-0a1b...`, `Liabilities:Tax:X-4e4c2d3231`.

    beancount wants each part to begin with a capital or digit and to hold letters, digits and dashes only, so a detail
    with anything else is spelt as hex after `X-`: two codes never become one account.

    >>> account_name("revenue:overage", bytes(16)), account_name("tax:NL-21", bytes(16))
    ('Income:Revenue:Overage', 'Liabilities:Tax:NL-21')
    >>> account_name("tax:reverse_20charge", bytes(16))
    'Liabilities:Tax:X-726576657273655f3230636861726765'
    """
    family, *details = code.split(":")
    parts = [account_class(code).value, family.replace("_", "-").capitalize(), *map(_part, details)]
    if code == RECEIVABLE:
        parts.append(f"C-{party.hex()}")
    return ":".join(parts)


def _part(detail: str) -> str:
    if len(detail) > 1 and detail.isascii() and detail.isalpha() and detail.islower():
        return detail.capitalize()
    plain = detail.isascii() and detail.replace("-", "").isalnum()
    # A lower-case word became capitalised above; a word that is capitalised already must not meet it.
    capital = detail[0].isdigit() or (detail[0].isupper() and not detail[1:].islower())
    return detail if plain and capital and not detail.startswith("X-") else f"X-{detail.encode().hex()}"


def _amount(minor: int, currency: str) -> str:
    return f"{Money(minor, currency).decimal()} {currency}"


def _beancount(entries: Iterable[Entry]) -> Iterator[str]:
    kept = list(entries)
    yield "; The journal of Coulance. Debits are positive. Customers appear by pseudonym."
    yield 'option "title" "Coulance journal"'
    yield from (f'option "name_{kind.name.lower()}" "{kind.value}"' for kind in AccountClass)
    first = min((entry.effective_on for entry in kept), default=date(1970, 1, 1))
    names = sorted({account_name(p.account, entry.party) for entry in kept for p in entry.postings})
    for name in names:
        yield f"{first.isoformat()} open {name}"
    for entry in kept:
        yield ""
        yield f'{entry.effective_on.isoformat()} * "{entry.kind.value}" "{_quoted(entry.source)}"'
        for posting in entry.postings:
            name = account_name(posting.account, entry.party)
            yield f"  {name}  {_amount(posting.amount, posting.currency)}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _hledger(entries: Iterable[Entry]) -> Iterator[str]:
    yield "; The journal of Coulance. Debits are positive. Customers appear by pseudonym."
    yield "decimal-mark ."
    for entry in entries:
        yield ""
        # A semicolon would begin a comment, a bar would split payee from note: neither may change what is read.
        source = entry.source.replace(";", "%3B").replace("|", "%7C")
        yield f"{entry.effective_on.isoformat()} * {entry.kind.value} {source}"
        for posting in entry.postings:
            name = account_name(posting.account, entry.party)
            yield f"    {name}  {_amount(posting.amount, posting.currency)}"
