"""A program of the provider's own on this machine: JSON in, JSON out, no shell.

It gets `{"do": "read", "service", "identity", "parameters"}` on standard input and writes `{"identity", "state"}`; or
`{"do": "write", ..., "desired", "key"}`, and whatever it writes then is kept as evidence. `desired` and `state` are
`{"paused", "rate_bps", "blackholed"}`. It ends 0, or nothing is believed and its standard error says why.

Its environment holds PATH, LANG and, where the driver names a secret, COULANCE_DRIVER_SECRET: nothing of ours leaks
into it. When its time is over it is killed with all that it started.
"""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from coulance.drivers.webhook import observed
from coulance.enforcement.ports import DriverError, Observed, TargetRow
from coulance_core.enforcement.restrictions import Desired

_LARGEST = 64 * 1024


class Command:
    """One program with its arguments. `secret` gives what it signs in with, if it needs anything."""

    def __init__(
        self, command: Sequence[str], *, secret: Callable[[], str] | None = None, timeout_s: float = 5.0
    ) -> None:
        self._command, self._secret, self._timeout = list(command), secret, timeout_s

    def nearest(self, desired: Desired) -> Desired:
        """Whatever is asked: the program says in its state what it can hold."""
        return desired

    def read(self, target: TargetRow) -> Observed:
        """What the program says holds, and for whom."""
        return observed(self._run({"do": "read", **_asked(target)}), self._command[0])

    def write(self, target: TargetRow, desired: Desired, *, key: str) -> str:
        """Tell it what should hold."""
        told = self._run({"do": "write", **_asked(target), "desired": desired.to_json(), "key": key})
        return f"{key}: {told[:1000].decode(errors='replace')}".strip()

    def _run(self, held: dict[str, Any]) -> bytes:
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
        if self._secret is not None:
            environment["COULANCE_DRIVER_SECRET"] = self._secret()
        # Files rather than pipes: a program that writes without end fills no memory of ours.
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(json.dumps(held).encode())
            given.seek(0)
            try:
                process = subprocess.Popen(
                    self._command,
                    stdin=given,
                    stdout=out,
                    stderr=err,
                    env=environment,
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as error:
                raise DriverError(f"{self._command[0]} can't be run: {error}") from error
            try:
                status = process.wait(self._timeout)
            except subprocess.TimeoutExpired as error:
                raise DriverError(f"{self._command[0]} did not end within {self._timeout:g} s") from error
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            out.seek(0)
            err.seek(0)
            told, fault = out.read(_LARGEST + 1), err.read(500).decode(errors="replace").strip()
        if status:
            raise DriverError(f"{self._command[0]} ended with status {status}: {fault or 'it said nothing'}")
        if len(told) > _LARGEST:
            raise DriverError(f"{self._command[0]} wrote more than {_LARGEST} bytes")
        return told


def _asked(target: TargetRow) -> dict[str, Any]:
    return {"service": target.service, "identity": target.identity, "parameters": dict(target.parameters)}
