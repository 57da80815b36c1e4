"""Reading the services room. What the closing run and ingest read is lean: tuples, a few queries for thousands."""

from collections.abc import Collection, Mapping
from datetime import date
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q

from coulance.customers import queries as customers
from coulance.customers.queries import AccountRow
from coulance.services.models import Series, Service, Subscription
from coulance_core.kernel import Money
from coulance_core.rating.segments import AgreedPrice, PriceSpan, SubscriptionSpan, with_prices


class UnableToFindServiceError(LookupError):
    """No service has that external id."""

    def __init__(self, external_id: str) -> None:
        super().__init__(f"no service {external_id!r}")


class SubscriptionRow(NamedTuple):
    """A plan and how many of it, on the civil days [valid_from, valid_until) of the account's zone; none: no end."""

    plan: str
    quantity: int
    valid_from: date
    valid_until: date | None


class PriceRow(NamedTuple):
    """A base fee agreed for a service on a plan, for a whole cycle and all units, on the days [start, end)."""

    plan: str
    amount: Money
    words: str
    start: date
    end: date | None
    reason: str = ""
    id: int = 0

    @property
    def span(self) -> PriceSpan:
        """The same, as rating takes it."""
        price = AgreedPrice(self.amount.amount, self.amount.currency, self.words)
        return PriceSpan(self.plan, self.start, self.end, price)


class SeriesRow(NamedTuple):
    """A sample series and the meter it counts for."""

    id: int
    key: str
    meter: str


class ServiceRow(NamedTuple):
    """A service by itself."""

    id: int
    account_id: int
    external_id: str
    name: str
    kind: str
    started_on: date
    ended_on: date | None
    pool: str
    billed_until: date | None


class ServiceForClose(NamedTuple):
    """A service with all that closing needs: subscriptions oldest first, series by id."""

    id: int
    external_id: str
    name: str
    kind: str
    started_on: date
    ended_on: date | None
    pool: str
    billed_until: date | None
    subscriptions: tuple[SubscriptionRow, ...]
    series: tuple[SeriesRow, ...]
    prices: tuple[PriceRow, ...] = ()

    def spans(self) -> tuple[SubscriptionSpan, ...]:
        """Its subscriptions as rating takes them: cut where the service ends, and where an agreed price holds."""
        spans = []
        for row in self.subscriptions:
            until = min((day for day in (row.valid_until, self.ended_on) if day is not None), default=None)
            if until is None or until > row.valid_from:
                spans.append(SubscriptionSpan(row.plan, row.quantity, row.valid_from, until))
        return with_prices(spans, [row.span for row in self.prices]) if self.prices else tuple(spans)


class AccountForClose(NamedTuple):
    """An account with its services, by external id."""

    account: AccountRow
    services: tuple[ServiceForClose, ...]


class SeriesRef(NamedTuple):
    """What ingest must know of a series: its meter, its service and account, and the zone of its civil days."""

    id: int
    meter: str
    service_id: int
    account_id: int
    zone: str


def accounts_for_close(ids: Collection[int]) -> list[AccountForClose]:
    """These accounts with their services, subscriptions and series, sorted by id; five queries whatever the number."""
    wanted = list(ids)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT service_id, plan, quantity, valid_from, valid_until FROM services_subscription "
            "WHERE service_id IN (SELECT id FROM services_service WHERE account_id = ANY(%s)) "
            "ORDER BY service_id, valid_from",
            [wanted],
        )
        subscriptions = {
            service: tuple(SubscriptionRow(*row[1:]) for row in rows)
            for service, rows in groupby(cursor.fetchall(), key=lambda row: row[0])
        }
        cursor.execute(
            "SELECT service_id, id, key, meter FROM services_series "
            "WHERE service_id IN (SELECT id FROM services_service WHERE account_id = ANY(%s)) ORDER BY service_id, id",
            [wanted],
        )
        series = {
            service: tuple(SeriesRow(*row[1:]) for row in rows)
            for service, rows in groupby(cursor.fetchall(), key=lambda row: row[0])
        }
        cursor.execute(
            f"{_PRICES} WHERE service_id IN (SELECT id FROM services_service WHERE account_id = ANY(%s))"  # noqa: S608
            f" {_IN_ORDER}",
            [wanted],
        )
        prices = _prices(cursor.fetchall())
        cursor.execute(
            "SELECT account_id, id, external_id, name, kind, started_on, ended_on, pool, billed_until "
            "FROM services_service WHERE account_id = ANY(%s) ORDER BY account_id, external_id",
            [wanted],
        )
        services = {
            owner: tuple(
                ServiceForClose(
                    service, name, title, kind, since, until, pool, billed,
                    subscriptions.get(service, ()), series.get(service, ()), prices.get(service, ()),
                )
                for _, service, name, title, kind, since, until, pool, billed in rows
            )
            for owner, rows in groupby(cursor.fetchall(), key=lambda row: row[0])
        }  # fmt: skip
    return [AccountForClose(row, services.get(row.id, ())) for row in customers.accounts(wanted)]


_PRICES = (
    "SELECT service_id, plan, amount, currency, words, valid_from, valid_until, reason, id FROM services_agreed_price"
)
_IN_ORDER = "ORDER BY service_id, valid_from"


def _prices(rows: Collection[tuple[Any, ...]]) -> dict[int, tuple[PriceRow, ...]]:
    return {
        service: tuple(PriceRow(row[1], Money(row[2], row[3]), *row[4:]) for row in own)
        for service, own in groupby(rows, key=lambda row: row[0])
    }


def agreed_prices(service_ids: Collection[int]) -> dict[int, tuple[PriceRow, ...]]:
    """The base fees agreed for these services, the oldest first, by service id; services without any are left out."""
    with connection.cursor() as cursor:
        cursor.execute(f"{_PRICES} WHERE service_id = ANY(%s) {_IN_ORDER}", [list(service_ids)])
        return _prices(cursor.fetchall())


_index: "tuple[UUID | None, dict[str, SeriesRef]] | None" = None
_REFS = (
    "SELECT s.key, s.id, s.meter, s.service_id, v.account_id, a.zone FROM services_series s "
    "JOIN services_service v ON v.id = s.service_id JOIN customers_account a ON a.id = v.account_id"
)


def series_index() -> Mapping[str, SeriesRef]:
    """Every series by its key. Kept in the process; one small query a call tells whether anybody changed anything.

    A caller inside a transaction sees its own changes too. Don't write to it.
    """
    global _index
    with connection.cursor() as cursor:
        # The stamp is read first: should somebody commit between the two, the index is newer than its stamp says, and
        # is read once more the next time.
        cursor.execute("SELECT stamp FROM services_series_stamp")
        row = cursor.fetchone()
        stamp = row[0] if row else None
        if _index is None or _index[0] != stamp or stamp is None:
            cursor.execute(_REFS)
            _index = (stamp, {key: SeriesRef(*rest) for key, *rest in cursor.fetchall()})
    return _index[1]


def series_refs(keys: Collection[str]) -> dict[str, SeriesRef]:
    """Those of these series that are known, by key; by query, for a few."""
    with connection.cursor() as cursor:
        cursor.execute(f"{_REFS} WHERE s.key = ANY(%s)", [list(keys)])
        return {key: SeriesRef(*rest) for key, *rest in cursor.fetchall()}


def owners_of(series: Collection[int]) -> list[tuple[int, int]]:
    """The services that these series (ids) count for, with their accounts: (account, service), sorted, each once."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT v.account_id, v.id FROM services_series s JOIN services_service v ON v.id = s.service_id"
            " WHERE s.id = ANY(%s) ORDER BY 1, 2",
            [list(series)],
        )
        return [(account, service) for account, service in cursor.fetchall()]


def series_of(services: Collection[int]) -> dict[int, tuple[SeriesRow, ...]]:
    """The series of these services, by service id; services without any are left out."""
    rows = Series.objects.filter(service__in=list(services)).order_by("service_id", "id")
    found = rows.values_list("service_id", "id", "key", "meter")
    return {
        service: tuple(SeriesRow(*row[1:]) for row in own) for service, own in groupby(found, key=lambda row: row[0])
    }


def service(external_id: str) -> ServiceRow:
    """The service with this external id. Raises `UnableToFindServiceError`."""
    row = Service.objects.filter(external_id=external_id).values_list(*ServiceRow._fields).first()
    if row is None:
        raise UnableToFindServiceError(external_id)
    return ServiceRow(*row)


def services(ids: Collection[int] | None = None) -> list[ServiceRow]:
    """These services, or all, sorted by id."""
    rows = Service.objects.order_by("id")
    if ids is not None:
        rows = rows.filter(id__in=list(ids))
    return [ServiceRow(*row) for row in rows.values_list(*ServiceRow._fields)]


def services_by_external_id(external_ids: Collection[str]) -> dict[str, ServiceRow]:
    """Those of these services that are there, by external id."""
    rows = Service.objects.filter(external_id__in=list(external_ids)).values_list(*ServiceRow._fields)
    return {row[2]: ServiceRow(*row) for row in rows}


def subscriptions(service_ids: Collection[int]) -> dict[int, tuple[SubscriptionRow, ...]]:
    """The subscriptions of these services, oldest first, by service id."""
    rows = Subscription.objects.filter(service__in=list(service_ids)).order_by("service_id", "valid_from")
    found = rows.values_list("service_id", "plan", "quantity", "valid_from", "valid_until")
    return {
        service: tuple(SubscriptionRow(*row[1:]) for row in own)
        for service, own in groupby(found, key=lambda row: row[0])
    }


def _on_or_after(on: date) -> Q:
    return Q(valid_until__isnull=True) | Q(valid_until__gt=on)


def plans_in_use(on: date) -> dict[str, int]:
    """How many services are on each plan on that day or later."""
    rows = Subscription.objects.filter(_on_or_after(on)).values_list("plan")
    return dict(rows.annotate(count=Count("service", distinct=True)).order_by("plan"))


class PlanUser(NamedTuple):
    """A service on a plan, and how many it has of it."""

    service: str
    name: str
    account: str
    quantity: int


def services_on_plan(plan: str, on: date) -> list[PlanUser]:
    """The services on a plan on that day or later, by external id."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT v.external_id, v.name, a.external_id, s.quantity FROM services_subscription s "
            "JOIN services_service v ON v.id = s.service_id JOIN customers_account a ON a.id = v.account_id "
            "WHERE s.plan = %s AND (s.valid_until IS NULL OR s.valid_until > %s) ORDER BY v.external_id, s.valid_from",
            [plan, on],
        )
        return [PlanUser(*row) for row in cursor.fetchall()]
