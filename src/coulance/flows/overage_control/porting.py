"""Percentile ports while their period runs: their samples so far, ranked as the closing will rank them."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import numpy as np

from coulance.flows.closing.measuring import lead_seconds, trail_seconds
from coulance.flows.overage_control.counted import Counted, Drawing, Found, has_allowance, series_of, used_by
from coulance.usage import queries as usage
from coulance_core.catalog.terms import Aggregation, Catalog, Direction
from coulance_core.kernel import Period
from coulance_core.overage.bursts import Port, figure_of
from coulance_core.overage.terms import PriceTerms
from coulance_core.usage.aggregate import figures_many
from coulance_core.usage.draws import draws_many
from coulance_core.usage.figures import conversion
from coulance_core.usage.slots import expected_slots


def ports(
    parts: Sequence[Found], *, catalog: Catalog, at: datetime, only: Collection[int] | None = None
) -> list[Counted]:
    """Those of these parts that run and are percentiles with a commitment or an allowance (of `only` these services).

    `used` is the percentile if nothing more came. The samples of ports that share a measure are read together.
    """
    found = [
        one
        for one in parts
        if at in one.part.active
        and one.part.charge.measure.aggregation is Aggregation.PERCENTILE
        and has_allowance(one.part.charge)
        and (only is None or one.service.id in only)
    ]
    lots: dict[tuple[object, ...], list[Found]] = {}
    for one in found:
        lots.setdefault((one.part.charge.measure, one.part.active, one.zone.key), []).append(one)
    out = [ready for lot in lots.values() for ready in _lot(lot, catalog, at)]
    return sorted(out, key=lambda one: (one.account.id, one.service.external_id, one.charge.key))


def _lot(lot: Sequence[Found], catalog: Catalog, at: datetime) -> list[Counted]:
    first = lot[0]
    measure, active = first.part.charge.measure, first.part.active
    meter = catalog.meter(measure.meter)
    step = meter.interval_s
    begin = int(active.start.timestamp())
    past = max((int(at.timestamp()) - begin) // step, 0)
    whole = expected_slots(active, step)
    wanted = [series_of(one.service, one.part) for one in lot]
    raw = used_by([(series, Direction.BOTH.value) for series in wanted], active)  # before the samples: never too late
    until = datetime.fromtimestamp(min(begin + past * step, int(active.end.timestamp())), UTC)
    so_far = Period(active.start, until) if past else None
    factor = conversion(meter, measure).factor
    empty = np.zeros(0, np.int64)
    drawn = []
    if so_far is not None:
        pairs = sorted((series, owner) for owner, ids in enumerate(wanted) for series in ids)
        block = usage.series_samples(
            series=np.array([series for series, _ in pairs], np.int64),
            period=so_far,
            lead_s=lead_seconds(meter, measure),
            trail_s=trail_seconds(meter),
        ).samples
        owners = np.array([owner for _, owner in pairs], np.int64)
        figures = figures_many(measure, meter, block, so_far, first.zone, owners=owners, count=len(lot))
        drawn = draws_many(measure, meter, block, so_far, first.zone, owners=owners, figures=figures)
    out = []
    for i, one in enumerate(lot):
        part, got = one.part, drawn[i] if drawn else None
        assert measure.percentile is not None
        port = Port(
            one.service.external_id,
            measure.unit.name,
            one.included(catalog),
            PriceTerms(part.version.version, part.charge.price, part.version.currency),
            measure.percentile,
            empty if got is None else got.start,
            empty if got is None else got.end,
            (empty,) if got is None else got.columns,
            max(whole, 0 if got is None else got.expected),
            factor,
            False if got is None else got.added,
        )
        out.append(
            Counted(
                account=one.row.account,
                service=one.service,
                part=part,
                period=one.period,
                period_name=one.period_name,
                series=wanted[i],
                used=figure_of(port),
                included=port.commit,
                factor=factor,
                drawings=(Drawing(one.service, part, wanted[i], factor),),
                kind="port",
                raw=raw[i],
                direction=Direction.BOTH.value,
                port=port,
                coming=max(whole - past, 0),
            )
        )
    return out


def with_terms(port: Port, terms: PriceTerms, tolerance: Fraction) -> Port:
    """The same port at its account's prices, with what is free above the commit."""
    return replace(port, terms=terms, tolerance=tolerance)
