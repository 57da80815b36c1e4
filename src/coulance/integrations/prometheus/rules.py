"""From Prometheus' samples to readings: labels to series keys by the rules, numbers to whole readings, in beside out.

Shared by remote write and by the collector that asks. What a label set is by the rules is worked out once and kept by
its number; the rest is arithmetic on arrays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from coulance.integrations.prometheus.wire import STALE, LabelSets, Written
from coulance.integrations.prometheus.wire_2 import Symbols
from coulance.usage.collecting import Expected
from coulance.usage.columns import Columns, Keys, Rejection
from coulance.usage.pairing import IN, OUT, Halves, paired
from coulance_core.catalog.collectors import Collector

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Bools = NDArray[np.bool_]

VALUE, ALONE_IN, ALONE_OUT = 2, 3, 4
"""Further sides a label set can be of: a meter's one value, and a direction whose rule has no other."""
_MOST_SETS = 200_000
_LARGEST_CACHE = 256 * 1024 * 1024


@dataclass(slots=True)
class Translated:
    """What a request holds by the rules. `columns` are whole readings, `halves` wait for the other direction.

    `faults` are samples that can't be taken (row numbers are the request's), by name; the counts say what was left.
    """

    columns: Columns
    expected: Expected
    halves: Halves | None
    faults: list[Rejection]
    other: int
    """Samples that no rule is about."""
    stale: int
    newest: int | None

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to commit."""
        return not len(self.columns) and self.halves is None


@dataclass(frozen=True, slots=True)
class _Flat:
    """Samples on their way: their number in the request, value, instant, label set."""

    rows: Int64s
    value: NDArray[np.float64]
    at_ms: Int64s
    codes: Int32s

    def take(self, which: Bools) -> "_Flat":
        return _Flat(self.rows[which], self.value[which], self.at_ms[which], self.codes[which])


class Translator:
    """The rules of one collector, with all label sets that were seen since they came into force."""

    def __init__(self, collector: Collector) -> None:
        self.collector = collector
        self.sets = LabelSets(self._resolve)
        self.symbols = Symbols()
        self.names: list[str] = []
        self.meters: dict[str, str] = {}
        self.texts: list[str] = []
        self._slot_of: dict[str, int] = {}
        self._slots: list[int] = []
        self._sides: list[int] = []
        self._rules: list[int] = []
        self._arrays: tuple[int, Int32s, NDArray[np.int8], Int32s] | None = None
        self._keys: tuple[Keys, Expected] | None = None

    @property
    def full(self) -> bool:
        """Whether it holds so much that a new one should take its place."""
        return len(self.sets) > _MOST_SETS or self.sets.size > _LARGEST_CACHE

    def _resolve(self, labels: Mapping[str, str]) -> None:
        slot, side, by = -1, 0, -1
        metric = labels["__name__"]
        for number, rule in enumerate(self.collector.rules):
            if metric not in rule.metrics:
                continue
            key = rule.key_of(labels)
            if key is None:
                continue
            by, slot = number, self._slot_of.setdefault(key, len(self._slot_of))
            if slot == len(self.names):
                self.names.append(key)
                self.meters[key] = rule.meter
            if metric == rule.metric_value:
                side = VALUE
            elif metric == rule.metric_in:
                side = IN if rule.metric_out else ALONE_IN
            else:
                side = OUT if rule.metric_in else ALONE_OUT
            break
        self._slots.append(slot)
        self._sides.append(side)
        self._rules.append(by)
        self.texts.append(metric if slot < 0 else f"{metric} of {self.names[slot]}")

    def _by_set(self) -> tuple[Int32s, NDArray[np.int8], Int32s]:
        kept = self._arrays
        size = len(self.sets)
        if kept is None or kept[0] != size:
            kept = (
                size,
                np.array(self._slots[:size], np.int32),
                np.array(self._sides[:size], np.int8),
                np.array(self._rules[:size], np.int32),
            )
            self._arrays = kept
        return kept[1:]

    def keys(self) -> tuple[Keys, Expected]:
        """All series keys so far and the meters meant for them; the same objects for as long as no new one comes."""
        kept = self._keys
        if kept is None or len(kept[0]) != len(self.names):
            names = list(self.names)
            kept = self._keys = Keys(names), Expected([self.meters[name] for name in names])
        return kept

    def translate(self, written: Written) -> Translated:
        """Readings from samples."""
        slots, sides, rules = self._by_set()
        slot = slots[written.labels] if len(slots) else np.empty(0, np.int32)
        flat = _Flat(np.arange(len(written)), written.value, written.at_ms, written.labels)
        faults: list[Rejection] = []
        if (slot < 0).any():
            flat = flat.take(slot >= 0)
        other, stale = len(written) - len(flat.rows), 0
        self._refuse_histograms(written, faults)
        finite = np.isfinite(flat.value)
        if not finite.all():
            ended = np.ascontiguousarray(flat.value).view(np.int64) == STALE
            stale = int(ended.sum())
            self._refuse(~finite & ~ended, flat, "is no number that a counter or a level can be", faults)
            flat = flat.take(finite)
        bad = (flat.value < 0) | (flat.value >= 2.0**63)
        if bad.any():
            self._refuse(bad, flat, "is negative, or larger than a counter can be", faults)
            flat = flat.take(~bad)
        reading = self._scaled(flat.value, rules[flat.codes])
        if (bad := (reading < 0) | self._second_source(flat)).any():
            self._refuse(reading < 0, flat, "is too large at its rule's scale", faults)
            said = "is of a second label set that would be the same series; let the rule tell them apart"
            self._refuse(bad & (reading >= 0), flat, said, faults)
            flat, reading = flat.take(~bad), reading[~bad]
        keys, expected = self.keys()
        slot, side, at = slots[flat.codes], sides[flat.codes], flat.at_ms // 1000
        newest = int(at.max()) if len(at) else None
        both = side <= OUT
        if both.all():
            halves, single = Halves(keys.names, slot, at, reading, side), None
        else:
            halves, single = Halves(keys.names, slot[both], at[both], reading[both], side[both]), ~both
        pairs, alone = paired(halves)
        columns = Columns(keys, pairs.series, pairs.at, pairs.v_in, pairs.v_out)
        if single is not None:
            out = side[single] == ALONE_OUT
            columns = Columns(
                keys,
                np.concatenate((columns.series, slot[single])).astype(np.int32),
                np.concatenate((columns.at, at[single])),
                np.concatenate((columns.v_in, np.where(out, 0, reading[single]))),
                np.concatenate((columns.v_out, np.where(out, reading[single], 0))),
            )
        left = halves.take(alone) if len(alone) else None
        return Translated(columns, expected, left, faults, other, stale, newest)

    def _refuse_histograms(self, written: Written, faults: list[Rejection]) -> None:
        """A rule that names a native histogram itself names no number: its count and its sum are."""
        if not len(written.histograms):
            return
        slots, _, _ = self._by_set()
        for code in np.unique(written.histograms[slots[written.histograms[:, 0]] >= 0, 0]).tolist():
            why = "is a native histogram, no number; let the rule name its count or its sum (NAME_count, NAME_sum)"
            faults.append(Rejection(len(written), self.texts[code], why))

    def unused_histograms(self, written: Written) -> int:
        """How many native histograms no rule names, nor their count or sum."""
        if not len(written.histograms):
            return 0
        slots, _, _ = self._by_set()
        return int((slots[written.histograms] < 0).all(axis=1).sum())

    def _scaled(self, value: NDArray[np.float64], rule: Int32s) -> Int64s:
        """Whole readings, rounded down; -1 where one does not fit."""
        reading = value.astype(np.int64)
        for number, one in enumerate(self.collector.rules):
            if one.scale == 1:
                continue
            mine = np.flatnonzero(rule == number)
            # A float is a fraction; multiplied exactly, for 0.3 of one is not 0.3 of the other.
            exact = [
                Fraction(v) * one.scale if v != int(v) else int(v) * one.scale.numerator // one.scale.denominator
                for v in value[mine].tolist()
            ]
            reading[mine] = [int(v) if v < 2**63 else -1 for v in exact]
        return reading

    def _second_source(self, flat: _Flat) -> Bools:
        """Which samples are of a second label set that claims a series within a request: two would become one."""
        none = np.zeros(len(flat.codes), np.bool_)
        if not len(flat.codes):
            return none
        seen = np.zeros(len(self.sets) + 1, np.bool_)
        seen[flat.codes] = True
        sets = np.flatnonzero(seen)
        slots, sides, _ = self._by_set()
        _, first = np.unique(slots[sets].astype(np.int64) * 8 + sides[sets], return_index=True)
        if len(first) == len(sets):
            return none
        second = np.zeros(len(self.sets) + 1, np.bool_)
        second[np.delete(sets, first)] = True
        return second[flat.codes]

    def _refuse(self, bad: Bools, flat: _Flat, why: str, faults: list[Rejection]) -> None:
        faults.extend(
            Rejection(int(flat.rows[i]), self.texts[int(flat.codes[i])], f"{flat.value[i]} {why}")
            for i in np.flatnonzero(bad).tolist()
        )


_translators: dict[str, Translator] = {}


def translator(collector: Collector) -> Translator:
    """The translator of a collector as its rules are now; kept in the process."""
    known = _translators.get(collector.key)
    if known is None or known.collector != collector or known.full:
        known = _translators[collector.key] = Translator(collector)
    return known
