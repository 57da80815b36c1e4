"""Suite `p95`: which sample each convention takes, published examples, and rrdtool's figures of real series.

A file is a rank table with published examples, or a list of windows on real series. Every figure of an entry must be
right for it to pass. Figures of conventions that are none of ours are left out: `default_400px_trap` is what rrdtool
gives when a month is averaged into 400 pixels first, which no contract means.
"""

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from coulance_core.catalog.terms import (
    Aggregation,
    Direction,
    Measure,
    Meter,
    MeterKind,
    MissingSamples,
    PercentileTerms,
    RankConvention,
)
from coulance_core.kernel import Period, show, unit
from coulance_core.usage.aggregate import figure
from coulance_core.usage.figures import UsageFigure
from coulance_core.usage.percentile import percentile, rank_of
from coulance_core.usage.samples import Samples
from coulance_core.usage.vendors import within_heartbeat
from tests.oracles.fields import close, count, field, number
from tests.oracles.protocol import MalformedCaseError, Outcome
from tests.oracles.runner import name_of, usual_cases

P95 = Fraction(95)
# How the files call our conventions. A name that starts with one of these means it.
_NAMES = (
    ("discard_floor", RankConvention.DROP_FLOOR),
    ("drop_floor", RankConvention.DROP_FLOOR),
    ("nearest_rank", RankConvention.NEAREST_RANK),
    ("librenms", RankConvention.LIBRENMS),
    ("rrdtool", RankConvention.RRDTOOL),
    ("linear_interp", RankConvention.INTERPOLATED),
    ("interpolated", RankConvention.INTERPOLATED),
    ("cacti_1_2_20", RankConvention.CACTI_1_2_20),
)
_STEP = 300


def cases(document: Any) -> Iterable[tuple[str, Any]]:
    """The rank table and the published examples of an object that has them; otherwise the usual list."""
    if isinstance(document, dict) and ("rank_table" in document or "published" in document):
        return _conventions_file(document)
    return usual_cases(document)


def _conventions_file(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for part in ("rank_table", "published"):
        rows = document.get(part, [])
        if not isinstance(rows, list):
            yield part, rows
            continue
        for place, row in enumerate(rows, 1):
            source = row.get("source") if isinstance(row, dict) else None
            yield f"{part} {place} ({source or name_of(row, place)})", row


def run(case: dict[str, Any], data: Path | None) -> Outcome:
    """One entry, by what it has: a series' file, ranks, values with what they give, or published counts."""
    if "file" in case:
        return _real_series(case, data)
    if any(key.startswith("rank_asc_") for key in case) or "discarded_floor_5pct" in case:
        return _ranks(case)
    if "values" in case:
        return _values(case)
    if "n" in case and ("rank_asc" in case or "discard" in case):
        return _published(case)
    if "erratum" in case:
        return Outcome.skipped(f"the source errs, and gives nothing else to check ({case['erratum']})")
    if "statement" in case:
        return Outcome.skipped("a statement without numbers of its own; the rank table and the real series check it")
    raise MalformedCaseError(
        "expected a file, ranks (rank_asc_...), values with expected, or n with rank_asc or discard"
    )


def _convention(name: str) -> RankConvention | None:
    return next((convention for start, convention in _NAMES if name.startswith(start)), None)


def _p(case: dict[str, Any]) -> Fraction:
    p = number(case["p"], "field 'p'") if "p" in case else P95
    if not 0 < p <= 100:
        raise MalformedCaseError(f"field 'p' is {show(p)}: expected more than 0 and at most 100")
    return p


def _ranks(case: dict[str, Any]) -> Outcome:
    """Each convention's rank among n, and how many samples the drop rule drops."""
    n, p = count(case, "n"), _p(case)
    expected: dict[str, Any] = {}
    got: dict[str, Any] = {}
    unknown = []
    for key in case:
        if not key.startswith("rank_asc_"):
            continue
        convention = _convention(key.removeprefix("rank_asc_"))
        if convention is None or convention is RankConvention.INTERPOLATED:
            unknown.append(key)
            continue
        expected[key] = count(case, key)
        got[key] = rank_of(n, convention, p).ascending
    if "discarded_floor_5pct" in case:
        expected["discarded"] = field(case, "discarded_floor_5pct", int, "a whole number")
        got["discarded"] = rank_of(n, RankConvention.DROP_FLOOR, p).dropped
    if not expected:
        return Outcome.skipped(f"no convention of ours in {', '.join(unknown)}")
    agree = case.get("conventions_agree")
    if isinstance(agree, bool):
        expected["conventions_agree"] = agree
        got["conventions_agree"] = len({value for key, value in got.items() if key.startswith("rank_asc_")}) == 1
    return Outcome.compare(expected, got)


def _values(case: dict[str, Any]) -> Outcome:
    """Values written out, and the one that the convention takes."""
    values = field(case, "values", list, "a list of numbers")
    exact = [number(value, f"values[{i}]") for i, value in enumerate(values)]
    expected = number(case.get("expected"), "field 'expected'")
    name = case.get("convention", "nearest_rank")
    convention = _convention(str(name))
    if convention is None:
        return Outcome.skipped(f"no convention of ours is called {name!r}")
    scale = 1
    for value in exact:
        scale = max(scale, value.denominator)
    scaled = [value * scale for value in exact]
    if any(value.denominator != 1 for value in scaled):
        raise MalformedCaseError("values have more decimals than can be taken together")
    column = np.array([int(value) for value in scaled], np.int64)
    return Outcome.compare(show(expected), show(percentile(column, PercentileTerms(convention, _p(case))) / scale))


def _published(case: dict[str, Any]) -> Outcome:
    """A published count: so many samples, so many dropped, that rank billed."""
    n = count(case, "n")
    rank = rank_of(n, RankConvention.DROP_FLOOR, _p(case))
    expected, got = {}, {}
    if "discard" in case:
        expected["discard"] = field(case, "discard", int, "a whole number")
        got["discard"] = rank.dropped
    if "rank_asc" in case:
        expected["rank_asc"] = count(case, "rank_asc")
        got["rank_asc"] = rank.ascending
    return Outcome.compare(expected, got)


# --- real series


def _real_series(case: dict[str, Any], data: Path | None) -> Outcome:
    if data is None:
        return Outcome.skipped("needs the series: give --data DIR")
    name = field(case, "file", str, "the path of a series under the data directory")
    path = next((p for p in (data / name, data / "traffic" / name) if p.is_file()), None)
    if path is None:
        return Outcome.skipped(f"{name} is not under {data}")
    period = _window(case)
    column = case.get("column", 1)
    if not isinstance(column, int | str):
        raise MalformedCaseError(f"field 'column' is {column!r}: expected a column's number or name")
    at, values, scale = _series(path, column)
    window = _Window(at, values, scale, period)
    wrong_expected: dict[str, str] = {}
    wrong_got: dict[str, str] = {}
    checked = 0
    for what, expected, got, exactly in _figures(case, window):
        checked += 1
        if expected != got if exactly else not close(expected, got):
            wrong_expected[what], wrong_got[what] = show(expected), show(got)
    if not checked:
        return Outcome.skipped("none of its figures is one of ours")
    return Outcome.failed(wrong_expected, wrong_got) if wrong_expected else Outcome.passed()


def _window(case: dict[str, Any]) -> Period:
    bounds = field(case, "window_utc", list, "two instants [start, end]")
    if len(bounds) != 2 or not all(isinstance(b, str) for b in bounds):
        raise MalformedCaseError(f"field 'window_utc' is {bounds!r}: expected two instants [start, end]")
    try:
        start, end = (datetime.fromisoformat(b) for b in bounds)
    except ValueError as error:
        raise MalformedCaseError(f"field 'window_utc': {error}") from None
    start, end = (b if b.tzinfo else b.replace(tzinfo=UTC) for b in (start, end))
    return Period(start, end)


class _Window:
    """One window of one series, and its figures by the product's own functions, in the file's own units a slot."""

    def __init__(self, at: np.ndarray, values: np.ndarray, scale: int, period: Period) -> None:
        self.at, self.values = at, values
        self.meter = Meter("series", "A series", MeterKind.DELTA, unit("B"), scale, _STEP)
        self.samples = Samples.one(at, values)
        self.period = period

    def as_rrdtool_keeps(self) -> "_Window":
        """The same window with the samples that a database with a heartbeat of one step keeps.

        The oracle's databases start with their window; a sample that comes after a gap is unknown to them.
        """
        start = int(self.period.start.timestamp())
        inside = self.at > start
        at, values = self.at[inside], self.values[inside]
        kept = within_heartbeat(at, start, _STEP)
        return _Window(at[kept], values[kept], self.meter.scale, self.period)

    def _figure(self, measure: Measure) -> UsageFigure:
        result = figure(measure, self.meter, self.samples, self.period, ZoneInfo("UTC"))
        result.explanation.recompute()
        return result

    def sum(self) -> UsageFigure:
        return self._figure(Measure("series", Aggregation.SUM, unit("B"), Direction.IN))

    def percentile(self, convention: RankConvention, missing: MissingSamples, p: Fraction) -> Fraction:
        terms = PercentileTerms(convention, p, missing)
        result = self._figure(Measure("series", Aggregation.PERCENTILE, unit("B/s"), Direction.IN, terms))
        return result.quantity * _STEP


def _figures(case: dict[str, Any], window: _Window) -> Iterator[tuple[str, Fraction, Fraction, bool]]:
    """(what, expected, got, must be exactly equal) of every figure of the entry that we have too."""
    total = window.sum()
    p = _p(case)
    for key, got in (
        ("expected_slots", total.expected),
        ("present", total.seen),
        ("missing", total.expected - total.seen),
    ):
        if key in case:
            yield key, number(case[key], key), Fraction(got), True
    if "sum" in case:
        yield "sum", number(case["sum"], "sum"), total.quantity, False
    for key, value in _object(case, "conventions").items():
        if key == "n":
            yield "conventions.n", number(value, "conventions.n"), Fraction(total.seen), True
            continue
        convention = _convention(key)
        if convention is not None:
            got = window.percentile(convention, MissingSamples.DROPPED, p)
            exactly = convention is not RankConvention.INTERPOLATED
            yield f"conventions.{key}", number(value, key), got, exactly
    for key, block in case.items():
        if key.startswith("rrdtool") and isinstance(block, dict):
            yield from _rrdtool(key, _object(block, "full_resolution"), window.as_rrdtool_keeps())


def _rrdtool(where: str, figures: dict[str, Any], window: _Window) -> Iterator[tuple[str, Fraction, Fraction, bool]]:
    total = window.sum()
    known = total.seen or 1
    for key, value in figures.items():
        name = f"{where}.full_resolution.{key}"
        if key == "AVERAGE":
            yield name, number(value, name), total.quantity / known, False
        elif key == "TOTAL":
            yield name, number(value, name), total.quantity * _STEP, False
        elif key.startswith("PERCENT"):
            nan = key.startswith("PERCENTNAN")
            p = number(key.removeprefix("PERCENTNAN").removeprefix("PERCENT"), name)
            missing = MissingSamples.DROPPED if nan else MissingSamples.LOWEST
            yield name, number(value, name), window.percentile(RankConvention.RRDTOOL, missing, p), True


def _object(case: dict[str, Any], name: str) -> dict[str, Any]:
    value = case.get(name, {})
    if not isinstance(value, dict):
        raise MalformedCaseError(f"field {name!r} is {value!r}: expected an object")
    return value


@lru_cache(maxsize=4)
def _series(path: Path, column: int | str) -> tuple[np.ndarray, np.ndarray, int]:
    """(end of each interval, value x 10^scale, scale) of a file of time and values; stamps are floored to a slot.

    The files stamp a value with the start of its slot; the product stamps the end. As many decimals are kept as are
    written, or as fit.
    """
    slots: dict[int, Decimal] = {}
    with path.open(newline="", encoding="utf-8") as file:
        head = file.readline()
        delimiter = max(",;\t", key=head.count)
        place = _place(head, delimiter, column, path)
        for line, row in enumerate(csv.reader(file, delimiter=delimiter), 2):
            if not row:
                continue
            try:
                value = Decimal(row[place].strip())
                slots[_epoch(row[0]) // _STEP * _STEP + _STEP] = value
            except (ValueError, IndexError, InvalidOperation) as error:
                raise MalformedCaseError(f"{path.name}, line {line}: expected time and value: {error!r}") from None
    scale = max((max(0, -int(v.normalize().as_tuple().exponent)) for v in slots.values()), default=0)
    most = max((abs(v) for v in slots.values()), default=Decimal(0))
    while scale and (scale > 12 or most.scaleb(scale) >= 2**53):
        scale -= 1
    at = np.array(sorted(slots), np.int64)
    return at, np.array([round(slots[t].scaleb(scale)) for t in at.tolist()], np.int64), scale


def _place(head: str, delimiter: str, column: int | str, path: Path) -> int:
    if isinstance(column, int):
        return column
    names = [name.strip() for name in next(csv.reader([head], delimiter=delimiter))]
    if column not in names:
        raise MalformedCaseError(f"{path.name} has no column {column!r}: it has {', '.join(names)}")
    return names.index(column)


def _epoch(text: str) -> int:
    if text.strip().isdigit():
        return int(text)
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
