"""Webhooks out: an event is written with the act it tells of, and sent by a job once that is committed.

`emit` is for every room and flow; endpoints are kept by `webhook_endpoints`, sending is `webhook_sending`.
"""

import json
import secrets
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from procrastinate.contrib.django import app

from coulance.platform.models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from coulance_core.kernel import require_aware

EVENTS: dict[str, str] = {
    "account.created": "an account came to be",
    "account.changed": "an account or one of its contacts changed",
    "service.created": "a service started",
    "service.changed": "a service changed: its name, plan, quantity or pool",
    "service.ended": "a service was given its last day",
    "service.deleted": "a service's data was deleted, by whom it was read back to be",
    "invoice.issued": "an invoice was issued and has its number",
    "credit_note.issued": "a credit note was issued and has its number",
    "debit_note.issued": "a debit note was issued: it takes a credit note back",
    "statement.issued": "a usage statement was issued",
    "period.closed": "a period was closed: everything in it is numbered and booked",
    "document.sent": "a document went out to its account's contacts",
    "document.delivered": "a document reached a mailbox",
    "message.bounced": "a message came back",
    "payment.received": "money came in and was booked",
    "payment.allocated": "money was allocated to documents",
    "payment.reversed": "a payment was taken back",
    "payment.refunded": "money was paid back",
    "payment.disputed": "a payer's bank took a payment at a gateway back, or gave it back to us",
    "collection.returned": "a collection by direct debit came back",
    "collection.refused": "the bank refused a collection by direct debit before its day",
    "payback.changed": "money that goes back to a customer was asked for, approved, paid, or could not be paid",
    "usage.assigned": "samples in quarantine were given to a service",
    "overage.warned": "use crossed a threshold that a customer is told of",
    "overage.stopped": "a service's limit on overage was reached: its network is to be paused or throttled",
    "overage.waiting": "an overage invoice waits for its customer's choice before it is issued",
    "overage.lowered": "an overage invoice that waits came to less, or to nothing, by what is known now",
    "restriction.placed": "a service's network is to be paused or throttled, or an address of it blackholed",
    "restriction.lifted": "a restriction of a service's network was lifted",
    "dispute.opened": "a customer contests a bill, or a part of one: that part is held",
    "dispute.changed": "something happened in a case: a question, an answer, a mediation",
    "dispute.closed": "a case is decided, withdrawn or closed: nothing is held by it any more",
    "arrears.step": "a step of arrears was taken: a notice, a task, a restriction, a hand-over",
    "arrears.undone": "a step of arrears was undone: its ground is gone",
    "arrears.freeze": "no backup of a service can be made: its disks are to be frozen",
    "arrears.promised": "a customer promised to pay by a day",
    "arrears.plan": "a payment plan was proposed, agreed, declined or ended",
    "sla.credited": "a promise of uptime wasn't kept, and its credit was written down",
    "contract.agreed": "a service contract was agreed",
    "contract.ends": "notice was given of a service contract",
    "contract.card_ordered": "a customer ordered another hour card in the portal",
    "contract.element_ends": "an element of a bundle was ended",
    "contract.leave_answered": "a customer approved or refused work beyond their contract's cover",
    "ticket.changed": "a ticket came in, or something happened to it",
    "response.credited": "a promise of response wasn't kept, and its credit was posted",
    "endpoint.test": "somebody asked for a test of this endpoint",
}
"""Every event there is, and what it tells. Add yours here: an unknown one is refused."""

KEY_PREFIX = "evt_"


class UnableToEmitError(ValueError):
    """There is no such event, or its data is no JSON."""


def wants(patterns: Collection[str], event: str) -> bool:
    """Whether an endpoint with these patterns takes this event; without patterns it takes all.

    >>> wants([], "invoice.issued"), wants(["invoice.*"], "invoice.issued"), wants(["invoice"], "invoice.issued")
    (True, True, False)
    """
    if event == "endpoint.test":
        return True
    return not patterns or any(
        event == one or (one.endswith(".*") and event.startswith(one.removesuffix("*"))) for one in patterns
    )


def anybody_listens() -> bool:
    """Whether there is any endpoint; for callers to whom gathering what they would tell is dear."""
    return WebhookEndpoint.objects.exists()


def emit(*, event: str, data: Mapping[str, Any], at: datetime) -> str | None:
    """Tell the endpoints that want it that this happened; in the caller's transaction, so that both stand or fall.

    `event` is one of EVENTS. `data` is JSON; put ids and numbers in it rather than whole records, and money as
    {"amount": "12.34", "currency": "EUR"}. Gives the event's id, or None when nobody could ever want it: there is no
    endpoint. Raises `UnableToEmitError`.
    """
    keys = emit_many(event=event, data=[data], at=at)
    return keys[0] if keys else None


def emit_many(*, event: str, data: Iterable[Mapping[str, Any]], at: datetime) -> list[str]:
    """`emit` for many of one kind, in a few statements whatever their number. Gives their ids, [] without endpoints."""
    require_aware(at)
    if event not in EVENTS:
        raise UnableToEmitError(f"there is no event {event!r}; add it to coulance.platform.webhooks.EVENTS")
    with transaction.atomic():
        endpoints = list(WebhookEndpoint.objects.only("id", "events", "disabled_at"))
        if not endpoints:
            return []
        rows = WebhookEvent.objects.bulk_create((_event(event, one, at) for one in data), batch_size=1000)
        for endpoint in endpoints:
            if rows and endpoint.disabled_at is None and wants(endpoint.events, event):
                queue(endpoint=endpoint.pk, events=[row.pk for row in rows], at=at)
    return [row.key for row in rows]


def write_event(*, event: str, data: Mapping[str, Any], at: datetime) -> WebhookEvent:
    """Write an event down, for one endpoint only: `queue` sends it there. Private to the platform room."""
    row = _event(event, data, at)
    row.save()
    return row


def _event(event: str, data: Mapping[str, Any], at: datetime) -> WebhookEvent:
    return WebhookEvent(key=f"{KEY_PREFIX}{secrets.token_hex(12)}", event=event, body=_body(event, data, at), at=at)


def queue(*, endpoint: int, events: Collection[int], at: datetime) -> int:
    """Make these events (row ids) due at an endpoint, also when they were sent before; and have a job send them."""
    WebhookDelivery.objects.bulk_create(
        (WebhookDelivery(endpoint_id=endpoint, event_id=event, next_try=at) for event in events),
        batch_size=1000,
        update_conflicts=True,
        unique_fields=["endpoint", "event"],
        update_fields=["state", "attempts", "next_try", "delivered_at"],
    )
    nudge(endpoint=endpoint)
    return len(events)


def nudge(*, endpoint: int, at: datetime | None = None) -> None:
    """Have a job send what is due at an endpoint, at once or at an instant; in the caller's transaction.

    Jobs of one endpoint run one after another (procrastinate's lock), and one that finds nothing due is cheap. No
    queueing lock: a job that is queued already might start before this transaction commits, and miss its rows.
    """
    app.configure_task("coulance.platform.tasks.send_webhooks", lock=f"webhook:{endpoint}", schedule_at=at).defer(
        endpoint=endpoint
    )


def _body(event: str, data: Mapping[str, Any], at: datetime) -> str:
    try:
        return json.dumps(
            {"type": event, "timestamp": at.isoformat(), "data": dict(data)}, ensure_ascii=False, separators=(",", ":")
        )
    except (TypeError, ValueError) as fault:
        raise UnableToEmitError(f"the data of {event} is no JSON: {fault}") from fault
