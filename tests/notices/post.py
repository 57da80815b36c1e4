"""Queueing and sending in a line each."""

from datetime import UTC, datetime, timedelta
from typing import Any

from coulance.notices import operations, queries
from coulance.notices.operations import NewMessage, Recipient, Sent
from coulance.notices.queries import DeliveryRow
from coulance.notices.transport import read_transport
from tests.support.mail_server import MailServer

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def queue(account: int | None, *addresses: str, key: str = "", at: datetime = NOON, **more: Any) -> int:
    """Queue a message to these addresses; its id."""
    values: dict[str, Any] = {
        "key": key or f"test/{'+'.join(addresses)}",
        "account": account,
        "kind": "document",
        "to": [Recipient(address, "Anna") for address in addresses],
        "language": "en",
        "subject": "Invoice 17",
        "text": "Hello\n.\n..two dots\n",
        "html": "<p>Hello</p>",
        "sender": "billing@host.example",
        "sender_name": "Noordpool Hosting",
    } | more
    new = NewMessage(**values)
    return operations.queue_messages([new], at=at)[new.key]


def send(server: MailServer, *, at: datetime = NOON, **more: Any) -> Sent:
    """Send what is due at an instant."""
    return operations.send_due(transport=read_transport(server.url), clock=lambda: at, **more)


def only(**asked: Any) -> DeliveryRow:
    """The one delivery there is."""
    (row,) = queries.messages(**asked)
    return row


def kinds(key: str) -> list[str]:
    """What is known about a message, in order."""
    return [row.kind.value for row in queries.evidence(key)]
