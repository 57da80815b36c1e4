"""Draws a `ChartModel` as SVG: the one drawing that page, mail and PDF share.

Colours are presentation attributes, which any style sheet overrides: the console's own gives dark mode by the same
classes. No script, no style element, no outside reference.
"""

from collections.abc import Iterable, Sequence
from functools import singledispatch
from html import escape
from itertools import pairwise

from coulance.invoicing import chart_marks as chart
from coulance.platform.typesetting import glyphs

WIDTH, LEFT, RIGHT, TOP = 720.0, 48.0, 122.0, 26.0
BOTTOM = 20.0
SIZE = 11.0
FONT = "Libertinus Serif"

_INK, _MUTED, _GRID = "#333a45", "#6a7280", "#e3e6ea"
_LINE = {
    chart.Role.USE: "#2a6f97",
    chart.Role.OTHER: "#8d99a6",
    chart.Role.OVER: "#c2410c",
    chart.Role.LIMIT: "#1f2933",
    chart.Role.FIGURE: "#2a6f97",
    chart.Role.FIGURE_OVER: "#c2410c",
    chart.Role.NOT_COUNTED: "#8a6d3b",
    chart.Role.GAP: "#c9ced4",
}
_FILL = _LINE | {
    chart.Role.USE: "#c5dcea",
    chart.Role.OVER: "#f6c7ae",
    chart.Role.NOT_COUNTED: "#e3b778",
    chart.Role.GAP: "#eceef1",
}


def svg(model: chart.ChartModel, *, height: float = 210.0) -> str:
    """The picture as an SVG element, `WIDTH` units wide; a pool's height follows from its rows."""
    if model.pool is not None:
        return _pool(model, model.pool)
    out = [_open(model, height)]
    out.append(_legend(model))
    room = height - TOP - BOTTOM
    between = 16.0 * (len(model.panels) - 1)
    y = TOP
    for panel in model.panels:
        tall = (room - between) * panel.share
        out.append(_Canvas(model, panel, y, tall).draw())
        y += tall + 16.0
    scale = (WIDTH - LEFT - RIGHT) / (model.end - model.start or 1.0)
    for at, label in model.ticks:
        x = LEFT + (at - model.start) * scale
        out.append(_line(x, height - BOTTOM, x, height - BOTTOM + 4, "axis", _GRID))
        out.append(_text(x, height - 5, label, "start" if x < LEFT + 20 else "middle"))
    out.append("</svg>")
    return "".join(out)


def sparkline(model: chart.ChartModel, *, wide: float = 140.0, tall: float = 30.0) -> str:
    """The picture's shape alone, for a row of a list: days or rate, the part beyond the limit in its own colour."""
    alt = escape(glyphs.safe(model.alt), quote=True)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart-spark" viewBox="0 0 {wide:g} {tall:g}" width="{wide:g}"'
        f' height="{tall:g}" role="img" aria-label="{alt}">'
    )
    out = [head]
    if model.panels:
        panel = model.panels[-1]
        scale_x, scale_y = wide / (model.end - model.start or 1.0), (tall - 1) / panel.top
        for mark in panel.marks:
            if isinstance(mark, chart.Bars):
                boxes = "".join(
                    f"M{(a - model.start) * scale_x + 0.4:.1f},{tall - low * scale_y:.1f}V{tall - high * scale_y:.1f}"
                    f"H{(b - model.start) * scale_x - 0.4:.1f}V{tall - low * scale_y:.1f}Z"
                    for a, b, low, high in mark.bars
                )
                out.append(f'<path class="bar {mark.role}" d="{boxes}" fill="{_LINE[mark.role]}"/>')
            elif isinstance(mark, chart.Area) and mark.role is not chart.Role.GAP:
                xy = [((x - model.start) * scale_x, tall - y * scale_y) for x, y in mark.points]
                xy = _stairs(xy) if mark.step else xy
                base = tall - mark.base * scale_y
                shape = f"M{xy[0][0]:.1f},{base:.1f}L{_path(_coarse(xy))}L{xy[-1][0]:.1f},{base:.1f}Z"
                out.append(f'<path class="bar {mark.role}" d="{shape}" fill="{_LINE[mark.role]}"/>')
            elif isinstance(mark, chart.Rule) and mark.role is chart.Role.LIMIT:
                y = tall - min(mark.value, panel.top) * scale_y
                out.append(_line(0, y, wide, y, "rule limit", _LINE[mark.role], 1, "3 2"))
    out.append("</svg>")
    return "".join(out)


def _coarse(xy: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """One point a unit of width, the highest: a row of a list has no room for more."""
    kept: list[tuple[float, float]] = []
    for x, y in xy:
        if kept and int(kept[-1][0]) == int(x):
            kept[-1] = (kept[-1][0], min(kept[-1][1], y))
        else:
            kept.append((x, y))
    return kept


def text_width(text: str, size: float = SIZE) -> float:
    """About how wide a text is; serif and sans differ by less than the margins we keep."""
    narrow = sum(c in "iljtfr.,:;|'()[] \u00a0\u2009\u202f" for c in text)
    wide = sum(c in "mwMW%@" or c > "\u2e80" for c in text)
    return size * (0.5 * (len(text) - narrow - wide) + 0.29 * narrow + 0.85 * wide)


def shorten(text: str, room: float, size: float = SIZE) -> str:
    """`text`, cut with an ellipsis so that it fits in `room`."""
    if text_width(text, size) <= room:
        return text
    while text and text_width(text + "…", size) > room:
        text = text[:-1]
    return text.rstrip() + "…"


def _open(model: chart.ChartModel, height: float) -> str:
    alt = escape(glyphs.safe(model.alt), quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart chart-{model.kind}" viewBox="0 0 {WIDTH:g} {height:g}"'
        f' width="{WIDTH:g}" height="{height:g}" role="img" aria-label="{alt}" font-family="{FONT}"'
        f' font-size="{SIZE:g}" fill="{_INK}">'
    )


def _legend(model: chart.ChartModel) -> str:
    caption = model.panels[0].caption if model.panels else ""
    out, x = [], max(LEFT, text_width(caption) * 1.2 + 12)
    for role, label in model.legend:
        thin = role in (chart.Role.OTHER,)
        if thin:
            out.append(_line(x, 9.5, x + 12, 9.5, f"line {role}", _LINE[role], 1.6))
        else:
            out.append(_rect(x, 4.5, 12, 9, f"fill {role}", _FILL[role], _LINE[role]))
        out.append(_text(x + 17, 13, label, "start", _INK, "legend"))
        x += 17 + text_width(label) * 1.2 + 14  # pages use a wider face than paper
    return "".join(out)


class _Canvas:
    """One panel's place on the drawing, and the marks put on it."""

    def __init__(self, model: chart.ChartModel, panel: chart.Panel, top: float, tall: float) -> None:
        self.panel, self.top, self.tall = panel, top, tall
        self.start = model.start
        self.right = WIDTH - RIGHT
        self.scale_x = (self.right - LEFT) / (model.end - model.start or 1.0)
        self.scale_y = tall / panel.top

    def x(self, at: float) -> float:
        """Where an instant stands."""
        return min(max(LEFT + (at - self.start) * self.scale_x, LEFT), self.right)

    def y(self, value: float) -> float:
        """Where a value stands."""
        return self.top + self.tall - min(max(value, 0.0), self.panel.top) * self.scale_y

    def draw(self) -> str:
        """Grid, marks in their order, rule labels moved apart, axis."""
        bottom = self.top + self.tall
        out = []
        for value, label in self.panel.ticks:
            y = self.y(value)
            out.append(_line(LEFT, y, self.right, y, "grid", _GRID))
            out.append(_text(LEFT - 6, y + 3.6, label, "end"))
        if len(self.panel.ticks) > 1:
            out.append(_text(LEFT - 6, bottom + 3.6, "0", "end"))
            narrow = text_width(self.panel.caption) * 1.2 < LEFT - 6
            out.append(_text(LEFT - 6 if narrow else 0, 13, self.panel.caption, "end" if narrow else "start"))
        else:
            out.append(_text(self.right + 8, bottom - self.tall / 2 + 4, self.panel.caption, "start"))
        out.extend(_draw(mark, self) for mark in self.panel.marks)
        out.append(_line(LEFT, bottom, self.right, bottom, "axis", _MUTED))
        out.extend(self._labels())
        return "".join(out)

    def _labels(self) -> Iterable[str]:
        """Names of rules and brackets in the right margin, spread so that none covers another."""
        wanted: list[tuple[float, str, chart.Role]] = []
        for mark in self.panel.marks:
            if isinstance(mark, chart.Rule):
                wanted.append((self.y(mark.value), mark.label, mark.role))
            elif isinstance(mark, chart.Bracket):
                wanted.append(((self.y(mark.low) + self.y(mark.high)) / 2, mark.label, mark.role))
            elif (
                isinstance(mark, chart.Note)
                and mark.x * self.scale_x >= (self.start * self.scale_x) + (self.right - LEFT) * 0.93
                and not mark.clipped
            ):
                wanted.append((self.y(mark.y), mark.text, mark.role))
        blocks = [(y, _wrap(label, RIGHT - 16), role) for y, label, role in sorted(wanted, key=lambda w: w[0])]
        places = _spread([(y, 12.5 * len(lines) + 2) for y, lines, _ in blocks], self.top - 8, self.top + self.tall + 8)
        for (_, lines, role), middle in zip(blocks, places, strict=True):
            first = middle - 12.5 * (len(lines) - 1) / 2 + 3.6
            for i, text in enumerate(lines):
                out = _text(self.right + 14, first + 12.5 * i, text, "start", _LINE[role], f"label {role}")
                yield out


@singledispatch
def _draw(mark: object, _canvas: _Canvas) -> str:
    raise TypeError(f"no drawing for {type(mark).__name__}")


@_draw.register
def _(mark: chart.Area, canvas: _Canvas) -> str:
    points = _stairs(mark.points) if mark.step else mark.points
    xy = _thin([(canvas.x(x), canvas.y(y)) for x, y in points])
    base = canvas.y(mark.base)
    closed = f"M{xy[0][0]:.1f},{base:.1f}L{_path(xy)}L{xy[-1][0]:.1f},{base:.1f}Z"
    out = f'<path class="fill {mark.role}" d="{closed}" fill="{_FILL[mark.role]}"/>'
    if mark.outline:
        width = 1.6 if len(xy) < 100 and mark.role is not chart.Role.NOT_COUNTED else 0.9
        out += (
            f'<path class="line {mark.role}" d="M{_path(xy)}" fill="none" stroke="{_LINE[mark.role]}"'
            f' stroke-width="{width}" stroke-linejoin="round"/>'
        )
    return out


@_draw.register
def _(mark: chart.Line, canvas: _Canvas) -> str:
    xy = _thin([(canvas.x(p[0]), canvas.y(p[1])) for p in mark.points])
    return (
        f'<path class="line {mark.role}" d="M{_path(xy)}" fill="none" stroke="{_LINE[mark.role]}" stroke-width="0.7"'
        ' stroke-linejoin="round"/>'
    )


@_draw.register
def _(mark: chart.Bars, canvas: _Canvas) -> str:
    path = []
    for start, end, low, high in mark.bars:
        x0, x1 = canvas.x(start), canvas.x(end)
        gap = min(1.2, (x1 - x0) * 0.12)
        if high > low:
            path.append(f"M{x0 + gap:.1f},{canvas.y(low):.1f}V{canvas.y(high):.1f}H{x1 - gap:.1f}V{canvas.y(low):.1f}Z")
    return f'<path class="bar {mark.role}" d="{"".join(path)}" fill="{_LINE[mark.role]}"/>' if path else ""


@_draw.register
def _(mark: chart.Rule, canvas: _Canvas) -> str:
    y = canvas.y(mark.value)
    dash = "5 3" if mark.role is chart.Role.LIMIT else ""
    return _line(LEFT, y, canvas.right + 9, y, f"rule {mark.role}", _LINE[mark.role], 1.4, dash)


@_draw.register
def _(mark: chart.Bracket, canvas: _Canvas) -> str:
    low, high = canvas.y(mark.low), canvas.y(mark.high)
    return _rect(canvas.right + 2, high, 5, max(low - high, 1.0), f"bar {mark.role}", _LINE[mark.role])


@_draw.register
def _(mark: chart.Band, canvas: _Canvas) -> str:
    x0, x1 = canvas.x(mark.start), canvas.x(mark.end)
    return _rect(x0, canvas.top, max(x1 - x0, 0.8), canvas.tall, f"fill {mark.role}", _FILL[mark.role])


@_draw.register
def _(mark: chart.Note, canvas: _Canvas) -> str:
    x, y = canvas.x(mark.x), canvas.y(mark.y)
    colour = _LINE[mark.role]
    if mark.clipped:
        sign = f'<path class="bar {mark.role}" d="M{x - 5:.1f},{y + 1:.1f}h10l-5,-7z" fill="{colour}"/>'
    else:
        sign = f'<circle class="bar {mark.role}" cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' if mark.dot else ""
    if not mark.clipped and x >= canvas.right - (canvas.right - LEFT) * 0.07:
        return sign  # its words stand in the margin
    wide = text_width(mark.text)
    if x - LEFT > wide + 12:
        return sign + _text(x - 8, y - 5 if not mark.clipped else y + 3, mark.text, "end", colour, f"label {mark.role}")
    if mark.clipped:
        return sign + _text(x + 8, y + 3, mark.text, "start", colour, f"label {mark.role}")
    high = canvas.top + 10  # a running total is low at its left: there is room at the top
    leader = _line(x, y, x, high - 6, f"line {mark.role}", colour, 0.6) + _line(
        x, high - 4, x + 5, high - 4, f"line {mark.role}", colour, 0.6
    )
    return leader + sign + _text(x + 8, high, mark.text, "start", colour, f"label {mark.role}")


def _pool(model: chart.ChartModel, pool: chart.Pool) -> str:
    """Members as rows, their sum above them against what is included."""
    row, name_wide = 19.0, 150.0
    top = 24.0
    height = top + 30 + row * len(pool.members) + 6
    left, right = name_wide + 10, WIDTH - 96.0
    most = max(pool.total.value, pool.limit or 0.0) or 1.0
    scale = (right - left) / most
    out = [_open(model, height)]
    limit = pool.limit
    inside = pool.total.value if limit is None else min(pool.total.value, limit)
    out.append(_text(name_wide, top + 14, shorten(pool.total.name, name_wide - 4), "end", _INK, "label strong"))
    out.append(_rect(left, top, inside * scale, 20, "bar use", _LINE[chart.Role.USE]))
    if limit is not None and pool.total.value > limit:
        over = (pool.total.value - limit) * scale
        out.append(_rect(left + limit * scale, top, over, 20, "bar over", _LINE[chart.Role.OVER]))
        out.append(
            _text(
                left + pool.total.value * scale, top - 7, pool.over_label, "end", _LINE[chart.Role.OVER], "label over"
            )
        )
    value_x = left + pool.total.value * scale + 8
    out.append(_text(value_x, top + 14, pool.total.label, "start", _INK, "label strong"))
    if limit is not None:
        x = left + limit * scale
        out.append(_line(x, top - 16, x, top + 24, "rule limit", _LINE[chart.Role.LIMIT], 1.4, "5 3"))
        anchor = "end" if x > (left + right) / 2 else "start"
        label = _LINE[chart.Role.LIMIT]
        out.append(_text(x - 4 if anchor == "end" else x + 4, top - 7, pool.limit_label, anchor, label, "label limit"))
    for i, member in enumerate(pool.members):
        y = top + 30 + row * i
        colour = _MUTED if member.others else _INK
        out.append(_text(name_wide, y + 10.5, shorten(member.name, name_wide - 4), "end", colour))
        out.append(
            _rect(
                left,
                y + 1,
                max(member.value * scale, 0.6),
                12,
                "fill use",
                _FILL[chart.Role.USE],
                _LINE[chart.Role.USE],
            )
        )
        out.append(_text(left + member.value * scale + 7, y + 10.5, member.label, "start", _MUTED))
    out.append("</svg>")
    return "".join(out)


def _wrap(label: str, room: float) -> list[str]:
    """A label on one line, or on two where it is too wide for the margin."""
    if text_width(label) <= room:
        return [label]
    words = label.split(" ")
    for cut in range(len(words) - 1, 0, -1):
        first = " ".join(words[:cut])
        if text_width(first) <= room:
            return [first, shorten(" ".join(words[cut:]), room)]
    return [shorten(label, room)]


def _spread(wanted: Sequence[tuple[float, float]], top: float, bottom: float) -> list[float]:
    """Middles for blocks of (wanted middle, height), in order, kept apart and within top and bottom.

    >>> _spread([(50, 10), (52, 10)], 0, 100)
    [50, 60.0]
    """
    places: list[float] = []
    for (middle, tall), before in zip(wanted, [None, *wanted], strict=False):
        least = top + tall / 2 if before is None else places[-1] + (before[1] + tall) / 2
        places.append(max(middle, least))
    limit = bottom
    for i in range(len(places) - 1, -1, -1):
        places[i] = min(places[i], limit - wanted[i][1] / 2)
        limit = places[i] - wanted[i][1] / 2
    return places


def _stairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    stairs = [points[0]]
    for (_, y0), (x1, y1) in pairwise(points):
        stairs += [(x1, y0), (x1, y1)]
    return stairs


def _thin(xy: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Leaves out the middle of three points on one level: a still line costs two points."""
    return [p for i, p in enumerate(xy) if i in (0, len(xy) - 1) or not xy[i - 1][1] == p[1] == xy[i + 1][1]]


def _path(xy: Sequence[tuple[float, float]]) -> str:
    return "L".join(f"{x:.1f},{y:.1f}" for x, y in xy)


def _text(x: float, y: float, text: str, anchor: str, colour: str = _MUTED, css: str = "tick") -> str:
    shown = escape(glyphs.safe(text), quote=False)
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{shown}</text>'


def _line(x0: float, y0: float, x1: float, y1: float, css: str, colour: str, width: float = 0.8, dash: str = "") -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<path class="{css}" d="M{x0:.1f},{y0:.1f}L{x1:.1f},{y1:.1f}" stroke="{colour}" stroke-width="{width:g}"'
        f' fill="none"{dashes}/>'
    )


def _rect(x: float, y: float, wide: float, tall: float, css: str, colour: str, stroke: str = "") -> str:
    edge = f' stroke="{stroke}" stroke-width="0.6"' if stroke else ""
    return f'<rect class="{css}" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}" fill="{colour}"{edge}/>'
