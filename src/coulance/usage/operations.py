"""What can be done to usage: ingest, replay or discard quarantine, seal, compact, retain, collect garbage, recount.

Arguments are keyword-only; instants are passed in. Refusals are the errors of `errors.py`.
"""

from datetime import datetime

from django.db import connection, transaction

from coulance.usage import quarantine
from coulance.usage.batches import ingest_batch
from coulance.usage.collecting import UnableToTakeMoreError, note_failure, note_written, take_collected, take_written
from coulance.usage.columns import Columns, Rejection, from_arrow, from_lists
from coulance.usage.errors import (
    UnableToIngestError,
    UnableToReadBatchError,
    UnableToReadSegmentError,
    UnableToReplayError,
    UnableToSealError,
    UsageError,
)
from coulance.usage.ingest import REVISIONS_LOCK, BatchAnswer
from coulance.usage.quarantine import ReplayAnswer
from coulance.usage.sealing import (
    Compacted,
    Sealed,
    collect_garbage,
    compact,
    forget_batches,
    retain,
    seal,
)
from coulance.usage.verifying import recount

__all__ = [
    "BatchAnswer",
    "Columns",
    "Compacted",
    "Rejection",
    "ReplayAnswer",
    "Sealed",
    "UnableToIngestError",
    "UnableToReadBatchError",
    "UnableToReadSegmentError",
    "UnableToReplayError",
    "UnableToSealError",
    "UnableToTakeMoreError",
    "UsageError",
    "collect_garbage",
    "compact",
    "discard_quarantined",
    "fence",
    "forget_batches",
    "from_arrow",
    "from_lists",
    "ingest_batch",
    "note_failure",
    "note_written",
    "recount",
    "replay_quarantined",
    "retain",
    "seal",
    "take_collected",
    "take_written",
]


def fence() -> int:
    """A revision F such that every batch up to F is committed or will never be.

    Samples read after this are complete up to F; what comes later has a greater revision, and `queries.touched_since`
    finds it. Waits for the batches under way (milliseconds).
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [REVISIONS_LOCK])
        cursor.execute("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM usage_revision")
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def replay_quarantined(*, recorded_at: datetime, keys: list[str] | None = None) -> ReplayAnswer:
    """Ingest quarantined samples whose series are known by now (all, or those of `keys`)."""
    return quarantine.replay(recorded_at=recorded_at, keys=keys)


def discard_quarantined(*, keys: list[str], reason: str, recorded_at: datetime) -> int:
    """Give up quarantined samples of `keys`, with the reason on record; returns how many rows."""
    return quarantine.discard(keys=keys, reason=reason, recorded_at=recorded_at)
