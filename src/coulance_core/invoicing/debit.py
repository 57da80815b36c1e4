"""Debit notes: the only way to take an issued credit note back.

A credit note that was wrong stays as it is, like everything issued. The debit note names it and mirrors it to the cent:
each of its lines, its tax by code, its totals, with the other sign. So the two come to nothing in every sum, whatever
rate holds today, and what the credit note took off its invoice may be credited again. Whole or not at all: a credit
note of the wrong amount is taken back, and the right one given.

In law it is an invoice like any other (Directive 2006/112/EC, art. 219: what amends an invoice and refers to it is
treated as one); as an e-invoice it has code 383 (UNTDID 1001, debit note).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction

from coulance_core.invoicing.assemble import national_tax, totals_of
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
from coulance_core.kernel import Explanation, Period, Rounding


class DebitError(ValueError):
    """A debit note that cannot be: it says no reason, or takes nothing back."""


@dataclass(frozen=True, slots=True)
class IssuedNote:
    """An issued credit note as far as taking it back needs: its lines and tax as issued (net below zero), its invoice.

    `national` is the rate by which it stated its tax in a second currency.
    """

    number: str
    issued_on: date
    credit_type: CreditType
    references: Mapping[str, str]
    period_name: str
    period: Period
    seller: Seller
    buyer: Buyer
    currency: str
    lines: tuple[DraftLine, ...]
    tax: tuple[TaxLine, ...]
    tax_rounding: str
    tax_point: date
    national: NationalRate | None = None

    @classmethod
    def of(cls, draft: DocumentDraft, number: str) -> "IssuedNote":
        """The credit note that was issued from `draft` under `number`."""
        if draft.credit_type is None:
            raise DebitError(f"{number} is no credit note")
        return cls(
            number=number,
            issued_on=draft.issued_on,
            credit_type=draft.credit_type,
            references=draft.references,
            period_name=draft.period_name,
            period=draft.period,
            seller=draft.seller,
            buyer=draft.buyer,
            currency=draft.currency,
            lines=draft.lines,
            tax=draft.tax,
            tax_rounding=draft.tax_rounding,
            tax_point=draft.tax_point,
            national=draft.national.rate if draft.national else None,
        )


def debit_note(
    note: IssuedNote, *, reason: str, issued_on: date, due_on: date, rule: Rounding = Rounding.HALF_UP
) -> DocumentDraft:
    """The debit note that takes all of `note` back, complete but for its number. Raises `DebitError`.

    Its tax point is the credit note's: it undoes what that did to the tax.
    """
    if not reason.strip():
        raise DebitError("a debit note says why: give a reason")
    if not note.lines:
        raise DebitError(f"{note.number} gives nothing back")
    tax = tuple(replace(row, base=-row.base, tax=-row.tax) for row in note.tax)
    return DocumentDraft(
        kind=DocumentKind.DEBIT_NOTE,
        period_name=note.period_name,
        period=note.period,
        seller=note.seller,
        buyer=note.buyer,
        currency=note.currency,
        lines=tuple(_line(line, note, reason) for line in note.lines),
        tax=tax,
        totals=totals_of(tax, note.currency),
        issued_on=issued_on,
        due_on=due_on,
        tax_point=note.tax_point,
        tax_rounding=note.tax_rounding,
        credit_type=note.credit_type,
        references={
            **note.references,
            "credit_note": note.number,
            "credit_note_issued_on": note.issued_on.isoformat(),
        },
        national=national_tax(tax, note.currency, note.national, rule),
        notes=(reason.strip(),),
    )


def _line(line: DraftLine, note: IssuedNote, reason: str) -> DraftLine:
    explanation = (
        Explanation.build("invoicing.debit", terms=line.plan_version)
        .fact("credited", line.net.amount, note.currency, f"{note.number} line {line.no}")
        .step("net", "negate", "credited", unit=note.currency)
        .note(reason.strip())
        .freeze()
    )
    return replace(
        line,
        kind="debit",
        description=f"Reversal of {note.number}, line {line.no}: {line.description}",
        quantity=Fraction(1),
        unit="1",
        unit_price=None,
        net=-line.net,
        explanation=explanation,
        # Days that the credit note gave back are charged again.
        span=None if line.span is None else replace(line.span, credit=False, net=-line.span.net),
        carried_id=None,
        settled="",
    )
