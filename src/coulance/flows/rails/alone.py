"""One thing that fails stops no other: it is said aloud, and tried again by whoever looks next."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from coulance.payments.ports import GatewayRefusedError, UnableToReachGatewayError
from coulance.platform.alarms import clear_alarm, raise_alarm

_log = logging.getLogger(__name__)
ALARM = "payments.rails"


@contextmanager
def alone(what: str, *, at: datetime, gateway: str = "") -> Iterator[None]:
    """Do one of many. A gateway without an answer is asked another time; any other failure raises an alarm by `what`.

    What a `gateway` refuses (its key was withdrawn, say) is one alarm for all of its payments.

    Not inside a transaction of more than this one thing: what is in it is to be undone with it.
    """
    try:
        yield
    except UnableToReachGatewayError as error:
        _log.warning("%s waits: %s", what, error)
    except GatewayRefusedError as error:
        raise_alarm(
            key=f"payments.gateway/{gateway}", severity="warning", what=f"{gateway or what} refuses: {error}", at=at
        )
    except Exception as error:
        _log.exception("%s can't be done", what)
        raise_alarm(key=f"{ALARM}/{what}"[:200], severity="critical", what=f"{what} can't be done: {error}", at=at)
    else:
        clear_alarm(key=f"{ALARM}/{what}"[:200], at=at)
