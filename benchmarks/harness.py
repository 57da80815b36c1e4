"""What every benchmark shares: the shape of a result, fair timing, and the table that is printed.

A benchmark is a module of this package with `run() -> list[Result]`. It measures ours and the rival in the same run on
the same data, so that the ratio means something on a noisy machine. Each module runs in a process of its own: the peak
memory it reports is its own.
"""

import gc
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table.

    `ours` and `rival` are speeds in `unit` (more is better) unless `less_is_better`; `goal` is the least ratio that
    counts as met (`None`: shown for information). `at_most` is a bound on `ours` itself where a goal has no rival
    (close within 60 s). `peak_mib` is filled by the harness when left out.
    """

    name: str
    ours: float
    unit: str
    rival_name: str = ""
    rival: float | None = None
    goal: float | None = None
    less_is_better: bool = False
    at_most: float | None = None
    peak_mib: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times better than the rival."""
        if self.rival is None or not self.rival or not self.ours:
            return None
        return self.rival / self.ours if self.less_is_better else self.ours / self.rival

    @property
    def ok(self) -> bool | None:
        """Whether the goal is met; `None` when the line has no goal."""
        checks = []
        if self.goal is not None:
            checks.append(self.ratio is not None and self.ratio >= self.goal)
        if self.at_most is not None:
            checks.append(self.ours <= self.at_most)
        return all(checks) if checks else None


@dataclass(slots=True)
class Watch:
    """Seconds that a `timed()` block took."""

    seconds: float = 0.0


@contextmanager
def timed() -> Iterator[Watch]:
    """`with timed() as watch: ...; watch.seconds`, with the garbage collector emptied before and off meanwhile."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    watch = Watch()
    start = time.perf_counter()
    try:
        yield watch
    finally:
        watch.seconds = time.perf_counter() - start
        if was_on:
            gc.enable()


def best_of(times: int, work: Callable[[], object]) -> float:
    """The least seconds of `times` runs of `work`: what the machine can do when it is not disturbed."""
    least = float("inf")
    for _ in range(times):
        with timed() as watch:
            work()
        least = min(least, watch.seconds)
    return least


def peak_mib() -> float:
    """The most memory this process has held so far, in MiB (Linux gives kilobytes, macOS bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def settings() -> None:
    """Set Django up, for benchmarks that need the shell. Call it before importing models."""
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coulance.config.settings")
    import django

    django.setup()


def rows(results: Sequence[Result]) -> list[dict[str, object]]:
    """Plain values, to cross a process boundary."""
    return [asdict(result) for result in results]


def show_number(value: float | None, unit: str = "") -> str:
    """1234567 as '1.23 M'; three significant digits."""
    if value is None:
        return ""
    for size, prefix in PREFIXES:
        if abs(value) >= size and unit not in ("s", "MiB"):
            return f"{value / size:.3g} {prefix}"
    return f"{value:.3g}"


def table(results: Sequence[Result]) -> str:
    """The results as an aligned text table."""
    head = ("what", "ours", "rival", "", "unit", "ratio", "goal", "met", "peak MiB")
    body = []
    for one in results:
        goal = "" if one.goal is None else f">= {one.goal:g}x"
        if one.at_most is not None:
            goal = f"{goal} <= {one.at_most:g} {one.unit}".strip()
        body.append(
            (
                one.name + (f" ({one.note})" if one.note else ""),
                show_number(one.ours, one.unit),
                show_number(one.rival, one.unit),
                one.rival_name,
                one.unit,
                "" if one.ratio is None else f"{one.ratio:.1f}x",
                goal,
                {True: "yes", False: "NO", None: ""}[one.ok],
                "" if one.peak_mib is None else f"{one.peak_mib:.0f}",
            )
        )
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in [head, *body]]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def here(name: str) -> Path:
    """A scratch folder for a benchmark, inside the project's ignored `var`."""
    folder = Path(__file__).resolve().parent.parent / "var" / "bench" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
