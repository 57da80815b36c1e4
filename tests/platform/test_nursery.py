"""Parts are forked from a process that has loaded what they need, and are processes of their own all the same."""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from coulance.platform.nursery import Child, Nursery, UnableToStartPartError
from coulance.platform.parts import Part

_PROGRAM = """
import os, sys, time
from coulance.platform import nursery
loaded = os.getpid()
name, *words = nursery.serve()
if name == "say":
    facts = loaded != os.getpid(), os.getppid() == loaded, os.getsid(0) == os.getpid(), os.environ["MOOD"]
    print(*facts, *words[1:], file=open(words[0], "w"))
elif name == "listen":
    import socket
    given = socket.socket(fileno=int(os.environ["COULANCE_LISTEN_FD"]))
    os.write(int(os.environ.get("COULANCE_READY_FD", 1)), b".")
    while True:
        try:
            other = given.accept()[0]
        except BlockingIOError:
            time.sleep(0.01)
            continue
        other.sendall(str(os.getpid()).encode())
        other.close()
elif name == "wait":
    time.sleep(60)
sys.exit(3)
"""


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    made = _made()
    try:
        yield made
    finally:
        made.end()


def _made() -> Nursery:
    made = Nursery([sys.executable, "-c", _PROGRAM], {**os.environ, "MOOD": "as it was", "PYTHONPATH": "src"})
    _await(made.is_ready)
    return made


def _await(condition: Callable[[], object]) -> None:
    give_up = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up, "did not come about"
        time.sleep(0.005)


def _ended(child: Child) -> int | None:
    _await(lambda: child.poll() is not None)
    return child.returncode


def test_a_part_has_its_words_its_environment_and_a_session_of_its_own(nursery: Nursery, tmp_path: Path) -> None:
    first = nursery.start(["say", str(tmp_path / "first"), "one", "two"], {})
    second = nursery.start(["say", str(tmp_path / "second")], {"MOOD": "another"})
    assert (_ended(first), _ended(second)) == (3, 3)
    assert (tmp_path / "first").read_text() == "True True True as it was one two\n"
    assert (tmp_path / "second").read_text() == "True True True another\n"
    assert nursery.is_empty()


def test_each_is_ended_alone_and_told_of(nursery: Nursery) -> None:
    killed, asked, left = (nursery.start(["wait"], {}) for _ in range(3))
    os.kill(killed.pid, signal.SIGKILL)
    assert _ended(killed) == -signal.SIGKILL
    asked.terminate()
    assert _ended(asked) == -signal.SIGTERM
    assert left.poll() is None
    os.kill(nursery.process.pid, signal.SIGTERM)  # means the parts, if anybody
    assert nursery.is_ready()
    again = nursery.start(["wait"], {})
    assert {again.poll(), left.poll()} == {None}


def test_when_it_goes_its_parts_go(nursery: Nursery) -> None:
    child = nursery.start(["wait"], {})
    os.kill(nursery.process.pid, signal.SIGKILL)
    assert _ended(child) == -signal.SIGKILL
    assert nursery.has_ended()
    _await(lambda: not psutil.pid_exists(child.pid) or psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    with pytest.raises(UnableToStartPartError):
        nursery.start(["wait"], {})


def test_a_part_is_replaced_when_its_successor_is_ready_and_else_not(nursery: Nursery) -> None:
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        part = Part("web", ["listen"], listens=listening.fileno())
        assert part.tend(nursery, said.append)
        old = part.process
        assert old is not None
        assert _asked(listening) == old.pid
        part.words = ["nothing"]  # ends before it is ready
        part.renew(nursery)
        _await(lambda: not (part.tend(nursery, said.append) or part.is_renewing))
        assert said == ["the new web ended (status 3) before it was ready; the old one goes on"]
        assert _asked(listening) == old.pid
        part.words = ["listen"]
        following = _made()
        try:
            part.renew(following)
            _await(lambda: part.tend(following, said.append) or not part.is_renewing)
            assert _ended(old) == -signal.SIGTERM
            _await(lambda: part.tend(following, said.append) or not part.is_renewing)
            assert part.process is not None
            assert _asked(listening) == part.process.pid != old.pid
            assert nursery.is_empty()
            part.ask_to_stop()
            part.await_stop(hurry=lambda: False)
        finally:
            following.end()
    assert len(said) == 1


def _asked(listening: socket.socket) -> int:
    with socket.create_connection(listening.getsockname(), timeout=10) as one:
        return int(one.recv(64))


def test_what_it_cannot_load_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    made = Nursery([sys.executable, "-c", "import no_such_module"], os.environ)
    _await(made.has_ended)
    made.end()
    assert made.process.returncode == 1
    assert "no_such_module" in capfd.readouterr().err


def test_a_part_that_ends_at_once_is_given_with_its_status() -> None:
    """Its start and its end may be heard of together."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    asking = Nursery.__new__(Nursery)
    asking._socket, asking._children, asking._answers, asking._ready = ours, {}, [], True
    with ours, theirs:
        for news in ({"started": 7}, {"ended": 7, "status": 3}):
            theirs.sendall(json.dumps(news).encode())
        part = asking.start(["brief"], {})
        assert (part.pid, part.poll(), asking.is_empty()) == (7, 3, True)
