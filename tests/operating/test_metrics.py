"""Metrics: true to the database, few labels, adding up over processes, and for whom they are meant."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from coulance.flows import metrics as facts
from coulance.platform import alarms, checks, clock, tokens
from coulance.platform.instance import Instance
from tests.support.database import ROOT

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)


def _read(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def page(db: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Ask for the metrics at a fixed instant, as this machine does."""
    here = Instance(tmp_path / "home")
    here.prepare()
    monkeypatch.setenv("COULANCE_HOME", str(here.home))
    monkeypatch.setattr(clock, "now", lambda: AT)
    (here.run_dir / "last-backup").write_text((AT - timedelta(hours=3)).isoformat())

    def ask() -> dict[tuple[str, tuple[str, ...]], float]:
        answer = Client(headers={"host": "127.0.0.1"}).get("/metrics")
        assert answer.status_code == 200, answer.content
        assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
        return _read(answer.content.decode())

    return ask


def test_facts_are_those_of_the_database(page: Any) -> None:
    from coulance.usage import operations as usage

    columns = usage.from_lists({"series": ["who/eth0"] * 2, "at": [1_790_000_000, 1_790_000_300], "value": [1, 2]})
    usage.ingest_batch(columns=columns, source="test", recorded_at=AT)
    alarms.raise_alarm(key="x", severity="critical", what="x", at=AT)
    took = timedelta(seconds=1)
    checks.note_result(name="ledger", what="Books", faults=2, first="entry 1: bad", took=took, at=AT)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (%s)", [AT - timedelta(seconds=7)])
        for status, ago in (("todo", 90), ("todo", 30), ("failed", 500)):
            cursor.execute(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status) VALUES ('default', 'x', '{}',"
                " %s) RETURNING id",
                [status],
            )
            cursor.execute(
                "UPDATE procrastinate_events SET at = %s WHERE job_id = %s",
                [AT - timedelta(seconds=ago), (cursor.fetchone() or (0,))[0]],
            )
    seen = page()
    assert seen["coulance_quarantined_samples", ()] == 2
    assert seen["coulance_quarantined_series", ()] == 1
    assert seen["coulance_sample_batches_total", ()] >= 1
    assert seen["coulance_alarms_open", ("critical",)] == 2  # the audit's too
    assert seen["coulance_audit_faults", ("ledger",)] == 2
    assert seen["coulance_audit_run_timestamp_seconds", ("ledger",)] == AT.timestamp()
    assert seen["coulance_backup_age_seconds", ()] == 3 * 3600
    assert seen["coulance_worker_heartbeat_age_seconds", ()] == 7
    assert (seen["coulance_jobs", ("waiting",)], seen["coulance_jobs", ("failed",)]) == (2, 1)
    assert seen["coulance_job_oldest_seconds", ()] == 90
    assert seen["coulance_disk_free_bytes", ()] > 0
    assert seen["coulance_process_resident_bytes", ("web",)] > 10**7
    assert {value for (name, _), value in seen.items() if name == "coulance_facts_missing"} == {0}


def test_what_can_not_be_read_is_a_gap_and_said(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr(facts.usage, "overview", fail)
    seen = page()
    assert ("coulance_samples_kept", ()) not in seen
    assert seen["coulance_facts_missing", ("samples",)] == 1
    assert seen["coulance_facts_missing", ("jobs",)] == 0


def test_requests_are_counted_by_route_and_not_by_address(page: Any) -> None:
    before = page()
    for n in range(5):
        Client().get(f"/accounts/customer-{n}")
        Client().get(f"/nowhere/{n}")
    Client().generic("BREW", "/sign-in")
    seen = page()
    routes = {labels[1] for (name, labels) in seen if name == "coulance_http_requests_total"}
    assert not any("customer" in route or "nowhere/" in route for route in routes)

    def rise(*labels: str) -> float:
        key = ("coulance_http_requests_total", labels)
        return float(seen.get(key, 0) - before.get(key, 0))

    assert rise("GET", "accounts/<path:external_id>", "302") == 5
    assert rise("GET", "none", "404") == 5
    # Other tests of this process ask in other ways; a method that nobody knows is none of its own.
    methods = {labels[0] for (name, labels) in seen if name == "coulance_http_requests_total"}
    assert "other" in methods
    assert "BREW" not in methods


_COUNTING = """
import sys
from django.conf import settings
from types import SimpleNamespace as Of
from coulance.platform import metrics
asked = Of(method="GET", path="/x", resolver_match=Of(route="x"))
for _ in range(int(sys.argv[1])):
    metrics.count(asked, status=200, seconds=0.01)
if sys.argv[2:]:
    from prometheus_client import generate_latest
    print(generate_latest(metrics.registry()).decode())
"""


def test_processes_add_up_also_those_that_are_gone(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(ROOT / "src")}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-c", _COUNTING, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    run("3")
    run("4")
    seen = _read(run("5", "show"))
    assert seen["coulance_http_requests_total", ("GET", "x", "200")] == 12
    assert seen["coulance_http_request_seconds_count", ("x",)] == 12


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "127.0.0.1:8000"}, 200),
        ({"host": "localhost"}, 200),
        ({"host": "testserver"}, 401),
        ({"host": "127.0.0.1", "X-Forwarded-For": "192.0.2.1"}, 401),
        ({"host": "127.0.0.1", "Via": "1.1 proxy"}, 401),
        ({"host": "127.0.0.1", "Authorization": "Bearer cl_0000000000_bad"}, 401),
    ],
)
def test_only_this_machine_itself_needs_no_token(db: Any, headers: dict[str, str], status: int) -> None:
    assert Client(headers=headers).get("/metrics").status_code == status


def test_others_need_a_token_with_the_scope(db: Any) -> None:
    for scope, status in (("metrics", 200), ("usage:read", 403)):
        text, _ = tokens.make_token(name=scope, scopes=[scope], at=clock.now(), actor="test")
        answer = Client().get("/metrics", headers={"Authorization": f"Bearer {text}"}, REMOTE_ADDR="192.0.2.7")
        assert answer.status_code == status
    assert Client().get("/metrics", REMOTE_ADDR="192.0.2.7", headers={"host": "localhost"}).status_code == 401
    assert Client(headers={"host": "localhost"}).post("/metrics", "x", content_type="text/plain").status_code == 405
