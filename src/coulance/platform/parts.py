"""A part of an instance: a program that is kept running, and can be replaced while it serves."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from coulance.platform.nursery import Child, Nursery

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 15.0
_SOUND_AFTER_S = 30.0
"""A part that ran this long is sound again: its next failure is met with the first pause."""
_READY_WITHIN_S = 60.0

LISTEN_VARIABLE = "COULANCE_LISTEN_FD"
"""Tells the web server which descriptor it serves."""
READY_VARIABLE = "COULANCE_READY_FD"
"""Tells its processes where to write a byte each when they are ready."""


@dataclass
class BackOff:
    pause_s: float = _FIRST_PAUSE_S
    not_before: float = 0.0

    def failed(self, *, ran_s: float) -> float:
        """Take note of an end after so long; returns the pause before the next start."""
        if ran_s >= _SOUND_AFTER_S:
            self.pause_s = _FIRST_PAUSE_S
        pause = self.pause_s
        self.not_before = time.monotonic() + pause
        self.pause_s = min(self.pause_s * 2, _LONGEST_PAUSE_S)
        return pause

    def is_over(self) -> bool:
        return time.monotonic() >= self.not_before


@dataclass
class Part:
    """A program that is kept running: a process group of its own, so that it can be ended whole."""

    name: str
    words: Sequence[str]
    """What the nursery is asked to run."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What it has besides the environment of the nursery."""
    grace_s: float = 30.0
    listens: int | None = None
    """The listening socket that it serves. Such a part can be replaced while it runs; another is restarted."""
    ready_after: int = 1
    """How many of its processes say that they are ready."""
    process: Child | None = None
    started: float = 0.0
    fault: str = ""
    """Why the last replacement failed; empty when it didn't."""
    _back_off: BackOff = field(default_factory=BackOff)
    _successor: "_Successor | None" = None
    _leaving: list[tuple[Child, float]] = field(default_factory=list)
    """Processes that were asked to finish, and when each is killed."""
    _wanted_anew: bool = False

    def start(self, nursery: Nursery) -> None:
        self.started = time.monotonic()
        self.process = self._launch(nursery)

    def _launch(self, nursery: Nursery, ready: int | None = None) -> Child:
        environment = dict(self.environment)
        descriptors: list[int] = []
        for variable, descriptor in ((LISTEN_VARIABLE, self.listens), (READY_VARIABLE, ready)):
            if descriptor is not None:
                environment[variable] = f"fd:{len(descriptors)}"
                descriptors.append(descriptor)
        return nursery.start(self.words, environment, descriptors)

    def renew(self, nursery: Nursery) -> None:
        """Run it anew from a new nursery: one that serves a socket overlaps with its successor."""
        if self.process is None or self.process.poll() is not None:
            return  # it is being started anyway
        if self.listens is None:
            self._wanted_anew = True
            self._ask_to_leave(self.process)
            return
        if self._successor is not None:
            self._successor.end()
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        try:
            self._successor = _Successor(self._launch(nursery, writer), reader)
        finally:
            os.close(writer)

    @property
    def is_renewing(self) -> bool:
        """Whether a replacement asked for by `renew` is still going on."""
        return self._successor is not None or self._wanted_anew or bool(self._leaving)

    def tend(self, nursery: Nursery | None, say: Callable[[str], None]) -> bool:
        """Start it if it is down, its pause is over and there is a nursery; take replacements further.

        Returns whether it was started.
        """
        changed = self._tend_successor(say)
        self._tend_leaving()
        if self.process is not None and self.process.poll() is not None:
            if self._wanted_anew:
                self._wanted_anew = False
                self._leaving = [(old, end) for old, end in self._leaving if old is not self.process]
            else:
                pause = self._back_off.failed(ran_s=time.monotonic() - self.started)
                say(f"{self.name} ended ({how(self.process.returncode)}); starting it again in {pause:.1f} s")
            self.kill_group()  # its main process may have left children
            self.process = None
        if self.process is None and nursery is not None and self._back_off.is_over():
            self.start(nursery)
            return True
        return changed

    def _tend_successor(self, say: Callable[[str], None]) -> bool:
        successor = self._successor
        if successor is None:
            return False
        if successor.is_ready(self.ready_after):
            if self.process is not None:
                self._ask_to_leave(self.process)
            self.process, self.started, self._successor = successor.process, time.monotonic(), None
            os.close(successor.reader)
            return True
        if (fault := successor.failed()) is not None:
            self.fault = f"the new {self.name} {fault}; the old one goes on"
            say(self.fault)
            successor.end()
            self._successor = None
        return False

    def _ask_to_leave(self, process: Child) -> None:
        process.terminate()
        self._leaving.append((process, time.monotonic() + self.grace_s))

    def _tend_leaving(self) -> None:
        for process, give_up in list(self._leaving):
            if process.poll() is not None or time.monotonic() > give_up:
                _kill_group(process)
                self._leaving.remove((process, give_up))

    def ask_to_stop(self) -> None:
        if self._successor is not None:
            self._successor.end()
            self._successor = None
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def await_stop(self, *, hurry: Callable[[], bool]) -> None:
        """Wait for its end as long as its grace lasts, then kill the group; those that were leaving too."""
        give_up = time.monotonic() + self.grace_s
        going = [*([self.process] if self.process is not None else []), *(process for process, _ in self._leaving)]
        while any(process.poll() is None for process in going):
            if time.monotonic() > give_up or hurry():
                break
            time.sleep(0.02)
        for process in going:
            _kill_group(process)
        self._leaving.clear()
        self.process = None

    def kill_group(self) -> None:
        if self.process is not None:
            _kill_group(self.process)


@dataclass
class _Successor:
    """A web server that is starting beside the one that serves; each of its processes writes a byte when ready."""

    process: Child
    reader: int
    ready: int = 0
    started: float = field(default_factory=time.monotonic)

    def is_ready(self, wanted: int) -> bool:
        with contextlib.suppress(BlockingIOError):
            self.ready += len(os.read(self.reader, 64))
        return self.ready >= wanted and self.process.poll() is None

    def failed(self) -> str | None:
        if self.process.poll() is not None:
            return f"ended ({how(self.process.returncode)}) before it was ready"
        if time.monotonic() - self.started > _READY_WITHIN_S:
            return f"was not ready within {_READY_WITHIN_S:.0f} s"
        return None

    def end(self) -> None:
        _kill_group(self.process)
        os.close(self.reader)


def _kill_group(process: Child) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def how(status: int | None) -> str:
    """A status in words."""
    if status is None:
        return "still running"
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"status {status}"
