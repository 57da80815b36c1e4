"""Bills, approves and mails the same month again and again, killed at one place further each time.

`python -m tests.sending.crasher DATABASE STEP SMTP_PORT WHAT`: DATABASE holds a town and is copied for every go. A
child is killed (SIGKILL) at its n-th event: a statement on its way, a commit about to be sent or just answered, bytes
about to go to the mail server or just gone, its answer just read. Then another goes on undisturbed. Prints, for every
go, each delivery's Message-ID and state; the caller knows what its mail server took. WHAT is `all` (closing included)
or `mail`.
"""

import json
import os
import signal
import smtplib
import socket
import sys
from pathlib import Path
from typing import Any

import django

from tests.closing.crasher import ended, start
from tests.support.database import point_django_at, server

COPY = "sending_copy"


def work(port: int, *, closing: bool) -> None:
    """From the samples of a month to its mail."""
    from coulance.flows.closing import close_period as flow
    from coulance.flows.sending import queueing
    from coulance.invoicing import pdf
    from coulance.notices import operations
    from coulance.notices.transport import read_transport
    from tests.closing.world import closing_instant

    pdf.render = lambda snapshot: b"%PDF-1.7 " + str(snapshot["number"]).encode()
    at = closing_instant("2026-10")
    if closing:
        flow.close_period(year=2026, month=10, at=at, actor="test")
    queueing.approve(period="2026-10", actor="test", at=at)
    way = read_transport(f"smtp://127.0.0.1:{port}?tls=none&connections=1")
    done = operations.send_due(transport=way, clock=lambda: at)
    assert not done.stopped, done.stopped


def die_at(event: int) -> None:
    """Kill this process at its n-th event."""
    import psycopg

    left = [event]

    def count() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(whole: Any, name: str, *, after: bool) -> None:
        real = getattr(whole, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            count()
            result = real(*args, **kwargs)
            if after:
                count()
            return result

        setattr(whole, name, wrapped)

    around(psycopg.Cursor, "execute", after=False)
    around(psycopg.Cursor, "executemany", after=False)
    around(psycopg.Connection, "commit", after=True)
    around(socket.socket, "sendall", after=True)
    around(smtplib.SMTP, "getreply", after=True)


def killed(event: int, port: int, closing: bool) -> Any:
    """The work, to be killed at an event."""

    def job() -> None:
        die_at(event)
        work(port, closing=closing)

    return job


def go_on(port: int, closing: bool) -> Any:
    """The work once more, when the database knows that the killed one is dead."""

    def job() -> None:
        from django.db import connection

        from coulance.platform.db import lock_key

        with connection.cursor() as cursor:
            cursor.execute("SELECT DISTINCT claim FROM notices_delivery WHERE claim IS NOT NULL")
            for (claim,) in cursor.fetchall():
                cursor.execute("SELECT pg_advisory_lock(%s)", [lock_key("notices.sender", claim)])
                cursor.execute("SELECT pg_advisory_unlock(%s)", [lock_key("notices.sender", claim)])
        work(port, closing=closing)

    return job


def kept(path: Path) -> Any:
    """Writes down what is known of every delivery."""

    def job() -> None:
        from coulance.invoicing import queries as invoicing
        from coulance.notices import queries
        from coulance.notices.check import check_evidence

        rows = queries.messages(copies=True, limit=10_000)
        sent = [row.number for row in invoicing.documents(state="issued", limit=1000) if row.sent_at]
        faults = [str(fault) for fault in check_evidence()]
        found = {"rows": [(r.header_id, r.state.value, r.about) for r in rows], "sent": len(sent), "faults": faults}
        path.write_text(json.dumps(found))

    return job


def main(database: str, step: int, port: int, what: str) -> None:
    where = server()
    os.environ["DATABASE_URL"] = where.url(COPY)
    django.setup()
    import coulance.flows.closing.close_period
    import coulance.flows.sending.queueing  # noqa: F401 - once here, not in every fork
    import tests.closing.world  # noqa: F401

    point_django_at(COPY, where)
    closing = what == "all"
    note = Path(os.environ["COULANCE_SEGMENTS"]).parent / "deliveries.json"
    goes = []
    for event in range(1, 10_000, step):
        where.make_database(COPY, template=database)
        died = ended(start(killed(event, port, closing)))
        ended(start(go_on(port, closing)))
        ended(start(kept(note)))
        goes.append({"event": event, "died": bool(died), **json.loads(note.read_text())})
        if not died:
            break
    print(json.dumps(goes))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
