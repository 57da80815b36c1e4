"""The second law as a decision: what to do, what to undo, what is held up, and when to look again."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime

from coulance_core.arrears.acts import Act, Route
from coulance_core.arrears.amounts import Standing
from coulance_core.arrears.decision import Ahead, Decision, HeldUp, Intent, Lift
from coulance_core.arrears.facts import Facts
from coulance_core.arrears.guards import Proposal, act_refusal, debt_refusal
from coulance_core.arrears.intents import intents_of, resend_channels
from coulance_core.arrears.judging import Judging
from coulance_core.arrears.lifting import lifts_of
from coulance_core.arrears.packs import LawPack
from coulance_core.arrears.refusals import Refused
from coulance_core.arrears.reminding import instalments_due, resumptions
from coulance_core.arrears.terms import Level, Policy, Step
from coulance_core.kernel import Refusal
from coulance_core.notices import Channel


def decide(policy: Policy, facts: Facts, at: datetime, *, law: LawPack | None = None) -> Decision:
    """Judge an account at an instant. Only what was known by then counts.

    Raises `PolicyMismatchError` where the case is pinned to another version of the policy.
    """
    j = Judging(policy, facts, at, law)
    out = _Outcome(j)
    lifted = lifts_of(j)
    for step, ready in out.turns():
        out.do(step, ready)
    out.intents += resumptions(j)
    out.intents += instalments_due(j)
    wake = j.h.wake
    return Decision(j.h.at, policy.version, lifted, tuple(out.intents), tuple(out.held_up), tuple(out.ahead), wake)


def lifts(policy: Policy, facts: Facts, at: datetime, *, law: LawPack | None = None) -> tuple[Lift, ...]:
    """What must be undone now: what `decide` says, and nothing else looked at."""
    return lifts_of(Judging(policy, facts, at, law))


def may_execute(
    policy: Policy, facts: Facts, intent: Intent, at: datetime, *, law: LawPack | None = None
) -> Refusal | None:
    """Judge one intent again, at the write, from facts read anew: None, or why not after all.

    It must still be decided as it was: the same step, for the same debts and service, and about the same amount, so
    that no letter asks for what was paid meanwhile.
    """
    decision = decide(policy, facts, at, law=law)
    for one in decision.intents:
        if one.key == intent.key and one.amount == intent.amount:
            return None
    mine = set(intent.debts)
    for held in decision.held_up:
        if held.step == intent.step and held.service in ("", intent.service) and mine & set(held.debts):
            return held.refusal
    return Refusal(Refused.NOT_ASKED, f"{intent.step} isn't to be done as it was decided: judge the account again")


class _Outcome:
    """What a judgement gathers, step by step of the policy."""

    def __init__(self, j: Judging) -> None:
        self.j = j
        self.intents: list[Intent] = []
        self.held_up: list[HeldUp] = []
        self.ahead: list[Ahead] = []

    def turns(self) -> Iterable[tuple[Step, list[Standing]]]:
        """Each step with the debts whose turn it is, and those to which it goes again by another channel."""
        by_step: dict[str, list[Standing]] = defaultdict(list)
        for standing in self.j.standing.values():
            for step in self.j.turn(standing.debt):
                by_step[step.key].append(standing)
        for step in self.j.policy.steps:
            mine = by_step.get(step.key, [])
            if step.every:
                turn = {s.debt.ref for s in mine}
                mine = mine + [
                    s for s in self.j.standing.values()
                    if s.debt.ref not in turn and self.j.comes_again(step, s.debt)
                ]  # fmt: skip
            if mine:
                yield step, mine
            if step.evidence is not Level.NONE:
                turn = {s.debt.ref for s in mine}
                self._again(step, [s for s in self.j.standing.values() if s.debt.ref not in turn])

    def _again(self, step: Step, standings: Sequence[Standing]) -> None:
        """A notice that isn't proven goes out once more, by the next channel."""
        by_channel: dict[tuple[Channel, ...], list[Standing]] = defaultdict(list)
        for standing in standings:
            channels = resend_channels(self.j, step, standing)
            if channels and debt_refusal(self.j, step, standing) is None:
                by_channel[channels].append(standing)
        for channels, group in sorted(by_channel.items(), key=str):
            self._propose(step, "", group, again=channels)

    def do(self, step: Step, standings: Sequence[Standing]) -> None:
        """Do a step for those debts whose day has come and that no guard takes out."""
        j = self.j
        if step.nature.each_service:
            services = list(dict.fromkeys(service for s in standings for service in s.debt.services))
            if step.act is Act.BACK_UP:
                services = [service for service in services if j.wants_backup(service)]
            for service in services:
                mine = [s for s in standings if service in s.debt.services]
                mine = [s for s in mine if step.act is Act.BACK_UP or service not in j.covered(step.key, s.debt.ref)]
                self._pass(step, service, mine)
        else:
            self._pass(step, "", standings)

    def _pass(self, step: Step, service: str, standings: Sequence[Standing]) -> None:
        through: list[Standing] = []
        refused: dict[Refused, list[tuple[Standing, Refusal]]] = defaultdict(list)
        waiting: dict[date, list[Standing]] = defaultdict(list)
        for standing in standings:
            ready = self.j.ready_on(step, standing.debt, service)
            if ready is not None and not self.j.h.reached(ready):
                waiting[ready].append(standing)
                continue
            refusal = debt_refusal(self.j, step, standing)
            if refusal is not None:
                assert isinstance(refusal.code, Refused)
                refused[refusal.code].append((standing, refusal))
            elif ready is not None:
                through.append(standing)
        for day, group in waiting.items():
            self.ahead.append(Ahead(step.key, step.act, _refs(group), day, service))
        for found in refused.values():
            refs = tuple(sorted(s.debt.ref for s, _ in found))
            self.held_up.append(HeldUp(step.key, step.act, refs, found[0][1], service))
        by_currency: dict[str, list[Standing]] = defaultdict(list)
        for standing in through:
            by_currency[standing.debt.open.currency].append(standing)
        for _, group in sorted(by_currency.items()):
            self._propose(step, service, group)

    def _propose(self, step: Step, service: str, group: Sequence[Standing], *, again: tuple[Channel, ...] = ()) -> None:
        j = self.j
        code = group[0].debt.open.currency
        proposal = Proposal(step, service, group, code)
        refusal = act_refusal(j, proposal)
        if refusal is None:
            # The nights that one step charges are no other's: two steps may have their day at once.
            charged = {one.debts for one in self.intents if one.act is Act.CHARGE_INTEREST}
            self.intents += [
                one for one in intents_of(j, proposal, again)
                if one.act is not Act.CHARGE_INTEREST or one.debts not in charged
            ]  # fmt: skip
            return
        self.held_up.append(HeldUp(step.key, step.act, _refs(group), refusal, service))
        if refusal.code is Refused.NO_VERIFIED_BACKUP and j.wants_backup(service):
            for before in j.policy.earlier[step.key]:
                if before.act is Act.BACK_UP and before.route in (step.route, Route.DEMAND):
                    self.intents += intents_of(j, Proposal(before, service, group, code), ())


def _refs(group: Sequence[Standing]) -> tuple[str, ...]:
    return tuple(sorted(s.debt.ref for s in group))
