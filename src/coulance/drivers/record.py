"""Nothing is done: the record of acts says what should hold and since when, for a person to do, or to try out.

What "holds" is what was recorded last, so that the record is its own memory, also over restarts.
"""

from collections.abc import Sequence

from coulance.enforcement.ports import DriverError, Observed, Reader, TargetRow
from coulance_core.enforcement.restrictions import FREE, Desired


class RecordOnly:
    """Takes everything and does nothing."""

    def __init__(self) -> None:
        self._written: dict[int, Desired] = {}
        """Between writing and reading again, by the row that is being worked on."""

    def nearest(self, desired: Desired) -> Desired:
        """Paper holds everything."""
        return desired

    def read(self, target: TargetRow) -> Observed:
        """What was recorded last."""
        written = self._written.pop(id(target), None)
        state = written if written is not None else target.last or FREE
        return Observed(target.identity, state, f"on record only: {state.words}")

    def look(self) -> Reader:
        """The record is what each row says of itself."""
        return self

    def write_many(
        self,
        seen: Reader,  # noqa: ARG002 - the port's signature
        wanted: Sequence[tuple[TargetRow, Desired, str]],
    ) -> list[str | DriverError]:
        """Take note of many."""
        return [self.write(target, desired, key=key) for target, desired, key in wanted]

    def write(self, target: TargetRow, desired: Desired, *, key: str) -> str:
        """Take note."""
        self._written[id(target)] = desired
        return f"{key}: nothing was done"
