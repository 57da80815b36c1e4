"""Jobs that tell operators of alarms. Private to the room."""

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from coulance.platform import clock


@app.periodic(cron="* * * * *", periodic_id="alarms_tell")
@app.task(queueing_lock="flows.alarms.tell")
def tell(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """See whether operators are to be told of anything, and have it sent."""
    from coulance.flows import alarms

    alarms.tell_operators(at=clock.now())


@app.task(retry=RetryStrategy(max_attempts=20, exponential_wait=4))
def send(to: list[str], subject: str, text: str) -> None:
    """Send one mail that was decided on; its job was written in the same transaction as the note that it was told."""
    from coulance.flows import alarms

    alarms.send_mail(to=to, subject=subject, text=text)
