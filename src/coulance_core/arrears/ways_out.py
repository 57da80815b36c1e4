"""What a customer sees on one page: what is owed and why, what happens next and when, and every way to stop it."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from coulance_core.arrears.acts import Act, Route
from coulance_core.arrears.amounts import Standing
from coulance_core.arrears.decide import decide
from coulance_core.arrears.decision import Ahead, Decision, HeldUp
from coulance_core.arrears.facts import DebtKind, Facts
from coulance_core.arrears.judging import Judging
from coulance_core.arrears.packs import LawPack
from coulance_core.arrears.terms import PLAN_RESTARTS, PROMISES, Level, Policy, Step
from coulance_core.kernel import Money


class Way(StrEnum):
    """A way to stop what comes."""

    PAY = "pay"
    PAY_PART = "pay_part"
    PLAN = "plan"
    PROMISE = "promise"
    DISPUTE = "dispute"
    SMALLER_PLAN = "smaller_plan"
    TALK = "talk"


@dataclass(frozen=True, slots=True)
class WayOut:
    """A way, and whether it is open. `amount`: what it takes. `left`: how often more. `why_not` where it is closed."""

    way: Way
    is_open: bool = True
    amount: Money | None = None
    left: int | None = None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Owed:
    """A debt as the customer sees it. Money of its own currency."""

    debt: str
    number: str
    kind: DebtKind
    due_on: date | None
    open: Money
    disputed: Money
    on_its_way: Money
    covered: Money
    net: Money


@dataclass(frozen=True, slots=True)
class Outlook:
    """The page. `to_restore`: by currency, what ends every restriction: undisputed, due principal and nothing else."""

    owed: tuple[Owed, ...]
    to_restore: tuple[Money, ...]
    now: Decision
    coming: tuple[Ahead, ...]
    held_up: tuple[HeldUp, ...]
    ways: tuple[WayOut, ...]


def outlook(policy: Policy, facts: Facts, at: datetime, *, law: LawPack | None = None) -> Outlook:
    """What an account's customer is shown at an instant."""
    j = Judging(policy, facts, at, law)
    decision = decide(policy, facts, at, law=law)
    lines = tuple(_owed(s) for s in sorted(j.standing.values(), key=lambda s: (s.debt.due_on, s.debt.ref)))
    restore: dict[str, int] = {}
    for s in j.standing.values():
        if s.is_due and s.owed and grounds_restriction(s):
            restore[s.debt.open.currency] = restore.get(s.debt.open.currency, 0) + s.owed
    return Outlook(
        lines,
        tuple(Money(minor, code) for code, minor in sorted(restore.items())),
        decision,
        decision.ahead,
        decision.held_up,
        _ways(j, list(j.standing.values())),
    )


@dataclass(frozen=True, slots=True)
class Announced:
    """A step that hurts and rests on a notice: what the notice has to announce, and how many whole days later at the
    earliest."""

    step: str
    route: Route
    act: Act
    days: int


def announces(policy: Policy, notice: str, *, law_days: int = 0) -> tuple[Announced, ...]:
    """What a notice has to announce: in each route, the first step that hurts and that runs from it.

    `law_days`: those of the law's letter that it is.

    >>> from datetime import date
    >>> from coulance_core.arrears.terms import Level, Step
    >>> steps = (Step("demand", Route.DEMAND, Act.DEMAND, days=7, evidence=Level.DELIVERED),
    ...          Step("block", Route.RESTRICT, Act.BLOCK_ORDERS, "demand", 7),
    ...          Step("costs", Route.COLLECT, Act.CHARGE_COSTS, "demand", 3))
    >>> [(a.step, a.days) for a in announces(Policy("p", date(2026, 1, 1), steps), "demand", law_days=14)]
    [('block', 14), ('costs', 14)]
    """
    out: list[Announced] = []
    for route in Route:
        for step in policy.steps:
            if step.route is not route or not step.nature.hurts:
                continue
            proven = [one for one in policy.earlier[step.key] if one.evidence is not Level.NONE]
            if proven and proven[-1].key == notice:
                out.append(Announced(step.key, route, step.act, max(_days_from(policy, step, notice), law_days)))
                break
    return tuple(sorted(out, key=lambda one: (one.days, one.step)))


def _days_from(policy: Policy, step: Step, notice: str) -> int:
    """Days from a notice to a step that runs from it, through the steps in between."""
    days, found = 0, step
    while found.after != notice:
        days += found.days
        before = policy.step(found.after)
        if before is None:
            return max(days, 0)
        found = before
    return days + found.days


def grounds_restriction(s: Standing) -> bool:
    """Whether a debt is of a kind that may restrict: principal, and overage only where the contract says so."""
    return s.debt.kind.is_principal and (s.debt.kind is not DebtKind.OVERAGE or s.debt.expressly)


def _owed(s: Standing) -> Owed:
    code = s.debt.open.currency
    return Owed(
        s.debt.ref,
        s.debt.number,
        s.debt.kind,
        s.due_on,
        s.debt.open,
        Money(s.disputed, code),
        Money(s.in_flight, code),
        Money(s.covered, code),
        Money(s.net, code),
    )


def _ways(j: Judging, all_of: list[Standing]) -> tuple[WayOut, ...]:
    due = [s for s in all_of if s.is_due and s.net]
    if not due:
        return (WayOut(Way.TALK),)
    codes = {s.debt.open.currency for s in due}
    total = Money(sum(s.net for s in due), next(iter(codes))) if len(codes) == 1 else None
    promises = min(PROMISES - min(s.promise.used, PROMISES) for s in due)
    restarts = min(PLAN_RESTARTS + 1 - min(s.plan.breaks, PLAN_RESTARTS + 1) for s in due)
    planned = any(s.plan.kept for s in due)
    contested = {held.debt for held in j.facts.held}
    fresh = [s for s in due if s.debt.ref not in contested]
    return (
        WayOut(Way.PAY, amount=total),
        WayOut(Way.PAY_PART),
        WayOut(
            Way.PLAN,
            restarts > 0 and not planned,
            left=restarts,
            why_not="" if restarts and not planned else ("a plan runs" if planned else "plans were not kept"),
        ),
        WayOut(Way.PROMISE, promises > 0, left=promises, why_not="" if promises else "the promises are used"),
        WayOut(Way.DISPUTE, why_not="" if fresh else "a second dispute needs something new"),
        WayOut(Way.SMALLER_PLAN),
        WayOut(Way.TALK),
    )
