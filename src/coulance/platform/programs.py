"""Programs that aren't ours, run by their arguments: no shell, an environment of their own, an end to their time.

What they write goes to files, not pipes: a program that writes without end fills no memory of ours. When its time is
over, or ours, a program is killed with all that it started.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FAULT = 4000


class ProgramError(Exception):
    """A program that couldn't be run, did not end in time, or wrote more than it may. `str()` doesn't name it."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended: its status, what it wrote, and the beginning of what it complained of."""

    status: int
    told: bytes
    fault: str


def run(
    command: Sequence[str],
    *,
    timeout_s: float,
    largest: int,
    environment: Mapping[str, str] | None = None,
    given: bytes = b"",
) -> Ran:
    """Run `command`, with `given` on its standard input.

    Its environment is PATH, LANG and `environment`: nothing of ours leaks into it. `largest` is how many bytes it may
    write to its standard output. Raises `ProgramError`; a status other than 0 is the caller's to judge.
    """
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        asked.write(given)
        asked.seek(0)
        try:
            process = subprocess.Popen(
                list(command),
                stdin=asked,
                stdout=out,
                stderr=err,
                env={"PATH": _PATH, "LANG": "C.UTF-8", **(environment or {})},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise ProgramError(f"can't be run: {error}") from error
        try:
            status = process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ProgramError(f"did not end within {timeout_s:g} s") from error
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        out.seek(0)
        err.seek(0)
        told, fault = out.read(largest + 1), err.read(_FAULT).decode(errors="replace")
    if not status and len(told) > largest:
        raise ProgramError(f"wrote more than {largest} bytes")
    return Ran(status, told, fault)
