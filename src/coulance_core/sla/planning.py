"""What terms would have cost on real outages, and what to claim upstream for what is owed downstream."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from coulance_core.kernel import Money
from coulance_core.sla.credits import Charges, Credit, credit
from coulance_core.sla.downtime import Facts
from coulance_core.sla.terms import UptimeTerms


@dataclass(frozen=True)
class Month:
    """One period of a plan: what one service would have been credited, and what it cost."""

    start: date
    fee: Money
    credit: Credit


@dataclass(frozen=True)
class Plan:
    """What proposed terms would have cost, period by period."""

    months: tuple[Month, ...]

    @property
    def total(self) -> Money:
        """All credits together."""
        return sum((m.credit.amount for m in self.months[1:]), self.months[0].credit.amount)

    @property
    def worst(self) -> Month:
        """The dearest period, the first of equals."""
        return max(self.months, key=lambda m: m.credit.amount)

    @property
    def share(self) -> Fraction:
        """Credits as a share of the fees."""
        fees = sum((m.fee for m in self.months[1:]), self.months[0].fee)
        return self.total.amount / fees.amount if fees.minor else Fraction(0)

    @property
    def missed(self) -> int:
        """Periods in which something was owed."""
        return sum(m.credit.amount.minor > 0 for m in self.months)


def plan(terms: UptimeTerms, history: Sequence[tuple[Facts, Charges]], zone: ZoneInfo) -> Plan:
    """Price a history of periods under terms, as production would have: the year's cap counts what came before.

    `history` in order of time, each period with what it cost. Raises `ValueError` when there is none.
    """
    if not history:
        raise ValueError("a plan wants at least one period of history")
    months: list[Month] = []
    for facts, charges in history:
        start = facts.period.start.astimezone(zone).date()
        year = [m for m in months if m.start > start - timedelta(days=365)]
        before = sum((m.credit.amount for m in year), Money(0, charges.fee.currency))
        told = charges if charges.credited is not None else replace(charges, credited=before)
        months.append(Month(start, charges.fee, credit(terms, facts, told)))
    return Plan(tuple(months))


@dataclass(frozen=True, slots=True)
class Upstream:
    """What can be claimed of a supplier for what is owed downstream: how much, by when, and whether it is enough.

    `by` is None where the supplier credits unasked. `short` is what we bear ourselves.
    """

    supplier: str
    amount: Money
    by: date | None
    owed: Money

    @property
    def short(self) -> Money:
        """What is owed downstream above what comes from upstream."""
        return max(self.owed - self.amount, Money(0, self.owed.currency))


def upstream(supplier: str, terms: UptimeTerms, found: Credit, owed: Money, end: date) -> Upstream:
    """The claim for a period that ended on `end` (the day after its last), by the supplier's own terms.

    The last day of a claim is counted from the period's end: a window of 30 days from 1 June ends on 1 July.
    """
    by = None if terms.claim.days is None else end + timedelta(days=terms.claim.days)
    return Upstream(supplier, found.amount, by, owed)
