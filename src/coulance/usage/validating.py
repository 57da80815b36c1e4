"""Judging a batch's rows before any lock is taken: what is taken in, refused by row and field, or put in quarantine."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coulance.usage.blobs import Rows
from coulance.usage.columns import NO_START, Columns, Rejection
from coulance.usage.counting import NO_STARTS, Starts
from coulance.usage.registry import COUNTER, SeriesTable

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]

EARLIEST = 946_684_800
"""1 January 2000: an instant before it is a mistake, not a sample."""
FUTURE_TOLERANCE_S = 300
"""How far a sender's clock may be ahead of ours."""
LARGEST = 2**53
"""The largest delta or level, scaled. Even in bytes no five minutes come near it."""


@dataclass(slots=True)
class Valid:
    """Rows that passed, sorted by series and instant, one each; and how many twins in the batch they replaced."""

    rows: Rows
    positions: NDArray[np.int32]
    same_twins: int
    other_twins: int
    starts: Starts


def validate(
    columns: Columns, table: SeriesTable, *, recorded_at: datetime, kept_from: int | None
) -> tuple[Valid, list[Rejection], Int64s]:
    """(rows to take, rejected rows, row numbers to quarantine) of a batch."""
    faults = list(columns.faults)
    positions = table.positions(columns.keys)[columns.series]
    good = np.ones(len(columns), np.bool_)
    if faults:
        good[[fault.row for fault in faults]] = False

    def refuse(bad: Bools, field: str, reason: str) -> None:
        nonlocal good
        if bad.any():
            now = np.flatnonzero(bad & good)
            faults.extend(Rejection(row, field, reason) for row in now.tolist())
            good = good & ~bad

    at = columns.at
    latest = int(recorded_at.timestamp()) + FUTURE_TOLERANCE_S
    if len(at) and (int(at.min()) < EARLIEST or int(at.max()) > latest):
        refuse(at >= 10**11, "at", "expected epoch seconds; this looks like milliseconds")
        refuse(at < EARLIEST, "at", "before the year 2000; expected epoch seconds")
        refuse(at > latest, "at", f"in the future by more than {FUTURE_TOLERANCE_S} s; check the sender's clock")
    if kept_from is not None and len(at) and int(at.min()) < kept_from:
        refuse(at < kept_from, "at", f"older than the samples that are kept (from epoch second {kept_from})")
    known = positions >= 0
    quarantine = np.flatnonzero(good & ~known)
    good &= known
    use = np.flatnonzero(good)
    v_in, v_out = columns.v_in, columns.v_out
    kinds = table.kind[positions[use]] if len(use) else np.empty(0, np.int8)
    scales = table.scale[positions[use]] if len(use) else np.empty(0, np.int8)
    if columns.texts or scales.any():
        v_in, v_out = _scaled(columns, use, scales, refuse)
    counters = np.zeros(len(columns), np.bool_)
    counters[use] = kinds == COUNTER
    if columns.items is not None:
        refuse(counters & columns.items, "item", "items are counted by a delta or a gauge meter, not by a counter")
        plain = ~counters & ~columns.items
    else:
        plain = ~counters
    if columns.unsigned or (len(v_in) and min(int(v_in.min()), int(v_out.min())) < 0):
        pattern = columns.unsigned
        for values, name in ((v_in, "in"), (v_out, "out")):
            what = "larger than a delta or a level can be" if pattern else "negative; a correction is a new value"
            refuse(plain & (values < 0), name, what)
            if not pattern:
                refuse(counters & (values < 0), name, "negative; a counter's reading never is")
    for values, name in ((v_in, "in"), (v_out, "out")):
        if len(values) and int(values.max()) > LARGEST:
            refuse(plain & (values > LARGEST), name, f"larger than {LARGEST} (scaled), which no interval holds")
    use = np.flatnonzero(good)
    rows = Rows(table.ids[positions[use]], at[use], v_in[use], v_out[use])
    held = positions[use]
    starts = NO_STARTS
    if columns.since is not None:
        starts = _starts_of(rows, columns.since[use], table.kind[held] == COUNTER)
    ordered, order = _ordered(rows)
    twins = (ordered.series[1:] == ordered.series[:-1]) & (ordered.at[1:] == ordered.at[:-1])
    same = other = 0
    held = held[order] if order is not None else held
    if twins.any():
        equal = (ordered.v_in[1:] == ordered.v_in[:-1]) & (ordered.v_out[1:] == ordered.v_out[:-1])
        same, other = int((twins & equal).sum()), int((twins & ~equal).sum())
        keep = np.append(~twins, True)
        ordered, held = ordered.take(keep), held[keep]
    return Valid(ordered, held, same, other, starts), faults, quarantine


def _ordered(rows: Rows) -> tuple[Rows, NDArray[np.intp] | None]:
    """Sorted by series and instant, rows of the batch's order among equals; untouched when sorted already."""
    if len(rows) < 2:
        return rows, None
    low, base = int(rows.series.min()), int(rows.at.min())
    width = (int(rows.at.max()) - base + 1).bit_length()
    if (int(rows.series.max()) - low + 1).bit_length() + width <= 62:
        key = ((rows.series - low) << width) | (rows.at - base)
        if (key[1:] >= key[:-1]).all():
            return rows, None
        order = np.argsort(key, kind="stable")
    else:
        order = np.lexsort((rows.at, rows.series))
    return rows.take(order), order


def _scaled(columns: Columns, use: Int64s, scales: NDArray[np.int8], refuse: Any) -> tuple[Int64s, Int64s]:
    """Both value columns in the meters' stored integers; rows that don't fit are refused."""
    out = []
    power = np.ones(len(columns), np.int64)
    power[use] = 10 ** scales.astype(np.int64)
    mine = np.zeros(len(columns), np.bool_)
    mine[use] = True
    if columns.items is not None:
        power[columns.items] = 1
    for values, name in ((columns.v_in, "in"), (columns.v_out, "out")):
        most = np.iinfo(np.int64).max // power
        over = (values > most) | (values < -most)
        if columns.unsigned:  # the bits of a reading above 2**63, which leaves no room for decimals
            over |= values < 0
        refuse(mine & (power > 1) & over, name, "too large at its meter's scale")
        scaled = np.where(np.abs(values) <= most, values * power, values)
        for row, text in columns.texts.get(name, {}).items():
            if not mine[row]:
                continue
            exact = Decimal(text) * int(power[row])
            one = np.zeros(len(columns), np.bool_)
            one[row] = True
            if exact != exact.to_integral_value():
                digits = len(str(int(power[row]))) - 1
                refuse(one, name, f"{text} is finer than its meter keeps ({digits} decimals)")
            elif abs(exact) >= 2**63:
                refuse(one, name, "too large at its meter's scale")
            else:
                scaled[row] = int(exact)
        out.append(scaled)
    return out[0], out[1]


def _starts_of(rows: Rows, since: Int64s, counters: Bools) -> Starts:
    """The distinct counter starts that the rows bring as evidence."""
    said = np.flatnonzero(counters & (since != NO_START) & (since >= EARLIEST) & (since <= rows.at))
    if not len(said):
        return NO_STARTS
    pairs = np.unique(np.column_stack((rows.series[said], since[said])), axis=0)
    return Starts(pairs[:, 0].copy(), pairs[:, 1].copy())
