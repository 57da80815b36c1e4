"""The desk's Maildir: what is new there is taken, then moved to what was read, as mail programs do; nothing is deleted.

A mail came at the latest when its file was written.
"""

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from coulance.contracts.mail_reading import MOST_BYTES, MOST_HEADER_BYTES
from coulance.flows.contracts import mailing
from coulance.flows.contracts.mailing import UnableToTakeError
from coulance.platform import alarms

__all__ = ["UnableToTakeError", "take_all"]
ALARM = "tickets.maildir"
MOST = 500
_log = logging.getLogger(__name__)


def take_all(where: Path, *, clock: Callable[[], datetime]) -> int:
    """Take new mail of a Maildir, at most 500 at once, each on its own; how many were taken.

    A mail is moved once it is written down: killed in between, it is known by its key. One that can't be taken stays,
    and raises an alarm. Raises `UnableToTakeError` where there is no Maildir, or no terms for mail.
    """
    new, read = where / "new", where / "cur"
    if not new.is_dir() or not read.is_dir():
        raise UnableToTakeError(f"{where} is no Maildir: it has no new and cur")
    mailing.terms()
    taken, stuck = 0, ""
    for path in sorted(p for p in new.iterdir() if p.is_file() and not p.is_symlink())[:MOST]:
        try:
            with path.open("rb") as file:
                raw = file.read(MOST_BYTES + MOST_HEADER_BYTES)
                lay = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
            mailing.take(raw=raw, source="maildir", at=clock(), handed_at=lay)
            path.rename(read / f"{path.name}:2,S")
            taken += 1
        except Exception as fault:  # the others go on; a person is told
            _log.exception("%s", path.name)
            stuck = f"{path.name}: {fault}"
    if stuck:
        alarms.raise_alarm(key=ALARM, severity="warning", what=f"A mail can't be taken: {stuck[:300]}", at=clock())
    else:
        alarms.clear_alarm(key=ALARM, at=clock())
    return taken
