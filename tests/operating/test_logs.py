"""Logs: nothing planted gets through, lines are JSON, and a request's name goes along to its jobs."""

import io
import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from coulance.platform import logs, secret_store
from coulance.platform.instance import Instance, InstanceError
from tests.support.instances import new_home

TOKEN = "cl_0123456789_Zx9-secretsecretsecretsecret_tail"
IBAN = "NL91 ABNA 0417 1643 00"
#: What is logged -> what must not be in the line, and what must still be.
PLANTED = [
    (f"bad token {TOKEN}", "Zx9", "cl_0123456789"),
    ("Authorization: Bearer abcdef0123456789", "abcdef0123456789", "Bearer"),
    ("webhook whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9", "whsec_"),
    ("connect postgresql://coulance:hunter22@db/bills failed", "hunter22", "db/bills"),
    ("smtp://me:pa%2Fss@mail.example:587 refused", "pa%2Fss", "mail.example:587"),
    ("anymail+postmark://0a1b2c3d-token@ said no", "0a1b2c3d", "postmark"),
    ("Forbidden: /sign-in/yHzPq8dV2mK4sLw9XcVbNm12345678901234567890ab", "yHzPq8dV2m", "/sign-in/"),
    ("Not Found: /hooks/mail/k3yk3yk3yk3yk3yk3yk3y", "k3yk3y", "/hooks/mail/"),
    ("mail to anna.jansen+x@example.nl bounced", "anna.jansen", "@example.nl"),
    (f"transfer from {IBAN} to NL91ABNA0417164300 done", "0417", "NL91"),
    ("Cookie: coulance_session=abc123; csrftoken=zzz", "abc123", "Cookie"),
    ("sessionid=deadbeefdeadbeef&x=1", "deadbeef", "x=1"),
    ("{'password': 'tr0ub4dor', 'name': 'x'}", "tr0ub4dor", "'name'"),
    ("api_key=AKIA123456 used", "AKIA123456", "used"),
]


@pytest.fixture(params=["json", "plain"])
def line(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Log something through our formatter; gives the whole line."""
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.setFormatter(logs.formatter(request.param))
    logger = logging.getLogger("tests.logs")
    logger.propagate, logger.level = False, logging.INFO
    logger.addHandler(handler)

    def write(message: str, *args: Any, **more: Any) -> str:
        output.truncate(0)
        output.seek(0)
        logger.error(message, *args, **more)
        return output.getvalue()

    write.form = request.param  # type: ignore[attr-defined]
    yield write
    logger.removeHandler(handler)


@pytest.mark.parametrize(("said", "hidden", "kept"), PLANTED)
def test_planted_secrets_do_not_get_through(line: Any, said: str, hidden: str, kept: str) -> None:
    for text in (line(said), line("%s", said), line("x", extra={"task": {"deep": [said]}})):
        assert hidden not in text
        assert kept in text
    try:
        raise RuntimeError(said)
    except RuntimeError:
        text = line("it failed", exc_info=True)
    assert hidden not in text
    assert "RuntimeError" in text


def test_values_of_the_instance_are_hidden_wherever_they_stand(line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with new_home() as home:
        here = Instance(home)
        here.prepare()
        secret_store.write(here, "librenms", "plain-looking words")
        monkeypatch.setenv("COULANCE_HOME", str(home))
        monkeypatch.setattr(logs, "_known", logs._Known())
        text = line(f"asked with plain-looking words, signed by {here.django_key()}")
        assert "plain-looking" not in text
        assert here.django_key() not in text
        assert "asked with [...], signed by [...]" in text


def test_a_line_is_one_json_object(line: Any) -> None:
    logs.begin_request("r-12345678")
    try:
        text = line("two\nlines \x1b[31m and \u2603", extra={"status": 200, "ms": 1.5})
    finally:
        logs.end_request()
    if line.form == "plain":
        assert "ERROR tests.logs: two" in text
        assert "request=r-12345678" in text
        return
    assert text.count("\n") == 1
    entry = json.loads(text)
    assert entry["event"] == "two\nlines \x1b[31m and \u2603"
    assert (entry["level"], entry["logger"], entry["request"]) == ("error", "tests.logs", "r-12345678")
    assert (entry["status"], entry["ms"]) == (200, 1.5)
    assert entry["at"].endswith("Z")


def test_what_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COULANCE_LOG_FORMAT", "xml")
    with pytest.raises(InstanceError, match="may be plain or json"):
        logs.settings()
    monkeypatch.setenv("COULANCE_LOG_FORMAT", "json")
    assert logs.settings()["loggers"]["coulance.access"]["level"] == "INFO"
    monkeypatch.setenv("COULANCE_LOG", "loud")
    with pytest.raises(InstanceError, match="debug, info, warning or error"):
        logs.settings()


def test_the_access_log_has_the_route_and_nothing_of_the_address(db: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "coulance.access"):
        secret = "s" * 43
        answer = Client().get(f"/sign-in/{secret}?x=1", headers={"X-Request-Id": "proxy-0123456789"})
        Client().get("/no/such/page", headers={"X-Request-Id": "bad name\r\n"})
    assert answer["X-Request-Id"] == "proxy-0123456789"
    first, second = (record for record in caplog.records if record.name == "coulance.access")
    assert (first.method, first.route, first.status) == ("GET", "sign-in/<str:secret>", 200)  # type: ignore[attr-defined]
    assert second.route == "none"  # type: ignore[attr-defined]
    assert secret not in str(vars(first))


def test_a_job_carries_the_request_that_wrote_it(db: Any, caplog: pytest.LogCaptureFixture) -> None:
    from procrastinate.contrib.django import app

    task = app.configure_task("tests.some.task", allow_unknown=True)
    logs.begin_request("web-00112233")
    try:
        job = task.defer(name="x")
    finally:
        logs.end_request()
    alone = task.defer(name="y")
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, args FROM procrastinate_jobs ORDER BY id")
        args = {number: json.loads(given) if isinstance(given, str) else given for number, given in cursor.fetchall()}
    assert args == {job: {"name": "x", "_request": "web-00112233"}, alone: {"name": "y"}}
    seen: list[Any] = []

    def work() -> str:
        seen.append((logs.current_request(), dict(running.job.task_kwargs)))
        return "done"

    running = SimpleNamespace(job=SimpleNamespace(id=job, task_name="tests.some.task", task_kwargs=args[job]))
    with caplog.at_level(logging.INFO, "coulance.jobs"):
        assert logs.around_job(work, running, None) == "done"  # type: ignore[arg-type]
        with pytest.raises(ZeroDivisionError):
            logs.around_job(lambda: 1 / 0, running, None)  # type: ignore[arg-type]
    assert seen == [("web-00112233", {"name": "x"})]
    assert [record.outcome for record in caplog.records] == ["done", "failed"]  # type: ignore[attr-defined]
    assert logs.current_request() is None
