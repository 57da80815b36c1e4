"""Documents and their lines: kinds, states, and the draft that everything else is made from.

A draft is complete but for its number: buyer, seller, lines with tax codes, tax by code, totals. What is issued is its
snapshot; nothing about it changes afterwards.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from fractions import Fraction

from coulance_core.catalog.provider import ProviderTerms, TaxKind
from coulance_core.kernel import Explanation, Money, Period
from coulance_core.rating.base import BilledSpan
from coulance_core.rating.lines import PricedLine


class DocumentError(ValueError):
    """A document that cannot be: mixed currencies, an invoice below zero, a credit note above."""


class DocumentKind(StrEnum):
    """What a document is."""

    BASE_INVOICE = "base_invoice"
    """Fees in advance."""
    OVERAGE_INVOICE = "overage_invoice"
    """Usage above what was included, in arrears, on an invoice of its own."""
    CREDIT_NOTE = "credit_note"
    """Lowers an issued invoice, which it names: the only way to do so."""
    DEBIT_NOTE = "debit_note"
    """Takes an issued credit note back, which it names and mirrors: the only way to do so."""
    FEE_INVOICE = "fee_invoice"
    """Costs of collecting a debt, on a document of their own: never added to the debt, and no reason to restrict."""
    INTEREST_INVOICE = "interest_invoice"
    """Interest on a debt that is late, likewise."""
    USAGE_STATEMENT = "usage_statement"
    """What was used in a period, also when nothing is to be paid. Not a claim: no number series, no postings."""


class CreditType(StrEnum):
    """Why a credit note is given; it decides the tax."""

    PRICE_REDUCTION = "price_reduction"
    """The price is lowered: tax is reversed at the rate it was charged at."""
    DAMAGES = "damages"
    """Compensation for harm: not a lower price, so no tax is reversed."""
    CORRECTION = "correction"
    """The invoice was wrong: tax is reversed at the rate it was charged at."""


class DocumentState(StrEnum):
    """Where a document stands."""

    DRAFT = "draft"
    """Computed, not numbered; may be thrown away whole."""
    ISSUED = "issued"
    """Numbered and booked; for good."""


TRANSITIONS: Mapping[DocumentState, frozenset[DocumentState]] = {
    DocumentState.DRAFT: frozenset({DocumentState.ISSUED}),
    DocumentState.ISSUED: frozenset(),
}
"""Which state may follow which. What was issued stays issued; correction is another document."""

SERIES: Mapping[DocumentKind, str] = {
    DocumentKind.BASE_INVOICE: "base",
    DocumentKind.OVERAGE_INVOICE: "overage",
    DocumentKind.FEE_INVOICE: "base",
    DocumentKind.INTEREST_INVOICE: "base",
    DocumentKind.CREDIT_NOTE: "credit",
    DocumentKind.DEBIT_NOTE: "credit",
}
"""The number series of each kind that has one: corrections of both signs share theirs; what being late costs is
numbered with the fees."""


def may_become(now: DocumentState, then: DocumentState) -> bool:
    """Whether a document in state `now` may go to `then`.

    >>> may_become(DocumentState.DRAFT, DocumentState.ISSUED), may_become(DocumentState.ISSUED, DocumentState.DRAFT)
    (True, False)
    """
    return then in TRANSITIONS[now]


class BuyerKind(StrEnum):
    """What the law takes the customer for."""

    CONSUMER = "consumer"
    BUSINESS = "business"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Seller:
    """Who bills, as it prints. `one_stop_shop`: consumers elsewhere in the EU pay their own country's rate."""

    name: str
    country: str
    address: tuple[str, ...] = ()
    vat_id: str = ""
    registration: str = ""
    email: str = ""
    phone: str = ""
    iban: str = ""
    bic: str = ""
    website: str = ""
    one_stop_shop: bool = True

    @classmethod
    def of(cls, provider: ProviderTerms, *, one_stop_shop: bool = True) -> "Seller":
        """The seller that the provider's terms describe."""
        p = provider
        return cls(
            name=p.name,
            country=p.country,
            address=p.address,
            vat_id=p.vat_id,
            registration=p.registration,
            email=p.email,
            phone=p.phone,
            iban=p.iban,
            bic=p.bic,
            website=p.website,
            one_stop_shop=one_stop_shop,
        )


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who is billed. `tax_class`, when given, replaces the class of every line (an exempt body, say).

    `vat_id` is one that was found valid; leave it out otherwise, as it decides the reverse charge.
    """

    external_id: str
    name: str
    kind: BuyerKind
    country: str
    zone: str
    currency: str
    address: tuple[str, ...] = ()
    vat_id: str = ""
    language: str = "en"
    tax_class: str | None = None
    national_currency: str | None = None


@dataclass(frozen=True, slots=True)
class ServiceRef:
    """A service on a line: the customer's key for it, its name, and the caller's own handle, kept as it is."""

    external_id: str
    name: str
    id: int | None = None


@dataclass(frozen=True, slots=True)
class BillLine:
    """A priced line on its way to a document. `amount` is without tax, or with it where the catalog's prices are so.

    `kind` is rating's line kind as text (`base`, `overage`, `carried`, ...). `carried_id` is the handle of the
    carried amount that this line bills at last; `settled` names the settlement it rests on. `span` is, on a base line,
    the days of the line's service and key (`base` or `commit:...`) that it bills, or gives back with `credit`: a day is
    billed once, and the next run's `base_due` reads them back.
    """

    kind: str
    description: str
    period: Period
    quantity: Fraction
    unit: str
    unit_price: Fraction | None
    amount: Money
    tax_class: str
    explanation: Explanation
    service: ServiceRef | None = None
    pool: str = ""
    charge: str = ""
    plan_version: str = ""
    span: BilledSpan | None = None
    settled: str = ""
    carried_id: int | None = None

    @classmethod
    def of(
        cls,
        line: PricedLine,
        *,
        service: ServiceRef | None = None,
        span: BilledSpan | None = None,
        settled: str = "",
    ) -> "BillLine":
        """What rating priced, on its way to a document."""
        return cls(
            kind=line.kind.value,
            description=line.description,
            period=line.period,
            quantity=line.quantity,
            unit=line.unit,
            unit_price=line.unit_price,
            amount=line.net,
            tax_class=line.tax_class,
            explanation=line.explanation,
            service=service,
            pool=line.pool or "",
            charge=line.charge,
            plan_version=line.terms,
            span=span,
            settled=settled,
        )


@dataclass(frozen=True, slots=True)
class DraftLine:
    """A line of a document: what was billed, its net amount, and the tax code it falls under.

    `credits` is, on a credit note, the number of the invoice's line that it lowers. `account` is the ledger account
    its net is booked on.
    """

    no: int
    kind: str
    description: str
    period: Period
    quantity: Fraction
    unit: str
    unit_price: Fraction | None
    net: Money
    tax_code: str
    tax_rate: Fraction
    explanation: Explanation
    account: str
    service: ServiceRef | None = None
    pool: str = ""
    charge: str = ""
    plan_version: str = ""
    span: BilledSpan | None = None
    settled: str = ""
    carried_id: int | None = None
    credits: int | None = None


@dataclass(frozen=True, slots=True)
class TaxLine:
    """The tax of one code on a document: its base, the tax, and the reason that must print when there is none."""

    code: str
    kind: TaxKind
    country: str
    rate: Fraction
    base: Money
    tax: Money
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Totals:
    """Net, tax, their sum, and what is due of it. On a credit note all are negative or zero."""

    net: Money
    tax: Money
    gross: Money
    due: Money


@dataclass(frozen=True, slots=True)
class NationalRate:
    """A dated exchange rate: one unit of the document's currency in the national one, and who published it."""

    currency: str
    rate: Fraction
    on: date
    source: str = ""


@dataclass(frozen=True, slots=True)
class NationalTax:
    """The document's tax in the seller's national currency, as law asks for invoices in another."""

    rate: NationalRate
    tax: Money


@dataclass(frozen=True, slots=True)
class DocumentDraft:
    """A whole document but for its number. Made by `assemble` or `credit_note`; sums hold by construction.

    Its lines' net sums to `totals.net`, the bases of `tax` too, and gross = net + tax: checked here, so that no draft
    that breaks it can exist. `references` holds `invoice` on a credit note, and `credit_note` besides
    on a debit note.
    """

    kind: DocumentKind
    period_name: str
    period: Period
    seller: Seller
    buyer: Buyer
    currency: str
    lines: tuple[DraftLine, ...]
    tax: tuple[TaxLine, ...]
    totals: Totals
    issued_on: date
    due_on: date
    tax_point: date
    tax_rounding: str
    credit_type: CreditType | None = None
    references: Mapping[str, str] = field(default_factory=dict)
    national: NationalTax | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        code = self.currency
        by_code: dict[str, int] = {}
        for line in self.lines:
            if line.net.currency != code:
                raise DocumentError(f"line {line.no} is in {line.net.currency}, the document in {code}")
            by_code[line.tax_code] = by_code.get(line.tax_code, 0) + line.net.minor
        bases = {tax.code: tax.base.minor for tax in self.tax}
        if by_code != bases:
            raise DocumentError(f"lines by tax code {by_code} differ from the bases of tax {bases}")
        t = self.totals
        if t.net.minor != sum(by_code.values()) or t.tax.minor != sum(x.tax.minor for x in self.tax):
            raise DocumentError(f"totals {t.net} and {t.tax} are not the sums of their lines")
        if t.gross != t.net + t.tax:
            raise DocumentError(f"gross {t.gross} is not net {t.net} and tax {t.tax}")
        if (self.kind in (DocumentKind.CREDIT_NOTE, DocumentKind.DEBIT_NOTE)) != (self.credit_type is not None):
            raise DocumentError("a credit note (and what takes it back) has a type, and nothing else has")
        if self.kind is DocumentKind.CREDIT_NOTE:
            if t.gross.minor >= 0 or "invoice" not in self.references:
                raise DocumentError(f"a credit note lowers an invoice it names; this one comes to {t.gross}")
        elif t.gross.minor < 0:
            raise DocumentError(f"an invoice below zero ({t.gross}) is a credit note: name the invoice it lowers")
        if self.kind is DocumentKind.DEBIT_NOTE and not {"invoice", "credit_note"} <= set(self.references):
            raise DocumentError("a debit note names the credit note that it takes back, and that one's invoice")
