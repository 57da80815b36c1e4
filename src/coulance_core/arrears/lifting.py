"""What must be undone: an act stands only while a debt it was done for still grounds it, by what is known now.

Paying, disputing, a kept plan, an order, an error of ours, a notice or bill that turns out not to have arrived: each
undoes at once what stood on that debt. A promise or a pause undoes nothing, and money on its way only when it is there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from coulance_core.arrears.acts import Reversal, Route
from coulance_core.arrears.amounts import Standing
from coulance_core.arrears.decision import Ground, Lift
from coulance_core.arrears.facts import DebtKind, Done, Evidence, Facts, StayKind
from coulance_core.arrears.guards import minimum_of
from coulance_core.arrears.judging import Judging, PolicyMismatchError
from coulance_core.arrears.packs import LawPack
from coulance_core.arrears.proof import Proof, together
from coulance_core.arrears.terms import INSTALMENT, RESUME, Level, Policy, Step
from coulance_core.kernel import Explanation
from coulance_core.notices import EvidenceKind, judge

_WRONG = (Ground.EVIDENCE_GONE, Ground.BILL_GONE)


def lifts_of(j: Judging) -> tuple[Lift, ...]:
    """Everything that was done and must be undone now, in the order it was done, the latest first."""
    out: list[Lift] = []
    for done in sorted(j.facts.done, key=lambda d: (d.at, d.ref), reverse=True):
        if done.undone_at is not None or (done.observed and not j.observing) or done.step in (RESUME, INSTALMENT):
            continue
        step = j.policy.step(done.step)
        if step is None:
            raise PolicyMismatchError(f"{done.ref} was done by step {done.step!r}, which {j.policy.version} hasn't")
        if step.nature.reversal in (Reversal.NOTHING, Reversal.NEVER):
            continue
        if step.nature.notice and all(_carried_out(j, step, ref) for ref in done.debts):
            continue
        lift = _lift(j, step, done)
        if lift is not None:
            out.append(lift)
    return tuple(out)


def _carried_out(j: Judging, step: Step, debt: str) -> bool:
    """Whether what a notice announced was done: then there is nothing to take back any more."""
    route = [one for one in j.policy.steps if one.route is step.route]
    later = route[route.index(step) + 1 :]
    return any(one.nature.hurts and j.attempts(one.key, debt) for one in later)


def _lift(j: Judging, step: Step, done: Done) -> Lift | None:
    grounds = {ref: ground_gone(j, step, ref) for ref in sorted(done.debts)}
    standing = [ref for ref, gone in grounds.items() if gone is None]
    if standing and not step.nature.hurts:
        return None
    if standing:
        owed: dict[str, int] = {}
        for ref in standing:
            s = j.standing[ref]
            owed[s.debt.open.currency] = owed.get(s.debt.open.currency, 0) + s.owed
        # What is left may be less than the policy would act for: then it doesn't keep acting for it either.
        if any(minor >= minimum_of(j, step, code) for code, minor in owed.items()):
            return None
        gone = Ground.PAID
    else:
        gone = _told(grounds.values())
    by_hand = step.nature.reversal is Reversal.BY_HAND
    since = _wrongful(j, step, done, grounds) if not standing else None
    if by_hand and since is None:
        return None
    e = Explanation.build("arrears.lift", terms=j.policy.version)
    e.fact("done at", done.at.isoformat()).fact("ground", gone.value)
    for ref, ground in grounds.items():
        e.fact(f"ground of {ref}", "stands" if ground is None else f"gone: {ground.value}")
    return Lift(
        done.ref,
        step.key,
        step.act,
        step.nature.inverse,
        done.service,
        gone,
        by_hand=by_hand,
        wrongful_since=since,
        observe=done.observed,
        explanation=e.freeze(),
    )


def _told(grounds: Iterable[Ground | None]) -> Ground:
    """Of several reasons the one to tell: money only where everything was paid."""
    found = {ground for ground in grounds if ground is not None}
    others = [g for g in Ground if g in found and g is not Ground.PAID]
    return others[0] if others else Ground.PAID


def ground_gone(j: Judging, step: Step, ref: str) -> Ground | None:
    """Why a debt doesn't ground a step any more; None while it does."""
    s = j.standing.get(ref)
    if s is None:
        return Ground.PAID
    if step.nature.hurts and not s.is_due:
        return Ground.BILL_GONE
    if step.nature.hurts and _unproven(j, step, s) is not None:
        return Ground.EVIDENCE_GONE
    if s.stay is not None and s.stay.kind.lifts:
        return Ground.STAYED
    if s.plan.kept is not None:
        return Ground.PLANNED
    if not s.undisputed:
        return Ground.DISPUTED
    if not s.owed:
        return Ground.PAID
    kind = s.debt.kind
    if step.route in (Route.RESTRICT, Route.END_AT_TERM) and not kind.is_principal:
        return Ground.NO_GROUND
    if step.route is Route.RESTRICT and kind is DebtKind.OVERAGE and not s.debt.expressly:
        return Ground.NO_GROUND
    return None


def _unproven(j: Judging, step: Step, s: Standing) -> Step | None:
    """The first earlier notice that lacks its evidence now."""
    for before in j.policy.earlier[step.key]:
        if before.evidence is not Level.NONE and j.proven_on(before, s.debt.ref) is None:
            return before
    return None


def _wrongful(j: Judging, step: Step, done: Done, grounds: dict[str, Ground | None]) -> datetime | None:
    """From when an act should not have been: where nothing but our own fault undoes it. None: it was right."""
    starts: list[datetime] = []
    for ref, ground in grounds.items():
        s = j.standing.get(ref)
        if s is not None and ground is Ground.STAYED and s.stay is not None and s.stay.kind is StayKind.OWN_ERROR:
            starts.append(done.at)
        elif ground in _WRONG:
            starts.append(lost_at(j, step, ref, done) or done.at)
        else:
            return None
    return max(starts, default=None)


def lost_at(j: Judging, step: Step, debt: str, done: Done) -> datetime | None:
    """When the ground of an act went for a debt, by its bill or an earlier notice: None where it didn't.

    The act's own instant where, by what is known now, it never had one: a bounce within 72 hours says that a message
    never arrived. A later bounce ends it from then on.
    """
    found: list[datetime] = []
    known = j.debts.get(debt)
    if known is not None and isinstance(known.bill, Evidence):
        found += _gone(j, known.bill, Level.DELIVERED, done)
    for before in j.policy.earlier[step.key]:
        if before.evidence is Level.NONE:
            continue
        sent = [d for d in j.facts.done if d.step == before.key and debt in d.debts and d.at <= done.at]
        real = [d for d in sent if d.evidence is not None]
        if real or not any(d.observed for d in sent):
            found += _gone(j, together(real), before.evidence, done)
    return min(found, default=None)


def _gone(j: Judging, evidence: Evidence, level: Level, done: Done) -> list[datetime]:
    if not _stood(j, evidence, level, done.at):
        return [done.at]
    until = done.undone_at or j.h.at
    back = [e.at for e in evidence.events if e.kind in (EvidenceKind.BOUNCED, EvidenceKind.REFUSED)]
    return [when for when in sorted(back) if done.at < when <= until and not _stood(j, evidence, level, when)][:1]


def _stood(j: Judging, evidence: Evidence, level: Level, at: datetime) -> bool:
    """Whether, by all that is known now, a message counted at an instant."""
    if not evidence.events:
        return False
    judged = judge(evidence.events, at=at, verified=evidence.verified, deemed=j.deemed)
    return Proof(judged.delivered, judged.reached, judged.deemed).since(level) is not None


@dataclass(frozen=True, slots=True)
class Wrongful:
    """A restriction that should not have been, [since, until): downtime of our making. Without an end it lasts."""

    done: str
    step: str
    service: str
    since: datetime
    until: datetime | None


def wrongful_restrictions(
    policy: Policy, facts: Facts, at: datetime, *, law: LawPack | None = None
) -> tuple[Wrongful, ...]:
    """All that was restricted and should not have been, by what is known now, also where it was lifted since.

    An act for several debts is wrongful only while none of them grounded it.
    """
    j = Judging(policy, facts, at, law)
    out: list[Wrongful] = []
    for done in sorted(j.facts.done, key=lambda d: (d.at, d.ref)):
        step = policy.step(done.step)
        if step is None or not step.nature.restricts or done.observed:
            continue
        starts = [_wrong_from(j, step, ref, done) for ref in sorted(done.debts)]
        known = [start for start in starts if start is not None]
        if len(known) == len(starts):
            out.append(Wrongful(done.ref, step.key, done.service, max(known), done.undone_at))
    return tuple(out)


def _wrong_from(j: Judging, step: Step, debt: str, done: Done) -> datetime | None:
    # Our own error was one from the beginning, whenever we found it.
    own = [
        done.at
        for stay in j.facts.stays
        if stay.kind is StayKind.OWN_ERROR and (not stay.debts or debt in stay.debts)
        if done.undone_at is None or stay.since < done.undone_at or stay.since <= done.at
    ]
    gone = lost_at(j, step, debt, done)
    return min([*own, *([gone] if gone else [])], default=None)
