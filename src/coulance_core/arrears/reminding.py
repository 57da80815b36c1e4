"""Notices beside the ladder: that steps go on after a rest, and that an instalment is due."""

from collections import defaultdict
from datetime import timedelta

from coulance_core.arrears.acts import Act, Route
from coulance_core.arrears.amounts import Standing
from coulance_core.arrears.decision import Intent
from coulance_core.arrears.facts import Plan
from coulance_core.arrears.guards import Proposal, act_refusal, debt_refusal
from coulance_core.arrears.horizon import DAY
from coulance_core.arrears.judging import Judging
from coulance_core.arrears.terms import INSTALMENT, RESUME, Level, Step
from coulance_core.kernel import Explanation, Money
from coulance_core.notices import Channel

AGAIN_DAYS = 3


def resumptions(j: Judging) -> list[Intent]:
    """The notice that steps go on, for debts whose next step hurts, after the latest rest, once a rest and channel."""
    step = Step(RESUME, Route.DEMAND, Act.DEMAND, evidence=Level.DELIVERED, channels=j.policy.resume_channels)
    groups: dict[tuple[str, str, tuple[Channel, ...]], list[Standing]] = defaultdict(list)
    for s in j.standing.values():
        rest = j.rest_ended(s.debt)
        if rest is None:
            continue
        given = j.handed_over(s.debt.ref)
        ahead = [one for one in j.turn(s.debt) if one.nature.hurts and not (given and one.route is Route.COLLECT)]
        if not ahead or all(j.resumed(s.debt, one) for one in ahead):
            continue
        channels = _channels(j, s, rest.about)
        if channels and debt_refusal(j, step, s) is None:
            groups[rest.about, s.debt.open.currency, channels].append(s)
    out = []
    for (about, code, channels), group in sorted(groups.items(), key=str):
        proposal = Proposal(step, "", group, code)
        if act_refusal(j, proposal) is None:
            build = Explanation.build("arrears.resume", terms=j.policy.version)
            build.fact("rested", about).fact("days until the next step", j.policy.resume_days)
            out.append(
                Intent(
                    RESUME,
                    Route.DEMAND,
                    Act.DEMAND,
                    tuple(sorted(s.debt.ref for s in group)),
                    Money(proposal.minor, code),
                    channels=channels,
                    about=about,
                    observe=j.observing,
                    explanation=build.freeze(),
                )
            )
    return out


def _channels(j: Judging, s: Standing, about: str) -> tuple[Channel, ...]:
    told = [done for done in j.attempts(RESUME, s.debt.ref) if done.about == about]
    channels = j.policy.resume_channels
    if not told:
        return channels[:1]
    proof = j.prove(told)
    if proof.since(Level.DELIVERED) is not None:
        return ()
    used = {channel for done in told for channel in (done.channels or {channels[0].value})}
    left = [channel for channel in channels if channel.value not in used]
    if not left:
        return ()
    last = j.h.day_of(max(done.at for done in told))
    if proof.returned is None and not j.h.reached(last + timedelta(days=AGAIN_DAYS)):
        return ()
    return (left[0],)


def instalments_due(j: Judging) -> list[Intent]:
    """Reminders of instalments that aren't in yet, of plans that are kept: each of the policy's days once."""
    plans = {s.plan.kept.ref: s.plan.kept for s in j.standing.values() if s.plan.kept is not None}
    out = []
    for _, plan in sorted(plans.items()):
        out += _of_plan(j, plan)
    return out


def _of_plan(j: Judging, plan: Plan) -> list[Intent]:
    debts = tuple(sorted(ref for ref in plan.debts if ref in j.standing and not j.standing[ref].stay))
    if not debts:
        return []
    told = {done.about for ref in debts for done in j.attempts(INSTALMENT, ref)}
    came = sum(paid.amount.minor for paid in plan.paid if paid.on <= j.h.on)
    asked = 0
    for number, instalment in enumerate(sorted(plan.instalments, key=lambda i: i.due_on), 1):
        asked += instalment.amount.minor
        missing = min(asked - came, instalment.amount.minor)
        if missing <= 0:
            continue
        # The latest that has come; an earlier one that nobody sent has no meaning any more.
        come = [days for days in sorted(j.policy.plans.remind_days) if j.h.reached(instalment.due_on + days * DAY)]
        if not come:
            break
        about = f"{plan.ref}/{number}/{come[-1]}"
        late = come[-1] < 0 and j.h.reached(instalment.due_on)
        if about in told or late:
            continue
        code = instalment.amount.currency
        build = Explanation.build("arrears.instalment", terms=j.policy.version)
        build.fact("instalment", instalment.amount.amount, code, f"due {instalment.due_on.isoformat()}")
        build.fact("missing", Money(missing, code).amount, code)
        return [
            Intent(
                INSTALMENT,
                Route.DEMAND,
                Act.REMIND,
                debts,
                Money(missing, code),
                channels=(Channel.EMAIL,),
                about=about,
                observe=j.observing,
                explanation=build.freeze(),
            )
        ]
    return []
