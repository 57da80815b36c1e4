"""Payment plans and promises: whether they hold steps back, until when, and how much of that a debt has left.

A plan is kept while, by each instalment's day and its grace, as much came in as was due by then. Falling behind is a
lapse; catching up, or a new plan, is the restart, of which a debt has one. Promises count in the order they were made.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from coulance_core.arrears.facts import Plan, Promise
from coulance_core.arrears.horizon import DAY, Horizon
from coulance_core.arrears.terms import PLAN_RESTARTS, PROMISE_DAYS, PROMISES


@dataclass(frozen=True, slots=True)
class Lapse:
    """Days [start, end) on which less had come in than was due; without an end it lasts."""

    start: date
    end: date | None = None


def lapses(plan: Plan, on: date, grace_days: int) -> tuple[Lapse, ...]:
    """When the plan was behind, up to and with `on`. What comes in on a day counts on it; the day after an
    instalment's grace it comes too late, and ends a lapse of no length.

    >>> from datetime import UTC, datetime
    >>> from coulance_core.arrears.facts import Instalment, Paid
    >>> from coulance_core.kernel import Money
    >>> eur = lambda minor: Money(minor, "EUR")
    >>> plan = Plan("p", frozenset({"a"}), datetime(2026, 1, 1, tzinfo=UTC),
    ...             (Instalment(date(2026, 2, 1), eur(50)), Instalment(date(2026, 3, 1), eur(50))),
    ...             (Paid(date(2026, 2, 10), eur(50)),))
    >>> [(str(x.start), str(x.end)) for x in lapses(plan, date(2026, 3, 1), 3)]
    [('2026-02-05', '2026-02-10')]
    """
    asked = sorted((i.due_on + timedelta(days=grace_days + 1), i.amount.minor) for i in plan.instalments)
    came = sorted((p.on, p.amount.minor) for p in plan.paid if p.on <= on)
    out: list[Lapse] = []
    start: date | None = None
    for day in sorted({when for when, _ in (*asked, *came) if when <= on}):
        wanted = sum(minor for when, minor in asked if when <= day)
        had = sum(minor for when, minor in came if when < day)
        if start is None and had < wanted:
            start = day
        if start is not None and had + sum(minor for when, minor in came if when == day) >= wanted:
            out.append(Lapse(start, day))
            start = None
    if start is not None:
        out.append(Lapse(start))
    return tuple(out)


@dataclass(frozen=True, slots=True)
class PlanStanding:
    """What plans do for a debt. `kept`: the plan that holds steps back now. `ended_on`: the latest day on which one
    stopped doing so. `breaks`: how often one was not kept, or left for another."""

    kept: Plan | None
    ended_on: date | None
    breaks: int

    @property
    def restarts_left(self) -> int:
        """How many more times a plan may begin again."""
        return max(0, PLAN_RESTARTS - self.breaks)


NO_PLAN = PlanStanding(None, None, 0)


def plan_standing(plans: Iterable[Plan], h: Horizon, grace_days: int) -> PlanStanding:
    """What the plans of one debt do for it."""
    ordered = sorted(plans, key=lambda plan: (plan.agreed_at, plan.ref))
    if not ordered:
        return NO_PLAN
    breaks = 0
    ends: list[date] = []
    behind = False
    for plan, after in zip(ordered, [*ordered[1:], None], strict=True):
        # What falls due of a plan that was over by then is no lapse: it was ended, or left for the next.
        over = [h.day_of(end) for end in (plan.ended_at, after.agreed_at if after else None) if end is not None]
        found = lapses(plan, min([h.on, *over]), grace_days)
        behind = bool(found) and found[-1].end is None
        ends += [lapse.start for lapse in found]
        if plan.ended_at is not None:
            ends.append(h.day_of(plan.ended_at))
        breaks += len(found) + (bool(over) and not behind)
    last = ordered[-1]
    deadlines = sorted(i.due_on + timedelta(days=grace_days) for i in last.instalments)
    for deadline in deadlines:
        if not h.over(deadline):
            break
    through = not deadlines or h.over(deadlines[-1])
    if through and deadlines:
        ends.append(deadlines[-1] + DAY)
    kept = not through and not behind and last.ended_at is None and breaks <= PLAN_RESTARTS
    return PlanStanding(last if kept else None, max(ends, default=None), breaks)


@dataclass(frozen=True, slots=True)
class PromiseStanding:
    """What promises do for a debt. `live` holds steps back through `until`. `ended_on`: the latest day after one that
    counted. `used`: how many were made."""

    live: Promise | None
    until: date | None
    ended_on: date | None
    used: int

    @property
    def left(self) -> int:
        """How many more would count."""
        return max(0, PROMISES - self.used)


NO_PROMISE = PromiseStanding(None, None, None, 0)


def promise_standing(promises: Iterable[Promise], h: Horizon) -> PromiseStanding:
    """What the promises for one debt do for it: the first two, each for 14 days at most."""
    ordered = sorted(promises, key=lambda promise: (promise.made_at, promise.ref))
    if not ordered:
        return NO_PROMISE
    live: Promise | None = None
    until: date | None = None
    ended: list[date] = []
    for promise in ordered[:PROMISES]:
        last = last_day(promise, h)
        if h.over(last):
            ended.append(last + DAY)
        elif until is None or last > until:
            live, until = promise, last
    return PromiseStanding(live, until, max(ended, default=None), len(ordered))


def last_day(promise: Promise, h: Horizon) -> date:
    """The last day on which a promise holds steps back."""
    return min(promise.pay_by, h.day_of(promise.made_at) + timedelta(days=PROMISE_DAYS))


def covering(debt: str, all_of: Sequence[Plan]) -> list[Plan]:
    """The plans over a debt."""
    return [plan for plan in all_of if debt in plan.debts]
