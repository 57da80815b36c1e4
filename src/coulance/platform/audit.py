"""The audit log: who did what to what, and why. Append-only; the database refuses to change or remove an event."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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


def events(*, subject: str | None = None, act: str | None = None, limit: int = 100) -> list[Event]:
    """The newest events first, of one subject or act if given."""
    rows = AuditEvent.objects.order_by("-at", "-id")
    if subject is not None:
        rows = rows.filter(subject=subject)
    if act is not None:
        rows = rows.filter(act=act)
    return [Event(row.at, row.actor, row.act, row.subject, row.reason, row.detail) for row in rows[:limit]]
