"""How the queue of jobs stands."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection


@dataclass(frozen=True, slots=True)
class Jobs:
    """Counts by state, and how long the oldest job that is due has waited (seconds; 0 when none is)."""

    waiting: int
    running: int
    failed: int
    oldest_s: float


def state(*, at: datetime) -> Jobs:
    """The queue at an instant. A job that is scheduled for later is not due; one that was tried before is, again."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE status = 'todo'), count(*) FILTER (WHERE status = 'doing'),"
            " count(*) FILTER (WHERE status = 'failed') FROM procrastinate_jobs"
            " WHERE status IN ('todo', 'doing', 'failed')"
        )
        waiting, running, failed = cursor.fetchone() or (0, 0, 0)
        cursor.execute(
            "SELECT min(greatest(j.scheduled_at, e.at)) FROM procrastinate_jobs j"
            " JOIN procrastinate_events e ON e.job_id = j.id AND e.type IN ('deferred', 'deferred_for_retry')"
            " WHERE j.status = 'todo' AND (j.scheduled_at IS NULL OR j.scheduled_at <= %s)",
            [at],
        )
        (oldest,) = cursor.fetchone() or (None,)
    return Jobs(waiting, running, failed, max((at - oldest).total_seconds(), 0.0) if oldest else 0.0)
