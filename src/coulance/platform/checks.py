"""What the audits said last: one result a check, kept for the doctor, the metrics and the console.

The checks themselves belong to the rooms and are run by a flow; here is only what came of them.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from coulance.platform import alarms
from coulance.platform.models import CheckResult
from coulance_core.kernel import require_aware

OVERDUE = timedelta(hours=50)
"""Checks run each night; one that missed two nights says nothing any more."""


@dataclass(frozen=True, slots=True)
class Result:
    """The last run of a check; `sound_at` is when it last found nothing."""

    name: str
    ran_at: datetime
    took: timedelta
    faults: int
    first: str
    sound_at: datetime | None


def note_result(*, name: str, what: str, faults: int, first: str, took: timedelta, at: datetime) -> Result:
    """Keep what a run of a check came to, and raise its alarm or clear it. `what` says what the check is about."""
    require_aware(at)
    values = {"ran_at": at, "took_ms": int(took.total_seconds() * 1000), "faults": faults, "first": first[:2000]}
    if not faults:
        values["sound_at"] = at
    with transaction.atomic():
        row, _ = CheckResult.objects.update_or_create(name=name, defaults=values)
        if faults:
            alarms.raise_alarm(
                key=f"audit.{name}",
                severity="critical",
                what=f"{what}: {faults} fault{'s' * (faults != 1)}; first: {first}. "
                f"See them all with: coulance audit {name}",
                at=at,
            )
        else:
            alarms.clear_alarm(key=f"audit.{name}", at=at)
    return _of(row)


def results() -> list[Result]:
    """The last result of every check that ever ran, by name."""
    return [_of(row) for row in CheckResult.objects.order_by("name")]


def _of(row: CheckResult) -> Result:
    return Result(row.name, row.ran_at, timedelta(milliseconds=row.took_ms), row.faults, row.first, row.sound_at)
