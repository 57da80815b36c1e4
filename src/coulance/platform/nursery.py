"""A process that has loaded all that the parts need, and forks each of them from itself.

So the loading is paid once, and its memory is shared. Each part is a process all the same: it is killed, restarted and
replaced alone. A new version comes in with a new nursery, in which nothing of the old one is loaded.

The two ends speak over a pair of sockets. The supervisor sends what to start, with the descriptors that the part is to
have; the nursery answers with its process id, and tells of each that ended. When the supervisor goes, the nursery goes;
when the nursery goes, the kernel kills its parts.
"""

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from coulance.platform.parent import die_with_parent, follow_parent

_SOCKET_VARIABLE = "COULANCE_NURSERY_FD"
_LONGEST = 65_536
_MOST_DESCRIPTORS = 8
_ANSWERS_WITHIN_S = 30.0


class UnableToStartPartError(RuntimeError):
    """The nursery did not start it: it has gone, or hangs."""


# The supervisor's end


class Child:
    """A part that the nursery started: as much of `subprocess.Popen` as a supervisor needs."""

    def __init__(self, nursery: "Nursery", pid: int) -> None:
        self._nursery = nursery
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its status once it has ended, negative for a signal; None while it lives."""
        self._nursery.read()
        return self.returncode

    def terminate(self) -> None:
        """Ask it to end."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)

    def wait(self) -> int:
        """Wait until it has ended, after it was killed."""
        give_up = time.monotonic() + _ANSWERS_WITHIN_S
        while self.poll() is None and time.monotonic() < give_up:
            self._nursery.read(wait_s=1.0)
        return self.returncode if self.returncode is not None else -signal.SIGKILL


class Nursery:
    """A nursery that this process started, by a command whose program calls `serve`."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket: socket.socket | None = ours
        self._children: dict[int, Child] = {}
        self._answers: list[Child] = []
        self._ready = False
        self.began = time.monotonic()
        with theirs:
            self.process = subprocess.Popen(
                command,
                env={**environment, _SOCKET_VARIABLE: str(theirs.fileno())},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=(theirs.fileno(),),
                # At once: finishing would mean waiting for a database that goes too, and keeping the port from the
                # next one. What was not committed was not acknowledged, and jobs are idempotent.
                preexec_fn=die_with_parent(os.getpid(), signal.SIGKILL),
            )

    def is_ready(self) -> bool:
        """Whether it has loaded everything."""
        self.read()
        return self._ready and self._socket is not None

    def has_ended(self) -> bool:
        """Whether it has gone, and its children with it."""
        self.read()
        return self._socket is None

    def is_empty(self) -> bool:
        """Whether none of its children lives."""
        self.read()
        return not self._children

    def start(self, words: Sequence[str], environment: Mapping[str, str], descriptors: Collection[int] = ()) -> Child:
        """Start a part: its name and arguments, what its environment has besides the nursery's, what it inherits.

        Descriptors have other numbers there: a variable whose value is `fd:N` is told the new number of the Nth.
        """
        asked = json.dumps({"words": list(words), "environment": dict(environment)}).encode()
        give_up = time.monotonic() + _ANSWERS_WITHIN_S
        try:
            if self._socket is not None:
                socket.send_fds(self._socket, [asked], list(descriptors))
        except OSError as fault:
            raise UnableToStartPartError(f"the nursery can't be asked: {fault}") from fault
        while not self._answers:
            if self._socket is None or time.monotonic() > give_up:
                raise UnableToStartPartError("the nursery does not answer")
            self.read(wait_s=1.0)
        return self._answers.pop()  # what ended at once may be forgotten already among the children

    def read(self, wait_s: float = 0.0) -> None:
        """Take in what it tells."""
        while self._socket is not None and select.select([self._socket], [], [], wait_s)[0]:
            wait_s = 0.0
            try:
                told = self._socket.recv(_LONGEST)
            except OSError:
                told = b""
            if not told:
                self._gone()
                return
            news = json.loads(told)
            if "ready" in news:
                self._ready = True
            elif "ended" in news:
                if child := self._children.pop(news["ended"], None):
                    child.returncode = news["status"]
            else:
                child = self._children[news["started"]] = Child(self, news["started"])
                self._answers.append(child)

    def _gone(self) -> None:
        assert self._socket is not None
        self._socket.close()
        self._socket = None
        for child in self._children.values():
            child.returncode = -signal.SIGKILL
        self._children.clear()

    def end(self) -> None:
        """Let it go, with whatever it still has."""
        if self._socket is not None:
            self._gone()
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1.0)  # it is ending by itself; its status tells why
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


# The nursery's own end


def serve() -> list[str]:
    """Fork a part whenever the supervisor asks for one. Returns in each: its words. The nursery itself never returns.

    Call it from the main thread of a process that has no other, and no connection to a database.
    """
    control = socket.socket(fileno=int(os.environ.pop(_SOCKET_VARIABLE)))
    waking, wake = os.pipe()
    for end in (waking, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # whoever means a part, or the supervisor, tells those
    gc.collect()
    gc.freeze()  # so that collecting garbage in a part doesn't copy what they share
    _tell(control, {"ready": True})
    while True:
        readable, _, _ = select.select([control.fileno(), waking], [], [])
        if waking in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(waking, 4096)
            _tell_of_ended(control)
        if control.fileno() in readable:
            asked, descriptors, _, _ = socket.recv_fds(control, _LONGEST, _MOST_DESCRIPTORS)
            if not asked:
                os._exit(0)
            pid = _fork()
            if pid == 0:
                control.close()
                os.close(waking)
                os.close(wake)
                return _become(json.loads(asked), descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            _tell(control, {"started": pid})


def _fork() -> int:
    """Fork; returns when the child is a group of its own that dies with us."""
    settled, settle = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(settled)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        os.setsid()
        follow_parent()
        os.close(settle)
        return 0
    os.close(settle)
    os.read(settled, 1)  # the end of the pipe: the child has closed it, or died
    os.close(settled)
    return pid


def _become(asked: dict[str, Any], descriptors: Sequence[int]) -> list[str]:
    words: list[str] = asked["words"]
    for name, value in asked["environment"].items():
        os.environ[name] = str(descriptors[int(value[3:])]) if value.startswith("fd:") else value
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(15, words[0][:15].encode())  # PR_SET_NAME: what ps and top show
    return words


def _tell_of_ended(control: socket.socket) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            _tell(control, {"ended": pid, "status": os.waitstatus_to_exitcode(status)})


def _tell(control: socket.socket, news: dict[str, int | bool]) -> None:
    try:
        control.sendall(json.dumps(news).encode())
    except OSError:
        os._exit(0)  # the supervisor has gone
