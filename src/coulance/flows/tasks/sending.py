"""Jobs of sending: what goes by schedule, what came back, and the alarm that ends when all is well."""

import logging
import os
from pathlib import Path

from procrastinate.contrib.django import app

from coulance.platform import clock

_log = logging.getLogger(__name__)
BOUNCES_VARIABLE = "COULANCE_BOUNCES"


@app.periodic(cron="*/5 * * * *", periodic_id="sending_scheduled")
@app.task(queueing_lock="flows.sending.scheduled", lock="flows.sending")
def scheduled(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Queue what goes by itself now."""
    from coulance.flows.sending import queueing, status

    now = clock.now()
    queueing.send_scheduled(at=now)
    status.clear_when_well(at=now)


@app.periodic(cron="*/10 * * * *", periodic_id="sending_bounces")
@app.task(queueing_lock="flows.sending.bounces", lock="flows.sending.bounces")
def bounces(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Read the mailbox that what is undeliverable comes back to, where one is named."""
    from coulance.notices import operations

    where = os.environ.get(BOUNCES_VARIABLE)
    if not where:
        return
    try:
        read = operations.read_bounces(path=Path(where), at=clock.now())
    except operations.UnableToReadBouncesError as fault:
        _log.error("%s: %s", BOUNCES_VARIABLE, fault)
        return
    for line in read.lines:
        _log.warning("%s", line)
