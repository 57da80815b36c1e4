"""Runs an instance: the embedded database, the web server and the worker, under one process that owns them.

The rules:

- Any part that ends is started again, at once the first time and then with a growing pause; the database first.
- The parts end with the supervisor, however it ends. Asked to stop, it ends web, worker and database in that order,
  each with time to finish. Killed, the kernel tells each part (`PR_SET_PDEATHSIG`): nothing keeps the port or the data.
- The worker exits cleanly when it loses the database and can also hang on a dead connection, so besides its exit the
  supervisor watches its heartbeat.
- One supervisor an instance: it holds a lock on `<home>/run/supervisor.lock`.
- The supervisor owns the socket that the web server serves. So connections wait in its queue while a web server that
  died comes back; and on SIGUSR1 (`coulance reload`) a new web server is started beside the old one on the same socket,
  and the old one is asked to finish only when the new one is ready. One that doesn't get ready is ended, and the old
  one stays.
"""

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psycopg

from coulance.platform.heartbeat import LATE_AFTER_S
from coulance.platform.instance import Instance
from coulance.platform.layout import make_private
from coulance.platform.parent import die_with_parent
from coulance.platform.postgres import EmbeddedPostgres, UnableToStartError

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 15.0
_SOUND_AFTER_S = 30.0
"""A part that ran this long is sound again: its next failure is met with the first pause."""
_WATCH_EVERY_S = 5.0
_READY_WITHIN_S = 60.0
_BACKLOG = 1024

LISTEN_VARIABLE = "COULANCE_LISTEN_FD"
"""Tells the web server which descriptor it serves."""
READY_VARIABLE = "COULANCE_READY_FD"
"""Tells its processes where to write a byte each when they are ready."""


class UnableToSuperviseError(RuntimeError):
    """The instance can't be run now: another supervisor has it, or the port is taken."""


@dataclass
class _BackOff:
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
    command: Sequence[str]
    environment: dict[str, str]
    grace_s: float = 30.0
    listens: int | None = None
    """The listening socket that it serves. Such a part can be replaced while it runs; another is restarted."""
    ready_after: int = 1
    """How many of its processes say that they are ready."""
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    fault: str = ""
    """Why the last replacement failed; empty when it didn't."""
    _back_off: _BackOff = field(default_factory=_BackOff)
    _successor: "_Successor | None" = None
    _leaving: list[tuple[subprocess.Popen[bytes], float]] = field(default_factory=list)
    """Processes that were asked to finish, and when each is killed."""
    _wanted_anew: bool = False

    def start(self) -> None:
        self.started = time.monotonic()
        self.process = self._launch(self.environment, ())

    def _launch(self, environment: dict[str, str], descriptors: tuple[int, ...]) -> subprocess.Popen[bytes]:
        if self.listens is not None:
            environment = {**environment, LISTEN_VARIABLE: str(self.listens)}
            descriptors = (*descriptors, self.listens)
        return subprocess.Popen(
            self.command,
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=descriptors,
            # At once: finishing would mean waiting for a database that goes too, and keeping the port from the next
            # one. What was not committed was not acknowledged, and jobs are idempotent.
            preexec_fn=die_with_parent(os.getpid(), signal.SIGKILL),
        )

    def renew(self) -> None:
        """Run it anew from what is installed now: one that serves a socket overlaps with its successor."""
        self.fault = ""
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
        environment = {**self.environment, READY_VARIABLE: str(writer)}
        self._successor = _Successor(self._launch(environment, (writer,)), reader)
        os.close(writer)

    @property
    def is_renewing(self) -> bool:
        """Whether a replacement asked for by `renew` is still going on."""
        return self._successor is not None or self._wanted_anew or bool(self._leaving)

    def tend(self, say: Callable[[str], None]) -> bool:
        """Start it if it is down and its pause is over; take replacements further. Returns whether it was started."""
        changed = self._tend_successor(say)
        self._tend_leaving()
        if self.process is not None and self.process.poll() is not None:
            if self._wanted_anew:
                self._wanted_anew = False
                self._leaving = [(old, end) for old, end in self._leaving if old is not self.process]
            else:
                pause = self._back_off.failed(ran_s=time.monotonic() - self.started)
                say(f"{self.name} ended ({_how(self.process.returncode)}); starting it again in {pause:.1f} s")
            self.kill_group()  # its main process may have left children
            self.process = None
        if self.process is None and self._back_off.is_over():
            self.start()
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

    def _ask_to_leave(self, process: subprocess.Popen[bytes]) -> None:
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

    process: subprocess.Popen[bytes]
    reader: int
    ready: int = 0
    started: float = field(default_factory=time.monotonic)

    def is_ready(self, wanted: int) -> bool:
        with contextlib.suppress(BlockingIOError):
            self.ready += len(os.read(self.reader, 64))
        return self.ready >= wanted and self.process.poll() is None

    def failed(self) -> str | None:
        if self.process.poll() is not None:
            return f"ended ({_how(self.process.returncode)}) before it was ready"
        if time.monotonic() - self.started > _READY_WITHIN_S:
            return f"was not ready within {_READY_WITHIN_S:.0f} s"
        return None

    def end(self) -> None:
        _kill_group(self.process)
        os.close(self.reader)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _how(status: int) -> str:
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"status {status}"


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
    parts: Sequence[Part]
    say: Callable[[str], None]
    _signals: int = 0
    _database_down: _BackOff = field(default_factory=_BackOff)
    _database_started: float = 0.0
    _watched: float = 0.0
    _sleeper: int = -1
    _reload_asked: bool = False
    _reloading: bool = False
    _reloads: int = 0

    def run(self, *, on_start: Callable[[], None]) -> None:
        """Start all parts and tend them until SIGINT, SIGTERM or SIGHUP; then stop them. A second signal hurries.

        SIGUSR1 has web and worker run anew: see `Part.renew`.
        """
        wake, self._sleeper = os.pipe()
        os.set_blocking(self._sleeper, False)
        before = {
            number: signal.signal(number, self._told) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, self._told)
        try:
            self._database_started = time.monotonic()
            for part in self.parts:
                part.start()
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
            if self.database is not None:
                self.database.stop()
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(wake)
            os.close(self._sleeper)

    def _told(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's signature
        if number == signal.SIGUSR1:
            self._reload_asked = True
        else:
            self._signals += 1
        with contextlib.suppress(OSError):
            os.write(self._sleeper, b"!")

    def _tend(self) -> bool:
        changed = self._tend_database()
        if self._reload_asked:
            self._reload_asked = False
            self._reloading = True
            self.say("running web and worker anew")
            for part in self.parts:
                part.renew()
        for part in self.parts:
            changed |= part.tend(self.say)
        if self._reloading and not any(part.is_renewing for part in self.parts):
            self._reloading = False
            self._reloads += 1
            changed = True
            if not any(part.fault for part in self.parts):
                self.say("web and worker run anew")
        if time.monotonic() - self._watched > _WATCH_EVERY_S:
            self._watched = time.monotonic()
            self._watch_worker()
        return changed

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
            if part.name != "worker" or not running or time.monotonic() - part.started < 2 * LATE_AFTER_S:
                continue
            age = self._heartbeat_age_s()
            if age is not None and age > 2 * LATE_AFTER_S:
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
        known: dict[str, object] = {"pid": os.getpid(), "address": self.address}
        if self.database is not None:
            known["database"] = self.database.pid
        for part in self.parts:
            known[part.name] = part.process.pid if part.process else None
        known["reloads"] = self._reloads
        known["reload_fault"] = " ".join(part.fault for part in self.parts if part.fault)
        draft = _state_file(self.here).with_suffix(".new")
        draft.write_text(json.dumps(known) + "\n")
        draft.replace(_state_file(self.here))


def _sleep_until_woken(wake: int, at_most_s: float) -> None:
    ready, _, _ = select.select([wake], [], [], at_most_s)
    if ready:
        os.read(wake, 64)


OPTIONAL = ("collectors", "enforcement", "watcher")
"""Parts that another machine may run as well, or that a provider has no use for."""


def instance_parts(
    *,
    here: Instance,
    host: str,
    port: int,
    workers: int,
    threads: int,
    collect: int | None = None,
    listening: socket.socket | None = None,
    without: Collection[str] = (),
) -> list[Part]:
    """The web server, the worker, collectors, the executor of restrictions and the watcher, as programs of this Python.

    They find the instance by themselves.

    With `collect` (seconds) the local collector runs beside them; parts named in `without` (of `OPTIONAL`) run
    elsewhere or not at all. The web server serves `listening`, or where a system
    can't hand that on, the address.
    """
    environment = {**os.environ, "COULANCE_SUPERVISED": "1", "PYTHONUNBUFFERED": "1"}
    counts = here.run_dir / "metrics"
    shutil.rmtree(counts, ignore_errors=True)  # each process adds to files of its own, which outlive it
    make_private(counts)
    web = [sys.executable, "-m", "coulance.platform.web_server", host, str(port), str(workers), str(threads)]
    worker = [sys.executable, "-m", "coulance.platform.worker"]
    parts = [
        Part(
            "web",
            web,
            {**environment, "PROMETHEUS_MULTIPROC_DIR": str(counts)},
            listens=listening.fileno() if listening is not None else None,
            ready_after=workers,
        ),
        Part("worker", worker, environment),
    ]
    asking = [sys.executable, "-m", "coulance.cli.main", "collectors", "run"]
    parts.append(Part("collectors", asking, environment))
    # Also without drivers: what waits must be found done, and a driver that is applied later works at once.
    executing = [sys.executable, "-m", "coulance.cli.main", "enforce", "run"]
    parts.append(Part("enforcement", executing, environment))
    parts.append(Part("watcher", [sys.executable, "-m", "coulance.cli.main", "watch", "run"], environment))
    if collect is not None:
        collector = [sys.executable, "-m", "coulance.cli.main", "collect", "--every", str(collect)]
        parts.append(Part("collector", collector, environment))
    return [part for part in parts if part.name not in without]
