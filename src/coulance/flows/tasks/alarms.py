"""The job that tells operators of alarms. Private to the room."""

from procrastinate.contrib.django import app

from coulance.platform import clock


@app.periodic(cron="* * * * *", periodic_id="alarms_tell")
@app.task(queueing_lock="flows.alarms.tell")
def tell(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """See whether operators are to be told of anything, and queue the mail."""
    from coulance.flows import alarms

    alarms.tell_operators(at=clock.now())
