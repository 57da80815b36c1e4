"""The job behind settling first: asks whom a crash left unasked, and issues what nobody chose for in time."""

from procrastinate.contrib.django import app

from coulance.platform import clock


@app.periodic(cron="*/5 * * * *", periodic_id="settling_first")
@app.task(queueing_lock="flows.settling_first", lock="flows.settling_first")
def look(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Ask, lower what rests on a warning that came back, and issue what lapsed."""
    from coulance.flows.settling_first import asking, settling

    now = clock.now()
    asking.ask_all(at=now)
    settling.look_again(at=now)
    settling.issue_lapsed(at=now)
