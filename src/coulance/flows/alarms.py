"""Telling operators of alarms by mail: when one is raised, once a day while it is open, and when it is over.

All that is due goes into one mail to every operator who may operate and has an address. Where mail isn't set up nothing
is noted as told, so that they are told once it is; until then an alarm is on the dashboard, in the metrics, and in what
the doctor says.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from coulance.notices import operations as notices
from coulance.notices import transport
from coulance.notices.errors import UnableToQueueError, UnableToReadTransportError
from coulance.notices.terms import Recipient
from coulance.platform import address, alarms, operators
from coulance.platform.alarms import Alarm, Due
from coulance.platform.roles import PERMISSIONS, Permission
from coulance_core.notices.recipients import MessageKind

_log = logging.getLogger(__name__)


def tell_operators(*, at: datetime) -> int:
    """Queue the mail that is due, if any; returns of how many alarms it tells.

    The note that they were told and the mail are one transaction: neither is without the other.
    """
    people = recipients()
    try:
        if not people or transport.configured() is None:
            return 0
    except UnableToReadTransportError:
        return 0  # the doctor says so
    try:
        with transaction.atomic():
            due = alarms.take_due(at=at)
            if not due:
                return 0
            subject, text = wording(due)
            notices.queue_message(
                key=f"alarms/{at.isoformat()}",
                account=None,
                kind=MessageKind.OPERATIONS,
                to=people,
                language="en",
                subject=subject,
                text=text,
                at=at,
                about="alarms",
            )
    except UnableToQueueError as fault:
        _log.warning("operators can't be told of alarms: %s", fault)
        return 0
    return len(due.new) + len(due.still) + len(due.over)


def recipients() -> list[Recipient]:
    """Whom alarms are mailed to: active operators with an address, who may operate."""
    return [
        Recipient(person.email, person.name)
        for person in operators.operators()
        if person.active and person.email and Permission.OPERATE in PERMISSIONS[person.role]
    ]


def wording(due: Due) -> tuple[str, str]:
    """Subject and text of the mail."""
    gravest = [alarm for alarm in (*due.new, *due.still) if alarm.severity == "critical"]
    first = (gravest or [*due.new, *due.still, *due.over])[0]
    count = len(due.new) + len(due.still)
    if count:
        subject = f"[Coulance] {'critical: ' if gravest else ''}{first.key}" + (f" and {count - 1} more" * (count > 1))
    else:
        subject = f"[Coulance] over: {first.key}" + (f" and {len(due.over) - 1} more" * (len(due.over) > 1))
    parts = [
        *_part("New:", due.new),
        *_part("Still open:", due.still),
        *_part("Over:", due.over),
        f"All alarms: {address.public()}/alarms",
    ]
    return subject, "\n".join(parts) + "\n"


def _part(title: str, found: Sequence[Alarm]) -> list[str]:
    if not found:
        return []
    lines = [title, ""]
    for alarm in found:
        when = f"since {alarm.raised_at:%Y-%m-%d %H:%M} UTC"
        if alarm.cleared_at is not None:
            when += f", over {alarm.cleared_at:%Y-%m-%d %H:%M} UTC"
        lines += [f"{alarm.severity}: {alarm.key} ({when})", f"  {alarm.what}", ""]
    return lines
