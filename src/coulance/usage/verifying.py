"""Proof that no sample was lost or counted twice: the running counters, worked out again from the stored samples."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from django.db import connection, transaction
from numpy.typing import NDArray

from coulance.usage import counting, pages, reading, registry, segments
from coulance.usage.blobs import Rows
from coulance.usage.counting import Starts, Tally
from coulance.usage.days import day_date, day_number
from coulance.usage.ingest import lock_pages
from coulance.usage.models import Blob, CounterStart, DayPage, Horizon, Segment, StatePage
from coulance.usage.pages import DAY, NEVER, PAGE, STATE
from coulance.usage.registry import COUNTER, SeriesTable

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A running counter that differs from what the samples give; `day` is `None` for the newest sample of a series."""

    series: int
    day: str | None
    what: str
    counted: int
    samples: int

    def __str__(self) -> str:
        when = f" on {self.day}" if self.day else ""
        return f"series {self.series}{when}: {self.what} is {self.counted} as counted, {self.samples} by its samples"


@dataclass(slots=True)
class _Page:
    """A page worked out from samples."""

    state: NDArray[np.void]
    days: Tally
    kept_from_day: int
    beginnings: dict[int, int]
    """With expired months: the day of a counter's first reading that is left. The reading before it has expired."""


def page_numbers() -> list[int]:
    """Every page that has counters."""
    return list(StatePage.objects.order_by("page").values_list("page", flat=True))


def _months(low: int | None) -> Iterator[tuple[int, int]]:
    """UTC months (first and last instant) that hold samples, in order; whole months only."""
    found = {
        segments.month_number(month) for month in Segment.objects.filter(state="live").values_list("month", flat=True)
    }
    for at_min, at_max in Blob.objects.values_list("at_min", "at_max"):
        first, last = segments.month_of(np.array([at_min, at_max], np.int64)).tolist()
        found.update(range(first, last + 1))
    for month in sorted(found):
        start, end = segments.month_start(month), segments.month_start(month + 1) - 1
        if low is None or end >= low:
            yield start, end


def _recompute(table: SeriesTable, ids: Int64s, page: int, kept_from: int | None) -> _Page:
    """State and day counters of a page from the stored samples, a month at a time so that memory stays small."""
    state = pages.join([pages.EMPTY_STATE], STATE)
    tallies = []
    beginnings: dict[int, int] = {}
    found = CounterStart.objects.filter(series_id__in=ids.tolist()).order_by("series_id", "at")
    pairs = np.array(list(found.values_list("series_id", "at")), np.int64).reshape(-1, 2)
    starts = Starts(pairs[:, 0], pairs[:, 1])
    for start, end in _months(kept_from):
        rows = reading.read_rows(series=ids, low=start, high=end).rows
        if not len(rows):
            continue
        slot = rows.series - page * PAGE
        last = state[slot]
        prior = Rows(rows.series, pages.marks(last), last["last_in"], last["last_out"])
        positions = table.positions_of(rows.series)
        first = counting.first_rows(rows.series)
        if kept_from is not None:
            new = first & (prior.at == NEVER) & (table.kind[positions] == COUNTER)
            days = counting.civil_days(table, positions[new], rows.at[new])
            beginnings |= dict(zip(rows.series[new].tolist(), days.tolist(), strict=True))
        tallies.append(counting.grouped(counting.tally_of(table, positions, rows, first, prior, starts)))
        ends = np.append(np.flatnonzero(rows.series[1:] != rows.series[:-1]), len(rows) - 1)
        pages.set_marks(state, slot[ends], rows.at[ends])
        state["last_in"][slot[ends]] = rows.v_in[ends]
        state["last_out"][slot[ends]] = rows.v_out[ends]
    nothing = np.empty(0, np.int64)
    total = counting.grouped(*tallies) if tallies else Tally(nothing, nothing, nothing, nothing, nothing)
    return _Page(state, total, _first_whole_day(kept_from), beginnings)


def _first_whole_day(kept_from: int | None) -> int:
    """The first civil day that has all its samples, in any zone; counters before it stand on their own."""
    return 0 if kept_from is None else kept_from // 86400 + 2


def _stored(page: int) -> tuple[NDArray[np.void], Tally]:
    connection.ensure_connection()
    lock_pages(connection.connection, np.array([page], np.int64))
    row = StatePage.objects.filter(page=page).values_list("data").first()
    state = pages.join([bytes(row[0]) if row else pages.EMPTY_STATE], STATE)
    return state, _day_tally(DayPage.objects.filter(page=page).values_list("page", "day", "data"))


def _day_tally(found: Iterable[tuple[int, int, bytes | memoryview]]) -> Tally:
    """The non-zero day counters of pages, sorted by series and day."""
    rows = list(found)
    records = pages.join([bytes(data) for *_, data in rows], DAY)
    page = np.repeat(np.array([p for p, *_ in rows], np.int64), PAGE)
    day = np.repeat(np.array([d for _, d, _ in rows], np.int64), PAGE)
    series = page * PAGE + np.tile(np.arange(PAGE, dtype=np.int64), len(rows))
    used = (records["n"] != 0) | (records["v_in"] != 0) | (records["v_out"] != 0)
    order = np.lexsort((day[used], series[used]))
    return Tally(
        series[used][order],
        day[used][order],
        records["n"][used][order].astype(np.int64),
        records["v_in"][used][order],
        records["v_out"][used][order],
    )


def compare(counted: Tally, samples: Tally) -> list[Disagreement]:
    """Where two tallies (grouped) differ."""
    if len(counted) == len(samples) and all(
        np.array_equal(getattr(counted, name), getattr(samples, name))
        for name in ("series", "day", "n", "v_in", "v_out")
    ):
        return []
    out: list[Disagreement] = []
    left = {(s, d): i for i, (s, d) in enumerate(zip(counted.series.tolist(), counted.day.tolist(), strict=True))}
    right = {(s, d): i for i, (s, d) in enumerate(zip(samples.series.tolist(), samples.day.tolist(), strict=True))}
    for series, day in sorted(left.keys() | right.keys()):
        i, j = left.get((series, day)), right.get((series, day))
        for name, what in (("n", "the number of samples"), ("v_in", "use in"), ("v_out", "use out")):
            a = 0 if i is None else int(getattr(counted, name)[i])
            b = 0 if j is None else int(getattr(samples, name)[j])
            if a != b:
                out.append(Disagreement(series, str(day_date(day)), what, a, b))
    return out


def verify_page(page: int, *, table: SeriesTable | None = None) -> list[Disagreement]:
    """Compare one page with its samples. Writers of its series wait meanwhile."""
    known = table or registry.current()
    with transaction.atomic():
        state, counted = _stored(page)
        ids = _known_ids(known, page)
        kept_from = Horizon.objects.values_list("kept_from", flat=True).first()
        fresh = _recompute(known, ids, page, kept_from)
    out = []
    for slot in np.flatnonzero(np.isin(np.arange(PAGE) + page * PAGE, ids)):
        if kept_from is not None and pages.marks(state)[slot] < kept_from:
            continue
        for name, what in (
            ("last_at", "its newest instant"),
            ("last_in", "its newest in"),
            ("last_out", "its newest out"),
        ):
            if state[name][slot] != fresh.state[name][slot]:
                a, b = int(state[name][slot]), int(fresh.state[name][slot])
                out.append(Disagreement(page * PAGE + int(slot), None, what, a, b))
    return out + compare(_since(counted, fresh, ids), _since(fresh.days, fresh, ids))


def _known_ids(table: SeriesTable, page: int) -> Int64s:
    return np.sort(table.ids[table.ids // PAGE == page])


def _since(tally: Tally, fresh: _Page, ids: Int64s) -> Tally:
    """What can be compared: days that have all their samples, and for a counter the reading before them."""
    keep = (tally.day >= fresh.kept_from_day) & reading.is_in(tally.series, ids)
    for series, day in fresh.beginnings.items():
        keep &= (tally.series != series) | (tally.day > day)
    if keep.all():
        return tally
    return Tally(*(getattr(tally, name)[keep] for name in ("series", "day", "n", "v_in", "v_out")))


def recount(*, pages_to_count: Iterable[int] | None = None) -> int:
    """Write counters anew from the samples (after a repair, or when an account's zone changed). Returns pages changed.

    Days whose samples have expired keep their counters.
    """
    changed = 0
    table = registry.current()
    for page in page_numbers() if pages_to_count is None else pages_to_count:
        with transaction.atomic():
            state, counted = _stored(page)
            ids = _known_ids(table, page)
            kept_from = Horizon.objects.values_list("kept_from", flat=True).first()
            fresh = _recompute(table, ids, page, kept_from)
            # Series that the catalog lost are left as they are: nothing can be said of them.
            if compare(_since(counted, fresh, ids), _since(fresh.days, fresh, ids)) or _state_differs(
                state, fresh, ids, page
            ):
                _rewrite(page, state, fresh, ids)
                changed += 1
    return changed


def _state_differs(state: NDArray[np.void], fresh: _Page, ids: Int64s, page: int) -> bool:
    slots = ids - page * PAGE
    return any(
        not np.array_equal(state[name][slots], fresh.state[name][slots]) for name in ("last_at", "last_in", "last_out")
    )


def _rewrite(page: int, state: NDArray[np.void], fresh: _Page, ids: Int64s) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('usage_revision')")
        row = cursor.fetchone()
    assert row is not None
    revision = int(row[0])
    slots = ids - page * PAGE
    seen = slots[fresh.state["last_at"][slots] > 0]
    for name in ("last_at", "last_in", "last_out"):
        state[name][seen] = fresh.state[name][seen]
    StatePage.objects.filter(page=page).update(data=state.tobytes())
    held = {
        day: (at, pages.join([bytes(data)], DAY))
        for day, at, data in DayPage.objects.filter(page=page, day__gte=fresh.kept_from_day).values_list(
            "day", "revision", "data"
        )
    }
    for day in {*held, *(d for d in fresh.days.day.tolist() if d >= fresh.kept_from_day)}:
        was, records = held.get(day) or (revision, pages.join([pages.EMPTY_DAY], DAY))
        mine = fresh.days.day == day
        target = pages.join([pages.EMPTY_DAY], DAY)
        where = fresh.days.series[mine] - page * PAGE
        target["n"][where] = fresh.days.n[mine]
        target["v_in"][where] = fresh.days.v_in[mine]
        target["v_out"][where] = fresh.days.v_out[mine]
        moved = [
            s
            for s in slots.tolist()
            if day > fresh.beginnings.get(page * PAGE + s, -1)
            and any(records[name][s] != target[name][s] for name in ("n", "v_in", "v_out"))
        ]
        if not moved:
            continue
        for name in ("n", "v_in", "v_out"):
            records[name][moved] = target[name][moved]
        pages.touch(records, np.array([was], np.int64), np.array(moved, np.int64), revision)
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO usage_day_page (page, day, revision, data) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT (page, day) DO UPDATE SET data = excluded.data, revision = excluded.revision",
                [page, day, revision, records.tobytes()],
            )


__all__ = ["Disagreement", "compare", "day_number", "page_numbers", "recount", "verify_page"]
