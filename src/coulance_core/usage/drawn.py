"""Use as it went on, as a value."""

from dataclasses import dataclass

from coulance_core.usage.samples import Ints


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one service drew in a period: rows (start, end], epoch seconds, ascending by end; stored whole units.

    A sum has one column. A percentile has the columns that are ranked, of which the percentiles are `added` or the
    greater counts; `expected` samples should have come.
    """

    start: Ints
    end: Ints
    columns: tuple[Ints, ...]
    expected: int = 0
    added: bool = False
