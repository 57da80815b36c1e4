"""A small picture of outages: a strip a day, in the reader's zone, for HTML mail and for plain text. Loads nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils.html import escape

from coulance_core.kernel import civil_midnight

MOST_DAYS = 7
_CELLS = 48
"""Characters of a day's strip in plain text: half an hour each."""
_LEAST = 0.6
"""Percent of a strip that an outage takes at least, so that a short one is seen."""
_UP, _DOWN = "#8fb39b", "#b3261e"


@dataclass(frozen=True, slots=True)
class Strip:
    """A day, and when in it (as parts of the day, between 0 and 1) it was down."""

    day: date
    down: tuple[tuple[float, float], ...]


def strips(outages: Sequence[Mapping[str, str]], zone: ZoneInfo) -> list[Strip]:
    """The days with outages (`since`, `until` in ISO 8601), the first few, in a zone."""
    spans = sorted((datetime.fromisoformat(one["since"]), datetime.fromisoformat(one["until"])) for one in outages)
    days: dict[date, list[tuple[float, float]]] = {}
    for since, until in spans:
        day = since.astimezone(zone).date()
        while (start := civil_midnight(day, zone)) < until:
            end = civil_midnight(day + timedelta(days=1), zone)
            if day not in days and len(days) == MOST_DAYS:
                break
            whole = (end - start).total_seconds()
            low, high = (((min(max(at, start), end) - start).total_seconds() / whole) for at in (since, until))
            days.setdefault(day, []).append((low, high))
            day += timedelta(days=1)
    return [Strip(day, tuple(parts)) for day, parts in sorted(days.items())]


def as_text(rows: Sequence[Strip]) -> str:
    """A line a day, a character each half hour.

    >>> print(as_text([Strip(date(2026, 10, 5), ((0.5, 0.52),))]))
    2026-10-05  0h ························#······················· 24h
    """
    return "\n".join(f"{row.day.isoformat()}  0h {_line(row)} 24h" for row in rows)


def _line(row: Strip) -> str:
    cells = ["·"] * _CELLS
    for low, high in row.down:
        last = min(_CELLS, max(int(low * _CELLS) + 1, int(-(-(high * _CELLS) // 1)) if high - low > 1 / _CELLS else 0))
        for n in range(int(low * _CELLS), last):
            cells[n] = "#"
    return "".join(cells)


def as_html(rows: Sequence[Strip], label: str) -> str:
    """The same as tables, which every mail program shows: `label` is what those read who don't see it."""
    if not rows:
        return ""
    lines = "".join(
        f'<tr><td style="padding:2px 10px 2px 0;white-space:nowrap;width:1%">{row.day.isoformat()}</td>'
        f'<td style="padding:2px 0">{_bar(row)}</td></tr>'
        for row in rows
    )
    return (
        f'<table role="img" aria-label="{escape(label)}" width="100%" cellspacing="0" cellpadding="0"'
        f' style="border-collapse:collapse;margin:0 0 14px;font-size:13px">{lines}'
        '<tr><td></td><td><table role="presentation" width="100%" cellspacing="0" cellpadding="0"><tr>'
        '<td align="left">0:00</td><td align="center">12:00</td><td align="right">24:00</td></tr></table></td></tr>'
        "</table>"
    )


def _bar(row: Strip) -> str:
    cells, at = [], 0.0
    for low, high in row.down:
        start = max(at, min(low * 100, 100 - _LEAST))
        end = min(100.0, max(high * 100, start + _LEAST))
        if start > at:
            cells.append((_UP, start - at))
        cells.append((_DOWN, end - start))
        at = end
    if at < 100:
        cells.append((_UP, 100 - at))
    drawn = "".join(
        f'<td bgcolor="{colour}" style="background:{colour};width:{width:.2f}%;height:14px;font-size:0">&nbsp;</td>'
        for colour, width in cells
        if width > 0
    )
    return (
        '<table role="presentation" width="100%" cellspacing="0" cellpadding="0"'
        f' style="border-collapse:collapse;table-layout:fixed"><tr>{drawn}</tr></table>'
    )
