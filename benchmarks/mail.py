"""Invoice mails: queued, rendered and handed to a local SMTP server, beside the loop that one would write first.

Ours queues every invoice of a closed month (words in the contact's language, evidence chained, a job), then sends what
is due: PDF rendered, bytes hashed, `sending` committed before the last dot, the answer recorded, four connections side
by side. The rival is Django's `EmailMultiAlternatives.send()` in one process: the same words and the same PDF renderer,
a connection a mail, nothing recorded. Both talk to the same server, a process of its own that counts what it takes.

`COULANCE_BENCH_MAILS` says how many (10,000); each thousand wants about 30 seconds on two cores.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.harness import Result, timed
from benchmarks.server import database

MAILS = int(os.environ.get("COULANCE_BENCH_MAILS", "10000"))
RIVALS = 200
SENDING = """
[sending]
from = "billing@polder-hosting.example"
documents = ["base_invoice", "overage_invoice"]
"""

_SINK = """
import asyncio, sys
from aiosmtpd.smtp import SMTP

class Sink:
    taken = 0
    async def handle_DATA(self, server, session, envelope):
        Sink.taken += 1
        return f"250 2.0.0 queued as {Sink.taken}"

async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Sink(), loop=loop, hostname="sink.test"), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(Sink.taken, flush=True)

asyncio.run(main())
"""


@contextmanager
def _sink() -> Iterator[tuple[int, list[int]]]:
    """An SMTP server that takes everything: its port, and (afterwards) how many it took."""
    taken: list[int] = []
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _SINK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    try:
        yield port, taken
    finally:
        out, _ = process.communicate("", timeout=30)
        taken.append(int(out))


def run() -> list[Result]:
    """Queue and send every invoice of a month, then the rival's share of them."""
    with database():
        numbers = _invoices()
        with _sink() as (port, taken):
            queueing, sending = _ours(port)
        if taken != [len(numbers)]:
            raise RuntimeError(f"{taken} mails were taken of {len(numbers)}")
        with _sink() as (port, taken):
            rival = _rival(port, numbers[:RIVALS])
        if taken != [min(RIVALS, len(numbers))]:
            raise RuntimeError(f"the rival sent {taken}")
        count = len(numbers)
        note = f"{count:,} invoices"
        return [
            Result("mail: queued", count / queueing, "mails/s", note=f"{note}, words and evidence"),
            Result(
                "mail: rendered and handed over",
                count / sending,
                "mails/s",
                "Django send(), one by one",
                rival,
                note=f"{note}, PDF, 4 connections, each step recorded",
            ),
            Result("mail: all of it", queueing + sending, "s", less_is_better=True, note=note),
        ]


def _invoices() -> list[str]:
    """Close a month with about so many invoices; their numbers."""
    from benchmarks import close_world
    from coulance.customers import operations as customers
    from coulance.customers import queries as accounts
    from coulance.flows.closing.close_period import close_period
    from coulance.invoicing import queries as invoicing

    close_world.PROVIDER += SENDING
    close_world.build(MAILS * 2)
    customers.write_contacts(
        rows=[
            (
                row.id,
                {
                    "external_id": "desk",
                    "name": f"Desk of {row.name}",
                    "email": f"desk@{row.external_id.lower()}.example",
                    "phone": "",
                    "roles": ["billing"],
                    "may_incur_cost": False,
                    "language": "nl" if row.id % 2 else "en",
                    "channels": ["email"],
                    "mailbox_service": "",
                    "zone": "",
                },
            )
            for row in accounts.accounts()
        ]
    )
    close_period(year=close_world.YEAR, month=close_world.MONTH, at=close_world.CLOSES_AT, actor="benchmark", workers=2)
    rows = invoicing.documents(state="issued", limit=1_000_000)
    return sorted(str(row.number) for row in rows if row.kind in ("base_invoice", "overage_invoice"))


def _ours(port: int) -> tuple[float, float]:
    """Seconds of queueing and of sending."""
    from benchmarks import close_world
    from coulance.flows.sending import queueing
    from coulance.notices import operations
    from coulance.notices.check import check_evidence
    from coulance.notices.transport import read_transport

    at = close_world.CLOSES_AT
    with timed() as queued:
        done = queueing.approve(period="2026-10", actor="benchmark", at=at)
    if done.blocked:
        raise RuntimeError(f"{len(done.blocked)} can't be sent: {done.blocked[0]}")
    way = read_transport(f"smtp://127.0.0.1:{port}?tls=none&connections=4")
    with timed() as sent:
        result = operations.send_due(transport=way, clock=lambda: at)
    if result.stopped or set(result.states) != {"accepted"}:
        raise RuntimeError(f"{result}")
    if faults := list(check_evidence()):
        raise RuntimeError(f"the evidence is not right: {faults[:3]}")
    return queued.seconds, sent.seconds


def _rival(port: int, numbers: list[str]) -> float:
    """Mails a second of the plain loop."""
    from django.core.mail import EmailMultiAlternatives, get_connection

    from coulance.flows.sending.wording import write
    from coulance.invoicing import pdf
    from coulance.invoicing import queries as invoicing

    with timed() as watch:
        for number in numbers:
            snapshot = invoicing.document(number=number).snapshot
            words = write(snapshot, language="nl", name="Desk")
            mail = EmailMultiAlternatives(
                words.subject,
                words.text,
                "billing@polder-hosting.example",
                ["desk@klant.example"],
                connection=get_connection(
                    "django.core.mail.backends.smtp.EmailBackend", host="127.0.0.1", port=port, use_tls=False
                ),
            )
            mail.attach_alternative(words.html, "text/html")
            mail.attach(f"{number}.pdf", pdf.render(snapshot), "application/pdf")
            mail.send()
    return len(numbers) / watch.seconds
