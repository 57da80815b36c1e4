"""Jobs that look after the books: sealing each night, then an audit. Private to the room."""

import logging
from datetime import UTC, timedelta

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from coulance.ledger import operations
from coulance.ledger.check import check_ledger
from coulance.platform import clock

_log = logging.getLogger(__name__)


@app.periodic(cron="17 0 * * *", periodic_id="ledger_seal")
@app.task(queueing_lock="ledger.seal", retry=RetryStrategy(max_attempts=3, wait=300))
def seal(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Seal the UTC days that are over."""
    now = clock.now()
    operations.seal_until(day=now.astimezone(UTC).date() - timedelta(days=1), at=now)


@app.periodic(cron="43 4 * * *", periodic_id="ledger_check")
@app.task(queueing_lock="ledger.check")
def check(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Audit the journal, and say loudly when something is wrong: the job fails, and doctor shows it."""
    faults = list(check_ledger())
    for fault in faults:
        _log.error("ledger: %s", fault)
    if faults:
        raise RuntimeError(f"{len(faults)} faults in the books; first: {faults[0]}")
