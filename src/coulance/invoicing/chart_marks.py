"""What a picture is made of, before it is drawn: marks on panels, in data units."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a mark stands for; the style sheet and the SVG give it its colour."""

    USE = "use"
    OTHER = "other"
    OVER = "over"
    LIMIT = "limit"
    FIGURE = "figure"
    FIGURE_OVER = "figure-over"
    NOT_COUNTED = "not-counted"
    GAP = "gap"


@dataclass(frozen=True, slots=True)
class Area:
    """A filled shape between `points` and the level `base`; a step holds its value until the next point."""

    points: tuple[tuple[float, float], ...]
    role: Role
    base: float = 0.0
    outline: bool = True
    step: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A line through `points`."""

    points: tuple[tuple[float, float], ...]
    role: Role


@dataclass(frozen=True, slots=True)
class Bars:
    """Upright bars: (from, until, bottom, top) each."""

    bars: tuple[tuple[float, float, float, float], ...]
    role: Role


@dataclass(frozen=True, slots=True)
class Rule:
    """A level line across the panel, named at its right end."""

    value: float
    label: str
    role: Role


@dataclass(frozen=True, slots=True)
class Bracket:
    """The span between two levels at the right edge, named: what was over."""

    low: float
    high: float
    label: str
    role: Role


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of time, shaded from bottom to top."""

    start: float
    end: float
    role: Role


@dataclass(frozen=True, slots=True)
class Note:
    """A point, with words beside it; `clipped` when it stands for a peak beyond the panel's top."""

    x: float
    y: float
    text: str
    role: Role
    clipped: bool = False
    dot: bool = True


Boxes = tuple[tuple[float, float, float, float], ...]
Mark = Area | Line | Bars | Rule | Bracket | Band | Note


@dataclass(frozen=True, slots=True)
class Panel:
    """One set of axes: its share of the height, its top value, ticks (value, label), what it measures, and marks."""

    share: float
    top: float
    ticks: tuple[tuple[float, str], ...]
    caption: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """One row of a pool's picture."""

    name: str
    value: float
    label: str
    others: bool = False


@dataclass(frozen=True, slots=True)
class Pool:
    """Members' shares of what a pool includes together."""

    members: tuple[Member, ...]
    total: Member
    limit: float | None
    limit_label: str
    over_label: str


@dataclass(frozen=True, slots=True)
class ChartModel:
    """A picture before it is drawn: time from `start` to `end` (epoch seconds), panels or a pool, legend, and the same
    said in words (`alt`)."""

    kind: str
    start: float
    end: float
    ticks: tuple[tuple[float, str], ...]
    panels: tuple[Panel, ...]
    legend: tuple[tuple[Role, str], ...]
    alt: str
    pool: Pool | None = None
