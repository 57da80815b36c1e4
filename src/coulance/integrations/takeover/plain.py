"""Plain CSV: customers as `coulance import customers` reads them, and what was open, prepaid, signed and agreed.

The files of the second kind go with every source: `mandates.csv`, `number-series.csv` and `clauses.csv` say what other
systems don't tell. `docs/take-over.md` explains their columns.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from coulance.catalog.faults import Faults
from coulance.flows.customer_file import Row, read_files
from coulance.integrations.takeover.gathering import Gathered, csv_of
from coulance_core.kernel import Money, currency
from coulance_core.payments import ItemKind, MandateSequence, Scheme
from coulance_core.taking_over import (
    GivenNumber,
    Left,
    SeriesEnd,
    TakenClause,
    TakenContact,
    TakenCustomer,
    TakenMandate,
    TakenOpenItem,
    TakenPrepaid,
    TakenPrice,
    TakenService,
    Where,
)

CUSTOMERS = ("accounts.csv", "customers.csv", "contacts.csv", "services.csv")
COLUMNS = {
    "open-items.csv": ("account number issued_on due_on currency gross open", "kind paid tax source"),
    "prepaid.csv": ("account currency amount", "source"),
    "mandates.csv": ("account reference iban holder signed_on", "scheme sequence last_used_on source"),
    "number-series.csv": ("series last", "year"),
    "prices.csv": ("service currency amount", "months until words"),
    "clauses.csv": ("account agreed_on", "contact service charge highest_paid currency disputed text source"),
}
OVERAGE_PAID = Mapping[str, Mapping[str, Money]]
_GONE = "its customer stays behind"
_Enum = TypeVar("_Enum", bound=StrEnum)
_Cells = Mapping[str, str]


def supplements(folder: Path) -> list[Path]:
    """The files of a folder that say what goes with any source."""
    return [folder / name for name in COLUMNS if (folder / name).is_file()]


def read_plain(folder: Path, gathered: Gathered) -> None:
    """Customers, contacts and services of a folder, and everything `read_supplements` knows."""
    faults = Faults()
    paths = [folder / name for name in CUSTOMERS if (folder / name).is_file()]
    if not paths:
        gathered.find("unreadable", Where(folder.name), "no accounts.csv is there", "files as docs/take-over.md says")
    for row in read_files(paths, faults, encoding=gathered.mapping.encoding):
        if row.record in ("contact", "service") and row.values["account"] in gathered.gone:
            gathered.left(_where(row, row.record), Left.ASKED, row.record, row.values["account"], reason=_GONE)
            continue
        _ROWS.get(row.record, _unknown)(row, gathered)
    for fault in faults.sorted():
        place = Where(fault.place.file, fault.place.line, fault.key)
        gathered.find("bad-cell", place, fault.found, fault.expected)
    read_mandates(folder, gathered)
    read_supplements(folder, gathered, {})


def read_mandates(folder: Path, gathered: Gathered) -> None:
    """Mandates of a folder, if it has any."""
    _each(folder / "mandates.csv", gathered, _mandate)


def read_supplements(folder: Path, gathered: Gathered, paid: OVERAGE_PAID) -> None:
    """Open items, prepaid balances, number series and clauses of a folder; those it has. `paid` bounds clauses."""
    _each(folder / "open-items.csv", gathered, _open_item)
    _each(folder / "prepaid.csv", gathered, _prepaid)
    _each(folder / "number-series.csv", gathered, _series)
    priced: dict[str, Where] = {}
    _each(folder / "prices.csv", gathered, lambda where, cells, into: _price(where, cells, into, priced))
    _each(folder / "clauses.csv", gathered, lambda where, cells, into: _clause(where, cells, into, paid))


def _each(path: Path, gathered: Gathered, take: Callable[[Where, _Cells, Gathered], None]) -> None:
    if not path.is_file():
        return
    required, more = (words.split() for words in COLUMNS[path.name])
    known = {*required, *more}
    for line, cells in csv_of(path, gathered):
        where = Where(path.name, line)
        unknown = sorted(cells.keys() - known)
        missing = [name for name in required if not cells.get(name)]
        if unknown:
            gathered.find(
                "bad-csv", Where(path.name, 1), f"unknown column {unknown[0]!r}", ", ".join((*required, *more))
            )
            return
        if path.name == "mandates.csv" and missing == ["signed_on"]:
            missing = []  # judged with the book: it has a fault of its own
        if missing:
            gathered.find("bad-cell", where, f"{missing[0]}: an empty cell", f"the {missing[0]} of this row")
            continue
        if cells.get("account") in gathered.gone:
            gathered.left(where, Left.ASKED, f"{path.stem} row", cells["account"], reason=_GONE)
            continue
        take(where, cells, gathered)


# customers


def _customer(row: Row, into: Gathered) -> None:
    cells, where = row.values, _where(row, "account")
    if into.asked_out(f"customer/{cells['account']}", where, cells["account"]):
        return
    into.customers.append(
        TakenCustomer(
            where=where,
            account=cells["account"],
            name=cells["name"],
            kind=cells["kind"],
            country=cells["country"],
            currency=cells["currency"],
            vat_id=cells["vat_id"],
            address=tuple(cells["address"]),
            language=cells["language"],
            zone=cells["zone"],
            tax_class=cells["tax_class"],
            billing_day=cells["billing_day"],
        )
    )


def _contact(row: Row, into: Gathered) -> None:
    cells = row.values
    into.contacts.append(
        TakenContact(
            where=_where(row, "contact"),
            account=cells["account"],
            contact=cells["contact"],
            name=cells["name"],
            email=cells["email"],
            phone=cells["phone"],
            roles=tuple(cells["roles"]),
            may_incur_cost=cells["may_incur_cost"],
            language=cells["language"],
            channels=tuple(cells["channels"]),
        )
    )


def _service(row: Row, into: Gathered) -> None:
    cells, where, on = row.values, _where(row, "service"), into.mapping.on
    if into.asked_out(f"service/{cells['service']}", where, cells["account"]):
        return
    if not cells["plan"]:
        into.find("unknown-product", where, "no plan is given", "the plan of ours that it goes on with")
        return
    if cells["billed_until"] is None:
        found = "nothing says until when it was billed"
        into.find("billed-until-unknown", where, found, "billed_until: the first day whose base fee was not billed")
        return
    into.services.append(
        TakenService(
            where=where,
            account=cells["account"],
            service=cells["service"],
            name=cells["name"],
            kind=cells["kind"],
            plan=cells["plan"],
            quantity=cells["quantity"],
            started_on=cells["started_on"],
            subscribed_from=max(on, cells["started_on"]),
            billed_until=cells["billed_until"],
            pool=cells["pool"],
            ended_on=cells["ended_on"],
        )
    )


def _unknown(row: Row, into: Gathered) -> None:
    found = f"a row for {row.record}"
    into.find("bad-csv", _where(row, row.record), found, "accounts, contacts and services: import the rest afterwards")


_ROWS: dict[str, Callable[[Row, Gathered], None]] = {"account": _customer, "contact": _contact, "service": _service}


def _where(row: Row, record: str) -> Where:
    return Where(row.file, row.line, f"{record} {row.values.get(record, '')}".strip())


# money, mandates, series, clauses


def _open_item(where: Where, cells: _Cells, into: Gathered) -> None:
    where = Where(where.file, where.row, f"invoice {cells['number']}")
    into.numbers.append(GivenNumber(where, cells["number"]))
    code = _code(cells["currency"], where, into)
    if code is None:
        return
    gross, left = (into.money(cells[name], code, where, name) for name in ("gross", "open"))
    if gross is None or left is None:
        return
    paid = into.money(cells["paid"], code, where, "paid") if cells.get("paid") else gross - left
    tax = into.money(cells["tax"], code, where, "tax") if cells.get("tax") else None
    issued = into.day(cells["issued_on"], where, "issued_on", required=True)
    due = into.day(cells["due_on"], where, "due_on", required=True)
    kind = _word(ItemKind, cells.get("kind") or "other", where, "kind", into)
    if into.asked_out(f"invoice/{cells['number']}", where, cells["account"], left):
        return
    if paid is None or issued is None or due is None or kind is None:
        return
    into.items.append(
        TakenOpenItem(
            where=where,
            key=f"{into.mapping.system}/item/{cells.get('source') or cells['number']}",
            account=cells["account"],
            number=cells["number"],
            kind=kind,
            issued_on=issued,
            due_on=due,
            gross=gross,
            paid=paid,
            open=left,
            tax=tax,
        )
    )


def _prepaid(where: Where, cells: _Cells, into: Gathered) -> None:
    code = _code(cells["currency"], where, into)
    amount = None if code is None else into.money(cells["amount"], code, where, "amount")
    if amount is None or into.asked_out(f"prepaid/{cells['account']}", where, cells["account"], amount):
        return
    key = f"{into.mapping.system}/prepaid/{cells.get('source') or cells['account']}"
    into.prepaid.append(TakenPrepaid(where=where, key=key, account=cells["account"], amount=amount))


def _mandate(where: Where, cells: _Cells, into: Gathered) -> None:
    where = Where(where.file, where.row, f"mandate {cells['reference']}")
    scheme = _word(Scheme, (cells.get("scheme") or "core").lower(), where, "scheme", into)
    sequence = _word(MandateSequence, (cells.get("sequence") or "recurring").lower(), where, "sequence", into)
    if scheme is None or sequence is None or into.asked_out(f"mandate/{cells['reference']}", where, cells["account"]):
        return
    into.mandates.append(
        TakenMandate(
            where=where,
            key=f"{into.mapping.system}/mandate/{cells.get('source') or cells['reference']}",
            account=cells["account"],
            reference=cells["reference"],
            iban=re.sub(r"\s", "", cells["iban"]).upper(),
            holder=into.text(cells["holder"], where, 140),
            signed_on=into.day(cells["signed_on"], where, "signed_on"),
            scheme=scheme,
            sequence=sequence,
            last_used_on=into.day(cells.get("last_used_on"), where, "last_used_on"),
        )
    )


def _series(where: Where, cells: _Cells, into: Gathered) -> None:
    where = Where(where.file, where.row, f"series {cells['series']}")
    numbers = [cells["last"], cells.get("year") or "0"]
    if not all(re.fullmatch(r"\d{1,12}", number) for number in numbers):
        into.find("bad-cell", where, f"last {numbers[0]!r} of year {numbers[1]!r}", "whole numbers")
        return
    into.series.append(SeriesEnd(where=where, series=cells["series"], year=int(numbers[1]), last=int(numbers[0])))


def _price(where: Where, cells: _Cells, into: Gathered, priced: dict[str, Where]) -> None:
    """What a service costs there: before what the source itself says of it."""
    name = cells["service"]
    where = Where(where.file, where.row, f"service {name}")
    if name in priced:
        into.find("duplicate-price", where, f"service {name!r} has a price at {priced[name]} too", "each once")
        return
    priced[name] = where
    code = _code(cells["currency"], where, into)
    amount = None if code is None else into.money(cells["amount"], code, where, "amount")
    months = cells.get("months") or "1"
    if not months.isdigit() or not 1 <= int(months) <= 120:
        into.find("bad-cell", where, f"months: {months!r}", "1 to 120")
        return
    until = into.day(cells.get("until"), where, "until")
    if amount is None:
        return
    if amount.minor < 0:
        into.find("bad-amount", where, f"it costs {amount}", "0.00 or more")
        return
    words = into.text(cells.get("words"), where, 120) or into.mapping.price_words
    price = TakenPrice(amount, int(months), words, until)
    if all(row.service != name for row in into.services):
        into.find("price-of-nobody", where, f"no service {name!r} is taken over", "a service that runs")
        return
    into.services = [replace(row, price=price) if row.service == name else row for row in into.services]


def _clause(where: Where, cells: _Cells, into: Gathered, paid: OVERAGE_PAID) -> None:
    account = cells["account"]
    where = Where(where.file, where.row, f"clause of {account}")
    agreed = into.day(cells["agreed_on"], where, "agreed_on", required=True)
    if agreed is None:
        return
    limit = _limit(where, cells, into, paid.get(account, {}))
    if limit is None:
        return
    contact = cells.get("contact") or "main"
    if into.mapping.system != "csv":  # other systems don't tell who may incur cost; who agreed to a clause may
        into.contacts = [
            replace(row, may_incur_cost=True) if (row.account, row.contact) == (account, contact) else row
            for row in into.contacts
        ]
    scope = "/".join(filter(None, (cells.get("service"), cells.get("charge"))))
    into.clauses.append(
        TakenClause(
            where=where,
            key=f"{into.mapping.system}/clause/{cells.get('source') or '/'.join(filter(None, (account, scope)))}",
            account=account,
            contact=contact,
            limit=limit,
            agreed_on=agreed,
            service=cells.get("service", ""),
            charge=cells.get("charge", ""),
            text=into.text(cells.get("text"), where, 2000),
        )
    )


def _limit(where: Where, cells: _Cells, into: Gathered, paid: Mapping[str, Money]) -> Money | None:
    disputed = frozenset(re.split(r"[\s|;]+", cells.get("disputed", "")))
    highest = clause_limit(paid, disputed)
    known = highest.currency if highest is not None else next(
        (row.currency for row in into.customers if row.account == cells["account"]), ""
    )  # fmt: skip
    code = cells.get("currency") or known
    if cells.get("highest_paid"):
        checked = _code(code, where, into)
        given = None if checked is None else into.money(cells["highest_paid"], checked, where, "highest_paid")
        if given is not None and highest is not None and given.currency == highest.currency and given > highest:
            found = f"{given}, and the most overage paid without dispute in twelve months was {highest}"
            into.find("limit-above-paid", where, found, f"{highest} or less")
            return None
        return given
    if highest is not None:
        return highest
    checked = _code(code, where, into)
    if checked is None:
        return None
    found = "no overage was paid without dispute in the twelve months before: the limit is zero until it is confirmed"
    into.find("nothing-paid", where, found, stops=False)
    return Money(0, checked)


def clause_limit(paid: Mapping[str, Money], disputed: frozenset[str]) -> Money | None:
    """The highest overage of one invoice that was paid without dispute.

    >>> clause_limit({"1": Money(500, "EUR"), "2": Money(900, "EUR")}, frozenset({"2"}))
    Money(minor=500, currency='EUR')
    """
    return max((amount for number, amount in paid.items() if number not in disputed), default=None)


def _code(text: str, where: Where, into: Gathered) -> str | None:
    try:
        return currency(text).code
    except ValueError:
        into.find("unknown-currency", where, repr(text), "an ISO 4217 currency, such as EUR")
        return None


def _word(words: type[_Enum], text: str, where: Where, column: str, into: Gathered) -> _Enum | None:
    try:
        return words(text)
    except ValueError:
        into.find("bad-cell", where, f"{column}: {text!r}", " or ".join(words))
        return None
