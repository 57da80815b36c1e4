"""What every HTTP answer has in common, and the health check."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from coulance.platform import clock


@pytest.mark.parametrize("method", ["post", "put", "patch"])
def test_a_body_must_say_its_length(method: str, db: Any) -> None:
    client = Client()
    ask = getattr(client, method)
    for environment in ({"CONTENT_LENGTH": ""}, {"HTTP_TRANSFER_ENCODING": "chunked"}):
        answer = ask("/healthz", data=b"x", content_type="application/octet-stream", **environment)
        assert answer.status_code == 411
        assert "Content-Length" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/accounts/%00", "/documents?account=a%00b", "/api/v1/documents/%00"])
def test_a_zero_byte_is_refused_before_the_database_is_asked(db: Any, path: str) -> None:
    answer = Client(raise_request_exception=False).get(path)
    assert answer.status_code == 400
    assert "zero byte" in answer.json()["detail"]


def test_every_answer_forbids_what_is_not_ours(db: Any) -> None:
    answer = Client().get("/healthz")
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"


def test_a_foreign_host_name_is_refused(db: Any) -> None:
    assert Client(headers={"host": "evil.example"}).get("/healthz").status_code in {200, 400}
    assert Client(headers={"host": "evil.example"}).get("/nowhere/").status_code == 400


def _beat(ago_s: float) -> None:
    at = clock.now() - timedelta(seconds=ago_s)
    connection.cursor().execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (%s)", [at])


def test_alive_asks_nobody_else() -> None:
    # No fixture of the database: asking it would fail.
    answer = Client().get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"ok": True, "web": "ok"})


def test_ready_follows_the_worker(db: Any) -> None:
    client = Client()
    well = {"web": "ok", "database": "ok", "migrations": "ok"}
    assert client.get("/readyz").json() == {"ok": False, **well, "worker": "never seen"}
    _beat(100)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["worker"].startswith("last seen 10")
    _beat(5)
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"ok": True, **well, "worker": "ok"}


def test_ready_waits_for_migrations(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from coulance.platform import schema, web

    _beat(5)
    monkeypatch.setattr(web, "_none_pending", False)
    monkeypatch.setattr(schema, "pending", lambda **_: ["usage.0099_more"])
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["migrations"] == "1 pending: coulance migrate"
    monkeypatch.setattr(schema, "pending", lambda **_: [])
    assert Client().get("/readyz").status_code == 200


def test_ready_without_a_database_says_so(worker_database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    from coulance.platform import heartbeat, web

    def fail() -> None:
        raise OperationalError("connection refused\nand more that nobody needs")

    monkeypatch.setattr(web, "_none_pending", True)
    monkeypatch.setattr(heartbeat, "last_seen", fail)
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["database"] == "unreachable: connection refused"
    assert answer.json()["worker"] == "unknown while the database is unreachable"


def test_a_stalled_job_is_given_back(committed_db: Any) -> None:
    import asyncio
    from types import SimpleNamespace

    from procrastinate.contrib.django import app

    from coulance.platform import tasks

    with connection.cursor() as cursor:
        for ago_s in (5, 300):
            cursor.execute(
                "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - %s * interval '1 s') RETURNING id",
                [ago_s],
            )
            (worker,) = cursor.fetchone() or (0,)
            cursor.execute(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args, status, worker_id)"
                " VALUES ('default', 'x', %s, '{}', 'doing', %s)",
                [f"lock-{ago_s}", worker],
            )
    asyncio.run(tasks.requeue_stalled_jobs.func(SimpleNamespace(app=app), 0))
    with connection.cursor() as cursor:
        cursor.execute("SELECT lock, status FROM procrastinate_jobs ORDER BY id")
        assert cursor.fetchall() == [("lock-5", "doing"), ("lock-300", "todo")]
