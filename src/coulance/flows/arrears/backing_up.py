"""Having a service backed up before it is suspended, ended or deleted, by the provider's own adapter.

`flows.backing_up` makes, verifies and records it; here it is told to arrears, or an alarm is raised and the step waits.
"""

import logging
from collections.abc import Callable
from datetime import datetime

from coulance.arrears.backup_terms import BackupTerms
from coulance.flows import backing_up
from coulance.flows.arrears.looking import look_soon
from coulance.flows.backing_up import UnableToBackUpServiceError
from coulance.platform import alarms
from coulance.services import queries as services

_log = logging.getLogger(__name__)


def terms_for(service: services.ServiceForClose) -> BackupTerms | None:
    """How the provider's file says that a service is backed up; none: a person does it."""
    return backing_up.terms_of_plans([sub.plan for sub in service.subscriptions if sub.valid_until is None])


def watch(*, now: Callable[[], datetime]) -> None:
    """Look at every backup, verify those that aren't yet, and have arrears judge again where that changed things."""
    changed = backing_up.watch_backups(by="worker", now=now)
    owners = {row.account_id for row in services.services_by_external_id(changed).values()}
    look_soon(owners)


def back_up(*, account: int, service: str, now: Callable[[], datetime]) -> int | None:
    """Back a service up and verify it; the backup's id. None where it failed: an alarm says why, and the step waits.

    One that couldn't be verified yet (a backup server has not looked) is kept, and counts once the daily look finds it
    verified.
    """
    (row,) = services.accounts_for_close([account])
    own = next(one for one in row.services if one.external_id == service)
    if terms_for(own) is None:
        return None
    key, at = f"arrears-backup:{service}", now()
    try:
        made = backing_up.back_up_service(
            service=service, key=f"arrears/{account}/{service}/{at:%Y-%m-%d}", by="worker", now=now
        )
        if not made.verified.sound:
            raise UnableToBackUpServiceError(f"{service}: it isn't sound: {made.verified.how}")
    except UnableToBackUpServiceError as fault:
        _log.warning("backup of %s: %s", service, fault)
        alarms.raise_alarm(key=key, severity="warning", what=f"Backing {service} up failed: {fault}", at=now())
        return None
    alarms.clear_alarm(key=key, at=now())
    look_soon([account])
    return made.backup
