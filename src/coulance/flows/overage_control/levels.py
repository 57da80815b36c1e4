"""Levels while their period runs: stored data, seats, peaks. Looked at by the hour, as nothing has to stop in a second;
where a level shares a limit with what can stop, with every reading and with every look at the others.

No pause of a network ends what is stored, so nothing is paused for it: what nobody agreed to is not charged, and its
customer is warned as of anything else.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction

from coulance.flows.closing.measuring import Request, drawn, measure
from coulance.flows.overage_control.counted import Counted, Drawing, Found, has_allowance, series_of, used_by
from coulance_core.catalog.terms import Aggregation, Catalog, Direction
from coulance_core.kernel import Period
from coulance_core.overage.bursts import Port
from coulance_core.overage.closing import rank_terms
from coulance_core.overage.settle import Draws
from coulance_core.overage.terms import PriceTerms
from coulance_core.usage.draws import Drawn, is_level, is_ranked


def levels(parts: Sequence[Found], *, catalog: Catalog, at: datetime) -> list[Counted]:
    """Those of these parts that run and are levels with an allowance; `used` is their figure so far.

    An average over the period counts by the time that is over: a level that stays comes to itself at the end.
    """
    found = [
        one
        for one in parts
        if one.part.active.start < at < one.part.active.end
        and one.part.charge.pool is None
        and is_level(one.part.charge.measure)
        and has_allowance(one.part.charge)
    ]
    by_zone: dict[str, list[Found]] = {}
    for one in found:
        by_zone.setdefault(one.zone.key, []).append(one)
    out = []
    for lot in by_zone.values():
        raw = _raw(lot)  # before the readings: nothing that comes between is missed
        requests = [
            Request(replace(one.part, active=Period(one.part.active.start, at)), series_of(one.service, one.part))
            for one in lot
        ]
        figures = [got.figure for got in measure(requests, catalog, lot[0].zone, charts=False)]
        drew = drawn(list(zip(requests, figures, strict=True)), catalog, lot[0].zone)
        for one, request, figure, got, shown in zip(lot, requests, figures, drew, raw, strict=True):
            part = _part_of_the_whole(one, catalog, at)
            counted = Counted(
                account=one.row.account,
                service=one.service,
                part=one.part,
                period=one.period,
                period_name=one.period_name,
                series=request.series,
                used=figure.quantity * part,
                included=one.included(catalog),
                factor=figure.conversion.factor * part,
                drawings=(Drawing(one.service, one.part, request.series, figure.conversion.factor * part),),
                kind="level",
                raw=shown,
                direction=Direction.BOTH.value,
            )
            out.append(_with_samples(counted, got))
    return out


def _raw(lot: Sequence[Found]) -> list[int]:
    """What the running counters show: of a gauge the sum of its readings, which says that another came."""
    by_time: dict[Period, list[int]] = {}
    for i, one in enumerate(lot):
        by_time.setdefault(one.part.active, []).append(i)
    out = [0] * len(lot)
    for active, members in by_time.items():
        wanted = [(series_of(lot[i].service, lot[i].part), Direction.BOTH.value) for i in members]
        for i, shown in zip(members, used_by(wanted, active), strict=True):
            out[i] = shown
    return out


def _part_of_the_whole(one: Found, catalog: Catalog, at: datetime) -> Fraction:
    what = one.part.charge.measure
    averaged = (
        what.aggregation is Aggregation.TIME_WEIGHTED
        and what.unit.dimension is catalog.meter(what.meter).unit.dimension
    )
    if not averaged:
        return Fraction(1)
    return Fraction(Period(one.part.active.start, at).seconds, one.part.active.seconds)


def _with_samples(counted: Counted, got: Drawn) -> Counted:
    measure_ = counted.charge.measure
    name = counted.service.external_id
    if not is_ranked(measure_):
        return replace(counted, drawn=Draws.of(name, got.start, got.end, got.columns[0], counted.factor))
    version = counted.part.version
    peak = Port(
        name, counted.unit, counted.included, PriceTerms(version.version, counted.charge.price, version.currency),
        rank_terms(measure_), got.start, got.end, got.columns, got.expected, counted.factor, got.added,
    )  # fmt: skip
    return replace(counted, peak=peak)
