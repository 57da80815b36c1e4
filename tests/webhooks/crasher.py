"""Acts, tells of it and sends, killed one step further each time: `python -m tests.webhooks.crasher DATABASE`.

A child writes an act and its event in one transaction, commits, and sends what is due; it is killed (SIGKILL) at its
n-th event: a statement on its way, a commit about to be sent or just answered, a request about to leave or just
answered. At the end everything that is left is sent. Prints what was killed; the test compares.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import django

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


def die_at(event: int) -> None:
    """Kill this process at its n-th event."""
    import psycopg

    from coulance.platform import webhook_sending

    left = [event]

    def count() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            count()
            result = real(*args, **kwargs)
            count()
            return result

        return wrapped

    for whole, name in ((psycopg.Cursor, "execute"), (psycopg.Connection, "commit")):
        setattr(whole, name, around(getattr(whole, name)))
    assert webhook_sending.deliver_due.__kwdefaults__
    webhook_sending.deliver_due.__kwdefaults__["send"] = around(webhook_sending.post)


def fork(job: Callable[[], None]) -> bool:
    """Run a job in a fork; whether it was killed."""
    pid = os.fork()
    if not pid:
        try:
            job()
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit("a child failed; its error is above")
    return os.WIFSIGNALED(status)


def main(database: str) -> None:
    where = server()
    os.environ["DATABASE_URL"] = where.url(database)
    django.setup()
    import coulance.platform.webhook_sending  # noqa: F401 - once here, not in every fork

    point_django_at(database, where)

    def doomed(event: int) -> Callable[[], None]:
        def job() -> None:
            die_at(event)
            act_and_send(event)

        return job

    kills = 0
    # Every other one: one side of each statement, commit and request. COULANCE_CRASH_STEP=1 for both.
    for event in range(2, 1000, int(os.environ.get("COULANCE_CRASH_STEP", "2"))):
        if not fork(doomed(event)):
            break
        kills += 1
    fork(lambda: send(AT + timedelta(days=1)))
    print(json.dumps({"kills": kills}))


if __name__ == "__main__":
    main(sys.argv[1])
