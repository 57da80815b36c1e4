"""kill -9 anywhere between act, commit and delivery: nothing told that did not happen, nothing that happened untold."""

import json
import os
import subprocess
import sys
from collections import Counter

from tests.support.database import ROOT, WorkerDatabase
from tests.webhooks.receiver import AT, Receiver


def test_killed_at_every_step_each_event_arrives_with_one_id(committed_db: WorkerDatabase, receiver: Receiver) -> None:
    from django.db import connections

    from coulance.platform import audit, webhook_endpoints
    from coulance.platform.models import WebhookDelivery, WebhookEvent

    webhook_endpoints.add_endpoint(url=receiver.url, actor="test", at=AT)
    connections.close_all()
    done = subprocess.run(
        [sys.executable, "-m", "tests.webhooks.crasher", committed_db.name],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": committed_db.url,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
            "DJANGO_SETTINGS_MODULE": "coulance.config.settings",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    kills = json.loads(done.stdout)["kills"]
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
