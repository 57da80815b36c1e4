"""The words of arrears' policies: debtors, steps, evidence, calendars, plans; and what a policy must hold to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import cached_property

from coulance_core.arrears.acts import NATURES, ROUTE_ACTS, Act, Nature, Route
from coulance_core.catalog.faults import Fault, refuse
from coulance_core.kernel import Money
from coulance_core.notices import Channel

PROMISES = 2
"""Promises that hold steps back, for one debt."""
PROMISE_DAYS = 14
"""How long a promise can."""
PLAN_RESTARTS = 1
"""How often a plan that was not kept starts again, for one debt."""
QUESTION_DAYS = 14
"""After which a question of ours that reached the customer, unanswered, ends a dispute's hold."""
RETRIEVAL_DAYS = 30
"""How long retrieval is offered before data without a backup may be deleted."""
PEOPLE = 2
"""Who must approve a termination or a deletion."""


class Debtor(StrEnum):
    """Who owes. The law differs by it."""

    CONSUMER = "consumer"
    MICRO = "micro"
    BUSINESS = "business"
    PUBLIC = "public"


class Level(StrEnum):
    """What must be proven of a notice before a later step that hurts."""

    NONE = "none"
    """Nothing: a courtesy."""
    DELIVERED = "delivered"
    """Accepted for a verified address; or reached; or deemed."""
    REACHED = "reached"
    """A person acted on it; or deemed, which the law puts in its place."""
    DEEMED = "deemed"
    """The formal way: two channels, one of them postal, and the day that the law sets."""


class Mode(StrEnum):
    """Whether a policy acts."""

    OBSERVE = "observe"
    """What it would have done is recorded, and nothing is sent or restricted."""
    ENFORCE = "enforce"


DUE = "due"
DECLINED = "declined"
TERM = "term"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a route.

    `after`: what it runs from: `due` (the day the debt is due), `declined` (a collection that came back with one of
    `codes`), `term` (the end of the service's term), or the key of an earlier step of its route or of the demand.
    `days` are whole days in between; below zero is before the due day. After a notice the day of its receipt doesn't
    count, and the last day is all the customer's: 14 days after a notice of the 1st is the 16th.

    `evidence` is what must be proven of this notice before any later step that hurts. `channels` are tried in turn,
    the next one added when the evidence is missing `again_days` after an attempt, or it came back. `letter` names the
    law pack's letter that this notice is. `fee`: what a reminder costs, as far as the law pack allows.
    `minimum`: by currency, the amount from which it is done; none is the policy's. `approvals`: how many people must
    approve, two at least for a termination or deletion. `rate_bps`: of a throttle. `features`, `plan`, `to`: what a
    limit limits, a downgrade goes to, a hand-over hands over to; a limit with a `plan` puts the service on that one.
    `within`: of a reminder before the due day, between which days it may be moved by how the account pays. `every`: of
    interest, after how many days what ran since is charged again; 0: once.
    """

    key: str
    route: Route
    act: Act
    after: str = DUE
    days: int = 0
    evidence: Level = Level.NONE
    channels: tuple[Channel, ...] = (Channel.EMAIL,)
    again_days: int = 3
    letter: str = ""
    fee: Money | None = None
    minimum: tuple[Money, ...] = ()
    approvals: int = 0
    rate_bps: int | None = None
    features: tuple[str, ...] = ()
    plan: str = ""
    to: str = ""
    codes: tuple[str, ...] = ()
    within: tuple[int, ...] = ()
    every: int = 0

    @property
    def nature(self) -> Nature:
        """What its act is."""
        return NATURES[self.act]

    @property
    def people(self) -> int:
        """How many must approve it."""
        return max(self.approvals, self.nature.people)

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it by itself."""
        if not self.key or self.key in (DUE, DECLINED, TERM, RESUME, INSTALMENT):
            yield Fault("key", f"a step needs a key of its own; {self.key!r} is taken")
        if self.act not in ROUTE_ACTS[self.route]:
            can = ", ".join(act.value for act in Act if act in ROUTE_ACTS[self.route])
            yield Fault("act", f"the route {self.route.value} doesn't {self.act.value}: it can {can}")
        if self.evidence is not Level.NONE and not self.nature.notice:
            yield Fault("evidence", f"only a notice is proven, and {self.act.value} is none")
        if self.days < 0 and (self.after != DUE or not self.nature.notice or self.evidence is not Level.NONE):
            yield Fault("days", "only a reminder may come before the due day, and nothing rests on its arrival")
        if self.nature.notice and not self.channels:
            yield Fault("channels", "a notice goes by at least one channel")
        if Channel.WEBHOOK in self.channels:
            yield Fault("channels", "a machine that takes a notice of debt tells nobody: email, sms, post or portal")
        if self.evidence is Level.DEEMED and (Channel.POST not in self.channels or len(set(self.channels)) < 2):
            yield Fault("channels", "deemed wants two channels, one of them post")
        if self.again_days < 1:
            yield Fault("again_days", f"expected 1 or more, not {self.again_days}")
        if self.nature.people and self.approvals and self.approvals < self.nature.people:
            yield Fault("approvals", f"{self.act.value} wants {self.nature.people} people always")
        if self.approvals < 0:
            yield Fault("approvals", f"expected 0 or more, not {self.approvals}")
        if (self.act is Act.THROTTLE) != (self.rate_bps is not None):
            yield Fault("rate", "a throttle has a rate, and nothing else has")
        if (self.act is Act.LIMIT) != bool(self.features):
            yield Fault("features", "a limit names the features that it limits, and nothing else does")
        if self.act is Act.DOWNGRADE and not self.plan:
            yield Fault("plan", "a downgrade names the plan that it goes to")
        if self.plan and self.act not in (Act.DOWNGRADE, Act.LIMIT):
            yield Fault("plan", "only a downgrade goes to a plan, and a limit may")
        if (self.act is Act.HAND_OVER) != (self.to in ("mediation", "collection")):
            yield Fault("to", "a hand-over is to mediation or collection, and nothing else is")
        if (self.after == DECLINED) != bool(self.codes):
            yield Fault("codes", "a step after declined names the codes, and no other does")
        if self.fee is not None and (self.fee.minor < 0 or self.act not in (Act.REMIND, Act.DEMAND)):
            yield Fault("fee", "a reminder or demand may have a fee, of 0 or more")
        if self.within and (
            self.days >= 0 or len(self.within) != 2 or not self.within[0] <= self.days <= self.within[1] < 0
        ):
            yield Fault("within", "expected two days before the due day around `days`, such as [-7, -2]")
        if self.every < 0 or (self.every and self.act is not Act.CHARGE_INTEREST):
            yield Fault("every", "only interest is charged again, every so many days")


RESUME = "resume"
"""The notice that steps go on: after a plan or promise that was not kept, a dispute that was decided, money that came
back."""
INSTALMENT = "instalment"
"""The reminder of an instalment."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """When a step that restricts may be done, where the customer is: never so that nobody is there to help.

    `closed_weekdays`: 0 is Monday. Holidays come with the facts; `eves`: the day before one is closed too. Open from
    `from_hour` until `to_hour`, on the hour.
    """

    closed_weekdays: tuple[int, ...] = (4, 5, 6)
    eves: bool = True
    from_hour: int = 9
    to_hour: int = 16

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if not {4, 5, 6} <= set(self.closed_weekdays) <= set(range(7)) or len(set(self.closed_weekdays)) == 7:
            yield Fault("closed", "Friday, Saturday and Sunday are closed always, and some day is open")
        if not self.eves:
            yield Fault("eves", "the eve of a holiday is closed always")
        if not 0 <= self.from_hour < self.to_hour <= 24:
            yield Fault("hours", f"expected hours of a day in order, not {self.from_hour} to {self.to_hour}")


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """Payment plans that a customer may propose.

    At most `instalments`, over at most `days`; the first at least `first_percent` of it and within `first_days`, each
    at least `smallest` (by currency). Within `auto_below` it is accepted at once, else an operator approves.
    `grace_days` after an instalment is due it counts as missed. `interest`: whether the law's interest runs on.
    """

    instalments: int = 6
    days: int = 190
    first_percent: int = 0
    first_days: int = 14
    smallest: tuple[Money, ...] = ()
    auto_below: tuple[Money, ...] = ()
    grace_days: int = 3
    interest: bool = False
    remind_days: tuple[int, ...] = (-3, 1)

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if not 1 <= self.instalments <= 60:
            yield Fault("instalments", f"expected 1 to 60, not {self.instalments}")
        if not 1 <= self.days <= 1830:
            yield Fault("days", f"expected 1 to 1830, not {self.days}")
        if not 0 <= self.first_percent <= 100:
            yield Fault("first_percent", f"expected 0 to 100, not {self.first_percent}")
        if not 0 <= self.first_days <= self.days:
            yield Fault("first_days", f"expected 0 to {self.days}, not {self.first_days}")
        if self.grace_days < 0:
            yield Fault("grace_days", f"expected 0 or more, not {self.grace_days}")


@dataclass(frozen=True, slots=True)
class Scope:
    """Whom a policy is for. What is empty asks nothing."""

    debtors: frozenset[Debtor] = frozenset()
    groups: frozenset[str] = frozenset()
    plans: frozenset[str] = frozenset()
    countries: frozenset[str] = frozenset()

    def covers(self, debtor: Debtor, *, country: str, groups: Sequence[str] = (), plans: Sequence[str] = ()) -> bool:
        """Whether a customer falls under it.

        >>> Scope(debtors=frozenset({Debtor.CONSUMER})).covers(Debtor.BUSINESS, country="NL")
        False
        """
        return (
            (not self.debtors or debtor in self.debtors)
            and (not self.countries or country in self.countries)
            and (not self.groups or bool(self.groups & set(groups)))
            and (not self.plans or bool(self.plans & set(plans)))
        )


@dataclass(frozen=True)
class Policy:
    """How a provider deals with debts: steps by route, and the guards' numbers. A case is judged by one version of it.

    `name` and `valid_from` make its version. `law`: the name of a law pack, or empty for the one of the customer's
    country. `minimum`: by currency, the least that anything is done for. `bill_lag_days`: a bill delivered so soon
    after its date keeps its due day; one that came later is due later by as much. `resume_days`: between the notice
    that steps go on, and the next step that hurts. `backup_days`: how old a backup may be. `approval_days`: how long
    an approval lasts. `floor_bps`: what a throttle leaves at least.
    """

    name: str
    valid_from: date
    steps: tuple[Step, ...]
    mode: Mode = Mode.ENFORCE
    scope: Scope = Scope()
    law: str = ""
    minimum: tuple[Money, ...] = ()
    calendar: Calendar = Calendar()
    plans: PlanTerms = PlanTerms()
    bill_lag_days: int = 3
    resume_days: int = 5
    backup_days: int = 3
    approval_days: int = 14
    floor_bps: int = 256_000
    resume_channels: tuple[Channel, ...] = (Channel.EMAIL, Channel.POST)
    __hash__ = object.__hash__
    _index: dict[str, Step] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {step.key: step for step in self.steps})
        refuse(f"arrears policy {self.name!r}", self.faults())

    @property
    def version(self) -> str:
        """As a case is pinned to it: `default@2026-01-01`."""
        return f"{self.name}@{self.valid_from.isoformat()}"

    def step(self, key: str) -> Step | None:
        """The step of that key."""
        return self._index.get(key)

    @cached_property
    def earlier(self) -> dict[str, tuple[Step, ...]]:
        """By a step's key, the steps that come before it, in order: of the demand up to where its route leaves it, and
        of its own route. Those of another route are never among them."""
        stem = [step for step in self.steps if step.route is Route.DEMAND]
        at = {step.key: n for n, step in enumerate(stem)}
        out: dict[str, tuple[Step, ...]] = {}
        for route in Route:
            own: list[Step] = []
            upto = -1
            for step in (s for s in self.steps if s.route is route):
                if route is Route.DEMAND:
                    out[step.key] = tuple(own)
                else:
                    upto = max(upto, at.get(step.after, len(stem) - 1 if not own and step.after == DUE else -1))
                    out[step.key] = (*stem[: upto + 1], *own)
                own.append(step)
        return out

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if not self.name or "@" in self.name:
            yield Fault("name", f"a policy needs a name without @, not {self.name!r}")
        seen: dict[str, Step] = {}
        for n, step in enumerate(self.steps):
            for fault in step.faults():
                yield fault.under(f"step[{n}]")
            if step.key in seen:
                yield Fault(f"step[{n}].key", f"{step.key!r} is there twice")
            if step.route is Route.DEMAND and any(s.route is not Route.DEMAND for s in seen.values()):
                yield Fault(f"step[{n}].route", "the demand stands first: the other routes leave from it")
            if step.act is Act.THROTTLE and step.rate_bps is not None and step.rate_bps < self.floor_bps:
                yield Fault(f"step[{n}].rate", f"{step.rate_bps} bit/s is under the floor of {self.floor_bps} bit/s")
            if step.after not in (DUE, DECLINED, TERM):
                before = seen.get(step.after)
                if before is None:
                    yield Fault(f"step[{n}].after", f"{step.after!r} is no earlier step: it must stand above")
                elif before.route not in (step.route, Route.DEMAND):
                    yield Fault(
                        f"step[{n}].after",
                        f"{step.after!r} is of route {before.route.value}: routes need themselves and the demand",
                    )
            seen[step.key] = step
        yield from self._notices()
        for name in ("bill_lag_days", "resume_days", "approval_days"):
            if getattr(self, name) < 0:
                yield Fault(name, f"expected 0 or more, not {getattr(self, name)}")
        if self.backup_days < 1:
            yield Fault("backup_days", f"expected 1 or more, not {self.backup_days}")
        if self.floor_bps < 1:
            yield Fault("floor", f"expected more than 0 bit/s, not {self.floor_bps}")
        for part, terms in (("calendar", self.calendar), ("plans", self.plans)):
            for fault in terms.faults():
                yield fault.under(part)

    def _notices(self) -> Iterator[Fault]:
        """What the law asks of the steps together: who is hurt was told before, with proof."""
        for n, step in enumerate(self.steps):
            if step.key not in self.earlier or not step.nature.hurts:
                continue
            before = self.earlier[step.key]
            proven = [s for s in before if s.evidence is not Level.NONE]
            if not proven:
                yield Fault(f"step[{n}]", f"{step.key!r} hurts, and no notice with evidence comes before it")
            wanted = {Act.TERMINATE: Act.NOTICE_OF_TERMINATION, Act.DELETE: Act.NOTICE_OF_DELETION}
            wanted[Act.NOT_RENEW] = Act.NOTICE_OF_NON_RENEWAL
            own = wanted.get(step.act)
            if own is not None and not any(s.act is own and s.evidence is not Level.NONE for s in before):
                yield Fault(f"step[{n}]", f"{step.key!r} wants its own {own.value} with evidence before it")


def choose_policy(
    policies: Sequence[Policy],
    debtor: Debtor,
    *,
    on: date,
    country: str,
    groups: Sequence[str] = (),
    plans: Sequence[str] = (),
) -> Policy | None:
    """The policy for a new case: the first by name whose scope covers the customer, in its version of that day.

    Policies stand in the order in which they are tried; versions of one name stand anywhere.
    """
    for name in dict.fromkeys(policy.name for policy in policies):
        versions = [p for p in policies if p.name == name and p.valid_from <= on]
        newest = max(versions, key=lambda p: p.valid_from, default=None)
        if newest is not None and newest.scope.covers(debtor, country=country, groups=groups, plans=plans):
            return newest
    return None
