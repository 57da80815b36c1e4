"""A provider with customers who have contacts, a month closed, and its mail."""

from datetime import datetime
from pathlib import Path
from typing import Any

from coulance.customers import operations as customers
from coulance.flows.sending import queueing
from coulance.invoicing import queries as invoicing
from coulance.notices import operations as notices
from coulance.notices.operations import Sent
from coulance.notices.transport import read_transport
from tests.closing.world import World, closing_instant
from tests.support.mail_server import MailServer

MONTH = "2026-10"
CLOSED = closing_instant(MONTH)
SENDING = """
[sending]
from = "billing@polder.example"
reply_to = "help@polder.example"
bcc = ["archive@polder.example"]
"""


def town(folder: Path, *, sending: str = SENDING, accounts: int = 3, use: int = 142, **given: Any) -> World:
    """Customers `c0`.. with a VPS each, 42 GB over what is included; contacts: see `contact`."""
    world = World(folder).provider('iban = "NL91ABNA0417164300"\nemail = "info@polder.example"', more=sending)
    for n in range(accounts):
        ref = f"c{n}"
        world.account(ref, **given)
        world.service(f"{ref}-vps", "vps", "2026-10-01", account=ref, meter="traffic")
        world.use(f"{ref}-vps", {"2026-10-05": use})
    return world


def contact(account: str, address: str, *, language: str = "en", **given: Any) -> None:
    """A contact for billing, unless said otherwise."""
    facts: dict[str, Any] = {
        "external_id": f"{account}-{address.partition('@')[0]}",
        "name": address.partition("@")[0].title(),
        "email": address,
        "roles": ["billing"],
        "channels": ["email"],
    }
    customers.put_contact(account=account, language=language, **{**facts, **given})


def numbers(kind: str = "") -> list[str]:
    """The numbers of what is issued, sorted."""
    return sorted(row.number or "" for row in invoicing.documents(kind=kind or None, state="issued"))


def approve(at: datetime = CLOSED, **asked: Any) -> queueing.Approved:
    """Approve a month, or what is asked."""
    return queueing.approve(**(asked or {"period": MONTH}), actor="operator:anna", at=at)


def deliver(server: MailServer, at: datetime = CLOSED) -> Sent:
    """Send what is due."""
    return notices.send_due(transport=read_transport(server.url), clock=lambda: at)


def mailed(server: MailServer) -> list[tuple[str, str]]:
    """What went to customers: (address, subject), sorted."""
    return sorted(
        (one.recipient, str(one.mail["Subject"])) for one in server.taken if not one.recipient.startswith("archive")
    )
