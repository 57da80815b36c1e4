"""The jobs behind contracts: the daily round, and the watch on promises of response."""

import logging
import os
from pathlib import Path

from procrastinate.contrib.django import app

from coulance.platform import clock

_log = logging.getLogger(__name__)
MAILDIR_VARIABLE = "COULANCE_TICKET_MAIL"


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


@app.periodic(cron="* * * * *", periodic_id="ticket_mail")
@app.task(queueing_lock="flows.ticket_mail", lock="flows.ticket_mail")
def read_ticket_mail(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Take what lies in the Maildir of the desk, where one is named."""
    where = os.environ.get(MAILDIR_VARIABLE)
    if not where:
        return
    from coulance.flows.contracts import maildir

    try:
        maildir.take_all(Path(where), clock=clock.now)
    except maildir.UnableToTakeError as fault:
        _log.error("%s: %s", MAILDIR_VARIABLE, fault)
