"""A program of the provider's own on this machine: JSON in, JSON out, no shell.

It gets `{"do": "read", "service", "identity", "parameters"}` on standard input and writes `{"identity", "state"}`; or
`{"do": "write", ..., "desired", "key"}`, and whatever it writes then is kept as evidence. `desired` and `state` are
`{"paused", "rate_bps", "blackholed"}`. It ends 0, or nothing is believed and its standard error says why.

Its environment holds PATH, LANG and, where the driver names a secret, COULANCE_DRIVER_SECRET: nothing of ours leaks
into it. When its time is over it is killed with all that it started.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from coulance.drivers.webhook import observed
from coulance.enforcement.ports import DriverError, Observed, TargetRow
from coulance.platform import programs
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
        environment = {"COULANCE_DRIVER_SECRET": self._secret()} if self._secret is not None else {}
        name = self._command[0]
        try:
            ran = programs.run(
                self._command,
                timeout_s=self._timeout,
                largest=_LARGEST,
                environment=environment,
                given=json.dumps(held).encode(),
            )
        except programs.ProgramError as error:
            raise DriverError(f"{name} {error}") from error
        if ran.status:
            raise DriverError(f"{name} ended with status {ran.status}: {ran.fault[:500].strip() or 'it said nothing'}")
        return ran.told


def _asked(target: TargetRow) -> dict[str, Any]:
    return {"service": target.service, "identity": target.identity, "parameters": dict(target.parameters)}
