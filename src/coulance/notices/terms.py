"""What callers hand over and get back: recipients, attachments, new messages, files."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a message goes to. `contact_ref` is the contact's external id, where it comes from."""

    address: str
    name: str = ""
    contact_ref: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """Something attached: bytes with a name and media type, or another `kind` with a `ref` that its message's handler
    renders when it is sent (`kind="document", ref="17"`)."""

    kind: str = "bytes"
    ref: str = ""
    name: str = ""
    media_type: str = ""
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class File:
    """An attachment as it is sent."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to queue. `key` names it for good: queueing it again changes nothing.

    `kind` is a `MessageKind`; `about` what it is about (`document/17`). `copies` are blind copies for the provider.
    `sender` and the others empty: as the applied provider file says. `resend_of` is the delivery it makes good.
    `channel` is `email`; `sms` for a text to telephones, which has no subject, no html and nothing attached; or `post`,
    to one postal address in a line, which a person prints and posts (`record_posted`). It is
    not sent before `not_before`.
    """

    key: str
    account: int | None
    kind: str
    to: Sequence[Recipient]
    language: str
    subject: str
    text: str
    html: str = ""
    attachments: Sequence[Attachment] = ()
    about: str = ""
    sender: str = ""
    sender_name: str = ""
    reply_to: str = ""
    bounces_to: str = ""
    copies: Sequence[str] = ()
    reason: str = ""
    resend_of: int | None = None
    channel: str = "email"
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    """A delivery ready to be handed over: its parts, and the bytes of the whole."""

    delivery: int
    header_id: str
    envelope_sender: str
    envelope_recipient: str
    sender: str
    sender_name: str
    recipient_name: str
    reply_to: str
    subject: str
    text: str
    html: str
    language: str
    files: tuple[File, ...] = ()
    shown_to: tuple[tuple[str, str], ...] = field(default=())
    """What the To header shows: (name, address)."""
