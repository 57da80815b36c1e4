"""Errands: work that somebody asked for, that a job does, and that can be watched: how far it is, and what came of it.

An errand and its job are written in one transaction. Its task must be able to start again: a worker that is killed
leaves it `running`, and the job comes back.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from procrastinate.contrib.django import app

from coulance.platform import audit
from coulance.platform.models import Errand as _Row
from coulance_core.kernel import require_aware

DONE = frozenset({"done", "failed"})


class UnableToAskError(RuntimeError):
    """The same errand is under way already; `key` is its."""

    def __init__(self, message: str, key: str) -> None:
        super().__init__(message)
        self.key = key


class UnableToFindErrandError(LookupError):
    """There is no such errand."""


@dataclass(frozen=True, slots=True)
class Errand:
    """An errand as it stands. `state`: waiting, running, done or failed; `done` of `total` steps (0: not known)."""

    key: str
    kind: str
    subject: str
    state: str
    done: int
    total: int
    parameters: Mapping[str, Any]
    result: Mapping[str, Any] | None
    fault: str
    asked_by: str
    asked_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


def _of(row: _Row) -> Errand:
    return Errand(
        row.key, row.kind, row.subject, row.state, row.done, row.total, row.parameters, row.result, row.fault,
        row.asked_by, row.asked_at, row.started_at, row.ended_at,
    )  # fmt: skip


def ask(
    *,
    kind: str,
    subject: str,
    task: str,
    parameters: Mapping[str, Any],
    actor: str,
    at: datetime,
    reason: str = "",
    lock: str | None = None,
) -> Errand:
    """Have a job do this: `task` (its full name) is called with `errand`, the key. In the caller's transaction.

    One errand of a kind and subject at a time: raises `UnableToAskError` while another is waiting or running. Errands
    with the same `lock` run one after another.
    """
    require_aware(at)
    with transaction.atomic():
        try:
            with transaction.atomic():
                row = _Row.objects.create(
                    key=f"job_{secrets.token_hex(10)}",
                    kind=kind,
                    subject=subject,
                    parameters=dict(parameters),
                    asked_by=actor,
                    asked_at=at,
                )
        except IntegrityError:
            other = _Row.objects.exclude(state__in=DONE).filter(kind=kind, subject=subject).first()
            key = other.key if other else ""
            raise UnableToAskError(f"{kind} of {subject} is under way already: {key}", key) from None
        app.configure_task(task, lock=lock).defer(errand=row.key)
        audit.record(
            actor=actor, act=f"{kind}.asked", subject=subject, at=at, reason=reason,
            detail={"job": row.key, **parameters},
        )  # fmt: skip
    return _of(row)


def errand(key: str) -> Errand:
    """The errand of that key. Raises `UnableToFindErrandError`."""
    row = _Row.objects.filter(key=key).first()
    if row is None:
        raise UnableToFindErrandError(f"there is no job {key!r}")
    return _of(row)


def recent(*, kind: str | None = None, subject: str | None = None, limit: int = 20) -> list[Errand]:
    """The newest errands, of a kind or subject if given."""
    rows = _Row.objects.order_by("-id")
    if kind is not None:
        rows = rows.filter(kind=kind)
    if subject is not None:
        rows = rows.filter(subject=subject)
    return [_of(row) for row in rows[:limit]]


def start(*, key: str, at: datetime) -> Errand | None:
    """Take an errand up, for the first time or again; none when it is finished. Called by its task."""
    with transaction.atomic():
        row = _Row.objects.select_for_update().filter(key=key).first()
        if row is None or row.state in DONE:
            return None
        row.state, row.started_at = "running", row.started_at or at
        row.save(update_fields=["state", "started_at"])
    return _of(row)


def tell(*, key: str, done: int, total: int) -> None:
    """Say how far it is."""
    _Row.objects.filter(key=key, state="running").update(done=done, total=total)


def finish(*, key: str, result: Mapping[str, Any], at: datetime) -> None:
    """Say that it is done, and what came of it (JSON)."""
    _Row.objects.filter(key=key).exclude(state__in=DONE).update(state="done", result=dict(result), ended_at=at)


def fail(*, key: str, fault: str, at: datetime) -> None:
    """Say that it failed, and why, in words for whoever asked."""
    _Row.objects.filter(key=key).exclude(state__in=DONE).update(state="failed", fault=fault, ended_at=at)
