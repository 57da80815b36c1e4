"""A driver whose network is files, so that it outlives a process; it can kill its process at a given step."""

import json
import os
import signal
from pathlib import Path

from coulance.enforcement.ports import Observed, TargetRow
from coulance_core.enforcement.restrictions import FREE, Desired


class Wire:
    """`where` holds a file a service in state/, and a log of every write. `die_at`: read, write, written or proof."""

    def __init__(self, where: str, die_at: str = "") -> None:
        self.where, self.die_at = Path(where), die_at
        self.written = False

    def _step(self, name: str) -> None:
        if name == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def nearest(self, desired: Desired) -> Desired:
        return desired

    def read(self, target: TargetRow) -> Observed:
        self._step("proof" if self.written else "read")
        path = self.where / "state" / target.service
        held = Desired.from_json(json.loads(path.read_text())) if path.exists() else FREE
        return Observed(target.identity, held, f"file says {held.words}")

    def write(self, target: TargetRow, desired: Desired, *, key: str) -> str:
        self._step("write")
        path = self.where / "state" / target.service
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(desired.to_json()))
        with (self.where / "log").open("a") as log:
            log.write(json.dumps([target.service, desired.to_json(), key]) + "\n")
        draft.replace(path)
        self._step("written")
        self.written = True
        return "written"
