"""What asking a target gives: readings, how far it got, what to remember; or a refusal that says what to do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import numpy as np

from coulance.usage.collecting import Expected, Progress
from coulance.usage.columns import NO_START, Columns, Keys
from coulance_core.catalog.collectors import Collector, Labels, scaled

Now = Callable[[], datetime]
"""The clock, which belongs to whoever asks."""
_SHOWN = 3


class UnableToCollectError(Exception):
    """A target can't be asked, or its answer makes no sense. `retry_after_s` is what it asked for itself."""

    def __init__(self, message: str, *, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Harvest:
    """An answer. `behind`: there is more of the past to fetch, so ask again at once."""

    columns: Columns | None
    expected: Expected
    cursor: int | None
    state: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    behind: bool = False


class Source(Protocol):
    """A kind of collector: what it asks, and how."""

    def targets(self, collector: Collector) -> tuple[str, ...]:
        """The targets of a collector, each asked by itself."""
        ...

    def ask(self, collector: Collector, target: str, before: Progress, now: Now, secrets: Mapping[str, str]) -> Harvest:
        """Ask one; raises `UnableToCollectError`. `secrets` holds the values of the secrets that it names."""
        ...


class Readings:
    """Counters read now, on their way to columns: matched with the collector's rules, each series once."""

    def __init__(self, collector: Collector) -> None:
        self.collector = collector
        self._rows: dict[str, tuple[str, int, int, int, int]] = {}
        self._twice: dict[str, None] = {}
        self.notes: list[str] = []
        self.unmatched = 0

    def add(
        self, labels: Labels, at: int, v_in: int, v_out: int, since: int | None = None, mark: str = ""
    ) -> str | None:
        """Take a reading; gives its series key, `None` when no rule is about it. `mark` goes after the key."""
        found = self.collector.match(labels)
        if found is None:
            self.unmatched += 1
            return None
        number, key = found
        rule = self.collector.rules[number]
        key += mark
        if key in self._rows:
            self._twice[key] = None
            return None
        start = int(NO_START) if since is None else since
        self._rows[key] = (rule.meter, at, scaled(v_in, rule.scale), scaled(v_out, rule.scale), start)
        return key

    def harvest(self, *, cursor: int, state: Mapping[str, Any]) -> Harvest:
        """All of it."""
        notes = list(self.notes)
        for key in self._twice:
            del self._rows[key]
        if self._twice:
            shown = ", ".join(list(self._twice)[:_SHOWN])
            notes.append(f"{len(self._twice)} series would be of two sources each, and none is taken: {shown}; "
                         "tell them apart in the rule's template")  # fmt: skip
        keys = list(self._rows)
        meters, at, v_in, v_out, since = zip(*self._rows.values(), strict=True) if keys else ((), (), (), (), ())
        fits = [0 <= a < 2**64 and 0 <= b < 2**64 for a, b in zip(v_in, v_out, strict=True)]
        if not all(fits):
            raise UnableToCollectError(f"{keys[fits.index(False)]}: a counter of more than 64 bits, or below 0")
        ins, outs = np.array(v_in, np.uint64), np.array(v_out, np.uint64)
        big = bool(len(keys) and max(int(ins.max()), int(outs.max())) >= 2**63)
        starts = np.array(since, np.int64)
        columns = Columns(
            Keys(keys),
            np.arange(len(keys), dtype=np.int32),
            np.array(at, np.int64),
            ins.view(np.int64),
            outs.view(np.int64),
            unsigned=big,
            since=starts if len(keys) and (starts != NO_START).any() else None,
        )
        return Harvest(columns, Expected(meters), cursor, state, notes)
