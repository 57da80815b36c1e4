"""DATEV's format EXTF, version 700: a Buchungsstapel of bookings, and the Debitoren they name.

A Buchungsstapel has a header of 31 fields, 125 column headings (format version 13), and a line a booking: amount with
a comma and always positive, account and offset account, day as TTMM. Text is Windows-1252, lines end with CRLF. Our
entries have two legs or more; each becomes pairs of one debit and one credit that sum to it.

Account numbers are the provider's: the defaults are SKR03's, on accounts without automatic tax, since tax is booked
here already. A tax adviser decides; `--account revenue:base=8400` says so.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType

from coulance.flows.exports.books import Books, UnableToExportError, decimal
from coulance_core.ledger import RECEIVABLE, Entry

SKR03: Mapping[str, str] = MappingProxyType(
    {
        "cash:bank": "1200",
        "cash:cash": "1000",
        "cash": "1360",
        "carried": "1500",
        "unallocated": "1590",
        "prepaid": "1710",
        "deferred": "0990",
        "tax": "1770",
        "revenue": "8200",
        "rounding": "2309",
        "damages": "2309",
        "bad_debt": "2400",
        "equity": "9008",
    }
)
"""By code, or by the family of codes that have no number of their own."""

_BELEG = re.compile(r"[^A-Za-z0-9$&%*+\-/]")
COLUMNS: tuple[str, ...] = (
    *"Umsatz (ohne Soll/Haben-Kz);Soll/Haben-Kennzeichen;WKZ Umsatz;Kurs;Basis-Umsatz;WKZ Basis-Umsatz;Konto".split(
        ";"
    ),
    *"Gegenkonto (ohne BU-Schlüssel);BU-Schlüssel;Belegdatum;Belegfeld 1;Belegfeld 2;Skonto;Buchungstext".split(";"),
    *"Postensperre;Diverse Adressnummer;Geschäftspartnerbank;Sachverhalt;Zinssperre;Beleglink".split(";"),
    *(f"Beleginfo - {what} {n}" for n in range(1, 9) for what in ("Art", "Inhalt")),
    *"KOST1 - Kostenstelle;KOST2 - Kostenstelle;Kost-Menge;EU-Land u. UStID (Bestimmung)".split(";"),
    *"EU-Steuersatz (Bestimmung);Abw. Versteuerungsart;Sachverhalt L+L;Funktionsergänzung L+L".split(";"),
    *"BU 49 Hauptfunktionstyp;BU 49 Hauptfunktionsnummer;BU 49 Funktionsergänzung".split(";"),
    *(f"Zusatzinformation{what} {n}" for n in range(1, 21) for what in (" - Art", "- Inhalt")),
    *"Stück;Gewicht;Zahlweise;Forderungsart;Veranlagungsjahr;Zugeordnete Fälligkeit;Skontotyp".split(";"),
    *"Auftragsnummer;Buchungstyp;USt-Schlüssel (Anzahlungen);EU-Land (Anzahlungen)".split(";"),
    *"Sachverhalt L+L (Anzahlungen);EU-Steuersatz (Anzahlungen);Erlöskonto (Anzahlungen)".split(";"),
    *"Herkunft-Kz;Buchungs GUID;KOST-Datum;SEPA-Mandatsreferenz;Skontosperre;Gesellschaftername".split(";"),
    *"Beteiligtennummer;Identifikationsnummer;Zeichnernummer;Postensperre bis".split(";"),
    *"Bezeichnung SoBil-Sachverhalt;Kennzeichen SoBil-Buchung;Festschreibung;Leistungsdatum".split(";"),
    *"Datum Zuord. Steuerperiode;Fälligkeit;Generalumkehr (GU);Steuersatz;Land;Abrechnungsreferenz".split(";"),
    *"BVV-Position;EU-Land u. UStID (Ursprung);EU-Steuersatz (Ursprung);Abw. Skontokonto".split(";"),
)
"""The headings of a Buchungsstapel, format version 13. Importers go by position."""
_AT = {name: place for place, name in enumerate(COLUMNS)}

DEBTOR_COLUMNS: tuple[str, ...] = (
    *"Konto;Name (Adressattyp Unternehmen);Unternehmensgegenstand;Name (Adressattyp natürl. Person)".split(";"),
    *"Vorname (Adressattyp natürl. Person);Name (Adressattyp keine Angabe);Adressattyp;Kurzbezeichnung".split(";"),
    *"EU-Land;EU-UStID;Anrede;Titel/Akad. Grad;Adelstitel;Namensvorsatz;Adressart;Straße;Postfach".split(";"),
    *"Postleitzahl;Ort;Land".split(";"),
)
"""The first 20 headings of Debitoren/Kreditoren, format version 5; later ones are left out, which the format allows."""


@dataclass(frozen=True, slots=True)
class DatevTerms:
    """What the tax adviser gives: their number and the client's, how long account numbers are, which they are."""

    consultant: int = 1001
    client: int = 1
    account_length: int = 4
    year_starts: int = 1
    """The month in which a fiscal year begins."""
    accounts: Mapping[str, str] = field(default_factory=lambda: SKR03)

    def __post_init__(self) -> None:
        for what, value, low, high in (
            ("the consultant's number", self.consultant, 1001, 9_999_999),
            ("the client's number", self.client, 1, 99_999),
            ("the length of account numbers", self.account_length, 4, 8),
            ("the month that a fiscal year begins in", self.year_starts, 1, 12),
        ):
            if not low <= value <= high:
                raise UnableToExportError(f"{what} is {low} to {high}, not {value}")
        for code, number in self.accounts.items():
            if not re.fullmatch(rf"[0-9]{{1,{self.account_length}}}", number):
                raise UnableToExportError(
                    f"{code}={number}: an account number has up to {self.account_length} digits (see --account-length)"
                )


def buchungsstapel(books: Books, terms: DatevTerms, *, created_at: datetime) -> Iterator[bytes]:
    """The bookings, line by line, encoded. Raises `UnableToExportError` before the first line."""
    first = _year_start(books.start, terms)
    if _year_start(books.end, terms) != first:
        raise UnableToExportError(
            f"a Buchungsstapel is within one fiscal year, and {books.start} to {books.end} is not: export year by year"
        )
    numbers = _numbers(books, terms)
    yield _line(_header("Buchungsstapel", 21, 13, books, terms, created_at))
    yield _line(list(COLUMNS))
    for entry in books.entries:
        debtor = _debtor(books, entry, terms)
        for debit, credit, amount in pairs(entry):
            row = [""] * len(COLUMNS)
            row[_AT["Umsatz (ohne Soll/Haben-Kz)"]] = decimal(amount, books.currency).replace(".", ",")
            row[_AT["Soll/Haben-Kennzeichen"]] = '"S"'
            row[_AT["WKZ Umsatz"]] = f'"{books.currency}"'
            row[_AT["Konto"]] = debtor if debit == RECEIVABLE else numbers[debit]
            row[_AT["Gegenkonto (ohne BU-Schlüssel)"]] = debtor if credit == RECEIVABLE else numbers[credit]
            row[_AT["Belegdatum"]] = f"{entry.effective_on:%d%m}"
            reference = books.reference(entry)
            row[_AT["Belegfeld 1"]] = _text(_BELEG.sub("", reference), 36)
            customer = books.customer(entry)
            words = f"{entry.kind.value.replace('_', ' ')} {reference} {customer.name if customer else ''}"
            row[_AT["Buchungstext"]] = _text(words, 60)
            row[_AT["Festschreibung"]] = "0"
            yield _line(row)


def debitoren(books: Books, terms: DatevTerms, *, created_at: datetime) -> Iterator[bytes]:
    """The customers that the bookings name, with their debtor accounts."""
    yield _line(_header("Debitoren/Kreditoren", 16, 5, books, terms, created_at))
    yield _line(list(DEBTOR_COLUMNS))
    for row in sorted(books.customers.values(), key=lambda one: one.id):
        out = [""] * len(DEBTOR_COLUMNS)
        person = row.kind == "consumer"
        out[0] = debtor_account(row.id, terms)
        out[3 if person else 1] = _text(row.name, 50 if not person else 30)
        out[6] = '"1"' if person else '"2"'
        out[7] = _text(row.external_id, 15)
        if row.vat_id and len(row.vat_id) > 2:
            out[8], out[9] = _text(row.vat_id[:2], 2), _text(row.vat_id[2:], 13)
        if row.address:
            out[14] = '"STR"'
            out[15] = _text(row.address[0], 36)
            out[18] = _text(" ".join(row.address[1:]), 30)
        out[19] = _text(row.country, 2)
        yield _line(out)


def pairs(entry: Entry) -> list[tuple[str, str, int]]:
    """An entry as pairs of (debit account, credit account, amount): as few as its legs allow, and they sum to each leg.

    >>> from coulance_core.ledger import EntryKind, Posting
    >>> legs = (Posting("receivable", 121, "EUR"), Posting("revenue:base", -100, "EUR"), Posting("tax:X", -21, "EUR"))
    >>> pairs(Entry(bytes(16), EntryKind.INVOICE, "document/1", date(2026, 1, 1), legs))
    [('receivable', 'revenue:base', 100), ('receivable', 'tax:X', 21)]
    """
    debits = [(p.account, p.amount) for p in entry.postings if p.amount > 0]
    credits_ = [(p.account, -p.amount) for p in entry.postings if p.amount < 0]
    out: list[tuple[str, str, int]] = []
    while debits and credits_:
        (debit, owed), (credit, given) = debits.pop(0), credits_.pop(0)
        amount = min(owed, given)
        out.append((debit, credit, amount))
        if owed > amount:
            debits.insert(0, (debit, owed - amount))
        if given > amount:
            credits_.insert(0, (credit, given - amount))
    return out


def debtor_account(account: int, terms: DatevTerms) -> str:
    """A customer's debtor account: one digit more than others have, from 1 followed by noughts on (10000 on for 4)."""
    base = 10**terms.account_length
    if account >= 6 * base:
        raise UnableToExportError(
            f"customer number {account} is beyond the debtor accounts of {terms.account_length + 1} digits: "
            f"use --account-length {terms.account_length + 1}"
        )
    return str(base + account)


def _debtor(books: Books, entry: Entry, terms: DatevTerms) -> str:
    customer = books.customer(entry)
    # Somebody erased: their bookings stay, on a collective account.
    return debtor_account(customer.id if customer else 0, terms)


def _numbers(books: Books, terms: DatevTerms) -> dict[str, str]:
    found: dict[str, str] = {}
    lacking = []
    for code in books.accounts():
        number = terms.accounts.get(code) or terms.accounts.get(code.partition(":")[0])
        if number is not None:
            found[code] = number.ljust(terms.account_length, "0")
        elif code != RECEIVABLE:
            lacking.append(code)
    if lacking:
        raise UnableToExportError(
            f"no account number for {', '.join(lacking)}: name each with --account {lacking[0]}=NUMBER"
        )
    return found


def _year_start(day: date, terms: DatevTerms) -> date:
    return date(day.year if day.month >= terms.year_starts else day.year - 1, terms.year_starts, 1)


def _header(
    name: str, category: int, version: int, books: Books, terms: DatevTerms, created_at: datetime
) -> Sequence[str]:
    bookings = category == 21
    fields = [
        '"EXTF"',
        "700",
        str(category),
        f'"{name}"',
        str(version),
        f"{created_at:%Y%m%d%H%M%S}{created_at.microsecond // 1000:03d}",
        "",
        '"CO"',
        '"Coulance"',
        "",
        str(terms.consultant),
        str(terms.client),
        f"{_year_start(books.start, terms):%Y%m%d}",
        str(terms.account_length),
        f"{books.start:%Y%m%d}" if bookings else "",
        f"{books.end:%Y%m%d}" if bookings else "",
        _text(books.provider.name, 30) if bookings else "",
        "",
        "1" if bookings else "",
        "0" if bookings else "",
        "0" if bookings else "",
        f'"{books.currency}"' if bookings else "",
    ]
    return fields + [""] * (31 - len(fields))


def _text(text: str, most: int) -> str:
    """A quoted text: what Windows-1252 lacks by its plain letter, or as a question mark; cut to the field's size."""
    out = []
    for letter in text:
        if not letter.isprintable():
            out.append(" ")
            continue
        plain = letter if _has(letter) else "".join(c for c in unicodedata.normalize("NFKD", letter) if _has(c)) or "?"
        out.append(plain)
    cut = " ".join("".join(out).split())[:most].strip()
    return '"' + cut.replace('"', '""') + '"' if cut else ""


def _has(letter: str) -> bool:
    try:
        letter.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True


def _line(fields: Sequence[str]) -> bytes:
    return (";".join(fields) + "\r\n").encode("cp1252")
