"""WHMCS to a neutral book: clients, contacts, services, invoices, credit, by the rules that WHMCS keeps them by.

- `total` is what is payable: subtotal and taxes less the credit applied. As issued it was subtotal and taxes.
- `balance` is what is left of the total. Where it is not given, transactions tell.
- `nextduedate` moves on only when an invoice is paid. A service with an unpaid invoice is billed further than that day.
- An invoice whose lines are other invoices is a payment request for those, and no debt besides them.
"""

import re
from collections.abc import Sequence
from datetime import date, timedelta
from fnmatch import fnmatch

from coulance.integrations.takeover.gathering import Gathered
from coulance.integrations.takeover.whmcs_answers import Answers, Placed, Record, number_of
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
    TakenService,
    Where,
)

OPEN = ("Unpaid", "Collections", "Payment Pending")
CLOSED = ("Paid", "Cancelled", "Refunded")
MONTHS = {
    "Monthly": 1,
    "Quarterly": 3,
    "Semi-Annually": 6,
    "Semiannually": 6,
    "Annually": 12,
    "Biennially": 24,
    "Triennially": 36,
}
ONCE = ("Free Account", "Free", "One Time", "Onetime")
RUNNING = ("Active", "Suspended")
_ENDED = ("Terminated", "Cancelled", "Fraud", "Completed", "Pending")
_LANGUAGES = {
    "arabic": "ar", "azerbaijani": "az", "catalan": "ca", "chinese": "zh", "croatian": "hr", "czech": "cs",
    "danish": "da", "dutch": "nl", "english": "en", "estonian": "et", "farsi": "fa", "french": "fr", "german": "de",
    "hebrew": "he", "hungarian": "hu", "italian": "it", "macedonian": "mk", "norwegian": "no", "polish": "pl",
    "portuguese-br": "pt-BR", "portuguese-pt": "pt-PT", "romanian": "ro", "russian": "ru", "spanish": "es",
    "swedish": "sv", "turkish": "tr", "ukranian": "uk", "ukrainian": "uk",
}  # fmt: skip
_BASE_LINES = frozenset(
    "Hosting Addon DomainRegister DomainRenew DomainTransfer Setup Upgrade PromoHosting ProrataProduct".split()
)
_DATES = r"(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4})"
_PERIOD = re.compile(rf"\({_DATES} - {_DATES}\)")


def build(answers: Answers, gathered: Gathered) -> dict[str, dict[str, Money]]:
    """Put everything the answers hold into `gathered`.

    Gives what was paid of overage in the twelve months before, by account and invoice: what clauses are bounded by.
    """
    builder = _Builder(answers, gathered)
    builder.build()
    return builder.overage_paid


class _Builder:
    def __init__(self, answers: Answers, gathered: Gathered) -> None:
        self.answers, self.into, self.mapping = answers, gathered, gathered.mapping
        self.currencies: dict[str, str] = {}
        self.gone: set[str] = set()
        """Clients that the mapping leaves out, with all they have."""
        self.paid_by: dict[str, list[Placed]] = {}
        for row in answers.transactions:
            invoice = number_of(row.record.get("invoiceid"))
            if invoice not in ("", "0"):
                self.paid_by.setdefault(invoice, []).append(row)
        self.unpaid_lines: dict[str, list[tuple[Where, str]]] = {}
        """Lines of open invoices by the service they bill."""
        self.unread: dict[str, list[tuple[date, str]]] = {}
        """Open invoices whose lines nobody told, by client: the day they are due, and their numbers."""
        self.overage_paid: dict[str, dict[str, Money]] = {}
        """By account, what was paid of overage in the twelve months before, by invoice."""

    def build(self) -> None:
        listed = {number_of(row.record.get("id")) for row in self.answers.clients}
        for key in self.answers.details.keys() - listed if listed else ():
            where = self.answers.details[key].where
            self.into.find("not-listed", where, f"client {key} is not in the list of clients", "one of GetClients")
        rows = self.answers.clients or list(self.answers.details.values())
        seen: set[str] = set()
        for row in rows:
            key = number_of(row.record.get("id"))
            if key in seen:
                self.into.find("duplicate-customer", row.where, f"client {key} is there twice", "each once")
                continue
            seen.add(key)
            detail = self.answers.details.get(key)
            if detail is None and self.answers.details:
                found = f"the details of client {key} are missing"
                self.into.find("details-missing", row.where, found, "an answer of GetClientsDetails")
                continue
            self.client(key, Placed(row.where, {**row.record, **(detail.record if detail else {})}))
        for row in self.answers.contacts:
            self.contact(row)
        self.invoices()
        for row in self.answers.products:
            self.service(row)
        self.paymethods()
        for name, known in (
            ("customers", {*seen}),
            ("services", {number_of(row.record.get("id")) for row in self.answers.products}),
        ):
            for key in sorted(getattr(self.mapping, name).keys() - known):
                where = Where(self.mapping.file, 0, f"{name}.{key}")
                self.into.find("bad-mapping", where, "nothing of the source has that id", "an id of it", stops=False)

    def account(self, client: str) -> str:
        return self.mapping.account.format(id=client)

    # clients

    def client(self, key: str, row: Placed) -> None:
        record, where = row.record, row.where
        if self.into.asked_out(f"customer/{key}", where, self.account(key)):
            self.gone.add(key)
            return
        given = self.mapping.customers.get(key, {})
        code = given.get("currency") or self.currency(record, where)
        self.currencies[key] = code
        company = self.into.text(record.get("companyname"), where)
        first, last = (self.into.text(record.get(name), where) for name in ("firstname", "lastname"))
        person = f"{first} {last}".strip() or self.into.text(record.get("fullname"), where)
        vat_id = given.get("vat_id", re.sub(r"[\s.-]", "", self.into.text(record.get("tax_id"), where)).upper())
        country = number_of(record.get("countrycode") or record.get("country")).upper()
        if not (given.get("name") or company or person):
            self.into.find("no-name", where, f"client {key} has neither company nor name", "one of them")
        if str(record.get("taxexempt", "")).lower() in ("1", "on", "true") and "tax_class" not in given:
            found = f"client {key} pays no tax there"
            self.into.find("tax-exempt", where, found, f"customers.{key}.tax_class in the mapping", stops=False)
        self.into.customers.append(
            TakenCustomer(
                where=where,
                account=self.account(key),
                name=given.get("name") or company or person,
                kind=given.get("kind") or ("business" if company or vat_id else "consumer"),
                country=given.get("country") or country,
                currency=code,
                vat_id=vat_id,
                address=self.address(record, where),
                language=given.get("language", self.language(record)),
                zone=given.get("zone", ""),
                tax_class=given.get("tax_class", ""),
                billing_day=given.get("billing_day", 1),
            )
        )
        email = given.get("email", self.into.text(record.get("email"), where, 254))
        self.into.contacts.append(
            TakenContact(
                where=where,
                account=self.account(key),
                contact="main",
                name=person or company,
                email=email,
                phone=self.into.text(record.get("phonenumberformatted") or record.get("phonenumber"), where, 40),
                roles=("owner", "billing", "technical", "abuse"),
                language=given.get("language", self.language(record)),
                channels=("email",) if email else (),
            )
        )
        self.credit(key, record, where, code)

    def currency(self, record: Record, where: Where) -> str:
        code = number_of(record.get("currency_code"))
        if not code:
            known = self.answers.currencies.get(number_of(record.get("currency")), {})
            code = number_of(known.get("code")) or number_of(record.get("currency"))
        try:
            return currency(code).code
        except ValueError:
            self.into.find("unknown-currency", where, repr(code), "an ISO 4217 currency, such as EUR")
            return ""

    def address(self, record: Record, where: Where) -> tuple[str, ...]:
        parts = [self.into.text(record.get(name), where) for name in ("address1", "address2")]
        town = " ".join(filter(None, (self.into.text(record.get(name), where) for name in ("postcode", "city"))))
        state = self.into.text(record.get("state"), where)
        return tuple(filter(None, [*parts, town, state if state != self.into.text(record.get("city"), where) else ""]))

    def language(self, record: Record) -> str:
        word = number_of(record.get("language")).lower()
        return _LANGUAGES.get(word, word if re.fullmatch(r"[a-z]{2}", word) else "")

    def credit(self, key: str, record: Record, where: Where, code: str) -> None:
        if "credit" not in record or not code:
            return
        balance = self.into.money(record["credit"], code, where, "credit")
        if balance is None:
            return
        log = self.answers.credits.get(key)
        if log is not None:
            parts = [self.into.money(row.record.get("amount"), code, row.where, "amount") for row in log]
            total = sum((part.minor for part in parts if part is not None), 0)
            if total != balance.minor:
                found = f"a balance of {balance}, and its log sums to {Money(total, code)}"
                self.into.find("credit-differs", where, found, "the sum of GetCredits")
        if balance.minor and not self.into.asked_out(f"prepaid/{key}", where, self.account(key), balance):
            self.into.prepaid.append(
                TakenPrepaid(where=where, key=f"whmcs/credit/{key}", account=self.account(key), amount=balance)
            )

    def contact(self, row: Placed) -> None:
        record, where = row.record, row.where
        key, owner = number_of(record.get("id")), number_of(record.get("userid"))
        if owner in self.gone or self.into.asked_out(f"contact/{key}", where, self.account(owner)):
            return
        first, last = (self.into.text(record.get(name), where) for name in ("firstname", "lastname"))
        email = self.into.text(record.get("email"), where, 254)
        wants = {name for name in ("invoiceemails", "productemails", "supportemails", "generalemails")
                 if number_of(record.get(name)).lower() in ("1", "true", "on")}  # fmt: skip
        roles = [role for role, mail in (("billing", "invoiceemails"), ("technical", "productemails")) if mail in wants]
        self.into.contacts.append(
            TakenContact(
                where=where,
                account=self.account(owner),
                contact=f"contact-{key}",
                name=f"{first} {last}".strip() or self.into.text(record.get("companyname"), where) or email,
                email=email,
                phone=self.into.text(record.get("phonenumber"), where, 40),
                roles=tuple(roles),
                channels=("email",) if email else (),
            )
        )

    # invoices

    def invoices(self) -> None:
        listed = {number_of(row.record.get("id")): row for row in reversed(self.answers.listed)}
        seen: set[str] = set()
        for row in self.answers.listed:
            key = number_of(row.record.get("id"))
            if key in seen:
                self.into.find("duplicate-item", row.where, f"invoice {key} is listed twice", "each once")
            seen.add(key)
        for key in sorted({*listed, *self.answers.invoices}, key=lambda text: (len(text), text)):
            short, whole = listed.get(key), self.answers.invoices.get(key)
            if whole is None and short is not None and number_of(short.record.get("status")) in OPEN and (
                self.answers.invoices
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
        account = self.account(owner)
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
        if owner in self.gone:
            self.into.left(where, Left.ASKED, f"invoice {number}", account, reason="its customer stays behind")
            return
        if owner not in self.currencies:
            self.into.find(
                "item-of-nobody", where, f"invoice {number} is of client {owner}, who is missing", "a client"
            )
            return
        code = number_of(record.get("currencycode")) or self.currencies[owner]
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
            self.unread.setdefault(owner, []).append((due, number))
        for line in lines:
            if number_of(line.get("type")) == "Hosting":
                text = self.into.text(line.get("description"), where, 2000)
                self.unpaid_lines.setdefault(number_of(line.get("relid")), []).append((where, text))
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
            left = amounts["total"] - self.moved(self.paid_by.get(key, ()), code)
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
        self.overage_paid.setdefault(account, {})[number] = total

    # services

    def service(self, row: Placed) -> None:
        record, where = row.record, row.where
        key, client = number_of(record.get("id")), number_of(record.get("clientid"))
        account = self.account(client)
        status = number_of(record.get("status"))
        what = f"service {key}"
        if client in self.gone:
            self.into.left(where, Left.ASKED, what, account, reason="its customer stays behind")
            return
        if self.into.asked_out(f"service/{key}", where, account):
            return
        if status not in RUNNING:
            if status not in _ENDED:
                self.into.find("unknown-status", where, f"{what} is {status!r}", ", ".join((*RUNNING, *_ENDED)))
            self.into.left(where, Left.ENDED, f"{what} ({status})", account)
            return
        given = self.mapping.services.get(key, {})
        cycle = number_of(record.get("billingcycle"))
        plan, kind = self.plan(record, where, cycle, given)
        if plan is None:
            return
        if not plan:
            self.into.left(where, Left.NOT_BILLED if cycle in ONCE else Left.ASKED, f"{what} ({cycle})", account,
                           reason="its product maps to no plan")  # fmt: skip
            return
        if status == "Suspended":
            found = f"{what} is suspended there: it comes as a service that runs"
            self.into.find("suspended", where, found, "a suspension placed here, if it is to stay", stops=False)
        started = self.into.day(record.get("regdate"), where, "regdate", required=True)
        until = self.billed_until(key, record, where, cycle, given)
        if started is None or until is None:
            return
        domain = self.into.text(record.get("domain"), where, 253)
        name = self.into.text(record.get("translated_name") or record.get("name"), where)
        self.into.services.append(
            TakenService(
                where=where,
                account=account,
                service=self.mapping.service.format(id=key),
                name=given.get("name") or " ".join(filter(None, (name, domain)))[:200] or what,
                kind=given.get("kind") or kind,
                plan=plan,
                quantity=given.get("quantity") or self.quantity(record, where),
                started_on=min(started, self.mapping.on),
                subscribed_from=self.subscribed_from(started, until, MONTHS.get(cycle, 1)),
                billed_until=until,
                pool=given.get("pool", ""),
                domain=domain,
            )
        )

    def plan(self, record: Record, where: Where, cycle: str, given: Record) -> tuple[str | None, str]:
        product = self.mapping.products.get(number_of(record.get("pid")))
        if given.get("plan"):
            return str(given["plan"]), product.kind if product else "other"
        name = f"product {number_of(record.get('pid'))} ({self.into.text(record.get('name'), where)})"
        if product is None:
            self.into.find("unknown-product", where, f"{name} is not in the mapping", "a table products.<pid>")
            return None, ""
        if cycle not in MONTHS and cycle not in ONCE:
            self.into.find("unknown-cycle", where, f"{name} is billed {cycle!r}", ", ".join((*MONTHS, *ONCE)))
            return None, ""
        plan = product.plan_for(cycle)
        if plan is None and cycle in ONCE:
            return "", product.kind
        if plan is None:
            found = f"{name} is billed {cycle}, and the mapping has no plan for that"
            expected = f"cycles = {{ {cycle} = ... }} of products.{number_of(record.get('pid'))}"
            self.into.find("unmapped-cycle", where, found, expected)
        return plan, product.kind

    def quantity(self, record: Record, where: Where) -> int:
        text = number_of(record.get("qty")) or "1"
        if not text.isdigit() or not 0 < int(text) <= 1_000_000:
            self.into.find("bad-quantity", where, repr(text), "a whole number of 1 or more")
            return 1
        return int(text)

    def billed_until(self, key: str, record: Record, where: Where, cycle: str, given: Record) -> date | None:
        """The first day that no invoice there bills: the next due date, and a cycle more for each that is unpaid."""
        if "billed_until" in given:
            day: date = given["billed_until"]
            return day
        if cycle in ONCE:
            return self.mapping.on
        due = self.into.day(record.get("nextduedate"), where, "nextduedate", required=True)
        if due is None:
            return None
        bills = self.unpaid_lines.get(key, [])
        # An open invoice that bills a service is due on its next due date, or later.
        doubtful = [number for day, number in self.unread.get(number_of(record.get("clientid")), ()) if day >= due]
        if doubtful:
            found = f"service {key} is next due on {due}, and nobody tells whether {', '.join(doubtful)} bills it"
            expected = f"services.{key}.billed_until in the mapping: the first day not billed"
            self.into.find("billed-until-unknown", where, found, expected)
            return None
        months = MONTHS[cycle]
        until = anchored_date(*add_months(due.year, due.month, months * len(bills)), due.day) if bills else due
        ends = [end for _, text in bills if (end := self.ends(text)) is not None]
        if ends and max(ends) != until:
            place, _ = bills[-1]
            found = (
                f"service {key} is next due on {due} with {len(bills)} unpaid, which gives {until}, and its invoice "
                f"({place}) bills until {max(ends)}"
            )
            expected = f"services.{key}.billed_until in the mapping: the first day not billed"
            self.into.find("billed-until-differs", where, found, expected)
            return None
        return until

    def ends(self, description: str) -> date | None:
        """The day after the period that a line's description says it is for."""
        periods = _PERIOD.findall(description)
        if not periods:
            return None
        unheard = Gathered(self.mapping, [])  # a description is free text: what is no day says nothing
        last = unheard.day(periods[-1][1], Where(""), "period")
        return last + timedelta(days=1) if last is not None else None

    def subscribed_from(self, started: date, until: date, months: int) -> date:
        """The first day on our plan: that of the take-over; for longer cycles the start of the one that runs."""
        on = self.mapping.on
        if months == 1:
            return max(on, min(started, on))
        back = 0
        day = until
        while day > on and back < 40:
            back += 1
            day = anchored_date(*add_months(until.year, until.month, -months * back), until.day)
        return max(min(day, on), min(started, on))

    def paymethods(self) -> None:
        """Pay methods give no IBAN and no signature: mandates come from a file of their own."""
        mandates = [row for row in self.answers.paymethods if "BankAccount" in number_of(row.record.get("type"))]
        known = {mandate.account for mandate in self.into.mandates}
        for row in mandates:
            account = self.account(number_of(row.record.get("clientid")))
            if account not in known:
                found = f"customer {account!r} pays by a bank account there, and its IBAN and signature are not told"
                self.into.find("mandate-unknown", row.where, found, "a row in mandates.csv", stops=False)


def _year_before(day: date) -> date:
    return anchored_date(day.year - 1, day.month, day.day)
