"""The job behind disputes: closes cases whose question stayed unanswered, and says when we are late ourselves."""

from procrastinate.contrib.django import app

from coulance.platform import clock


@app.periodic(cron="23 * * * *", periodic_id="disputing")
@app.task(queueing_lock="flows.disputing", lock="flows.disputing")
def look(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Close what lapsed, and look at our own deadlines."""
    from coulance.flows.disputing import working

    now = clock.now()
    working.lapse(at=now)
    working.watch(at=now)
