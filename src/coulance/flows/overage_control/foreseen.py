"""What no armed position announces: the allowance will be passed at this pace, and use unlike this service.

Both want the last weeks hour by hour. So that an hourly look at everybody stays cheap, running counters by day say
first of whom it could be true; only their samples are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from fractions import Fraction

import numpy as np

from coulance.flows.overage_control.judging import Judged
from coulance.flows.overage_control.outlook import Outlook, outlooks
from coulance.usage import queries as usage
from coulance_core.catalog.terms import Catalog, Of, Threshold
from coulance_core.kernel import Period, civil_midnight
from coulance_core.overage.pace import HOURS_KNOWN, unusual_now

DAYS = 14
AGAIN_AFTER = timedelta(days=7)
"""Unusual use is told of at most once a week."""
_SOONEST = timedelta(days=1)
"""So long a period must have run before its pace says anything."""


@dataclass(slots=True)
class Foretold:
    """Thresholds to tell of besides those that use has reached, by meter, and the outlooks they rest on."""

    outlooks: dict[str, Outlook] = field(default_factory=dict)
    due: dict[str, list[tuple[Threshold, Fraction]]] = field(default_factory=dict)

    def added(self, one: Judged) -> Judged:
        """The same, with what is foretold of it first: what has happened already is what a message is about."""
        more = self.due.get(one.ref.key)
        return one if not more else replace(one, due=(*more, *one.due))


def foreseen(found: Sequence[Judged], *, catalog: Catalog, at: datetime) -> Foretold:
    """What can be foretold of these allowances and was not told of yet."""
    out = Foretold()
    wanted = [t for t in catalog.overage.warn_at if t.of in (Of.FORECAST, Of.UNUSUAL)]
    sums = [one for one in found if one.counted.kind in ("charge", "pool") and not one.problem]
    if not wanted or not sums:
        return out
    asked: list[tuple[Judged, list[Threshold]]] = []
    busy = _busier(sums, at) if any(t.of is Of.UNUSUAL for t in wanted) else frozenset()
    for i, one in enumerate(sums):
        own = [t for t in wanted if (_may_pass(one, t, at) if t.of is Of.FORECAST else i in busy and _news(one, t, at))]
        if own:
            asked.append((one, own))
    read = outlooks([one for one, _ in asked], catalog=catalog, at=at)
    for (one, own), ahead in zip(asked, read, strict=True):
        out.outlooks[one.ref.key] = ahead
        for threshold in own:
            if threshold.of is Of.FORECAST and ahead.at_end >= threshold.value * one.counted.included:
                out.due.setdefault(one.ref.key, []).append((threshold, one.counted.used))
            elif threshold.of is Of.UNUSUAL and ahead.history.size >= HOURS_KNOWN and unusual_now(ahead.history):
                dated = replace(threshold, key=f"{threshold.key} {_today(one, at).isoformat()}")
                out.due.setdefault(one.ref.key, []).append((dated, one.counted.used))
    return out


def _may_pass(one: Judged, threshold: Threshold, at: datetime) -> bool:
    """Whether a forecast could say so: an even pace leads at least half as far, and nobody was told."""
    c = one.counted
    gone = at - c.part.active.start
    if threshold.key in one.told or c.used >= c.included or not c.included or gone < _SOONEST:
        return False
    whole = c.part.active.end - c.part.active.start
    return c.used * 2 * (whole // timedelta(seconds=1)) >= threshold.value * c.included * (gone // timedelta(seconds=1))


def _news(one: Judged, threshold: Threshold, at: datetime) -> bool:
    """Whether nobody was told of it for a while."""
    told = [key.removeprefix(f"{threshold.key} ") for key in one.told if key.startswith(f"{threshold.key} ")]
    days = [date.fromisoformat(text) for text in told if len(text) == 10]
    return not days or _today(one, at) - max(days) >= AGAIN_AFTER


def _today(one: Judged, at: datetime) -> date:
    return at.astimezone(one.counted.zone).date()


def _busier(found: Sequence[Judged], at: datetime) -> frozenset[int]:
    """Which of these have used more today, or did yesterday, than on their usual day; by counters of days alone."""
    everything = sorted({series for one in found for series in one.counted.series})
    if not everything:
        return frozenset()
    first = min(civil_midnight(_today(one, at) - timedelta(days=DAYS + 1), one.counted.zone) for one in found)
    last = max(civil_midnight(_today(one, at) + timedelta(days=1), one.counted.zone) for one in found)
    rows = usage.daily_counters(series=everything, period=Period(first, last))
    epoch = date(1970, 1, 1)
    place = np.searchsorted(np.array(everything, np.int64), rows.series)
    # Thousands are exact enough to say who is looked at, and never wrap.
    amount = (rows.v_in // 1000 + rows.v_out // 1000).astype(np.int64)
    out = set()
    where = {series: i for i, series in enumerate(everything)}
    for i, one in enumerate(found):
        today = (_today(one, at) - epoch).days
        days = np.zeros(DAYS + 2, np.int64)
        mine = np.isin(place, [where[series] for series in one.counted.series])
        column = rows.day[mine] - (today - DAYS - 1)
        inside = (column >= 0) & (column < DAYS + 2)
        np.add.at(days, column[inside], amount[mine][inside])
        past = days[:-2]
        usual = int(np.median(past[np.flatnonzero(past)[0] :])) if past.any() else 0
        if usual and int(days[-2:].max()) > usual:
            out.add(i)
    return frozenset(out)
