"""Use as it went on comes to the figure measured of it: summed, or ranked, by every direction and gap policy."""

from datetime import UTC, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance_core.catalog.terms import Aggregation, Direction, GapPolicy, Measure, Meter, MeterKind, PercentileTerms
from coulance_core.kernel import Period, unit
from coulance_core.usage.aggregate import figures_many
from coulance_core.usage.draws import draws_many
from coulance_core.usage.percentile import percentile
from coulance_core.usage.samples import Samples

START = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp())
HOURS = 48
PERIOD = Period(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 3, tzinfo=UTC))
ZONE = ZoneInfo("Europe/Amsterdam")
STEP = 3600


@st.composite
def worlds(draw: st.DrawFn, kinds: tuple[MeterKind, ...]) -> tuple[MeterKind, GapPolicy, Samples, list[int]]:
    """A few series of a few services, polls missing here and there, some before and after the period."""
    kind = draw(st.sampled_from(kinds))
    gap = draw(st.sampled_from((GapPolicy.ZERO, GapPolicy.SPREAD))) if kind is MeterKind.COUNTER else GapPolicy.ZERO
    series = draw(st.integers(1, 3))
    owners = sorted(draw(st.lists(st.integers(0, 1), min_size=series, max_size=series)))
    at: list[int] = []
    v_in: list[int] = []
    v_out: list[int] = []
    offsets = [0]
    for _ in range(series):
        polls = sorted(draw(st.sets(st.integers(-2, HOURS + 2), max_size=30)))
        into, out = 0, 0
        for poll in polls:
            a, b = draw(st.integers(0, 10**6)), draw(st.integers(0, 10**6))
            into, out = (into + a, out + b) if kind is MeterKind.COUNTER else (a, b)
            at.append(START + poll * STEP)
            v_in.append(into)
            v_out.append(out)
        offsets.append(len(at))
    return kind, gap, Samples(*(np.array(c, np.int64) for c in (at, v_in, v_out, offsets))), owners


def _meter(kind: MeterKind, gap: GapPolicy) -> Meter:
    bits = 64 if kind is MeterKind.COUNTER else None
    return Meter("m", "M", kind, unit("B"), interval_s=STEP, gap=gap, counter_bits=bits)


@settings(max_examples=60, deadline=None)
@given(worlds((MeterKind.DELTA, MeterKind.COUNTER)), st.sampled_from(list(Direction)))
def test_draws_sum_to_the_figure(world: tuple[MeterKind, GapPolicy, Samples, list[int]], direction: Direction) -> None:
    kind, gap, samples, of = world
    measure, meter = Measure("m", Aggregation.SUM, unit("B"), direction=direction), _meter(kind, gap)
    owners = np.array(of, np.int64)
    figures = figures_many(measure, meter, samples, PERIOD, ZONE, owners=owners, count=2)
    for figure, got in zip(
        figures, draws_many(measure, meter, samples, PERIOD, ZONE, owners=owners, figures=figures), strict=True
    ):
        assert sum(got.columns[0].tolist()) * figure.conversion.factor == figure.quantity
        assert (np.diff(got.end) >= 0).all()
        assert ((got.start >= START) & (got.start <= got.end) & (got.end <= START + HOURS * STEP)).all()


@settings(max_examples=60, deadline=None)
@given(worlds((MeterKind.DELTA, MeterKind.COUNTER)), st.sampled_from(list(Direction)))
def test_ranked_samples_rank_to_the_figure(
    world: tuple[MeterKind, GapPolicy, Samples, list[int]], direction: Direction
) -> None:
    kind, gap, samples, of = world
    terms = PercentileTerms()
    measure = Measure("m", Aggregation.PERCENTILE, unit("Mbit/s"), direction=direction, percentile=terms)
    meter, owners = _meter(kind, gap), np.array(of, np.int64)
    figures = figures_many(measure, meter, samples, PERIOD, ZONE, owners=owners, count=2)
    for figure, got in zip(
        figures, draws_many(measure, meter, samples, PERIOD, ZONE, owners=owners, figures=figures), strict=True
    ):
        assert {column.size for column in got.columns} == {got.end.size} == {got.start.size}
        each = [percentile(c, terms, expected=got.expected) if c.size else Fraction(0) for c in got.columns]
        joined = sum(each, Fraction(0)) if got.added else max(each)
        assert joined * figure.conversion.factor == figure.quantity


@settings(max_examples=60, deadline=None)
@given(
    worlds((MeterKind.GAUGE,)),
    st.sampled_from((Aggregation.TIME_WEIGHTED, Aggregation.PEAK, Aggregation.LAST)),
)
def test_levels_come_to_their_figure(
    world: tuple[MeterKind, GapPolicy, Samples, list[int]], aggregation: Aggregation
) -> None:
    _, gap, samples, of = world
    named = "GB-h" if aggregation is Aggregation.TIME_WEIGHTED else "GB"
    measure = Measure("m", aggregation, unit(named), direction=Direction.IN)
    meter, owners = Meter("m", "M", MeterKind.GAUGE, unit("GB"), interval_s=STEP, gap=gap), np.array(of, np.int64)
    figures = figures_many(measure, meter, samples, PERIOD, ZONE, owners=owners, count=2)
    for figure, got in zip(
        figures, draws_many(measure, meter, samples, PERIOD, ZONE, owners=owners, figures=figures), strict=True
    ):
        amounts = got.columns[0].tolist()
        whole = sum(amounts) if aggregation is Aggregation.TIME_WEIGHTED else max(amounts, default=0)
        assert whole * figure.conversion.factor == figure.quantity
        assert (np.diff(got.end) >= 0).all()
        assert ((got.start >= START) & (got.start < got.end) & (got.end <= START + HOURS * STEP)).all()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-5, HOURS + 5), st.integers(1, 4), st.sampled_from((1, -1))),
        max_size=20,
        unique_by=lambda e: e[0],
    )
)
def test_things_are_drawn_when_they_come_first(events: list[tuple[int, int, int]]) -> None:
    rows = sorted(events)
    columns = [[START + hour * STEP for hour, *_ in rows], [item for _, item, _ in rows], [by for *_, by in rows]]
    samples = Samples(*(np.array(c, np.int64) for c in (*columns, [0, len(rows)])))
    measure = Measure("m", Aggregation.UNIQUE_COUNT, unit("seat"))
    meter, owners = Meter("m", "M", MeterKind.GAUGE, unit("seat"), interval_s=STEP), np.array([0], np.int64)
    (figure,) = figures_many(measure, meter, samples, PERIOD, ZONE, owners=owners, count=1)
    (got,) = draws_many(measure, meter, samples, PERIOD, ZONE, owners=owners, figures=[figure])
    assert int(got.columns[0].sum()) == figure.quantity
