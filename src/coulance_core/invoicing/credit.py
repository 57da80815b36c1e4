"""Credit notes: the only way to lower what was issued.

A credit note names its invoice and lowers its lines, each by no more than what earlier credit notes left of it. Tax
comes back at the rate it was charged at, whatever the rate is today; when the last of a code is credited, so is the
last cent of its tax.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction

from coulance_core.catalog.provider import TaxRounding
from coulance_core.invoicing.assemble import national_tax, tax_line, totals_of
from coulance_core.invoicing.documents import (
    Buyer,
    CreditType,
    DocumentDraft,
    DocumentKind,
    DraftLine,
    NationalRate,
    Seller,
    TaxLine,
)
from coulance_core.invoicing.tax import DAMAGES
from coulance_core.kernel import Explanation, Money, Period, Rounding
from coulance_core.kernel.rounding import round_int
from coulance_core.ledger import CARRIED, revenue
from coulance_core.ledger import DAMAGES as DAMAGES_ACCOUNT
from coulance_core.rating.base import BilledSpan


class CreditError(ValueError):
    """A credit that cannot be: of nothing, of more than is left, or of a line that the invoice does not have."""


@dataclass(frozen=True, slots=True)
class CreditRequest:
    """Lower line `line` by `net`, an amount without tax of the line's own sign; none means all that is left of it."""

    line: int
    net: Money | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """An issued invoice as far as crediting it needs: its lines and tax as issued, and what was credited since.

    `credited` is by line number (net, the line's own sign), `credited_tax` by tax code (positive). `damages` is the
    part of `credited` that was compensation, by tax code of the original line: its tax stays. `national` is the rate
    by which it stated its tax in a second currency: what lowers it states it by the same.
    """

    number: str
    issued_on: date
    period_name: str
    period: Period
    seller: Seller
    buyer: Buyer
    currency: str
    lines: tuple[DraftLine, ...]
    tax: tuple[TaxLine, ...]
    tax_rounding: str
    credited: Mapping[int, int]
    credited_tax: Mapping[str, int]
    damages: Mapping[str, int]
    national: NationalRate | None = None

    @classmethod
    def of(cls, draft: DocumentDraft, number: str) -> "Issued":
        """The invoice that was issued from `draft` under `number`, nothing credited yet."""
        return cls(
            number=number,
            issued_on=draft.issued_on,
            period_name=draft.period_name,
            period=draft.period,
            seller=draft.seller,
            buyer=draft.buyer,
            currency=draft.currency,
            lines=draft.lines,
            tax=draft.tax,
            tax_rounding=draft.tax_rounding,
            credited={},
            credited_tax={},
            damages={},
            national=draft.national.rate if draft.national else None,
        )

    def after(self, note: DocumentDraft) -> "Issued":
        """The same invoice once `note` is issued too."""
        credited, taxes, damages = dict(self.credited), dict(self.credited_tax), dict(self.damages)
        codes = {line.no: line.tax_code for line in self.lines}
        for line in note.lines:
            if line.credits is None:
                continue
            credited[line.credits] = credited.get(line.credits, 0) - line.net.minor
            if note.credit_type is CreditType.DAMAGES:
                code = codes[line.credits]
                damages[code] = damages.get(code, 0) - line.net.minor
        if note.credit_type is not CreditType.DAMAGES:
            for row in note.tax:
                taxes[row.code] = taxes.get(row.code, 0) - row.tax.minor
        return replace(self, credited=credited, credited_tax=taxes, damages=damages)

    def left(self, line: DraftLine) -> int:
        """What of a line's net may still be credited, in minor units."""
        return line.net.minor - self.credited.get(line.no, 0)


def credit_note(
    invoice: Issued,
    *,
    lines: Sequence[CreditRequest] | None,
    credit_type: CreditType,
    reason: str,
    issued_on: date,
    tax_point: date,
    national: NationalRate | None = None,
    rule: Rounding = Rounding.HALF_UP,
) -> DocumentDraft:
    """A credit note on `invoice`, complete but for its number. Without `lines` it credits all that is left.

    `tax_point` is that of the original supply, or of the reduction where the law says so. Raises `CreditError`.
    """
    if not reason.strip():
        raise CreditError("a credit note says why: give a reason")
    asked = [CreditRequest(line.no) for line in invoice.lines if invoice.left(line)] if lines is None else lines
    if not asked:
        raise CreditError(f"nothing is left to credit on {invoice.number}")
    by_no = {line.no: line for line in invoice.lines}
    out: list[DraftLine] = []
    seen: set[int] = set()
    for request in asked:
        line = by_no.get(request.line)
        if line is None:
            raise CreditError(f"{invoice.number} has no line {request.line}: expected 1 to {len(by_no)}")
        if request.line in seen:
            raise CreditError(f"line {request.line} of {invoice.number} is asked for twice: name one amount for it")
        seen.add(request.line)
        left = invoice.left(line)
        net = Money(left, invoice.currency) if request.net is None else request.net
        if net.currency != invoice.currency:
            raise CreditError(f"{invoice.number} is in {invoice.currency}: a credit in {net.currency} cannot lower it")
        if not (0 < net.minor <= left or left <= net.minor < 0):
            raise CreditError(
                f"line {line.no} of {invoice.number} has {Money(left, invoice.currency)} left to credit, not {net}"
            )
        out.append(_line(len(out) + 1, line, net, invoice, credit_type, reason))
    _check_codes(invoice, out)
    tax = _tax(invoice, out, credit_type, rule)
    totals = totals_of(tax, invoice.currency)
    return DocumentDraft(
        kind=DocumentKind.CREDIT_NOTE,
        period_name=invoice.period_name,
        period=invoice.period,
        seller=invoice.seller,
        buyer=invoice.buyer,
        currency=invoice.currency,
        lines=tuple(out),
        tax=tax,
        totals=totals,
        issued_on=issued_on,
        due_on=issued_on,
        tax_point=tax_point,
        tax_rounding=invoice.tax_rounding,
        credit_type=credit_type,
        references={"invoice": invoice.number, "invoice_issued_on": invoice.issued_on.isoformat()},
        national=national_tax(tax, invoice.currency, national or invoice.national, rule),
        notes=(reason.strip(),),
    )


def _line(no: int, line: DraftLine, net: Money, invoice: Issued, credit_type: CreditType, reason: str) -> DraftLine:
    left = Money(invoice.left(line), invoice.currency)
    explanation = (
        Explanation.build(f"invoicing.credit.{credit_type.value}", terms=line.plan_version)
        .fact("line net", line.net.amount, invoice.currency, f"{invoice.number} line {line.no}")
        .fact("credited before", line.net.amount - left.amount, invoice.currency)
        .step("left", "subtract", "line net", "credited before", unit=invoice.currency)
        .fact("credit", net.amount, invoice.currency)
        .step("net", "negate", "credit", unit=invoice.currency)
        .note(reason.strip())
        .freeze()
    )
    is_damages = credit_type is CreditType.DAMAGES
    # What was carried forward became overage revenue then; the invoice only turned it into a receivable.
    account = revenue("overage") if line.account == CARRIED else line.account
    whole = net.minor == line.net.minor
    return replace(
        line,
        no=no,
        kind="credit",
        description=f"Credit on {invoice.number}, line {line.no}: {line.description}",
        quantity=Fraction(1),
        unit="1",
        unit_price=None,
        net=-net,
        tax_code=DAMAGES.code if is_damages else line.tax_code,
        tax_rate=Fraction(0) if is_damages else line.tax_rate,
        explanation=explanation,
        account=DAMAGES_ACCOUNT if is_damages else account,
        # Days come back only when the whole price does, and never for damages: the service was had.
        span=_given_back(line) if whole and credit_type is CreditType.CORRECTION else None,
        carried_id=None,
        settled="",
        credits=line.no,
    )


def _given_back(line: DraftLine) -> BilledSpan | None:
    # The span's own net: where prices include tax it is the price, and the line's net is less.
    return None if line.span is None else replace(line.span, credit=True, net=-line.span.net)


def _check_codes(invoice: Issued, lines: Sequence[DraftLine]) -> None:
    """Refuse to credit a charge and keep the discount that came with it: less is left than the charge alone says."""
    codes = {line.no: line.tax_code for line in invoice.lines}
    asked: dict[str, int] = {}
    for line in lines:
        code = codes[line.credits or 0]
        asked[code] = asked.get(code, 0) - line.net.minor
    for code, amount in asked.items():
        left = _left_base(invoice, code)
        if amount > max(left, 0) and amount != left:
            raise CreditError(
                f"only {Money(left, invoice.currency)} is left under tax code {code} of {invoice.number}, discounts "
                f"included: credit the discount's line too"
            )


def _left_base(invoice: Issued, code: str) -> int:
    return sum(invoice.left(line) for line in invoice.lines if line.tax_code == code)


def _tax(invoice: Issued, lines: Sequence[DraftLine], credit_type: CreditType, rule: Rounding) -> tuple[TaxLine, ...]:
    if credit_type is CreditType.DAMAGES:
        total = sum(line.net.minor for line in lines)
        return (tax_line(DAMAGES, total, 0, invoice.buyer, invoice.currency),)
    original = {row.code: row for row in invoice.tax}
    by_code: dict[str, list[int]] = {}
    for line in lines:
        by_code.setdefault(line.tax_code, []).append(-line.net.minor)
    rows: list[TaxLine] = []
    for code in sorted(by_code):
        row, given = original[code], by_code[code]
        share = row.rate / 100
        kept_by_damages = round_int(invoice.damages.get(code, 0) * share, rule)
        left_tax = row.tax.minor - invoice.credited_tax.get(code, 0) - kept_by_damages
        if sum(given) == _left_base(invoice, code):
            tax = left_tax  # the last of this code: rounding of the parts must not strand a cent
        elif invoice.tax_rounding == TaxRounding.LINE:
            tax = max(min(sum(round_int(net * share, rule) for net in given), left_tax), 0)
        else:
            tax = max(min(round_int(sum(given) * share, rule), left_tax), 0)
        rows.append(replace(row, base=Money(-sum(given), invoice.currency), tax=Money(-tax, invoice.currency)))
    return tuple(rows)
