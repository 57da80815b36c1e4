"""An account as it is judged at an instant: each debt's amounts and what holds it, each step's turn and its day.

It holds nothing that doesn't follow from the facts. The guards and the decision read from it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from coulance_core.arrears.acts import Act, Route
from coulance_core.arrears.amounts import Rest, Standing, debts_standing
from coulance_core.arrears.facts import Backup, Debt, Done, Facts, Service
from coulance_core.arrears.horizon import DAY, Horizon
from coulance_core.arrears.interest import Interest
from coulance_core.arrears.interest_due import interest_due
from coulance_core.arrears.packs import Begins, CostRule, InterestRule, LawPack, LetterRule
from coulance_core.arrears.proof import UNPROVEN, Proof, days_run_from, proof_of, together
from coulance_core.arrears.terms import DECLINED, DUE, RESUME, TERM, Level, Mode, Policy, Step
from coulance_core.notices import DeemedRule


class PolicyMismatchError(ValueError):
    """A case that is pinned to one version of a policy was judged by another."""


class Judging:
    """The facts of an account under a policy at an instant. What is asked twice is computed once."""

    def __init__(self, policy: Policy, facts: Facts, at: datetime, law: LawPack | None) -> None:
        if facts.pinned and facts.pinned != policy.version:
            raise PolicyMismatchError(f"the case is judged by {facts.pinned}, not by {policy.version}")
        self.policy, self.law = policy, law
        self.facts = facts = facts.known(at)
        self.h = Horizon(at, facts.zone)
        self.observing = policy.mode is Mode.OBSERVE
        self.services: Mapping[str, Service] = {service.ref: service for service in facts.services}
        self.debts: Mapping[str, Debt] = {debt.ref: debt for debt in facts.debts}
        self._by_step: dict[tuple[str, str], list[Done]] = defaultdict(list)
        self._recalled: dict[tuple[str, str], date] = {}
        for done in facts.done:
            if done.recalled and done.undone_at is not None:
                self._recalled |= {(done.step, ref): self.h.day_of(done.undone_at) for ref in done.debts}
            if done.undone_at is None and (self.observing or not done.observed):
                for ref in done.debts:
                    self._by_step[done.step, ref].append(done)
        self._turns: dict[str, list[Step]] = {}
        self._proofs: dict[tuple[str, str], Proof] = {}
        self._proven: dict[tuple[str, str], date | None] = {}
        self.deemed: DeemedRule | None = law.deemed_for(facts.debtor, self.h.on) if law else None
        self.standing: Mapping[str, Standing] = debts_standing(policy, facts, self.h, self.deemed)

    # --- what was done

    def attempts(self, step: str, debt: str) -> Sequence[Done]:
        """What was done of a step for a debt and stands, in no order."""
        return self._by_step.get((step, debt), ())

    def done_on(self, step: str, debt: str) -> date | None:
        """The day a step was last done for a debt."""
        found = self.attempts(step, debt)
        return self.h.day_of(max(done.at for done in found)) if found else None

    def covered(self, step: str, debt: str) -> frozenset[str]:
        """The services to which a step was done for a debt."""
        return frozenset(done.service for done in self.attempts(step, debt))

    def is_done(self, step: Step, debt: Debt) -> bool:
        """Whether nothing of a step is left to do for a debt."""
        if step.act is Act.BACK_UP:
            return self._passed(step, debt) or not any(self.wants_backup(service) for service in debt.services)
        if not step.nature.each_service:
            return bool(self.attempts(step.key, debt.ref)) or (step.key, debt.ref) in self._recalled
        return bool(debt.services) and self.covered(step.key, debt.ref).issuperset(debt.services)

    def _passed(self, step: Step, debt: Debt) -> bool:
        """Whether a later step of the route was done already, so that a backup's turn is over."""
        own = [s.key for s in self.policy.steps if s.route is step.route]
        return any(self.attempts(key, debt.ref) for key in own[own.index(step.key) + 1 :])

    # --- what was proven

    def proof(self, step: str, debt: str) -> Proof:
        """What is proven of the notice of a step to a debt, by all attempts together."""
        key = (step, debt)
        if key not in self._proofs:
            self._proofs[key] = self.prove(self.attempts(step, debt))
        return self._proofs[key]

    def prove(self, attempts: Sequence[Done]) -> Proof:
        """What is proven by some attempts at one notice."""
        found = sorted(attempts, key=lambda done: (done.at, done.ref))
        real = [done for done in found if done.evidence is not None and done.says_way_out]
        if not real:
            seen = [done for done in found if done.observed]
            # In observe mode nothing was sent, and everything is taken to have arrived.
            return Proof(seen[0].at, seen[0].at, seen[0].at) if seen and self.observing else UNPROVEN
        return proof_of(together(real), self.h, self.deemed)

    def proven_on(self, step: Step, debt: str) -> date | None:
        """The day from which a notice has the evidence that its step names. Where it names none: the day it went."""
        key = (step.key, debt)
        if key not in self._proven:
            if step.evidence is Level.NONE:
                self._proven[key] = self.done_on(step.key, debt)
            else:
                since = self.proof(step.key, debt).since(step.evidence)
                self._proven[key] = None if since is None else self.h.day_of(since)
        return self._proven[key]

    def letter(self, step: Step, debt: Debt) -> LetterRule | None:
        """The law's letter that a step is."""
        if not step.letter or self.law is None:
            return None
        return self.law.letter_for(step.letter, self.facts.debtor, debt.due_on)

    def runs_from(self, step: Step, debt: Debt) -> date | None:
        """The day of a notice that isn't counted yet: its receipt; None where it isn't proven."""
        proven = self.proven_on(step, debt.ref)
        if proven is None:
            return None
        sent: dict[str, date] = {}
        for done in self.attempts(step.key, debt.ref):
            for channel in done.channels or ("email",):
                sent[channel] = max(sent.get(channel, date.min), self.h.day_of(done.at))
        return days_run_from(proven, sent, self.letter(step, debt), self.facts.holidays)

    # --- whose turn it is

    def is_moot(self, step: Step, debt: Debt) -> bool:
        """Whether a step has no meaning for a debt (any more), so that the next one's turn comes."""
        if step.act is Act.CHARGE_COSTS:
            return not debt.kind.is_principal or self.cost_rule(debt) is None
        if step.act is Act.CHARGE_INTEREST:
            return not debt.kind.is_principal or self.interest_rule(debt) is None
        if step.after == DECLINED:
            return not any(code in step.codes for code, _ in debt.declined)
        if step.after == DUE and step.days <= 0 and step.evidence is Level.NONE and step.nature.notice:
            due = self.standing[debt.ref].due_on
            return due is not None and self.h.reached(due if step.days < 0 else due + DAY)
        return False

    def handed_over(self, debt: str) -> bool:
        """Whether a debt is with a collector or mediator."""
        return any(step.act is Act.HAND_OVER and self.attempts(step.key, debt) for step in self.policy.steps)

    def interest(self, debt: Debt) -> Interest | None:
        """What interest has run up on a debt and wasn't charged yet; None where no law gives any, or it isn't due."""
        rule, s = self.interest_rule(debt), self.standing[debt.ref]
        begins = None if rule is None else self.interest_begins(rule, debt)
        if rule is None or self.law is None or begins is None:
            return None
        keys = [step.key for step in self.policy.steps if step.act is Act.CHARGE_INTEREST]
        charged = [day for key in keys if (day := self.done_on(key, debt.ref)) is not None]
        return interest_due(
            self.law, rule, s, self.facts, self.h, begins=begins, since=max(charged, default=None),
            grace_days=self.policy.plans.grace_days,
        )  # fmt: skip

    def interest_begins(self, rule: InterestRule, debt: Debt) -> date | None:
        """The day after which a debt bears interest by a rule; None where that hasn't begun, or can't be told."""
        due = self.standing[debt.ref].due_on
        if due is None or rule.begins is Begins.DUE:
            return due
        told = [step for step in self.policy.steps if step.evidence is not Level.NONE and step.nature.notice]
        if rule.begins is Begins.NOTICE:
            days = [self.proven_on(step, debt.ref) for step in told]
        else:
            days = [self._letter_over(step, debt) for step in told if step.letter == rule.letter]
        known = [day for day in days if day is not None]
        return max(due, min(known)) if known else None

    def _letter_over(self, step: Step, debt: Debt) -> date | None:
        """The last of the days that the law's letter gives; None where they don't run yet."""
        from_day, letter = self.runs_from(step, debt), self.letter(step, debt)
        return None if from_day is None or letter is None else from_day + timedelta(days=letter.days)

    def comes_again(self, step: Step, debt: Debt) -> bool:
        """Whether a step that repeats has its turn again for a debt."""
        last = self.done_on(step.key, debt.ref) if step.every else None
        return last is not None and self.h.reached(last + timedelta(days=step.every)) and not self._nothing(step, debt)

    def _nothing(self, step: Step, debt: Debt) -> bool:
        """Whether it is a charge of interest whose day has come, and nothing has run up."""
        if step.act is not Act.CHARGE_INTEREST:
            return False
        ready = self.ready_on(step, debt)
        if ready is None or not self.h.reached(ready):
            return False
        found = self.interest(debt)
        if found is not None and found.amount.minor:
            return False
        self.h.reached(self.h.on + DAY)  # tomorrow there may be some
        return True

    def cost_rule(self, debt: Debt) -> CostRule | None:
        """What collecting this debt may cost."""
        if self.law is None:
            return None
        return self.law.costs_for(self.facts.debtor, debt.due_on, debt.open.currency)

    def interest_rule(self, debt: Debt) -> InterestRule | None:
        """By which rule this debt bears interest."""
        return self.law.interest_for(self.facts.debtor, debt.due_on) if self.law else None

    def turn(self, debt: Debt) -> Sequence[Step]:
        """The step of each route whose turn it is for a debt: the first that is neither done nor moot, if all that
        come before it are."""
        found = self._turns.get(debt.ref)
        if found is None:
            found = self._turns[debt.ref] = self._turn(debt)
        return found

    def _turn(self, debt: Debt) -> list[Step]:
        settled: dict[str, bool] = {}
        out: list[Step] = []
        blocked: set[Route] = set()
        for step in self.policy.steps:
            if step.route in blocked:
                continue
            settled[step.key] = self.is_moot(step, debt) or self.is_done(step, debt)
            if not settled[step.key]:
                # What stands before it in another route's file order is settled, or blocked with its own route.
                mine = all(settled.get(one.key, False) for one in self.policy.earlier[step.key])
                if mine and self._nothing(step, debt):
                    settled[step.key] = True
                    continue
                blocked.add(step.route)
                if mine:
                    out.append(step)
        return out

    def ready_on(self, step: Step, debt: Debt, service: str = "") -> date | None:
        """The day from which a step whose turn it is may be done; None: no day can be told yet."""
        day = self._trigger(step, debt, service, self.standing[debt.ref].due_on or debt.due_on)
        if day is None or not step.nature.hurts:
            return day
        for before in self.policy.earlier[step.key]:
            if before.evidence is Level.NONE or self.is_moot(before, debt):
                continue
            from_day = self.runs_from(before, debt)
            letter = self.letter(before, debt)
            if from_day is None:
                return day  # held up by the guard, and no later for it
            day = max(day, from_day + timedelta(days=letter.days if letter else 0) + DAY)
        return day

    def _trigger(self, step: Step, debt: Debt, service: str, due: date) -> date | None:
        days = timedelta(days=step.days)
        if step.after == DUE:
            if step.within and self.facts.remind_days:
                days = timedelta(days=max(step.within[0], min(step.within[1], -self.facts.remind_days)))
            day = due + days
            for earlier in reversed(self.policy.earlier[step.key]):
                done_on = self.done_on(earlier.key, debt.ref)
                if earlier.after == DUE and done_on is not None:
                    # Steps keep their distance: where one came late, the next does too.
                    return max(day, done_on + timedelta(days=max(step.days - earlier.days, 0)))
            return day
        if step.after == DECLINED:
            return min(on for code, on in debt.declined if code in step.codes) + days
        if step.after == TERM:
            ends = self.services[service].term_ends_on if service in self.services else None
            return None if ends is None else ends + days
        before = self.policy.step(step.after)
        if before is None or self.is_moot(before, debt):
            return due + days
        if before.nature.notice:
            from_day = self.runs_from(before, debt)
            return None if from_day is None else from_day + days + DAY
        done_on = self.done_on(before.key, debt.ref) or self._recalled.get((before.key, debt.ref))
        return (done_on or self.h.on) + days

    # --- data

    def lacks_backup(self, service: str) -> bool:
        """Whether we hold data of a service, and no verified and young backup of it."""
        known = self.services.get(service)
        if known is not None and not known.holds_data:
            return False
        return not any(self._counts(b) for b in self.facts.backups if b.service == service)

    def wants_backup(self, service: str) -> bool:
        """Whether a backup should be made: it lacks, and nobody recorded that none can be."""
        return self.lacks_backup(service) and not any(i.service == service for i in self.facts.impossible)

    def _counts(self, backup: Backup) -> bool:
        if backup.verified_at is None or backup.lost_at is not None:
            return False
        return not self.h.passed(backup.made_at + timedelta(days=self.policy.backup_days))

    # --- what goes on again

    def rest_ended(self, debt: Debt) -> Rest | None:
        """The latest instant at which something that held steps back was over, with the debt unpaid."""
        return max(self.standing[debt.ref].rests_ended, default=None)

    def resumed(self, debt: Debt, step: Step) -> bool:
        """Whether the customer was told, with proof, that steps go on, after the latest rest: by the notice that says
        so, and its days are over; or by a notice of the ladder itself."""
        rest = self.rest_ended(debt)
        if rest is None:
            return True
        told = [done for done in self.attempts(RESUME, debt.ref) if done.about == rest.about]
        if told:
            proven = self.prove(told).since(Level.DELIVERED)
            if proven is not None and self.h.over(self.h.day_of(proven) + timedelta(days=self.policy.resume_days)):
                return True
        for before in self.policy.earlier[step.key]:
            if before.evidence is Level.NONE:
                continue
            after = [done for done in self.attempts(before.key, debt.ref) if done.at >= rest.at]
            if after and self.prove(after).since(before.evidence) is not None:
                return True
        return False
