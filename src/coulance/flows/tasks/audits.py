"""Jobs that audit what the house promises, each night. Private to the room."""

from procrastinate.contrib.django import app

from coulance.platform import clock


@app.periodic(cron="3 4 * * *", periodic_id="audits")
@app.task(queueing_lock="flows.audits.begin")
def begin(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Have every audit run, one after another: they read a lot."""
    from coulance.flows.audits import AUDITS
    from coulance.platform import limits

    limits.forget(at=clock.now())
    for each in AUDITS:
        run.configure(lock="flows.audits").defer(name=each.name)


@app.task
def run(name: str) -> None:
    """Run one audit. Its faults are kept and raise an alarm; the job itself has done what it should."""
    from coulance.flows import audits

    audits.run_audit(name, at=clock.now())
