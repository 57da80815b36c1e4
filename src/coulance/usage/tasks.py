"""Jobs that look after the samples: sealing each hour, compaction and proof each night. Private to the room.

Every command loads the jobs of every room, so what is heavy is imported when a job runs.
"""

import logging
from datetime import timedelta

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from coulance.platform import clock

_log = logging.getLogger(__name__)
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


@app.periodic(cron="3 4 * * *", periodic_id="verify")
@app.task(queueing_lock="usage.verify")
def verify(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Count everything again, and say loudly when something differs: the job fails, and doctor shows it."""
    from coulance.usage import queries

    faults = list(queries.verify())
    for fault in faults:
        _log.error("usage: %s", fault)
    if faults:
        raise RuntimeError(f"{len(faults)} faults in the sample store; first: {faults[0]}")
