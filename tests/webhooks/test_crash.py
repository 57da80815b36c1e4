"""kill -9 anywhere between act, commit and delivery: nothing told that did not happen, nothing that happened untold."""

import json
from collections import Counter

from tests.support.crashing import crash
from tests.support.database import WorkerDatabase
from tests.webhooks.receiver import AT, Receiver


def test_killed_at_every_step_each_event_arrives_with_one_id(committed_db: WorkerDatabase, receiver: Receiver) -> None:
    from django.db import connections

    from coulance.platform import audit, webhook_endpoints
    from coulance.platform.models import WebhookDelivery, WebhookEvent

    webhook_endpoints.add_endpoint(url=receiver.url, actor="test", at=AT)
    connections.close_all()
    kills = crash("tests.webhooks.crasher", committed_db.name, database=committed_db, step=1)["kills"]
    assert kills >= 15, kills
    acts = {event.subject for event in audit.events(act="thing.done", limit=10_000)}
    told = {row.key: json.loads(row.body)["data"]["thing"] for row in WebhookEvent.objects.all()}
    assert {f"thing:{number}" for number in told.values()} == acts, "an event is there exactly when its act is"
    assert 1 <= len(acts) < kills
    assert len(told) == len(acts)
    arrived = Counter(receiver.ids)
    assert set(arrived) == set(told), "every event arrived, and none that was never committed"
    assert max(arrived.values()) <= 2, "again only where nobody could know that it had arrived"
    assert {json.loads(body)["data"]["thing"] for _, body in receiver.got} == set(told.values())
    assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {"delivered"}
