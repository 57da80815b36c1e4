"""Jobs that send mail. Private to the room."""

import logging
from datetime import timedelta

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from coulance.platform import clock
from coulance.platform.alarms import clear_alarm, raise_alarm

_log = logging.getLogger(__name__)
_LASTS = timedelta(seconds=50)
SERVER_ALARM = "mail.server"


@app.task(queueing_lock="notices.send", lock="notices.send", retry=RetryStrategy(max_attempts=3, wait=30))
def send() -> None:
    """Send what is due; what is left after a while is the next job's."""
    from coulance.notices import operations, queries, transport

    try:
        way = transport.configured()
    except operations.UnableToReadTransportError as fault:
        raise_alarm(key=SERVER_ALARM, severity="critical", what=f"No mail goes out: {fault}", at=clock.now())
        return
    if way is None:
        return  # messages wait; doctor says so
    done = operations.send_due(transport=way, clock=clock.now, lasts=_LASTS)
    now = clock.now()
    if done.stopped:
        _log.warning("mail: %s", done.stopped)
        raise_alarm(key=SERVER_ALARM, severity="critical", what=f"No mail goes out: {done.stopped}", at=now)
        return
    clear_alarm(key=SERVER_ALARM, at=now)
    if queries.mail_state(at=now).due:
        operations.nudge()


@app.periodic(cron="* * * * *", periodic_id="send_mail")
@app.task(queueing_lock="notices.look")
def look(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Have what is due sent: first attempts whose job was lost, and those whose pause is over."""
    from coulance.notices import operations, queries

    state = queries.mail_state(at=clock.now())
    if state.due or state.under_way:
        operations.nudge()


@app.periodic(cron="27 4 * * *", periodic_id="notices_check")
@app.task(queueing_lock="notices.check")
def check(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Recompute the chains of evidence, and say loudly when something is wrong."""
    from coulance.notices.check import check_evidence

    faults = list(check_evidence())
    for fault in faults:
        _log.error("notices: %s", fault)
    if faults:
        what = f"The evidence of messages was changed: {faults[0]}"
        raise_alarm(key="notices.check", severity="critical", what=what, at=clock.now())
        raise RuntimeError(f"{len(faults)} faults in the evidence; first: {faults[0]}")
    clear_alarm(key="notices.check", at=clock.now())


TEXT_ALARM = "sms.gateway"


@app.task(queueing_lock="notices.texts", lock="notices.texts", retry=RetryStrategy(max_attempts=3, wait=30))
def send_texts() -> None:
    """Send text messages that are due."""
    from coulance.notices import operations, texting

    try:
        gateway = texting.configured()
    except operations.UnableToReadTransportError as fault:
        raise_alarm(key=TEXT_ALARM, severity="critical", what=f"No text message goes out: {fault}", at=clock.now())
        return
    if gateway is None:
        raise_alarm(
            key=TEXT_ALARM, severity="warning", at=clock.now(),
            what="Text messages wait: there is no gateway (secret `sms`)",
        )  # fmt: skip
        return
    done = texting.send_texts_due(gateway=gateway, clock=clock.now, lasts=_LASTS)
    if done.stopped:
        what = f"No text message goes out: {done.stopped}"
        raise_alarm(key=TEXT_ALARM, severity="critical", what=what, at=clock.now())
    else:
        clear_alarm(key=TEXT_ALARM, at=clock.now())


@app.task(queueing_lock="notices.hooks", lock="notices.hooks", retry=RetryStrategy(max_attempts=3, wait=30))
def send_hooks() -> None:
    """Tell customers' webhooks what is due."""
    from coulance.notices import hooks, operations

    hooks.send_hooks_due(clock=clock.now, lasts=_LASTS)
    if hooks.due(at=clock.now()):
        operations.nudge_hooks()


@app.periodic(cron="*/2 * * * *", periodic_id="look_at_texts")
@app.task(queueing_lock="notices.look_texts")
def look_at_texts(timestamp: int) -> None:  # noqa: ARG001 - periodic
    """Have due texts sent, and ask what became of those that were taken; and have customers' webhooks told."""
    from coulance.notices import hooks, operations, queries, texting

    now = clock.now()
    if hooks.due(at=now):
        operations.nudge_hooks()
    waiting, taken = queries.texts_open(at=now)
    if waiting:
        operations.nudge_texts()
    if taken:
        gateway = texting.configured()
        if gateway is not None:
            texting.ask_after(gateway=gateway, at=now)
