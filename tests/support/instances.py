"""Instances of the product for tests: directories that its database's user can reach, and the command run on them."""

import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from coulance.cli.parts import OPTIONAL
from tests.support import forks
from tests.support.database import ROOT, run_dir

_made = 0


@contextmanager
def new_home() -> Iterator[Path]:
    """A path for an instance that doesn't exist yet, in this run's own directory; removed afterwards."""
    global _made
    _made += 1
    home = run_dir() / f"home-{os.getpid()}-{_made}"
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def ready_home() -> Iterator[Path]:
    """An instance with its database made and migrated, as a copy of one that is made once a run; for tests of what
    comes after that. Its server is not running; its secrets are those of every other copy."""
    with new_home() as home:
        subprocess.run(["cp", "-a", str(_model()), str(home)], check=True)
        yield home


def _model() -> Path:
    """The instance that is copied, made by whoever needs it first."""
    model = run_dir() / "home-model"
    with (run_dir() / "home-model.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not model.exists():
            making = run_dir() / "home-making"
            coulance(making, "migrate")
            give_up = time.monotonic() + 20
            while remains(making):
                assert time.monotonic() < give_up, "its server did not end"
                time.sleep(0.02)
            making.rename(model)
    return model


def environment(home: Path, **extra: str) -> dict[str, str]:
    """What a command of the product should see."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COULANCE_", "DATABASE_URL", "PYTEST_"))}
    return {**kept, "COULANCE_HOME": str(home), **extra}


def coulance(home: Path, *arguments: str, check: bool = True, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    done = forks.run(["-m", "coulance.cli.main", *arguments], environment(home, **extra), timeout=120)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


_MANY = """
import contextlib, io, json, sys
from coulance.cli.main import main
answers = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["coulance", *arguments]
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    answers.append([status, out.getvalue(), err.getvalue()])
print(json.dumps(answers))
"""


def coulance_many(home: Path, *commands: tuple[str, ...], **extra: str) -> list[tuple[int, str, str]]:
    """Run commands one after another in one process, which loads Django once: (status, stdout, stderr) of each."""
    done = forks.run(["-c", _MANY, json.dumps(commands)], environment(home, **extra), timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return [(status, out, err) for status, out, err in json.loads(done.stdout)]


_next_port = 20_000 + os.getpid() % 1_000 * 10


def free_port() -> int:
    """A port of the loopback that nothing listens on, and that nobody else is given while a test has let go of it.

    Below the range from which the system hands out ports: one of those could be another test's a moment later.
    """
    global _next_port
    while True:
        _next_port += 1
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", _next_port))
            except OSError:
                continue
            return _next_port


@dataclass
class Up:
    """A running `coulance up`."""

    home: Path
    port: int
    extra: dict[str, str] = field(default_factory=dict)
    whole: bool = False
    """Every part of it; else only database, web and worker, which start in half the time."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What it has said so far."""
        return self.home.with_suffix(".log")

    def start(self) -> "Up":
        """Start it, without waiting until it serves."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "coulance.cli.main", "up", "--port", str(self.port), *self._parts()],
                env=environment(self.home, **self.extra),
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def _parts(self) -> list[str]:
        return [] if self.whole else [word for part in OPTIONAL for word in ("--without", part)]

    def health(self) -> dict[str, Any]:
        """What /readyz answers; {} when nothing answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as fault:
            with fault:
                return dict(json.load(fault))
        except OSError:
            return {}

    def await_health(self, within_s: float = 30) -> None:
        """Wait until web, database and worker are all well."""
        give_up = time.monotonic() + within_s
        while not (seen := self.health()).get("ok"):
            if time.monotonic() > give_up or self.process is None or self.process.poll() is not None:
                raise AssertionError(f"not healthy within {within_s} s: {seen}\n{self.log.read_text()}")
            time.sleep(0.05)

    def state(self) -> dict[str, int]:
        """Process ids of its parts, as it wrote them down."""
        known = json.loads((self.home / "run" / "supervisor.json").read_text())
        return {key: value for key, value in known.items() if isinstance(value, int)}

    def await_new(self, part: str, before: int, within_s: float = 20) -> int:
        """Wait until a part runs under another process id than before."""
        give_up = time.monotonic() + within_s
        while (now := self.state().get(part, before)) == before:
            if time.monotonic() > give_up:
                raise AssertionError(f"{part} did not come back within {within_s} s\n{self.log.read_text()}")
            time.sleep(0.05)
        return now

    def stop(self, within_s: float = 40) -> int:
        """Stop it as Ctrl-C would, and return its status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=within_s)

    def clean_up(self) -> None:
        """End whatever is left of it."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for process in remains(self.home):
            process.kill()
        self.log.unlink(missing_ok=True)


def remains(home: Path) -> list[psutil.Process]:
    """Processes that work for this instance: its environment or its working directory says so."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get("COULANCE_HOME") == str(home) or process.cwd().startswith(str(home)):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found
