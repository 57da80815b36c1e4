"""Jobs that keep the platform itself in order. Private to the room; the worker finds them by this module's name."""

import logging

from procrastinate import RetryStrategy, builtin_tasks
from procrastinate.contrib.django import app
from procrastinate.job_context import JobContext

_log = logging.getLogger(__name__)

_STALLED_AFTER_S = 30


@app.periodic(cron="* * * * *", periodic_id="requeue")
@app.task(queueing_lock="platform.requeue_stalled_jobs", pass_context=True)
async def requeue_stalled_jobs(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Give back the jobs whose worker was killed: they stay `doing` and hold their locks until somebody does.

    Jobs are idempotent, so one that did finish its work but could not say so does no harm by running again.
    """
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=_STALLED_AFTER_S):
        _log.warning("job %s (%s) lost its worker; given back", job.id, job.task_name)
        await manager.retry_job(job)


@app.periodic(cron="17 3 * * *", periodic_id="tidy")
@app.task(queueing_lock="platform.remove_finished_jobs", retry=RetryStrategy(max_attempts=2), pass_context=True)
async def remove_finished_jobs(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Forget jobs that succeeded more than a week ago; failed ones stay until somebody looks at them."""
    await builtin_tasks.remove_old_jobs(context, max_hours=7 * 24, remove_failed=False)
