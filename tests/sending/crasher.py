"""Bills, approves and mails the same month again and again, killed at one place further each time.

`python -m tests.sending.crasher DATABASE SMTP_PORT WHAT STEP`: DATABASE holds a town and is copied for every go. A
child is killed at its n-th event, also when bytes are about to go to the mail server or have just gone, or its answer
is about to be read or just was. Then another goes on undisturbed. Prints, for every go, each delivery's Message-ID
and state; the caller knows what its mail server took. WHAT is `all` (closing included) or `mail`.
"""

import json
import os
import smtplib
import socket
import sys
from pathlib import Path
from typing import Any

import django

from tests.support.crashing import child, go_through
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


def main(database: str, port: int, what: str, step: int) -> None:
    where = server()
    os.environ["DATABASE_URL"] = where.url(COPY)
    django.setup()
    import coulance.flows.closing.close_period
    import coulance.flows.sending.queueing  # noqa: F401 - once here, not in every fork
    import tests.closing.world  # noqa: F401

    point_django_at(COPY, where)
    closing = what == "all"
    note = Path(os.environ["COULANCE_SEGMENTS"]).parent / "deliveries.json"
    goes: list[dict[str, Any]] = []

    def look(event: int, died: bool) -> None:
        child(kept(note))
        goes.append({"event": event, "died": died, **json.loads(note.read_text())})

    go_through(
        lambda: work(port, closing=closing),
        begin=lambda: where.make_database(COPY, template=database),
        again=go_on(port, closing),
        then=look,
        step=step,
        more=[(socket.socket, "sendall", True), (smtplib.SMTP, "getreply", True)],
    )
    print(json.dumps(goes))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
