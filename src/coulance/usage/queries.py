"""Reading the usage room: samples of a period, running counters, what changed since, quarantine, health."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
from django.db import connection
from django.db.models import Count, Max, Sum
from numpy.typing import NDArray

from coulance.usage import counting, pages, quarantine, reading, registry, sealing, verifying
from coulance.usage.blobs import Rows
from coulance.usage.collecting import CollectorHealth
from coulance.usage.collecting import health as collector_health
from coulance.usage.collecting import progress as collector_progress
from coulance.usage.counting import Tally
from coulance.usage.days import day_date, day_number, midnights
from coulance.usage.ingest import CHANNEL
from coulance.usage.models import Blob, DayPage, Horizon, Quarantined, Segment, StatePage
from coulance.usage.pages import DAY, NEVER, PAGE, STATE
from coulance.usage.quarantine import QuarantinedSeries
from coulance.usage.registry import COUNTER
from coulance.usage.verifying import Disagreement
from coulance_core.kernel import Period
from coulance_core.usage.samples import Samples

__all__ = [
    "CHANNEL",
    "CollectorHealth",
    "DailyCounters",
    "DayCoverage",
    "Disagreement",
    "QuarantinedSeries",
    "SampleBlock",
    "SeriesDays",
    "SeriesState",
    "Touched",
    "UsageOverview",
    "collector_health",
    "collector_progress",
    "counters_agree",
    "coverage_of",
    "daily_counters",
    "days_of_series",
    "overview",
    "quarantined",
    "series_samples",
    "series_state",
    "stored_instants",
    "touched_since",
    "verify",
]

Int64s = NDArray[np.int64]
_DAY = 86_400
_MARGIN = 2 * _DAY
_FAR_BACK = 40 * _DAY
"""How far back the reading before a counter's period is looked for when checking."""


@dataclass(frozen=True, slots=True)
class SampleBlock:
    """Samples of many series: series i (`series[i]`) is rows offsets[i]:offsets[i + 1] of `samples`."""

    series: Int64s
    samples: Samples


@dataclass(frozen=True, slots=True)
class DailyCounters:
    """Running counters, one row for a series and civil day (days since 1970-01-01) that has samples."""

    series: Int64s
    day: Int64s
    n: Int64s
    v_in: Int64s
    v_out: Int64s
    revision: Int64s


@dataclass(frozen=True, slots=True)
class Touched:
    """Series and civil days that changed, and the revision that last changed them."""

    series: Int64s
    day: Int64s
    revision: Int64s


@dataclass(frozen=True, slots=True)
class SampleWindow:
    """Samples of some series (ids, sorted) with low <= at <= high, the last revision of each: read once, used twice."""

    series: Int64s
    low: int
    high: int
    rows: Rows

    def holds(self, series: Int64s, low: int, high: int) -> bool:
        """Whether it is of just these series, and reaches as far."""
        return self.low <= low and high <= self.high and np.array_equal(self.series, series)


@dataclass(frozen=True, slots=True)
class SeriesState:
    """The newest sample of each series asked for; `last_at` is the least int64 for one never seen."""

    series: Int64s
    last_at: Int64s
    last_in: Int64s
    last_out: Int64s


@dataclass(frozen=True, slots=True)
class SeriesDays:
    """A series' civil days: (day, samples, in, out), in `unit` * 10**-scale."""

    unit: str
    scale: int
    days: tuple[tuple[date, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class UsageOverview:
    """The room at a glance."""

    series_seen: int
    last_at: datetime | None
    samples: int
    unsealed_rows: int
    segments: int
    segment_bytes: int
    waiting_for_deletion: int
    quarantined_rows: int
    quarantined_keys: int
    kept_from: datetime | None


def _ids(series: Sequence[int] | Int64s) -> tuple[Int64s, Int64s]:
    """(as asked, sorted); refuses duplicates."""
    asked = np.asarray(series, np.int64).reshape(-1)
    ordered = np.unique(asked)
    if len(ordered) != len(asked):
        raise ValueError("a series is asked for twice")
    return asked, ordered


def window(*, series: Sequence[int] | Int64s, period: Period) -> SampleWindow:
    """Read the samples of `series` once, for `counters_agree` and `series_samples` of the period both."""
    _, ordered = _ids(series)
    low, high = int(period.start.timestamp()) - _MARGIN, int(period.end.timestamp()) + _MARGIN
    return SampleWindow(ordered, low, high, reading.read_rows(series=ordered, low=low, high=high).rows)


def series_samples(
    *,
    series: Sequence[int] | Int64s,
    period: Period,
    lead_s: int = 0,
    trail_s: int = 0,
    threads: bool = False,
    within: SampleWindow | None = None,
) -> SampleBlock:
    """The samples of `series` (ids) with start - lead_s <= at <= end + trail_s, the last revision of each.

    Both ends are included: a delta's interval ends at its instant, a gauge's begins there, and the kernels of
    core.usage know which they want. With `lead_s` a counter's reading before the period comes along. Where starts of
    counters are on record, `samples.discontinuity` says so, in the hundredths of a second that SNMP uses. What a
    window of these very series holds is taken from it.
    """
    asked, ordered = _ids(series)
    low, high = int(period.start.timestamp()) - lead_s, int(period.end.timestamp()) + trail_s
    if within is not None and within.holds(ordered, low, high):
        rows = within.rows.take((within.rows.at >= low) & (within.rows.at <= high))
    else:
        rows = reading.read_rows(series=ordered, low=low, high=high, threads=threads).rows
    if np.array_equal(asked, ordered):
        offsets = np.searchsorted(rows.series, np.append(ordered, 2**62)).astype(np.int64)
    else:
        begin, end = np.searchsorted(rows.series, asked), np.searchsorted(rows.series, asked, side="right")
        lengths = end - begin
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        rows = rows.take(np.arange(offsets[-1]) + np.repeat(begin - offsets[:-1], lengths))
    return SampleBlock(
        asked, Samples(rows.at, rows.v_in, rows.v_out, offsets, discontinuity=_discontinuity(ordered, rows, low, high))
    )


def _starts(ordered: Int64s, low: int, high: int) -> counting.Starts:
    """Recorded starts of the counters of these series (sorted ids) in (low, high]."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT series_id, at FROM usage_counter_start WHERE at > %s AND at <= %s AND series_id = ANY(%s)"
            " ORDER BY series_id, at",
            [low, high, ordered.tolist()],
        )
        pairs = np.array(cursor.fetchall(), np.int64).reshape(-1, 2)
    return counting.Starts(pairs[:, 0], pairs[:, 1])


def _discontinuity(ordered: Int64s, rows: Rows, low: int, high: int) -> Int64s | None:
    """For each reading, the newest recorded start of its counter at or before it, in hundredths; `None` without any."""
    found = _starts(ordered, low, high)
    if not len(rows) or not len(found.series):
        return None
    out = np.zeros(len(rows), np.int64)
    for series, at in zip(found.series.tolist(), found.at.tolist(), strict=True):  # counters rarely start anew
        out[(rows.series == series) & (rows.at >= at)] = at * 100
    return out


def _days_between(period: Period) -> tuple[int, int]:
    """Civil days that the period can touch in any zone, one to spare at each end."""
    return int(period.start.timestamp()) // _DAY - 1, int(period.end.timestamp()) // _DAY + 1


def _inside(series: Int64s, days: Int64s, period: Period) -> NDArray[np.bool_]:
    """Which civil days (of each series' zone) lie in the period, touching counts."""
    table = registry.current()
    positions = table.positions_of(series)
    low, high = _days_between(period)
    keep = np.zeros(len(series), np.bool_)
    for number, zone in enumerate(table.zones):
        mine = (positions >= 0) & (table.zone[positions] == number)
        if mine.any():
            begins = midnights(zone, low, high + 2)
            inside = (begins[:-1] < period.end.timestamp()) & (begins[1:] > period.start.timestamp())
            place = np.clip(days[mine] - low, 0, len(inside) - 1)
            keep[mine] = inside[place] & (days[mine] >= low) & (days[mine] <= high + 1)
    return keep


def _day_records(ordered: Int64s | None, low: int, high: int, revision: int | None = None) -> DailyCounters:
    found = DayPage.objects.filter(day__gte=low, day__lte=high)
    if ordered is not None:
        found = found.filter(page__in=np.unique(ordered // PAGE).tolist())
    if revision is not None:
        found = found.filter(revision__gt=revision)
    rows = list(found.order_by("page", "day").values_list("page", "day", "revision", "data"))
    records = pages.join([bytes(data) for *_, data in rows], DAY)
    changed = pages.revisions(records, np.array([at for _, _, at, _ in rows], np.int64))
    page = np.repeat(np.array([p for p, *_ in rows], np.int64), PAGE)
    day = np.repeat(np.array([d for _, d, *_ in rows], np.int64), PAGE)
    series = page * PAGE + np.tile(np.arange(PAGE, dtype=np.int64), len(rows))
    keep = (changed > 0) | (records["n"] != 0) if revision is None else changed > revision
    if ordered is not None:
        keep &= reading.is_in(series, ordered)
    order = np.flatnonzero(keep)
    order = order[np.lexsort((day[order], series[order]))]
    return DailyCounters(
        series[order],
        day[order],
        records["n"][order].astype(np.int64),
        records["v_in"][order],
        records["v_out"][order],
        changed[order],
    )


def daily_counters(*, series: Sequence[int] | Int64s, period: Period) -> DailyCounters:
    """Running counters of `series` on the civil days (each in its contract's zone) that lie in `period`.

    Values are stored integers: sums of deltas and of gauges' levels, plain steps of counters. Sorted by series and day.
    """
    _, ordered = _ids(series)
    low, high = _days_between(period)
    found = _day_records(ordered, low, high)
    keep = _inside(found.series, found.day, period)
    return DailyCounters(*(getattr(found, name)[keep] for name in DailyCounters.__slots__))


def days_of_series(*, key: str, start: date, end: date) -> SeriesDays:
    """Running counters of one series on the civil days [start, end), by its key. Raises `LookupError`."""
    table = registry.current()
    place = table.keys.get(key)
    if place is None:
        raise LookupError(f"no series has the key {key!r}")
    number = int(table.ids[place])
    found = _day_records(np.array([number], np.int64), day_number(start), day_number(end) - 1)
    meter = table.meters[table.meter[place]]
    columns = (found.day.tolist(), found.n.tolist(), found.v_in.tolist(), found.v_out.tolist())
    return SeriesDays(
        meter.unit.name,
        meter.scale,
        tuple((day_date(day), n, v_in, v_out) for day, n, v_in, v_out in zip(*columns, strict=True)),
    )


def touched_since(
    *, revision: int, series: Sequence[int] | Int64s | None = None, period: Period | None = None
) -> Touched:
    """Series and civil days that a batch after `revision` changed: late, corrected or simply new samples.

    With the number of a `fence()` taken before a period was settled, these are what must be judged again.
    """
    ordered = None if series is None else _ids(series)[1]
    low, high = (-(2**31), 2**31 - 1) if period is None else _days_between(period)
    found = _day_records(ordered, low, high, revision)
    keep = np.ones(len(found.series), np.bool_) if period is None else _inside(found.series, found.day, period)
    return Touched(found.series[keep], found.day[keep], found.revision[keep])


def series_state(*, series: Sequence[int] | Int64s) -> SeriesState:
    """The newest sample of each series, in the order asked."""
    asked, ordered = _ids(series)
    held = {
        page: bytes(data)
        for page, data in StatePage.objects.filter(page__in=np.unique(ordered // PAGE).tolist()).values_list(
            "page", "data"
        )
    }
    numbers = sorted(held)
    records = pages.join([held[page] for page in numbers], STATE)
    place = np.searchsorted(numbers, asked // PAGE) if numbers else np.zeros(len(asked), np.int64)
    there = np.isin(asked // PAGE, numbers)
    slot = np.where(there, place * PAGE + asked % PAGE, 0)
    picked = records[slot] if len(records) else np.zeros(len(asked), STATE)
    return SeriesState(
        asked,
        np.where(there, pages.marks(picked), NEVER),
        *(np.where(there, picked[name], 0) for name in ("last_in", "last_out")),
    )


def counters_agree(
    *, series: Sequence[int] | Int64s, period: Period, within: SampleWindow | None = None
) -> list[Disagreement]:
    """Where the running counters of `series` differ from the stored samples, on civil days wholly inside `period`.

    Empty when all is well. A billing run parks an account whose counters disagree. Meant for a chunk of series; their
    samples are taken from a window of these very series and this period, where there is one.
    """
    _, ordered = _ids(series)
    table = registry.current()
    low, high = int(period.start.timestamp()) - _MARGIN, int(period.end.timestamp()) + _MARGIN
    if within is None or not within.holds(ordered, low, high):
        within = window(series=ordered, period=period)
    found = within.rows
    positions = table.positions_of(found.series)
    keep = positions >= 0
    rows, positions = found.take(keep), positions[keep]
    if not len(rows):
        fresh = Tally(*(np.empty(0, np.int64) for _ in range(5)))
    else:
        first = counting.first_rows(rows.series)
        counters = table.kind[positions] == COUNTER
        prior = _readings_before(rows, first & counters, low)
        starts = counting.NO_STARTS
        if counters.any():
            starts = _starts(ordered, *reading.ALL_TIME)
        fresh = counting.grouped(counting.tally_of(table, positions, rows, first, prior, starts))
    counted = _day_records(ordered, *_days_between(period))
    known = table.positions_of(counted.series) >= 0
    held = Tally(*(getattr(counted, name)[known] for name in ("series", "day", "n", "v_in", "v_out")))
    return verifying.compare(_whole_days(held, period), _whole_days(fresh, period))


def _whole_days(tally: Tally, period: Period) -> Tally:
    """The non-empty rows whose civil day lies in the period as a whole."""
    table = registry.current()
    zones = table.zone[table.positions_of(tally.series)] if len(tally) else np.empty(0, np.int32)
    keep = np.zeros(len(tally), np.bool_)
    low, high = _days_between(period)
    for number, zone in enumerate(table.zones):
        mine = zones == number
        if mine.any():
            begins = midnights(zone, low - 2, high + 4)
            place = np.clip(tally.day[mine] - (low - 2), 0, len(begins) - 2)
            keep[mine] = (begins[place] >= period.start.timestamp()) & (begins[place + 1] <= period.end.timestamp())
    keep &= (tally.n != 0) | (tally.v_in != 0) | (tally.v_out != 0)
    return Tally(*(getattr(tally, name)[keep] for name in ("series", "day", "n", "v_in", "v_out")))


def _readings_before(rows: Rows, needed: NDArray[np.bool_], low: int) -> Rows:
    """For the rows marked, the stored reading before `low` of their series; elsewhere none."""
    prior = Rows(rows.series, np.full(len(rows), NEVER), np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64))
    where = np.flatnonzero(needed)
    for back in (_FAR_BACK, 2**40):
        if not len(where):
            break
        found = reading.read_rows(series=np.unique(rows.series[where]), low=low - back, high=low - 1).rows
        end = np.searchsorted(found.series, rows.series[where], side="right")
        begin = np.searchsorted(found.series, rows.series[where])
        have = end > begin
        last = end[have] - 1
        prior.at[where[have]] = found.at[last]
        prior.v_in[where[have]] = found.v_in[last]
        prior.v_out[where[have]] = found.v_out[last]
        where = where[~have]
    return prior


def quarantined() -> list[QuarantinedSeries]:
    """Samples that wait for their series to be assigned, by series key."""
    return quarantine.waiting()


def verify(*, contents: bool = True) -> Iterator[str]:
    """Every fault of the store, as it is found: damaged or missing segments, then counters that differ from samples."""
    damaged = sealing.check_files(contents=contents)
    yield from damaged
    if damaged:
        return  # counters can only be compared with whole segments
    table = registry.current()
    for page in verifying.page_numbers():
        yield from map(str, verifying.verify_page(page, table=table))


def file_faults() -> list[str]:
    """Segments that are missing or of another size than the manifest says; contents are not read (`verify` does)."""
    return sealing.check_files(contents=False)


@dataclass(frozen=True, slots=True)
class DayCoverage:
    """How many samples a civil day has of those its meters' intervals promise, and which series sent none that day."""

    day: date
    seen: int
    expected: int
    series: int
    silent: int


def coverage_of(*, day: date, series: Collection[int] | None = None) -> DayCoverage:
    """The coverage of a day, of every series or of these (ids), straight from the running counters.

    A day has what fits in 24 hours: on the two days a year that are longer or shorter it is off by an hour. A series
    that sends more often than its interval counts as whole.
    """
    table = registry.current()
    number = day_number(day)
    found = _day_records(None, number, number)
    interval = np.array([meter.interval_s for meter in table.meters], np.int64)
    promised = _DAY // interval[table.meter] if len(table.meter) else np.empty(0, np.int64)
    counted = np.zeros(len(table.ids), np.int64)
    place = table.positions_of(found.series)
    np.add.at(counted, place[place >= 0], found.n[place >= 0])
    if series is not None:
        keep = np.isin(table.ids, np.fromiter(series, np.int64))
        promised, counted = promised[keep], counted[keep]
    return DayCoverage(
        day,
        int(np.minimum(counted, promised).sum()),
        int(promised.sum()),
        len(counted),
        int((counted == 0).sum()),
    )


def overview() -> UsageOverview:
    """The room at a glance: for doctor, console and `coulance usage status`."""
    state = pages.join([bytes(data) for data in StatePage.objects.values_list("data", flat=True)], STATE)
    marks = pages.marks(state)
    seen = marks[marks > NEVER]
    unsealed = Blob.objects.aggregate(rows=Sum("rows"))["rows"] or 0
    live = Segment.objects.filter(state="live").aggregate(count=Count("id"), rows=Sum("rows"), size=Sum("size"))
    waiting = Quarantined.objects.filter(state="waiting").aggregate(
        rows=Sum("rows"), keys=Count("series_key", distinct=True), newest=Max("id")
    )
    kept = Horizon.objects.values_list("kept_from", flat=True).first()
    return UsageOverview(
        series_seen=len(seen),
        last_at=datetime.fromtimestamp(int(seen.max()), UTC) if len(seen) else None,
        samples=int(unsealed + (live["rows"] or 0)),
        unsealed_rows=int(unsealed),
        segments=int(live["count"]),
        segment_bytes=int(live["size"] or 0),
        waiting_for_deletion=Segment.objects.filter(state__in=("superseded", "expired")).count(),
        quarantined_rows=int(waiting["rows"] or 0),
        quarantined_keys=int(waiting["keys"]),
        kept_from=None if kept is None else datetime.fromtimestamp(kept, UTC),
    )


def revisions() -> int:
    """How many revisions were ever drawn: one for each batch that wrote samples, and for rewrites of our own."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM usage_revision")
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def stored_instants(*, key: str, after: int, until: int) -> list[int]:
    """The instants (epoch seconds) of stored samples of a series, by its key, in (after, until]; none if unknown."""
    table = registry.current()
    place = table.keys.get(key)
    if place is None:
        return []
    rows = reading.read_rows(series=table.ids[place : place + 1], low=after + 1, high=until).rows
    return [int(at) for at in rows.at]
