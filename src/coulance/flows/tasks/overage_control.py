"""Jobs of overage control: everything is looked at by the hour, so that nothing that was missed stays missed."""

from procrastinate.contrib.django import app

from coulance.platform import clock


@app.periodic(cron="17 * * * *", periodic_id="overage_sweep")
@app.task(queueing_lock="flows.overage_control.sweep", lock="flows.overage_control.sweep")
def sweep(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Look at every service; tell again what nobody answered; let provisional limits lapse."""
    from coulance.flows.overage_control import rounds

    rounds.sweep(at=clock.now())
