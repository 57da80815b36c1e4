"""The samples behind what was counted: how an allowance was drawn on, interval by interval."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from coulance.flows.closing.measuring import lead_seconds, trail_seconds
from coulance.flows.overage_control.counted import Counted, Drawing
from coulance.usage import queries as usage
from coulance_core.catalog.terms import Catalog, Direction
from coulance_core.kernel import Period
from coulance_core.overage.settle import Draws
from coulance_core.usage.job import direction_of, read_deltas
from coulance_core.usage.samples import Ints, Samples


def draws_of(one: Counted, catalog: Catalog, at: datetime) -> tuple[Draws, ...]:
    """What each part that draws on an allowance drew up to an instant, sample by sample."""
    out = []
    for drawing in one.drawings:
        active = drawing.part.active
        if active.start >= at:
            continue
        period = Period(active.start, min(active.end, at))
        ((start, end, value),) = drawings_together([drawing], catalog, period)
        inside = (end > int(period.start.timestamp())) & (end <= int(active.end.timestamp()))
        order = np.argsort(end[inside], kind="stable")
        out.append(
            Draws.of(
                drawing.service.external_id, start[inside][order], end[inside][order], value[inside][order],
                drawing.factor,
            )
        )  # fmt: skip
    return tuple(out)


def samples_together(found: Sequence[Counted], catalog: Catalog, period: Period) -> list[tuple[Ints, Ints, Ints]]:
    """(start, end, amount) of every interval of what each allowance is drawn on by, in the direction that counts, in
    stored units; of a pool those of all its members. All are read at once for each meter."""
    once = [_each_once(one) for one in found]
    read = iter(drawings_together([drawing for own in once for drawing in own], catalog, period))
    out = []
    for drawings in once:
        own = [next(read) for _ in drawings]
        start, end, value = (np.concatenate([columns[i] for columns in own]) for i in range(3))
        out.append((start, end, value))
    return out


def _each_once(one: Counted) -> list[Drawing]:
    """Its drawings, those of the same series (a member that changed its plan) once: the whole period is read."""
    return list({drawing.series: drawing for drawing in reversed(one.drawings)}.values())


def drawings_together(asked: Sequence[Drawing], catalog: Catalog, period: Period) -> list[tuple[Ints, Ints, Ints]]:
    """The same of each drawing."""
    by_meter: dict[str, list[int]] = {}
    for i, one in enumerate(asked):
        by_meter.setdefault(one.part.charge.measure.meter, []).append(i)
    out: dict[int, tuple[Ints, Ints, Ints]] = {}
    for key, members in by_meter.items():
        meter = catalog.meter(key)
        series = sorted({series for i in members for series in asked[i].series})
        place = {number: at for at, number in enumerate(series)}
        whole = usage.series_samples(
            series=series,
            period=period,
            lead_s=max(lead_seconds(meter, asked[i].part.charge.measure) for i in members),
            trail_s=trail_seconds(meter) and 300,
        ).samples
        for i in members:
            out[i] = _directed(asked[i], catalog, _part(whole, [place[number] for number in asked[i].series]))
    return [out[i] for i in range(len(asked))]


def _part(whole: Samples, places: Sequence[int]) -> Samples:
    """The samples of some of its series."""
    spans = [slice(int(whole.offsets[i]), int(whole.offsets[i + 1])) for i in places]
    offsets = np.cumsum([0, *(span.stop - span.start for span in spans)]).astype(np.int64)

    def column(values: Ints) -> Ints:
        return np.concatenate([values[span] for span in spans]) if spans else values[:0]

    d = whole.discontinuity
    return Samples(
        column(whole.at), column(whole.v_in), column(whole.v_out), offsets,
        discontinuity=None if d is None else column(d),
    )  # fmt: skip


def _directed(one: Drawing, catalog: Catalog, block: Samples) -> tuple[Ints, Ints, Ints]:
    measure = one.part.charge.measure
    meter = catalog.meter(measure.meter)
    into, out = read_deltas(meter, block, block.v_in), read_deltas(meter, block, block.v_out)
    match direction_of(measure, meter):
        case Direction.IN:
            value = into.value
        case Direction.OUT:
            value = out.value
        case Direction.BOTH | Direction.SUM_OF_BOTH:
            value = into.value + out.value
        case Direction.GREATER:
            value = into.value if into.value.sum() > out.value.sum() else out.value
        case Direction.SAMPLE_MAX:
            value = np.maximum(into.value, out.value)
    return out.start, out.at, value
