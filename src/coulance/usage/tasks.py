"""Jobs that look after the samples: sealing each hour, compaction each night. Private to the room.

Every command loads the jobs of every room, so what is heavy is imported when a job runs.
"""

from datetime import timedelta

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from coulance.platform import clock

_ANSWERS_KEPT = timedelta(days=90)
"""A batch that is sent again later than this is judged row by row: slower, and the same."""


@app.periodic(cron="7 * * * *", periodic_id="seal")
@app.task(queueing_lock="usage.seal", lock="usage.segments", retry=RetryStrategy(max_attempts=3, wait=60))
def seal(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Turn the last hour's batches into segments."""
    from coulance.usage import operations

    operations.seal(now=clock.now())


@app.periodic(cron="33 2 * * *", periodic_id="compact")
@app.task(queueing_lock="usage.compact", lock="usage.segments", retry=RetryStrategy(max_attempts=3, wait=300))
def compact(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Merge the day's segments, remove files whose time is over, and forget answers nobody will ask for again."""
    from coulance.usage import operations

    now = clock.now()
    operations.compact(now=now)
    operations.collect_garbage(now=now)
    operations.forget_batches(before=now - _ANSWERS_KEPT)


@app.periodic(cron="17 * * * *", periodic_id="silence")
@app.task(queueing_lock="usage.silence")
def silence(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Raise the alarm about billed series that don't send, and about collectors that fail."""
    from coulance.usage import silence as silent

    now = clock.now()
    silent.watch(at=now)
    silent.watch_collectors(at=now)
