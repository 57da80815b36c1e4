"""Priced lines into a document: tax decided for each line, rounded by name, summed, and never in two ways.

Deterministic: the same lines in the same order give the same document, down to the cent and the line numbers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from coulance_core.catalog.provider import PriceBasis, TaxRate, TaxRounding, TaxTable
from coulance_core.invoicing.documents import (
    BillLine,
    Buyer,
    DocumentDraft,
    DocumentError,
    DocumentKind,
    DraftLine,
    NationalRate,
    NationalTax,
    Seller,
    TaxLine,
    Totals,
)
from coulance_core.invoicing.tax import decide_tax, tax_of
from coulance_core.kernel import Explanation, Money, Period, Rounding
from coulance_core.kernel.rounding import exact
from coulance_core.ledger import CARRIED, deferred, revenue

BASE_KINDS = frozenset({"base", "commit"})
CARD_KIND = "card"
"""Hours sold beforehand: no income until they are used or lapse."""
"""Line kinds that are billed in advance; their revenue is the base's."""


@dataclass(frozen=True, slots=True)
class TaxTerms:
    """How a provider taxes: the table of rates, whether prices include tax, and which rounding, by which rule."""

    table: TaxTable
    prices: PriceBasis = PriceBasis.NET
    algorithm: TaxRounding = TaxRounding.SUM_BY_NET
    rule: Rounding = Rounding.HALF_UP


def assemble(
    *,
    kind: DocumentKind,
    period_name: str,
    period: Period,
    seller: Seller,
    buyer: Buyer,
    lines: Sequence[BillLine],
    terms: TaxTerms,
    issued_on: date,
    tax_point: date,
    payment_days: int,
    national: NationalRate | None = None,
    notes: Sequence[str] = (),
) -> DocumentDraft:
    """The document these lines make, complete but for its number. Not for credit notes: see `credit_note`.

    `issued_on` and `tax_point` are civil days in the seller's zone; due `payment_days` later. Raises `DocumentError`
    when a line is in another currency or an invoice comes out below zero, `NoTaxRateError` when a rate is missing.
    """
    if kind in (DocumentKind.CREDIT_NOTE, DocumentKind.DEBIT_NOTE):
        raise DocumentError("a credit note is made from its invoice, a debit note from its credit note")
    currency = buyer.currency
    for line in lines:
        if line.amount.currency != currency:
            raise DocumentError(f"{line.description!r} is in {line.amount.currency}, the account in {currency}")
    rates = _rates(lines, seller, buyer, tax_point, terms.table)
    by_code: dict[str, list[int]] = {}
    for index, rate in enumerate(rates):
        by_code.setdefault(rate.code, []).append(index)
    nets = [0] * len(lines)
    tax_lines: list[TaxLine] = []
    for code in sorted(by_code):
        indices = by_code[code]
        rate = rates[indices[0]]
        if any(rates[i].rate != rate.rate for i in indices):
            raise DocumentError(f"tax code {code!r} stands for two rates on one document: give each rate its own code")
        taxed = tax_of(
            [lines[i].amount.minor for i in indices],
            rate.rate,
            prices=terms.prices,
            algorithm=terms.algorithm,
            rule=terms.rule,
        )
        for i, net in zip(indices, taxed.nets, strict=True):
            nets[i] = net
        tax_lines.append(tax_line(rate, taxed.base, taxed.tax, buyer, currency))
    draft_lines = tuple(
        _draft_line(no, line, rate, Money(net, currency), kind, terms)
        for no, (line, rate, net) in enumerate(zip(lines, rates, nets, strict=True), 1)
    )
    return DocumentDraft(
        kind=kind,
        period_name=period_name,
        period=period,
        seller=seller,
        buyer=buyer,
        currency=currency,
        lines=draft_lines,
        tax=tuple(tax_lines),
        totals=totals_of(tax_lines, currency),
        issued_on=issued_on,
        due_on=issued_on + timedelta(days=payment_days),
        tax_point=tax_point,
        tax_rounding=terms.algorithm.value,
        national=national_tax(tax_lines, currency, national, terms.rule),
        notes=tuple(notes),
    )


def _rates(
    lines: Sequence[BillLine], seller: Seller, buyer: Buyer, tax_point: date, table: TaxTable
) -> Sequence[TaxRate]:
    known: dict[str, TaxRate] = {}
    for line in lines:
        if line.tax_class not in known:
            known[line.tax_class] = decide_tax(
                seller=seller, buyer=buyer, tax_class=line.tax_class, tax_point=tax_point, table=table
            )
    return [known[line.tax_class] for line in lines]


def tax_line(rate: TaxRate, base: int, tax: int, buyer: Buyer, currency: str) -> TaxLine:
    """The tax summary's row of one code; a rate for any country prints the buyer's."""
    return TaxLine(
        rate.code,
        rate.kind,
        buyer.country if rate.country == "*" else rate.country,
        rate.rate,
        Money(base, currency),
        Money(tax, currency),
        rate.reason,
    )


def totals_of(tax_lines: Iterable[TaxLine], currency: str) -> Totals:
    """Totals as the sums of the tax summary: the one way they are made."""
    net = tax = Money(0, currency)
    for row in tax_lines:
        net, tax = net + row.base, tax + row.tax
    return Totals(net, tax, net + tax, net + tax)


def national_tax(
    tax_lines: Iterable[TaxLine], currency: str, national: NationalRate | None, rule: Rounding
) -> NationalTax | None:
    """The tax in the national currency, rounded once; none when it is the document's own or not asked for."""
    if national is None or national.currency == currency:
        return None
    if national.rate <= 0:
        raise DocumentError(f"an exchange rate is above zero, not {national.rate}")
    total = sum((row.tax.amount for row in tax_lines), Fraction(0))
    return NationalTax(national, Money.of(total * national.rate, national.currency, rule))


def account_of(line: BillLine, kind: DocumentKind, prices: PriceBasis = PriceBasis.NET) -> str:
    """The ledger account a line's net is booked on.

    Hours sold beforehand are owed in work: whoever knows what is used books them as earned.

    A carried amount was booked as earned when it was carried, where prices are net; with prices that include tax its
    net is known only now, so it is earned now.
    """
    if (line.kind == "carried" or line.carried_id is not None) and prices is PriceBasis.NET:
        return CARRIED
    if kind in (DocumentKind.FEE_INVOICE, DocumentKind.INTEREST_INVOICE):
        return revenue("collecting" if kind is DocumentKind.FEE_INVOICE else "interest")
    if line.kind == CARD_KIND:
        return deferred("hours")
    in_advance = line.kind in BASE_KINDS or (line.kind == "credit" and kind is DocumentKind.BASE_INVOICE)
    return revenue("base" if in_advance else "overage")


def _draft_line(no: int, line: BillLine, rate: TaxRate, net: Money, kind: DocumentKind, terms: TaxTerms) -> DraftLine:
    explanation = line.explanation
    if terms.prices is PriceBasis.GROSS:
        explanation = _without_tax(line, rate, net, terms)
    return DraftLine(
        no=no,
        kind=line.kind,
        description=line.description,
        period=line.period,
        quantity=line.quantity,
        unit=line.unit,
        unit_price=line.unit_price,
        net=net,
        tax_code=rate.code,
        tax_rate=rate.rate,
        explanation=explanation,
        account=account_of(line, kind, terms.prices),
        service=line.service,
        pool=line.pool,
        charge=line.charge,
        plan_version=line.plan_version,
        span=line.span,
        settled=line.settled,
        carried_id=line.carried_id,
    )


def _without_tax(line: BillLine, rate: TaxRate, net: Money, terms: TaxTerms) -> Explanation:
    """How a price that includes tax became a net amount; cents moved to keep the sum are stated, not hidden."""
    digits = len(net.decimal().partition(".")[2])
    build = (
        Explanation.build("invoicing.net_of_price_with_tax")
        .fact("price with tax", line.amount.amount, net.currency)
        .fact("tax rate", rate.rate, "%", rate.code)
        .step("one plus rate", "divide", exact(rate.rate) + 100, 100)
        .step("price without tax", "divide", "price with tax", "one plus rate", unit=net.currency)
        .step("rounded", "round", "price without tax", str(digits), terms.rule.value, unit=net.currency)
    )
    moved = net.amount - build.number("rounded")
    build.fact("moved to keep the total", moved, net.currency).step(
        "net", "add", "rounded", "moved to keep the total", unit=net.currency
    )
    return build.convention(f"tax rounding: {terms.algorithm.value}").child(line.explanation).freeze()
