"""Which promise a service has on a day: its own agreement, else its plan's."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.customers.queries import AccountRow
from coulance.services import queries as services
from coulance.services.queries import ServiceRow
from coulance.sla import queries as sla
from coulance_core.catalog.reading import Table
from coulance_core.kernel import Period, anchored_period
from coulance_core.sla.intervals import EMPTY, Spans, micros
from coulance_core.sla.terms_file import Promise, SlaTable, parse_sla, read_promise


@dataclass(frozen=True)
class Promised:
    """A service with its owner, the promise that judges its period, the period, and when in it the promise held."""

    service: ServiceRow
    account: AccountRow
    promise: Promise
    period_name: str
    period: Period
    life: Spans

    @property
    def zone(self) -> ZoneInfo:
        """The account's zone."""
        return ZoneInfo(self.account.zone)


def table() -> SlaTable:
    """The `[sla]` table in force; an empty one where the file has none."""
    return parse_sla(catalog.table("sla"))


def reread(said: Mapping[str, Any]) -> Promise:
    """The promise that was written down with a measure."""
    found = read_promise(Table(said))
    if found is None:
        raise ValueError("terms that were applied once can't be read any more")
    return found


def promised(
    *,
    year: int,
    month: int,
    accounts: Collection[int] | None = None,
    only: Collection[int] | None = None,
    own: Promise | None = None,
) -> list[Promised]:
    """Services with a promise in a month's period, with its terms: those that judged it first, where it was judged.

    `accounts`: of these only; `only`: these services. `own`: judge all by these instead, pinned or not (to plan).
    """
    known = table()
    if own is None and not known.promises:
        return []
    rows = services.services(only)
    if accounts is not None:
        wanted = set(accounts)
        rows = [row for row in rows if row.account_id in wanted]
    owners = {row.id: row for row in customers.accounts({row.account_id for row in rows})}
    subscriptions = services.subscriptions([row.id for row in rows])
    name = f"{year:04d}-{month:02d}"
    pinned = {} if own else {m.service: m for m in sla.measures(period_name=name, most=10_000_000)}
    out = []
    agreed: dict[date, dict[int, str]] = {}
    periods: dict[tuple[int, str], Period] = {}
    ids = [row.id for row in rows]
    for row in rows:
        owner = owners[row.account_id]
        zone = ZoneInfo(owner.zone)
        key = (owner.billing_day, owner.zone)
        if key not in periods:
            periods[key] = anchored_period(year, month, owner.billing_day, zone)
        period = periods[key]
        first, last = period.start.astimezone(zone).date(), period.end.astimezone(zone).date()
        if row.started_on >= last or (row.ended_on is not None and row.ended_on <= first):
            continue
        day = max(first, row.started_on)
        if day not in agreed:
            agreed[day] = sla.agreements(ids, day)
        if own is not None:
            promise: Promise | None = own
        elif row.id in pinned:
            promise = reread(pinned[row.id].terms)
        elif row.id in agreed[day]:
            promise = known.promise(agreed[day][row.id], day)
        else:
            plan = next(
                (
                    s.plan
                    for s in subscriptions.get(row.id, ())
                    if s.valid_from <= day and (s.valid_until or last) > day
                ),
                "",
            )
            promise = known.of_plan(plan, day)
        if promise is None:
            continue
        out.append(Promised(row, owner, promise, name, period, _life(row, zone, period)))
    return out


def _life(row: ServiceRow, zone: ZoneInfo, period: Period) -> Spans:
    start = max(period.start, _midnight(row.started_on, zone))
    end = period.end if row.ended_on is None else min(period.end, _midnight(row.ended_on, zone))
    return Spans.of([(micros(start), micros(end))]) if start < end else EMPTY


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def with_terms(one: Promised, promise: Promise) -> Promised:
    """The same service and period under other terms."""
    return replace(one, promise=promise)
