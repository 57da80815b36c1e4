"""What WHMCS bills again and again: products, addons and domains, as services on plans of ours at the price they have.

- `nextduedate` moves on only when an invoice is paid. A service with an unpaid invoice is billed further than that day.
- The recurring amount is what a cycle costs now: configurable options are in it, and a recurring promotion is off it:
  an invoice shows the promotion as a line of its own, and the line before it is raised by as much. The discount of a
  client's group is not in it: it is taken off when an invoice is made.
"""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from coulance.integrations.takeover.gathering import Gathered
from coulance.integrations.takeover.mapping import Product
from coulance.integrations.takeover.whmcs_answers import Record, number_of
from coulance.integrations.takeover.whmcs_shared import ADDON, DOMAIN, HOSTING, Shared
from coulance_core.kernel import Money, Rounding, anchored_date
from coulance_core.kernel.period import add_months
from coulance_core.taking_over import Left, TakenPrice, TakenService, Where

MONTHS = {
    "Monthly": 1,
    "Quarterly": 3,
    "Semi-Annually": 6,
    "Semiannually": 6,
    "Annually": 12,
    "Biennially": 24,
    "Triennially": 36,
}
YEARS = {1: "Annually", 2: "Biennially", 3: "Triennially", **{count: f"{count} years" for count in range(4, 11)}}
ONCE = ("Free Account", "Free", "One Time", "Onetime")
RUNNING = ("Active", "Suspended")
_ENDED = ("Terminated", "Cancelled", "Fraud", "Completed", "Pending", "Pending Registration", "Pending Transfer",
          "Expired", "Grace", "Redemption", "Transferred Away")  # fmt: skip
_DATES = r"(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4})"
_PERIOD = re.compile(rf"\({_DATES} - {_DATES}\)")
_YES = ("1", "on", "true", "yes")


@dataclass(frozen=True, slots=True)
class _Billed:
    """One thing that is billed again and again, whatever it is there."""

    kind: str
    key: str
    client: str
    where: Where
    record: Record
    product: Product | None
    named: str
    expected: str
    cycle: str
    months: int
    amount: object

    @property
    def ref(self) -> str:
        """How the mapping names it."""
        return self.key if self.kind == HOSTING else f"{self.kind}/{self.key}"

    @property
    def told(self) -> str:
        """How messages name it."""
        return f"{'service' if self.kind == HOSTING else self.kind} {self.key}"


class Services:
    """Takes over whatever recurs."""

    def __init__(self, of: Shared) -> None:
        self.of, self.into, self.mapping = of, of.into, of.mapping
        self.domains: dict[str, Where] = {}

    def products(self) -> None:
        """Products and services of clients."""
        for row in self.of.answers.products:
            record, pid = row.record, number_of(row.record.get("pid"))
            name = f"product {pid} ({self.into.text(record.get('name'), row.where)})"
            cycle = number_of(record.get("billingcycle"))
            self.take(
                _Billed(
                    HOSTING, number_of(record.get("id")), number_of(record.get("clientid")), row.where, record,
                    self.mapping.products.get(pid), name, f"products.{pid}", cycle, MONTHS.get(cycle, 1),
                    record.get("recurringamount"),
                )
            )  # fmt: skip

    def addons(self) -> None:
        """Addons of products: services of their own."""
        for row in self.of.answers.addons:
            record, aid = row.record, number_of(row.record.get("addonid"))
            name = f"addon {aid} ({self.into.text(record.get('name'), row.where)})"
            cycle = number_of(record.get("billingcycle"))
            client = number_of(record.get("userid") or record.get("clientid"))
            self.take(
                _Billed(
                    ADDON, number_of(record.get("id")), client, row.where, record, self.mapping.addons.get(aid), name,
                    f"addons.{aid}", cycle, MONTHS.get(cycle, 1), record.get("recurring"),
                )
            )  # fmt: skip

    def registrations(self) -> None:
        """Domains: services that are billed every so many years."""
        for row in self.of.answers.domains:
            record = row.record
            domain = self.into.text(record.get("domainname") or record.get("domain"), row.where, 253).lower()
            ending, product = self.ending(domain)
            text = number_of(record.get("regperiod")) or "1"
            years = int(text) if text.isdigit() else 0
            cycle = YEARS.get(years, f"every {text} years")
            if text == "0":
                cycle, years = "One Time", 1
            self.take(
                _Billed(
                    DOMAIN, number_of(record.get("id")), number_of(record.get("userid") or record.get("clientid")),
                    row.where, {**record, "name": domain, "domain": ""}, product, f"domain {domain}",
                    f'domains."{ending}"', cycle, 12 * years, record.get("recurringamount"),
                )
            )  # fmt: skip
            if number_of(record.get("status")) in RUNNING and domain:
                if domain in self.domains:
                    found = f"{domain} is registered twice, first at {self.domains[domain]}"
                    self.into.find("domain-twice", row.where, found, "one that runs", stops=False)
                self.domains.setdefault(domain, row.where)

    def ending(self, domain: str) -> tuple[str, Product | None]:
        """The mapping's entry for a domain: that of the longest ending of its name (co.uk before uk)."""
        parts = domain.split(".")
        for first in range(1, len(parts)):
            ending = ".".join(parts[first:])
            if ending in self.mapping.domains:
                return ending, self.mapping.domains[ending]
        return ".".join(parts[1:]), None

    def take(self, one: _Billed) -> None:
        """Take it over, or say why it stays behind."""
        record, where = one.record, one.where
        account = self.of.account(one.client)
        status = number_of(record.get("status"))
        if one.client in self.of.gone:
            self.into.left(where, Left.ASKED, one.told, account, reason="its customer stays behind")
            return
        if self.into.asked_out(f"{'service' if one.kind == HOSTING else one.kind}/{one.key}", where, account):
            return
        if status not in RUNNING:
            if status not in _ENDED:
                expected = ", ".join((*RUNNING, *_ENDED))
                self.into.find("unknown-status", where, f"{one.told} is {status!r}", expected)
            self.into.left(where, Left.ENDED, f"{one.told} ({status})", account)
            return
        given = self.mapping.services.get(one.ref, {})
        plan, kind = self.plan(one, given)
        if plan is None:
            return
        if not plan:
            why = Left.NOT_BILLED if one.cycle in ONCE else Left.ASKED
            self.into.left(where, why, f"{one.told} ({one.cycle})", account, reason="its product maps to no plan")
            return
        if status == "Suspended":
            found = f"{one.told} is suspended there: it comes as a service that runs"
            self.into.find("suspended", where, found, "a suspension placed here, if it is to stay", stops=False)
        started = self.into.day(record.get("regdate"), where, "regdate", required=True)
        until = self.billed_until(one, given)
        if started is None or until is None:
            return
        started, ended = min(started, self.mapping.on), None
        if one.kind == DOMAIN and str(record.get("donotrenew", "")).lower() in _YES:
            if until <= max(self.mapping.on, started):
                self.into.left(where, Left.ENDED, f"{one.told} (not renewed)", account)
                return
            ended = until
        price = self.price(one, given, plan)
        domain = self.into.text(record.get("domain"), where, 253) if one.kind == HOSTING else ""
        name = self.into.text(record.get("translated_name") or record.get("name"), where)
        service = one.key if one.kind == HOSTING else f"{one.kind}-{one.key}"
        self.into.services.append(
            TakenService(
                where=where,
                account=account,
                service=self.mapping.service.format(id=service),
                name=given.get("name") or " ".join(filter(None, (name, domain)))[:200] or one.told,
                kind=given.get("kind") or kind,
                plan=plan,
                quantity=given.get("quantity") or self.quantity(record, where),
                started_on=started,
                subscribed_from=self.subscribed_from(started, until, one.months),
                billed_until=until,
                pool=given.get("pool", ""),
                ended_on=ended,
                domain=domain,
                price=price,
            )
        )

    def plan(self, one: _Billed, given: Record) -> tuple[str | None, str]:
        """Our plan for it (empty: it stays behind; none: nobody said) and its kind."""
        product = one.product
        if given.get("plan"):
            return str(given["plan"]), product.kind if product else "other"
        if product is None:
            found = f"{one.named} is not in the mapping"
            self.into.find("unknown-product", one.where, found, f"a table {one.expected}")
            return None, ""
        known = tuple(MONTHS) if one.kind != DOMAIN else tuple(YEARS.values())
        if one.cycle not in known and one.cycle not in ONCE:
            found = f"{one.named} is billed {one.cycle!r}"
            self.into.find("unknown-cycle", one.where, found, ", ".join((*known, *ONCE)))
            return None, ""
        plan = product.plan_for(one.cycle, "Annually" if one.kind == DOMAIN else "Monthly")
        if plan is None and one.cycle in ONCE:
            return "", product.kind
        if plan is None:
            found = f"{one.named} is billed {one.cycle}, and the mapping has no plan for that"
            expected = f"cycles = {{ {one.cycle} = ... }} of {one.expected}"
            self.into.find("unmapped-cycle", one.where, found, expected)
        return plan, product.kind

    def price(self, one: _Billed, given: Record, plan: str) -> TakenPrice | None:
        """What a cycle of it costs there; nothing where nobody tells, or it can't be read (which is told)."""
        code = self.of.currencies.get(one.client, "")
        if not code or one.cycle in ONCE or not plan:
            return None
        own = given.get("price")
        text = own if own is not None else one.amount
        if text in (None, ""):
            return None
        amount = self.into.money(text, code, one.where, "recurring amount")
        if amount is None:
            return None
        if amount.minor < 0:
            self.into.find("bad-amount", one.where, f"{one.told} costs {amount}", "0.00 or more")
            return None
        said = self.options(one.record, one.where)
        if own is None:
            self.check_billed(one, amount)
            said += self.promotion(one, given)
            amount, group = self.less_group(one.client, amount)
            said += group
        words = "; ".join(filter(None, (given.get("price_words", self.mapping.price_words), *said)))
        return TakenPrice(amount, one.months, words[:120].rstrip(), given.get("price_until"))

    def check_billed(self, one: _Billed, amount: Money) -> None:
        """An open invoice that bills it bills that amount."""
        where, billed = self.of.billed.get((one.kind, one.key), (None, 0))
        if where is not None and billed != amount.minor:
            found = f"{one.told} is said to cost {amount}, and {where} bills {Money(billed, amount.currency)}"
            expected = f"one price, or services.{_key(one.ref)}.price in the mapping: what the next bill is to be"
            self.into.find("price-differs", one.where, found, expected)

    def promotion(self, one: _Billed, given: Record) -> list[str]:
        """The promotion that is off the recurring amount; one that ends soon has to be told until when."""
        key = number_of(one.record.get("promoid"))
        if key in ("", "0"):
            return []
        row = self.of.answers.promotions.get(key)
        if row is None:
            found = f"{one.told} has promotion {key}, and nobody tells what it is: its price comes as it is"
            expected = f"an answer of GetPromotions, or services.{_key(one.ref)}.price_until"
            self.into.find("promotion-unknown", one.where, found, expected, stops=False)
            return []
        if str(row.record.get("recurring", "")).lower() not in _YES:
            return []  # it was off the first payment only
        code = self.into.text(row.record.get("code"), row.where, 40)
        cycles = number_of(row.record.get("recurfor"))
        if cycles not in ("", "0") and "price_until" not in given:
            found = f"promotion {code} of {one.told} ends after {cycles} cycles, and nobody tells on which day"
            expected = f"services.{_key(one.ref)}.price_until in the mapping: the first day at its plan's price"
            self.into.find("promotion-ends", one.where, found, expected)
        return [f"promotion {code}"] if code else []

    def less_group(self, client: str, amount: Money) -> tuple[Money, list[str]]:
        """The amount less the discount of its client's group, rounded half up as invoices there are."""
        row = self.of.answers.groups.get(self.of.groups.get(client, ""))
        text = str(row.record.get("discountpercent") or "0") if row is not None else "0"
        if row is None or not re.fullmatch(r"\d{1,3}(\.\d+)?", text) or not 0 <= Fraction(text) <= 100:
            if row is not None:
                self.into.find("bad-amount", row.where, f"a discount of {text!r} %", "0 to 100")
            return amount, []
        if not Fraction(text):
            return amount, []
        off = Money.of(amount.amount * Fraction(text) / 100, amount.currency, Rounding.HALF_UP)
        name = self.into.text(row.record.get("groupname"), row.where, 40)
        return amount - off, [f"{name} {text.rstrip('0').rstrip('.') if '.' in text else text} %".strip()]

    def options(self, record: Record, where: Where) -> list[str]:
        """Configurable options, as they print: what is chosen, and how much of it."""
        held = record.get("configoptions")
        rows = held.get("configoption", []) if isinstance(held, dict) else []
        rows = [rows] if isinstance(rows, dict) else rows if isinstance(rows, list) else []
        out = []
        for row in rows:
            value = self.into.text(row.get("value"), where, 60)
            if value and value.lower() not in ("0", "no", "none"):
                out.append(f"{self.into.text(row.get('option'), where, 60)}: {value}")
        return out

    def quantity(self, record: Record, where: Where) -> int:
        """How many of it there are."""
        text = number_of(record.get("qty")) or "1"
        if not text.isdigit() or not 0 < int(text) <= 1_000_000:
            self.into.find("bad-quantity", where, repr(text), "a whole number of 1 or more")
            return 1
        return int(text)

    def billed_until(self, one: _Billed, given: Record) -> date | None:
        """The first day that no invoice there bills: the next due date, and a cycle more for each that is unpaid."""
        if "billed_until" in given:
            day: date = given["billed_until"]
            return day
        if one.cycle in ONCE:
            return self.mapping.on
        where = one.where
        due = self.into.day(one.record.get("nextduedate"), where, "nextduedate", required=True)
        if due is None:
            return None
        bills = self.of.unpaid_lines.get((one.kind, one.key), [])
        # An open invoice that bills a service is due on its next due date, or later.
        doubtful = [number for day, number in self.of.unread.get(one.client, ()) if day >= due]
        if doubtful:
            found = f"{one.told} is next due on {due}, and nobody tells whether {', '.join(doubtful)} bills it"
            expected = f"services.{_key(one.ref)}.billed_until in the mapping: the first day not billed"
            self.into.find("billed-until-unknown", where, found, expected)
            return None
        months = one.months * len(bills)
        until = anchored_date(*add_months(due.year, due.month, months), due.day) if bills else due
        ends = [end for _, text in bills if (end := self.ends(text)) is not None]
        # A line says a period's last day, or the day it ends on: both are met with, for domains above all.
        if ends and until not in (max(ends), max(ends) - timedelta(days=1) if one.kind == DOMAIN else max(ends)):
            place, _ = bills[-1]
            found = (
                f"{one.told} is next due on {due} with {len(bills)} unpaid, which gives {until}, and its invoice "
                f"({place}) bills until {max(ends)}"
            )
            expected = f"services.{_key(one.ref)}.billed_until in the mapping: the first day not billed"
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


def _key(ref: str) -> str:
    """A key as TOML writes it."""
    return f'"{ref}"' if "/" in ref else ref
