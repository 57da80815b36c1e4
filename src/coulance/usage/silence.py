"""Series that should send and don't: found while there is time to mend it, not when the month is billed.

Expected is what is assigned to a service that runs, under a plan in force that charges for the series' meter. Silent
is such a series whose newest sample is more than its meter's `silent_after` intervals old. A series that never sent is
silent from when it could first have sent: its service's start, or its plan's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.platform import alarms
from coulance.services import queries as services
from coulance.usage import collecting, queries
from coulance.usage.pages import NEVER
from coulance_core.catalog import terms as core
from coulance_core.kernel import Period

ALARM = "usage.silent"
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class SilentSeries:
    """A series that should send: whose it is, when it last did (`None`: never), and how much of its month is there.

    `seen` and `expected` are samples of this month so far; `coverage` is their share, in per mille, at most 1000.
    """

    key: str
    meter: str
    service: str
    account: str
    last_at: datetime | None
    silent_s: int
    after_s: int
    seen: int
    expected: int

    @property
    def coverage(self) -> int:
        """Seen of expected, in per mille."""
        return min(self.seen * 1000 // self.expected, 1000) if self.expected else 1000


@dataclass(frozen=True, slots=True)
class _Wanted:
    id: int
    key: str
    meter: core.Meter
    service: str
    account: str
    zone: ZoneInfo
    since: date


def _wanted(at: datetime) -> list[_Wanted]:
    """Every series that should send at an instant."""
    try:
        terms = catalog.catalog()
    except catalog.UnableToFindCatalogError:
        return []
    accounts = {row.id: row for row in customers.accounts()}
    running = [
        one
        for one in services.services()
        if one.started_on <= _today(at, accounts[one.account_id].zone)
        and (one.ended_on is None or one.ended_on > _today(at, accounts[one.account_id].zone))
    ]
    ids = [one.id for one in running]
    plans, series = services.subscriptions(ids), services.series_of(ids)
    charged: dict[tuple[str, date], frozenset[str]] = {}
    out = []
    for one in running:
        owner = accounts[one.account_id]
        today = _today(at, owner.zone)
        current = [
            row
            for row in plans.get(one.id, ())
            if row.valid_from <= today and (row.valid_until is None or row.valid_until > today)
        ]
        if not current:
            continue
        plan = current[-1]
        if (plan.plan, today) not in charged:
            charged[plan.plan, today] = _charged(terms, plan.plan, today)
        out += [
            _Wanted(
                row.id, row.key, terms.meters[row.meter], one.external_id, owner.external_id, ZoneInfo(owner.zone),
                max(one.started_on, plan.valid_from),
            )
            for row in series.get(one.id, ())
            if row.meter in charged[plan.plan, today] and row.meter in terms.meters
        ]  # fmt: skip
    return out


def _today(at: datetime, zone: str) -> date:
    return at.astimezone(ZoneInfo(zone)).date()


def _charged(terms: core.Catalog, plan: str, on: date) -> frozenset[str]:
    """The meters that a plan charges for on a day; what counts distinct things may be silent and well."""
    try:
        version = terms.plan_version(plan, on)
    except core.NotInCatalogError:
        return frozenset()
    events = core.Aggregation.UNIQUE_COUNT
    return frozenset(one.measure.meter for one in version.charges if one.measure.aggregation is not events)


def silent_series(at: datetime) -> list[SilentSeries]:
    """The series that should have sent by now, the longest silent first."""
    wanted = _wanted(at)
    if not wanted:
        return []
    now = int(at.timestamp())
    state = queries.series_state(series=[one.id for one in wanted])
    silent: list[tuple[_Wanted, int | None, int]] = []
    for one, last in zip(wanted, state.last_at.tolist(), strict=True):
        after = one.meter.interval_s * one.meter.silent_after
        begun = int(datetime(one.since.year, one.since.month, one.since.day, tzinfo=one.zone).timestamp())
        seen = None if last <= NEVER else last
        silence = now - (begun if seen is None else max(seen, begun))
        if silence > after:
            silent.append((one, seen, silence))
    if not silent:
        return []
    counts = _month_so_far([one for one, _, _ in silent], at)
    out = []
    for one, seen, silence in silent:
        begin = max(_month(at, one.zone), datetime(one.since.year, one.since.month, one.since.day, tzinfo=one.zone))
        out.append(
            SilentSeries(
                key=one.key,
                meter=one.meter.key,
                service=one.service,
                account=one.account,
                last_at=None if seen is None else datetime.fromtimestamp(seen, UTC),
                silent_s=silence,
                after_s=one.meter.interval_s * one.meter.silent_after,
                seen=counts.get(one.id, 0),
                expected=max(int((at - begin).total_seconds()) // one.meter.interval_s, 0),
            )
        )
    return sorted(out, key=lambda one: (-one.silent_s, one.key))


def _month(at: datetime, zone: ZoneInfo) -> datetime:
    today = at.astimezone(zone)
    return datetime(today.year, today.month, 1, tzinfo=zone)


def _month_so_far(wanted: Iterable[_Wanted], at: datetime) -> dict[int, int]:
    """Samples of this civil month by series id."""
    out: dict[int, int] = {}
    zones: dict[ZoneInfo, list[int]] = {}
    for one in wanted:
        zones.setdefault(one.zone, []).append(one.id)
    for zone, ids in zones.items():
        found = queries.daily_counters(series=ids, period=Period(_month(at, zone), at + timedelta(seconds=1)))
        for series in ids:
            out[series] = int(found.n[found.series == series].sum())
    return out


def watch(*, at: datetime) -> list[SilentSeries]:
    """Raise the alarm about silent series, or clear it; gives them."""
    silent = silent_series(at)
    if not silent:
        alarms.clear_alarm(key=ALARM, at=at)
        return silent
    shown = ", ".join(f"{one.key} ({_since(one)})" for one in silent[:_SHOWN])
    more = f", and {len(silent) - _SHOWN} more" if len(silent) > _SHOWN else ""
    alarms.raise_alarm(
        key=ALARM,
        severity="warning",
        what=f"{len(silent)} billed series are silent: {shown}{more}. See coulance usage silent, and mend their "
        "collectors before the month is closed: what nobody measured can't be billed",
        at=at,
    )
    return silent


def _since(one: SilentSeries) -> str:
    return "never sent" if one.last_at is None else f"since {one.last_at:%F %R} UTC"


FAILING = "usage.collectors"
FAILING_AFTER = timedelta(hours=1)


def watch_collectors(*, at: datetime) -> int:
    """Raise the alarm about targets that could not be asked for an hour or more, or clear it; gives how many."""
    failing = [
        one
        for one in collecting.health(at=at)
        if one.failures and (one.last_success is None or at - one.last_success >= FAILING_AFTER)
    ]
    if not failing:
        alarms.clear_alarm(key=FAILING, at=at)
        return 0
    shown = "; ".join(f"{one.collector} {one.target}: {one.last_error[:120]}" for one in failing[:_SHOWN])
    more = f"; and {len(failing) - _SHOWN} more" if len(failing) > _SHOWN else ""
    alarms.raise_alarm(
        key=FAILING,
        severity="warning",
        what=f"{len(failing)} targets of collectors fail: {shown}{more}. See coulance collectors list",
        at=at,
    )
    return len(failing)
