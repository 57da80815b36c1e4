"""How much each controlled charge has used in the period that runs: by running counters, for many services at once.

Controlled are charges that add up (sums of deltas or counters) and have an allowance or commitment of their own, and
not those of a pool. Counters run by civil day, which is how periods begin and end; a sample that ends at midnight is
counted to the day that begins, while the closing counts it to the one that ended. That is one interval a period, for a
warning and never for a bill.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np

from coulance.customers.queries import AccountRow
from coulance.services import queries as services
from coulance.services.queries import AccountForClose, ServiceForClose
from coulance.usage import queries as usage
from coulance_core.catalog.terms import Aggregation, Catalog, Direction, NotInCatalogError, UsageCharge
from coulance_core.kernel import Period, anchored_date, anchored_period
from coulance_core.kernel.period import add_months
from coulance_core.rating.charges import rater
from coulance_core.rating.segments import ChargePart, charge_parts, segments
from coulance_core.usage.figures import conversion
from coulance_core.usage.job import direction_of

ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Counted:
    """A controlled charge of a service, in the period that an instant lies in. Quantities in the measure's unit.

    `part` says which terms hold and since when; what was used before, on other terms, was settled against those.
    `factor` turns stored units into the measure's. `seen` is when the newest sample came from.
    """

    account: AccountRow
    service: ServiceForClose
    part: ChargePart
    period: Period
    period_name: str
    series: tuple[int, ...]
    used: Fraction
    included: Fraction
    factor: Fraction

    @property
    def charge(self) -> UsageCharge:
        """The charge."""
        return self.part.charge

    @property
    def unit(self) -> str:
        """The measure's unit."""
        return self.charge.measure.unit.name

    @property
    def zone(self) -> ZoneInfo:
        """The account's."""
        return ZoneInfo(self.account.zone)


def period_at(at: datetime, billing_day: int, zone: ZoneInfo) -> tuple[str, Period]:
    """The billing period that an instant lies in, with its name.

    >>> from datetime import UTC
    >>> period_at(datetime(2026, 11, 14, 22, tzinfo=UTC), 15, ZoneInfo("Europe/Amsterdam"))[0]
    '2026-10'
    """
    day = at.astimezone(zone).date()
    year, month = day.year, day.month
    if anchored_date(year, month, billing_day) > day:
        year, month = add_months(year, month, -1)
    return f"{year:04d}-{month:02d}", anchored_period(year, month, billing_day, zone)


def is_controlled(charge: UsageCharge) -> bool:
    """Whether overage of this charge is watched as it happens."""
    counts = charge.measure.aggregation is Aggregation.SUM and charge.pool is None
    return counts and (charge.allowance is not None or charge.commitment is not None)


def counted(
    *, accounts: Collection[int], catalog: Catalog, at: datetime, only: Collection[int] | None = None
) -> list[Counted]:
    """Every controlled charge of these accounts' services (of `only` these services), by account, service and charge.

    A service whose plan has no terms is left out: closing parks its account and says so.
    """
    found: list[tuple[AccountForClose, ServiceForClose, ChargePart, str, Period]] = []
    for row in services.accounts_for_close(accounts):
        zone = ZoneInfo(row.account.zone)
        name, period = period_at(at, row.account.billing_day, zone)
        for service in row.services:
            if only is None or service.id in only:
                found.extend((row, service, part, name, period) for part in _parts(catalog, service, period, zone, at))
    used = _used([(s, part, ZoneInfo(row.account.zone)) for row, s, part, _, _ in found], catalog)
    return [
        Counted(
            account=row.account,
            service=service,
            part=part,
            period=period,
            period_name=name,
            series=_series(service, part),
            used=amount,
            included=rater(part.version, part.charge, catalog.provider.rounding, ZoneInfo(row.account.zone)).included(
                part.active, period, part.units
            ),
            factor=conversion(catalog.meter(part.charge.measure.meter), part.charge.measure).factor,
        )
        for (row, service, part, name, period), amount in zip(found, used, strict=True)
    ]


def _parts(
    catalog: Catalog, service: ServiceForClose, period: Period, zone: ZoneInfo, at: datetime
) -> Iterable[ChargePart]:
    try:
        parts = charge_parts(segments(catalog, service.spans(), *period.dates(zone)), zone)
    except NotInCatalogError:
        return
    for part in parts:
        if at in part.active and is_controlled(part.charge):
            yield part


def _series(service: ServiceForClose, part: ChargePart) -> tuple[int, ...]:
    return tuple(s.id for s in service.series if s.meter == part.charge.measure.meter)


def _used(asked: Sequence[tuple[ServiceForClose, ChargePart, ZoneInfo]], catalog: Catalog) -> list[Fraction]:
    """What each has used, in its measure's unit; one read of the counters for each stretch of time."""
    by_time: dict[Period, list[int]] = {}
    for i, (_, part, _) in enumerate(asked):
        by_time.setdefault(part.active, []).append(i)
    out = [ZERO] * len(asked)
    for active, members in by_time.items():
        wanted = []
        for i in members:
            service, part, _ = asked[i]
            meter = catalog.meter(part.charge.measure.meter)
            wanted.append((_series(service, part), direction_of(part.charge.measure, meter).value))
        for i, stored in zip(members, used_by(wanted, active), strict=True):
            measure = asked[i][1].charge.measure
            out[i] = stored * conversion(catalog.meter(measure.meter), measure).factor
    return out


def used_by(wanted: Sequence[tuple[tuple[int, ...], str]], period: Period) -> list[int]:
    """Stored units that each group of series (ids) used in a period, in the direction that counts."""
    everything = sorted({series for own, _ in wanted for series in own})
    if not everything:
        return [0] * len(wanted)
    rows = usage.daily_counters(series=everything, period=period)
    place = np.searchsorted(np.array(everything, np.int64), rows.series)
    v_in, v_out = (_sums(place, column, len(everything)) for column in (rows.v_in, rows.v_out))
    where = {series: i for i, series in enumerate(everything)}
    out = []
    for own, direction in wanted:
        places = [where[series] for series in own]
        out.append(_directed(Direction(direction), sum(v_in[j] for j in places), sum(v_out[j] for j in places)))
    return out


def _sums(place: np.ndarray, values: np.ndarray, size: int) -> list[int]:
    # Two halves, so that no sum of a month wraps.
    high, low = np.zeros(size, np.int64), np.zeros(size, np.int64)
    np.add.at(high, place, values >> 32)
    np.add.at(low, place, values & 0xFFFFFFFF)
    return [(upper << 32) + lower for upper, lower in zip(high.tolist(), low.tolist(), strict=True)]


def _directed(direction: Direction, into: int, gone: int) -> int:
    match direction:
        case Direction.IN:
            return into
        case Direction.OUT:
            return gone
        case Direction.BOTH | Direction.SUM_OF_BOTH:
            return into + gone
        case Direction.GREATER | Direction.SAMPLE_MAX:
            # Sample by sample the greater would be a little more: a warning then comes a little later.
            return max(into, gone)
