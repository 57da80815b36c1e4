"""Gaps of a meter that the customer runs: estimated from their own past, flagged, contestable.

The estimate of a missing slot is the lower median of what the same series had in the same civil hour of the week
before the gap; with less than an hour's worth of such slots, of the same hour of the day; with none, nothing is
invented. Past means before the gap, so that an estimate never changes because of what came later.
"""

from zoneinfo import ZoneInfo

import numpy as np

from coulance_core.usage.counters import Flag, byte
from coulance_core.usage.samples import Bools, Ints
from coulance_core.usage.slots import Slots, civil_hours

HISTORY_S = 28 * 86400
"""How far back the past goes: four weeks, if the samples given reach so far."""
CONVENTION = "gap estimated: lower median of the own past four weeks' same hour of the week, else of the day"


def fill_missing(slots: Slots, first: int, zone: ZoneInfo) -> tuple[Slots, Ints]:
    """Fill every slot from number `first` on that has no value; the slots before are the past.

    Returns the filled slots and, of the same shape, the amounts that were estimated.
    """
    amounts = np.zeros_like(slots.value)
    missing = ~slots.present
    missing[:, :first] = False
    rows = np.flatnonzero(missing.any(axis=1))
    if not rows.size:
        return slots, amounts
    hours = civil_hours(slots.grid.ends() - slots.grid.step, zone)
    enough = max(1, 3600 // slots.grid.step)
    for row in rows.tolist():
        _fill_row(amounts[row], slots.value[row], slots.seen[row], missing[row], hours, enough)
    step = slots.grid.step
    rest = np.where(missing, step - np.minimum(slots.covered + slots.filled, step), 0)
    amounts = amounts * rest // step  # a slot half seen is estimated for its other half only
    known = missing & (amounts > 0)
    flags = np.where(missing, slots.flags | byte(Flag.GAP), slots.flags)
    flags = np.where(known, flags | byte(Flag.ESTIMATED), flags).astype(np.uint8)
    filled = np.where(known, slots.filled + rest, slots.filled)
    return Slots(slots.grid, slots.value + amounts, slots.covered, filled, flags), amounts


def _fill_row(out: Ints, value: Ints, seen: Bools, missing: Bools, hours: Ints, enough: int) -> None:
    """Estimate the missing slots of one series into `out`, run by run."""
    places = np.flatnonzero(missing)
    runs = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
    for run in runs:
        start = int(run[0])
        past_value, past_hour = value[:start][seen[:start]], hours[:start][seen[:start]]
        for hour in np.unique(hours[run]).tolist():
            same = past_value[past_hour == hour]
            if same.size < enough:
                same = past_value[past_hour % 24 == hour % 24]
            if same.size:
                out[run[hours[run] == hour]] = lower_median(same)


def lower_median(values: Ints) -> int:
    """The median, of two middle values the lower: a value that really occurred, in the customer's favour.

    >>> lower_median(np.array([9, 1, 5, 7]))
    5
    """
    middle = (values.size - 1) // 2
    return int(np.partition(values, middle)[middle])
