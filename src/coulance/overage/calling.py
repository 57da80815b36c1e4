"""People to be called: opened where no message reached anybody, worked off by operators, closed by whatever reaches."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q

from coulance.overage.calling_models import PhoneTask
from coulance.overage.errors import UnableToRecordError
from coulance.overage.meters import MeterRef
from coulance.platform import audit
from coulance_core.kernel import require_aware

RETRY = timedelta(hours=1)
"""How long after an attempt nobody is called again."""
ATTEMPTS = ("no_answer", "voicemail", "wrong_number", "busy")
"""Outcomes after which it stays open."""


@dataclass(frozen=True, slots=True)
class PhoneTaskRow:
    """Somebody of `account` to be called about `meter` in a period. `why`: `unreached` (nobody could be told) or
    `unanswered` (told again and again, and nobody answered). `outcome` of the last attempt, or how it was closed:
    `reached` (they were spoken to), `answered` (they acted by themselves), `over` (the period ended), `unreachable`.
    """

    id: int
    account: int
    meter: str
    service: int
    charge: str
    period_name: str
    why: str
    opened_at: datetime
    due_at: datetime
    attempts: int
    last_attempt_at: datetime | None
    closed_at: datetime | None
    closed_by: str
    outcome: str
    note: str


def phone_tasks(
    *, open_only: bool = True, due: datetime | None = None, account: int | None = None, limit: int = 500
) -> list[PhoneTaskRow]:
    """People to be called (that are due by then, when given), the longest due first; with closed ones if asked."""
    where = Q()
    if open_only:
        where &= Q(closed_at__isnull=True)
    if due is not None:
        where &= Q(due_at__lte=due)
    if account is not None:
        where &= Q(account=account)
    return [_row(one) for one in PhoneTask.objects.filter(where).order_by("due_at", "id")[:limit]]


def phone_task(*, task: int) -> PhoneTaskRow | None:
    """One of them, or none."""
    found = PhoneTask.objects.filter(pk=task).first()
    return None if found is None else _row(found)


def open_phone_task(*, meter: MeterRef, period_name: str, why: str, due_at: datetime, at: datetime) -> bool:
    """Have somebody called about a meter's period; once. An open one becomes the graver of both reasons.

    One that was closed because they were spoken to is not opened again. Whether it is new.
    """
    row, new = PhoneTask.objects.get_or_create(
        account_id=meter.account,
        meter=meter.key,
        period_name=period_name,
        defaults={
            "service": meter.services[0], "charge": meter.charge or meter.key, "why": why,
            "opened_at": require_aware(at), "due_at": max(require_aware(due_at), at),
        },
    )  # fmt: skip
    if not new and row.closed_at is None and row.why != why and why == "unanswered":
        PhoneTask.objects.filter(pk=row.pk).update(why=why)
    return new


def attempt_phone_task(*, task: int, outcome: str, note: str, actor: str, at: datetime) -> None:
    """Record a call that reached nobody: it is due again an hour later. Raises `UnableToRecordError`."""
    if outcome not in ATTEMPTS:
        raise UnableToRecordError(f"outcome: expected {', '.join(ATTEMPTS)}, not {outcome!r}")
    with transaction.atomic():
        done = PhoneTask.objects.filter(pk=task, closed_at__isnull=True).update(
            attempts=F("attempts") + 1, last_attempt_at=require_aware(at), outcome=outcome, note=note,
            due_at=at + RETRY,
        )  # fmt: skip
        if not done:
            raise UnableToRecordError(f"there is no open phone task {task}")
        audit.record(
            actor=actor, act="phone_task.attempted", subject=f"phone-task:{task}", at=at, reason=note or outcome,
            detail={"outcome": outcome},
        )  # fmt: skip


def close_phone_task(*, task: int, outcome: str, note: str, actor: str, at: datetime) -> PhoneTaskRow:
    """Close it: `reached` with whom and how they were known, or `unreachable` with why.

    Raises `UnableToRecordError`.
    """
    if outcome not in ("reached", "unreachable"):
        raise UnableToRecordError(f"outcome: expected reached or unreachable, not {outcome!r}")
    if not note.strip():
        raise UnableToRecordError("say whom you spoke and how they were known, or why nobody can be")
    with transaction.atomic():
        row = PhoneTask.objects.select_for_update().filter(pk=task, closed_at__isnull=True).first()
        if row is None:
            raise UnableToRecordError(f"there is no open phone task {task}")
        PhoneTask.objects.filter(pk=task).update(
            attempts=F("attempts") + 1, last_attempt_at=require_aware(at), outcome=outcome, note=note, closed_at=at,
            closed_by=actor,
        )  # fmt: skip
        audit.record(
            actor=actor, act="phone_task.closed", subject=f"phone-task:{task}", at=at, reason=note,
            detail={"outcome": outcome, "account": row.account_id, "meter": row.meter},
        )  # fmt: skip
        row.refresh_from_db()
        return _row(row)


def settle_phone_tasks(
    *, meter: MeterRef, at: datetime, period_name: str | None = None, outcome: str = "answered"
) -> int:
    """Close what is open of a meter because it needs no call any more: they `answered`, or it is `over`. How many."""
    rows = PhoneTask.objects.filter(account=meter.account, meter=meter.key, closed_at__isnull=True)
    if period_name is not None:
        rows = rows.filter(period_name=period_name) if outcome == "answered" else rows.exclude(period_name=period_name)
    return rows.update(closed_at=require_aware(at), closed_by="worker", outcome=outcome)


def _row(one: PhoneTask) -> PhoneTaskRow:
    return PhoneTaskRow(
        one.pk, one.account_id, one.meter, one.service, one.charge, one.period_name, one.why, one.opened_at,
        one.due_at, one.attempts, one.last_attempt_at, one.closed_at, one.closed_by, one.outcome, one.note,
    )  # fmt: skip
