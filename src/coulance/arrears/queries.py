"""Reading arrears: cases, what was done, what is held up, promises, plans, approvals, backups, tasks.

Several accounts are read in a few statements whatever their number. Services are external ids here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from fractions import Fraction
from typing import Any

from django.db.models import F, Q

from coulance.arrears import models
from coulance.arrears.errors import UnableToFindError
from coulance.arrears.spans import suspended_spans as suspended_spans
from coulance.arrears.spans import wrongful as wrongful
from coulance_core.arrears import Act, Route, StayKind
from coulance_core.arrears import Instalment as CoreInstalment
from coulance_core.kernel import Money


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A case. `version` is its policy's, `terms` the policy's whole table as it was then."""

    id: int
    account: int
    version: str
    terms: Mapping[str, Any]
    opened_at: datetime
    closed_at: datetime | None
    judged_at: datetime | None
    wake: datetime | None


@dataclass(frozen=True, slots=True)
class ActRow:
    """Something that was done: see `models.Act`. `service` empty: the account."""

    id: int
    case: int
    account: int
    step: str
    route: Route
    act: Act
    debts: tuple[str, ...]
    service: str
    at: datetime
    by: str
    amount: Money
    about: str
    channels: tuple[str, ...]
    messages: tuple[str, ...]
    rests_on: tuple[int, ...]
    restriction: int | None
    document: int | None
    observed: bool
    explanation: Mapping[str, Any] | None
    undone_at: datetime | None
    ground: str
    wrongful_since: datetime | None
    effect: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """A step that was held up, by what, from `since` until `until` (none: still)."""

    id: int
    case: int
    account: int
    step: str
    act: Act
    debts: tuple[str, ...]
    service: str
    code: str
    message: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class PromiseRow:
    """A promise as it was made."""

    id: int
    account: int
    debts: tuple[str, ...]
    pay_by: date
    made_at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A plan. `state`: `proposed`, `agreed`, `declined` (ended before it was agreed), `ended`.

    `interest_percent` a year on `interest_principal`, at most `interest_most`; none: it bears none.
    """

    id: int
    account: int
    debts: tuple[str, ...]
    total: Money
    instalments: tuple[CoreInstalment, ...]
    reason: str
    proposed_at: datetime
    proposed_by: str
    agreed_at: datetime | None
    agreed_by: str
    ended_at: datetime | None
    ended_why: str
    interest_percent: Fraction | None = None
    interest_principal: Money | None = None
    interest_most: Money | None = None
    interest_document: int | None = None
    interest_settled_at: datetime | None = None

    @property
    def state(self) -> str:
        """Where it stands."""
        if self.ended_at is not None:
            return "declined" if self.agreed_at is None else "ended"
        return "proposed" if self.agreed_at is None else "agreed"


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """A person's yes, as it stands or stood."""

    id: int
    case: int
    account: int
    step: str
    service: str
    by: str
    reason: str
    at: datetime
    taken_back_at: datetime | None


@dataclass(frozen=True, slots=True)
class StayRow:
    """A rest. `ends_at`: when it ended or will; none: it lasts."""

    id: int
    account: int
    kind: StayKind
    debts: tuple[str, ...]
    why: str
    since: datetime
    until: datetime | None
    by: str
    ended_at: datetime | None

    @property
    def ends_at(self) -> datetime | None:
        """The earlier of its planned end and the one it was given."""
        return min((one for one in (self.until, self.ended_at) if one is not None), default=None)


@dataclass(frozen=True, slots=True)
class BackupRow:
    """A backup, and what is known of it."""

    id: int
    service: str
    made_at: datetime
    how: str
    receipt: Mapping[str, Any]
    verified_at: datetime | None
    verified_how: str
    lost_at: datetime | None


@dataclass(frozen=True, slots=True)
class ImpossibleRow:
    """That a service can't be backed up."""

    id: int
    service: str
    recorded_at: datetime
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class RetrievalRow:
    """An offer to fetch data."""

    id: int
    service: str
    offered_at: datetime
    until: datetime | None
    how: str


@dataclass(frozen=True, slots=True)
class TaskRow:
    """Something a person has to do, or did."""

    id: int
    case: int
    account: int
    act: int | None
    kind: str
    what: str
    ref: str
    since: datetime
    done_at: datetime | None
    done_by: str
    note: str


@dataclass(slots=True)
class Recorded:
    """All that this room knows of an account. `case` is the open one; `acts` are of it."""

    case: CaseRow | None = None
    acts: list[ActRow] = field(default_factory=list)
    promises: list[PromiseRow] = field(default_factory=list)
    plans: list[PlanRow] = field(default_factory=list)
    approvals: list[ApprovalRow] = field(default_factory=list)
    stays: list[StayRow] = field(default_factory=list)


def cases(
    *, closed: bool = False, accounts: Iterable[int] | None = None, most: int = 1000, before: int | None = None
) -> list[CaseRow]:
    """Cases, the newest first: open ones (`closed`: all), of these accounts or of all, below id `before`."""
    rows = models.Case.objects.select_related("terms")
    if not closed:
        rows = rows.filter(closed_at__isnull=True)
    if accounts is not None:
        rows = rows.filter(account__in=sorted(set(accounts)))
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return [_case(row) for row in rows.order_by("-id")[:most]]


def case(account: int) -> CaseRow | None:
    """An account's open case."""
    return next(iter(cases(accounts=[account], most=1)), None)


def case_by_id(case: int) -> CaseRow:
    """A case. Raises `UnableToFindError`."""
    row = models.Case.objects.select_related("terms").filter(pk=case).first()
    if row is None:
        raise UnableToFindError(f"there is no case {case}")
    return _case(row)


def accounts_in_arrears(accounts: Iterable[int] | None = None) -> list[int]:
    """The accounts that have an open case, in order: of these, or all."""
    rows = models.Case.objects.filter(closed_at__isnull=True)
    if accounts is not None:
        rows = rows.filter(account__in=sorted(set(accounts)))
    return list(rows.order_by("account_id").values_list("account_id", flat=True))


def recorded(accounts: Iterable[int]) -> dict[int, Recorded]:
    """What is recorded of each of these accounts, for judging it."""
    wanted = sorted(set(accounts))
    out = {account: Recorded() for account in wanted}
    for one in cases(accounts=wanted, most=len(wanted) + 1):
        out[one.account].case = one
    for act in acts(cases=[one.case.id for one in out.values() if one.case is not None]):
        out[act.account].acts.append(act)
    for approval in _approvals(Q(case__in=[one.case.id for one in out.values() if one.case is not None])):
        out[approval.account].approvals.append(approval)
    for promise in promises(accounts=wanted):
        out[promise.account].promises.append(promise)
    for plan in plans(accounts=wanted):
        out[plan.account].plans.append(plan)
    for stay in stays(accounts=wanted):
        out[stay.account].stays.append(stay)
    return out


_ACT = (
    "id", "case_id", "case__account_id", "step", "route", "act", "debts", "service__external_id", "at", "by", "amount",
    "currency", "about", "channels", "messages", "rests_on", "restriction", "document_id", "observed", "explanation",
    "undone_at", "ground", "wrongful_since", "effect",
)  # fmt: skip


def acts(*, cases: Iterable[int] | None = None, account: int | None = None) -> list[ActRow]:
    """What was done in these cases, or for an account in all of its cases, in order."""
    rows = models.Act.objects.all()
    if cases is not None:
        rows = rows.filter(case__in=sorted(set(cases)))
    if account is not None:
        rows = rows.filter(case__account=account)
    return [_act(row) for row in rows.order_by("id").values_list(*_ACT)]


def act(act: int) -> ActRow:
    """One act. Raises `UnableToFindError`."""
    row = models.Act.objects.filter(pk=act).values_list(*_ACT).first()
    if row is None:
        raise UnableToFindError(f"there is no act {act}")
    return _act(row)


def hand_overs() -> list[ActRow]:
    """Hand-overs that stand and have no package yet."""
    rows = models.Act.objects.filter(act=Act.HAND_OVER.value, undone_at__isnull=True, observed=False)
    kept = models.Package.objects.values("act_id")
    return [_act(row) for row in rows.exclude(id__in=kept).order_by("id").values_list(*_ACT)]


def acts_ahead_of(restrictions: Iterable[int]) -> dict[int, ActRow]:
    """The acts behind these restrictions of the register, by restriction."""
    rows = models.Act.objects.filter(restriction__in=list(restrictions))
    return {one.restriction: one for one in map(_act, rows.values_list(*_ACT)) if one.restriction is not None}


def held_up(*, accounts: Iterable[int] | None = None, closed: bool = False, most: int = 1000) -> list[RefusalRow]:
    """What is held up now and by what, the longest first; with `closed`, what was held up before too."""
    rows = models.Refusal.objects.filter(**({} if closed else {"until__isnull": True}))
    if accounts is not None:
        rows = rows.filter(case__account__in=sorted(set(accounts)))
    return [
        RefusalRow(row[0], row[1], row[2], row[3], Act(row[4]), tuple(row[5]), *row[6:])
        for row in rows.order_by("since", "id").values_list(
            "id", "case_id", "case__account_id", "step", "act", "debts", "service", "code", "message", "since", "until"
        )[:most]
    ]


def promises(*, accounts: Iterable[int] | None = None, due_from: date | None = None) -> list[PromiseRow]:
    """Promises in the order they were made: of these accounts, that are to be kept on a day or later."""
    rows = models.Promise.objects.all()
    if accounts is not None:
        rows = rows.filter(account__in=sorted(set(accounts)))
    if due_from is not None:
        rows = rows.filter(pay_by__gte=due_from)
    return [
        PromiseRow(row[0], row[1], tuple(row[2]), *row[3:])
        for row in rows.order_by("id").values_list("id", "account_id", "debts", "pay_by", "made_at", "by")
    ]


def plans(
    *, accounts: Iterable[int] | None = None, state: str = "", plan: int | None = None, unsettled: bool = False
) -> list[PlanRow]:
    """Plans in the order they were proposed: of these accounts, in that state; or whose interest wasn't billed yet."""
    rows = models.Plan.objects.all()
    if unsettled:
        rows = rows.filter(interest_settled_at__isnull=True, agreed_at__isnull=False).exclude(interest_percent="")
    if accounts is not None:
        rows = rows.filter(account__in=sorted(set(accounts)))
    if plan is not None:
        rows = rows.filter(pk=plan)
    found = list(rows.order_by("id"))
    parts: dict[int, list[CoreInstalment]] = {}
    codes = {row.pk: row.currency for row in found}
    for of, due_on, amount in (
        models.Instalment.objects.filter(plan__in=list(codes)).order_by("no").values_list("plan_id", "due_on", "amount")
    ):
        parts.setdefault(of, []).append(CoreInstalment(due_on, Money(amount, codes[of])))
    out = [
        PlanRow(
            row.pk, row.account_id, tuple(row.debts), Money(row.total, row.currency), tuple(parts.get(row.pk, ())),
            row.reason, row.proposed_at, row.proposed_by, row.agreed_at, row.agreed_by, row.ended_at, row.ended_why,
            Fraction(row.interest_percent) if row.interest_percent else None,
            None if row.interest_principal is None else Money(row.interest_principal, row.currency),
            None if row.interest_most is None else Money(row.interest_most, row.currency),
            row.interest_document_id, row.interest_settled_at,
        )
        for row in found
    ]  # fmt: skip
    return [one for one in out if not state or one.state == state]


def plan(plan: int, *, account: int | None = None) -> PlanRow:
    """One plan (of that account). Raises `UnableToFindError`."""
    found = next(iter(plans(plan=plan)), None)
    if found is None or (account is not None and found.account != account):
        raise UnableToFindError(f"there is no plan {plan}")
    return found


def approvals(*, case: int) -> list[ApprovalRow]:
    """Every yes in a case, those taken back too."""
    return _approvals(Q(case=case))


def approvals_wanted() -> list[RefusalRow]:
    """What waits for people's approval, the longest first."""
    return [row for row in held_up(most=100_000) if row.code == "needs_approval"]


def stays(*, accounts: Iterable[int] | None = None) -> list[StayRow]:
    """Rests, the ended ones too, in the order they began."""
    rows = models.Stay.objects.all()
    if accounts is not None:
        rows = rows.filter(account__in=sorted(set(accounts)))
    return [
        StayRow(
            row.pk, row.account_id, StayKind(row.kind), tuple(row.debts), row.why, row.since, row.until, row.by,
            row.ended_at,
        )
        for row in rows.order_by("since", "id")
    ]  # fmt: skip


def backups(services: Iterable[str] | None = None, *, lost: bool = True) -> list[BackupRow]:
    """Backups of these services (external ids) or of all, the newest last."""
    rows = models.Backup.objects.all()
    if services is not None:
        rows = rows.filter(service__external_id__in=sorted(set(services)))
    if not lost:
        rows = rows.filter(lost_at__isnull=True)
    return [
        BackupRow(*row)
        for row in rows.order_by("made_at", "id").values_list(
            "id", "service__external_id", "made_at", "how", "receipt", "verified_at", "verified_how", "lost_at"
        )
    ]


def impossible(services: Iterable[str] | None = None) -> list[ImpossibleRow]:
    """Where backups can't be made, by record."""
    rows = models.Impossible.objects.all()
    if services is not None:
        rows = rows.filter(service__external_id__in=sorted(set(services)))
    found = rows.order_by("id").values_list("id", "service__external_id", "recorded_at", "by", "why")
    return [ImpossibleRow(*row) for row in found]


def retrievals(services: Iterable[str] | None = None) -> list[RetrievalRow]:
    """Offers to fetch data."""
    rows = models.Retrieval.objects.all()
    if services is not None:
        rows = rows.filter(service__external_id__in=sorted(set(services)))
    found = rows.order_by("id").values_list("id", "service__external_id", "offered_at", "until", "how")
    return [RetrievalRow(*row) for row in found]


def tasks(
    *, accounts: Iterable[int] | None = None, done: bool = False, kind: str = "", ref: str = "", most: int = 1000
) -> list[TaskRow]:
    """What people have to do, the oldest first; with `done`, what they did too."""
    rows = models.Task.objects.all()
    if not done:
        rows = rows.filter(done_at__isnull=True)
    if accounts is not None:
        rows = rows.filter(case__account__in=sorted(set(accounts)))
    if kind:
        rows = rows.filter(kind=kind)
    if ref:
        rows = rows.filter(ref=ref)
    return [
        TaskRow(*row)
        for row in rows.order_by("since", "id").values_list(
            "id", "case_id", "case__account_id", "act_id", "kind", "what", "ref", "since", "done_at", "done_by", "note"
        )[:most]
    ]


def task(task: int) -> TaskRow:
    """One task. Raises `UnableToFindError`."""
    found = next((one for one in tasks(done=True, most=10**9) if one.id == task), None)
    if found is None:
        raise UnableToFindError(f"there is no task {task}")
    return found


def blocks_of_orders(accounts: Iterable[int]) -> dict[int, list[ActRow]]:
    """The acts by which these accounts can order nothing new, by account; those that can are left out."""
    rows = models.Act.objects.filter(
        case__account__in=list(accounts), act=Act.BLOCK_ORDERS.value, undone_at__isnull=True, observed=False
    )
    out: dict[int, list[ActRow]] = {}
    for one in map(_act, rows.order_by("id").values_list(*_ACT)):
        out.setdefault(one.account, []).append(one)
    return out


def _approvals(where: Q) -> list[ApprovalRow]:
    rows = models.Approval.objects.filter(where).annotate(owner=F("case__account_id"), name=F("service__external_id"))
    return [
        ApprovalRow(row[0], row[1], row[2], row[3], row[4] or "", *row[5:])
        for row in rows.order_by("id").values_list(
            "id", "case_id", "owner", "step", "name", "by", "reason", "at", "taken_back_at"
        )
    ]


def _case(row: models.Case) -> CaseRow:
    return CaseRow(
        row.pk, row.account_id, row.terms.version, row.terms.data, row.opened_at, row.closed_at, row.judged_at, row.wake
    )


def _act(row: Sequence[Any]) -> ActRow:
    return ActRow(
        row[0], row[1], row[2], row[3], Route(row[4]), Act(row[5]), tuple(row[6]), row[7] or "", row[8], row[9],
        Money(row[10], row[11]), row[12], tuple(row[13]), tuple(row[14]), tuple(row[15]), row[16], row[17], row[18],
        row[19], row[20], row[21], row[22], row[23] or {},
    )  # fmt: skip
