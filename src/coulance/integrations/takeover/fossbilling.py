"""FOSSBilling: the admin API's answers (`client/get_list`, `order/get_list`, `invoice/get_list`,
`client/balance_get_list`), or the tables `client`, `client_order`, `invoice`, `invoice_item` and `client_balance` as
phpMyAdmin exports them to JSON. Both say the same by the same names.

`expires_at` is until when an order is paid; with an unpaid invoice for its renewal it is billed a period further. An
invoice is paid or it is not: parts of it can't be.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from coulance.integrations.takeover.gathering import Gathered, json_of, many
from coulance.integrations.takeover.mandate_fields import take_mandate
from coulance_core.kernel import Money, anchored_date, currency
from coulance_core.kernel.period import add_months
from coulance_core.payments import ItemKind
from coulance_core.taking_over import (
    GivenNumber,
    Left,
    TakenContact,
    TakenCustomer,
    TakenOpenItem,
    TakenPrepaid,
    TakenPrice,
    TakenService,
    Where,
)

Rows = list[tuple[Where, Mapping[str, Any]]]
_TABLES = ("client", "client_order", "invoice", "invoice_item", "client_balance")
_PERIODS = {"1M": "Monthly", "3M": "Quarterly", "6M": "Semi-Annually", "1Y": "Annually", "2Y": "Biennially",
            "3Y": "Triennially"}  # fmt: skip
_MONTHS = {"1M": 1, "3M": 3, "6M": 6, "1Y": 12, "2Y": 24, "3Y": 36}


def read_fossbilling(paths: Sequence[Path], gathered: Gathered) -> dict[str, dict[str, Money]]:
    """Put everything the files hold into `gathered`; gives nothing of overage that was paid, which it doesn't tell."""
    tables: dict[str, Rows] = {name: [] for name in _TABLES}
    for path in paths:
        value = json_of(path, gathered)
        if value is not None:
            found = list(_records(path, value, gathered))
            for table, where, record in found:
                tables[table].append((where, record))
    _Builder(tables, gathered).build()
    return {}


def _records(path: Path, value: Any, gathered: Gathered) -> Iterator[tuple[str, Where, Mapping[str, Any]]]:
    if isinstance(value, list):  # phpMyAdmin: a header, a database, then tables
        tables = [one for one in value if isinstance(one, dict) and one.get("type") == "table"]
        for table in tables:
            name = str(table.get("name", ""))
            if name in _TABLES:
                for row, record in enumerate(table.get("data", []), 1):
                    yield name, Where(path.name, row, f"{name} {record.get('id', '')}"), record
        if not tables:
            gathered.find("no-answer", Where(path.name), "no table is in it", "a JSON export of phpMyAdmin")
        return
    error = value.get("error") if isinstance(value, dict) else None
    if error:
        said = str(error.get("message", error) if isinstance(error, dict) else error)[:200]
        gathered.find("refused", Where(path.name), f"FOSSBilling answered: {said}", "an answer without error")
        return
    result = value.get("result") if isinstance(value, dict) else None
    records = many(result, "list", "item") if isinstance(result, dict) else None
    if records is None or not isinstance(result, dict):
        gathered.find("no-answer", Where(path.name), "no list is in it", "an answer of the FOSSBilling API")
        return
    total = result.get("total")
    name = _kind(records)
    if total is not None and str(total).isdigit() and int(total) > len(records) and int(result.get("pages") or 1) == 1:
        gathered.find("page-missing", Where(path.name), f"{len(records)} of {total} are there", "all of them")
    for row, record in enumerate(records, 1):
        yield name, Where(path.name, row, f"{name} {record.get('id', '')}"), record


def _kind(records: Sequence[Mapping[str, Any]]) -> str:
    keys = {key for record in records for key in record}
    if "nr" in keys or "serie_nr" in keys:
        return "invoice"
    if "expires_at" in keys:
        return "client_order"
    return "client" if "first_name" in keys else "client_balance"


class _Builder:
    def __init__(self, tables: Mapping[str, Rows], gathered: Gathered) -> None:
        self.tables, self.into, self.mapping = tables, gathered, gathered.mapping
        self.codes: dict[str, str] = {}
        self.open: set[str] = set()
        self.known = {str(record.get("id")) for _, record in tables["invoice"]}
        self.gone: set[str] = set()

    def account(self, client: Any) -> str:
        return self.mapping.account.format(id=client)

    def build(self) -> None:
        for where, record in self.tables["client"]:
            self.client(where, record)
        lines: dict[str, list[Mapping[str, Any]]] = {}
        for _, line in self.tables["invoice_item"]:
            lines.setdefault(str(line.get("invoice_id")), []).append(line)
        for where, record in self.tables["invoice"]:
            held = many(record, "lines", "line")
            self.invoice(where, record, lines.get(str(record.get("id")), []) if held is None else list(held))
        for where, record in self.tables["client_order"]:
            self.order(where, record)
        self.balances()

    def client(self, where: Where, record: Mapping[str, Any]) -> None:
        key = str(record.get("id"))
        if self.into.asked_out(f"customer/{key}", where, self.account(key)):
            self.gone.add(key)
            return
        given = self.mapping.customers.get(key, {})
        company, first, last, email = (
            self.into.text(record.get(name), where, 254) for name in ("company", "first_name", "last_name", "email")
        )
        person = f"{first} {last}".strip()
        code = str(given.get("currency") or record.get("currency") or "")
        try:
            currency(code)
        except ValueError:
            self.into.find("unknown-currency", where, repr(code), "an ISO 4217 currency, such as EUR")
            code = ""
        self.codes[key] = code
        vat_id = given.get("vat_id", self.into.text(record.get("company_vat"), where).replace(" ", "").upper())
        town = f"{record.get('postcode') or ''} {record.get('city') or ''}"
        lines = [self.into.text(part, where) for part in (record.get("address_1"), record.get("address_2"), town)]
        language = str(record.get("lang") or "")[:2].lower()
        self.into.customers.append(
            TakenCustomer(
                where=where,
                account=self.account(key),
                name=given.get("name") or company or person or email,
                kind=given.get("kind") or ("business" if company or vat_id else "consumer"),
                country=given.get("country") or str(record.get("country") or "").upper(),
                currency=code,
                vat_id=vat_id,
                address=tuple(filter(None, lines)),
                language=given.get("language", language),
                zone=given.get("zone", ""),
                tax_class=given.get("tax_class", ""),
                billing_day=given.get("billing_day", 1),
            )
        )
        self.into.contacts.append(
            TakenContact(
                where=where,
                account=self.account(key),
                contact="main",
                name=person or company or email,
                email=email,
                phone=self.into.text(record.get("phone"), where, 40),
                roles=("owner", "billing", "technical", "abuse"),
                language=language,
                channels=("email",) if email else (),
            )
        )
        take_mandate(
            self.into, where, key, self.account(key), lambda field: str(record.get(field) or ""), person or company
        )

    def owner(self, record: Mapping[str, Any]) -> str:
        client = record.get("client")
        return str(record.get("client_id") or (client.get("id") if isinstance(client, Mapping) else ""))

    def invoice(self, where: Where, record: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> None:
        key, owner = str(record.get("id")), self.owner(record)
        account = self.account(owner)
        if not int(str(record.get("approved", 1)) in ("1", "True", "true")):
            self.into.left(where, Left.DRAFT, f"invoice {key}", account)
            return
        number = str(record.get("serie_nr") or f"{record.get('serie') or ''}{str(record.get('nr') or key).zfill(5)}")
        self.into.numbers.append(GivenNumber(where, number))
        status = str(record.get("status"))
        if status in ("paid", "canceled", "refunded"):
            self.into.left(where, Left.CLOSED, f"invoice {number}", account)
            return
        if status != "unpaid":
            self.into.find("unknown-status", where, f"invoice {number} is {status!r}", "unpaid, paid or canceled")
            return
        if owner in self.gone:
            self.into.left(where, Left.ASKED, f"invoice {number}", account, reason="its customer stays behind")
            return
        code = str(record.get("currency") or self.codes.get(owner, ""))
        if owner not in self.codes or not code:
            self.into.find(
                "item-of-nobody", where, f"invoice {number} is of client {owner}, who is missing", "a client"
            )
            return
        if lines and all(str(line.get("type")) == "deposit" for line in lines):
            self.into.left(where, Left.DEPOSIT, f"invoice {number}", account)
            return
        summed, tax = self.sums(record, lines, code, where)
        gross = self.into.money(record["total"], code, where, "total") if record.get("total") is not None else summed
        issued = self.into.day(record.get("created_at"), where, "created_at", required=True)
        due = self.into.day(record.get("due_at"), where, "due_at") or issued
        if gross is None or issued is None or due is None:
            return
        self.open.add(key)
        if self.into.asked_out(f"invoice/{key}", where, account, gross):
            return
        overage = [
            any(fnmatch(str(line.get("title", "")).lower(), one.lower()) for one in self.mapping.overage)
            for line in lines
        ]
        kind = ItemKind.OVERAGE if overage and all(overage) else ItemKind.OTHER if any(overage) else ItemKind.BASE
        self.into.items.append(
            TakenOpenItem(
                where=where,
                key=f"fossbilling/invoice/{key}",
                account=account,
                number=number,
                kind=kind,
                issued_on=issued,
                due_on=max(due, issued),
                gross=gross,
                paid=Money(0, code),
                open=gross,
                tax=tax,
                lines=summed,
            )
        )

    def sums(
        self, record: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], code: str, where: Where
    ) -> tuple[Money | None, Money | None]:
        """The lines with tax, and the tax as stated (the API tells it; tables have only its rate)."""
        tax = self.into.money(record["tax"], code, where, "tax") if record.get("tax") not in (None, "") else None
        net = Money(0, code)
        for line in lines:
            price = self.into.money(line.get("price") or "0", code, where, "price")
            count = str(line.get("quantity") or 1)
            if price is None or not count.isdigit():
                return None, tax
            net += price * int(count)
        if not lines:
            return None, tax
        rate = str(record.get("taxrate") or "0")
        if tax is not None:
            return net + tax, tax
        if rate in ("", "0", "0.00"):
            return net, Money(0, code)
        self.into.find("tax-unknown", where, f"a tax of {rate} % whose amount is not told", "an answer of the API, "
                       "which tells it")  # fmt: skip
        return None, None

    def order(self, where: Where, record: Mapping[str, Any]) -> None:
        key, owner, status = str(record.get("id")), self.owner(record), str(record.get("status"))
        account = self.account(owner)
        if owner in self.gone or status not in ("active", "suspended"):
            why = Left.ASKED if owner in self.gone else Left.ENDED
            self.into.left(where, why, f"order {key} ({status})", account)
            return
        if self.into.asked_out(f"service/{key}", where, account):
            return
        given = self.mapping.services.get(key, {})
        product = self.mapping.products.get(str(record.get("product_id")))
        title = self.into.text(record.get("title"), where)
        if product is None and not given.get("plan"):
            found = f"product {record.get('product_id')} ({title}) is not in the mapping"
            self.into.find("unknown-product", where, found, "a table products.<id>")
            return
        period = str(record.get("period") or "")
        cycle = _PERIODS.get(period, period or "One Time")
        plan = given.get("plan") or (product.plan_for(cycle) if product else None)
        if not plan and not period:
            self.into.left(where, Left.NOT_BILLED, f"order {key}", account)
            return
        if period and period not in _MONTHS:
            self.into.find("unknown-cycle", where, f"order {key} is billed every {period!r}", ", ".join(_MONTHS))
            return
        if not plan:
            found = f"product {record.get('product_id')} ({title}) is billed {cycle}"
            self.into.find("unmapped-cycle", where, found, f"a plan for {cycle} in its cycles")
            return
        started = self.into.day(record.get("activated_at") or record.get("created_at"), where, "activated_at")
        until = given.get("billed_until") or self.billed_until(record, where, period)
        count = str(record.get("quantity") or 1)
        if until is None:
            return
        if started is None:
            self.into.find("bad-date", where, "activated_at: no day", "a day as 2026-01-31")
            return
        started = min(started, self.mapping.on)
        self.into.services.append(
            TakenService(
                where=where,
                account=account,
                service=self.mapping.service.format(id=key),
                name=given.get("name") or title or f"order {key}",
                kind=given.get("kind") or (product.kind if product else "other"),
                plan=plan,
                quantity=given.get("quantity") or (int(count) if count.isdigit() else 1),
                started_on=started,
                subscribed_from=max(self.mapping.on, started) if _MONTHS.get(period, 1) == 1 else
                max(started, _cycle_start(until, _MONTHS[period], self.mapping.on)),
                billed_until=until,
                price=self.price(record, where, self.codes.get(owner, ""), period, given),
            )
        )  # fmt: skip

    def price(
        self, record: Mapping[str, Any], where: Where, code: str, period: str, given: Mapping[str, Any]
    ) -> TakenPrice | None:
        """What a renewal costs: its price times its number, less the discount of a promotion that recurs."""
        code = str(record.get("currency") or code)
        if not code or not period or (record.get("price") in (None, "") and "price" not in given):
            return None
        words = given.get("price_words", self.mapping.price_words)
        if "price" in given:
            amount = self.into.money(given["price"], code, where, "price")
            return None if amount is None else TakenPrice(amount, _MONTHS[period], words, given.get("price_until"))
        each = self.into.money(record["price"], code, where, "price")
        off = self.into.money(record.get("discount") or "0", code, where, "discount")
        count = str(record.get("quantity") or 1)
        if each is None or off is None or not count.isdigit():
            return None
        whole = each * int(count)
        if str(record.get("promo_recurring") or "0") in ("1", "True", "true"):
            whole -= min(off, whole)
            words = f"{words}; promotion"
        if whole.minor < 0:
            self.into.find("bad-amount", where, f"order {record.get('id')} costs {whole}", "0.00 or more")
            return None
        return TakenPrice(whole, _MONTHS[period], words, given.get("price_until"))

    def billed_until(self, record: Mapping[str, Any], where: Where, period: str) -> date | None:
        if not period:
            return self.mapping.on
        paid = self.into.day(record.get("expires_at"), where, "expires_at", required=True)
        unpaid = str(record.get("unpaid_invoice_id") or "")
        if unpaid and unpaid not in self.known:
            self.into.find("invoice-missing", where, f"its unpaid invoice {unpaid} is not there", "all invoices")
            return None
        if paid is not None and unpaid in self.open:
            return anchored_date(*add_months(paid.year, paid.month, _MONTHS[period]), paid.day)
        return paid

    def balances(self) -> None:
        sums: dict[str, Money] = {}
        places: dict[str, Where] = {}
        for where, record in self.tables["client_balance"]:
            owner = self.owner(record)
            if owner in self.gone:
                continue
            if owner not in self.codes:
                self.into.find("prepaid-of-nobody", where, f"a balance of client {owner}, who is missing", "a client")
                continue
            code = self.codes[owner]
            amount = self.into.money(record.get("amount"), code, where, "amount") if code else None
            if amount is not None:
                sums[owner] = sums.get(owner, Money(0, code)) + amount
                places.setdefault(owner, where)
        for owner, total in sums.items():
            if total.minor and not self.into.asked_out(f"prepaid/{owner}", places[owner], self.account(owner), total):
                self.into.prepaid.append(
                    TakenPrepaid(
                        where=places[owner],
                        key=f"fossbilling/balance/{owner}",
                        account=self.account(owner),
                        amount=total,
                    )
                )


def _cycle_start(until: date, months: int, on: date) -> date:
    day, back = until, 0
    while day > on and back < 40:
        back += 1
        day = anchored_date(*add_months(until.year, until.month, -months * back), until.day)
    return min(day, on)
