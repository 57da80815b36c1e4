"""An account's story: everything that happened to it, from every room, by time, newest first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from urllib.parse import quote
from zoneinfo import ZoneInfo

from coulance.console.templatetags.console import money, said
from coulance.contracts.tickets import OpinionRow, TicketRow
from coulance.invoicing.listing import ListedDocument
from coulance.notices.queries import DeliveryRow
from coulance.notices.states import FAILED
from coulance.platform.audit import Event
from coulance_core.payments import Receipt

MOST = 60


@dataclass(frozen=True, slots=True)
class Chapter:
    """Something that happened: when, what kind of thing it was, in words, and where to read on."""

    at: datetime
    whole_day: bool
    kind: str
    what: str
    more: str = ""
    address: str = ""


def story(*parts: Iterable[Chapter], limit: int = MOST) -> list[Chapter]:
    """The parts as one, newest first."""
    return sorted((each for part in parts for each in part), key=lambda each: each.at, reverse=True)[:limit]


def of_documents(documents: Sequence[ListedDocument], zone: str) -> list[Chapter]:
    """What was issued; usage statements are left out, they come with every period."""
    return [
        Chapter(
            _day(row.issued_on, zone),
            True,
            "document",
            f"{said(row.kind)} {row.number} over {money(row.gross)}",
            f"due {row.due_on:%-d %b %Y}" if row.kind != "credit_note" else "",
            f"/documents/{row.id}",
        )
        for row in documents
        if row.kind != "usage_statement" and row.number
    ]


def of_receipts(receipts: Sequence[Receipt], zone: str) -> list[Chapter]:
    """Money that came in, and what was undone of it."""
    out = []
    for row in receipts:
        if not row.amount.minor and row.reversed_on is None:
            continue  # credit set off: no money came in, and the act itself is told
        what, address = f"{money(row.amount)} received ({said(row.method)})", f"/payments/{row.id}"
        out.append(Chapter(_day(row.received_on, zone), True, "payment", what, row.payer_ref, address))
        if row.reversed_on is not None:
            undone = f"{money(row.amount)} of {row.received_on:%-d %b %Y} undone"
            out.append(Chapter(_day(row.reversed_on, zone), True, "trouble", undone, "", address))
    return out


def of_messages(messages: Sequence[DeliveryRow]) -> list[Chapter]:
    """What was written to them, and what became of it."""
    return [
        Chapter(
            row.changed_at,
            False,
            "trouble" if row.state in FAILED else "message",
            f"“{row.subject}” to {row.address}: {row.state}",
            row.answer if row.state in FAILED else "",
            f"/messages/{row.id}",
        )
        for row in messages
    ]


def of_tickets(tickets: Sequence[TicketRow], opinions: Sequence[OpinionRow]) -> list[Chapter]:
    """What they asked of us, and what they said of how it went."""
    named = {row.id: row for row in tickets}
    asked = [
        Chapter(row.opened_at, False, "message", f"Ticket {row.number}: {row.subject}", "", f"/tickets/{row.id}")
        for row in tickets
    ]
    said_ = [
        Chapter(
            one.at, False, "trouble" if one.score <= 2 else "message",
            f"{one.score} of 5 for ticket {named[one.ticket].number if one.ticket in named else one.ticket}",
            one.text, f"/tickets/{one.ticket}",
        )
        for one in opinions
    ]  # fmt: skip
    return asked + said_


def of_events(events: Sequence[Event]) -> list[Chapter]:
    """What people and jobs did, and why."""
    return [
        Chapter(
            each.at,
            False,
            "act",
            f"{act_words(each.act)}{' by ' + each.actor if each.actor else ''}",
            each.reason,
            f"/audit?subject={quote(each.subject, safe='')}",
        )
        for each in events
    ]


def act_words(act: str) -> str:
    """An act of the audit log as words: `invoice.credited` as "Invoice credited"."""
    return act.replace(".", " ").replace("_", " ").capitalize()


def _day(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(12), ZoneInfo(zone)).astimezone(UTC)
