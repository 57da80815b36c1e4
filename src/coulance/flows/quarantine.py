"""Samples of series that nobody knows: assigned to a service, and taken in with it."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from coulance.flows.customers import assign_series
from coulance.platform import audit, webhooks
from coulance.usage import operations as usage
from coulance.usage.operations import ReplayAnswer


@dataclass(frozen=True, slots=True)
class Assigned:
    """What came of it: the series was new or known, and its waiting samples were taken in."""

    series: str
    done: str
    replayed: ReplayAnswer


def assign(*, key: str, service: str, meter: str, actor: str, at: datetime, reason: str = "") -> Assigned:
    """Say which service and meter a series counts for, and take in what waits for it. One transaction.

    Raises `customers.UnableToKeepError` (flows). A waiting entry that the meter can't take stays, and is named.
    """
    with transaction.atomic():
        done = assign_series(key=key, service=service, meter=meter, actor=actor, at=at)
        replayed = usage.replay_quarantined(recorded_at=at, keys=[key])
        rows = replayed.rows
        detail = {"service": service, "meter": meter, "rows": rows}
        audit.record(actor=actor, act="usage.assigned", subject=f"series:{key}"[:200], at=at, reason=reason.strip(),
                     detail=detail)  # fmt: skip
        webhooks.emit(event="usage.assigned", data={"series": key, **detail}, at=at)
    return Assigned(key, done, replayed)


def replay(*, actor: str, at: datetime) -> ReplayAnswer:
    """Take in what waits for every series that is known by now."""
    with transaction.atomic():
        answer = usage.replay_quarantined(recorded_at=at)
        if answer.rows:
            detail = {"rows": answer.rows, "series": [key[:200] for key in answer.keys[:50]]}
            audit.record(actor=actor, act="usage.replayed", subject="quarantine", at=at, detail=detail)
    return answer


def discard(*, keys: list[str], reason: str, actor: str, at: datetime) -> int:
    """Give up what waits for these series; gives how many rows. They stay on record as discarded, and are not billed.

    Raises `UnableToReplayError` (usage) without a reason.
    """
    with transaction.atomic():
        rows = usage.discard_quarantined(keys=keys, reason=reason, recorded_at=at)
        for key in keys:
            audit.record(actor=actor, act="usage.discarded", subject=f"series:{key}"[:200], at=at, reason=reason)
    return rows
