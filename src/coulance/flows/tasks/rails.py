"""Jobs of the rails: events of gateways, what waits for an answer, collections and charges that fall due."""

import logging

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from coulance.platform import clock

_log = logging.getLogger(__name__)


@app.task(retry=RetryStrategy(max_attempts=8, exponential_wait=5), queueing_lock=None)
def do_event(event: int) -> None:
    """Do one event of a gateway; when the gateway gives no answer, later again."""
    from coulance.flows.rails import paying

    paying.do_event(event=event, at=clock.now())


@app.periodic(cron="*/10 * * * *", periodic_id="rails_sweep")
@app.task(queueing_lock="flows.rails.sweep", lock="flows.rails.sweep")
def sweep(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Look after what waits for a gateway's answer."""
    from coulance.flows.rails import paying

    if paying.offered():
        paying.sweep(at=clock.now())


@app.periodic(cron="20 5 * * *", periodic_id="rails_daily")
@app.task(queueing_lock="flows.rails.daily", lock="flows.rails.daily")
def daily(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Plan collections and make files, pay from balances, announce and make charges, read payouts."""
    from coulance.flows.rails import daily as rails

    for line in rails.run(at=clock.now(), actor="worker"):
        _log.info("%s", line)
