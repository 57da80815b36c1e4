"""What a decision credits: by line, never more than was contested, nor than is left of the line by then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from coulance_core.disputes.contesting import BY_WHOLE, Debt, worth
from coulance_core.disputes.terms import DisputeError, Outcome
from coulance_core.invoicing import CreditRequest, CreditType, Issued
from coulance_core.kernel import Explanation, Money, Rounding, currency


@dataclass(frozen=True, slots=True)
class Decision:
    """What an outcome comes to: the credit note's requests (none: none is given) and its sums, above zero.

    `stands` is what was contested, before tax, and is not credited.
    """

    outcome: Outcome
    requests: tuple[CreditRequest, ...]
    credit_type: CreditType
    net: Money
    tax: Money
    gross: Money
    stands: Money
    explanation: Explanation


CREDIT_TYPE: Mapping[Outcome, CreditType] = {
    Outcome.UPHELD: CreditType.CORRECTION,
    Outcome.PART: CreditType.CORRECTION,
    Outcome.SHARED: CreditType.PRICE_REDUCTION,
    Outcome.GOODWILL: CreditType.PRICE_REDUCTION,
}
"""An invoice that was wrong is corrected; what is given where it was right lowers the price. Tax comes back by both."""


def decide(
    invoice: Issued | Debt,
    parts: Sequence[tuple[int, Money]],
    outcome: Outcome,
    *,
    share: Fraction | None = None,
    amounts: Mapping[int, Money] | None = None,
    rounding: Rounding = Rounding.HALF_UP,
) -> Decision:
    """What `outcome` credits of the contested `parts` (line, amount before tax) of an invoice as it is now.

    `part` and `goodwill` take `amounts` by line; `shared` takes a `share` between 0 and 1, or amounts. What other
    credit notes took since isn't given twice. A plan change credits by its own way: nothing here. Of a debt without
    lines all amounts are with tax, and its tax is the system's that issued it. Raises `DisputeError`.
    """
    code = invoice.currency
    contested = {line: net.minor for line, net in parts}
    left, codes, room = _left(invoice)
    if not contested.keys() <= left.keys():
        raise DisputeError(f"{invoice.number} has not all lines that are contested: {sorted(contested)}")
    wanted = _wanted(contested, outcome, share, amounts, code, rounding)
    why = Explanation.build(f"disputes.{outcome.value}")
    requests: list[CreditRequest] = []
    given: list[str] = []
    for no, minor in sorted(contested.items()):
        why.fact(f"contested of line {no}", Money(minor, code).amount, code, f"{invoice.number} line {no}")
        why.fact(f"left of line {no}", Money(min(left[no], room[codes[no]]), code).amount, code, "after credit notes")
        asked = wanted.get(no, 0)
        if share is not None and outcome is Outcome.SHARED:
            why.fact(f"share of line {no}", share)
            why.step(
                f"exact part of line {no}", "multiply", f"contested of line {no}", f"share of line {no}", unit=code
            )
            digits = str(currency(code).exponent)
            why.step(f"asked of line {no}", "round", f"exact part of line {no}", digits, rounding.value, unit=code)
        else:
            why.fact(f"asked of line {no}", Money(asked, code).amount, code)
        why.step(f"credit on line {no}", "min", f"asked of line {no}", f"left of line {no}", unit=code)
        credit = Money.of(why.number(f"credit on line {no}"), code)
        given.append(f"credit on line {no}")
        if credit.minor > 0:
            requests.append(CreditRequest(no, credit))
            room[codes[no]] -= credit.minor
    why.step("credit", "add", *given, unit=code)
    zero = Money(0, code)
    net = tax = gross = zero
    if requests and isinstance(invoice, Debt):
        net = gross = _sum(requests, code)
    elif requests and isinstance(invoice, Issued):
        net, tax, gross = worth(invoice, requests)
    stands = Money(sum(contested.values()), code) - net
    kind = CREDIT_TYPE.get(outcome, CreditType.CORRECTION)
    return Decision(outcome, tuple(requests), kind, net, tax, gross, stands, why.freeze())


def _wanted(
    contested: Mapping[int, int],
    outcome: Outcome,
    share: Fraction | None,
    amounts: Mapping[int, Money] | None,
    code: str,
    rounding: Rounding,
) -> Mapping[int, int]:
    if outcome in (Outcome.REJECTED, Outcome.PLAN_CHANGE, Outcome.UPHELD):
        if share is not None or amounts:
            raise DisputeError(f"{outcome.value} takes neither a share nor amounts")
        return contested if outcome is Outcome.UPHELD else {}
    if outcome is Outcome.SHARED and share is not None:
        if amounts:
            raise DisputeError("shared takes a share, or amounts: not both")
        if not 0 < share < 1:
            raise DisputeError(f"a share lies between 0 and 1, not {share}: else it is upheld or rejected")
        return {
            no: Money.of(Money(minor, code).amount * share, code, rounding).minor for no, minor in contested.items()
        }
    if share is not None:
        raise DisputeError(f"{outcome.value} takes amounts by line, not a share")
    if not amounts or not any(one.minor for one in amounts.values()):
        raise DisputeError(f"{outcome.value}: say how much is credited, by line; nothing at all is rejected")
    for no, one in amounts.items():
        if no not in contested:
            raise DisputeError(f"line {no} is not contested in this case")
        if one.currency != code or not 0 <= one.minor <= contested[no]:
            raise DisputeError(f"line {no}: {Money(contested[no], code)} is contested, so {one} can't be credited")
    total = sum(one.minor for one in amounts.values())
    if outcome is Outcome.PART and total == sum(contested.values()):
        raise DisputeError("all that was contested is credited: that is upheld, not in part")
    return {no: one.minor for no, one in amounts.items()}


def _sum(requests: Sequence[CreditRequest], code: str) -> Money:
    """What requests that name their amounts come to."""
    return sum((one.net for one in requests if one.net is not None), Money(0, code))


def _left(invoice: Issued | Debt) -> tuple[Mapping[int, int], Mapping[int, str], dict[str, int]]:
    """What is left of each line, its tax code, and what is left under each code, discounts included."""
    if isinstance(invoice, Debt):
        whole = max(invoice.left.minor, 0)
        return {BY_WHOLE: whole}, {BY_WHOLE: ""}, {"": whole}
    room: dict[str, int] = {}
    for line in invoice.lines:
        room[line.tax_code] = room.get(line.tax_code, 0) + invoice.left(line)
    return (
        {line.no: max(invoice.left(line), 0) for line in invoice.lines},
        {line.no: line.tax_code for line in invoice.lines},
        {key: max(value, 0) for key, value in room.items()},
    )
