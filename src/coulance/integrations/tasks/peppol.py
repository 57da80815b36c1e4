"""The job that hands e-invoices to the access point and follows them. Private to the room."""

from procrastinate.contrib.django import app

from coulance.platform import clock


@app.periodic(cron="* * * * *", periodic_id="einvoices")
@app.task(name="einvoicing.carry_on", queueing_lock="einvoicing.carry_on")
def carry_on(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Go on with what is due: each minute, and at once when something is queued."""
    from coulance.flows import einvoicing
    from coulance.integrations import peppol

    point = peppol.access_point()
    try:
        einvoicing.carry_on_due(access_point=point, now=clock.now)
    finally:
        if point is not None:
            point.close()
