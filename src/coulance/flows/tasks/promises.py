"""Jobs of promises: evidence gathered by day, and what late evidence adds to periods that are over."""

import logging
from datetime import timedelta

from procrastinate.contrib.django import app

from coulance.platform import clock

_log = logging.getLogger(__name__)


@app.periodic(cron="12 * * * *", periodic_id="sla_gather")
@app.task(queueing_lock="flows.promises.gather", lock="flows.promises.gather")
def gather(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Gather batches of looks into one row a check, agent and day."""
    from coulance.sla import looks

    while looks.gather(before=clock.now() - timedelta(hours=1)):
        pass


@app.periodic(cron="40 4 * * *", periodic_id="sla_credit")
@app.task(queueing_lock="flows.promises.credit", lock="flows.promises.credit")
def credit(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Credit what the last three months' evidence shows above what was credited, and pay what waits."""
    from coulance.catalog.queries import UnableToFindCatalogError
    from coulance.flows.promises import crediting

    try:
        report = crediting.credit_again(at=clock.now(), actor="worker")
    except UnableToFindCatalogError:
        return
    for service, amount in report.credited:
        _log.info("%s: %s credited", service, amount)
