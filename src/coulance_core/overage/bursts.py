"""Settling a percentile meter: samples are clipped to what may be charged, and the rank is taken again.

A percentile has no "first" gigabyte past the allowance: what may not be charged cannot be subtracted. Instead a sample
outside consent and warning counts as if it had stayed at the commit, one inside as if it had stayed at the rate that
the limit then in force reaches; the percentile is taken over all samples with the same convention, and that is priced.
So no bill passes a limit, whenever it was raised or lowered. The difference to what was measured is absorbed. A sample
taken while we throttled counts as measured: it was low already.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import numpy as np

from coulance_core.catalog.terms import PercentileTerms
from coulance_core.kernel import Explanation, Money
from coulance_core.overage.limit import most, reach
from coulance_core.overage.settle import Attack, Regime, SettleError, regimes_of, strictest
from coulance_core.overage.terms import Absorbed, Facts, PriceTerms
from coulance_core.usage.percentile import percentile
from coulance_core.usage.samples import Bools, Ints

ZERO = Fraction(0)
_MOST = int(np.iinfo(np.int64).max)


@dataclass(frozen=True, slots=True)
class Port:
    """A percentile charge of one service over a period.

    `columns`: the rates that are ranked, one array for each (in and out, or one made of both), stored whole units, one
    value a sample that lies in (start, end], epoch seconds. `added`: whether the columns' percentiles are added, else
    the greater counts. `factor` turns stored units into the measure's. `expected` samples should have come. The
    `tolerance` lies right above the commit and is free.
    """

    key: str
    unit: str
    commit: Fraction
    terms: PriceTerms
    rank: PercentileTerms
    start: Ints
    end: Ints
    columns: tuple[Ints, ...]
    expected: int
    factor: Fraction = Fraction(1)
    added: bool = False
    tolerance: Fraction = ZERO


@dataclass(frozen=True, slots=True)
class SettledPort:
    """What became of it: the measured percentile, and the one that may be priced, in `unit`.

    `clipped` counts samples above the commit that may not be charged, by reason. `overage` is `billable` above the
    commit and its tolerance; `tolerated` is what the tolerance took of the rest, which is `absorbed`.
    """

    key: str
    unit: str
    measured: Fraction
    billable: Fraction
    overage: Fraction
    absorbed: Fraction
    clipped: Mapping[Absorbed, int]
    explanation: Explanation
    tolerated: Fraction = ZERO


def settle_port(port: Port, facts: Facts, *, attacks: Sequence[Attack] = ()) -> SettledPort:
    """Clip, rank again, and say what may be priced. Never more than was measured.

    Samples that touch an attack on the service count as if they had stayed at the commit.
    """
    if any(column.shape != port.end.shape for column in (port.start, *port.columns)) or not port.columns:
        raise SettleError(f"{port.key}: every column needs a value for each of {port.end.size} samples")
    # A paused or throttled sample is charged as measured, so pauses are no reason here.
    regimes = regimes_of(Facts(facts.consents, facts.warned, facts.acknowledged, (), facts.exposure))
    of = _which(port, regimes)
    tops = [_top(port, regime, facts.exposure) for regime in regimes]
    measured = figure_of(port)
    attacked = _attacked(port, attacks)
    columns = _clipped(port, of, tops)
    if attacked.any():
        commit = floor(port.commit / port.factor)
        columns = tuple(np.where(attacked, np.minimum(column, commit), column) for column in columns)
    billable = min(_figure(port, columns), measured)
    lowered = np.zeros(port.end.size, np.bool_)
    for before, after in zip(port.columns, columns, strict=True):
        lowered |= before != after
    clipped: dict[Absorbed, int] = {}
    if count := int((lowered & attacked).sum()):
        clipped[Absorbed.ATTACK] = count
    for i, regime in enumerate(regimes):
        count = int((lowered & ~attacked & (of == i)).sum())
        if count:
            reason = regime.reason or _why(port, regime, facts)
            clipped[reason] = clipped.get(reason, 0) + count
    e = Explanation.build("overage.percentile_settled", terms=port.terms.version)
    e.fact("measured", measured, port.unit, "percentile of all samples")
    for reason, count in clipped.items():
        to = _COUNTS_AS.get(reason, "the commit")
        e.fact(f"samples {reason.value.replace('_', ' ')}", count, "", f"count as {to}")
    e.fact("billable", billable, port.unit, "percentile with those samples lowered")
    e.fact("commit", port.commit, port.unit)
    e.step("above", "subtract", "billable", "commit", unit=port.unit)
    if port.tolerance:
        e.fact("tolerance", port.tolerance, port.unit, "free by the terms")
        e.step("past tolerance", "subtract", "above", "tolerance", unit=port.unit)
        e.step("overage", "max", "past tolerance", "0", unit=port.unit)
    else:
        e.step("overage", "max", "above", "0", unit=port.unit)
    # Below the commit nothing is absorbed: the commit is paid in any case.
    e.step("measured above", "subtract", "measured", "commit", unit=port.unit)
    e.step("measured overage", "max", "measured above", "0", unit=port.unit)
    e.step("absorbed", "subtract", "measured overage", "overage", unit=port.unit)
    overage, absorbed = e.number("overage"), e.number("absorbed")
    tolerated = min(absorbed, port.tolerance)
    return SettledPort(port.key, port.unit, measured, billable, overage, absorbed, clipped, e.freeze(), tolerated)


_COUNTS_AS = {Absorbed.ABOVE_LIMIT: "the limit", Absorbed.NOT_ACKNOWLEDGED: "what needs no acknowledgement"}


def figure_of(port: Port) -> Fraction:
    """The percentile of a port's samples as they were measured, in its unit."""
    return _figure(port, port.columns)


def _attacked(port: Port, attacks: Sequence[Attack]) -> Bools:
    """Which samples touch an attack on the port's service."""
    out = np.zeros(port.end.size, np.bool_)
    for attack in attacks:
        if attack.service == port.key:
            first = floor(attack.span.start.timestamp())
            last = _MOST if attack.span.end is None else ceil(attack.span.end.timestamp())
            out |= (port.end > first) & (port.start < last)
    return out


def _which(port: Port, regimes: Sequence[Regime]) -> Ints:
    """Which regime judges each sample: the one that it lies in wholly, or the strictest that it touches."""
    starts = np.array([regime.start for regime in regimes], np.int64)
    of = np.searchsorted(starts, port.start, side="right").astype(np.int64) - 1
    last = np.maximum(np.searchsorted(starts, port.end, side="left").astype(np.int64) - 1, of)
    for row in np.flatnonzero(last != of).tolist():
        of[row] = strictest(regimes, int(of[row]), int(last[row]))
    return of


def _reaches(port: Port, regime: Regime, exposure: Money | None) -> tuple[Fraction | None, Fraction | None]:
    """How far above the commit a regime's limit reaches, and what nobody has to acknowledge; None: any rate."""
    assert regime.consent is not None
    limit = most(regime.consent.limit, port.terms, regime.consent.terms)
    allowed = None if limit is None else port.tolerance + limit
    if regime.acknowledged or exposure is None:
        return allowed, None
    reached, given = reach(port.terms.price, exposure.amount), regime.consent.pre_acknowledged
    if reached is not None and given is not None:
        beforehand = reach(port.terms.price, given.amount)
        reached = None if beforehand is None else max(reached, beforehand)
    return allowed, None if reached is None else max(reached, port.tolerance)


def _top(port: Port, regime: Regime, exposure: Money | None) -> int | None:
    """The highest rate, in stored units, that counts in a regime; None: as measured."""
    if regime.reason is not None or regime.consent is None:
        return floor(port.commit / port.factor)
    found = [one for one in _reaches(port, regime, exposure) if one is not None]
    return floor((port.commit + min(found)) / port.factor) if found else None


def _why(port: Port, regime: Regime, facts: Facts) -> Absorbed:
    """Which of the two lowered a sample of a regime in which use may be charged."""
    allowed, exposed = _reaches(port, regime, facts.exposure)
    nobody = exposed is not None and (allowed is None or exposed < allowed)
    return Absorbed.NOT_ACKNOWLEDGED if nobody else Absorbed.ABOVE_LIMIT


def _figures(port: Port, columns: tuple[Ints, ...]) -> list[Fraction]:
    return [percentile(column, port.rank, expected=port.expected) for column in columns]


def _figure(port: Port, columns: tuple[Ints, ...]) -> Fraction:
    figures = _figures(port, columns)
    return (sum(figures, ZERO) if port.added else max(figures)) * port.factor


def _clipped(port: Port, of: Ints, tops: Sequence[int | None]) -> tuple[Ints, ...]:
    """The columns lowered to their regimes' tops. Columns that are added share a top as their percentiles were."""
    figures = _figures(port, port.columns)
    together = sum(figures, ZERO)
    out: list[Ints] = []
    for column, figure in zip(port.columns, figures, strict=True):
        share = figure / together if port.added and together else Fraction(1)
        top = [_MOST if t is None else min(floor(t * share), _MOST) for t in tops]
        out.append(np.minimum(column, np.array(top, np.int64)[of]))
    return tuple(out)
