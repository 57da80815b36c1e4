"""Runs an instance: the embedded database, the web server and the worker, under one process that owns them.

The rules:

- The parts are forked from a nursery (`nursery`), a process that has loaded what they need. It is a program of its own,
  so that a new version is loaded without anything of the old one; the supervisor itself loads next to nothing.
- Any part that ends is started again, at once the first time and then with a growing pause; the database first. The
  nursery's end ends the parts, and all are started again.
- The parts end with the supervisor, however it ends. Asked to stop, it ends web, worker and database in that order,
  each with time to finish. Killed, the kernel tells each part (`PR_SET_PDEATHSIG`): nothing keeps the port or the data.
- The worker exits cleanly when it loses the database and can also hang on a dead connection, so besides its exit the
  supervisor watches its heartbeat.
- One supervisor an instance: it holds a lock on `<home>/run/supervisor.lock`.
- The supervisor owns the socket that the web server serves. So connections wait in its queue while a web server that
  died comes back; and on SIGUSR1 (`coulance reload`) a new nursery is started, from it a new web server beside the old
  one on the same socket, and the old one is asked to finish only when the new one is ready. What doesn't get ready is
  ended, and the old one stays.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psycopg

from coulance.platform.instance import Instance
from coulance.platform.nursery import Nursery, UnableToStartPartError
from coulance.platform.parts import BackOff, Part, how
from coulance.platform.postgres import EmbeddedPostgres, UnableToStartError

_WATCH_EVERY_S = 5.0
_SILENT_FOR_S = 60
"""A worker whose heart has not beaten for so long hangs."""
_LOADED_WITHIN_S = 60.0
_BACKLOG = 1024


class UnableToSuperviseError(RuntimeError):
    """The instance can't be run now: another supervisor has it, or the port is taken."""


@contextlib.contextmanager
def sole_owner(here: Instance) -> Iterator[None]:
    """Hold the instance's supervisor lock. Raises UnableToSuperviseError when another process has it."""
    lock = os.open(here.run_dir / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            known = state(here)
            who = f"process {known['pid']} at {known['address']}" if known else "another process"
            raise UnableToSuperviseError(
                f"Coulance is already running in {here.home} ({who}); stop that one first"
                + (f": kill {known['pid']}" if known else "")
            ) from None
        try:
            yield
        finally:
            _state_file(here).unlink(missing_ok=True)
    finally:
        os.close(lock)


def _state_file(here: Instance) -> Path:
    return here.run_dir / "supervisor.json"


def state(here: Instance) -> dict[str, str] | None:
    """What the running supervisor wrote about itself (pid, address, pids of its parts), or None if none is running."""
    try:
        known = json.loads(_state_file(here).read_text())
        with (here.run_dir / "supervisor.lock").open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return {str(key): str(value) for key, value in known.items()}
    except (OSError, ValueError):
        return None
    return None  # the lock was free: that supervisor was killed before it could clean up


def listen(host: str, port: int) -> socket.socket:
    """The socket that the web server will serve, listening; connections wait in it until there is one.

    Raises UnableToSuperviseError when something else listens there, or the address isn't ours.
    """
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(where)
            listening.listen(_BACKLOG)
        except OSError:
            listening.close()
            raise
    except OSError as fault:
        raise UnableToSuperviseError(
            f"can't listen on {host} port {port}: {fault.strerror or fault}; choose another with --host or --port"
        ) from fault
    # A process that accepts must not wait for a connection that another has taken.
    listening.setblocking(False)
    return listening


def require_free_port(host: str, port: int) -> None:
    """Raise UnableToSuperviseError when something else listens there, or the address isn't ours."""
    listen(host, port).close()


def ask_to_reload(here: Instance) -> int:
    """Ask the running supervisor to run web and worker anew; returns how many times it had done so before.

    Raises UnableToSuperviseError when none is running.
    """
    known = state(here)
    if known is None:
        raise UnableToSuperviseError(f"Coulance is not running in {here.home}: coulance up starts it")
    os.kill(int(known["pid"]), signal.SIGUSR1)
    return int(known.get("reloads", 0))


@dataclass
class Supervisor:
    """Keeps the parts of one instance running until told to stop. `run()` blocks; call it from the main thread."""

    here: Instance
    address: str
    database: EmbeddedPostgres | None
    load: Callable[[], Nursery]
    """Starts a nursery of what is installed now."""
    nursery: Nursery
    """The first one, which may still be loading."""
    first: Sequence[str]
    """What it runs to its end before any part is started."""
    parts: Sequence[Part]
    say: Callable[[str], None]
    _signals: int = 0
    _database_down: BackOff = field(default_factory=BackOff)
    _database_started: float = 0.0
    _nursery_down: BackOff = field(default_factory=BackOff)
    _nursery_is_down: bool = False
    _next: Nursery | None = None
    _before: list[Nursery] = field(default_factory=list)
    """Nurseries that go when the last part of theirs has gone."""
    _watched: float = 0.0
    _sleeper: int = -1
    _reload_asked: bool = False
    _reloading: bool = False
    _reload_fault: str = ""
    _reloads: int = 0

    def run(self, *, on_start: Callable[[], None]) -> None:
        """Start all parts and tend them until SIGINT, SIGTERM or SIGHUP; then stop them. A second signal hurries.

        SIGUSR1 has web and worker run anew: see `Part.renew`. Raises UnableToSuperviseError when nothing can be loaded,
        or what is to be run first fails; they have said why.
        """
        wake, self._sleeper = os.pipe()
        os.set_blocking(self._sleeper, False)
        before = {
            number: signal.signal(number, self._told) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, self._told)
        try:
            self._database_started = time.monotonic()
            self._begin(wake)
            if not self._signals:
                self._tend()
                self._write_state()
                on_start()
            while not self._signals:
                if self._tend():
                    self._write_state()
                _sleep_until_woken(wake, 0.1)
            self.say("stopping: finishing requests and jobs (once more to hurry)")
        finally:
            for part in self.parts:
                part.ask_to_stop()
            for part in self.parts:
                part.await_stop(hurry=lambda: self._signals > 1)
            for nursery in [self.nursery, *self._before, *([self._next] if self._next else [])]:
                nursery.end()
            if self.database is not None:
                self.database.stop()
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(wake)
            os.close(self._sleeper)

    def _begin(self, wake: int) -> None:
        """Wait until the nursery has loaded, and have it run what comes first."""
        while not self._signals and not self.nursery.is_ready():
            if (fault := self._unloaded(self.nursery)) is not None:
                raise UnableToSuperviseError(f"can't load what is to run, as said above: it {fault}")
            _sleep_until_woken(wake, 0.02)
        if self._signals:
            return
        running = self.nursery.start(self.first, {})
        while (status := running.poll()) is None and not self._signals:
            _sleep_until_woken(wake, 0.02)
        if status:
            raise UnableToSuperviseError(f"can't begin, as said above ({how(status)})")

    def _unloaded(self, nursery: Nursery) -> str | None:
        if nursery.has_ended():
            nursery.end()
            return f"ended ({how(nursery.process.returncode)}) before it was ready"
        if time.monotonic() - nursery.began > _LOADED_WITHIN_S:
            nursery.end()
            return f"was not ready within {_LOADED_WITHIN_S:.0f} s"
        return None

    def _told(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's signature
        if number == signal.SIGUSR1:
            self._reload_asked = True
        else:
            self._signals += 1
        with contextlib.suppress(OSError):
            os.write(self._sleeper, b"!")

    def _tend(self) -> bool:
        changed = self._tend_database()
        changed |= self._tend_nursery()
        changed |= self._tend_reload()
        ready = self.nursery if self.nursery.is_ready() else None
        for part in self.parts:
            with contextlib.suppress(UnableToStartPartError):  # the nursery has gone, and is tended next time
                changed |= part.tend(ready, self.say)
        if time.monotonic() - self._watched > _WATCH_EVERY_S:
            self._watched = time.monotonic()
            self._watch_worker()
        return changed

    def _tend_nursery(self) -> bool:
        """Replace a nursery that ended; its parts ended with it."""
        for nursery in [old for old in self._before if old.is_empty()]:
            self._before.remove(nursery)
            nursery.end()
        if not self.nursery.has_ended():
            return False
        if not self._nursery_is_down:
            self.nursery.end()
            pause = self._nursery_down.failed(ran_s=time.monotonic() - self.nursery.began)
            self.say(
                f"the nursery ended ({how(self.nursery.process.returncode)}); starting it and its parts again in "
                f"{pause:.1f} s"
            )
            self._nursery_is_down = True
        if not self._nursery_down.is_over():
            return False
        self._nursery_is_down = False
        self.nursery = self.load()
        return True

    def _tend_reload(self) -> bool:
        if self._reload_asked and not self._reloading:
            self._reload_asked = False
            self._reloading = True
            self._reload_fault = ""
            for part in self.parts:
                part.fault = ""
            self.say("running web and worker anew")
            self._next = self.load()
        if self._next is not None:
            if self._next.is_ready():
                self._before.append(self.nursery)
                self.nursery, self._next = self._next, None
                for part in self.parts:
                    with contextlib.suppress(UnableToStartPartError):
                        part.renew(self.nursery)
                return True
            if (fault := self._unloaded(self._next)) is not None:
                self._next = None
                self._reload_fault = f"the new version {fault}; the old one goes on"
                self.say(self._reload_fault)
            else:
                return False
        if self._reloading and not any(part.is_renewing for part in self.parts):
            self._reloading = False
            self._reloads += 1
            if not self._faults():
                self.say("web and worker run anew")
            return True
        return False

    def _faults(self) -> str:
        return " ".join(fault for fault in (self._reload_fault, *(part.fault for part in self.parts)) if fault)

    def _tend_database(self) -> bool:
        if self.database is None or self.database.is_running():
            return False
        if self._database_started:
            pause = self._database_down.failed(ran_s=time.monotonic() - self._database_started)
            self.say(f"the database ended; starting it again in {pause:.1f} s")
            self._database_started = 0.0
        if not self._database_down.is_over():
            return False
        self._database_started = time.monotonic()
        try:
            self.database.start()
        except UnableToStartError as fault:
            self.say(f"the database doesn't start: {fault}")
            return False
        self.say("the database is back")
        return True

    def _watch_worker(self) -> None:
        """Kill a worker whose heartbeat stopped although the database answers: it hangs, and will be started again."""
        for part in self.parts:
            running = part.process is not None and part.process.poll() is None
            if part.name != "worker" or not running or time.monotonic() - part.started < _SILENT_FOR_S:
                continue
            age = self._heartbeat_age_s()
            if age is not None and age > _SILENT_FOR_S:
                self.say(f"the worker's heart has not beaten for {age:.0f} s; ending it")
                part.kill_group()

    def _heartbeat_age_s(self) -> float | None:
        where = self.here.database_settings()
        try:
            with psycopg.connect(
                host=where["HOST"],
                port=where["PORT"],
                user=where["USER"],
                password=where["PASSWORD"],
                dbname=where["NAME"],
                connect_timeout=2,
                **{k: v for k, v in where["OPTIONS"].items() if k.startswith("ssl")},
            ) as connection:
                row = connection.execute(
                    "SELECT extract(epoch FROM now() - max(last_heartbeat))::float8 FROM procrastinate_workers"
                ).fetchone()
        except psycopg.Error:
            return None
        return float(row[0]) if row and row[0] is not None else None

    def _write_state(self) -> None:
        known: dict[str, object] = {"pid": os.getpid(), "address": self.address, "nursery": self.nursery.process.pid}
        if self.database is not None:
            known["database"] = self.database.pid
        for part in self.parts:
            known[part.name] = part.process.pid if part.process else None
        known["reloads"] = self._reloads
        known["reload_fault"] = self._faults()
        draft = _state_file(self.here).with_suffix(".new")
        draft.write_text(json.dumps(known) + "\n")
        draft.replace(_state_file(self.here))


def _sleep_until_woken(wake: int, at_most_s: float) -> None:
    ready, _, _ = select.select([wake], [], [], at_most_s)
    if ready:
        os.read(wake, 64)
