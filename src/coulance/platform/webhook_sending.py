"""Sending what is due to an endpoint: signed, at least once, again later when it fails, until given up or disabled.

A delivery is claimed in a transaction of its own before its request leaves: it comes due again by itself a minute
later. Killed anywhere, it is sent again, with the same id; never forgotten.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import transaction
from standardwebhooks import Webhook

from coulance import __version__
from coulance.platform import alarms, audit, webhooks
from coulance.platform.at_rest import UnableToUnsealError
from coulance.platform.models import IdempotentCall, WebhookDelivery, WebhookEndpoint, WebhookEvent
from coulance.platform.webhook_endpoints import signing_secrets
from coulance.platform.webhook_guard import (
    Answer,
    RefusedAddressError,
    UnableToAllowNetworksError,
    UnableToSendError,
    post,
)

_log = logging.getLogger(__name__)

SCHEDULE = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
)
"""How long after each failed attempt the next one comes; after the last, about three days in all, it is given up."""
GIVE_UP_ENDPOINT = timedelta(days=5)
"""An endpoint that has failed for this long, with no success between, is disabled."""
KEPT = timedelta(days=30)
"""How long events can be replayed."""
_CLAIM = timedelta(seconds=60)
_BUDGET_S = 20.0
_FAILURES_IN_A_ROW = 3

Post = Callable[..., Answer]


def deliver_due(*, endpoint: int, now: Callable[[], datetime], send: Post = post) -> int:
    """Send what is due at an endpoint (row id), the oldest event first; gives how many requests were made.

    Ends after 20 s, or three failures one after another, so that a dead endpoint holds a worker no longer than that;
    has a job go on where something is left. `now` is the clock, asked before and after each request.
    """
    started, made, failures = time.monotonic(), 0, 0
    while time.monotonic() - started < _BUDGET_S:
        claimed = _claim(endpoint, now())
        if claimed is None:
            return made
        made += 1
        delivery, attempt = claimed
        failures = 0 if _attempt(delivery, attempt, now, send) else failures + 1
        if failures >= _FAILURES_IN_A_ROW:
            break
    with transaction.atomic():
        # What was not reached waits a moment: an endpoint that fails is not asked again at once for each event.
        later = now() + timedelta(seconds=30 if failures else 0)
        if WebhookDelivery.objects.filter(endpoint=endpoint, state="waiting", next_try__lte=later).exists():
            webhooks.nudge(endpoint=endpoint, at=later)
    return made


def _claim(endpoint: int, at: datetime) -> tuple[WebhookDelivery, int] | None:
    """The next delivery that is due, due again in a minute, and which attempt this is."""
    with transaction.atomic():
        row = (
            WebhookDelivery.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("endpoint", "event")
            .filter(endpoint=endpoint, state="waiting", next_try__lte=at, endpoint__disabled_at__isnull=True)
            .order_by("event_id")
            .first()
        )
        if row is None:
            return None
        row.attempts += 1
        row.next_try, row.last_try = at + _CLAIM, at
        row.save(update_fields=["attempts", "next_try", "last_try"])
    return row, row.attempts


def request_headers(row: WebhookEndpoint, event: WebhookEvent, at: datetime) -> dict[str, str]:
    """The headers of Standard Webhooks for this event at this instant; two signatures while a secret is rotated."""
    signatures = [
        Webhook(secret).sign(msg_id=event.key, timestamp=at, data=event.body) for secret in signing_secrets(row, at)
    ]
    return {
        "content-type": "application/json; charset=utf-8",
        "user-agent": f"coulance/{__version__}",
        "webhook-id": event.key,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _attempt(row: WebhookDelivery, attempt: int, now: Callable[[], datetime], send: Post) -> bool:
    answer: Answer | None = None
    fault = ""
    try:
        headers = request_headers(row.endpoint, row.event, now())
        answer = send(url=row.endpoint.url, headers=headers, body=row.event.body.encode())
        if not 200 <= answer.status < 300:
            fault = f"answered {answer.status}" + (
                ", and redirects are not followed" if answer.status // 100 == 3 else ""
            )
    except (RefusedAddressError, UnableToSendError, UnableToAllowNetworksError, UnableToUnsealError) as error:
        fault = str(error)[:500]
    _settle(row, attempt, answer, fault, now())
    return not fault


def _settle(row: WebhookDelivery, attempt: int, answer: Answer | None, fault: str, at: datetime) -> None:
    with transaction.atomic():
        endpoint = WebhookEndpoint.objects.select_for_update().filter(pk=row.endpoint_id).first()
        # Replayed or claimed by another meanwhile: theirs is the newer word.
        mine = WebhookDelivery.objects.select_for_update().filter(pk=row.pk, attempts=attempt, state="waiting").first()
        if endpoint is None or mine is None:
            return
        mine.last_status, mine.last_fault = answer.status if answer else None, fault
        if not fault:
            mine.state, mine.next_try, mine.delivered_at = "delivered", None, at
        elif attempt > len(SCHEDULE):
            mine.state, mine.next_try = "failed", None
        else:
            wait = SCHEDULE[attempt - 1] * (1 + _spread(row.pk, attempt))
            if answer is not None and answer.retry_after_s is not None:
                wait = max(wait, timedelta(seconds=answer.retry_after_s))
            mine.next_try = at + wait
            webhooks.nudge(endpoint=endpoint.pk, at=mine.next_try)
        mine.save()
        _mark(endpoint, fault, gone=answer is not None and answer.status == 410, at=at)


def _spread(delivery: int, attempt: int) -> float:
    """0 to 10 %, other for each delivery: a thousand that failed together don't all come back together."""
    return hashlib.sha256(f"{delivery}/{attempt}".encode()).digest()[0] / 2550


def _mark(endpoint: WebhookEndpoint, fault: str, *, gone: bool, at: datetime) -> None:
    """Keep the endpoint's own state: failing since when; disabled after days of it, or at once when it is gone."""
    alarm = f"webhook.disabled:{endpoint.key}"
    if not fault:
        if endpoint.failing_since is not None:
            endpoint.failing_since = None
            endpoint.save(update_fields=["failing_since"])
        alarms.clear_alarm(key=alarm, at=at)
        return
    if endpoint.failing_since is None:
        endpoint.failing_since = at
        endpoint.save(update_fields=["failing_since"])
    days = GIVE_UP_ENDPOINT.days
    why = (
        "it answered 410, which says that it is gone" if gone else f"it failed for {days} days; the last time: {fault}"
    )
    if endpoint.disabled_at is None and (gone or at - endpoint.failing_since >= GIVE_UP_ENDPOINT):
        endpoint.disabled_at, endpoint.disabled_why = at, why
        endpoint.save(update_fields=["disabled_at", "disabled_why"])
        audit.record(actor="worker", act="webhook.disabled", subject=f"webhook:{endpoint.key}", at=at, reason=why)
        alarms.raise_alarm(
            key=alarm,
            severity="warning",
            what=f"webhook endpoint {endpoint.key} ({endpoint.url}) is disabled: {why}; events wait for it",
            at=at,
        )


def endpoints_due(*, at: datetime) -> list[int]:
    """Endpoints (row ids) with something due for a minute or longer: their job was lost, or couldn't say so."""
    late = at - _CLAIM
    rows = WebhookDelivery.objects.filter(state="waiting", next_try__lte=late, endpoint__disabled_at__isnull=True)
    return list(rows.values_list("endpoint_id", flat=True).distinct().order_by("endpoint_id"))


def forget(*, at: datetime, idempotent_for: timedelta) -> tuple[int, int]:
    """Forget events older than 30 days with their deliveries, and answers kept for Idempotency-Keys; how many each.

    An event that still waits for an endpoint stays while it waits, at most as long again.
    """
    old = WebhookEvent.objects.filter(at__lt=at - KEPT)
    waiting = WebhookDelivery.objects.filter(state="waiting", event__at__gte=at - 2 * KEPT).values("event")
    events = old.exclude(id__in=waiting).delete()[1].get("platform.WebhookEvent", 0)
    calls = IdempotentCall.objects.filter(at__lt=at - idempotent_for).delete()[0]
    return events, calls
