"""Who is asked when: back-off, spread, several at once, a house whose database or provider file changes meanwhile."""

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from coulance.cli import collectors, usage
from coulance.integrations.collectors.runner import Runner
from coulance.usage import queries
from coulance_core.usage.polling import LONGEST_PAUSE_S, next_poll, pause_s
from tests.collectors.fakes import Answer, FakeProxmox
from tests.collectors.test_asking import PROXMOX
from tests.collectors.world import NOW, house

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


def test_the_commands(ready: FakeProxmox, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (collectors, usage):
        monkeypatch.setattr(module, "working_database", nullcontext)

    def said(command: click.Command, *arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(command, arguments)
        return done.exit_code, done.output

    assert "never asked" in said(collectors.collectors, "list")[1]
    status, told = said(collectors.collectors, "test", "pve1")
    assert (status, "1 readings of 1 series" in told, "meter port" in told) == (0, True, True)
    assert queries.collector_health(at=NOW) == [], "a try writes nothing"
    assert "1 accepted" in said(collectors.collectors, "run", "pve1", "--once")[1]
    ready.instead = lambda _: Answer(b"", 500)
    status, told = said(collectors.collectors, "run", "pve1", "--once")
    assert (status, "status 500" in told) == (1, True)
    assert '"state": "failing"' in said(collectors.collectors, "list", "--json")[1]
    assert "status 500" in said(collectors.collectors, "list")[1]
    assert said(collectors.collectors, "test", "pve1")[0] == 1
    status, told = said(usage.usage, "silent", "--json")
    assert (status, '"0-100"' in told) == (1, True)
    status, told = said(collectors.collectors, "run", "nobody", "--once")
    assert (status, "expected one of: pve0" in told) == (1, True)
    status, told = said(collectors.collectors, "bills", "pve1")
    assert (status, "only LibreNMS has bills" in told) == (1, True)
