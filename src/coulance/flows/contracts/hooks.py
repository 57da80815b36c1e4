"""What ticket systems send by webhook, as our events: the shapes of Zammad, Freshdesk and osTicket, and a plain one.

Each is signed with the secret `tickets_<source>`, as that system can: an HMAC of the body where it signs, a header that
holds the secret where it doesn't. What is said of state counts only where it changes it (`Incoming.states`).
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from coulance.contracts.errors import ContractsError
from coulance.contracts.ticketing import NewEvent
from coulance.flows.contracts.ticketing import Incoming
from coulance_core.sla.clocks import EventKind

SOURCES = ("zammad", "freshdesk", "osticket", "plain")


class UnableToVerifyError(ContractsError):
    """It isn't signed with our secret."""


class UnableToReadError(ContractsError):
    """It is no event of that system as we know it: which field, and what was expected."""


def verify(*, source: str, headers: Mapping[str, str], body: bytes, secret: str) -> None:
    """Raise `UnableToVerifyError` unless the body is signed. Header names are compared in small letters."""
    low = {name.lower(): value for name, value in headers.items()}
    if source == "freshdesk":
        given, wanted = low.get("x-webhook-secret", ""), secret
    else:
        name, header = ("sha1", "x-hub-signature") if source == "zammad" else ("sha256", "x-hub-signature-256")
        algorithm, _, given = low.get(header, "").partition("=")
        if algorithm != name:
            raise UnableToVerifyError("it isn't signed")
        wanted = hmac.new(secret.encode(), body, getattr(hashlib, name)).hexdigest()
    if not hmac.compare_digest(given.encode(), wanted.encode()):
        raise UnableToVerifyError("its signature is another's")


def read(*, source: str, body: bytes, at: datetime) -> Incoming:
    """What a webhook tells. Raises `UnableToReadError`."""
    try:
        data = json.loads(body)
        if not isinstance(data, dict):
            raise TypeError("expected an object")
        return {"zammad": _zammad, "freshdesk": _freshdesk, "osticket": _osticket, "plain": _plain}[source](data, at)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnableToReadError(f"{source}: can't be read: {type(error).__name__} {error}") from error


def _zammad(data: dict[str, Any], at: datetime) -> Incoming:
    ticket, article = data["ticket"], data.get("article") or {}
    number, now = str(ticket["number"]), _instant(ticket.get("updated_at"), at)
    # "2 normal": the number only sorts them.
    priority, customer = re.sub(r"^\d+ (?=.)", "", _name(ticket.get("priority"))), ticket.get("customer") or {}
    state = _name(ticket.get("state")).lower()
    events = []
    automatic = (article.get("preferences") or {}).get("is-auto-response") is True
    if article.get("id") and not article.get("internal") and not automatic:
        sender = _name(article.get("sender")).lower()
        kind = {"agent": EventKind.ANSWERED, "customer": EventKind.CUSTOMER_WROTE}.get(sender)
        written = _instant(article.get("created_at"), at)
        if kind is not None and not (kind is EventKind.CUSTOMER_WROTE and _first(ticket, written)):
            events.append(NewEvent(f"article/{article['id']}", written, kind))
    states = _states(state, now, priority)
    organization = _name(customer.get("organization"))
    return Incoming(
        "zammad", number, str(ticket.get("title", "")), _instant(ticket["created_at"], at), priority,
        email=str(customer.get("email", "")), events=events, states=states,
        contract=str(ticket.get("contract") or ""), account="" if customer.get("email") else organization,
    )  # fmt: skip


def _first(ticket: Mapping[str, Any], written: datetime) -> bool:
    """Whether an article is the one the ticket was opened with."""
    return abs((written - _instant(ticket["created_at"], written)).total_seconds()) < 5


def _states(state: str, at: datetime, priority: str) -> list[NewEvent]:
    found = []
    if priority:
        found.append(NewEvent(f"priority/{priority}/{at.isoformat()}", at, EventKind.PRIORITY, priority))
    if state in ("merged", "spam", "deleted"):
        kinds = [EventKind.VOID]
    elif state in ("closed", "resolved", "solved"):
        kinds = [EventKind.SOLVED]
    elif state.startswith(("pending", "waiting")):
        kinds = [EventKind.REOPENED, EventKind.WAITS]
    else:
        kinds = [EventKind.REOPENED, EventKind.RESUMES]
    return found + [NewEvent(f"{kind.value}/{at.isoformat()}", at, kind) for kind in kinds]


_FRESHDESK_SENDERS = ("ticket_requester_email", "ticket_contact_email", "requester_email")
_FRESHDESK_STATES = {"2": "open", "3": "pending", "4": "resolved", "5": "closed"}


def _freshdesk(data: dict[str, Any], at: datetime) -> Incoming:
    said = data["freshdesk_webhook"]
    number, happened = str(said["ticket_id"]), str(said.get("triggered_event", "")).strip("{}")
    now = _instant(said.get("ticket_updated_at"), at)
    action = happened.partition(":")[2]
    kinds = {"agent": EventKind.ANSWERED, "requester": EventKind.CUSTOMER_WROTE}
    kind = kinds.get(action) if "reply" in happened else None
    key = said.get("reply_id") or now.isoformat()
    status = str(said.get("ticket_status", "open")).lower()
    priority = str(said.get("ticket_priority", "")).lower()
    return Incoming(
        "freshdesk", number, str(said.get("ticket_subject", "")), _instant(said.get("ticket_created_at"), now),
        priority,
        email=str(next((said[n] for n in _FRESHDESK_SENDERS if said.get(n)), "")),
        events=[NewEvent(f"reply/{key}", now, kind)] if kind else (),
        states=_states(_FRESHDESK_STATES.get(status, status), now, priority),
    )  # fmt: skip


def _osticket(data: dict[str, Any], at: datetime) -> Incoming:
    ticket, entry = data["ticket"], data.get("entry") or {}
    now = _instant(ticket.get("updated") or entry.get("created"), at)
    kind = {"R": EventKind.ANSWERED, "M": EventKind.CUSTOMER_WROTE}.get(str(entry.get("type", "")))
    opened = _instant(ticket["created"], at)
    written = _instant(entry.get("created"), now)
    if kind is EventKind.CUSTOMER_WROTE and abs((written - opened).total_seconds()) < 5:
        kind = None
    priority = str(ticket.get("priority", "")).lower()
    return Incoming(
        "osticket", str(ticket["number"]), str(ticket.get("subject", "")), opened, priority,
        email=str(ticket.get("email", "")), events=[NewEvent(f"entry/{entry['id']}", written, kind)] if kind else (),
        states=_states(str(ticket.get("status", "open")).lower(), now, priority),
    )  # fmt: skip


def _plain(data: dict[str, Any], at: datetime) -> Incoming:
    events = [
        NewEvent(str(one["key"]), _instant(one["at"], at), EventKind(one["kind"]), str(one.get("priority", "")))
        for one in data.get("events", [])
    ]
    return Incoming(
        str(data.get("source", "plain")), str(data["number"]), str(data.get("subject", "")),
        _instant(data.get("opened_at"), at), str(data.get("priority", "")), str(data.get("account", "")),
        str(data.get("contract", "")), str(data.get("email", "")), events,
    )  # fmt: skip


def _name(value: Any) -> str:
    return str(value.get("name", "")) if isinstance(value, dict) else str(value or "")


def _instant(value: Any, default: datetime) -> datetime:
    """An instant as systems write them; without a zone it is UTC, as they keep it. Never after now."""
    if not value:
        return default
    found = datetime.fromisoformat(str(value).replace(" UTC", "+00:00"))
    found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return min(found, default)
