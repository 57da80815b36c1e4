"""Writing tickets: each once by its source and number, each event once by its key. Nothing is ever rewritten."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from coulance.contracts import models
from coulance.contracts.errors import UnableToFindTicketError, UnableToRecordError
from coulance_core.kernel import require_aware
from coulance_core.sla.clocks import EventKind


@dataclass(frozen=True, slots=True)
class NewEvent:
    """What happened to a ticket; `key` names it once within its ticket."""

    key: str
    at: datetime
    kind: EventKind
    priority: str = ""


def open_ticket(
    *,
    source: str,
    number: str,
    account: int,
    contract: int | None,
    subject: str,
    opened_at: datetime,
    priority: str,
    contact: str = "",
    actor: str,
    at: datetime,
) -> tuple[int, bool]:
    """Write a ticket down with its opening; its id, and whether it is new. Raises `UnableToRecordError`."""
    if not source.strip() or not number.strip() or len(number) > 100:
        raise UnableToRecordError("a ticket needs its source, and its number there")
    if require_aware(opened_at) > at:
        raise UnableToRecordError(f"ticket {number} opened at {opened_at.isoformat()}, which is yet to come")
    with transaction.atomic():
        row, new = models.Ticket.objects.get_or_create(
            source=source,
            number=number,
            defaults={
                "account_id": account, "contract_id": contract, "subject": subject[:300], "contact": contact,
                "opened_at": opened_at, "recorded_at": require_aware(at), "by": actor,
            },
        )  # fmt: skip
        if row.account_id != account:
            raise UnableToRecordError(f"ticket {number} of {source} is another account's")
        if new:
            add_events(
                ticket=row.id, events=[NewEvent("opened", opened_at, EventKind.OPENED, priority)], actor=actor, at=at
            )
    return row.id, new


def add_events(*, ticket: int, events: Sequence[NewEvent], actor: str, at: datetime) -> int:
    """Write events down, each once; how many are new. Raises `UnableToRecordError` for what is yet to come."""
    for one in events:
        if require_aware(one.at) > at:
            raise UnableToRecordError(f"{one.kind.value} at {one.at.isoformat()} is yet to come")
        if not one.key or len(one.key) > 200:
            raise UnableToRecordError("an event needs a key that names it once, of at most 200 characters")
    new = 0
    with connection.cursor() as cursor:
        for one in events:
            cursor.execute(
                "INSERT INTO contracts_ticket_event (ticket_id, source_key, at, kind, priority, recorded_at, by)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (ticket_id, source_key) DO NOTHING",
                [ticket, one.key, one.at, one.kind.value, one.priority, at, actor],
            )
            new += cursor.rowcount
    return new


def ticket_id(*, source: str, number: str) -> int:
    """A ticket's id. Raises `UnableToFindTicketError`."""
    found = models.Ticket.objects.filter(source=source, number=number).values_list("id", flat=True).first()
    if found is None:
        raise UnableToFindTicketError(f"there is no ticket {number!r} of {source!r}")
    return found


def record_opinion(*, ticket: int, score: int, text: str, contact: str, at: datetime) -> None:
    """Write what a customer said of a solved ticket. Raises `UnableToRecordError`."""
    if not 1 <= score <= 5:
        raise UnableToRecordError(f"a score of {score}: expected 1 to 5")
    models.Opinion.objects.create(
        ticket_id=ticket, score=score, text=text.strip()[:2000], contact=contact, at=require_aware(at)
    )
