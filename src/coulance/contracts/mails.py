"""Mail to the desk as it came, each once by its key: what became of it, and what waits for a person."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q

from coulance.contracts import models
from coulance.contracts.errors import UnableToFindTicketError, UnableToRecordError
from coulance.contracts.mail_reading import ReadMail
from coulance.platform.db import next_ids
from coulance_core.kernel import require_aware

HELD, REFUSED = "held", "refused"
OPENED, ANSWERED, WROTE, NOTED = "opened", "answered", "wrote", "noted"


@dataclass(frozen=True, slots=True)
class MailRow:
    """A mail and what became of it. `arrived_by` is what says when it came; `words` None: they were let go since."""

    id: int
    key: str
    message_id: str
    sender: str
    subject: str
    words: str | None
    attached: tuple[dict[str, Any], ...]
    arrived_at: datetime
    arrived_by: str
    source: str
    state: str
    why: str
    ticket: int | None
    settled_by: str
    settled_why: str


def locked(key: str) -> MailRow | None:
    """A mail by its key, if it is there; whoever brings the same one meanwhile waits until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 17))", [f"contracts.mail/{key}"])
    return next((_row(one) for one in models.Mail.objects.filter(key=key)), None)


def next_id() -> int:
    """The id of a mail that is about to be written: a ticket that it opens has it for its number."""
    return next_ids(sequence="contracts_mail_id_seq", count=1)[0]


def record(
    *, number: int, read: ReadMail, source: str, state: str, why: str, ticket: int | None, at: datetime
) -> MailRow:
    """Write a mail down, with what became of it. Its words are kept for a while, what was attached only by name."""
    made = models.Mail.objects.create(
        id=number, key=read.key, message_id=read.message_id[:300], sender=read.sender, subject=read.subject,
        words=read.words, attached=[{"name": a.name, "kind": a.kind, "size": a.size} for a in read.attached],
        size=min(read.size, 2**31 - 1), arrived_at=read.arrived_at, arrived_by=read.arrived_by, source=source,
        state=state, why=why, ticket_id=ticket, recorded_at=require_aware(at),
    )  # fmt: skip
    return _row(made)


def settle(*, mail: int, state: str, ticket: int | None, by: str, why: str, at: datetime) -> None:
    """Say what becomes of a mail that is held, once. Raises `UnableToRecordError`."""
    if not why.strip():
        raise UnableToRecordError("say why: it is kept")
    done = models.Mail.objects.filter(id=mail, state=HELD).update(
        state=state, ticket_id=ticket, settled_at=require_aware(at), settled_by=by, settled_why=why.strip()[:500]
    )
    if not done:
        raise UnableToRecordError(f"mail {mail} isn't held: somebody was before you")


def mail(number: int) -> MailRow:
    """One mail. Raises `UnableToFindTicketError`."""
    for one in models.Mail.objects.filter(id=number):
        return _row(one)
    raise UnableToFindTicketError(f"there is no mail {number}")


def held(*, most: int = 200) -> list[MailRow]:
    """Mail that waits for a person, the oldest first."""
    return [_row(one) for one in models.Mail.objects.filter(state=HELD).order_by("arrived_at", "id")[:most]]


def held_count() -> int:
    """How much mail waits for a person."""
    return models.Mail.objects.filter(state=HELD).count()


def of_tickets(tickets: Collection[int]) -> list[MailRow]:
    """The mail of tickets, the oldest first."""
    return [_row(one) for one in models.Mail.objects.filter(ticket__in=tickets).order_by("arrived_at", "id")]


def ticket_answered(message_ids: Sequence[str]) -> int | None:
    """The ticket of the first of these mails that belongs to one."""
    found = dict(
        models.Mail.objects.filter(~Q(message_id=""), message_id__in=list(message_ids), ticket__isnull=False)
        .order_by("-id")
        .values_list("message_id", "ticket_id")
    )
    return next((found[one] for one in message_ids if one in found), None)


def opened_since(sender: str, since: datetime) -> int:
    """How many tickets somebody opened by mail since an instant."""
    return models.Mail.objects.filter(sender__iexact=sender, state=OPENED, recorded_at__gt=since).count()


def forget_words(*, before: datetime) -> int:
    """Let go of the words of mail from before an instant; mail that is held keeps them. How many."""
    return models.Mail.objects.filter(~Q(state=HELD), words__isnull=False, recorded_at__lt=before).update(words=None)


def _row(m: models.Mail) -> MailRow:
    return MailRow(
        m.id, m.key, m.message_id, m.sender, m.subject, m.words, tuple(m.attached), m.arrived_at, m.arrived_by,
        m.source, m.state, m.why, m.ticket_id, m.settled_by, m.settled_why,
    )  # fmt: skip
