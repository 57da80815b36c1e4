"""The job that sends: queued with its message, run by the worker's own code, telling by an alarm when it can't."""

from typing import Any

import pytest
from django.db import connection

from coulance.notices import tasks
from coulance.notices.states import State
from coulance.platform import clock
from coulance.platform.alarms import open_alarms
from tests.notices.post import NOON, only, queue
from tests.support.mail_server import MailServer


def _jobs() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT task_name FROM procrastinate_jobs WHERE status = 'todo' AND lock = 'notices.send'")
        return [row[0] for row in cursor.fetchall()]


def test_a_message_brings_its_job_along_once(account: int) -> None:
    queue(account, "anna@shop.example", key="a")
    queue(account, "ben@shop.example", key="b")
    assert _jobs() == ["coulance.notices.tasks.send"]


def test_the_job_sends_and_says_by_an_alarm_when_it_cannot(
    account: int, server: MailServer, monkeypatch: pytest.MonkeyPatch, db: Any
) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOON)
    monkeypatch.delenv("COULANCE_MAIL", raising=False)
    queue(account, "anna@shop.example", key="a")
    tasks.send()
    assert only().state is State.WAITING, "without a server it waits"
    assert open_alarms() == []
    for url, said in (("smtp://127.0.0.1:9?tls=none", "can't be reached"), ("pigeon://x", "begins with pigeon")):
        monkeypatch.setenv("COULANCE_MAIL", url)
        tasks.send()
        (alarm,) = open_alarms()
        assert (alarm.key, alarm.severity, said in alarm.what) == ("mail.server", "critical", True)
    monkeypatch.setenv("COULANCE_MAIL", server.url)
    tasks.send()
    assert only().state is State.ACCEPTED
    assert open_alarms() == []
    tasks.check(0)
