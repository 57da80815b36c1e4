"""Alarms: what a person should look at, raised once however often it is seen, and cleared when it is over.

An alarm has a key that says what it is about (`usage.silent:web01`, `ledger.check`). While it is open, raising it again
only notes that it was seen again; so whatever watches something may raise its alarm each time it looks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.db import connection, transaction

from coulance.platform import audit
from coulance.platform.models import Alarm as _Row
from coulance_core.kernel import require_aware

Severity = Literal["warning", "critical"]
"""`critical`: money, data or a law is at stake, or it will be within hours. `warning`: look at it this week."""

_LONGEST = 2000


class UnableToClearAlarmError(LookupError):
    """There is no open alarm of that key."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm: from when, seen how often and when last, and when it was over (None while it is open)."""

    key: str
    severity: Severity
    what: str
    raised_at: datetime
    seen_at: datetime
    times: int
    cleared_at: datetime | None = None
    cleared_by: str = ""


def raise_alarm(*, key: str, severity: Severity, what: str, at: datetime) -> bool:
    """Raise an alarm, or note that an open one was seen again. Returns whether it is a new one.

    `what` says in a sentence what is wrong and what to do; no secrets, no more of a person's data than needed (it goes
    out by mail). The latest `what` is kept, and the graver severity. In the caller's transaction: what is rolled
    back has raised nothing.
    """
    require_aware(at)
    if not key or key != key.strip() or not what.strip():
        raise ValueError("an alarm needs a key, and words that say what is wrong")
    if severity not in ("warning", "critical"):
        raise ValueError(f"an alarm is a warning or critical, not {severity!r}")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO platform_alarm (key, severity, what, raised_at, seen_at, times, cleared_by)"
            " VALUES (%s, %s, %s, %s, %s, 1, '')"
            " ON CONFLICT (key) WHERE cleared_at IS NULL DO UPDATE SET"
            "  what = excluded.what, times = platform_alarm.times + 1,"
            "  severity = CASE WHEN platform_alarm.severity = 'critical' THEN 'critical' ELSE excluded.severity END,"
            "  seen_at = greatest(platform_alarm.seen_at, excluded.seen_at),"
            # One that became critical is told of again, at once.
            "  told_at = CASE WHEN platform_alarm.severity <> 'critical' AND excluded.severity = 'critical'"
            "   THEN NULL ELSE platform_alarm.told_at END"
            " RETURNING times",
            [key, severity, what.strip()[:_LONGEST], at, at],
        )
        (times,) = cursor.fetchone() or (0,)
    return bool(times == 1)


def clear_alarm(*, key: str, at: datetime, actor: str = "worker", reason: str = "") -> bool:
    """Say that what an alarm was about is over. Returns whether one was open; clearing none is no fault.

    Whatever raised it clears it when it sees things well again. A person (`actor`) gives a reason, which is recorded.
    """
    require_aware(at)
    with transaction.atomic():
        cleared = _Row.objects.filter(key=key, cleared_at__isnull=True).update(cleared_at=at, cleared_by=actor)
        if cleared and actor != "worker":
            audit.record(actor=actor, act="alarm.cleared", subject=f"alarm:{key}", at=at, reason=reason)
    return bool(cleared)


def open_alarms() -> list[Alarm]:
    """The open alarms: the critical ones first, then the oldest."""
    rows = _Row.objects.filter(cleared_at__isnull=True).order_by("raised_at", "id")
    return sorted(map(_of, rows), key=lambda alarm: alarm.severity != "critical")


def recent_alarms(*, limit: int = 50) -> list[Alarm]:
    """Open and cleared ones, the newest first."""
    return [_of(row) for row in _Row.objects.order_by("-raised_at", "-id")[:limit]]


def _of(row: _Row) -> Alarm:
    severity: Severity = "critical" if row.severity == "critical" else "warning"
    return Alarm(row.key, severity, row.what, row.raised_at, row.seen_at, row.times, row.cleared_at, row.cleared_by)


# Telling operators: which alarms are to be told of now. The mail itself is a flow's.


@dataclass(frozen=True, slots=True)
class Due:
    """What operators are to be told: alarms that are new, still open after a day, and over."""

    new: Sequence[Alarm]
    still: Sequence[Alarm]
    over: Sequence[Alarm]

    def __bool__(self) -> bool:
        return bool(self.new or self.still or self.over)


def take_due(*, at: datetime) -> Due:
    """The alarms to tell of, noted as told in the caller's transaction: the mail belongs in the same one.

    First when it is raised, then once a day while it is open, and when it is over if it was told of. An alarm that was
    over before anybody was told is not told of, and one that comes and goes is told of once an hour at most.
    """
    require_aware(at)
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH due AS (SELECT id, told_at AS before FROM platform_alarm"
            "  WHERE (cleared_at IS NULL AND told_at <= %(at)s - interval '1 day')"
            "     OR (cleared_at IS NULL AND told_at IS NULL AND NOT EXISTS (SELECT 1 FROM platform_alarm b"
            "          WHERE b.key = platform_alarm.key AND b.id < platform_alarm.id"
            "            AND b.told_at > %(at)s - interval '1 hour'))"
            "     OR (cleared_at IS NOT NULL AND told_at IS NOT NULL AND over_told_at IS NULL)"
            "  ORDER BY id FOR UPDATE SKIP LOCKED)"
            " UPDATE platform_alarm a SET told_at = CASE WHEN a.cleared_at IS NULL THEN %(at)s ELSE a.told_at END,"
            "  over_told_at = CASE WHEN a.cleared_at IS NULL THEN NULL ELSE %(at)s::timestamptz END"
            " FROM due WHERE due.id = a.id RETURNING a.id, due.before",
            {"at": at},
        )
        told = dict(cursor.fetchall())
    new: list[Alarm] = []
    still: list[Alarm] = []
    over: list[Alarm] = []
    for row in _Row.objects.filter(id__in=told).order_by("raised_at", "id"):
        if row.cleared_at is not None:
            over.append(_of(row))
        else:
            (new if told[row.id] is None else still).append(_of(row))
    return Due(new, still, over)
