"""Small amounts wait: whether an overage is invoiced now, or carried forward to a later invoice."""

from dataclasses import dataclass
from datetime import date

from coulance_core.kernel import Explanation, Money


@dataclass(frozen=True, slots=True)
class CarryDecision:
    """Whether the amount is carried forward, and why."""

    carry: bool
    explanation: Explanation


def decide_carry(
    total: Money, *, below: Money | None, on: date, bill_by: date | None = None, closing: bool = False
) -> CarryDecision:
    """Carry `total` forward when it is above zero and below the least amount worth an invoice.

    It is invoiced all the same on the customer's last invoice (`closing`), or from `bill_by` on: the day by which the
    oldest part must be billed. Nothing is carried without a least amount. Zero and credits are never carried.

    >>> decide_carry(Money(150, "EUR"), below=Money(500, "EUR"), on=date(2026, 11, 1)).carry
    True
    >>> decide_carry(Money(150, "EUR"), below=Money(500, "EUR"), on=date(2026, 11, 1), closing=True).carry
    False
    """
    build = Explanation.build("invoicing.carry_forward").fact("total", total.amount, total.currency)
    if below is None:
        return CarryDecision(False, build.note("No least amount is set: everything is invoiced.").freeze())
    build.fact("least amount", (below - Money(0, total.currency)).amount, below.currency)
    if total.minor <= 0:
        return CarryDecision(False, build.note("Only an amount to pay is carried forward.").freeze())
    if total >= below:
        return CarryDecision(False, build.note("It reaches the least amount: invoiced.").freeze())
    if closing:
        return CarryDecision(False, build.note("The account ends: invoiced, though small.").freeze())
    if bill_by is not None and on >= bill_by:
        return CarryDecision(
            False, build.fact("bill by", bill_by.isoformat()).note("Carried long enough: invoiced.").freeze()
        )
    return CarryDecision(True, build.note("Below the least amount: carried forward to a later invoice.").freeze())
