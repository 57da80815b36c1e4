"""What happens to an account in the days to come, if nobody pays, speaks or objects.

It supposes that every notice arrives as it is sent, and every backup succeeds; that nobody approves, unless told so.
It runs the very judgement that will run then: where those suppositions hold, this is what happens.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta

from coulance_core.arrears.acts import Act, Route
from coulance_core.arrears.decide import decide
from coulance_core.arrears.decision import Decision, Intent
from coulance_core.arrears.facts import Approval, Backup, Done, Evidence, Facts
from coulance_core.arrears.horizon import DAY
from coulance_core.arrears.packs import LawPack
from coulance_core.arrears.refusals import Refused
from coulance_core.arrears.terms import Policy
from coulance_core.kernel import Money
from coulance_core.notices import Channel, Event, EvidenceKind

ROUNDS = 12
"""How many times an instant is judged again after acting at it, before the day is taken to be done."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One thing to come: an act, something undone, or (with `waits_for`) a step whose day comes and that is held up."""

    at: datetime
    step: str
    act: Act
    debts: tuple[str, ...]
    service: str = ""
    route: Route | None = None
    amount: Money | None = None
    undone: bool = False
    waits_for: str = ""


def preview(
    policy: Policy, facts: Facts, at: datetime, *, days: int, law: LawPack | None = None, approved: bool = False
) -> tuple[Planned, ...]:
    """The acts and waits of the next `days`: judged now, and then each day when the calendar opens.

    `approved`: suppose that two people approve whatever wants it.
    """
    out: list[Planned] = []
    told: set[tuple[str, str, str]] = set()
    for when in instants(policy, facts, at, days):
        for _ in range(ROUNDS):
            decision = decide(policy, facts, when, law=law)
            out += [Planned(when, x.step, x.act, (), x.service, undone=True) for x in decision.lifts]
            out += [Planned(when, i.step, i.act, i.debts, i.service, i.route, i.amount) for i in decision.intents]
            facts = suppose(facts, decision, when, approved=approved)
            waiting = [h for h in decision.held_up if h.refusal.code is Refused.NEEDS_APPROVAL]
            if decision.is_quiet and not (approved and waiting):
                break
        for held in decision.held_up:
            mark = (held.step, held.service, held.refusal.code.value)
            if mark not in told:
                told.add(mark)
                out.append(
                    Planned(when, held.step, held.act, held.debts, held.service, waits_for=held.refusal.code.value)
                )
    return tuple(out)


def instants(policy: Policy, facts: Facts, at: datetime, days: int) -> Iterable[datetime]:
    """When an account is judged in the days to come: now, and at the calendar's opening hour of each day after."""
    yield at
    on = at.astimezone(facts.zone).date()
    for n in range(1, days + 1):
        day = on + n * DAY
        yield datetime.combine(day, time(policy.calendar.from_hour), facts.zone).astimezone(at.tzinfo)


def suppose(facts: Facts, decision: Decision, when: datetime, *, approved: bool = False) -> Facts:
    """The facts as they would be, had a decision been carried out at once and well."""
    gone = {lift.done for lift in decision.lifts}
    done = [replace(d, undone_at=when) if d.ref in gone else d for d in facts.done]
    backups = list(facts.backups)
    approvals = list(facts.approvals)
    for intent in decision.intents:
        ref = f"supposed-{len(done)}"
        done.append(_done(ref, intent, when))
        if intent.act is Act.BACK_UP:
            backups.append(Backup(ref, intent.service, when, when, "supposed"))
    if approved:
        for held in decision.held_up:
            if held.refusal.code is Refused.NEEDS_APPROVAL:
                approvals += [Approval(held.step, f"supposed-{n}", when, held.service) for n in (1, 2)]
    return replace(facts, done=tuple(done), backups=tuple(backups), approvals=tuple(approvals))


def _done(ref: str, intent: Intent, when: datetime) -> Done:
    evidence = _taken(intent.channels, when) if intent.channels and not intent.observe else None
    return Done(
        ref,
        intent.step,
        frozenset(intent.debts),
        when,
        intent.service,
        evidence,
        frozenset(channel.value for channel in intent.channels),
        intent.about,
        observed=intent.observe,
    )


def _taken(channels: tuple[Channel, ...], when: datetime) -> Evidence:
    events = tuple(Event(EvidenceKind.ACCEPTED, when, channel.value, channel) for channel in channels)
    return Evidence(events, {channel.value: when - timedelta(days=1) for channel in channels})
