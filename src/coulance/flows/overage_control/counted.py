"""How much each controlled allowance has used in the period that runs: by running counters, for many services at once.

Controlled are charges with an allowance or commitment of their own, pools of them (`pools.py`), percentile ports
(`porting.py`) and levels (`levels.py`). Sums go by running counters. Those run by civil day, which is how periods begin
and end; a sample that ends at midnight is counted to the day that begins, while the closing counts it to the one that
ended. That is one interval a period, for a warning and never for a bill.
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
from coulance_core.catalog.terms import Aggregation, Catalog, Direction, NotInCatalogError, Pool, UsageCharge
from coulance_core.kernel import Period, anchored_date, anchored_period
from coulance_core.kernel.period import add_months
from coulance_core.overage.bursts import Port
from coulance_core.overage.settle import Draws
from coulance_core.rating.charges import rater
from coulance_core.rating.segments import ChargePart, SubscriptionSpan, charge_parts, segments
from coulance_core.usage.figures import conversion
from coulance_core.usage.job import direction_of

ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Drawing:
    """What draws on an allowance: a service's series, as one part of its terms measures them.

    `factor` turns stored units into the allowance's unit; `now`: whether the part runs.
    """

    service: ServiceForClose
    part: ChargePart
    series: tuple[int, ...]
    factor: Fraction
    now: bool = True


@dataclass(frozen=True, slots=True)
class Counted:
    """A controlled allowance in the period that an instant lies in. Quantities in the measure's unit.

    `kind` is `charge`, `pool`, `port` or `level`. `part` says which terms hold and since when; what was used before, on
    other terms, was settled against those. Of a pool `service` is its first member by the pool's name, `part` has the
    pool's own measure and price as its charge, and `drawings` are all its members' parts. `raw` is what the running
    counters of `series` showed in `direction` since `part` began; it was read before `used`, so that what is armed from
    it is never too late. A `port` has its samples so far, of which `coming` are still to come; a level what it
    `drawn` on by time, or the samples of its `peak`.
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
    drawings: tuple[Drawing, ...] = ()
    kind: str = "charge"
    raw: int = 0
    direction: str = ""
    pool: Pool | None = None
    group: str = ""
    port: Port | None = None
    coming: int = 0
    drawn: Draws | None = None
    peak: Port | None = None

    @property
    def charge(self) -> UsageCharge:
        """The charge."""
        return self.part.charge

    @property
    def services(self) -> tuple[int, ...]:
        """Ids of the services that draw on it now, the first one first."""
        if self.pool is None:
            return (self.service.id,)
        return tuple(dict.fromkeys(one.service.id for one in self.drawings if one.now))

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
    return counts and has_allowance(charge)


def has_allowance(charge: UsageCharge) -> bool:
    """Whether something of it is included, or paid for in any case."""
    return charge.allowance is not None or charge.commitment is not None


@dataclass(frozen=True, slots=True)
class Found:
    """A part of a service's period, with whose it is."""

    row: AccountForClose
    service: ServiceForClose
    part: ChargePart
    period: Period
    period_name: str

    @property
    def zone(self) -> ZoneInfo:
        """The account's."""
        return ZoneInfo(self.row.account.zone)

    def included(self, catalog: Catalog) -> Fraction:
        """What its terms include, in its measure's unit."""
        part = self.part
        return rater(part.version, part.charge, catalog.provider.rounding, self.zone).included(
            part.active, self.period, part.units
        )


def parts_of(rows: Sequence[AccountForClose], *, catalog: Catalog, at: datetime) -> list[Found]:
    """Every part of the period that an instant lies in, of all services of these accounts: ended, running and to come.

    A service whose plan has no terms is left out: closing parks its account and says so.
    """
    found: list[Found] = []
    for row in rows:
        zone = ZoneInfo(row.account.zone)
        name, period = period_at(at, row.account.billing_day, zone)
        for service in row.services:
            found.extend(Found(row, service, part, period, name) for part in _parts(catalog, service, period, zone))
    return found


def counted(
    *, accounts: Collection[int], catalog: Catalog, at: datetime, only: Collection[int] | None = None
) -> list[Counted]:
    """Every charge of these accounts' services (of `only` these) that adds up, by account, service and charge."""
    return sums(
        parts_of(services.accounts_for_close(accounts), catalog=catalog, at=at), catalog=catalog, at=at, only=only
    )


def sums(
    parts: Sequence[Found], *, catalog: Catalog, at: datetime, only: Collection[int] | None = None
) -> list[Counted]:
    """Those of these parts that run and add up, with what was used of them."""
    found = [
        one
        for one in parts
        if at in one.part.active and is_controlled(one.part.charge) and (only is None or one.service.id in only)
    ]
    out = []
    for one, stored in zip(found, stored_by(found, catalog), strict=True):
        measure = one.part.charge.measure
        factor = conversion(catalog.meter(measure.meter), measure).factor
        series = series_of(one.service, one.part)
        out.append(
            Counted(
                account=one.row.account,
                service=one.service,
                part=one.part,
                period=one.period,
                period_name=one.period_name,
                series=series,
                used=stored * factor,
                included=one.included(catalog),
                factor=factor,
                drawings=(Drawing(one.service, one.part, series, factor),),
                raw=stored,
                direction=direction_of(measure, catalog.meter(measure.meter)).value,
            )
        )
    return out


def _parts(catalog: Catalog, service: ServiceForClose, period: Period, zone: ZoneInfo) -> Iterable[ChargePart]:
    ended = service.ended_on
    spans = []
    for row in service.subscriptions:
        until = min((d for d in (row.valid_until, ended) if d is not None), default=None)
        if until is None or until > row.valid_from:
            spans.append(SubscriptionSpan(row.plan, row.quantity, row.valid_from, until))
    try:
        return charge_parts(segments(catalog, spans, *period.dates(zone)), zone)
    except NotInCatalogError:
        return ()


def series_of(service: ServiceForClose, part: ChargePart) -> tuple[int, ...]:
    """Ids of the series that a part measures."""
    return tuple(s.id for s in service.series if s.meter == part.charge.measure.meter)


def stored_by(asked: Sequence[Found], catalog: Catalog) -> list[int]:
    """What each part has used, in stored units; one read of the counters for each stretch of time."""
    by_time: dict[Period, list[int]] = {}
    for i, one in enumerate(asked):
        by_time.setdefault(one.part.active, []).append(i)
    out = [0] * len(asked)
    for active, members in by_time.items():
        wanted = []
        for i in members:
            part = asked[i].part
            meter = catalog.meter(part.charge.measure.meter)
            wanted.append((series_of(asked[i].service, part), direction_of(part.charge.measure, meter).value))
        for i, stored in zip(members, used_by(wanted, active), strict=True):
            out[i] = stored
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
