"""Acts, tells of it and sends, killed one step further each time: `python -m tests.webhooks.crasher DATABASE STEP`.

A child writes an act and its event in one transaction, commits, and sends what is due; it is killed at its n-th
event, also when a request is about to leave or just answered. At the end everything that is left is sent. Prints what
was killed; the test compares.
"""

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import django

from tests.support.crashing import child, die_at
from tests.support.database import point_django_at, server

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)


def act_and_send(number: int) -> None:
    """What a flow and then the job do."""
    from django.db import transaction

    from coulance.platform import audit, webhooks

    with transaction.atomic():
        audit.record(actor="test", act="thing.done", subject=f"thing:{number}", at=AT)
        webhooks.emit(event="invoice.issued", data={"thing": number}, at=AT)
    send(AT)


def send(at: datetime) -> None:
    """Send what is due at that instant."""
    from coulance.platform import webhook_sending
    from coulance.platform.models import WebhookEndpoint

    while webhook_sending.deliver_due(endpoint=WebhookEndpoint.objects.get().pk, now=lambda: at):
        pass


def main(database: str, step: int) -> None:
    where = server()
    os.environ["DATABASE_URL"] = where.url(database)
    django.setup()
    from coulance.platform import webhook_sending

    point_django_at(database, where)

    def doomed(event: int) -> Callable[[], None]:
        def job() -> None:
            counting = die_at(event)
            assert webhook_sending.deliver_due.__kwdefaults__
            webhook_sending.deliver_due.__kwdefaults__["send"] = counting(webhook_sending.post, True)
            act_and_send(event)

        return job

    kills = 0
    for event in range(1, 1000, step):
        if not child(doomed(event)):
            break
        kills += 1
    child(lambda: send(AT + timedelta(days=1)))
    print(json.dumps({"kills": kills}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
