"""Telling of events: with the act or not at all, to those who want it, by a job that exists once it is committed."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, transaction
from procrastinate.contrib.django.models import ProcrastinateJob

from coulance.platform import at_rest, webhooks
from coulance.platform.models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from tests.support.database import ROOT

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)


def endpoint(key: str, *events: str, disabled: bool = False) -> WebhookEndpoint:
    return WebhookEndpoint.objects.create(
        key=key, url="https://example.org/", events=list(events), secret=b"", made_at=AT, made_by="test",
        disabled_at=AT if disabled else None,
    )  # fmt: skip


def test_nothing_is_kept_without_endpoints(db: Any) -> None:
    assert webhooks.emit(event="invoice.issued", data={"number": "1"}, at=AT) is None
    assert not WebhookEvent.objects.exists()


def test_each_endpoint_gets_what_it_wants(db: Any) -> None:
    endpoint("ep_all")
    endpoint("ep_invoices", "invoice.*")
    endpoint("ep_payments", "payment.received")
    endpoint("ep_disabled", disabled=True)
    key = webhooks.emit(event="invoice.issued", data={"number": "V1"}, at=AT)
    rows = WebhookDelivery.objects.values_list("endpoint__key", "event__key", "state")
    assert sorted(rows) == [("ep_all", key, "waiting"), ("ep_invoices", key, "waiting")]
    assert sorted(ProcrastinateJob.objects.values_list("lock", flat=True)) == sorted(
        f"webhook:{row.pk}" for row in WebhookEndpoint.objects.filter(key__in=["ep_all", "ep_invoices"])
    )
    assert WebhookEvent.objects.get().body == (
        '{"type":"invoice.issued","timestamp":"2026-11-01T12:00:00+00:00","data":{"number":"V1"}}'
    )


def test_it_stands_or_falls_with_the_act(db: Any) -> None:
    endpoint("ep_all")
    with transaction.atomic():
        assert webhooks.emit(event="invoice.issued", data={}, at=AT)
        transaction.set_rollback(True)
    assert not WebhookEvent.objects.exists()
    assert not ProcrastinateJob.objects.exists()


@pytest.mark.parametrize(
    ("event", "data", "words"),
    [("invoice.isued", {}, "no event 'invoice.isued'"), ("invoice.issued", {"at": AT}, "no JSON")],
)
def test_what_is_no_event_is_refused(db: Any, event: str, data: dict[str, Any], words: str) -> None:
    endpoint("ep_all")
    with pytest.raises(webhooks.UnableToEmitError, match=words):
        webhooks.emit(event=event, data=data, at=AT)


def test_ten_thousand_events_are_few_statements(db: Any) -> None:
    from django.test.utils import CaptureQueriesContext

    endpoint("ep_all")
    with CaptureQueriesContext(connection) as seen:
        keys = webhooks.emit_many(event="invoice.issued", data=({"n": i} for i in range(10_000)), at=AT)
    assert len(set(keys)) == 10_000
    assert len(seen) < 40
    assert ProcrastinateJob.objects.count() == 1


def test_a_secret_at_rest_is_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COULANCE_WEBHOOK_KEY", "a key")
    kept = at_rest.seal("whsec_abc")
    assert b"whsec" not in kept
    assert at_rest.unseal(kept) == "whsec_abc"
    monkeypatch.setenv("COULANCE_WEBHOOK_KEY", "another")
    with pytest.raises(at_rest.UnableToUnsealError, match="webhook_key"):
        at_rest.unseal(kept)


def test_every_event_that_can_be_asked_for_is_told_somewhere() -> None:
    """Nobody waits for an event that never comes: each name stands in a module that emits."""
    emitting = [
        text
        for path in (ROOT / "src" / "coulance").rglob("*.py")
        if path.name != "webhooks.py" and "emit" in (text := path.read_text())
    ]
    built = {f"{record}.{action}" for record in ("account", "service") for action in ("created", "changed")}
    told = {name for name in webhooks.EVENTS if any(f'"{name}"' in text for text in emitting)}
    told.add("endpoint.test")  # written for one endpoint, not emitted
    assert set(webhooks.EVENTS) == told | built
