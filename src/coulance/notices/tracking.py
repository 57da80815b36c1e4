"""What mail providers tell of messages (anymail's tracking events), recorded as evidence.

The address they come to is the API's (`api/mail_hook.py`), which also proves where they come from.
"""

from datetime import datetime
from hashlib import sha256

from anymail.signals import AnymailTrackingEvent, EventType, RejectReason
from django.db import transaction

from coulance.notices import evidence, outcomes, queries
from coulance_core.notices import EvidenceKind


def record_event(event: AnymailTrackingEvent, *, now: datetime) -> bool:
    """Record one event of a provider; whether it was new. One that names no delivery of ours is left alone."""
    named = (event.metadata or {}).get("delivery", "")
    row = int(named) if str(named).isdigit() else None
    if row is None:
        row = queries.delivery_of(provider_ref=event.message_id or "")
    with transaction.atomic():
        found = outcomes.known([row], lock=True) if row is not None else []
        if not found or (event.recipient and event.recipient.casefold() != found[0].address.casefold()):
            return False
        return _record(found[0], event, now)


_KINDS = {
    EventType.DELIVERED: EvidenceKind.DELIVERED,
    EventType.DEFERRED: EvidenceKind.DEFERRED,
    EventType.COMPLAINED: EvidenceKind.COMPLAINED,
    EventType.OPENED: EvidenceKind.OPENED,
}


def _record(of: outcomes.Known, event: AnymailTrackingEvent, now: datetime) -> bool:
    at = min(event.timestamp or now, now)
    told = event.event_id or f"{event.event_type} {event.message_id} {event.timestamp}"
    source = f"hook:{sha256(f'{told} {event.recipient}'.encode()).hexdigest()}"
    said = " ".join(str(part) for part in (event.mta_response, event.description) if part)[:2000]
    fact = {"how": "provider", "reject_reason": event.reject_reason or ""}
    if event.event_type in (EventType.BOUNCED, EventType.REJECTED, EventType.FAILED):
        dead = event.reject_reason in (RejectReason.BOUNCED, RejectReason.INVALID) and event.event_type in (
            EventType.BOUNCED,
            EventType.REJECTED,
        )
        why = said or f"{event.event_type}: {event.reject_reason or 'no reason given'}"
        return outcomes.came_back(of, why=why, at=at, now=now, lasting=dead, dead=dead, source=source, fact=fact)
    kind = _KINDS.get(event.event_type)
    if kind is None:
        return False  # queued, sent, clicked, subscribed: nothing that we would not know or want
    new = bool(evidence.record([outcomes.piece(of, kind, at=at, fact=fact, said=said, source=source)], at=now))
    if new and kind is EvidenceKind.COMPLAINED:
        outcomes.bury(of, why="the recipient called a mail spam", at=now)
    if new and kind in (EvidenceKind.DELIVERED, EvidenceKind.DEFERRED):
        outcomes.arrived_after_all(of, how="the provider has it", at=at, now=now)
    return new
