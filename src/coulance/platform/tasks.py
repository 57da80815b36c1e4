"""Jobs that keep the platform itself in order. Private to the room; the worker finds them by this module's name."""

import logging

from procrastinate import RetryStrategy, builtin_tasks
from procrastinate.contrib.django import app
from procrastinate.job_context import JobContext

from coulance.platform import clock

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


@app.task
def send_webhooks(endpoint: int) -> None:
    """Send what is due to an endpoint (row id). Its lock is the endpoint: one at a time, in the order of events."""
    from coulance.platform import webhook_sending

    webhook_sending.deliver_due(endpoint=endpoint, now=clock.now)


@app.periodic(cron="* * * * *", periodic_id="webhooks")
@app.task(queueing_lock="platform.find_late_webhooks")
def find_late_webhooks(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Send what should have left a minute ago: the job that was to do it was killed, or lost."""
    from coulance.platform import webhook_sending, webhooks

    for endpoint in webhook_sending.endpoints_due(at=clock.now()):
        webhooks.nudge(endpoint=endpoint)


@app.periodic(cron="37 3 * * *", periodic_id="forget_webhooks")
@app.task(queueing_lock="platform.forget_webhooks")
def forget_webhooks(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Forget events that can no longer be replayed, and answers that are no longer given again."""
    from coulance.platform import idempotency, webhook_sending

    webhook_sending.forget(at=clock.now(), idempotent_for=idempotency.KEPT)
