"""From a step and the debts that pass its guards to what is to be done: by which channels, for how much, and why."""

from collections.abc import Sequence
from datetime import timedelta

from coulance_core.arrears.acts import Act
from coulance_core.arrears.amounts import Standing
from coulance_core.arrears.costs import collection_costs, reminder_fee
from coulance_core.arrears.decision import Intent
from coulance_core.arrears.guards import Proposal
from coulance_core.arrears.judging import Judging
from coulance_core.arrears.packs import Per
from coulance_core.arrears.terms import DUE, Level, Step
from coulance_core.kernel import Explanation, Money
from coulance_core.kernel.explanation import ExplanationBuilder
from coulance_core.notices import Channel

_ENDS = frozenset({Act.TERMINATE, Act.DELETE, Act.NOT_RENEW, Act.HAND_OVER})


def intents_of(j: Judging, p: Proposal, again: tuple[Channel, ...] = ()) -> list[Intent]:
    """What a proposal that passed comes to. A charge that is counted by debt is one intent a debt."""
    step = p.step
    if step.act is Act.BACK_UP and _tried(j, p):
        return []
    if step.act is Act.CHARGE_COSTS:
        rule = j.cost_rule(p.debts[0].debt)
        if rule is not None and rule.per is Per.DEBT:
            return [_costs(j, p, [s]) for s in p.debts]
        return [_costs(j, p, p.debts)]
    if step.act is Act.CHARGE_INTEREST:
        return [one for s in p.debts if (one := _interest(j, p, s)) is not None]
    fee = None
    build = Explanation.build(f"arrears.{step.act.value}", terms=j.policy.version)
    for s in p.debts:
        _explain(build, s)
    parts = [f"net of {s.debt.number} ({s.debt.ref})" for s in p.debts]
    build.step("about", "add", *parts, unit=p.currency)
    if step.fee is not None and step.fee.minor and step.fee.currency == p.currency and not again:
        rule_fee = j.law.fees_for(j.facts.debtor, j.h.on) if j.law else None
        cost = reminder_fee(j.law, rule_fee, step.fee, before=_reminders(j, p))
        fee = cost.amount
        build.child(cost.explanation)
    if step.within and j.facts.remind_days:
        build.fact("days before, as they pay", j.facts.remind_days, source="how they paid in the last two years")
        build.fact("not before", step.within[0], "days").fact("not after", step.within[1], "days")
    worth = j.facts.worth if step.act in _ENDS else None
    if worth is not None:
        build.fact("worth in a year", worth.yearly.amount, worth.yearly.currency, "the account's fees")
        build.fact("paid so far", worth.paid.amount, worth.paid.currency, f"with us since {worth.since.isoformat()}")
    if step.to:
        build.note(f"to {step.to}")
    return [
        Intent(
            step.key,
            step.route,
            step.act,
            _refs(p.debts),
            Money(p.minor, p.currency),
            service=p.service,
            channels=(again or first_channels(step)) if step.nature.notice else (),
            fee=fee,
            letter=step.letter,
            worth=worth,
            observe=j.observing,
            explanation=build.freeze(),
        )
    ]


def _explain(build: ExplanationBuilder, s: Standing) -> None:
    """The arithmetic of one debt: open, less contested, on its way, covered."""
    code, name = s.debt.open.currency, f"{s.debt.number} ({s.debt.ref})"
    due = "" if s.due_on is None else f"due {s.due_on.isoformat()}"
    build.fact(f"open on {name}", s.debt.open.amount, code, due)
    names = [f"open on {name}"]
    for word, minor in (("contested", s.disputed), ("on its way", s.in_flight), ("covered", s.covered)):
        if minor:
            build.fact(f"{word} of {name}", Money(-minor, code).amount, code)
            names.append(f"{word} of {name}")
    build.step(f"net of {name}", "add", *names, unit=code)


def _refs(debts: Sequence[Standing]) -> tuple[str, ...]:
    return tuple(sorted(s.debt.ref for s in debts))


def _tried(j: Judging, p: Proposal) -> bool:
    """Whether a backup of the service was begun so lately that it is waited for."""
    begun = [d.at for s in p.debts for d in j.attempts(p.step.key, s.debt.ref) if d.service == p.service]
    return bool(begun) and not j.h.passed(max(begun) + timedelta(days=p.step.again_days))


def _reminders(j: Judging, p: Proposal) -> int:
    """How many reminders of these debts went out after they were due; one that went by two channels is one."""
    said = [s for s in j.policy.steps if s.act in (Act.REMIND, Act.DEMAND)]
    keys = {s.key for s in said if s.after != DUE or s.days > 0}
    return max(sum(bool(j.attempts(key, s.debt.ref)) for key in keys) for s in p.debts)


def _costs(j: Judging, p: Proposal, debts: Sequence[Standing]) -> Intent:
    rule = j.cost_rule(debts[0].debt)
    assert rule is not None  # else the step is moot
    assert j.law is not None
    cost = collection_costs(j.law, rule, [(s.debt.number, Money(s.net, p.currency)) for s in debts])
    return Intent(
        p.step.key,
        p.step.route,
        p.step.act,
        _refs(debts),
        cost.amount,
        letter=rule.letter,
        observe=j.observing,
        explanation=cost.explanation,
    )


def _interest(j: Judging, p: Proposal, s: Standing) -> Intent | None:
    found = j.interest(s.debt)
    if found is None or not found.amount.minor:
        return None
    return Intent(
        p.step.key,
        p.step.route,
        p.step.act,
        (s.debt.ref,),
        found.amount,
        observe=j.observing,
        explanation=found.explanation,
    )


def first_channels(step: Step) -> tuple[Channel, ...]:
    """By which channels a notice goes at first: one; the formal way wants all at once."""
    return step.channels if step.evidence is Level.DEEMED else step.channels[:1]


def resend_channels(j: Judging, step: Step, s: Standing) -> tuple[Channel, ...]:
    """By which channel a notice goes again: the next, where what was sent isn't proven and came back or had its time.

    Empty: not again (yet).
    """
    attempts = j.attempts(step.key, s.debt.ref)
    if not attempts or step.evidence is Level.NONE or j.proven_on(step, s.debt.ref) is not None:
        return ()
    used = {channel for done in attempts for channel in (done.channels or {step.channels[0].value})}
    left = [channel for channel in step.channels if channel.value not in used]
    if not left:
        return ()
    last = max(done.at for done in attempts)
    back = j.proof(step.key, s.debt.ref).returned is not None
    return (left[0],) if back or j.h.reached(j.h.day_of(last) + timedelta(days=step.again_days)) else ()
