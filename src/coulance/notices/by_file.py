"""Mail into a directory instead of to people: one `.eml` file each, to try out sending and look at what would go.

A mail counts as taken once its file has its name. Before that only a part of it is there, under a name that begins
with a dot; so what fails earlier is safe to try again, and the rename stands where SMTP has its lone dot.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

from coulance.notices.errors import UnableToReachServerError
from coulance.notices.terms import Mail
from coulance.notices.transport import Answer, Outcome, Transport


class ByFile:
    """A directory that takes mail; made when it is missing. Files are for their owner alone."""

    def __init__(self, transport: Transport) -> None:
        self._folder = Path(transport.path)
        self._host = transport.host
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as fault:
            raise self._unusable(fault) from fault

    def hand_over(self, mail: Mail, data: bytes, *, before_last: Callable[[], None]) -> Answer:
        """See `transport.Connection`."""
        name = file_name(mail)
        part = self._folder / f".{name}.part"
        try:
            part.touch(mode=0o600)
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as fault:
            raise self._unusable(fault) from fault
        try:
            before_last()
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        try:
            part.rename(self._folder / name)
        except OSError as fault:
            return Answer(Outcome.DEFERRED, f"{name} can't be given its name: {fault.strerror or fault}", self._host)
        return Answer(Outcome.ACCEPTED, f"written to {name}; it went to nobody", self._host)

    def close(self) -> None:
        """See `transport.Connection`."""

    def _unusable(self, fault: OSError) -> UnableToReachServerError:
        return UnableToReachServerError(f"{self._folder} can't take mail: {fault.strerror or fault}")


def file_name(mail: Mail) -> str:
    """What a mail's file is called: its delivery, whom it is for, and its Message-ID, so that no two share one."""
    to = re.sub(r"[^A-Za-z0-9@._-]", "_", mail.envelope_recipient).lstrip(".")[:80]
    own = re.sub(r"[^A-Za-z0-9]", "", mail.header_id.partition("@")[0])[:8]
    return f"{mail.delivery:06d}-{to}-{own}.eml"
