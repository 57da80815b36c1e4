"""Jobs of promises: evidence gathered by day, and what late evidence adds to periods that are over."""

import logging
from datetime import timedelta

from procrastinate.contrib.django import app

from coulance.platform import clock

_log = logging.getLogger(__name__)


@app.periodic(cron="12 * * * *", periodic_id="sla_gather")
@app.task(queueing_lock="flows.promises.gather", lock="flows.promises.gather")
def gather(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Gather batches of looks into one row a check, agent and day; and say who should be heard and isn't."""
    from coulance.catalog.queries import UnableToFindCatalogError
    from coulance.flows.promises import silence
    from coulance.sla import looks

    while looks.gather(before=clock.now() - timedelta(hours=1)):
        pass
    try:
        silence.watch(at=clock.now())
    except UnableToFindCatalogError:
        return


@app.periodic(cron="40 4 * * *", periodic_id="sla_credit")
@app.task(queueing_lock="flows.promises.credit", lock="flows.promises.credit")
def credit(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Credit what the last three months' evidence shows above what was credited, and pay what waits; what is over of
    this one, for terms that say so; and remind of claims upstream."""
    from coulance.catalog.queries import UnableToFindCatalogError
    from coulance.flows.promises import claims, crediting, incidents

    try:
        report = crediting.credit_again(at=clock.now(), actor="worker")
        report.add(incidents.credit_incidents(at=clock.now(), actor="worker", all_of_it=True))
    except UnableToFindCatalogError:
        return
    claims.remind(at=clock.now())
    for service, amount in report.credited:
        _log.info("%s: %s credited", service, amount)


@app.periodic(cron="*/10 * * * *", periodic_id="sla_incidents")
@app.task(queueing_lock="flows.promises.incidents", lock="flows.promises.credit")
def credit_incidents(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Credit outages that are over, for terms that credit on the incident."""
    from coulance.catalog.queries import UnableToFindCatalogError
    from coulance.flows.promises import incidents

    try:
        report = incidents.credit_incidents(at=clock.now(), actor="worker")
    except UnableToFindCatalogError:
        return
    for service, amount in report.credited:
        _log.info("%s: %s credited on the incident", service, amount)
