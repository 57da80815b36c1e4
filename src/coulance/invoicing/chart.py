"""Usage pictures: what a picture says, decided once, from a snapshot's usage item.

`model(item)` turns one usage item of a document into a `ChartModel`: panels, scales, marks and labels in data units.
`coulance.invoicing.svg` draws it, and that one drawing is what page, mail and PDF show. Pictures are drawn in floats;
no figure is ever taken from one.

Kinds: *quota* (a sum against an allowance: the running total above, each day below), *rate* (a percentile port with
commit and percentile lines), *level* (storage, seats: a level against what is included), *pool* (members' shares).
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from math import floor, log10
from typing import Any
from zoneinfo import ZoneInfo

from coulance.invoicing.chart_marks import (
    Area,
    Band,
    Bars,
    Boxes,
    Bracket,
    ChartModel,
    Line,
    Mark,
    Member,
    Note,
    Panel,
    Pool,
    Role,
    Rule,
)
from coulance.invoicing.chart_points import MOST_POINTS, Points, daily_points, day_starts, level_points, rate_points
from coulance.invoicing.documents.words import Words
from coulance_core.kernel import exact

__all__ = ["MOST_POINTS", "ChartModel", "Role", "daily_points", "level_points", "model", "pool", "rate_points"]


LONGEST_DAY_S = 25 * 3600.0
"""A civil day with its clock put back: a bar is no longer than that when the next day has no samples."""


def model(item: Mapping[str, Any], *, zone: ZoneInfo, language: str = "en") -> ChartModel | None:
    """The picture of one usage item, or `None` when the item has no points.

    `item` is as a document's snapshot holds it: `chart` (kind, unit, points), `measure`, `allowance`, `commit`,
    `used`, `overage`, `unit`, `period`, `percentile`. Nothing else is read.
    """
    words = Words.of(language)
    points = [[_number(v) or 0.0 for v in p] for p in (item.get("chart") or {}).get("points") or ()]
    if not points:
        return None
    facts = _Facts(item, points, zone, words)
    kind = item["chart"].get("kind", "daily")
    if kind == "rate":
        return _rate(facts)
    if kind == "level" or facts.aggregation in ("time_weighted", "peak", "last", "unique_count"):
        return _level(facts)
    return _quota(facts)


class _Facts:
    """The item's facts as numbers, and the words to say them."""

    def __init__(self, item: Mapping[str, Any], points: Points, zone: ZoneInfo, words: Words) -> None:
        self.words, self.zone = words, zone
        measure = item.get("measure")
        self.direction = measure.get("direction", "") if isinstance(measure, Mapping) else ""
        self.aggregation = measure.get("aggregation", "") if isinstance(measure, Mapping) else ""
        drawn = str(item["chart"].get("unit") or item.get("unit") or "")
        self.unit = str(item.get("unit") or drawn)
        self.place = _place(self.unit, drawn, item.get("period") or {}, zone)
        """Where a figure stands on the picture's scale: 1 in one unit, the time's share for a level kept over time."""
        if self.place is None:  # units that can't be compared: the picture without its lines
            self.unit, self.place = drawn, 1.0
            item = {k: v for k, v in item.items() if k not in ("allowance", "commit", "used", "overage", "percentile")}
        if item.get("pool"):  # what it includes is shared: the pool's own picture has the limit
            item = {k: v for k, v in item.items() if k not in ("allowance", "commit", "overage")}
        self.caption = words.unit(drawn)
        self.limit = _number(item.get("allowance"))
        self.limit_key = "chart_allowance"
        if self.limit is None or (_number(item.get("commit")) or 0) > self.limit:
            self.limit, self.limit_key = _number(item.get("commit")), "chart_commit"
        self.used = _number(item.get("used"))
        self.over = _number(item.get("overage")) or 0.0
        self.percentile: Mapping[str, Any] = item.get("percentile") or {}
        self.times = [p[0] for p in points]
        self.v_in = [p[1] for p in points]
        self.v_out = [p[2] if len(p) > 2 else 0.0 for p in points]
        if not any(self.v_out):
            self.v_out = self.v_in
            self.single = True
        elif not any(self.v_in):
            self.v_in = self.v_out
            self.single = True
        else:
            self.single = False
        self.counted = [p[3] for p in points] if all(len(p) > 3 for p in points) else self._counted()
        period = item.get("period") or {}
        step = min((b - a for a, b in pairwise(self.times)), default=86400.0) or 86400.0
        self.step = step
        self.start = min(_epoch(period.get("start"), zone, self.times[0]), self.times[0])
        self.end = max(_epoch(period.get("end"), zone, self.times[-1] + step), self.times[-1] + min(step, 3600.0))

    def _counted(self) -> list[float]:
        if self.single or self.direction == "in":
            return self.v_in
        pairs = list(zip(self.v_in, self.v_out, strict=True))
        match self.direction:
            case "both" | "sum_of_both":
                return [a + b for a, b in pairs]
            case "sample_max":
                return [max(a, b) for a, b in pairs]
            case "greater":
                return self.v_in if self._greater_is_in() else self.v_out
        return self.v_out

    def _greater_is_in(self) -> bool:
        """Whether the incoming direction is the greater: by its 95th for a rate, by its sum otherwise."""
        if self.aggregation == "percentile":
            return _percentile(self.v_in) > _percentile(self.v_out)
        return sum(self.v_in) > sum(self.v_out)

    def other(self) -> tuple[list[float], str] | None:
        """The direction that is not counted, to be drawn thinly, with its name."""
        if self.single or self.direction in ("both", "sum_of_both", "sample_max"):
            return None
        if self.counted is self.v_in:
            return self.v_out, self.words("chart_out")
        return self.v_in, self.words("chart_in")

    def counted_name(self) -> str:
        """What the drawn line shows: a direction where there are two."""
        if self.single:
            return self.words("chart_used") if self.aggregation == "sum" else self.words("chart_level")
        if self.counted is self.v_in:
            return self.words("chart_in")
        if self.counted is self.v_out:
            return self.words("chart_out")
        return self.words(f"direction_{self.direction}") if self.direction else self.words("chart_level")

    def say(self, value: float, decimals: int | None = None) -> str:
        """A value with its unit, with as many decimals as its size wants."""
        if decimals is None:
            decimals = 0 if value >= 100_000 or value == int(value) else 1 if value >= 10 else 2
        return self.words.amount_of(Fraction(value).limit_denominator(10**6), self.unit, decimals)

    def when(self, epoch: float) -> str:
        """An instant's civil day, as the axis says it."""
        return self.words.short_day(datetime.fromtimestamp(epoch, self.zone))

    def time_ticks(self) -> tuple[tuple[float, str], ...]:
        """Every seventh day of a month, every month of a year, every six hours of a day."""
        start, end = datetime.fromtimestamp(self.start, self.zone), self.end
        days = (self.end - self.start) / 86400
        if days <= 2.5:
            hours = [start.replace(minute=0, second=0) + timedelta(hours=h) for h in range(0, 61, 6)]
            return tuple((h.timestamp(), f"{h:%H:%M}") for h in hours if self.start <= h.timestamp() < end)
        every = 1 if days <= 10 else 7 if days <= 45 else 30
        midnights = day_starts(int(self.start), int(end), self.zone)
        return tuple((float(t), self.when(t)) for t in midnights[::every] if t >= self.start)

    def legend(self, *entries: tuple[Role, str]) -> tuple[tuple[Role, str], ...]:
        """Legend entries without the empty ones."""
        return tuple(e for e in entries if e[1])


def _quota(f: _Facts) -> ChartModel:
    """A running total against what is included, above the days that made it."""
    total, running = 0.0, [(f.start, 0.0)]
    days: list[tuple[float, float, float]] = []
    for i, (t, value) in enumerate(zip(f.times, f.counted, strict=True)):
        until = min(f.times[i + 1] if i + 1 < len(f.times) else f.end, t + LONGEST_DAY_S, f.end)
        if total and running[-1][0] < t:
            running.append((t, total))  # a day without samples adds nothing
        total += value
        running.append((max(until, t + 1), total))
        days.append((t, until, value))
    marks: list[Mark] = []
    crossing = None
    limit = f.limit
    if limit is not None and total > limit:
        crossing = _crossing(running, limit)
    below = tuple((x, min(y, limit) if limit is not None else y) for x, y in _split(running, limit))
    marks.append(Area(below, Role.USE))
    if crossing is not None and limit is not None:
        above = ((crossing, limit), *((x, y) for x, y in running if x > crossing))
        marks.append(Area(above, Role.OVER, base=limit))
    if limit is not None:
        marks.append(Rule(limit, f.words(f.limit_key, value=f.say(limit)), Role.LIMIT))
    used = f.used if f.used is not None else total
    marks.append(Note(running[-1][0], total, f.say(used), Role.OVER if crossing else Role.USE))
    if crossing is not None and limit is not None and crossing > f.start:
        marks.append(Note(crossing, limit, f.words("chart_crossed", when=f.when(crossing)), Role.LIMIT))
    high = max(total, limit or 0.0) * 1.1 or 1.0
    ticks = _value_ticks(high, 4)
    main = Panel(0.7, high, tuple((v, f.words.number(Fraction(v))) for v in ticks), f.caption, tuple(marks))
    normal, late = _day_bars(days, limit)
    day_high = max((v for _, _, v in days), default=0.0)
    strip_marks: tuple[Mark, ...] = tuple(Bars(b, r) for b, r in ((normal, Role.USE), (late, Role.OVER)) if b)
    day_ticks = ((day_high, f.words.number(Fraction(day_high), 0 if day_high >= 10 else 2)),) if day_high else ()
    strip = Panel(0.3, day_high * 1.05 or 1.0, day_ticks, f.words("chart_day"), strip_marks)
    over = f.over or (total - limit if crossing is not None and limit is not None else 0.0)
    legend = f.legend(
        (Role.USE, f.words("chart_used")),
        (Role.OVER, f.words("chart_over", value=f.say(over)) if over and crossing else ""),
    )
    alt = _alt(f, used, limit, over, crossing)
    return ChartModel("quota", f.start, f.end, f.time_ticks(), (main, strip), legend, alt)


def _day_bars(days: Sequence[tuple[float, float, float]], limit: float | None) -> tuple[Boxes, Boxes]:
    """Each day's bar, its part within the limit apart from its part beyond it."""
    within: list[tuple[float, float, float, float]] = []
    beyond: list[tuple[float, float, float, float]] = []
    left = limit
    for start, end, value in days:
        fits = value if left is None else min(value, left)
        left = None if left is None else left - fits
        within.append((start, end, 0.0, fits))
        beyond.append((start, end, fits, value))
    return tuple(b for b in within if b[3] > 0), tuple(b for b in beyond if b[3] > b[2])


def _rate(f: _Facts) -> ChartModel:
    """A port's rate, with the commit, the percentile that is billed, and the samples above it that are not."""
    figure = _number(f.percentile.get("value"))
    if figure is None:
        figure = f.used
    limit = f.limit
    points = list(zip(f.times, f.counted, strict=True))
    other = f.other()
    every = points + (list(zip(f.times, other[0], strict=True)) if other else [])
    peak_at, tallest = max(every, key=lambda p: p[1])
    reference = max(figure or 0.0, limit or 0.0, _percentile(f.counted, 0.97)) or tallest or 1.0
    clipped = tallest > 3 * reference
    high = 1.6 * reference if clipped else max(tallest, reference) * 1.1
    gaps = _gaps(f)
    marks: list[Mark] = [Band(a, b, Role.GAP) for a, b in gaps]
    runs = _runs(points, gaps, f)
    marks += [Area(tuple((x, min(y, high)) for x, y in run), Role.USE) for run in runs]
    if other:
        other_runs = _runs(list(zip(f.times, other[0], strict=True)), gaps, f)
        marks += [Line(tuple((x, min(y, high)) for x, y in run), Role.OTHER) for run in other_runs]
    over = f.over if f.over else max(0.0, (figure or 0.0) - (limit or 0.0)) if limit is not None else 0.0
    figure_role = Role.FIGURE_OVER if over else Role.FIGURE
    if figure is not None:
        for run in runs:
            parts = _above([(x, min(y, high)) for x, y in run], figure)
            marks += [Area(part, Role.NOT_COUNTED, base=figure) for part in parts]
    if limit is not None:
        marks.append(Rule(limit, f.words(f.limit_key, value=f.say(limit)), Role.LIMIT))
    if figure is not None:
        key = "chart_percentile" if f.aggregation in ("percentile", "") else "chart_peak"
        marks.append(Rule(figure, f.words(key, value=f.say(figure)), figure_role))
        if over and limit is not None:
            marks.append(Bracket(limit, figure, f.words("chart_over", value=f.say(over)), Role.OVER))
    if clipped:
        named = f.words("chart_peak_at", value=f.say(tallest), when=f.when(peak_at))
        marks.append(Note(peak_at, high, named, Role.NOT_COUNTED, clipped=True))
    dropped = f.percentile.get("dropped")
    not_counted = ""
    if figure is not None and f.aggregation in ("percentile", ""):
        not_counted = f.words("chart_dropped_n", count=dropped) if dropped else f.words("chart_dropped")
    legend = f.legend(
        (Role.USE, f.counted_name()),
        (Role.OTHER, other[1] if other else ""),
        (Role.NOT_COUNTED, not_counted),
        (Role.GAP, f.words("chart_gap") if gaps else ""),
    )
    ticks = tuple((v, f.words.number(Fraction(v))) for v in _value_ticks(high, 5))
    panel = Panel(1.0, high, ticks, f.caption, tuple(marks))
    alt = _alt(f, figure, limit, over, None)
    return ChartModel("rate", f.start, f.end, f.time_ticks(), (panel,), legend, alt)


def _level(f: _Facts) -> ChartModel:
    """A level over time (storage, seats) against what is included."""
    gaps = _gaps(f)
    points = list(zip(f.times, f.counted, strict=True))
    limit, figure = f.limit, f.used
    over = f.over
    place = f.place or 1.0
    lines = [(limit or 0.0) * place, (figure or 0.0) * place]
    high = max([y for _, y in points] + lines) * 1.12 or 1.0
    marks: list[Mark] = [Band(a, b, Role.GAP) for a, b in gaps]
    for run in _runs(points, gaps, f):
        steps = tuple(run)
        marks.append(Area(steps, Role.USE, step=True))
        if limit is not None:
            parts = _above(_stairs(steps), limit * place)
            marks += [Area(part, Role.OVER, base=limit * place, outline=False) for part in parts]
    if limit is not None:
        marks.append(Rule(limit * place, f.words(f.limit_key, value=f.say(limit)), Role.LIMIT))
    if figure is not None:
        key = {"time_weighted": "chart_average", "peak": "chart_peak"}.get(f.aggregation, "used_plain")
        said = {"used": f.say(figure)} if key == "used_plain" else {"value": f.say(figure)}
        marks.append(Rule(figure * place, f.words(key, **said), Role.FIGURE_OVER if over else Role.FIGURE))
        if over and limit is not None:
            marks.append(Bracket(limit * place, figure * place, f.words("chart_over", value=f.say(over)), Role.OVER))
    ticks = tuple((v, f.words.number(Fraction(v))) for v in _value_ticks(high, 5))
    legend = f.legend(
        (Role.USE, f.counted_name()),
        (Role.GAP, f.words("chart_gap") if gaps else ""),
    )
    panel = Panel(1.0, high, ticks, f.caption, tuple(marks))
    return ChartModel("level", f.start, f.end, f.time_ticks(), (panel,), legend, _alt(f, figure, limit, over, None))


def pool(items: Sequence[Mapping[str, Any]], *, name: str, language: str = "en", rows: int = 8) -> ChartModel | None:
    """The picture of one pool from its members' usage items: what each used, against what they include together.

    Gives `None` when fewer than two members have a figure, or their units differ.
    """
    words = Words.of(language)
    used = [(_service_name(i), _number(i.get("used")) or 0.0) for i in items]
    units = {i.get("unit") or "" for i in items}
    if len(used) < 2 or len(units) != 1:
        return None
    unit = units.pop()

    def say(value: float) -> str:
        return words.amount_of(Fraction(value).limit_denominator(10**6), unit, 1 if value < 1000 else 0)

    given = next((i for i in items if _number(i.get("pool_allowance")) is not None), None)
    limits = [_number(i.get("allowance")) for i in items]
    limit = _number(given["pool_allowance"]) if given else sum(v or 0.0 for v in limits) if any(limits) else None
    total = sum(v for _, v in used)
    used.sort(key=lambda row: (-row[1], row[0]))
    shown = used if len(used) <= rows else used[: rows - 1]
    members = [Member(n, v, say(v)) for n, v in shown]
    if len(used) > len(shown):
        rest = used[len(shown) :]
        value = sum(v for _, v in rest)
        members.append(Member(words("chart_members", count=len(rest)), value, say(value), others=True))
    over = max(0.0, total - limit) if limit is not None else 0.0
    picture = Pool(
        tuple(members),
        Member(words("pool", name=name), total, say(total)),
        limit,
        words("chart_allowance", value=say(limit)) if limit is not None else "",
        words("chart_over", value=say(over)) if over else "",
    )
    shares = ", ".join(f"{m.name} {m.label}" for m in members)
    alt = f"{picture.total.name}: {picture.total.label}; {picture.limit_label}; {picture.over_label}; {shares}."
    return ChartModel("pool", 0.0, 1.0, (), (), (), alt, picture)


# --- helpers ------------------------------------------------------------------------------------------------------


def _place(unit: str, drawn: str, period: Mapping[str, Any], zone: ZoneInfo) -> float | None:
    """What turns a figure in `unit` into a height in `drawn`: 1 when they are one unit, a mean level for GB-months."""
    if unit == drawn:
        return 1.0
    level, _, time = unit.rpartition("-")
    start, end = _epoch(period.get("start"), zone, 0.0), _epoch(period.get("end"), zone, 0.0)
    if level != drawn or time not in _TIMES or end <= start:
        return None
    return _TIMES[time] / (end - start)


_TIMES = {"s": 1.0, "h": 3600.0, "day": 86400.0, "month": 730 * 3600.0}


def _service_name(item: Mapping[str, Any]) -> str:
    service = item.get("service")
    return str((service or {}).get("name") or item.get("charge") or "–")


def _alt(f: _Facts, figure: float | None, limit: float | None, over: float, crossing: float | None) -> str:
    said = [f.words("used_plain", used=f.say(figure))] if figure is not None else []
    if limit is not None:
        said.append(f.words(f.limit_key, value=f.say(limit)))
    if over:
        said.append(f.words("chart_over", value=f.say(over)))
    if crossing is not None and crossing > f.start:
        said.append(f.words("chart_crossed", when=f.when(crossing)))
    return "; ".join(said)


def _number(value: object) -> float | None:
    if value is None or value == "":
        return None
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(exact(str(value)))
    except ValueError:
        return None


def _epoch(value: object, zone: ZoneInfo, default: float) -> float:
    if isinstance(value, int | float):
        return float(value)
    if not isinstance(value, str) or not value:
        return default
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        return default
    return (instant.replace(tzinfo=zone) if instant.tzinfo is None else instant).timestamp()


def _value_ticks(high: float, most: int) -> list[float]:
    """Round values from above zero up to `high`, at most `most` of them, at 1, 2 or 5 times a power of ten.

    >>> _value_ticks(1553, 4), _value_ticks(0.9, 4), _value_ticks(7, 5)
    ([500.0, 1000.0, 1500.0], [0.2, 0.4, 0.6, 0.8], [2.0, 4.0, 6.0])
    """
    power = 10.0 ** floor(log10(high))
    steps = [m * power * s for s in (0.1, 1) for m in (1, 2, 5)] + [10 * power]
    step = next(s for s in steps if high / s <= most + 0.999)
    return [round(step * i, 10) for i in range(1, int(high / step + 1e-9) + 1)]


def _percentile(values: Sequence[float], share: float = 0.95) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _crossing(running: Sequence[tuple[float, float]], limit: float) -> float:
    """The instant at which a rising line first passes `limit`."""
    i = max(1, bisect_left([y for _, y in running], limit))
    (x0, y0), (x1, y1) = running[i - 1], running[i]
    return x0 + (x1 - x0) * ((limit - y0) / (y1 - y0) if y1 > y0 else 0.0)


def _split(running: Sequence[tuple[float, float]], limit: float | None) -> list[tuple[float, float]]:
    if limit is None or running[-1][1] <= limit:
        return list(running)
    at = _crossing(running, limit)
    return [p for p in running if p[1] < limit] + [(at, limit), (running[-1][0], limit)]


def _gaps(f: _Facts) -> list[tuple[float, float]]:
    """Where points are missing for more than two and a half steps, the period's own ends included."""
    if len(f.times) < 3:
        return []
    usual = sorted(b - a for a, b in pairwise(f.times))[len(f.times) // 2 - 1]
    edges = [f.start - usual, *f.times, f.end]
    found = [(a + usual, b) for a, b in pairwise(edges) if b - a > 2.5 * usual]
    return [(max(a, f.start), b) for a, b in found]


def _runs(
    points: Sequence[tuple[float, float]], gaps: Sequence[tuple[float, float]], f: _Facts
) -> list[list[tuple[float, float]]]:
    """`points` cut at the gaps; each run holds its last value until the gap begins."""
    starts = [a for a, _ in gaps]
    runs: list[list[tuple[float, float]]] = []
    before = -1
    for x, y in points:
        group = bisect_left(starts, x + 1e-6)
        if group != before:
            runs.append([])
            before = group
        runs[-1].append((x, y))
    for run in runs:
        x, y = run[-1]
        later = [a for a in starts if a > x]
        run.append((min([x + f.step, f.end, *later]), y))
    return runs


def _stairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    stairs = [points[0]]
    for (_, y0), (x1, y1) in pairwise(points):
        stairs += [(x1, y0), (x1, y1)]
    return stairs


def _above(points: Sequence[tuple[float, float]], level: float) -> list[tuple[tuple[float, float], ...]]:
    """The parts of a line that lie above `level`, each closed at the crossings."""
    parts: list[tuple[tuple[float, float], ...]] = []
    part: list[tuple[float, float]] = []
    before: tuple[float, float] | None = None
    for x, y in points:
        if before is not None and (before[1] > level) != (y > level):
            at = before[0] + (x - before[0]) * (level - before[1]) / (y - before[1])
            part.append((at, level))
            if y <= level:
                parts.append(tuple(part))
                part = []
        if y > level:
            part.append((x, y))
        before = (x, y)
    if len(part) > 1:
        parts.append(tuple(part))
    return parts
