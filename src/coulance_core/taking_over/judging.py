"""What is wrong with a book by itself: rows that contradict themselves, each other, or the series they go on.

Nothing here knows what is in the house already; that is compared when the book is planned.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from coulance_core.catalog.provider import NumberSeries, Resets
from coulance_core.kernel import currency
from coulance_core.taking_over.terms import Book, Finding, TakenOpenItem, Where

_T = TypeVar("_T")
_NUMBER = re.compile(r"\{number(?::0(\d+)d)?\}")


def judge(book: Book, series: Mapping[str, NumberSeries]) -> tuple[Finding, ...]:
    """Everything wrong with it, in the order of files and rows. `series` are the provider's own, by key."""
    found = [
        *_twice(book),
        *_of_nobody(book),
        *(fault for item in book.items for fault in _item(item, book)),
        *_money(book),
        *_mandates(book),
        *_services(book),
        *_series(book, series),
    ]
    return tuple(sorted(set(found), key=lambda one: (one.where, one.code, one.found)))


def written_as(series: NumberSeries, number: str) -> tuple[int, int] | None:
    """The year (0: without years) and number of a document number, if the series could ever write it; else nothing.

    >>> base = NumberSeries("base", "B{year}-{number:04d}")
    >>> written_as(base, "B2026-0042"), written_as(base, "B2026-42"), written_as(base, "1042")
    ((2026, 42), None, None)
    """
    field = _NUMBER.search(series.format)
    if field is None:
        return None
    digits = r"(?P<number>\d{1,18})"
    parts = re.split(r"(\{[^}]*\})", series.format)
    years = 0
    pattern = ""
    for part in parts:
        if part.startswith("{number"):
            pattern += digits
        elif part.startswith("{year"):
            pattern += r"(?P<year>\d{4})" if not years else r"(?P=year)"
            years += 1
        else:
            pattern += re.escape(part)
    match = re.fullmatch(pattern, number)
    if match is None:
        return None
    value, year = int(match["number"]), int(match["year"]) if years else 0
    if series.write(value, year) != number:
        return None
    return (year if series.resets is Resets.YEARLY else 0), value


def iban_fault(iban: str) -> str:
    """What is wrong with an IBAN by its form and check digits (ISO 13616, ISO 7064 mod 97-10); nothing when sound.

    >>> iban_fault("NL91 ABNA 0417 1643 00"), iban_fault("NL92ABNA0417164300")
    ('', 'its check digits do not fit')
    """
    compact = re.sub(r"\s", "", iban).upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", compact):
        return "it is not written as an IBAN"
    moved = compact[4:] + compact[:4]
    value = int("".join(str(int(char, 36)) for char in moved))
    return "" if value % 97 == 1 else "its check digits do not fit"


def _twice(book: Book) -> Iterator[Finding]:
    yield from _repeated("duplicate-customer", book.customers, lambda row: row.account, "customer")
    yield from _repeated("duplicate-contact", book.contacts, lambda row: f"{row.account}/{row.contact}", "contact")
    yield from _repeated("duplicate-service", book.services, lambda row: row.service, "service")
    yield from _repeated("duplicate-item", book.items, lambda row: row.key, "open item")
    yield from _repeated("duplicate-prepaid", book.prepaid, lambda row: row.key, "prepaid balance")
    yield from _repeated("duplicate-mandate", book.mandates, lambda row: row.reference, "mandate")
    yield from _repeated("duplicate-clause", book.clauses, lambda row: row.key, "clause")
    yield from _repeated("duplicate-series", book.series, lambda row: f"{row.series} {row.year}", "number series")
    yield from _repeated("number-twice", book.numbers, lambda row: row.number, "document number")


def _repeated(code: str, rows: Iterable[_T], key: Callable[[_T], str], what: str) -> Iterator[Finding]:
    first: dict[str, Where] = {}
    for row in rows:
        where: Where = row.where  # type: ignore[attr-defined]
        name = key(row)
        if name in first:
            yield Finding(code, where, f"{what} {name!r} is there twice, first at {first[name]}", "each once")
        first.setdefault(name, where)


def _of_nobody(book: Book) -> Iterator[Finding]:
    accounts = {row.account for row in book.customers}
    services = {row.service: row.account for row in book.services}
    payers = {(row.account, row.contact): row.may_incur_cost for row in book.contacts}
    named = (
        ("contact-of-nobody", book.contacts),
        ("service-of-nobody", book.services),
        ("item-of-nobody", book.items),
        ("prepaid-of-nobody", book.prepaid),
        ("mandate-of-nobody", book.mandates),
        ("clause-of-nobody", book.clauses),
    )
    for code, rows in named:
        for row in rows:
            if row.account not in accounts:
                yield Finding(code, row.where, f"there is no customer {row.account!r}", "a customer of this source")
    for clause in book.clauses:
        if clause.service and services.get(clause.service) != clause.account:
            found = f"customer {clause.account!r} has no running service {clause.service!r}"
            yield Finding("clause-of-nobody", clause.where, found, "a service of that customer, or none for all")
        if clause.charge and not clause.service:
            yield Finding("clause-of-nobody", clause.where, f"charge {clause.charge!r} of no service", "its service")
        if clause.account in accounts and not payers.get((clause.account, clause.contact), False):
            known = (clause.account, clause.contact) in payers
            found = f"contact {clause.contact!r} " + ("may not incur cost" if known else "is not there")
            yield Finding("clause-without-contact", clause.where, found, "a contact who may, as they agreed to it")


def _item(item: TakenOpenItem, book: Book) -> Iterator[Finding]:
    if not item.number.strip():
        yield Finding("no-number", item.where, "it has no number", "the number it was issued with")
    codes = {
        amount.currency for amount in (item.gross, item.paid, item.open, item.tax, item.lines) if amount is not None
    }
    if len(codes) > 1:
        yield Finding("mixed-currencies", item.where, f"it is in {' and '.join(sorted(codes))}", "one currency")
        return
    sign = -1 if item.gross.minor < 0 else 1
    gross, paid, left = sign * item.gross.minor, sign * item.paid.minor, sign * item.open.minor
    if paid > gross or left < 0:
        found = f"{item.paid} is paid of {item.gross}"
        yield Finding("paid-more", item.where, found, "no more than its total: book the rest as a credit balance there")
    elif paid < 0:
        yield Finding("paid-below-zero", item.where, f"{item.paid} is paid of {item.gross}", "0.00 or more")
    elif gross - paid != left:
        found = f"{item.gross} less {item.paid} paid is not {item.open}, which it says is open"
        yield Finding("open-differs", item.where, found, "total less paid")
    elif left == 0:
        yield Finding("nothing-open", item.where, f"nothing is open of {item.gross}", "an amount, or the row left out")
    if item.lines is not None and item.lines.minor != item.gross.minor:
        found = f"its lines sum to {item.lines}, its total is {item.gross}"
        yield Finding("total-not-lines", item.where, found, "the sum of its lines")
    if item.tax is not None and not 0 <= sign * item.tax.minor <= gross:
        yield Finding("tax-beyond-total", item.where, f"a tax of {item.tax} in {item.gross}", "a part of the total")
    if item.due_on < item.issued_on:
        found = f"due on {item.due_on}, issued on {item.issued_on}"
        yield Finding("due-before-issued", item.where, found, "due on the day it was issued, or later")
    if item.issued_on > book.on:
        found = f"issued on {item.issued_on}, taken over on {book.on}"
        yield Finding("issued-later", item.where, found, f"a day until {book.on}")


def _money(book: Book) -> Iterator[Finding]:
    currencies: dict[str, str] = {}
    for row in book.customers:
        currencies[row.account] = row.currency
        if row.currency:
            try:
                currency(row.currency)
            except ValueError:
                yield Finding("unknown-currency", row.where, repr(row.currency), "an ISO 4217 currency, such as EUR")
    amounts = [
        *((item.where, item.account, item.open) for item in book.items),
        *((row.where, row.account, row.amount) for row in book.prepaid),
        *((row.where, row.account, row.limit) for row in book.clauses),
    ]
    for where, account, amount in amounts:
        known = currencies.get(account, "")
        if known and amount.currency != known:
            found = f"{amount}, and customer {account!r} is kept in {known}"
            yield Finding("other-currency", where, found, f"an amount in {known}")
    for prepaid in book.prepaid:
        if prepaid.amount.minor < 0:
            found = f"a balance of {prepaid.amount}"
            yield Finding("prepaid-below-zero", prepaid.where, found, "0.00 or more: what is owed stands on an invoice")
    for clause in book.clauses:
        if clause.limit.minor < 0:
            yield Finding("limit-below-zero", clause.where, f"a limit of {clause.limit}", "0.00 or more")
        if clause.agreed_on > book.on:
            yield Finding("agreed-later", clause.where, f"agreed on {clause.agreed_on}", f"a day until {book.on}")


def _mandates(book: Book) -> Iterator[Finding]:
    for row in book.mandates:
        if problem := iban_fault(row.iban):
            yield Finding("bad-iban", row.where, f"{row.iban!r}: {problem}", "an IBAN, as NL91ABNA0417164300")
        if row.signed_on is None:
            yield Finding("mandate-unsigned", row.where, f"mandate {row.reference!r} has no day of signature", "one")
        elif row.signed_on > book.on:
            found = f"mandate {row.reference!r} was signed on {row.signed_on}"
            yield Finding("mandate-later", row.where, found, f"a day until {book.on}")
        elif row.last_used_on is not None and row.last_used_on < row.signed_on:
            found = f"used on {row.last_used_on}, signed on {row.signed_on}"
            yield Finding("mandate-later", row.where, found, "signed before it was used")
        if not 1 <= len(row.reference) <= 35:
            yield Finding("bad-reference", row.where, repr(row.reference), "1 to 35 characters")
        if not row.holder.strip():
            yield Finding("no-holder", row.where, f"mandate {row.reference!r} has no holder", "whose account it is")


def _services(book: Book) -> Iterator[Finding]:
    seen: dict[str, Where] = {}
    for row in book.services:
        if row.quantity < 1:
            yield Finding("bad-quantity", row.where, str(row.quantity), "1 or more")
        if row.ended_on is not None and row.ended_on <= row.started_on:
            yield Finding("bad-days", row.where, f"from {row.started_on} until {row.ended_on}", "a later end")
        if row.started_on > book.on:
            yield Finding("starts-later", row.where, f"it starts on {row.started_on}", f"a day until {book.on}")
        domain = row.domain.strip().lower()
        if not domain:
            continue
        if domain in seen:
            found = f"{domain} is the domain of another running service too, at {seen[domain]}"
            yield Finding("domain-twice", row.where, found, "one that runs: or both mapped on purpose", stops=False)
        seen.setdefault(domain, row.where)


def _series(book: Book, series: Mapping[str, NumberSeries]) -> Iterator[Finding]:
    ends = {(row.series, row.year): row for row in book.series}
    for row in book.series:
        known = series.get(row.series)
        if known is None:
            found = f"there is no number series {row.series!r}"
            yield Finding("unknown-series", row.where, found, f"one of {', '.join(sorted(series))}")
            continue
        if (known.resets is Resets.YEARLY) != (row.year > 0):
            expected = "the year of the last number" if known.resets is Resets.YEARLY else "no year"
            yield Finding("series-year", row.where, f"year {row.year or '(none)'} of series {row.series!r}", expected)
        if row.last < 0:
            yield Finding("series-behind", row.where, f"last number {row.last}", "0 or more")
    highest: dict[tuple[str, int], tuple[int, str, Where]] = {}
    for given in book.numbers:
        for key, terms in series.items():
            read = written_as(terms, given.number)
            if read is None or read[1] < terms.start:
                continue
            place = (key, read[0])
            if place not in highest or highest[place][0] < read[1]:
                highest[place] = (read[1], given.number, given.where)
    for (key, year), (last, number, where) in sorted(highest.items()):
        end = ends.get((key, year))
        if end is None:
            found = f"{number} was given out there, and series {key!r} would give it again"
            yield Finding("series-collides", where, found, f"its last number ({last}), or another form of number here")
        elif end.last < last:
            found = f"series {key!r} is said to have ended at {end.last}, and {number} was given out ({where})"
            yield Finding("series-behind", end.where, found, f"{last} or more")
