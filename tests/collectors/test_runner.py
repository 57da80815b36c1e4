"""Who is asked when: back-off, spread, several at once, a house whose database or provider file changes meanwhile."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from coulance.integrations.collectors.runner import Runner
from coulance.platform import clock
from coulance.usage import queries
from coulance_core.usage.polling import LONGEST_PAUSE_S, next_poll, pause_s
from tests.collectors.fakes import Answer, FakeProxmox
from tests.collectors.test_asking import PROXMOX
from tests.collectors.world import NOW, house
from tests.support.instances import coulance

# failures in a row, what Retry-After asked for, least and most seconds until the next try
BACK_OFF = [
    (1, 0, 13, 17),
    (2, 0, 27, 33),
    (3, 0, 54, 66),
    (4, 0, 108, 132),
    (5, 0, 216, 264),
    (6, 0, 432, 528),
    (7, 0, 864, 1056),
    (8, 0, 1620, LONGEST_PAUSE_S),
    (60, 0, 1620, LONGEST_PAUSE_S),
    (1, 90, 90, 90),
    (1, 10, 13, 17),
    (1, 10**9, 86_400, 86_400),
]


@pytest.mark.parametrize(("failures", "asked", "least", "most"), BACK_OFF)
def test_back_off(failures: int, asked: int, least: int, most: int) -> None:
    pauses = {pause_s(failures, f"pve/target-{i}", asked_s=asked) for i in range(200)}
    assert min(pauses) >= least
    assert max(pauses) <= most
    assert (len(pauses) > 1) is (least != most), "spread by name"
    assert pauses == {pause_s(failures, f"pve/target-{i}", asked_s=asked) for i in range(200)}, "and always the same"


@pytest.mark.parametrize("interval", [10, 60, 300, 3600])
def test_polls_keep_their_rhythm(interval: int) -> None:
    at, seen = 1_790_000_003, []
    for _ in range(50):
        at = next_poll(at, interval, "switch/sw1")
        seen.append(at)
        at += 2  # asking takes a moment
    assert {b - a for a, b in pairwise(seen)} == {interval}
    spread = {next_poll(1_790_000_000, interval, f"switch/{i}") % interval for i in range(500)}
    assert max(spread) < max(interval // 10, 1)
    assert len(spread) > interval // 20


@pytest.fixture
def proxmox() -> Iterator[FakeProxmox]:
    fake = FakeProxmox()
    with fake.serving():
        yield fake


@pytest.fixture
def ready(committed_db: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxmox: FakeProxmox) -> FakeProxmox:
    """A house with five clusters, which are the same server under five names."""
    from coulance.usage import store

    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "segments"))
    monkeypatch.setenv("COULANCE_PVE", proxmox.token)
    texts = [
        PROXMOX.replace("[collectors.pve]", f"[collectors.pve{i}]").replace("collectors.pve.", f"collectors.pve{i}.")
        .replace("URL", proxmox.url).replace("vm-", f"{i}-")
        for i in range(5)
    ]  # fmt: skip
    house(tmp_path, "\n".join(texts), [f"{i}-100" for i in range(5)])
    proxmox.add(100, netin=5)
    return proxmox


def test_due_targets_are_asked_side_by_side_and_only_then(ready: FakeProxmox) -> None:
    """Three at once: a server that waits for three before it answers any would block one that asks singly."""
    together = threading.Barrier(3, timeout=20)
    now = [NOW]
    at_once = 0
    lock, inside = threading.Lock(), [0]

    def wait(_: object) -> Answer | None:
        nonlocal at_once
        with lock:
            inside[0] += 1
            at_once = max(at_once, inside[0])
            first = len(ready.asked) <= 3
        if first:
            together.wait()
        with lock:
            inside[0] -= 1
        return None

    ready.instead = wait
    runner = Runner(lambda: now[0], at_once=3)
    thread = threading.Thread(target=runner.run)
    thread.start()
    done = threading.Event()
    try:
        for _ in range(400):
            if len([one for one in queries.collector_health(at=now[0]) if one.state == "ok"]) == 5:
                break
            done.wait(0.05)
    finally:
        runner.stop.set()
        thread.join(20)
    assert len(ready.asked) == 5
    assert at_once == 3
    assert list(Runner(lambda: now[0]).due()) == []
    now[0] += timedelta(seconds=340)
    assert len(list(Runner(lambda: now[0]).due())) == 5
    assert len(list(Runner(lambda: now[0], only="pve2").due())) == 1


def test_the_commands(ready: FakeProxmox, committed_db: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    extra = {"DATABASE_URL": committed_db.url, "COULANCE_PVE": ready.token}
    listed = coulance(home, "collectors", "list", **extra)
    assert "never asked" in listed.stdout
    tried = coulance(home, "collectors", "test", "pve1", **extra)
    assert "1 readings of 1 series" in tried.stdout
    assert "meter port" in tried.stdout
    assert queries.collector_health(at=NOW) == [], "a try writes nothing"
    ran = coulance(home, "collectors", "run", "pve1", "--once", **extra)
    assert "1 accepted" in ran.stdout
    ready.instead = lambda _: Answer(b"", 500)
    failed = coulance(home, "collectors", "run", "pve1", "--once", check=False, **extra)
    assert (failed.returncode, "status 500" in failed.stderr) == (1, True)
    assert "failing" in coulance(home, "collectors", "list", "--json", **extra).stdout
    silent = coulance(home, "usage", "silent", "--json", check=False, **extra)
    assert silent.returncode == 1
    assert '"0-100"' in silent.stdout
    unknown = coulance(home, "collectors", "run", "nobody", "--once", check=False, **extra)
    assert "expected one of: pve0" in unknown.stderr
    assert clock.now() > datetime(2026, 1, 1, tzinfo=UTC)
