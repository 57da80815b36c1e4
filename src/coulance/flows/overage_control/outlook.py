"""What a warning can say beyond where use stands: when the allowance is passed at this pace, and what days brought."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from math import ceil, floor

import numpy as np

from coulance.flows.overage_control.judging import Judged, cost
from coulance.flows.overage_control.samples import samples_together
from coulance_core.catalog.terms import Catalog
from coulance_core.kernel import Money, Period, civil_midnight
from coulance_core.overage.bursts import figure_of
from coulance_core.overage.limit import UnableToLimitError, most
from coulance_core.overage.pace import forecast
from coulance_core.overage.ports import PortStanding
from coulance_core.usage.samples import Ints

_WEEKS = timedelta(days=28)
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Outlook:
    """At this pace: when the allowance is passed (None: not in this period, or it was), and what is used by the end.

    `cost_at_end` is what use past the allowance would come to if all of it were allowed; `charged_at_end` what of it
    the consent in force allows. `days` are the civil days of the period so far with what each brought; of a port each
    day's busiest sample. `history` is what each hour brought up to now, in stored units, from the first use on.
    """

    passes_at: datetime | None
    at_end: Fraction
    cost_at_end: Money
    charged_at_end: Money
    days: tuple[tuple[date, Fraction], ...]
    history: Ints = field(default_factory=lambda: np.zeros(0, np.int64), compare=False)


def outlooks(found: Sequence[Judged], *, catalog: Catalog, at: datetime) -> list[Outlook]:
    """By the last four weeks, hour by hour; the samples of all are read together."""
    if not found:
        return []
    sums = [one for one in found if one.port is None and one.counted.kind != "level"]
    read: Iterator[tuple[Ints, Ints, Ints]] = iter(())
    if sums:
        since = min(min(at - _WEEKS, one.counted.part.active.start) for one in sums)
        read = iter(samples_together([one.counted for one in sums], catalog, Period(since, at)))
    out = []
    for one in found:
        if one.port is not None:
            out.append(_of_port(one, one.port, at))
        elif one.counted.kind == "level":
            out.append(_of_level(one, at))
        else:
            _, end, value = next(read)
            out.append(_outlook(one, end, value, at))
    return out


def _of_level(judged: Judged, at: datetime) -> Outlook:
    """A level times its time goes on as it went; of a peak, or the last level, one can only say that it stays."""
    one, active = judged.counted, judged.counted.part.active
    gone, whole = max((at - active.start) // timedelta(seconds=1), 1), active.seconds
    at_end = one.used if one.drawn is None else one.used * whole / gone
    over = max(at_end - one.included - judged.standing.tolerance, Fraction(0))
    passes = None
    if one.drawn is not None and one.used < one.included < at_end:
        passes = active.start + timedelta(seconds=int(one.included * gone / one.used))
    return Outlook(passes, at_end, cost(over, judged.terms), _charged(judged, over), ())


def _of_port(judged: Judged, standing: PortStanding, at: datetime) -> Outlook:
    """A percentile doesn't grow with the days: at this pace means that the rest of the period is as what was so far."""
    one, port = judged.counted, standing.port
    so_far = replace(port, expected=int(port.end.size))
    at_end = max(figure_of(so_far), one.used)
    over = max(at_end - standing.top, Fraction(0))
    passes = None
    burst, gone = standing.burst, at - one.part.active.start
    if burst.above and one.used < one.included:
        left = max(burst.free - burst.above, 0)
        seconds = left * (gone // timedelta(seconds=1)) // burst.above
        runs_out = at + timedelta(seconds=seconds)
        passes = runs_out if runs_out < one.part.active.end else None
    highest = np.maximum.reduce([*port.columns]) if port.end.size else port.end
    return Outlook(
        passes, at_end, cost(over, judged.terms), _charged(judged, over), _by_day(judged, port.end, highest, at, max)
    )


def outlook(judged: Judged, *, catalog: Catalog, at: datetime) -> Outlook:
    """The same of one."""
    return outlooks([judged], catalog=catalog, at=at)[0]


def _outlook(judged: Judged, end: Ints, value: Ints, at: datetime) -> Outlook:
    one = judged.counted
    began = max(at - _WEEKS, civil_midnight(min(drawing.service.started_on for drawing in one.drawings), one.zone))
    now = int(at.timestamp())
    past = (end > int(began.timestamp())) & (end <= now)
    hours = max((now - int(began.timestamp())) // _HOUR, 0)
    # Whole hours back from now, the last one complete.
    slot = hours - 1 - (now - end[past]) // _HOUR
    known = slot >= 0
    history = np.zeros(hours, np.int64)
    np.add.at(history, slot[known], value[past][known])
    left = max((one.part.active.end - at) // timedelta(hours=1), 0)
    used, included = floor(one.used / one.factor), ceil(one.included / one.factor)
    found = forecast(_trimmed(history), used=used, until=included, hours=left)
    passes = None
    if found.crosses_in and used < included:
        passes = at + timedelta(hours=found.crosses_in)
    at_end = found.at_end * one.factor
    over = max(at_end - one.included - judged.standing.tolerance, Fraction(0))
    return Outlook(
        passes,
        at_end,
        cost(over, judged.terms),
        _charged(judged, over),
        _days(judged, end, value, at),
        _trimmed(history),
    )


def _trimmed(history: np.ndarray) -> np.ndarray:
    """Without the hours before the first use: a new service has no past."""
    seen = np.flatnonzero(history)
    return history[seen[0] :] if seen.size else history[:0]


def _charged(judged: Judged, over: Fraction) -> Money:
    consent = judged.standing.consent
    if consent is None or not judged.standing.verified:
        return judged.cost_now
    try:
        top = most(consent.limit, judged.terms, consent.terms)
    except UnableToLimitError:
        return judged.cost_now
    return max(cost(over if top is None else min(over, top), judged.terms), judged.cost_now)


def _days(judged: Judged, end: np.ndarray, value: np.ndarray, at: datetime) -> tuple[tuple[date, Fraction], ...]:
    return _by_day(judged, end, value, at, sum)


def _by_day(
    judged: Judged, end: np.ndarray, value: np.ndarray, at: datetime, take: Callable[[list[int]], int]
) -> tuple[tuple[date, Fraction], ...]:
    one = judged.counted
    first, last = one.part.active.start.astimezone(one.zone).date(), at.astimezone(one.zone).date()
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    edges = [int(civil_midnight(day, one.zone).timestamp()) for day in [*days, last + timedelta(days=1)]]
    place = np.searchsorted(edges, end, side="left") - 1  # what ends at midnight belongs to the day before
    out = []
    for n, day in enumerate(days):
        own = value[place == n].tolist()
        out.append((day, (take(own) if own else 0) * one.factor))
    return tuple(out)
