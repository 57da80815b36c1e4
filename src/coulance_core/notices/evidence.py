"""What can become known about a message on its way, and how much each of it proves."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum

from coulance_core.kernel import require_aware


class Channel(StrEnum):
    """By which way a message went."""

    EMAIL = "email"
    SMS = "sms"
    POST = "post"
    PORTAL = "portal"
    WEBHOOK = "webhook"
    """To a machine of the customer's: that it took a message tells of no person."""


class EvidenceKind(StrEnum):
    """One thing that became known about a message."""

    QUEUED = "queued"
    """It was decided to send it, and to whom."""
    ATTEMPTED = "attempted"
    """Its bytes went to a server; their hash is kept. No answer yet."""
    DEFERRED = "deferred"
    """Not now: it will be tried again."""
    ACCEPTED = "accepted"
    """A server took responsibility for it; for a letter, the carrier took it (posted)."""
    DELIVERED = "delivered"
    """The recipient's own server, or the carrier, says it was delivered."""
    REFUSED = "refused"
    """A server will never take it."""
    BOUNCED = "bounced"
    """It was taken, and came back."""
    COMPLAINED = "complained"
    """The recipient called it spam: it arrived, and they want no more."""
    OPENED = "opened"
    """A picture in it was fetched. Never proof: proxies fetch pictures that nobody sees."""
    SEEN = "seen"
    """A signed-in person looked at it in the portal."""
    ACKNOWLEDGED = "acknowledged"
    """A person said that they have it."""
    UNCERTAIN = "uncertain"
    """It was handed over and we never heard the answer: perhaps taken, perhaps not."""
    HELD = "held"
    """It can't be sent as it is; the reason says what to mend."""
    RELEASED = "released"
    """Somebody had it sent again, or said that it shall be."""
    WITHDRAWN = "withdrawn"
    """It was taken back before it was sent."""


class Rung(IntEnum):
    """How far up the ladder of proof a message came. Higher includes lower, except that a bounce takes it down."""

    NOTHING = 0
    QUEUED = 1
    ATTEMPTED = 2
    ACCEPTED = 3
    DELIVERED = 4
    SEEN = 5
    ACKNOWLEDGED = 6


_RUNGS = {
    EvidenceKind.QUEUED: Rung.QUEUED,
    EvidenceKind.ATTEMPTED: Rung.ATTEMPTED,
    EvidenceKind.ACCEPTED: Rung.ACCEPTED,
    EvidenceKind.DELIVERED: Rung.DELIVERED,
    EvidenceKind.SEEN: Rung.SEEN,
    EvidenceKind.ACKNOWLEDGED: Rung.ACKNOWLEDGED,
}


def rung_of(kind: EvidenceKind) -> Rung:
    """How high one piece of evidence stands by itself.

    >>> rung_of(EvidenceKind.ACCEPTED).name, rung_of(EvidenceKind.OPENED).name
    ('ACCEPTED', 'NOTHING')
    """
    return _RUNGS.get(kind, Rung.NOTHING)


@dataclass(frozen=True, slots=True)
class Event:
    """A piece of evidence: what, when it happened, and of which delivery (one recipient of a message).

    `lasting` tells a bounce that will repeat (no such mailbox) from one that may not (mailbox full).
    """

    kind: EvidenceKind
    at: datetime
    delivery: str = ""
    channel: Channel = Channel.EMAIL
    lasting: bool = True

    def __post_init__(self) -> None:
        require_aware(self.at)
