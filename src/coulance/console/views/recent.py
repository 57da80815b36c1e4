"""What a service's series counted lately, straight from the running counters: also before any period is closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from coulance.catalog import queries as catalog
from coulance.services.queries import SeriesRow
from coulance.usage import queries as usage
from coulance_core.catalog.meters import Meter, MeterKind
from coulance_core.kernel import Dimension, Period, civil_midnight

DAYS = 31
"""Days that are shown, today included."""
MOST_SERIES = 12
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).date()
_SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


@dataclass(frozen=True, slots=True)
class Recent:
    """One series' last days: a picture as a usage item without limits, when it was last heard of, samples today."""

    series: SeriesRow
    item: dict[str, Any] | None
    last_at: datetime | None


def recent(series: Sequence[SeriesRow], *, zone: str, at: datetime) -> list[Recent]:
    """The last `DAYS` civil days of each series until `at`; at most `MOST_SERIES` of them."""
    shown = list(series[:MOST_SERIES])
    if not shown:
        return []
    try:
        meters = catalog.catalog().meters
    except catalog.UnableToFindCatalogError:
        return []
    where = ZoneInfo(zone)
    today = at.astimezone(where).date()
    period = Period(civil_midnight(today - timedelta(days=DAYS - 1), where), at)
    ids = [row.id for row in shown]
    days, state = usage.daily_counters(series=ids, period=period), usage.series_state(series=ids)
    last = dict(zip(state.series.tolist(), state.last_at.tolist(), strict=True))
    found = []
    for row in shown:
        mine = days.series == row.id
        meter = meters.get(row.meter)
        points = [
            (int(day), int(n), int(low), int(high))
            for day, n, low, high in zip(days.day[mine], days.n[mine], days.v_in[mine], days.v_out[mine], strict=True)
        ]
        heard = last.get(row.id, np.iinfo(np.int64).min)
        seen = datetime.fromtimestamp(heard, where) if heard > 0 else None
        found.append(Recent(row, _item(meter, points, period, where) if meter and points else None, seen))
    return found


def _item(meter: Meter, days: Sequence[tuple[int, int, int, int]], period: Period, zone: ZoneInfo) -> dict[str, Any]:
    gauge = meter.kind is MeterKind.GAUGE
    divisor, unit = float(10**meter.scale), meter.unit.name
    if meter.unit.dimension is Dimension.DATA:
        most = max(max(v_in, v_out) for _, _, v_in, v_out in days) / divisor * float(meter.unit.size)
        size, unit = next(((s, u) for s, u in _SIZES if most >= s), (1.0, "B"))
        divisor *= size / float(meter.unit.size)
    points = []
    for day, n, v_in, v_out in days:
        start = civil_midnight(_EPOCH + timedelta(days=day), zone)
        each = divisor * (n if gauge else 1)  # a gauge's counter adds its levels up: their mean is the day's level
        points.append([int(start.timestamp()), v_in / each, v_out / each])
    return {
        "charge": meter.name,
        "unit": unit,
        "measure": {"aggregation": "time_weighted" if gauge else "sum", "direction": "both"},
        "period": {"start": period.start.isoformat(), "end": period.end.isoformat()},
        "samples": sum(n for _, n, _, _ in days),
        "chart": {"kind": "level" if gauge else "daily", "unit": unit, "points": points},
    }
