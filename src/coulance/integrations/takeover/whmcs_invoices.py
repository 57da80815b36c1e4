"""WHMCS's invoices: what is open of each, what it bills, and what overage was paid before.

- `total` is what is payable: subtotal and taxes less the credit applied. As issued it was subtotal and taxes.
- `balance` is what is left of the total. Where it is not given, transactions tell.
- An invoice whose lines are other invoices is a payment request for those, and no debt besides them.
"""

import re
from collections.abc import Sequence
from datetime import date
from fnmatch import fnmatch

from coulance.integrations.takeover.whmcs_answers import Placed, Record, number_of
from coulance.integrations.takeover.whmcs_shared import BILLS, GOES_ON, Shared
from coulance_core.kernel import Money, anchored_date
from coulance_core.payments import ItemKind
from coulance_core.taking_over import GivenNumber, Left, TakenOpenItem, Where

OPEN = ("Unpaid", "Collections", "Payment Pending")
CLOSED = ("Paid", "Cancelled", "Refunded")
_BASE_LINES = frozenset({*BILLS, "Setup", "Upgrade", "ProrataProduct", "GroupDiscount"})


class Invoices:
    """Takes over what is open, and tells services what is billed of them."""

    def __init__(self, of: Shared) -> None:
        self.of, self.into, self.mapping = of, of.into, of.mapping

    def invoices(self) -> None:
        listed = {number_of(row.record.get("id")): row for row in reversed(self.of.answers.listed)}
        seen: set[str] = set()
        for row in self.of.answers.listed:
            key = number_of(row.record.get("id"))
            if key in seen:
                self.into.find("duplicate-item", row.where, f"invoice {key} is listed twice", "each once")
            seen.add(key)
        for key in sorted({*listed, *self.of.answers.invoices}, key=lambda text: (len(text), text)):
            short, whole = listed.get(key), self.of.answers.invoices.get(key)
            if whole is None and short is not None and number_of(short.record.get("status")) in OPEN and (
                self.of.answers.invoices
            ):  # fmt: skip
                found = f"the lines of open invoice {key} are missing"
                self.into.find("invoice-missing", short.where, found, "an answer of GetInvoice")
            if short is None and whole is not None and listed:
                found = f"invoice {key} is not in the list of invoices"
                self.into.find("not-listed", whole.where, found, "one of GetInvoices")
            both = {**(short.record if short else {}), **(whole.record if whole else {})}
            place = whole or short
            if place is not None:
                self.invoice(key, Placed(place.where, both))

    def invoice(self, key: str, row: Placed) -> None:
        record, where = row.record, row.where
        owner = number_of(record.get("userid"))
        account = self.of.account(owner)
        status = number_of(record.get("status"))
        number = self.into.text(record.get("invoicenum"), where, 60) or key
        if status == "Draft":
            self.into.left(where, Left.DRAFT, f"invoice {key}", account)
            return
        if status not in (*OPEN, *CLOSED):
            expected = ", ".join((*OPEN, *CLOSED, "Draft"))
            self.into.find("unknown-status", where, f"invoice {key} is {status!r}", expected)
            return
        self.into.numbers.append(GivenNumber(where, number))
        if owner in self.of.gone:
            self.into.left(where, Left.ASKED, f"invoice {number}", account, reason="its customer stays behind")
            return
        if owner not in self.of.currencies:
            self.into.find(
                "item-of-nobody", where, f"invoice {number} is of client {owner}, who is missing", "a client"
            )
            return
        code = number_of(record.get("currencycode")) or self.of.currencies[owner]
        if not code:
            return
        lines = self.lines(record)
        if status in CLOSED:
            self.into.left(where, Left.CLOSED, f"invoice {number}", account)
            if status == "Paid":
                self.remember_overage(account, number, record, lines, code, where)
            return
        types = {number_of(line.get("type")) for line in lines}
        figures = self.figures(key, record, where, code, lines)
        if figures is None:
            return
        gross, paid, left, tax, summed = figures
        if types and types <= {"Invoice", "AddFunds"}:
            why = Left.REPEATED if "Invoice" in types else Left.DEPOSIT
            if paid.minor and left.minor:
                found = f"{paid} is paid on {number}, which only asks for what others do"
                self.into.find("paid-on-request", where, found, "the payment applied to those invoices there")
            self.into.left(where, why, f"invoice {number}", account)
            return
        if not lines and (due := self.into.day(record.get("duedate"), where, "duedate")) is not None:
            self.of.unread.setdefault(owner, []).append((due, number))
        self.tell_services(lines, code, where)
        if self.into.asked_out(f"invoice/{key}", where, account, left):
            return
        issued = self.into.day(record.get("date"), where, "date", required=True)
        due = self.into.day(record.get("duedate"), where, "duedate") or issued
        if issued is None or due is None:
            return
        self.into.items.append(
            TakenOpenItem(
                where=where,
                key=f"whmcs/invoice/{key}",
                account=account,
                number=number,
                kind=self.kind(lines),
                issued_on=issued,
                due_on=due,
                gross=gross,
                paid=paid,
                open=left,
                tax=tax,
                lines=summed,
            )
        )

    def tell_services(self, lines: list[Record], code: str, where: Where) -> None:
        """What this open invoice bills of each service, addon and domain."""
        whole: dict[tuple[str, str], int] = {}
        cycles: dict[tuple[str, str], int] = {}
        for line in lines:
            kind = BILLS.get(number_of(line.get("type")))
            if kind is None:
                continue
            place = (kind, number_of(line.get("relid")))
            amount = self.into.money(line.get("amount") or "0", code, where, "line")
            whole[place] = whole.get(place, 0) + (0 if amount is None else amount.minor)
            if number_of(line.get("type")) in GOES_ON:
                cycles[place] = cycles.get(place, 0) + 1
                text = self.into.text(line.get("description"), where, 2000)
                self.of.unpaid_lines.setdefault(place, []).append((where, text))
        for place, count in cycles.items():
            if whole[place] % count == 0:
                self.of.billed[place] = (where, whole[place] // count)

    def lines(self, record: Record) -> list[Record]:
        items = record.get("items")
        if isinstance(items, dict):
            items = items.get("item", items)
        if isinstance(items, dict):
            items = list(items.values()) if all(str(key).isdigit() for key in items) else [items]
        return [line for line in items if isinstance(line, dict)] if isinstance(items, list) else []

    def figures(
        self, key: str, record: Record, where: Where, code: str, lines: list[Record]
    ) -> tuple[Money, Money, Money, Money, Money | None] | None:
        """Gross as issued, paid, open, tax, and the lines with tax; nothing, and told, where one can't be read."""
        names = ("subtotal", "tax", "tax2", "credit", "total")
        read = {name: self.into.money(record.get(name) or "0", code, where, name) for name in names}
        if any(amount is None for amount in read.values()):
            return None
        amounts = {name: amount for name, amount in read.items() if amount is not None}
        tax = amounts["tax"] + amounts["tax2"]
        gross = amounts["subtotal"] + tax
        if gross - amounts["credit"] != amounts["total"]:
            found = f"{amounts['subtotal']}, {tax} tax, less {amounts['credit']} credit is not {amounts['total']}"
            self.into.find("total-not-sum", where, found, "a total that is their sum")
            return None
        if record.get("balance") not in (None, ""):
            left = self.into.money(record["balance"], code, where, "balance")
            if left is None:
                return None
        else:
            left = amounts["total"] - self.moved(self.of.paid_by.get(key, ()), code)
        paid = gross - left
        told = self.transactions(record, code, where)
        if told is not None and told + amounts["credit"] != paid:
            found = f"{told} came in on it and {amounts['credit']} was credit, and {paid} counts as paid"
            self.into.find("paid-differs", where, found, "its transactions and credit")
        summed = None
        if lines:
            parts = [self.into.money(line.get("amount") or "0", code, where, "line") for line in lines]
            if any(part is None for part in parts):
                return None
            whole = sum((part.minor for part in parts if part is not None), 0)
            summed = Money(whole, code) if self.mapping.taxes == "inclusive" else Money(whole, code) + tax
        return gross, paid, left, tax, summed

    def transactions(self, record: Record, code: str, where: Where) -> Money | None:
        """What came in on an invoice by its own transactions, where the answer has them."""
        held = record.get("transactions")
        if not isinstance(held, dict):
            return None
        rows = held.get("transaction", [])
        rows = [rows] if isinstance(rows, dict) else rows
        return self.moved([Placed(where, row) for row in rows if isinstance(row, dict)], code)

    def moved(self, rows: Sequence[Placed], code: str) -> Money:
        """What came in by transactions, less what was paid back."""
        total = 0
        for row in rows:
            for name, sign in (("amountin", 1), ("amountout", -1)):
                amount = self.into.money(row.record.get(name) or "0", code, row.where, name)
                total += sign * amount.minor if amount is not None else 0
        return Money(total, code)

    def is_overage(self, line: Record) -> bool:
        text = str(line.get("description", "")).lower()
        return any(fnmatch(text, pattern.lower()) for pattern in self.mapping.overage)

    def kind(self, lines: list[Record]) -> ItemKind:
        kinds = {
            ItemKind.OVERAGE
            if self.is_overage(line)
            else ItemKind.BASE
            if number_of(line.get("type")) in _BASE_LINES
            else ItemKind.OTHER
            for line in lines
        }
        return kinds.pop() if len(kinds) == 1 else ItemKind.OTHER

    def remember_overage(
        self, account: str, number: str, record: Record, lines: list[Record], code: str, where: Where
    ) -> None:
        issued = self.into.day(record.get("date"), where, "date")
        mine = [line for line in lines if self.is_overage(line)]
        if not mine or issued is None or not _year_before(self.mapping.on) <= issued < self.mapping.on:
            return
        amounts = [self.into.money(line.get("amount") or "0", code, where, "line") for line in mine]
        total = Money(sum(amount.minor for amount in amounts if amount is not None), code)
        if self.mapping.taxes == "exclusive":
            rate = str(record.get("taxrate") or "0")
            taxed = all(number_of(line.get("taxed")) in ("1", "true") for line in mine)
            if taxed and re.fullmatch(r"\d+(\.\d+)?", rate):
                # With tax, as the limit is the amount payable; rounded down, so that no limit exceeds what was paid.
                whole, _, part = rate.partition(".")
                scale = 10 ** len(part)
                total = Money(total.minor * (100 * scale + int(whole + part)) // (100 * scale), code)
        self.of.overage_paid.setdefault(account, {})[number] = total


def _year_before(day: date) -> date:
    return anchored_date(day.year - 1, day.month, day.day)
