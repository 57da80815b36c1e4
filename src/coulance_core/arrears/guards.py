"""The guards: what keeps a step whose day has come from being done. Judged in a fixed order; the first is told.

Guards of a debt take it out of the step; guards of the act stop what is left of it. Each is one function here and one
name in `refusals`, so that dropping any of them is seen by a test.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from coulance_core.arrears.acts import Act, Route
from coulance_core.arrears.amounts import Standing
from coulance_core.arrears.calendar import closed_because, next_open
from coulance_core.arrears.facts import Debt, DebtKind
from coulance_core.arrears.judging import Judging
from coulance_core.arrears.refusals import Refused
from coulance_core.arrears.terms import DECLINED, DUE, RETRIEVAL_DAYS, Level, Step
from coulance_core.kernel import Explanation, Money, Refusal


def refuse(code: Refused, message: str, j: Judging, facts: Mapping[str, str | int] | None = None) -> Refusal:
    """A refusal with its explanation."""
    e = Explanation.build(f"arrears.{code.value}", terms=j.policy.version)
    e.fact("judged at", j.h.at.isoformat())
    for name, value in (facts or {}).items():
        e.fact(name, value)
    return Refusal(code, message, e.freeze())


def _stayed(j: Judging, _: Step, s: Standing) -> Refusal | None:
    if s.stay is None:
        return None
    until = "" if s.stay.until is None else f" until {s.stay.until.isoformat()}"
    return refuse(
        Refused.STAYED, f"everything rests{until}: {s.stay.kind.value} ({s.stay.ref}) {s.stay.why}".strip(), j
    )


def _bill(j: Judging, step: Step, s: Standing) -> Refusal | None:
    # A bill that came back and was delivered anew is due later, and what was begun before waits for that day.
    early = step.after == DECLINED or (step.after == DUE and step.days < 0)
    if s.due_on is not None and (s.is_due or (early and not step.nature.hurts)):
        return None
    said = f"nobody received {s.debt.number}, so it isn't due"
    if s.due_on is not None:
        said = f"{s.debt.number} came late, so that it is due on {s.due_on.isoformat()}"
    return refuse(
        Refused.BILL_NOT_DELIVERED,
        said,
        j,
        {"bill": s.debt.number, "printed due day": s.debt.due_on.isoformat()},
    )


def _costs(j: Judging, step: Step, s: Standing) -> Refusal | None:
    if s.debt.kind.is_principal or step.route not in (Route.RESTRICT, Route.END_AT_TERM):
        return None
    kind = s.debt.kind.value
    return refuse(Refused.COSTS_NEVER_RESTRICT, f"{s.debt.number} is {kind}: it never restricts", j, {"kind": kind})


def _overage(j: Judging, step: Step, s: Standing) -> Refusal | None:
    if step.route is not Route.RESTRICT or s.debt.kind is not DebtKind.OVERAGE or s.debt.expressly:
        return None
    return refuse(
        Refused.OVERAGE_ALONE,
        f"{s.debt.number} is overage, and the contract doesn't say expressly that it restricts the service",
        j,
        {"kind": s.debt.kind.value},
    )


def _handed_over(j: Judging, step: Step, s: Standing) -> Refusal | None:
    if step.route is not Route.COLLECT or step.act is Act.HAND_OVER or not j.handed_over(s.debt.ref):
        return None
    return refuse(Refused.HANDED_OVER, f"{s.debt.number} is with a collector or mediator: recall it first", j)


def _notices(j: Judging, step: Step, s: Standing) -> Refusal | None:
    missing = missing_notice(j, step, s) if step.nature.hurts else _not_yet_told(j, step, s.debt)
    if missing:
        return refuse(Refused.NOTICE_NOT_RECEIVED, missing, j, {"debt": s.debt.number, "step": step.key})
    return None


def _not_yet_told(j: Judging, step: Step, debt: Debt) -> str:
    """Where a step runs from a notice that isn't proven: its clock doesn't run. In words; empty where it does."""
    before = j.policy.step(step.after)
    if before is None or before.evidence is Level.NONE or j.proven_on(before, debt.ref) is not None:
        return ""
    return f"{before.key} of {debt.number} isn't {before.evidence.value}, so that its days don't run"


def missing_notice(j: Judging, step: Step, s: Standing) -> str:
    """Which earlier notice lacks its evidence, in words; empty where none does.

    After a rest, too: while another rest is on, that is told instead.
    """
    debt = s.debt
    for before in j.policy.earlier[step.key]:
        if before.evidence is not Level.NONE and j.proven_on(before, debt.ref) is None:
            returned = j.proof(before.key, debt.ref).returned
            came = f"; it came back on {j.h.day_of(returned).isoformat()}" if returned else ""
            return f"{before.key} of {debt.number} isn't {before.evidence.value}{came}"
    rule = j.cost_rule(debt) if step.act is Act.CHARGE_COSTS else None
    if rule is not None and rule.letter:
        letters = [b for b in j.policy.earlier[step.key] if b.letter == rule.letter and b.evidence is not Level.NONE]
        if not letters:
            return f"the law wants {rule.letter} before costs, and no step is that letter"
    if not s.rests and not j.resumed(debt, step):
        rest = j.rest_ended(debt)
        said = f" ({rest.what})" if rest else ""
        return f"steps rested{said}, and the notice that they go on isn't received, or its days aren't over"
    return ""


def _dispute(j: Judging, _: Step, s: Standing) -> Refusal | None:
    if s.undisputed or not s.disputed:
        return None
    amount = Money(s.disputed, s.debt.open.currency)
    return refuse(Refused.UNDER_DISPUTE, f"{amount} of {s.debt.number} is contested, and nothing else is open", j)


def _promise(j: Judging, _: Step, s: Standing) -> Refusal | None:
    if s.promise.live is None or s.promise.until is None:
        return None
    until = s.promise.until.isoformat()
    return refuse(
        Refused.PROMISE_LIVE,
        f"the customer promised to pay {s.debt.number}; steps rest through {until}",
        j,
        {"promises so far": s.promise.used, "through": until},
    )


def _plan(j: Judging, _: Step, s: Standing) -> Refusal | None:
    if s.plan.kept is None:
        return None
    return refuse(
        Refused.PLAN_KEPT,
        f"{s.debt.number} is in the payment plan {s.plan.kept.ref}, and it is kept",
        j,
        {"restarts left": s.plan.restarts_left},
    )


def _in_flight(j: Judging, _: Step, s: Standing) -> Refusal | None:
    if not s.undisputed or s.in_flight < s.undisputed:
        return None
    amount = Money(s.in_flight, s.debt.open.currency)
    return refuse(Refused.PAYMENT_IN_FLIGHT, f"{amount} for {s.debt.number} is on its way", j)


def _credit(j: Judging, _: Step, s: Standing) -> Refusal | None:
    if not s.undisputed or not s.covered or s.net:
        return None
    amount = Money(s.covered, s.debt.open.currency)
    return refuse(Refused.CREDIT_ON_HAND, f"we hold {amount} of the customer that covers {s.debt.number}", j)


DebtGuard = Callable[[Judging, Step, Standing], Refusal | None]

DEBT_GUARDS: dict[Refused, DebtGuard] = {
    Refused.STAYED: _stayed,
    Refused.BILL_NOT_DELIVERED: _bill,
    Refused.COSTS_NEVER_RESTRICT: _costs,
    Refused.OVERAGE_ALONE: _overage,
    Refused.HANDED_OVER: _handed_over,
    Refused.NOTICE_NOT_RECEIVED: _notices,
    Refused.UNDER_DISPUTE: _dispute,
    Refused.PROMISE_LIVE: _promise,
    Refused.PLAN_KEPT: _plan,
    Refused.PAYMENT_IN_FLIGHT: _in_flight,
    Refused.CREDIT_ON_HAND: _credit,
}
"""Guards of one debt, in the order of their precedence."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An act before its own guards: the step, what it is done to, the debts that passed, and their net sum."""

    step: Step
    service: str
    debts: Sequence[Standing]
    currency: str

    @property
    def minor(self) -> int:
        """What it is about, in minor units."""
        return sum(s.net for s in self.debts)


def minimum_of(j: Judging, step: Step, currency: str) -> int:
    """From which amount a step is done, in minor units."""
    for money in step.minimum or j.policy.minimum:
        if money.currency == currency:
            return money.minor
    return 0


def _minimum(j: Judging, p: Proposal) -> Refusal | None:
    least = minimum_of(j, p.step, p.currency)
    # A message may speak of all that is due. What hurts counts only what it stands on.
    if p.step.nature.hurts:
        counted = p.minor
    else:
        counted = sum(
            s.net for s in j.standing.values() if s.debt.open.currency == p.currency and (s.is_due or s in p.debts)
        )
    if counted >= least:
        return None
    return refuse(
        Refused.BELOW_MINIMUM,
        f"{Money(counted, p.currency)} is less than {Money(least, p.currency)}, from which on it is done",
        j,
    )


def _backup(j: Judging, p: Proposal) -> Refusal | None:
    if not p.step.nature.withholds or not j.lacks_backup(p.service):
        return None
    if p.step.nature.destroys and not (missing := lacking_for_deletion(j, p.service)):
        return None
    said = f"{p.service} holds data, and no backup of it is verified and younger than {j.policy.backup_days} days"
    if p.step.nature.destroys:
        said += f"; without one, {missing}"
    return refuse(Refused.NO_VERIFIED_BACKUP, said, j, {"service": p.service})


def lacking_for_deletion(j: Judging, service: str) -> str:
    """What is missing before data without a backup may be deleted; empty where nothing is."""
    recorded = any(i.service == service for i in j.facts.impossible)
    if not recorded:
        return "it must be recorded that a backup is impossible"
    for offer in j.facts.retrievals:
        if offer.service == service:
            thirty = offer.offered_at + timedelta(days=RETRIEVAL_DAYS)
            if (offer.until is None or offer.until >= thirty) and j.h.passed(thirty):
                return ""
    return f"retrieval must have been offered for {RETRIEVAL_DAYS} days"


def _calendar(j: Judging, p: Proposal) -> Refusal | None:
    if not p.step.nature.restricts:
        return None
    opens = next_open(j.policy.calendar, j.h.at, j.facts.zone, j.facts.holidays)
    if j.h.passed(opens):
        return None
    why = closed_because(j.policy.calendar, j.h.on, j.facts.holidays) or "outside office hours"
    local = opens.astimezone(j.facts.zone)
    return refuse(
        Refused.OUTSIDE_CALENDAR,
        f"it is {why} where the customer is; open again {local:%Y-%m-%d %H:%M}",
        j,
        {"opens": local.isoformat()},
    )


def _approval(j: Judging, p: Proposal) -> Refusal | None:
    wanted = p.step.people
    if not wanted:
        return None
    people = approvers(j, p.step.key, p.service)
    if len(people) >= wanted:
        return None
    said = f"approved by {', '.join(sorted(people))}" if people else "approved by nobody"
    return refuse(Refused.NEEDS_APPROVAL, f"{wanted} people must approve it; {said}", j, {"wanted": wanted})


def approvers(j: Judging, step: str, service: str) -> frozenset[str]:
    """Who approves a step, by a yes that stands."""
    return frozenset(
        one.by
        for one in j.facts.approvals
        if one.step == step
        and one.service == service
        and one.taken_back_at is None
        and not j.h.passed(one.at + timedelta(days=j.policy.approval_days))
    )


ActGuard = Callable[[Judging, Proposal], Refusal | None]

ACT_GUARDS: dict[Refused, ActGuard] = {
    Refused.BELOW_MINIMUM: _minimum,
    Refused.NO_VERIFIED_BACKUP: _backup,
    Refused.OUTSIDE_CALENDAR: _calendar,
    Refused.NEEDS_APPROVAL: _approval,
}
"""Guards of an act, after those of its debts, in the order of their precedence."""


def debt_refusal(j: Judging, step: Step, standing: Standing) -> Refusal | None:
    """Why a debt takes no part in a step, if it doesn't."""
    for guard in DEBT_GUARDS.values():
        refusal = guard(j, step, standing)
        if refusal is not None:
            return refusal
    return None


def act_refusal(j: Judging, proposal: Proposal) -> Refusal | None:
    """Why an act isn't done, though its debts would have it, if it isn't."""
    for guard in ACT_GUARDS.values():
        refusal = guard(j, proposal)
        if refusal is not None:
            return refusal
    return None
