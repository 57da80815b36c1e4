"""What of each debt counts: open, less what is contested, on its way, or covered by money that we hold; and what rests
its steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from coulance_core.arrears.facts import Debt, DebtKind, Evidence, Facts, Held, Stay, StayKind
from coulance_core.arrears.horizon import DAY, Horizon
from coulance_core.arrears.plans import PlanStanding, PromiseStanding, covering, plan_standing, promise_standing
from coulance_core.arrears.proof import proof_of
from coulance_core.arrears.terms import QUESTION_DAYS, Level, Policy
from coulance_core.notices import DeemedRule


class Rest(NamedTuple):
    """Something that held steps back, and when it was over."""

    at: datetime
    what: str

    @property
    def about(self) -> str:
        """As a notice that steps go on names it."""
        return f"{self.what}@{self.at.isoformat()}"


@dataclass(frozen=True, slots=True)
class Standing:
    """A debt at an instant. Whole minor units of its currency.

    `due_on`: the day it is due, as far as the bill arrived; None: it didn't. `undisputed` is what isn't contested,
    `in_flight` and `covered` (by credit) are parts of that, and `net` is the rest: what steps may be about.
    `owed` is what a restriction stands on: undisputed, less credit; what is only on its way isn't paid yet.
    `rests_ended`: what held steps back and is over.
    """

    debt: Debt
    due_on: date | None
    is_due: bool
    disputed: int
    undisputed: int
    in_flight: int
    covered: int
    owed: int
    stay: Stay | None
    promise: PromiseStanding
    plan: PlanStanding
    rests_ended: tuple[Rest, ...]

    @property
    def rests(self) -> bool:
        """Whether something holds all of it back now, that a notice would have to follow when it is over."""
        held = self.disputed > 0 and not self.undisputed
        flies = 0 < self.undisputed <= self.in_flight
        return held or flies or self.promise.live is not None or self.plan.kept is not None

    @property
    def net(self) -> int:
        """What is due to be acted on: undisputed, not on its way, and not covered."""
        return self.undisputed - self.in_flight - self.covered


def debts_standing(policy: Policy, facts: Facts, h: Horizon, deemed: DeemedRule | None) -> Mapping[str, Standing]:
    """Every open debt of the account."""
    drafts = [_Draft(policy, facts, debt, h, deemed) for debt in facts.debts if debt.open.minor > 0]
    credit: dict[str, int] = {}
    for money in facts.credit:
        credit[money.currency] = credit.get(money.currency, 0) + max(money.minor, 0)
    loose: dict[str, int] = {}
    for flight in facts.in_flight:
        if flight.failed_at is None and not flight.debt and not h.over(flight.final_on):
            loose[flight.amount.currency] = loose.get(flight.amount.currency, 0) + flight.amount.minor
    drafts.sort(key=_order)
    # Twice the same money, for two questions: what a restriction stands on, and what is left to act for.
    paying = dict(credit)
    for draft in drafts:
        code = draft.debt.open.currency
        draft.owed = draft.undisputed - min(draft.undisputed, paying.get(code, 0))
        paying[code] = paying.get(code, 0) - (draft.undisputed - draft.owed)
        # What is on its way to a debt is for that debt; the account's is for the first that has need of it.
        draft.in_flight = min(draft.undisputed, draft.in_flight)
        more = min(draft.undisputed - draft.in_flight, loose.get(code, 0))
        loose[code] = loose.get(code, 0) - more
        draft.in_flight += more
        draft.covered = min(draft.undisputed - draft.in_flight, credit.get(code, 0))
        credit[code] = credit.get(code, 0) - draft.covered
    return {draft.debt.ref: draft.standing() for draft in drafts}


def _order(draft: "_Draft") -> tuple[object, ...]:
    """In which order money that is for no debt yet counts: what is due first, fees before the rest, the oldest."""
    rank = {DebtKind.BASE: 0, DebtKind.OTHER: 1, DebtKind.OVERAGE: 2, DebtKind.COSTS: 3, DebtKind.INTEREST: 4}
    debt = draft.debt
    return (not draft.is_due, rank[debt.kind], draft.due_on or date.max, debt.ref)


class _Draft:
    """A debt's standing while it is worked out."""

    def __init__(self, policy: Policy, facts: Facts, debt: Debt, h: Horizon, deemed: DeemedRule | None) -> None:
        self.debt = debt
        self.due_on = bill_due_on(policy, debt, h, deemed)
        self.is_due = self.due_on is not None and h.reached(self.due_on)
        ended: list[Rest] = []
        held = contested([one for one in facts.held if one.debt == debt.ref], h, ended)
        self.disputed = min(debt.open.minor, held)
        self.undisputed = debt.open.minor - self.disputed
        self.in_flight = 0
        for flight in facts.in_flight:
            if not flight.debt and flight.failed_at is not None and flight.amount.currency == debt.open.currency:
                ended.append(Rest(flight.failed_at, f"payment/{flight.ref}"))
            elif flight.debt == debt.ref:
                if flight.failed_at is not None:
                    ended.append(Rest(flight.failed_at, f"payment/{flight.ref}"))
                elif h.over(flight.final_on):
                    ended.append(Rest(h.start_of(flight.final_on + DAY), f"payment/{flight.ref}"))
                else:
                    self.in_flight += flight.amount.minor
        self.covered = self.owed = 0
        self.stay = _stay(facts.stays, debt.ref, h, ended)
        self.promise = promise_standing([p for p in facts.promises if debt.ref in p.debts], h)
        if self.promise.ended_on is not None:
            ended.append(Rest(h.start_of(self.promise.ended_on), "promise"))
        self.plan = plan_standing(covering(debt.ref, facts.plans), h, policy.plans.grace_days)
        if self.plan.ended_on is not None:
            ended.append(Rest(h.start_of(self.plan.ended_on), "plan"))
        ended += [Rest(when, "money came back") for when in debt.came_back]
        self.ended = tuple(sorted(ended))

    def standing(self) -> Standing:
        return Standing(
            self.debt,
            self.due_on,
            self.is_due,
            self.disputed,
            self.undisputed,
            self.in_flight,
            self.covered,
            self.owed,
            self.stay,
            self.promise,
            self.plan,
            self.ended,
        )


def bill_due_on(policy: Policy, debt: Debt, h: Horizon, deemed: DeemedRule | None) -> date | None:
    """The day a debt is due, as its bill arrived: None where nobody received it; as much later as the bill came late.

    A bill that arrived within the policy's lag of its date keeps the day that is printed on it.
    """
    if debt.bill is None:
        return None
    if isinstance(debt.bill, Evidence):
        since = proof_of(debt.bill, h, deemed).since(Level.DELIVERED)
        if since is None:
            return None
        arrived = h.day_of(since)
    else:
        arrived = debt.bill
    late = arrived - debt.issued_on
    return debt.due_on + late if late > timedelta(days=policy.bill_lag_days) else debt.due_on


def contested(held: Sequence[Held], h: Horizon, ended: list[Rest]) -> int:
    """How much of a debt is contested now: by its first dispute, and by later ones that rest on a new fact.

    A question that reached the customer and wasn't answered in 14 days ends it. Ends are added to `ended`.
    """
    if not held:
        return 0
    total = 0
    first = min(held, key=lambda one: (one.since, one.ref)).ref
    for one in held:
        if one.ref != first and not one.new_fact:
            continue
        if one.until is not None:
            ended.append(Rest(one.until, f"dispute/{one.ref}"))
        elif one.asked_on is not None and h.over(one.asked_on + timedelta(days=QUESTION_DAYS)):
            closed = h.start_of(one.asked_on + timedelta(days=QUESTION_DAYS + 1))
            ended.append(Rest(closed, f"dispute/{one.ref}"))
        else:
            total += one.amount.minor
    return total


def _stay(stays: Sequence[Stay], debt: str, h: Horizon, ended: list[Rest]) -> Stay | None:
    """Of what holds everything for a debt, the one that weighs most: an error of ours before an operator's pause."""
    live: list[Stay] = []
    for stay in stays:
        if stay.debts and debt not in stay.debts:
            continue
        if stay.until is not None and h.passed(stay.until):
            ended.append(Rest(stay.until, f"stay/{stay.ref}"))
        else:
            live.append(stay)
    kinds = list(StayKind)
    return min(live, key=lambda one: (kinds.index(one.kind), one.since, one.ref), default=None)
