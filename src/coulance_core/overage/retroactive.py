"""The larger plan for the period that was, instead of its overage bill.

The base invoice stays as it is; the overage is replaced by one line, the difference between the two plans, of at most
the overage that may be billed. The subscription is not touched, so the next period is on the old plan again by itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from zoneinfo import ZoneInfo

from coulance_core.catalog.terms import PlanVersion
from coulance_core.invoicing.documents import BillLine, ServiceRef
from coulance_core.kernel import Explanation, Money, Period
from coulance_core.overage.advice import PlanCost

KIND = "plan_difference"
"""The kind of the one line."""


@dataclass(frozen=True, slots=True)
class RetroactiveOffer:
    """A larger plan for one period. `difference` is paid instead of `overage`; `remains` is the part of it that is
    overage on the larger plan too. From `reverts_on` the service is on its own plan, without anybody's doing.
    """

    present: PlanVersion
    plan: PlanVersion
    overage: Money
    difference: Money
    remains: Money
    reverts_on: date
    line: BillLine

    @property
    def saves(self) -> Money:
        """What accepting saves, before tax."""
        return self.overage - self.difference

    @property
    def explanation(self) -> Explanation:
        """How the difference came about; its step `net` is the amount of the line."""
        return self.line.explanation


def retroactive_offers(
    present: PlanCost,
    others: Iterable[PlanCost],
    *,
    overage: Money,
    tax_classes: Sequence[str],
    service: ServiceRef,
    period: Period,
    zone: ZoneInfo,
    description: str = "",
) -> tuple[RetroactiveOffer, ...]:
    """The larger plans that would have been cheaper than the overage bill, the cheapest first; often there is none.

    `overage` is what may be billed of it, and what the difference never exceeds; `tax_classes` those of its lines. A
    plan of another tax class, or with a lower fee, is not offered: lines of equal amounts would not cost the same, and
    a smaller plan may lack what isn't metered.
    """
    offers = []
    for other in others:
        if other.version.plan == present.version.plan or other.base < present.base:
            continue
        if any(one != other.version.tax_class for one in tax_classes):
            continue
        if other.net - present.base >= overage:
            continue
        offers.append(_offer(present, other, overage, service, period, zone, description))
    return tuple(sorted(offers, key=lambda one: (one.difference.minor, one.plan.plan)))


def _offer(
    present: PlanCost,
    other: PlanCost,
    overage: Money,
    service: ServiceRef,
    period: Period,
    zone: ZoneInfo,
    description: str,
) -> RetroactiveOffer:
    code = overage.currency
    why = (
        Explanation.build("overage.retroactive_plan", terms=other.version.version)
        .fact("fee of the larger plan", other.base.amount, code, other.version.version)
        .fact("its overage", other.usage.amount, code, other.version.version)
        .fact("fee paid", present.base.amount, code, present.version.version)
        .fact("overage that may be billed", overage.amount, code)
        .step("larger plan", "add", "fee of the larger plan", "its overage", unit=code)
        .step("difference", "subtract", "larger plan", "fee paid", unit=code)
        .step("net", "min", "difference", "overage that may be billed", unit=code)
        .note("the base invoice stays; this line takes the place of the overage")
        .note("the plan itself does not change: the next period is on the plan of before")
        .child(other.explanation)
        .freeze()
    )
    net = Money.of(other.net.amount - present.base.amount, code)
    line = BillLine(
        kind=KIND,
        description=description or f"{other.version.name} instead of {present.version.name}, this period only",
        period=period,
        quantity=Fraction(1),
        unit="1",
        unit_price=net.amount,
        amount=net,
        tax_class=other.version.tax_class,
        explanation=why,
        service=service,
        plan_version=other.version.version,
    )
    return RetroactiveOffer(
        present=present.version,
        plan=other.version,
        overage=overage,
        difference=net,
        remains=other.usage,
        reverts_on=period.end.astimezone(zone).date(),
        line=line,
    )
