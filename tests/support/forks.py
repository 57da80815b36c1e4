"""Commands in processes of their own that need not load everything anew: forks of one that has, as `up` has (ADR 27).

Loading takes half a second of processor time, and more in a crasher; a run starts a hundred commands. Such a process
has its own environment, arguments, streams, status and memory, and reads its settings itself. How a command starts from
nothing is proven where that is the point: tests/house/test_start.py, test_ordinary_user.py and
test_commands_together.py in tests/platform, and every test of `up`.

`python -m tests.support.forks` is the process that is forked; one a worker, started by whoever needs it first.
"""

import atexit
import contextlib
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from coulance.platform import nursery
from coulance.platform.nursery import Child, Nursery
from tests.support.database import ROOT

_ASKED, _OUT, _ERR = "FORKS_ASKED", "FORKS_OUT", "FORKS_ERR"
_nursery: Nursery | None = None


# In the test


def run(words: Sequence[str], environment: Mapping[str, str], *, timeout: float) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run([sys.executable, *words], ...)` would answer; the words begin with `-m MODULE` or `-c CODE`.

    Its input is empty, its directory the project's. From a thread it is a plain process: a fork would die with that.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return subprocess.run(
            [sys.executable, *words], env=dict(environment), cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, timeout=timeout,
        )  # fmt: skip
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = _start(words, environment, out.fileno(), err.fileno())
        give_up = time.monotonic() + timeout
        while child.poll() is None:
            if time.monotonic() > give_up:
                os.kill(child.pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(list(words), timeout, _text(out), _text(err))
            _loaded().read(wait_s=1.0)
        assert child.returncode is not None
        return subprocess.CompletedProcess(list(words), child.returncode, _text(out), _text(err))


class Running:
    """A fork at work, as much of `subprocess.Popen` as tests use; what it says can be read while it works."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        reading, writing = os.pipe()
        self.stdout = os.fdopen(reading)
        self._err = tempfile.TemporaryFile()  # noqa: SIM115 - `end` closes it
        try:
            self._child = _start(words, environment, writing, self._err.fileno())
        finally:
            os.close(writing)
        self.pid = self._child.pid
        self.poll = self._child.poll

    def wait(self, timeout: float) -> int:
        """Its status, within so many seconds."""
        give_up = time.monotonic() + timeout
        while (status := self.poll()) is None:
            assert time.monotonic() < give_up, "it does not end"
            _loaded().read(wait_s=0.1)
        return status

    def send_signal(self, number: int) -> None:
        """Send it while it lives."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def end(self) -> str:
        """Kill it if it lives; what it wrote to stderr."""
        if self.stdout.closed:
            return ""
        self.send_signal(signal.SIGKILL)
        self.wait(10)
        said = _text(self._err)
        self.stdout.close()
        self._err.close()
        return said


def _start(words: Sequence[str], environment: Mapping[str, str], out: int, err: int) -> Child:
    asked = json.dumps({"words": list(words), "environment": dict(environment)})
    return _loaded().start(["test-command"], {_ASKED: asked, _OUT: "fd:0", _ERR: "fd:1"}, [out, err])


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _loaded() -> Nursery:
    global _nursery
    if _nursery is None or _nursery.has_ended():
        if _nursery is not None:
            _nursery.end()
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("COULANCE_", "DATABASE_URL", "PYTEST_"))}
        _nursery = Nursery(
            [sys.executable, "-m", "tests.support.forks"],
            {
                **kept,
                "COULANCE_HOME": os.environ["COULANCE_HOME"],
                "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
                # A process with threads can't be forked safely: not numpy's, not pyarrow's.
                "OPENBLAS_NUM_THREADS": "1",
                "JE_ARROW_MALLOC_CONF": "background_thread:false",
            },
        )
        give_up = time.monotonic() + 120
        while not _nursery.is_ready():
            assert not _nursery.has_ended(), "what is to be forked could not load"
            assert time.monotonic() < give_up, "what is to be forked does not load"
            _nursery.read(wait_s=1.0)
    return _nursery


def end() -> None:
    """Let it go. Called once, as the worker ends."""
    global _nursery
    if _nursery is not None:
        _nursery.end()
        _nursery = None


# In the process that is forked, and in its forks

_status = 0
_forked = False


def _leave() -> None:
    """The last thing that runs at exit: Python would now take down, one by one, all that was loaded."""
    if _forked:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(_status)


def _load() -> None:
    import numpy as np  # noqa: F401

    from coulance.cli import parts
    from coulance.cli.main import COMMANDS
    from tests.support import crashing  # noqa: F401

    os.environ["DJANGO_SETTINGS_MODULE"] = "coulance.config.settings"
    parts._load_all()
    for entry in COMMANDS.values():
        entry.load()
    from coulance.flows.closing import close_period  # noqa: F401

    assert len(list(Path("/proc/self/task").iterdir())) == 1, "something that was loaded has started a thread"


def _forget_settings() -> None:
    """Settings are read anew at their next use, from this process's environment."""
    from django.conf import empty, settings
    from django.core.cache import caches
    from django.db import connections

    sys.modules.pop("coulance.config.settings", None)
    settings._wrapped = empty
    handler: Any
    for handler in (connections, caches):
        vars(handler).pop("settings", None)
        handler._settings = None
        with contextlib.suppress(AttributeError):
            del handler["default"]  # made while loading, never connected


def _become(words: Sequence[str]) -> None:
    how, what, *arguments = words
    if how == "-c":
        sys.argv = ["-c", *arguments]
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    else:
        assert how == "-m", words
        sys.modules.pop(what, None)
        sys.argv = [what, *arguments]
        runpy.run_module(what, run_name="__main__", alter_sys=True)


def _serve() -> None:
    global _status, _forked
    atexit.register(_leave)  # before whatever is loaded registers: the first registered runs last
    gc.disable()  # the nursery freezes what is loaded
    _load()
    nursery.serve()
    gc.enable()
    _forked = True
    asked: dict[str, Any] = json.loads(os.environ.pop(_ASKED))
    for number, name in ((1, _OUT), (2, _ERR)):
        given = int(os.environ.pop(name))
        os.dup2(given, number)
        os.close(given)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(ROOT)
    _forget_settings()
    try:
        _become(asked["words"])
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
            _status = 1
        else:
            _status = end.code or 0
    except BaseException:
        traceback.print_exc()
        _status = 1


if __name__ == "__main__":
    _serve()
