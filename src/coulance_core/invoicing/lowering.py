"""A draft that turned out too high before it was issued: lowered by lines of its own, so that its reader sees why.

What was issued is lowered by a credit note and nothing else; what was not issued yet need not be issued wrong first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from coulance_core.invoicing.assemble import national_tax, totals_of
from coulance_core.invoicing.credit import CreditRequest, Issued, credit_note
from coulance_core.invoicing.documents import CreditType, DocumentDraft, DocumentKind, TaxLine
from coulance_core.kernel import Explanation, Money, Rounding


@dataclass(frozen=True, slots=True)
class Lowering:
    """Take `net` (without tax, above zero) off line `line`, and say why."""

    line: int
    net: Money
    description: str
    why: Explanation


def lowered(
    draft: Issued,
    by: Sequence[Lowering],
    *,
    kind: DocumentKind,
    due_on: date,
    tax_point: date,
    reason: str,
    rule: Rounding = Rounding.HALF_UP,
) -> DocumentDraft:
    """The same document with a line below zero for each lowering, its tax and totals with it, and `reason` as a note.

    Amounts are those that a credit note of the same would have, to the cent. Raises `CreditError` for more than a line
    has.
    """
    note = credit_note(
        draft,
        lines=[CreditRequest(one.line, one.net) for one in by],
        credit_type=CreditType.CORRECTION,
        reason=reason,
        issued_on=draft.issued_on,
        tax_point=tax_point,
        rule=rule,
    )
    first = len(draft.lines) + 1
    less = tuple(
        replace(line, no=no, description=one.description, credits=None, span=None, explanation=_why(line.net, one.why))
        for no, (line, one) in enumerate(zip(note.lines, by, strict=True), first)
    )
    given = {row.code: row for row in note.tax}
    tax = tuple(_less(row, given.get(row.code)) for row in draft.tax)
    return DocumentDraft(
        kind=kind,
        period_name=draft.period_name,
        period=draft.period,
        seller=draft.seller,
        buyer=draft.buyer,
        currency=draft.currency,
        lines=(*draft.lines, *less),
        tax=tax,
        totals=totals_of(tax, draft.currency),
        issued_on=draft.issued_on,
        due_on=due_on,
        tax_point=tax_point,
        tax_rounding=draft.tax_rounding,
        national=national_tax(tax, draft.currency, draft.national, rule),
        notes=(reason.strip(),),
    )


def _less(row: TaxLine, given: TaxLine | None) -> TaxLine:
    return row if given is None else replace(row, base=row.base + given.base, tax=row.tax + given.tax)


def _why(net: Money, why: Explanation) -> Explanation:
    return (
        Explanation.build("invoicing.lowered_before_issue", terms=why.terms)
        .fact("lower", (-net).amount, net.currency, "what may not be charged, as is known now")
        .step("net", "negate", "lower", unit=net.currency)
        .child(why)
        .freeze()
    )
