"""The executor as a process of its own: killed at any point, two of them, without its database, and stopped."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from coulance.enforcement import executing, operations, queries
from coulance_core.enforcement.restrictions import FREE, Action, Desired, Source
from tests.enforcement.wire import Wire
from tests.enforcement.world import ACTOR, make_services
from tests.support.forks import Running

PAUSED = Desired(paused=True)

PROCESS = """
import os, sys, signal
sys.path.insert(0, sys.argv[1])
import django
django.setup()
from datetime import UTC, datetime
from coulance.enforcement.executor import Executor
from coulance_core.catalog.terms import Driver, DriverKind
from tests.enforcement.wire import Wire

now = lambda: datetime.now(UTC)
driver = Wire(sys.argv[2], sys.argv[3])
running = Executor(
    worker=f"test:{os.getpid()}", now=now,
    terms=lambda: {"wire": Driver("wire", DriverKind.RECORD, reconcile_s=3600)},
    build=lambda some: {key: driver for key in some}, poll_s=60,
)
signal.signal(signal.SIGTERM, lambda *_: running.stop())
print("ready", flush=True)
running.run()
"""
ROOT = Path(__file__).resolve().parents[2]
Start = Callable[..., Running]


@pytest.fixture
def wire(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path


@pytest.fixture
def start(committed_db: Any, wire: Path) -> Iterator[Start]:
    started: list[Running] = []

    def begin(die_at: str = "") -> Running:
        process = Running(
            ["-c", PROCESS, str(ROOT), str(wire), die_at],
            {**os.environ, "DJANGO_SETTINGS_MODULE": "coulance.config.settings", "DATABASE_URL": _url()},
        )
        started.append(process)
        line = process.stdout.readline().strip()
        assert line == "ready", process.end()
        return process

    yield begin
    for process in started:
        process.end()


def _url() -> str:
    from tests.support.database import server

    return server().url(str(connection.settings_dict["NAME"]))


def until(condition: Callable[[], bool], within: float = 15) -> None:
    give_up = time.monotonic() + within
    while not condition():
        assert time.monotonic() < give_up, "it never came to be"
        time.sleep(0.02)


def reach(services: dict[str, int]) -> None:
    for name, service in services.items():
        operations.set_target(
            service=service, driver="wire", identity=name, parameters={}, actor=ACTOR, at=datetime.now(UTC)
        )


def place(service: int, ref: str = "r") -> None:
    operations.place(
        service=service, source=Source.SECURITY, ref=ref, reason="spam", action=Action.PAUSE, actor=ACTOR,
        at=datetime.now(UTC),
    )  # fmt: skip


def state(wire: Path, name: str) -> Desired:
    path = wire / "state" / name
    return Desired.from_json(json.loads(path.read_text())) if path.exists() else FREE


def writes(wire: Path) -> list[list[Any]]:
    log = wire / "log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def test_a_restriction_is_executed_when_it_is_committed(start: Start, wire: Path) -> None:
    services = make_services("vps-1", "vps-2")
    reach(services)
    process = start()
    until(lambda: queries.waiting() == [])
    place(services["vps-1"])
    until(lambda: state(wire, "vps-1") == PAUSED)  # it would be a minute, were it not told
    until(lambda: queries.waiting() == [])
    operations.lift(service=services["vps-1"], source=Source.SECURITY, actor=ACTOR, reason="over", at=datetime.now(UTC))
    until(lambda: state(wire, "vps-1") == FREE)
    (running,) = queries.executors()
    assert running.name == f"test:{process.pid}"
    until(lambda: queries.waiting() == [])
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert queries.executors() == []


@pytest.mark.parametrize("die_at", ["read", "write", "written", "proof"])
def test_killed_at_any_step_it_is_done_once_and_recorded(start: Start, wire: Path, die_at: str) -> None:
    services = make_services("vps-1")
    reach(services)
    place(services["vps-1"])
    dying = start(die_at)
    assert dying.wait(15) == -signal.SIGKILL
    assert len(queries.waiting()) == 1
    dead = queries.executors()[0].name
    assert executing.bury(host="test", is_alive=lambda pid: False, at=datetime.now(UTC)) == 1, dead
    executing.round_of({"wire": Wire(str(wire))}, worker="next", now=lambda: datetime.now(UTC))
    assert queries.waiting() == []
    assert state(wire, "vps-1") == PAUSED
    effective = [w for w in writes(wire) if w[1] == PAUSED.to_json()]
    assert len(effective) == 1, "never lost, and never twice in effect"
    act = queries.acts(services["vps-1"])[0]
    assert (act.after, act.outcome) == (PAUSED, "unchanged" if die_at in ("written", "proof") else "done")
    assert act.proof
    assert len(queries.acts(services["vps-1"])) == 1


def test_two_of_them_share_the_work(start: Start, wire: Path) -> None:
    services = make_services(*(f"vps-{i}" for i in range(60)))
    reach(services)
    start()
    start()
    for service in services.values():
        place(service)
    until(lambda: queries.waiting() == [], 25)
    assert all(state(wire, name) == PAUSED for name in services)
    paused = [name for name, desired, _ in writes(wire) if desired["paused"]]
    assert sorted(paused) == sorted(services), "each exactly once"
    for service in services.values():
        assert all(act.proof for act in queries.acts(service))


def test_a_lost_database_is_waited_for(start: Start, wire: Path) -> None:
    services = make_services("vps-1")
    reach(services)
    process = start()
    until(lambda: queries.waiting() == [])
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert cursor.fetchone()[0] >= 1
    place(services["vps-1"])
    until(lambda: state(wire, "vps-1") == PAUSED)
    until(lambda: queries.waiting() == [])
    assert process.poll() is None
