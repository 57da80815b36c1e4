"""Reading cases: what is held and since when, a case with its steps and files, the queue by deadline.

Where a case stands is judged from its steps and from the evidence of when its question arrived, at an instant.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Q

from coulance.disputes import models
from coulance.disputes.errors import UnableToFindCaseError
from coulance.notices import queries as notices
from coulance_core.disputes import (
    Clock,
    Earlier,
    Grounds,
    Hold,
    Mediator,
    Outcome,
    Policy,
    State,
    Step,
    StepKind,
    Way,
    clock,
    stopped_days,
)
from coulance_core.kernel import Explanation, Money


@dataclass(frozen=True, slots=True)
class PartRow:
    """What of a line is contested, before tax; `named` is how it was named, as text by field."""

    line: int
    way: Way
    named: Mapping[str, str]
    net: Money
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class StepRow:
    """One thing that happened. Of a question, when it arrived and reached a person, by the evidence."""

    no: int
    kind: StepKind
    at: datetime
    by: str
    text: str
    outcome: Outcome | None
    detail: Mapping[str, Any]
    messages: tuple[str, ...]
    arrived_at: datetime | None = None
    reached_at: datetime | None = None

    @property
    def ours(self) -> bool:
        """Whether we did it, not the customer."""
        return not self.by.startswith(("contact:", "link:"))


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file of a case, without its content."""

    id: int
    case: int
    step: int
    name: str
    media_type: str
    size: int
    sha256: str
    added_at: datetime
    added_by: str


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A case and where it stands: see `Clock`. `gross` is what is held while it is open.

    It is on an invoice (`document`), or on a debt that was taken over (`opening`).
    """

    id: int
    account: int
    document: int | None
    opening: int | None
    number: str
    net: Money
    tax: Money
    gross: Money
    grounds: Grounds
    reason: str
    new_fact: str
    contact: str
    policy: Policy
    opened_at: datetime
    opened_by: str
    closed_at: datetime | None
    steps: tuple[StepRow, ...]
    clock: Clock

    @property
    def ref(self) -> str:
        """The debt, as payments refers to it."""
        return _ref(self.document, self.opening)

    @property
    def state(self) -> State:
        """Where it stands."""
        return self.clock.state

    @property
    def question(self) -> StepRow | None:
        """The question that waits for the customer, if one does."""
        if self.state is not State.ASKED:
            return None
        return next(step for step in reversed(self.steps) if step.kind is StepKind.ASKED)

    @property
    def outcome(self) -> Outcome | None:
        """How it was decided, if it was."""
        return self.steps[-1].outcome


@dataclass(frozen=True, slots=True)
class StoppedRow:
    """The days [first, after) on which our own delay stops interest on what a case held of a debt."""

    ref: str
    account: int
    dispute: int
    amount: Money
    days: tuple[tuple[date, date], ...]


def holds(*, accounts: Iterable[int] | None = None, closed: bool = False) -> tuple[Hold, ...]:
    """What cases set aside, oldest first: of these accounts or of all; with `closed`, what was held before too.

    Amounts are as contested, tax included: what is open of the debt may be less (see `OpenItem.held`).
    """
    rows = models.Case.objects.all()
    if accounts is not None:
        rows = rows.filter(account__in=sorted(set(accounts)))
    if not closed:
        rows = rows.filter(closed_at__isnull=True)
    return tuple(
        Hold(_ref(document, opening), account, Money(gross, code), opened, until, case)
        for case, account, document, opening, gross, code, opened, until in rows.order_by(
            "opened_at", "id"
        ).values_list("id", "account_id", "document_id", "opening", "gross", "currency", "opened_at", "closed_at")
    )


def stopped(*, accounts: Iterable[int], zone: ZoneInfo, at: datetime) -> tuple[StoppedRow, ...]:
    """The days on which interest stands still on what is or was contested, as we were late; cases without are left out.

    Days are civil days of `zone`. They hold for a case that is rejected too: the debt was due, and the delay ours.
    """
    out = []
    for case in cases(accounts=accounts, at=at, limit=1_000_000):
        days = stopped_days(case.clock.late, zone)
        if days:
            out.append(StoppedRow(case.ref, case.account, case.id, case.gross, days))
    return tuple(out)


def case(case: int, *, at: datetime, account: int | None = None) -> CaseRow:
    """A case. Raises `UnableToFindCaseError`, also for one of another account than `account`."""
    found = models.Case.objects.filter(pk=case)
    if account is not None:
        found = found.filter(account=account)
    rows = _cases(list(found), at)
    if not rows:
        raise UnableToFindCaseError(f"there is no case {case}")
    return rows[0]


def cases(
    *,
    at: datetime,
    accounts: Iterable[int] | None = None,
    refs: Iterable[str] | None = None,
    closed: bool = True,
    before: int | None = None,
    limit: int = 1000,
) -> tuple[CaseRow, ...]:
    """Cases, the newest first: of these accounts, or debts (as payments refers to them); without `closed` only open
    ones; below id `before`."""
    rows = models.Case.objects.all()
    if accounts is not None:
        rows = rows.filter(account__in=sorted(set(accounts)))
    if refs is not None:
        wanted = set(refs)
        rows = rows.filter(Q(document__in=_ids(wanted, "document")) | Q(opening__in=_ids(wanted, "opening")))
    if not closed:
        rows = rows.filter(closed_at__isnull=True)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return tuple(_cases(list(rows.order_by("-id")[:limit]), at))


def numbers(*, ref: str) -> tuple[int, ...]:
    """The numbers of all cases on a debt, the oldest first."""
    rows = models.Case.objects.filter(Q(document__in=_ids([ref], "document")) | Q(opening__in=_ids([ref], "opening")))
    return tuple(rows.order_by("id").values_list("id", flat=True))


def queue(*, at: datetime) -> tuple[CaseRow, ...]:
    """Open cases by what has to happen first: ours by deadline, then questions by when they lapse, then the rest."""
    far = at + timedelta(days=36500)

    def order(row: CaseRow) -> tuple[Any, ...]:
        return (row.clock.due_at is None, row.clock.due_at or row.clock.lapses_at or far, row.id)

    return tuple(sorted(cases(at=at, closed=False, limit=10_000), key=order))


def parts(case: int) -> tuple[PartRow, ...]:
    """What a case contests, by line."""
    code = models.Case.objects.values_list("currency", flat=True).get(pk=case)
    return tuple(
        PartRow(row.line_no, Way(row.way), row.named, Money(row.net, code), Explanation.from_json(row.explanation))
        for row in models.Part.objects.filter(case=case).order_by("line_no")
    )


def files(case: int) -> tuple[FileRow, ...]:
    """The files of a case, in the order they were added."""
    return tuple(
        FileRow(*row)
        for row in models.File.objects.filter(case=case)
        .order_by("id")
        .values_list("id", "case_id", "step_no", "name", "media_type", "size", "sha256", "added_at", "added_by")
    )


def earlier(*, ref: str, at: datetime) -> tuple[Earlier, ...]:
    """Cases on a debt so far, the oldest first, as core judges whether another may be opened."""
    found = cases(refs=[ref], at=at)[::-1]
    lines: dict[int, set[int]] = {}
    for case_, no in models.Part.objects.filter(case__in=[row.id for row in found]).values_list("case_id", "line_no"):
        lines.setdefault(case_, set()).add(no)
    return tuple(
        Earlier(row.id, frozenset(lines.get(row.id, ())), row.state, row.reason, row.new_fact) for row in found
    )


def _ref(document: int | None, opening: int | None) -> str:
    return f"opening/{opening}" if document is None else f"document/{document}"


def _ids(refs: Iterable[str], kind: str) -> list[int]:
    return sorted(int(ref.partition("/")[2]) for ref in refs if ref.startswith(f"{kind}/"))


def policy_json(policy: Policy) -> dict[str, Any]:
    """What of a policy is kept with a case: seconds, numbers and words. Who may decide isn't: that is of today."""
    kept: dict[str, Any] = {
        "decide_within": int(policy.decide_within.total_seconds()),
        "again_within": int(policy.again_within.total_seconds()),
        "answer_within": int(policy.answer_within.total_seconds()),
        "open_within": int(policy.open_within.total_seconds()),
        "customer_cases": policy.customer_cases,
        "grounds": [one.value for one in policy.grounds],
        "version": policy.version,
    }
    if (third := policy.mediator) is not None:
        kept["mediator"] = {
            "name": third.name,
            "url": third.url,
            "about": third.about,
            "usually": int(third.usually.total_seconds()),
        }
    return kept


def _policy(kept: Mapping[str, Any]) -> Policy:
    third = kept.get("mediator")
    return Policy(
        decide_within=timedelta(seconds=kept["decide_within"]),
        again_within=timedelta(seconds=kept["again_within"]),
        answer_within=timedelta(seconds=kept["answer_within"]),
        open_within=timedelta(seconds=kept["open_within"]),
        customer_cases=kept["customer_cases"],
        # Cases from before a provider could choose these have the usual ones.
        grounds=tuple(Grounds(one) for one in kept.get("grounds", Grounds)),
        mediator=None
        if third is None
        else Mediator(third["name"], third["url"], third["about"], timedelta(seconds=third["usually"])),
        version=kept.get("version", ""),
    )


def _cases(rows: Sequence[models.Case], at: datetime) -> list[CaseRow]:
    steps: dict[int, list[models.Step]] = {}
    for step in models.Step.objects.filter(case__in=[row.pk for row in rows]).order_by("case_id", "no"):
        steps.setdefault(step.case_id, []).append(step)
    return [_case(row, steps.get(row.pk, []), at) for row in rows]


def _case(row: models.Case, found: Sequence[models.Step], at: datetime) -> CaseRow:
    steps = tuple(_step(step, at) for step in found)
    policy = _policy(row.policy)
    # Two machines' clocks may differ by a moment: what is in the case has happened.
    known = [Step(one.kind, one.at, one.arrived_at, one.reached_at) for one in steps]
    judged = clock(known, policy, at=max(at, known[-1].at))
    return CaseRow(
        id=row.pk,
        account=row.account_id,
        document=row.document_id,
        opening=row.opening,
        number=row.number,
        net=Money(row.net, row.currency),
        tax=Money(row.tax, row.currency),
        gross=Money(row.gross, row.currency),
        grounds=Grounds(row.grounds),
        reason=row.reason,
        new_fact=row.new_fact,
        contact=row.contact,
        policy=policy,
        opened_at=row.opened_at,
        opened_by=row.opened_by,
        closed_at=row.closed_at,
        steps=steps,
        clock=judged,
    )


def _step(step: models.Step, at: datetime) -> StepRow:
    arrived = reached = None
    if step.kind == StepKind.ASKED:
        judged = [notices.judgement(key, at=at) for key in step.messages]
        arrived = min((one.delivered for one in judged if one.delivered is not None), default=None)
        reached = min((one.reached for one in judged if one.reached is not None), default=None)
    return StepRow(
        step.no,
        StepKind(step.kind),
        step.at,
        step.by,
        step.text,
        Outcome(step.outcome) if step.outcome else None,
        step.detail,
        tuple(step.messages),
        arrived,
        reached,
    )
