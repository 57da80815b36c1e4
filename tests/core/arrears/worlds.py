"""Small worlds of debts: policies, facts by name, and a provider that does what is decided and records it."""

import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from coulance_core.arrears import (
    Act,
    Approval,
    Backup,
    Debt,
    DebtKind,
    Decision,
    Done,
    Evidence,
    Facts,
    Intent,
    LawPack,
    Level,
    Policy,
    Route,
    Service,
    Step,
    decide,
)
from coulance_core.arrears.default_policy import DEFAULT_POLICY
from coulance_core.arrears.pack_file import parse_pack
from coulance_core.arrears.policy_file import parse_policies
from coulance_core.kernel import Money
from coulance_core.notices import Channel, Event, EvidenceKind

ZONE = ZoneInfo("Europe/Amsterdam")
PACKS = Path(__file__).parents[3] / "src" / "coulance" / "arrears" / "packs"


def pack(name: str) -> LawPack:
    return parse_pack(tomllib.loads((PACKS / f"{name}.toml").read_text()), where=name)


def eur(minor: int) -> Money:
    return Money(minor, "EUR")


def at(day: date, hour: int = 10, minute: int = 0, zone: ZoneInfo = ZONE) -> datetime:
    return datetime.combine(day, time(hour, minute), zone).astimezone(UTC)


D0 = date(2026, 3, 2)
"""A Monday."""


def day(number: int) -> date:
    return D0 + timedelta(days=number)


(DEFAULT,) = parse_policies(tomllib.loads(DEFAULT_POLICY)["arrears"]["policy"])

SHORT = Policy(
    "short",
    date(2026, 1, 1),
    (
        Step(
            "reminder",
            Route.DEMAND,
            Act.REMIND,
            days=1,
            evidence=Level.DELIVERED,
            channels=(Channel.EMAIL, Channel.POST),
        ),
        Step("charge", Route.COLLECT, Act.CHARGE_COSTS, "reminder", 2),
        Step("collector", Route.COLLECT, Act.HAND_OVER, "reminder", 3, to="collection"),
        Step("no_more", Route.END_AT_TERM, Act.NOTICE_OF_NON_RENEWAL, "reminder", 2, Level.DELIVERED),
        Step("ends", Route.END_AT_TERM, Act.NOT_RENEW, "no_more", 2),
        Step("throttle", Route.RESTRICT, Act.THROTTLE, "reminder", 1, rate_bps=1_000_000),
        Step("back_up", Route.RESTRICT, Act.BACK_UP, "throttle", 1, again_days=1),
        Step("suspend", Route.RESTRICT, Act.SUSPEND, "throttle", 2),
        Step(
            "last",
            Route.RESTRICT,
            Act.NOTICE_OF_TERMINATION,
            "suspend",
            1,
            Level.DELIVERED,
            (Channel.EMAIL, Channel.POST),
        ),
        Step("terminate", Route.RESTRICT, Act.TERMINATE, "last", 2),
        Step("goodbye", Route.RESTRICT, Act.NOTICE_OF_DELETION, "terminate", 1, Level.DELIVERED),
        Step("delete", Route.RESTRICT, Act.DELETE, "goodbye", 2),
    ),
    minimum=(eur(500),),
    resume_days=2,
    backup_days=3,
)
"""A ladder of few days, so that histories of a month reach its end."""


def arrives(
    when: datetime, *, post: bool = False, bounced: datetime | None = None, seen: datetime | None = None
) -> Evidence:
    """A message to a verified address, taken at `when`."""
    channel = Channel.POST if post else Channel.EMAIL
    events = [Event(EvidenceKind.ACCEPTED, when, "a", channel)]
    if bounced is not None:
        events.append(Event(EvidenceKind.BOUNCED, bounced, "a", channel))
    if seen is not None:
        events.append(Event(EvidenceKind.SEEN, seen, "a", channel))
    return Evidence(tuple(events), {"a": when - timedelta(days=100)})


def by_channels(channels: Iterable[Channel], when: datetime) -> Evidence:
    """A message that each of its channels took."""
    return Evidence(
        tuple(Event(EvidenceKind.ACCEPTED, when, channel.value, channel) for channel in channels),
        {channel.value: when - timedelta(days=100) for channel in channels},
    )


def lost(when: datetime) -> Evidence:
    """A message that a server never took."""
    return Evidence((Event(EvidenceKind.ATTEMPTED, when, "a"),), {"a": when - timedelta(days=100)})


def debt(
    ref: str = "a",
    amount: int = 5000,
    *,
    due: int = 0,
    kind: DebtKind = DebtKind.BASE,
    services: tuple[str, ...] = ("vps",),
    bill: Evidence | date | None = D0 - timedelta(days=14),
    expressly: bool = False,
) -> Debt:
    issued = day(due) - timedelta(days=14)
    if bill == D0 - timedelta(days=14):
        bill = issued
    return Debt(ref, ref.upper(), kind, issued, day(due), eur(amount), eur(amount), services, bill, expressly)


def facts(*debts: Debt, **more: object) -> Facts:
    known = {"services": (Service("vps"),), "zone": ZONE, **more}
    return Facts(1, debts=debts, **known)  # type: ignore[arg-type]


@dataclass
class Host:
    """A provider that does at once what is decided, and records it as the shell would."""

    policy: Policy
    facts: Facts
    law: LawPack | None = None
    evidence: Callable[[Intent, datetime], Evidence] = field(
        default=lambda intent, when: by_channels(intent.channels, when)
    )
    acts: list[tuple[date, str, str]] = field(default_factory=list)
    lifted: list[tuple[date, str, str]] = field(default_factory=list)
    backs_up: bool = True
    approve: bool = True
    number: int = 0

    def judge(self, when: datetime) -> Decision:
        return decide(self.policy, self.facts, when, law=self.law)

    def run(self, when: datetime) -> Decision:
        """One evaluation: lifts, then acts."""
        decision = self.judge(when)
        on = when.astimezone(self.facts.zone).date()
        gone = {lift.done for lift in decision.lifts}
        for lift in decision.lifts:
            self.lifted.append((on, lift.step, lift.ground.value))
        self.facts = replace(
            self.facts,
            done=tuple(replace(d, undone_at=when) if d.ref in gone else d for d in self.facts.done),
        )
        for intent in decision.intents:
            self.do(intent, when)
            self.acts.append((on, intent.step, intent.service))
        if self.approve:
            for held in decision.held_up:
                if held.refusal.code.value == "needs_approval":
                    self.approves(held.step, held.service, when)
        return decision

    def do(self, intent: Intent, when: datetime) -> None:
        self.number += 1
        notice = bool(intent.channels)
        self.facts = replace(
            self.facts,
            done=(
                *self.facts.done,
                Done(
                    f"done-{self.number}",
                    intent.step,
                    frozenset(intent.debts),
                    when,
                    intent.service,
                    self.evidence(intent, when) if notice and not intent.observe else None,
                    frozenset(channel.value for channel in intent.channels),
                    intent.about,
                    observed=intent.observe,
                ),
            ),
        )
        if intent.act is Act.BACK_UP and self.backs_up:
            made = Backup(f"backup-{self.number}", intent.service, when, when, "checksum")
            self.facts = replace(self.facts, backups=(*self.facts.backups, made))

    def approves(self, step: str, service: str, when: datetime) -> None:
        two = tuple(Approval(step, by, when, service) for by in ("anna", "ben"))
        self.facts = replace(self.facts, approvals=(*self.facts.approvals, *two))

    def days(self, numbers: Iterable[int], hour: int = 10) -> None:
        """Evaluate once a day, at that hour where the customer is; until nothing more comes of that hour."""
        for number in numbers:
            when = at(day(number), hour, zone=self.facts.zone)
            for _ in range(8):
                if self.run(when).is_quiet:
                    break

    def change(self, ref: str, **changes: object) -> None:
        """Change a debt."""
        self.facts = replace(
            self.facts,
            debts=tuple(replace(d, **changes) if d.ref == ref else d for d in self.facts.debts),  # type: ignore[arg-type]
        )

    def pay(self, ref: str) -> None:
        self.change(ref, open=eur(0))

    @property
    def steps(self) -> list[str]:
        return [step for _, step, _ in self.acts]

    def in_force(self) -> list[str]:
        """Restrictions that stand."""
        found = []
        for done in self.facts.done:
            step = self.policy.step(done.step)
            if step is not None and step.nature.restricts and done.undone_at is None:
                found.append(done.step)
        return found
