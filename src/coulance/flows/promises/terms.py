"""Which promise a service has on a day: its own agreement, else its plan's; and the services of an application."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.customers.queries import AccountRow
from coulance.services import queries as services
from coulance.services.queries import ServiceRow, UnableToFindServiceError
from coulance.sla import queries as sla
from coulance_core.catalog.reading import Table
from coulance_core.kernel import Period, anchored_period
from coulance_core.sla.composite import Composite, read_composite
from coulance_core.sla.intervals import EMPTY, Spans, micros
from coulance_core.sla.terms_file import Promise, SlaTable, parse_sla, read_promise

MADE_OF = "made_of"


@dataclass(frozen=True)
class Promised:
    """A service with its owner, the promise that judges its period, the period, and when in it the promise held.

    `made_of`: what is promised is an application, of these `parts` by their external ids (the service is one of them).
    """

    service: ServiceRow
    account: AccountRow
    promise: Promise
    period_name: str
    period: Period
    life: Spans
    made_of: Composite | None = None
    parts: Mapping[str, ServiceRow] = field(default_factory=dict)
    fault: str = ""
    """Why it can't be judged: a part of an application that isn't there any more."""

    @property
    def members(self) -> tuple[ServiceRow, ...]:
        """The services that it is about, the first the one that it stands with."""
        return (self.service, *(row for row in self.parts.values() if row.id != self.service.id))

    @property
    def days(self) -> tuple[date, date]:
        """The civil days [first, end) of the period."""
        return self.period.start.astimezone(self.zone).date(), self.period.end.astimezone(self.zone).date()

    @property
    def said(self) -> Mapping[str, Any]:
        """The terms as they are written down with a measure."""
        own = dict(self.promise.said)
        return own | {MADE_OF: str(self.made_of)} if self.made_of is not None else own

    @property
    def zone(self) -> ZoneInfo:
        """The account's zone."""
        return ZoneInfo(self.account.zone)


def table() -> SlaTable:
    """The `[sla]` table in force; an empty one where the file has none."""
    return parse_sla(catalog.table("sla"))


def reread(said: Mapping[str, Any]) -> tuple[Promise, str]:
    """The promise that was written down with a measure, and what the application is made of that it is for."""
    own = dict(said)
    made_of = str(own.pop(MADE_OF, ""))
    found = read_promise(Table(own))
    if found is None:
        raise ValueError("terms that were applied once can't be read any more")
    return found, made_of


def application(text: str, row: ServiceRow) -> tuple[Composite, dict[str, ServiceRow]]:
    """An application by what it is made of, with its services: all of them one account's, that of `row`, which is one.

    Raises `ValueError` that says what is wrong with it.
    """
    whole = read_composite(text)
    known = {name: services.service(name) for name in dict.fromkeys(whole.names())}
    if row.external_id not in known:
        raise ValueError(f"{row.external_id} has the agreement, and is no part of: {whole}")
    other = next((one for one in known.values() if one.account_id != row.account_id), None)
    if other is not None:
        raise ValueError(f"{other.external_id} is another account's: an application is of one customer's services")
    return whole, known


def promised(
    *,
    year: int,
    month: int,
    accounts: Collection[int] | None = None,
    only: Collection[int] | None = None,
    own: Promise | None = None,
) -> list[Promised]:
    """Services with a promise in a month's period, with its terms: those that judged it first, where it was judged.

    `accounts`: of these only; `only`: these services. `own`: judge all by these instead, pinned or not (to plan). A
    service that is part of an application isn't judged by itself: its minutes are the application's.
    """
    known = table()
    if own is None and not known.promises and not sla.anything_measured():
        return []
    rows = services.services(only)
    if accounts is not None:
        wanted = set(accounts)
        rows = [row for row in rows if row.account_id in wanted]
    owners = {row.id: row for row in customers.accounts({row.account_id for row in rows})}
    found = _Judges(known, rows, f"{year:04d}-{month:02d}", own)
    out = []
    periods: dict[tuple[int, str], Period] = {}
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
        promise, made_of = found.of(row, max(first, row.started_on), last, zone)
        if promise is None:
            continue
        one = Promised(row, owner, promise, found.name, period, life_of(row, zone, period))
        if made_of:
            try:
                whole, parts = application(made_of, row)
                one = replace(one, made_of=whole, parts=parts)
            except (ValueError, UnableToFindServiceError) as error:
                one = replace(one, fault=f"{made_of}: {error}")
        out.append(one)
    return out


def inside(day: date) -> set[str]:
    """The services that are parts of an application on a day, without those that its agreement stands with."""
    made = sla.applications(day)
    names = {row.id: row.external_id for row in services.services(made)} if made else {}
    return {name for own, text in made.items() for name in read_composite(text).names() if name != names[own]}


class _Judges:
    """Which promise judges services in a month's period.

    The provider's file as it was when the period began; what it promises since then, and didn't promise at all before,
    counts from its own first day on. So nobody makes a promise smaller that is being kept or broken.
    """

    def __init__(self, known: SlaTable, rows: Sequence[ServiceRow], name: str, own: Promise | None) -> None:
        self.known, self.name, self.own = known, name, own
        self._ids = [row.id for row in rows]
        self._subscriptions = services.subscriptions(self._ids)
        self._pinned = {} if own else sla.pinned_terms(name, self._ids)
        self._agreed: dict[date, dict[int, tuple[str, str]]] = {}
        self._inside: dict[date, set[str]] = {}
        self._then: dict[datetime, SlaTable] = {}

    def of(self, row: ServiceRow, day: date, last: date, zone: ZoneInfo) -> tuple[Promise | None, str]:
        """A service's promise on a day, and what its application is made of."""
        if self.own is not None:
            return self.own, ""
        if row.id in self._pinned:
            return reread(self._pinned[row.id])
        began = _midnight(day, zone)
        if began not in self._then:
            self._then[began] = parse_sla(catalog.table("sla", at=began))
        promise, made_of = self._by(self._then[began], row, day, last)
        return (promise, made_of) if promise is not None else self._by(self.known, row, day, last)

    def _by(self, known: SlaTable, row: ServiceRow, day: date, last: date) -> tuple[Promise | None, str]:
        if day not in self._agreed:
            self._agreed[day] = sla.agreements(self._ids, day)
            self._inside[day] = inside(day)
        if row.id in self._agreed[day]:
            terms, made_of = self._agreed[day][row.id]
            if made_of or row.external_id not in self._inside[day]:
                return known.promise(terms, day), made_of
        if row.external_id in self._inside[day]:
            return None, ""
        subscribed = self._subscriptions.get(row.id, ())
        plan = next((s.plan for s in subscribed if s.valid_from <= day and (s.valid_until or last) > day), "")
        return known.of_plan(plan, day), ""


def life_of(row: ServiceRow, zone: ZoneInfo, period: Period) -> Spans:
    """When in a period a service was there."""
    start = max(period.start, _midnight(row.started_on, zone))
    end = period.end if row.ended_on is None else min(period.end, _midnight(row.ended_on, zone))
    return Spans.of([(micros(start), micros(end))]) if start < end else EMPTY


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)
