"""XML Auditfile Financieel 3.2 (XAF): what Dutch tax office and accountants import whole.

The order of elements and the sizes of texts are those of `XmlAuditfileFinancieel3.2.xsd` (XML Platform; namespace
`http://www.auditfiles.nl/XAF/3.2`). Debits and credits are totalled and equal, lines are counted, and every account,
customer and period that a line names is told before. Prior years' result is told as one opening line on
`equity:result`, so that the opening balance balances.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from xml.sax.saxutils import escape

from coulance import __version__
from coulance.flows.exports.books import Books, UnableToExportError, decimal
from coulance_core.ledger import RECEIVABLE, AccountClass, Entry, EntryKind, account_class

NAMESPACE = "http://www.auditfiles.nl/XAF/3.2"
RESULT = "equity:result"
_JOURNALS = {
    "VERKOOP": ("Invoices and credit notes", "S"),
    "BANK": ("Bank", "B"),
    "KAS": ("Cash", "C"),
    "MEMORIAAL": ("Everything else", "M"),
}
_BALANCE = frozenset({AccountClass.ASSETS, AccountClass.LIABILITIES, AccountClass.EQUITY})


def xaf(books: Books, *, created_on: date) -> Iterator[str]:
    """The auditfile, piece by piece. Raises `UnableToExportError` for more than a year, or without a tax number."""
    if books.end >= _a_year_after(books.start):
        raise UnableToExportError("an auditfile is of one fiscal year at most: choose a shorter span")
    if not books.provider.vat_id and not books.provider.registration:
        raise UnableToExportError("an auditfile names the provider's tax number: set provider.vat_id in provider.toml")
    ids = _ids(books)
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f'<auditfile xmlns="{NAMESPACE}">\n'
    yield "<header>"
    yield _el("fiscalYear", str(books.start.year))
    yield _el("startDate", books.start.isoformat())
    yield _el("endDate", books.end.isoformat())
    yield _el("curCode", books.currency)
    yield _el("dateCreated", created_on.isoformat())
    yield _el("softwareDesc", "Coulance")
    yield _el("softwareVersion", __version__, 20)
    yield "</header>\n<company>"
    yield _el("companyIdent", books.provider.registration, 35)
    yield _el("companyName", books.provider.name, 999)
    yield _el("taxRegistrationCountry", books.provider.country)
    yield _el("taxRegIdent", books.provider.vat_id or books.provider.registration, 30)
    yield from _customers(books)
    yield from _ledger(ids)
    yield from _periods(books)
    yield from _opening(books, ids)
    yield from _transactions(books, ids)
    yield "</company>\n</auditfile>\n"


def _el(name: str, text: str, most: int = 9999) -> str:
    """An element, its text cut to what the schema takes; nothing for an empty text."""
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:most].strip()
    return f"<{name}>{escape(plain)}</{name}>" if plain else ""


def _a_year_after(day: date) -> date:
    try:
        return day.replace(year=day.year + 1)
    except ValueError:
        return date(day.year + 1, 3, 1)


def _ids(books: Books) -> dict[str, str]:
    """Each account's id of at most 35 characters: its code, or what a long one begins with and a number."""
    out: dict[str, str] = {}
    for code in [*books.accounts(), RESULT]:
        out[code] = code if len(code) <= 35 else f"{code[:29]}~{len(out)}"
    return out


def _customers(books: Books) -> Iterator[str]:
    yield "\n<customersSuppliers>"
    for row in sorted(books.customers.values(), key=lambda one: one.external_id):
        yield "\n<customerSupplier>"
        yield _el("custSupID", _customer_id(row.external_id), 35)
        yield _el("custSupName", row.name, 50)
        if row.vat_id:
            yield _el("taxRegistrationCountry", row.country)
            yield _el("taxRegIdent", row.vat_id, 30)
        yield _el("custSupTp", "C")
        if row.address:
            yield "<streetAddress>"
            yield _el("streetname", ", ".join(row.address), 999)
            yield _el("country", row.country)
            yield "</streetAddress>"
        yield "</customerSupplier>"
    yield "</customersSuppliers>"


def _customer_id(external_id: str) -> str:
    if len(external_id) > 35:
        raise UnableToExportError(
            f"customer {external_id!r} has an id of more than 35 characters, which XAF can't carry"
        )
    return external_id


def _ledger(ids: dict[str, str]) -> Iterator[str]:
    yield "\n<generalLedger>"
    for code, name in ids.items():
        kind = account_class(code)
        yield "\n<ledgerAccount>"
        yield _el("accID", name)
        yield _el("accDesc", f"{kind.value}: {code}")
        yield _el("accTp", "B" if kind in _BALANCE else "P")
        yield "</ledgerAccount>"
    yield "</generalLedger>"


def _months(books: Books) -> list[tuple[int, date, date]]:
    """The months of the span, numbered from 1: first and last day."""
    out: list[tuple[int, date, date]] = []
    first = books.start
    while first <= books.end:
        following = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
        out.append((len(out) + 1, first, min(books.end, following - timedelta(days=1))))
        first = following
    return out


def _periods(books: Books) -> Iterator[str]:
    yield "\n<periods>"
    for number, first, last in _months(books):
        yield "<period>"
        yield _el("periodNumber", str(number))
        yield _el("periodDesc", f"{first:%Y-%m}")
        yield _el("startDatePeriod", first.isoformat())
        yield _el("endDatePeriod", last.isoformat())
        yield "</period>"
    yield "</periods>"


def _opening(books: Books, ids: dict[str, str]) -> Iterator[str]:
    lines: dict[str, int] = {}
    for code, amount in sorted(books.before.items()):
        kept = code if account_class(code) in _BALANCE else RESULT
        lines[kept] = lines.get(kept, 0) + amount
    told = [(code, amount) for code, amount in lines.items() if amount]
    debit = sum(amount for _, amount in told if amount > 0)
    credit = -sum(amount for _, amount in told if amount < 0)
    if debit != credit:
        raise UnableToExportError("the books before the first day do not balance; run coulance ledger check")
    yield "\n<openingBalance>"
    yield _el("opBalDate", books.start.isoformat())
    yield _el("linesCount", str(len(told)))
    yield _el("totalDebit", decimal(debit, books.currency))
    yield _el("totalCredit", decimal(credit, books.currency))
    for number, (code, amount) in enumerate(told, start=1):
        yield "<obLine>"
        yield _el("nr", str(number))
        yield _el("accID", ids[code])
        yield _side(amount, books.currency)
        yield "</obLine>"
    yield "</openingBalance>"


def _side(amount: int, code: str) -> str:
    return _el("amnt", decimal(abs(amount), code)) + _el("amntTp", "D" if amount > 0 else "C")


def journal_of(entry: Entry) -> str:
    """Which journal an entry is told in: sales, bank, cash, or the general one."""
    if entry.kind in (EntryKind.INVOICE, EntryKind.CREDIT_NOTE):
        return "VERKOOP"
    moved = {posting.account for posting in entry.postings if posting.account.startswith("cash:")}
    if moved == {"cash:cash"}:
        return "KAS"
    return "BANK" if moved else "MEMORIAAL"


def _transactions(books: Books, ids: dict[str, str]) -> Iterator[str]:
    legs = [posting.amount for entry in books.entries for posting in entry.postings]
    debit, credit = sum(a for a in legs if a > 0), -sum(a for a in legs if a < 0)
    if debit != credit:
        raise UnableToExportError("the books do not balance; run coulance ledger check")
    yield "\n<transactions>"
    yield _el("linesCount", str(len(legs)))
    yield _el("totalDebit", decimal(debit, books.currency))
    yield _el("totalCredit", decimal(credit, books.currency))
    numbered = list(enumerate(books.entries, start=1))
    months = _months(books)
    for journal, (words, kind) in _JOURNALS.items():
        mine = [(number, entry) for number, entry in numbered if journal_of(entry) == journal]
        yield f"\n<journal>{_el('jrnID', journal)}{_el('desc', words)}{_el('jrnTp', kind)}"
        for number, entry in mine:
            yield from _transaction(books, ids, number, entry, months)
        yield "</journal>"
    yield "</transactions>"


def _transaction(
    books: Books, ids: dict[str, str], number: int, entry: Entry, months: list[tuple[int, date, date]]
) -> Iterator[str]:
    on = entry.effective_on
    reference = books.reference(entry)
    period = next(month for month, first, last in months if first <= on <= last)
    yield "\n<transaction>"
    yield _el("nr", str(number))
    yield _el("desc", f"{entry.kind.value.replace('_', ' ')} {reference}")
    yield _el("periodNumber", str(period))
    yield _el("trDt", on.isoformat())
    yield _el("sourceID", entry.source, 35)
    customer = books.customer(entry)
    for line, posting in enumerate(entry.postings, start=1):
        yield "<trLine>"
        yield _el("nr", str(line))
        yield _el("accID", ids[posting.account])
        yield _el("docRef", reference, 999)
        yield _el("effDate", on.isoformat())
        yield _side(posting.amount, books.currency)
        if customer is not None:
            yield _el("custSupID", _customer_id(customer.external_id))
        if posting.account == RECEIVABLE and entry.kind in (EntryKind.INVOICE, EntryKind.CREDIT_NOTE):
            yield _el("invRef", reference, 999)
        yield "</trLine>"
    yield "</transaction>"
