"""The agent: nothing lost or doubled when the server is away, deaf or the agent killed; its configuration."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coulance_probe.__main__ import main, read_config
from coulance_probe.agent import Agent, _due_between, phase
from coulance_probe.checks import Check, Look
from coulance_probe.server import RefusedError, Server
from coulance_probe.spool import Spool
from tests.probe.collector import Collector

CHECKS = [{"id": n, "kind": "tcp", "target": "127.0.0.1:9", "every_s": 0.2, "timeout_s": 0.1} for n in (1, 2, 3)]

QUICK = "hand_over_s = 0.1\nretry_s = 0.1\n"


def until(condition: Callable[[], bool], within: float = 10) -> None:
    give_up = time.monotonic() + within
    while not condition():
        assert time.monotonic() < give_up, "it never came to be"
        time.sleep(0.01)


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    one = Collector(CHECKS)
    server = one.serve()
    yield one, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_it_goes_on_while_the_server_is_broken_and_deaf_and_loses_nothing(
    collector: tuple[Collector, str], tmp_path: Path
) -> None:
    one, url = collector
    spool = Spool(tmp_path / "s.db")
    taken: list[int] = []

    def looks(check: Check) -> Look:
        taken.append(check.id)
        return Look(check.id != 2, 5, "" if check.id != 2 else "refused")

    server = Server(url, "secret")
    agent = Agent("ams", server, spool, refresh_s=60, hand_over_s=0.05, retry_s=0.1, looks=looks)
    thread = threading.Thread(target=agent.run)
    thread.start()
    until(lambda: len(one.looks) >= 3)
    one.mood = "broken"
    until(lambda: len(spool) >= 4)
    one.mood = "deaf"
    until(lambda: one.doubles > 0 or len(one.looks) > 8)
    one.mood = "well"
    until(lambda: len(spool) == 0)
    agent.stop()
    thread.join(5)
    spool.close()
    server.close()
    assert sorted(row[1] for row in one.looks.values()) == sorted(taken)
    assert {row[3] for row in one.looks.values() if row[1] == 2} == {False}
    seqs = sorted(seq for _, seq in one.looks)
    assert seqs == list(range(1, len(seqs) + 1))


def start(folder: Path, url: str) -> subprocess.Popen[bytes]:
    (folder / "p.toml").write_text(f'server = "{url}"\nname = "ams"\nspool = "s.db"\n{QUICK}')
    environment = {"PATH": os.environ["PATH"], "COULANCE_PROBE_TOKEN": "secret", "PYTHONPATH": "src"}
    return subprocess.Popen([sys.executable, "-m", "coulance_probe", str(folder / "p.toml")], env=environment)


def test_killed_and_started_again_without_the_server_it_keeps_and_hands_over_all(
    collector: tuple[Collector, str], tmp_path: Path
) -> None:
    one, url = collector
    first = start(tmp_path, url)
    until(lambda: len(one.looks) >= 3)
    one.mood = "broken"
    time.sleep(0.5)
    first.send_signal(signal.SIGKILL)
    first.wait()
    kept = Spool(tmp_path / "s.db")
    waiting = len(kept)
    kept.close()
    assert waiting > 0
    before = len(one.looks)
    one.mood = "well"
    second = start(tmp_path, url)
    until(lambda: len(one.looks) >= before + waiting + 3)
    second.send_signal(signal.SIGTERM)
    assert second.wait(5) == 0
    seqs = sorted(seq for _, seq in one.looks)
    assert seqs == list(range(1, len(seqs) + 1))


def test_it_starts_with_the_checks_it_knew_when_the_server_is_away(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.db")
    spool.remember("checks", [*CHECKS, {"id": 9, "kind": "gopher", "target": "x"}])
    agent = Agent("ams", Server("http://127.0.0.1:9", "secret"), spool, hand_over_s=0.05, looks=lambda _: Look(True, 1))
    assert sorted(agent.checks) == [1, 2, 3]
    thread = threading.Thread(target=agent.run)
    thread.start()
    until(lambda: len(spool) >= 3)
    agent.stop()
    thread.join(5)
    assert not thread.is_alive()
    spool.close()


def test_an_agent_that_is_not_known_says_so(collector: tuple[Collector, str], tmp_path: Path) -> None:
    _, url = collector
    spool = Spool(tmp_path / "s.db")
    with pytest.raises(RefusedError, match="401"):
        Agent("x", Server(url, "wrong"), spool).run()
    spool.close()
    with pytest.raises(ValueError, match="https"):
        Server("http://coulance.example.net", "secret")


def test_a_full_spool_drops_the_oldest_and_counts_them(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.db", most=40)
    for n in range(120):
        spool.keep(1, n, True, 1, "")
    assert (len(spool), spool.lost, spool.oldest(1)[0].seq) == (40, 80, 81)
    script = f"import pathlib, coulance_probe.spool as s; s.Spool(pathlib.Path({str(tmp_path / 's.db')!r}))"
    environment = {"PYTHONPATH": "src", "PATH": os.environ["PATH"]}
    other = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert "another agent uses it" in other.stderr
    spool.close()


def test_looks_are_spread_and_the_same_after_a_restart() -> None:
    phases = [phase("ams", Check(n, "tcp", "h:1", 30)) for n in range(200)]
    assert phases == [phase("ams", Check(n, "tcp", "h:1", 30)) for n in range(200)]
    assert 10 < sum(p < 15 for p in phases) < 190
    at, looked = 0.0, 0
    while at < 300:
        looked += _due_between(at, at + 0.7, 30, 4.2)
        at += 0.7
    assert looked == 10


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "'server' is missing"),
        ('server = "https://x"\nname = 3', "name is 3"),
        ('server = "https://x"\nname = "a"\nport = 1', "unknown key 'port'"),
        ('server = "https://x"\nname = "a"\nretry_s = 0', "retry_s is 0: expected seconds, from 0.05 to 60"),
        ("server = ", "Invalid value"),
        ('server = "https://x"\nname = "a"', "no token"),
        ('server = "https://x"\nname = "a"\ntoken_file = "none"', "No such file"),
        ('server = "ftp://x"\nname = "a"', "no token"),
    ],
)
def test_a_wrong_configuration_says_where(
    text: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COULANCE_PROBE_TOKEN", raising=False)
    file = tmp_path / "p.toml"
    file.write_text(text)
    assert main([str(file)]) == 2
    said = capsys.readouterr().err
    assert str(tmp_path) in said
    assert why in said
    with pytest.raises(ValueError, match="No such file"):
        read_config(tmp_path / "none.toml")
