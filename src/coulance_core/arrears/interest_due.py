"""The interest that a debt owes by the law and that wasn't charged yet: which nights bear it, and which don't."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from coulance_core.arrears.amounts import Standing
from coulance_core.arrears.facts import Facts, Plan, StayKind
from coulance_core.arrears.horizon import DAY, Horizon
from coulance_core.arrears.interest import Interest, accrue
from coulance_core.arrears.packs import InterestRule, LawPack
from coulance_core.arrears.plans import covering, lapses
from coulance_core.kernel import Money


def interest_due(
    law: LawPack,
    rule: InterestRule,
    s: Standing,
    facts: Facts,
    h: Horizon,
    *,
    begins: date,
    since: date | None = None,
    grace_days: int = 0,
) -> Interest:
    """Interest on what isn't contested, after the day `begins`, up to and with today; from `since` on, up to which it
    was charged.

    It rests while a delay is ours, while everything rests by an error of ours, and while a payment plan holds: that
    bears what was agreed with it, or nothing.
    """
    paid = sum(part.amount.minor for part in s.debt.paid)
    rests = [*s.debt.our_delay, *interest_rests(s.debt.ref, facts, h, grace_days)]
    return accrue(
        law,
        rule,
        Money(s.debt.open.minor - s.disputed + paid, s.debt.open.currency),
        due=begins,
        until=h.on,
        since=since,
        paid=s.debt.paid,
        rests=rests,
        name=s.debt.number,
    )


def interest_rests(debt: str, facts: Facts, h: Horizon, grace_days: int) -> Sequence[tuple[date, date | None]]:
    """Days [from, until) on which interest on a debt rests, our delay in a dispute apart: errors of ours, plans."""
    return [*_stays(facts, debt, h), *(plan_span(plan, h, grace_days) for plan in covering(debt, facts.plans))]


def _stays(facts: Facts, debt: str, h: Horizon) -> Iterable[tuple[date, date | None]]:
    for stay in facts.stays:
        if stay.kind is StayKind.OWN_ERROR and (not stay.debts or debt in stay.debts):
            # An error of ours was there before anybody saw it.
            yield date.min, None if stay.until is None else h.day_of(stay.until)


def plan_span(plan: Plan, h: Horizon, grace_days: int) -> tuple[date, date]:
    """Days [from, until) on which a plan holds, as far as it did by today: until it was ended, not kept any more, or
    its last day was over."""
    start = h.day_of(plan.agreed_at)
    ends = [h.on]
    if plan.instalments:
        ends.append(max(one.due_on for one in plan.instalments) + timedelta(days=grace_days) + DAY)
    if plan.ended_at is not None:
        ends.append(h.day_of(plan.ended_at))
    ends += [one.start for one in lapses(plan, h.on, grace_days) if one.end is None]
    return start, max(start, min(ends))
