"""The job that lets what accounts have on hand pay what they owe. Private to the room."""

from procrastinate.contrib.django import app

from coulance.platform import clock


@app.periodic(cron="37 3 * * *", periodic_id="on_hand")
@app.task(queueing_lock="flows.on_hand")
def apply(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Each night, for whatever was issued since by whichever act; a close does it at once for its own."""
    from coulance.catalog import queries as catalog
    from coulance.flows import payments

    try:
        payments.apply_on_hand(actor="worker", reason="money on hand pays what is open", at=clock.now())
    except catalog.UnableToFindCatalogError:
        return  # nothing is billed before there is a provider file
