"""Jobs of arrears: every account each day, those whose time has come each hour, and one at once when a fact changed."""

import logging

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from coulance.platform import clock

_log = logging.getLogger(__name__)


@app.task(retry=RetryStrategy(max_attempts=5, exponential_wait=5))
def look(accounts: list[int]) -> None:
    """Judge these accounts now: something of theirs changed."""
    from coulance.flows.arrears import deleting
    from coulance.flows.arrears.running import run_arrears

    deleting.withdraw_gone(accounts, at=clock.now())
    run_arrears(at=clock.now(), accounts=accounts)


@app.task(retry=RetryStrategy(max_attempts=5, exponential_wait=60))
def back_up(account: int, service: str) -> None:
    """Back a service up, verify it and record it."""
    from coulance.flows.arrears.backing_up import back_up as make

    make(account=account, service=service, now=clock.now)


@app.task(retry=RetryStrategy(max_attempts=8, exponential_wait=30))
def delete(act: int) -> None:
    """Carry an order to delete out, judged once more."""
    from coulance.arrears.errors import UnableToActError
    from coulance.flows.arrears import deleting

    try:
        deleting.run(act=act, now=clock.now)
    except UnableToActError as fault:
        _log.info("arrears: %s", fault)  # it waits: the hourly look carries on with it


@app.task(retry=RetryStrategy(max_attempts=5, exponential_wait=60))
def package(act: int) -> None:
    """Make the package of a hand-over."""
    from coulance.flows.arrears import collectors

    collectors.make(act=act, now=clock.now)


@app.periodic(cron="41 3 * * *", periodic_id="arrears_backups")
@app.task(queueing_lock="flows.arrears.backups", lock="flows.arrears.backups")
def watch_backups(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Look whether backups are still there, and verify those that aren't verified yet."""
    from coulance.flows.arrears.backing_up import watch

    watch(now=clock.now)


@app.periodic(cron="7 * * * *", periodic_id="arrears_hourly")
@app.task(queueing_lock="flows.arrears.hourly", lock="flows.arrears")
def hourly(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Judge those whose time has come; and everybody once a day, where the provider's day has begun: after credits."""
    from coulance.flows.arrears import collectors, deleting, running

    now = clock.now()
    _log.info("arrears: %s", running.run_day(at=now) if running.is_night_due(at=now) else running.run_due(at=now))
    collectors.make_missing(now=clock.now)
    for said in deleting.carry_on(now=clock.now):
        _log.info("arrears: %s", said)
