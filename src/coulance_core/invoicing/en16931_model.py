"""What an e-invoice says, in the words of EN 16931 (BT- terms, BG- groups). `en16931.invoice_of` makes one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from coulance_core.invoicing.en16931_codes import Address, Identifier

INVOICE, CREDIT_NOTE, DEBIT_NOTE = "380", "381", "383"
SEPA_TRANSFER, TRANSFER = "58", "30"


@dataclass(frozen=True, slots=True)
class Lack:
    """What stops an e-invoice: the field of the snapshot, what is wrong with it, and what to do."""

    field: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}; {self.remedy}"


class EInvoiceInvalidError(ValueError):
    """No valid e-invoice of this document: `lacks` says why, or the message does where rules of the standard failed."""

    def __init__(self, number: str, lacks: Sequence[Lack] = (), *, message: str = "") -> None:
        self.number = number
        self.lacks = tuple(lacks)
        said = message or "; ".join(map(str, self.lacks))
        super().__init__(f"no e-invoice of {number}: {said}")


@dataclass(frozen=True, slots=True)
class Routing:
    """What the buyer asks of e-invoices beyond what a document prints. Empty fields are not known.

    `reference` is the buyer's own (BT-10), `endpoint` where they receive (BT-49), `registration` their number in a
    company register (BT-47).
    """

    reference: str = ""
    endpoint: Identifier | None = None
    registration: str = ""


@dataclass(frozen=True, slots=True)
class Party:
    """A seller (BG-4) or buyer (BG-7).

    `tax_id` is a tax number that is no VAT number of any country (BT-32). `endpoint` is derived where `known` is false.
    """

    name: str
    address: Address
    identifier: Identifier | None = None
    legal: Identifier | None = None
    vat: str = ""
    tax_id: str = ""
    phone: str = ""
    email: str = ""
    endpoint: Identifier | None = None
    endpoint_known: bool = False


@dataclass(frozen=True, slots=True)
class Payment:
    """How to pay (BG-16): the means' code, account, bank, holder, and the reference to give (BT-83)."""

    code: str
    account: str
    bic: str
    name: str
    reference: str


@dataclass(frozen=True, slots=True)
class Tax:
    """A tax category as a line or breakdown states it: `rate` is none outside the tax's scope."""

    category: str
    rate: Decimal | None


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The tax of one category and rate (BG-23)."""

    tax: Tax
    base: Decimal
    amount: Decimal
    reason: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line (BG-25). `price` is for `per` of the unit (BT-149; none is one)."""

    id: str
    name: str
    description: str
    object_id: str
    period: tuple[date, date]
    quantity: Decimal
    unit: str
    price: Decimal
    per: Decimal | None
    net: Decimal
    tax: Tax


@dataclass(frozen=True, slots=True)
class Invoice:
    """The whole. Amounts have at most two decimals, whatever the currency."""

    number: str
    type_code: str
    issued_on: date
    due_on: date | None
    tax_point: date
    currency: str
    tax_currency: str
    tax_in_tax_currency: Decimal | None
    note: str
    terms: str
    buyer_reference: str
    period: tuple[date, date]
    preceding: tuple[str, date | None] | None
    seller: Party
    buyer: Party
    deliver_to: str
    payment: Payment | None
    lines: tuple[Line, ...]
    breakdown: tuple[Breakdown, ...]
    net: Decimal
    tax: Decimal
    gross: Decimal
    paid: Decimal
    due: Decimal

    @property
    def is_credit_note(self) -> bool:
        """Whether it gives back; all amounts are then what is given back."""
        return self.type_code == CREDIT_NOTE
