"""Looked at by several at once, killed in between, and woken by the database: each threshold is told once."""

import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest
from django.db import connections

from coulance.flows.overage_control import rounds
from coulance.flows.overage_control.evaluating import Evaluated
from coulance.flows.overage_control.watcher import Watcher
from coulance.notices import queries as sent
from coulance.overage import arming
from tests.overage_control.town import Town, sent_accounts

KILLED = """
import os, signal, sys
from datetime import datetime
import django
django.setup()
from coulance.enforcement import operations
from coulance.flows.overage_control import rounds
place = operations.place
def die(**given):
    place(**given)
    os.kill(os.getpid(), signal.SIGKILL)
operations.place = die
rounds.sweep(at=datetime.fromisoformat(sys.argv[1]))
"""


@pytest.fixture
def real(lasting: Any, monkeypatch: pytest.MonkeyPatch) -> Town:
    monkeypatch.setenv("COULANCE_URL", "https://billing.example.nl")
    return Town(lasting.folder).controlled().customer().service("web", "vps", meter="traffic")


def _once(town: Town) -> None:
    assert town.told("web") == ["50 %", "80 %", "100 %"]
    assert town.restricted("web") == ["overage"]
    assert len(sent.messages(account=sent_accounts("acme")[0])) == 1


def test_by_four_at_once_it_is_told_once(real: Town) -> None:
    real.use("web", {"2026-10-02T12:00": 120})
    barrier, found, faults = threading.Barrier(4), [], []

    def look() -> None:
        try:
            barrier.wait(10)
            found.append(rounds.sweep(at=real.at("2026-10-02T12:01"), escalate=False))
        except Exception as fault:  # told to the test, which runs elsewhere
            faults.append(fault)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert faults == []
    assert sorted(done.warned for done in found) == [0, 0, 0, 3]
    _once(real)


def test_killed_between_warning_and_commit_the_next_look_does_it_all(real: Town, worker_database: Any) -> None:
    real.use("web", {"2026-10-02T12:00": 120})
    before = arming.watched()
    died = subprocess.run(
        [sys.executable, "-c", KILLED, real.at("2026-10-02T12:01").isoformat()],
        env={
            **os.environ,
            "DATABASE_URL": worker_database.url,
            "DJANGO_SETTINGS_MODULE": "coulance.config.settings",
        },
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()[-2000:]
    assert (real.told("web"), real.restricted("web"), arming.watched()) == ([], [], before)
    assert sent.messages(account=sent_accounts("acme")[0]) == []
    real.look("2026-10-02T12:02")
    _once(real)
    real.look("2026-10-02T12:03")
    _once(real)


def test_the_watcher_wakes_when_samples_are_committed(real: Town) -> None:
    real.look("2026-10-01T00:01")
    seen = threading.Event()

    def count(done: Evaluated) -> None:
        if done.placed:
            seen.set()

    watcher = Watcher(now=lambda: real.at("2026-10-02T12:01"), seen=count)

    def work() -> None:
        watcher.run()
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        real.use("web", {"2026-10-02T12:00": 120})
        assert seen.wait(20)
    finally:
        watcher.stop()
        thread.join(20)
    assert not thread.is_alive()
    _once(real)
