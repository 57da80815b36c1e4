"""What a reader of usage files gives: blocks of rows, and where in the file each row stands."""

from collections.abc import Callable
from dataclasses import dataclass, field

from coulance.usage.columns import Columns


class UnableToReadFileError(Exception):
    """A file can't be read as a whole; `place` says where, and the message what was expected."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}")
        self.place, self.message = place, message


@dataclass(frozen=True, slots=True)
class Lost:
    """A row that can't even be split into fields: where it stands, and why."""

    place: str
    reason: str


@dataclass(slots=True)
class Block:
    """Some rows of a file. `place(row)` says where a row stands, such as `traffic.csv:17`."""

    columns: Columns
    place: Callable[[int], str]
    lost: list[Lost] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    """Rows that were left out on purpose, by reason."""
