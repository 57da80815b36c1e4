"""What is known of an account when its debts are judged. Facts only: where a case stands follows from them.

Every fact carries the instant or day from which it is known; `Facts.known(at)` leaves out what came later, so that a
past instant can be judged by what was known then, and facts may come in any order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from coulance_core.arrears.terms import Debtor
from coulance_core.kernel import Money, require_aware
from coulance_core.notices import Event


class DebtKind(StrEnum):
    """What a debt is for."""

    BASE = "base"
    """Fees."""
    OVERAGE = "overage"
    """Use above what was included."""
    OTHER = "other"
    """Other principal."""
    COSTS = "costs"
    """Of collecting. Never restricts."""
    INTEREST = "interest"
    """For being late. Never restricts."""

    @property
    def is_principal(self) -> bool:
        """Whether it is what was bought, rather than what being late costs."""
        return self not in (DebtKind.COSTS, DebtKind.INTEREST)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a message's way: its events, and since when each delivery's address is verified."""

    events: tuple[Event, ...] = ()
    verified: Mapping[str, datetime] = field(default_factory=dict)

    def known(self, at: datetime) -> "Evidence":
        """What was known at an instant."""
        if all(event.at <= at for event in self.events):
            return self
        return replace(self, events=tuple(event for event in self.events if event.at <= at))


@dataclass(frozen=True, slots=True)
class Paid:
    """A part of a debt that was paid (or credited), on the day that counts."""

    on: date
    amount: Money


@dataclass(frozen=True, slots=True)
class Debt:
    """A debt of the account, as `payments` knows it, with what arrears needs beside.

    `services`: the external ids of the services whose fees or use it is for. `bill`: the evidence of the bill's
    arrival; a day where another system sent it and it is taken as received then; None: nothing is known, so it isn't
    due. `expressly`: of overage, that the accepted contract says expressly that unpaid overage restricts. `came_back`:
    instants at which a payment of it came back. `declined`: codes with the day, of collections that came back. `paid`:
    what was paid of it. `our_delay`: days [from, until) of delay on our side; interest rests.
    """

    ref: str
    number: str
    kind: DebtKind
    issued_on: date
    due_on: date
    gross: Money
    open: Money
    services: tuple[str, ...] = ()
    bill: Evidence | date | None = None
    expressly: bool = False
    came_back: tuple[datetime, ...] = ()
    declined: tuple[tuple[str, date], ...] = ()
    paid: tuple[Paid, ...] = ()
    our_delay: tuple[tuple[date, date | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """An act that was done: of which step, for which debts, and to which service (empty: the account).

    `ref` names it. A notice has its `evidence`. `about` says of what, where the step alone doesn't (`plan-7/2`).
    `undone_at`: when it was lifted or withdrawn. `observed`: recorded in observe mode; nothing was done.
    """

    ref: str
    step: str
    debts: frozenset[str]
    at: datetime
    service: str = ""
    evidence: Evidence | None = None
    channels: frozenset[str] = frozenset()
    about: str = ""
    undone_at: datetime | None = None
    observed: bool = False
    says_way_out: bool = True
    """Of a notice: whether its text said what stops what it announces. One that didn't proves nothing."""
    recalled: bool = False
    """Of a hand-over that was undone: by a person who took it back, so that it isn't handed over again by itself."""

    def __post_init__(self) -> None:
        require_aware(self.at)


@dataclass(frozen=True, slots=True)
class Held:
    """An amount of a debt that is contested, from `since` until the dispute was decided.

    `new_fact`: whether it rests on something that earlier disputes of the debt didn't. `asked_on`: the day a question
    of ours *reached* the customer and is unanswered yet.
    """

    ref: str
    debt: str
    amount: Money
    since: datetime
    until: datetime | None = None
    new_fact: bool = False
    asked_on: date | None = None


@dataclass(frozen=True, slots=True)
class Promise:
    """The customer's word that these debts are paid by a day. "I paid" is a promise of today."""

    ref: str
    debts: frozenset[str]
    made_at: datetime
    pay_by: date


@dataclass(frozen=True, slots=True)
class Instalment:
    """A part of a plan, and the day it is due."""

    due_on: date
    amount: Money


@dataclass(frozen=True, slots=True)
class Plan:
    """A payment plan in force from `agreed_at` over these debts, one currency. `paid` is what came in on them since,
    by day. `ended_at`: taken back by the customer or ended by hand."""

    ref: str
    debts: frozenset[str]
    agreed_at: datetime
    instalments: tuple[Instalment, ...]
    paid: tuple[Paid, ...] = ()
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class InFlight:
    """Money on its way, by the provider's own evidence (a collection sent, a checkout accepted), final after
    `final_on`. Without a debt it is for the account, oldest debt first."""

    ref: str
    amount: Money
    since: datetime
    final_on: date
    debt: str = ""
    failed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """A service that debts are for. `holds_data`: whether we hold data of the customer in it (a colo port: no).
    `term_ends_on`: the first day after its term, where it has one."""

    ref: str
    holds_data: bool = True
    term_ends_on: date | None = None


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup of a service. It counts from `verified_at`: test-restored, or its checksum read again. `lost_at`: since
    when it isn't there any more."""

    ref: str
    service: str
    made_at: datetime
    verified_at: datetime | None = None
    how: str = ""
    lost_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Impossible:
    """It is recorded that a service can't be backed up, by whom and why. Its disks are frozen instead."""

    service: str
    recorded_at: datetime
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The customer can fetch a service's data, since `offered_at`, all the time until `until`."""

    service: str
    offered_at: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's yes to a step, for a service (empty: the account). Counts while it isn't taken back or too old."""

    step: str
    by: str
    at: datetime
    service: str = ""
    taken_back_at: datetime | None = None


class StayKind(StrEnum):
    """Why everything rests."""

    OWN_ERROR = "own_error"
    """We were wrong. What stands is lifted, and was wrong all the time."""
    ORDER = "order"
    """A court or an authority says so. What stands is lifted."""
    INSOLVENCY = "insolvency"
    """An administrator has been named: the claim goes to them. What stands, stands."""
    OPERATOR = "operator"
    """Somebody's pause: it has an end. What stands, stands."""

    @property
    def lifts(self) -> bool:
        """Whether it also undoes what was done."""
        return self in (StayKind.OWN_ERROR, StayKind.ORDER)


@dataclass(frozen=True, slots=True)
class Stay:
    """Everything rests, for some debts or (none named) all. An operator's has an end: pauses expire."""

    ref: str
    kind: StayKind
    since: datetime
    until: datetime | None = None
    debts: frozenset[str] = frozenset()
    why: str = ""

    def __post_init__(self) -> None:
        if self.kind is StayKind.OPERATOR and self.until is None:
            raise ValueError(f"stay {self.ref!r}: a pause by an operator needs an end")


@dataclass(frozen=True, slots=True)
class Worth:
    """What an account is worth to us, to stand beside a claim: its fees in a year, how long it has been with us, and
    what it paid in all."""

    yearly: Money
    since: date
    paid: Money


@dataclass(frozen=True)
class Facts:
    """All that is known of one account. `holidays` are those where the customer is. `credit`: money of theirs that we
    hold and that is for no debt yet, by currency. `pinned`: the policy version of its case. `remind_days`: how many
    days before the due day a reminder helps them, by how they paid before; 0: nothing says."""

    account: int
    zone: ZoneInfo
    debtor: Debtor = Debtor.BUSINESS
    country: str = ""
    debts: tuple[Debt, ...] = ()
    done: tuple[Done, ...] = ()
    held: tuple[Held, ...] = ()
    promises: tuple[Promise, ...] = ()
    plans: tuple[Plan, ...] = ()
    in_flight: tuple[InFlight, ...] = ()
    credit: tuple[Money, ...] = ()
    services: tuple[Service, ...] = ()
    backups: tuple[Backup, ...] = ()
    impossible: tuple[Impossible, ...] = ()
    retrievals: tuple[Retrieval, ...] = ()
    approvals: tuple[Approval, ...] = ()
    stays: tuple[Stay, ...] = ()
    holidays: frozenset[date] = frozenset()
    worth: Worth | None = None
    pinned: str = ""
    remind_days: int = 0

    def known(self, at: datetime) -> "Facts":
        """What of these facts was known at an instant. Balances (`open`, `paid`, `credit`) are as they were read."""
        return replace(
            self,
            debts=tuple(_debt_known(debt, at) for debt in self.debts),
            done=tuple(_done_known(done, at) for done in self.done if done.at <= at),
            held=tuple(_ended(h, "until", at) for h in self.held if h.since <= at),
            promises=tuple(p for p in self.promises if p.made_at <= at),
            plans=tuple(_ended(p, "ended_at", at) for p in self.plans if p.agreed_at <= at),
            in_flight=tuple(_ended(f, "failed_at", at) for f in self.in_flight if f.since <= at),
            backups=tuple(_ended(_ended(b, "verified_at", at), "lost_at", at) for b in self.backups if b.made_at <= at),
            impossible=tuple(i for i in self.impossible if i.recorded_at <= at),
            retrievals=tuple(r for r in self.retrievals if r.offered_at <= at),
            approvals=tuple(_ended(a, "taken_back_at", at) for a in self.approvals if a.at <= at),
            stays=tuple(s for s in self.stays if s.since <= at),
        )


_T = TypeVar("_T", Held, Plan, InFlight, Backup, Approval)


def _debt_known(debt: Debt, at: datetime) -> Debt:
    bill = debt.bill.known(at) if isinstance(debt.bill, Evidence) else debt.bill
    came_back = tuple(when for when in debt.came_back if when <= at)
    if bill is debt.bill and came_back == debt.came_back:
        return debt
    return replace(debt, bill=bill, came_back=came_back)


def _done_known(done: Done, at: datetime) -> Done:
    evidence = None if done.evidence is None else done.evidence.known(at)
    undone = done.undone_at if done.undone_at is not None and done.undone_at <= at else None
    if evidence is done.evidence and undone == done.undone_at:
        return done
    return replace(done, evidence=evidence, undone_at=undone)


def _ended(fact: _T, name: str, at: datetime) -> _T:
    """The fact, without an end that wasn't known yet."""
    end = getattr(fact, name)
    if end is None or end <= at:
        return fact
    changed: dict[str, Any] = {name: None}
    return replace(fact, **changed)
