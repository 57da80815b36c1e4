"""The job that looks after the books: sealing each night. Private to the room; the audit is a flow's."""

from datetime import UTC, timedelta

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from coulance.ledger import operations
from coulance.platform import clock


@app.periodic(cron="17 0 * * *", periodic_id="ledger_seal")
@app.task(queueing_lock="ledger.seal", retry=RetryStrategy(max_attempts=3, wait=300))
def seal(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Seal the UTC days that are over."""
    now = clock.now()
    operations.seal_until(day=now.astimezone(UTC).date() - timedelta(days=1), at=now)
