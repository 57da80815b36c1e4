"""Three vantage points in namespaces of their own, and a web server that is stopped, slowed and cut off: what is
measured lies within its bounds, and one vantage point that is cut off neither hides nor makes an outage."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from coulance_core.sla.evidence import Bound, Quorum, Samples, judge
from coulance_core.sla.intervals import Spans
from tests.probe.collector import Collector
from tests.probe.test_agent import QUICK

PROBES = ("a", "b", "c")
EVERY = 0.4


def _possible() -> str:
    if os.geteuid() != 0:
        return "network namespaces want root"
    if not shutil.which("ip"):
        return "ip is not installed (Debian: iproute2)"
    name = f"coulance-try-{os.getpid()}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "network namespaces are not allowed here"


pytestmark = pytest.mark.skipif(bool(_possible()), reason=_possible())


def run(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=True, timeout=20)


class Net:
    """A bridge here with four namespaces on it: the web server's (.10) and those of the probes (.11 to .13)."""

    def __init__(self) -> None:
        self.ends: list[subprocess.Popen[str]] = []
        self.tag = f"cp{os.getpid() % 100000}"
        self.subnet = f"10.{90 + os.getpid() % 100}.77"

    def __enter__(self) -> "Net":
        run("ip", "link", "add", self.tag, "type", "bridge")
        run("ip", "addr", "add", f"{self.subnet}.1/24", "dev", self.tag)
        run("ip", "link", "set", self.tag, "up")
        for number, name in enumerate(("w", *PROBES), 10):
            run("ip", "netns", "add", f"{self.tag}{name}")
            run("ip", "link", "add", f"{self.tag}{name}", "type", "veth", "peer", "eth0", "netns", f"{self.tag}{name}")
            run("ip", "link", "set", f"{self.tag}{name}", "master", self.tag, "up")
            inside = ("ip", "-n", f"{self.tag}{name}")
            run(*inside, "addr", "add", f"{self.subnet}.{number}/24", "dev", "eth0")
            run(*inside, "link", "set", "eth0", "up")
            run(*inside, "link", "set", "lo", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.ends:
            one.kill()
            one.communicate()
        for name in ("w", *PROBES):
            subprocess.run(["ip", "netns", "del", f"{self.tag}{name}"], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", self.tag], capture_output=True, check=False)

    def start(self, name: str, *command: str, **more: object) -> subprocess.Popen[str]:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": "src:.", **{k: str(v) for k, v in more.items()}}
        one = subprocess.Popen(
            ["ip", "netns", "exec", f"{self.tag}{name}", *command],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.ends.append(one)
        return one

    def cable(self, name: str, state: str) -> None:
        """Pull or plug the cable of a namespace."""
        run("ip", "link", "set", f"{self.tag}{name}", state)


def until(condition: Callable[[], bool], within: float = 15) -> None:
    give_up = time.monotonic() + within
    while not condition():
        assert time.monotonic() < give_up, "it never came to be"
        time.sleep(0.02)


@pytest.fixture
def net() -> Iterator[Net]:
    with Net() as one:
        yield one


def now() -> int:
    return time.time_ns() // 1000


def test_stopped_slowed_and_cut_off(net: Net, tmp_path: Path) -> None:
    page = {"id": 1, "kind": "http", "target": f"http://{net.subnet}.10:8080/", "every_s": EVERY, "timeout_s": 0.35}
    collector = Collector([page], tokens=PROBES)
    hidden = collector.serve(f"{net.subnet}.1")
    # The agents speak plain HTTP to this machine only, so each gets a tunnel: 127.0.0.1 of its namespace to here.
    port = hidden.server_address[1]
    with ExitStack() as stack:
        stack.callback(hidden.server_close)
        stack.callback(hidden.shutdown)
        web = net.start("w", sys.executable, "-m", "tests.probe.collector", "0.0.0.0", "8080")
        assert web.stdout is not None
        assert web.stdout.readline() == "ready\n"
        for name in PROBES:
            folder = tmp_path / name
            folder.mkdir()
            config = f'server = "http://127.0.0.1:{port}"\nname = "{name}"\nspool = "s.db"\n{QUICK}'
            (folder / "p.toml").write_text(config)
            net.start(name, sys.executable, "-c", _TUNNEL, str(port), f"{net.subnet}.1", str(port))
            net.start(name, sys.executable, "-m", "coulance_probe", str(folder / "p.toml"), COULANCE_PROBE_TOKEN=name)
        until(lambda: {token for token, _ in collector.looks} == set(PROBES))
        events: list[tuple[str, int]] = []

        def happens(what: str, act: Callable[[], object], lasts: float) -> None:
            events.append((what, now()))
            act()
            time.sleep(lasts)

        began = now()
        happens("well", lambda: None, 1.0)
        happens("one probe is cut off", lambda: net.cable("c", "down"), 1.4)
        happens("and is back", lambda: net.cable("c", "up"), 1.0)
        happens("slow: it hangs", lambda: _web(net, signal.SIGSTOP), 1.8)
        happens("well", lambda: _web(net, signal.SIGCONT), 1.4)
        happens("the server is cut off", lambda: net.cable("w", "down"), 1.8)
        happens("well", lambda: net.cable("w", "up"), 2.0)
        ended = now()
        latest = lambda: {p: max(r[2] for (t, _), r in collector.looks.items() if t == p) for p in PROBES}  # noqa: E731
        until(lambda: min(latest().values()) >= ended)  # what the cut-off one kept has come too
    probes = []
    for name in PROBES:
        rows = [row for (token, _), row in collector.looks.items() if token == name]
        probes.append(Samples.of(np.array([r[2] for r in rows]), np.array([r[3] for r in rows])))
    found = judge(probes, Quorum(ttl=1_000_000, down=2, fresh=2, confirm=2), began, ended)
    truth = Spans.of([(events[3][1], events[4][1]), (events[5][1], events[6][1])])
    slack = 400_000  # a look that was under way when it happened
    wide = Spans.of((s - slack, e + slack + 800_000) for s, e in truth.pairs())  # ARP may want a moment to come back
    assert len(found.down(Bound.STEP).pairs()) == 2
    assert not found.lower - wide, "more was measured than happened"
    inner = Spans.of((s + slack, e - slack) for s, e in truth.pairs())
    assert not inner - found.upper, "something that happened is not within the upper bound"
    assert found.lower.total > 0.4 * truth.total


def _web(net: Net, number: signal.Signals) -> None:
    """Stop or go on with the web server: it accepts, and doesn't answer."""
    pids = subprocess.run(["ip", "netns", "pids", f"{net.tag}w"], capture_output=True, text=True, check=True).stdout
    for pid in pids.split():
        os.kill(int(pid), number)


_TUNNEL = """
import socket, sys, threading
here = socket.create_server(("127.0.0.1", int(sys.argv[1])))
def pipe(a, b):
    try:
        while (data := a.recv(65536)):
            b.sendall(data)
    except OSError:
        pass
    for end in (a, b):
        try:
            end.close()
        except OSError:
            pass
while True:
    one, _ = here.accept()
    try:
        other = socket.create_connection((sys.argv[2], int(sys.argv[3])), timeout=3)
    except OSError:
        one.close()
        continue
    other.settimeout(3)
    threading.Thread(target=pipe, args=(one, other), daemon=True).start()
    threading.Thread(target=pipe, args=(other, one), daemon=True).start()
"""
