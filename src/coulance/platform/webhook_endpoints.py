"""Endpoints of webhooks: added, changed, given new secrets, tested, replayed; and what became of deliveries.

Each act is in the audit log, without the secret.
"""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from coulance.platform import audit, webhooks
from coulance.platform.at_rest import seal, unseal
from coulance.platform.models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from coulance.platform.webhook_guard import fault_of_url
from coulance_core.kernel import require_aware

OVERLAP = timedelta(hours=24)
"""How long requests are signed with the old secret too, after a rotation."""
MOST_ENDPOINTS = 50
MOST_REPLAYED = 100_000


class UnableToKeepEndpointError(ValueError):
    """The endpoint can't be as asked; `field` says what of it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class UnableToFindEndpointError(LookupError):
    """There is no such endpoint, event or delivery."""


class EndpointChangedError(RuntimeError):
    """Somebody changed the endpoint since it was read; read it again."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint as others may know it. `state` is enabled, failing or disabled."""

    key: str
    url: str
    description: str
    events: tuple[str, ...]
    state: str
    made_at: datetime
    made_by: str
    version: int
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_why: str
    old_secret_until: datetime | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to an endpoint. `state`: waiting, delivered or failed (given up; replay sends it again)."""

    id: int
    endpoint: str
    event_id: str
    event: str
    at: datetime
    state: str
    attempts: int
    next_try: datetime | None
    last_try: datetime | None
    last_status: int | None
    last_fault: str
    delivered_at: datetime | None


def _of(row: WebhookEndpoint) -> Endpoint:
    state = "disabled" if row.disabled_at else "failing" if row.failing_since else "enabled"
    return Endpoint(
        row.key, row.url, row.description, tuple(row.events), state, row.made_at, row.made_by, row.version,
        row.failing_since, row.disabled_at, row.disabled_why, row.old_secret_until,
    )  # fmt: skip


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _check(url: str, events: Sequence[str], description: str) -> None:
    if expected := fault_of_url(url):
        raise UnableToKeepEndpointError("url", f"expected {expected}")
    for pattern in events:
        known = pattern in webhooks.EVENTS or (
            pattern.endswith(".*") and any(webhooks.wants([pattern], name) for name in webhooks.EVENTS)
        )
        if not known:
            names = ", ".join(webhooks.EVENTS)
            raise UnableToKeepEndpointError("events", f"no event is called {pattern!r}; expected {names}, or invoice.*")
    if len(description) > 200 or "\0" in description:
        raise UnableToKeepEndpointError("description", "expected at most 200 characters")


def endpoints() -> list[Endpoint]:
    """Every endpoint, the oldest first."""
    return [_of(row) for row in WebhookEndpoint.objects.order_by("id")]


def endpoint(key: str) -> Endpoint:
    """The endpoint of that key. Raises `UnableToFindEndpointError`."""
    row = WebhookEndpoint.objects.filter(key=key).first()
    if row is None:
        raise UnableToFindEndpointError(f"there is no endpoint {key!r}; see: coulance webhook list")
    return _of(row)


def _locked(key: str, version: int | None = None) -> WebhookEndpoint:
    row = WebhookEndpoint.objects.select_for_update().filter(key=key).first()
    if row is None:
        raise UnableToFindEndpointError(f"there is no endpoint {key!r}; see: coulance webhook list")
    if version is not None and row.version != version:
        raise EndpointChangedError(f"endpoint {key} has changed since: read it again, and decide again")
    return row


def add_endpoint(
    *, url: str, events: Sequence[str] = (), description: str = "", actor: str, at: datetime
) -> tuple[Endpoint, str]:
    """Add an endpoint; gives it, and the secret that its requests are signed with (whsec_..., shown this once).

    Raises `UnableToKeepEndpointError`.
    """
    require_aware(at)
    _check(url, events, description)
    secret = _new_secret()
    with transaction.atomic():
        if WebhookEndpoint.objects.count() >= MOST_ENDPOINTS:
            raise UnableToKeepEndpointError("url", f"there are {MOST_ENDPOINTS} endpoints, as many as can be")
        row = WebhookEndpoint.objects.create(
            key=f"ep_{secrets.token_hex(5)}",
            url=url,
            description=description,
            events=sorted(set(events)),
            secret=seal(secret),
            made_at=at,
            made_by=actor,
        )
        _record(row, "webhook.added", actor, at, url=url, events=row.events)
    return _of(row), secret


def change_endpoint(
    *,
    key: str,
    actor: str,
    at: datetime,
    url: str | None = None,
    events: Sequence[str] | None = None,
    description: str | None = None,
    enabled: bool | None = None,
    version: int | None = None,
    reason: str = "",
) -> Endpoint:
    """Change what is given of an endpoint. With `enabled` again, what waits for it is sent.

    `version` is the one that was read: raises `EndpointChangedError` when it is another by now. Raises
    `UnableToFindEndpointError` and `UnableToKeepEndpointError`.
    """
    require_aware(at)
    with transaction.atomic():
        row = _locked(key, version)
        row.url = row.url if url is None else url
        row.events = row.events if events is None else sorted(set(events))
        row.description = row.description if description is None else description
        _check(row.url, row.events, row.description)
        if enabled is True and row.disabled_at is not None:
            row.disabled_at, row.disabled_why, row.failing_since = None, "", None
            WebhookDelivery.objects.filter(endpoint=row, state="waiting").update(next_try=at)
            webhooks.nudge(endpoint=row.pk)
        elif enabled is False and row.disabled_at is None:
            row.disabled_at, row.disabled_why = at, f"by {actor}"
        row.version += 1
        row.save()
        _record(row, "webhook.changed", actor, at, reason, url=row.url, events=row.events, enabled=not row.disabled_at)
    return _of(row)


def remove_endpoint(*, key: str, actor: str, at: datetime, reason: str = "", version: int | None = None) -> None:
    """Remove an endpoint and its deliveries. Raises `UnableToFindEndpointError`, `EndpointChangedError`."""
    require_aware(at)
    with transaction.atomic():
        row = _locked(key, version)
        _record(row, "webhook.removed", actor, at, reason, url=row.url)
        row.delete()


def rotate_secret(
    *, key: str, actor: str, at: datetime, overlap: timedelta = OVERLAP, reason: str = ""
) -> tuple[Endpoint, str]:
    """Give an endpoint a new secret; gives it. Requests are signed with both until `overlap` has passed."""
    require_aware(at)
    if not timedelta() <= overlap <= timedelta(days=30):
        raise UnableToKeepEndpointError("overlap", "expected from none to 30 days")
    secret = _new_secret()
    with transaction.atomic():
        row = _locked(key)
        row.old_secret, row.old_secret_until = (row.secret, at + overlap) if overlap else (None, None)
        row.secret = seal(secret)
        row.version += 1
        row.save()
        _record(row, "webhook.rotated", actor, at, reason)
    return _of(row), secret


def signing_secrets(row: WebhookEndpoint, at: datetime) -> list[str]:
    """The secrets that a request at that instant is signed with, the newest first. Private to sending."""
    found = [unseal(bytes(row.secret))]
    if row.old_secret is not None and row.old_secret_until is not None and at < row.old_secret_until:
        found.append(unseal(bytes(row.old_secret)))
    return found


def send_test(*, key: str, actor: str, at: datetime) -> str:
    """Send an `endpoint.test` event to this endpoint alone; gives the event's id. A disabled endpoint refuses it."""
    require_aware(at)
    with transaction.atomic():
        row = _locked(key)
        if row.disabled_at is not None:
            raise UnableToKeepEndpointError("endpoint", f"endpoint {key} is disabled; enable it first")
        event = webhooks.write_event(event="endpoint.test", data={"endpoint": key, "asked_by": actor}, at=at)
        webhooks.queue(endpoint=row.pk, events=[event.pk], at=at)
        _record(row, "webhook.tested", actor, at)
    return event.key


def replay(
    *,
    key: str,
    actor: str,
    at: datetime,
    event_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    only_failed: bool = False,
    reason: str = "",
) -> int:
    """Send events again to an endpoint, delivered ones too: one (`event_id`), or those of [since, until).

    They keep their ids, by which the receiver knows them. A range takes what the endpoint wants now; with
    `only_failed` just what was given up. Gives how many. Raises `UnableToFindEndpointError` for an event that is not
    there (kept 30 days), and `UnableToKeepEndpointError` for a range that is none or too large.
    """
    require_aware(at)
    with transaction.atomic():
        row = _locked(key)
        if event_id is not None:
            found = list(WebhookEvent.objects.filter(key=event_id).values_list("id", flat=True))
            if not found:
                raise UnableToFindEndpointError(f"there is no event {event_id!r}; events are kept for 30 days")
        else:
            if since is None or (until is not None and require_aware(until) <= require_aware(since)):
                raise UnableToKeepEndpointError("since", "expected an instant, and until a later one")
            rows = WebhookEvent.objects.filter(at__gte=require_aware(since)).exclude(event="endpoint.test")
            if until is not None:
                rows = rows.filter(at__lt=until)
            if only_failed:
                lost = WebhookDelivery.objects.filter(endpoint=row, state="failed").values("event")
                rows = rows.filter(id__in=lost)
            pairs = rows.order_by("id").values_list("id", "event")[: MOST_REPLAYED + 1]
            found = [number for number, event in pairs if webhooks.wants(row.events, event)]
            if len(pairs) > MOST_REPLAYED:
                raise UnableToKeepEndpointError("since", f"more than {MOST_REPLAYED} events: ask for a shorter range")
        if found:
            webhooks.queue(endpoint=row.pk, events=found, at=at)
        span: dict[str, Any] = {"event": event_id} if event_id else {"since": str(since), "until": str(until)}
        _record(row, "webhook.replayed", actor, at, reason, events=len(found), **span)
    return len(found)


def deliveries(
    *, key: str | None = None, state: str | None = None, limit: int = 50, before: int | None = None
) -> list[Delivery]:
    """Deliveries, the newest first, of an endpoint or state if given; those with an id below `before`."""
    rows = WebhookDelivery.objects.order_by("-id")
    if key is not None:
        rows = rows.filter(endpoint__key=key)
    if state is not None:
        rows = rows.filter(state=state)
    if before is not None:
        rows = rows.filter(id__lt=before)
    fields = (
        "id", "endpoint__key", "event__key", "event__event", "event__at", "state", "attempts", "next_try", "last_try",
        "last_status", "last_fault", "delivered_at",
    )  # fmt: skip
    return [Delivery(*row) for row in rows.values_list(*fields)[:limit]]


def _record(row: WebhookEndpoint, act: str, actor: str, at: datetime, reason: str = "", **detail: Any) -> None:
    audit.record(actor=actor, act=act, subject=f"webhook:{row.key}", at=at, reason=reason, detail=detail)
