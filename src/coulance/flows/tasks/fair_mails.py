"""Jobs of letters that nobody asked for at this moment: invitations of campaigns, advice to repeat payers."""

from procrastinate.contrib.django import app

from coulance.platform import clock


@app.periodic(cron="*/5 * * * *", periodic_id="campaigns")
@app.task(queueing_lock="flows.campaigns", lock="flows.campaigns")
def invite(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Queue the invitations that their pace allows now."""
    from coulance.flows import campaigning

    campaigning.send_due(at=clock.now())


@app.periodic(cron="41 9 * * *", periodic_id="advice_mails")
@app.task(queueing_lock="flows.advice_mails", lock="flows.advice_mails")
def advise(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Tell repeat payers of a cheaper plan, where the provider wants that."""
    from coulance.flows import advising

    advising.tell_repeat_payers(at=clock.now(), actor="worker")
