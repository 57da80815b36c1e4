"""One account's arrears as a value: what is owed and why, what happens next and when, and every way to stop it."""

from dataclasses import dataclass
from datetime import date, datetime

from coulance.arrears import queries as records
from coulance.arrears.queries import (
    ActRow,
    ApprovalRow,
    BackupRow,
    CaseRow,
    PlanRow,
    PromiseRow,
    RefusalRow,
    StayRow,
    TaskRow,
)
from coulance.enforcement import queries as register
from coulance.enforcement.queries import RestrictionRow
from coulance.flows.arrears import wording
from coulance.flows.arrears.facts import Read, read
from coulance.flows.arrears.people import PlanBounds, bounds, broken_plans
from coulance_core.arrears import Act, Mode, Outlook, Planned, WayOut, outlook, preview
from coulance_core.enforcement.restrictions import Source
from coulance_core.kernel import Money


@dataclass(frozen=True, slots=True)
class Coming:
    """Something to come: on which day, what (in the reader's language), to which service; what it waits for, if held.

    `undone`: it is lifted then.
    """

    on: date
    step: str
    act: Act
    words: str
    service: str
    amount: Money | None
    undone: bool = False
    waits_for: str = ""
    waits_words: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """An account's page. `observing`: nothing is done, only written down. `to_restore` (in `outlook`): what ends every
    restriction. `done` is what was done in the open case, in order; `restrictions` are those of arrears that hold."""

    account: int
    name: str
    zone: str
    currency: str
    policy: str
    law: str
    observing: bool
    case: CaseRow | None
    outlook: Outlook
    coming: tuple[Coming, ...]
    ways: tuple[WayOut, ...]
    bounds: PlanBounds
    done: tuple[ActRow, ...]
    held_up: tuple[RefusalRow, ...]
    promises: tuple[PromiseRow, ...]
    plans: tuple[PlanRow, ...]
    approvals: tuple[ApprovalRow, ...]
    stays: tuple[StayRow, ...]
    tasks: tuple[TaskRow, ...]
    restrictions: tuple[RestrictionRow, ...]
    backups: tuple[BackupRow, ...]
    broken_plans: frozenset[int] = frozenset()
    """Of those that were agreed, the ones of which a payment was missed."""

    @property
    def owes(self) -> bool:
        """Whether anything is open."""
        return bool(self.outlook.owed)


def standing(*, account: int, at: datetime, days: int = 60, language: str = "en") -> Standing | None:
    """An account's arrears at an instant, with what comes in the next `days`; None where arrears is off for it."""
    one = read([account], at=at).get(account)
    return None if one is None else _standing(one, at, days, language)


def _standing(one: Read, at: datetime, days: int, language: str) -> Standing:
    account = one.account.id
    found = outlook(one.policy, one.facts, at, law=one.law)
    ids = [service.id for service in one.services.values()]
    held = register.restrictions(services=ids) if ids else []
    return Standing(
        account,
        one.account.name,
        one.account.zone,
        one.account.currency,
        one.policy.version,
        one.law.title if one.law else "",
        one.policy.mode is Mode.OBSERVE,
        one.case,
        found,
        coming(one, at, days=days, language=language),
        found.ways,
        bounds(account=account, at=at),
        one.acts,
        tuple(records.held_up(accounts=[account])),
        tuple(records.promises(accounts=[account])),
        tuple(records.plans(accounts=[account])),
        tuple(records.approvals(case=one.case.id)) if one.case else (),
        tuple(records.stays(accounts=[account])),
        tuple(records.tasks(accounts=[account])),
        tuple(row for row in held if row.restriction.source is Source.ARREARS and not row.restriction.observe),
        tuple(records.backups(one.services)),
        broken_plans(one, at),
    )


def coming(one: Read, at: datetime, *, days: int, language: str = "en", approved: bool = False) -> tuple[Coming, ...]:
    """What happens in the days to come if nobody pays, speaks or objects, in words."""
    zone = one.facts.zone
    return tuple(_coming(item, item.at.astimezone(zone).date(), language) for item in preview(
        one.policy, one.facts, at, days=days, law=one.law, approved=approved
    ))  # fmt: skip


def _coming(item: Planned, on: date, language: str) -> Coming:
    return Coming(
        on,
        item.step,
        item.act,
        wording.what(item.act, language=language, undone=item.undone),
        item.service,
        item.amount,
        item.undone,
        item.waits_for,
        wording.why_held(item.waits_for, language=language) if item.waits_for else "",
    )
