"""What a provider brings along from the system they leave, in words of no system in particular.

A `Book` says how things stand on the day of the take-over. Every row knows where it was read (`Where`), so that
whatever is wrong or differs can be told with file and row. Accounts and services are named by the ids they have here,
or will have; `key` names a row in the system that is left, once, and makes taking it over idempotent.
"""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from coulance_core.kernel import Money
from coulance_core.payments import ItemKind, MandateSequence, Scheme


@dataclass(frozen=True, slots=True, order=True)
class Where:
    """Where a row stands: its file, the number of the line or record in it (0: the whole file), and what it is.

    >>> str(Where("invoices.json", 3, "invoice 1042"))
    'invoices.json:3 (invoice 1042)'
    """

    file: str
    row: int = 0
    name: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.row}" if self.row else self.file
        return f"{place} ({self.name})" if self.name else place


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the source. One that `stops` must be mended, or its row left out with a reason, before applying.

    `code` is a short name of the kind of fault, the same for all of its kind.
    """

    code: str
    where: Where
    found: str
    expected: str = ""
    stops: bool = True

    def __str__(self) -> str:
        return f"{self.where}: {self.code}: {self.found}" + (f"; expected {self.expected}" if self.expected else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenCustomer:
    """A customer. What is empty is the provider's default."""

    where: Where
    account: str
    name: str
    kind: str
    country: str
    currency: str
    vat_id: str = ""
    address: tuple[str, ...] = ()
    language: str = ""
    zone: str = ""
    tax_class: str = ""
    billing_day: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenContact:
    """A person or desk of a customer. None may incur cost unless the source says so itself."""

    where: Where
    account: str
    contact: str
    name: str
    email: str = ""
    phone: str = ""
    roles: tuple[str, ...] = ()
    may_incur_cost: bool = False
    language: str = ""
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TakenPrice:
    """What a service costs there, every `months`, all units, as its prices are stated (before tax, or with it).

    `words` print behind the plan's name; `until` is the first day it no longer holds.

    >>> str(TakenPrice(Money(1234, "EUR"), 12, "as agreed"))
    '12.34 EUR every 12 months (as agreed)'
    """

    amount: Money
    months: int
    words: str = ""
    until: date | None = None

    def __str__(self) -> str:
        every = "a month" if self.months == 1 else f"every {self.months} months"
        until = f" until {self.until}" if self.until else ""
        return f"{self.amount} {every}{until}" + (f" ({self.words})" if self.words else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenService:
    """A service that runs on the day of the take-over, and on which plan of ours it goes on.

    `billed_until` is the first day whose base fee was not billed there: open invoices count as billed.
    `subscribed_from` is the first day it is on the plan here: usage before is the old system's to bill. `domain` only
    tells twins apart. `price`: what it costs there, if the source says so; it stays where the plan costs otherwise.
    """

    where: Where
    account: str
    service: str
    name: str
    kind: str
    plan: str
    started_on: date
    subscribed_from: date
    billed_until: date
    quantity: int = 1
    pool: str = ""
    ended_on: date | None = None
    domain: str = ""
    price: TakenPrice | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenOpenItem:
    """An open invoice, or credit note (amounts below zero), as it stands.

    `gross` as issued, tax included; `paid` of it, by whatever means; `open` as the source says it, not as we compute.
    `tax` as stated on it, and `lines` the sum of its lines with tax, where the source tells them.
    """

    where: Where
    key: str
    account: str
    number: str
    kind: ItemKind
    issued_on: date
    due_on: date
    gross: Money
    paid: Money
    open: Money
    tax: Money | None = None
    lines: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenPrepaid:
    """Money of the customer that was held there: a prepaid or credit balance."""

    where: Where
    key: str
    account: str
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenMandate:
    """A direct debit mandate. Without a day of signature it is worth nothing, and so not taken over."""

    where: Where
    key: str
    account: str
    reference: str
    iban: str
    holder: str
    signed_on: date | None
    scheme: Scheme = Scheme.CORE
    sequence: MandateSequence = MandateSequence.RECURRING
    last_used_on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesEnd:
    """The last number given out of one of our series in a year (0 for a series without years): ours go on after it."""

    where: Where
    series: str
    year: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenClause:
    """A consent to overage, or a clause on it, that the customer agreed to before.

    It comes in as a provisional limit, `limit`: the highest overage of one invoice that they paid without dispute in
    the twelve months before. `contact` is who agreed, and may incur cost. `service` empty is the whole account;
    `charge` empty all charges of the service.
    """

    where: Where
    key: str
    account: str
    contact: str
    limit: Money
    agreed_on: date
    service: str = ""
    charge: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class GivenNumber:
    """A number of a document that was given out there, paid ones too: none may be given again."""

    where: Where
    number: str


class Left(StrEnum):
    """Why something of the source is not in the book, and rightly."""

    DRAFT = "draft"
    CLOSED = "closed"
    """Paid, cancelled or refunded: nothing is open."""
    ENDED = "ended"
    """A service that runs no more, or never did."""
    REPEATED = "repeated"
    """A payment request for other invoices, which come themselves."""
    DEPOSIT = "deposit"
    """A request for a deposit that was not paid: no debt."""
    ASKED = "asked"
    """Left out by the mapping, with a reason."""
    NOT_BILLED = "not_billed"
    """A service that bills nothing: free, or paid once."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row of the source that is not taken over, why, and what is open of it all the same."""

    where: Where
    why: Left
    what: str
    account: str = ""
    open: Money | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Book:
    """Everything that is taken over on the day `on` (its first day here), of one source (`whmcs`).

    `stated` is what the source itself says its totals are, where it does: compared with the sum of rows.
    """

    source: str
    on: date
    customers: tuple[TakenCustomer, ...] = ()
    contacts: tuple[TakenContact, ...] = ()
    services: tuple[TakenService, ...] = ()
    items: tuple[TakenOpenItem, ...] = ()
    prepaid: tuple[TakenPrepaid, ...] = ()
    mandates: tuple[TakenMandate, ...] = ()
    series: tuple[SeriesEnd, ...] = ()
    clauses: tuple[TakenClause, ...] = ()
    numbers: tuple[GivenNumber, ...] = ()
    left_out: tuple[LeftOut, ...] = field(default=())
    keeps_prices: bool = True
    """Whether services go on at the price they had, where their plan has another."""
    with_tax: bool | None = None
    """Whether prices there include tax; none: nobody said."""
