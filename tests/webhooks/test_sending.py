"""Sending to a real server that takes, fails, hangs, redirects and talks nonsense."""

import functools
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from coulance.platform import alarms, audit, webhook_endpoints, webhook_guard, webhook_sending, webhooks
from coulance.platform.models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from coulance.platform.webhook_endpoints import Endpoint
from coulance.platform.webhook_sending import SCHEDULE
from tests.webhooks.receiver import AT, Clock, Receiver, Told

Made = tuple[Endpoint, str]
quick = functools.partial(webhook_guard.post, whole_s=0.4)


def emit(clock: Clock, n: int = 1) -> str:
    key = webhooks.emit(event="invoice.issued", data={"number": f"V{n}"}, at=clock())
    assert key is not None
    return key


def send(clock: Clock) -> int:
    return webhook_sending.deliver_due(endpoint=WebhookEndpoint.objects.get().pk, now=clock, send=quick)


def state() -> tuple[str, int, int | None, str]:
    row = WebhookDelivery.objects.get()
    return row.state, row.attempts, row.last_status, row.last_fault


def verified(secret: str, headers: dict[str, str], body: bytes, clock: Clock, monkeypatch: Any) -> Any:
    """What the receiver makes of it with the library of Standard Webhooks, at that instant."""
    import standardwebhooks.webhooks as library

    class Then(library.datetime):  # type: ignore[misc]
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return clock()

    monkeypatch.setattr(library, "datetime", Then)
    return Webhook(secret).verify(body, headers)


def test_it_is_signed_as_the_standard_says(
    endpoint: Made, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = emit(clock)
    clock.on(seconds=3)
    assert send(clock) == 1
    [(headers, body)] = receiver.got
    assert headers["webhook-id"] == key
    assert headers["webhook-timestamp"] == str(int(clock().timestamp()))
    assert headers["content-type"] == "application/json; charset=utf-8"
    found = verified(endpoint[1], headers, body, clock, monkeypatch)
    assert found == {"type": "invoice.issued", "timestamp": AT.isoformat(), "data": {"number": "V1"}}
    with pytest.raises(WebhookVerificationError):
        verified(endpoint[1], headers, body + b" ", clock, monkeypatch)
    assert state() == ("delivered", 1, 204, "")
    assert send(clock) == 0


@pytest.mark.parametrize(
    ("word", "status", "fault"),
    [
        (500, 500, "answered 500"),
        (404, 404, "answered 404"),
        (302, 302, "answered 302, and redirects are not followed"),
        (308, 308, "redirects are not followed"),
        ("garbage", None, ""),
        ("nothing", None, ""),
        ("silence", None, ""),
        ("drip", None, ""),
    ],
)
def test_what_fails_comes_again(
    endpoint: Made, receiver: Receiver, clock: Clock, word: Told, status: int | None, fault: str
) -> None:
    receiver.says = [word, 200]
    key = emit(clock)
    assert send(clock) == 1
    kept = state()
    assert kept[:3] == ("waiting", 1, status)
    assert fault in kept[3]
    assert kept[3]
    assert webhook_endpoints.endpoint(endpoint[0].key).state == "failing"
    assert send(clock) == 0, "not before its time"
    clock.on(seconds=5.5)
    assert send(clock) == 1
    assert state()[0] == "delivered"
    assert receiver.ids == [key, key]
    assert receiver.paths == ["/", "/"]
    assert webhook_endpoints.endpoint(endpoint[0].key).state == "enabled"


def test_an_endless_answer_is_cut_and_counts_by_its_status(endpoint: Made, receiver: Receiver, clock: Clock) -> None:
    receiver.says = ["endless"]
    emit(clock)
    send(clock)
    assert state()[0] == "delivered"


def test_the_schedule_then_given_up_then_replayed(endpoint: Made, receiver: Receiver, clock: Clock) -> None:
    receiver.says = [503]
    key = emit(clock)
    waits = []
    while WebhookDelivery.objects.get().state == "waiting":
        before = clock()
        clock.at = max(clock.at, WebhookDelivery.objects.get().next_try)  # type: ignore[type-var]
        waits.append(clock() - before)
        assert send(clock) == 1
    assert len(waits) == len(SCHEDULE) + 1
    for waited, planned in zip(waits[1:], SCHEDULE, strict=True):
        assert planned <= waited <= planned * 1.1
    assert state()[0] == "failed"
    assert WebhookDelivery.objects.get().next_try is None
    receiver.says = [200]
    assert webhook_endpoints.replay(key=endpoint[0].key, event_id=key, actor="test", at=clock()) == 1
    send(clock)
    assert state()[:2] == ("delivered", 1)
    assert set(receiver.ids) == {key}


def test_retry_after_is_heeded(endpoint: Made, receiver: Receiver, clock: Clock) -> None:
    receiver.says = [429]
    emit(clock)
    send(clock)
    row = WebhookDelivery.objects.get()
    assert row.next_try == clock() + timedelta(hours=2)


def test_days_of_failure_disable_it_with_an_alarm(endpoint: Made, receiver: Receiver, clock: Clock) -> None:
    receiver.says = [500]
    for day in range(6):
        emit(clock, day)
        send(clock)
        clock.on(days=1)
    found = webhook_endpoints.endpoint(endpoint[0].key)
    assert found.state == "disabled"
    assert "failed for 5 days" in found.disabled_why
    assert [alarm.key for alarm in alarms.open_alarms()] == [f"webhook.disabled:{found.key}"]
    assert audit.events(act="webhook.disabled")[0].actor == "worker"
    assert webhooks.emit(event="invoice.issued", data={}, at=clock()), "kept, so that it can be replayed"
    sent = len(receiver.got)
    assert send(clock) == 0
    receiver.says = [200]
    webhook_endpoints.change_endpoint(key=found.key, enabled=True, actor="operator:anna", at=clock())
    while send(clock):
        pass
    assert len(receiver.got) > sent
    assert not WebhookDelivery.objects.filter(state="waiting").exists()
    assert not alarms.open_alarms()
    missed = WebhookEvent.objects.count() - WebhookDelivery.objects.count()
    assert missed == 1
    assert webhook_endpoints.replay(key=found.key, since=AT, actor="test", at=clock(), reason="missed") == 7


def test_gone_is_disabled_at_once(endpoint: Made, receiver: Receiver, clock: Clock) -> None:
    receiver.says = [410]
    emit(clock)
    send(clock)
    assert webhook_endpoints.endpoint(endpoint[0].key).state == "disabled"


def test_a_dead_endpoint_does_not_hold_a_worker(endpoint: Made, receiver: Receiver, clock: Clock) -> None:
    receiver.says = [500]
    for n in range(10):
        emit(clock, n)
    assert send(clock) == 3
    assert WebhookDelivery.objects.filter(attempts=0).count() == 7


def test_events_go_in_their_order(endpoint: Made, receiver: Receiver, clock: Clock) -> None:
    keys = [emit(clock, n) for n in range(20)]
    assert send(clock) == 20
    assert receiver.ids == keys


def test_a_rotated_secret_signs_beside_the_old_one_for_a_while(
    endpoint: Made, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, old = endpoint
    _, new = webhook_endpoints.rotate_secret(key=made.key, actor="test", at=clock())
    emit(clock)
    send(clock)
    clock.on(hours=24)
    emit(clock)
    send(clock)
    (both_headers, both_body), (headers, body) = receiver.got
    assert len(both_headers["webhook-signature"].split(" ")) == 2
    clock.on(hours=-24)
    for secret in (old, new):
        assert verified(secret, both_headers, both_body, clock, monkeypatch)
    clock.on(hours=24)
    assert verified(new, headers, body, clock, monkeypatch)
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        verified(old, headers, body, clock, monkeypatch)
    kept = WebhookEndpoint.objects.get()
    assert new.encode() not in bytes(kept.secret)
    assert not any(secret in repr(audit.events()) for secret in (old, new))


def test_a_test_goes_to_one_endpoint_whatever_it_wants(endpoint: Made, receiver: Receiver, clock: Clock) -> None:
    webhook_endpoints.change_endpoint(key=endpoint[0].key, events=["payment.*"], actor="test", at=AT)
    webhook_endpoints.add_endpoint(url=f"{receiver.url}other", actor="test", at=AT)
    key = webhook_endpoints.send_test(key=endpoint[0].key, actor="cli:root", at=AT)
    emit(clock)
    for row in WebhookEndpoint.objects.all():
        webhook_sending.deliver_due(endpoint=row.pk, now=clock, send=quick)
    assert receiver.paths == ["/", "/other"]
    assert receiver.ids[0] == key


def test_a_range_is_replayed_with_what_the_endpoint_wants(endpoint: Made, receiver: Receiver, clock: Clock) -> None:
    keys = []
    for n in range(4):
        keys.append(emit(clock, n))
        webhooks.emit(event="period.closed", data={}, at=clock())
        clock.on(hours=1)
    send(clock)
    key = endpoint[0].key
    webhook_endpoints.change_endpoint(key=key, events=["invoice.*"], actor="test", at=AT)
    receiver.got.clear()
    again = webhook_endpoints.replay(
        key=key, since=AT + timedelta(hours=1), until=AT + timedelta(hours=3), actor="test", at=clock()
    )
    assert again == 2
    send(clock)
    assert receiver.ids == keys[1:3]


def test_what_is_old_is_forgotten(endpoint: Made, receiver: Receiver, clock: Clock) -> None:
    emit(clock)
    send(clock)
    clock.on(days=10)
    emit(clock, 2)
    clock.on(days=25)
    assert webhook_sending.forget(at=clock(), idempotent_for=timedelta(hours=48)) == (1, 0)
    assert WebhookEvent.objects.count() == 1


def test_a_lost_job_is_found(endpoint: Made, clock: Clock) -> None:
    emit(clock)
    assert webhook_sending.endpoints_due(at=clock()) == []
    clock.on(seconds=61)
    assert webhook_sending.endpoints_due(at=clock()) == [WebhookEndpoint.objects.get().pk]
