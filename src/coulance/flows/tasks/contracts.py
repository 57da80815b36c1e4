"""The jobs behind contracts: the daily round, and the watch on promises of response."""

from procrastinate.contrib.django import app

from coulance.platform import clock


@app.periodic(cron="37 4 * * *", periodic_id="contracts")
@app.task(queueing_lock="flows.contracts", lock="flows.contracts")
def round_of_contracts(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Charge, invoice, credit, warn and ask."""
    from coulance.flows.contracts import running

    running.run(at=clock.now())


@app.periodic(cron="* * * * *", periodic_id="tickets")
@app.task(queueing_lock="flows.tickets", lock="flows.tickets")
def watch_tickets(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Warn before a promise breaks."""
    from coulance.flows.contracts import ticketing

    ticketing.watch(at=clock.now())
