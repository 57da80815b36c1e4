"""The audit log: who did what to what, and why. Append-only; the database refuses to change or remove an event."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from psycopg.types.json import Jsonb

from coulance.platform.db import copy_rows
from coulance.platform.models import AuditEvent
from coulance_core.kernel import require_aware


@dataclass(frozen=True, slots=True)
class Event:
    """One event, as it was recorded."""

    at: datetime
    actor: str
    act: str
    subject: str
    reason: str
    detail: Mapping[str, Any]


def record(
    *,
    actor: str,
    act: str,
    subject: str,
    at: datetime,
    reason: str = "",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write one event in the caller's transaction, so that it stands or falls with the act itself.

    `actor` is who: operator:anna, token:cl_3fk..., cli:root, worker. `act` is what, past tense: catalog.applied.
    `subject` is what it was done to: account:1042. `detail` must be JSON; no secrets, and no more of a person's data
    than the act needs, since nothing is ever removed from here. Raises PeriodError for an instant without a zone.
    """
    AuditEvent.objects.create(
        at=require_aware(at), actor=actor, act=act, subject=subject, reason=reason, detail=dict(detail or {})
    )


def record_many(events: Sequence[Event]) -> None:
    """Write many events at once in the caller's transaction, each as `record` would."""
    copy_rows(
        table="platform_audit_event",
        columns=("at", "actor", "act", "subject", "reason", "detail"),
        rows=[
            (require_aware(one.at), one.actor, one.act, one.subject, one.reason, Jsonb(dict(one.detail)))
            for one in events
        ],
    )


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are wanted; what is empty asks for nothing. `actor` and `subject` are beginnings of theirs.

    `subjects` are whole ones, any of which will do. `since` and `until` are instants, [since, until).
    """

    actor: str = ""
    act: str = ""
    subject: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None
    subjects: Collection[str] | None = None


def find(wanted: Filter, *, limit: int = 50, offset: int = 0) -> list[Event]:
    """The events that fit, newest first."""
    rows = _rows(wanted).order_by("-at", "-id")[offset : offset + limit]
    return [Event(row.at, row.actor, row.act, row.subject, row.reason, row.detail) for row in rows]


def count(wanted: Filter, *, most: int = 100_000) -> int:
    """How many events fit; counting stops at `most`."""
    return _rows(wanted)[:most].count()


def acts(*, among: int = 20_000) -> list[str]:
    """The acts among the newest events, by name: for a choice on a screen."""
    newest = AuditEvent.objects.order_by("-at").values("act")[:among]
    return sorted({row["act"] for row in newest})


def _rows(wanted: Filter) -> QuerySet[AuditEvent]:
    rows = AuditEvent.objects.all()
    if wanted.actor:
        rows = rows.filter(actor__startswith=wanted.actor)
    if wanted.act:
        rows = rows.filter(act=wanted.act)
    if wanted.subject:
        rows = rows.filter(subject__startswith=wanted.subject)
    if wanted.text:
        rows = rows.filter(Q(reason__icontains=wanted.text) | Q(subject__icontains=wanted.text))
    if wanted.since is not None:
        rows = rows.filter(at__gte=wanted.since)
    if wanted.until is not None:
        rows = rows.filter(at__lt=wanted.until)
    if wanted.subjects is not None:
        rows = rows.filter(subject__in=list(wanted.subjects))
    return rows


def page(
    *,
    subject: str | None = None,
    act: str | None = None,
    actor: str | None = None,
    before: int | None = None,
    limit: int,
) -> list[tuple[int, Event]]:
    """Events with their numbers, the newest record first; those with a number below `before`."""
    rows = AuditEvent.objects.order_by("-id")
    asked = {"subject": subject, "act": act, "actor": actor, "id__lt": before}
    rows = rows.filter(**{name: value for name, value in asked.items() if value is not None})
    return [(row.pk, Event(row.at, row.actor, row.act, row.subject, row.reason, row.detail)) for row in rows[:limit]]


def events(*, subject: str | None = None, act: str | None = None, limit: int = 100) -> list[Event]:
    """The newest events first, of one subject or act if given."""
    rows = AuditEvent.objects.order_by("-at", "-id")
    if subject is not None:
        rows = rows.filter(subject=subject)
    if act is not None:
        rows = rows.filter(act=act)
    return [Event(row.at, row.actor, row.act, row.subject, row.reason, row.detail) for row in rows[:limit]]
