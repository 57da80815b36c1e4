"""Services: what accounts run, on which plans, fed by which series; and what they use."""

from datetime import date
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router, Status
from pydantic import Field

from coulance.api import paging
from coulance.api.access import actor_of
from coulance.api.accounts import account_row, refused
from coulance.api.operation import operation
from coulance.api.paging import Cursor, Limit
from coulance.api.problems import Problem
from coulance.api.schemas import (
    Day,
    Given,
    Id,
    Money,
    Page,
    PeriodName,
    Reason,
    Shown,
    Text,
    etag,
    judge_match,
    money,
)
from coulance.catalog import queries as catalog
from coulance.customers import queries as accounts
from coulance.flows import customers
from coulance.invoicing import queries as invoicing
from coulance.platform import clock
from coulance.services import listing, queries
from coulance.services.operations import KINDS
from coulance.usage import queries as usage
from coulance_core.kernel import anchored_period, show

router = Router(tags=["services"])

ServiceId = Annotated[str, Path(description="Your id of the service.", max_length=100, examples=["vps-1001"])]
_KIND = Field(pattern=f"^({'|'.join(KINDS)})$", examples=["vps"])
_PLAN = Field(min_length=1, max_length=60, examples=["vps-s"])
_QUANTITY = Field(ge=1, le=1_000_000)


class Service(Shown):
    """Something an account runs, on the civil days [started_on, ended_on) of the account's zone."""

    id: Annotated[str, Field(description="Your id of it.")]
    account: str
    name: str
    kind: str
    started_on: date
    ended_on: Annotated[date | None, Field(description="The first day on which it no longer runs.")]
    pool: str
    billed_until: Annotated[
        date | None, Field(description="Of a service taken over: billed elsewhere before this day.")
    ]


class Subscription(Shown):
    """A plan and how many of it, on the civil days [from, until)."""

    plan: str
    quantity: int
    from_: Annotated[date, Field(alias="from")]
    until: date | None


class Series(Shown):
    """A stream of samples and the meter it counts for."""

    key: str
    meter: str


class ServiceWithPlans(Service):
    """A service with its plans, the oldest first, and its series."""

    subscriptions: list[Subscription]
    series: list[Series]


class ServiceGiven(Given):
    """What is given of a service. A new one needs account, name, kind, first day and plan; one that is there keeps its
    account, first day and first plan."""

    account: Id | None = None
    name: Annotated[Text, Field(min_length=1, max_length=200, examples=["web1"])] | None = None
    kind: Annotated[str, _KIND] | None = None
    started_on: Day | None = None
    plan: Annotated[Text, _PLAN] | None = None
    quantity: Annotated[int, _QUANTITY] | None = None
    pool: Annotated[Text, Field(max_length=60)] | None = None
    billed_until: Day | None = None


class PlanChange(Given):
    """From a day on, another plan or number of it."""

    plan: Annotated[Text, _PLAN]
    quantity: Annotated[int, _QUANTITY] | None = None
    from_: Annotated[Day, Field(alias="from")]
    reason: Reason | None = None


class End(Given):
    """The first day on which the service no longer runs, and why."""

    on: Day
    reason: Reason


class SeriesGiven(Given):
    """A series and the meter it counts for."""

    key: Annotated[Text, Field(min_length=1, max_length=200, examples=["vps-1001/eth0"])]
    meter: Annotated[Text, Field(min_length=1, max_length=60, examples=["traffic"])]


class Figure(Shown):
    """What a charge of the period was settled at: the newest settlement."""

    charge: str
    pool: str
    quantity: Annotated[str, Field(description="Exact: a decimal, or n/d where it doesn't end.")]
    unit: str
    net: Annotated[Money, Field(description="Billed for it in all, tax not counted where prices are without it.")]
    slots_seen: int
    slots_expected: int
    coverage: Annotated[str, Field(description="Share of the expected samples that came: 0 to 1.", examples=["0.9987"])]
    revision: int


class Running(Shown):
    """A series' running counters over the period so far, in `unit` / 10^`scale`."""

    series: str
    meter: str
    unit: str
    scale: int
    samples: int
    in_: Annotated[int, Field(alias="in")]
    out: int


class Usage(Shown):
    """What a service used in a period of its account: settled figures once it is closed, counters as they run."""

    service: str
    period: str
    start: str
    end: str
    settled: list[Figure]
    running: list[Running]


def _row(external_id: str) -> queries.ServiceRow:
    try:
        return queries.service(external_id)
    except queries.UnableToFindServiceError as fault:
        raise Problem(404, "not-there", str(fault), where="service") from fault


def _shown(row: Any, account: str) -> dict[str, Any]:
    return {
        "id": row.external_id,
        "account": account,
        "name": row.name,
        "kind": row.kind,
        "started_on": row.started_on,
        "ended_on": row.ended_on,
        "pool": row.pool,
        "billed_until": row.billed_until,
    }


def _whole(row: queries.ServiceRow) -> dict[str, Any]:
    [owner] = accounts.accounts([row.account_id])
    return {
        **_shown(row, owner.external_id),
        "subscriptions": [
            {"plan": one.plan, "quantity": one.quantity, "from": one.valid_from, "until": one.valid_until}
            for one in queries.subscriptions([row.id]).get(row.id, ())
        ],
        "series": [{"key": one.key, "meter": one.meter} for one in queries.series_of([row.id]).get(row.id, ())],
    }


def _answer(response: HttpResponse, external_id: str, status: int = 200) -> Any:
    shown = _whole(_row(external_id))
    response["ETag"] = etag(shown)
    return Status(status, shown)


@operation(router, "GET", "", scope="customers:read", summary="Services, in the order they came",
           response=Page[Service], refusals=[404])  # fmt: skip
def list_services(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    limit: Limit = 50,
    cursor: Cursor = None,
    account: Annotated[str | None, Query(max_length=100, description="Only of this account.")] = None,
    kind: Annotated[str, Query(max_length=20, description="Only of this kind.")] = "",
    q: Annotated[str, Query(max_length=100, description="The start of an id, or a part of a name.")] = "",
) -> dict[str, Any]:
    """A page of services. New ones come at the end."""
    key = paging.after(cursor, "services", int)
    owner = account_row(account).id if account is not None else None
    rows = listing.services_after(after=key[0] if key else 0, text=q, kind=kind, account=owner, limit=limit + 1)
    return paging.page(rows, limit, "services", lambda row: (row.id,), lambda row: _shown(row, row.account))


@operation(router, "GET", "/{service}", scope="customers:read", summary="A service with its plans and series",
           response=ServiceWithPlans)  # fmt: skip
def get_service(request: HttpRequest, response: HttpResponse, service: ServiceId) -> Any:  # noqa: ARG001
    """The service, with an ETag for If-Match."""
    return _answer(response, service)


@operation(router, "PUT", "/{service}", scope="services:write", summary="Start or change a service",
           response={200: ServiceWithPlans, 201: ServiceWithPlans}, match=True)  # fmt: skip
def put_service(request: HttpRequest, response: HttpResponse, service: ServiceId, given: ServiceGiven) -> Any:
    """Start it (201), or change its name, kind or pool (200); the same again changes nothing."""
    with customers.editing():
        before = queries.services_by_external_id([service]).get(service)
        judge_match(request, etag(_whole(before)) if before else None)
        try:
            done = customers.put_service(
                external_id=service, given=given.model_dump(exclude_none=True), actor=actor_of(request), at=clock.now()
            )
        except customers.UnableToKeepError as fault:
            raise refused(fault) from fault
        return _answer(response, service, 201 if done == "created" else 200)


@operation(router, "POST", "/{service}/plan", scope="services:write", summary="Change plan or quantity, from a day on",
           response=ServiceWithPlans, match=True)  # fmt: skip
def change_plan(request: HttpRequest, response: HttpResponse, service: ServiceId, given: PlanChange) -> Any:
    """Another plan or number of it from that day; what was planned for later days is dropped. Billed days stay."""
    with customers.editing():
        judge_match(request, etag(_whole(_row(service))))
        try:
            customers.change_plan(
                service=service,
                plan=given.plan,
                quantity=given.quantity,
                from_date=given.from_,
                actor=actor_of(request),
                at=clock.now(),
                reason=given.reason or "",
            )
        except customers.UnableToKeepError as fault:
            raise refused(fault) from fault
        return _answer(response, service)


@operation(router, "POST", "/{service}/end", scope="services:write", summary="End a service",
           response=ServiceWithPlans, match=True)  # fmt: skip
def end_service(request: HttpRequest, response: HttpResponse, service: ServiceId, given: End) -> Any:
    """It no longer runs from that day on; what was billed beyond it is given back by the next closing."""
    with customers.editing():
        judge_match(request, etag(_whole(_row(service))))
        try:
            customers.end_service(
                service=service, on=given.on, actor=actor_of(request), at=clock.now(), reason=given.reason
            )
        except customers.UnableToKeepError as fault:
            raise refused(fault) from fault
        return _answer(response, service)


@operation(router, "POST", "/{service}/series", scope="services:write", summary="Assign a series to a service",
           response={200: Series, 201: Series})  # fmt: skip
def assign_series(request: HttpRequest, service: ServiceId, given: SeriesGiven) -> Any:
    """From now on its samples count for this service. One that counts for another already is refused."""
    _row(service)
    try:
        done = customers.assign_series(
            key=given.key, service=service, meter=given.meter, actor=actor_of(request), at=clock.now()
        )
    except customers.UnableToKeepError as fault:
        raise refused(fault) from fault
    return Status(201 if done == "created" else 200, {"key": given.key, "meter": given.meter})


@operation(router, "GET", "/{service}/usage", scope="usage:read", summary="What a service uses in a period",
           response=Usage)  # fmt: skip
def get_usage(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    service: ServiceId,
    period: Annotated[PeriodName, Query(description="A billing period, by the month it starts in.")],
) -> dict[str, Any]:
    """Figures as they were settled, with coverage; and the running counters of each series over the same days."""
    row = _row(service)
    [owner] = accounts.accounts([row.account_id])
    year, month = map(int, period.split("-"))
    span = anchored_period(year, month, owner.billing_day, ZoneInfo(owner.zone))
    series = queries.series_of([row.id]).get(row.id, ())
    counted = usage.daily_counters(series=[one.id for one in series], period=span) if series else None
    meters = catalog.catalog().meters if series else {}
    running = []
    for one in series:
        meter = meters.get(one.meter)
        if counted is None or meter is None:
            continue
        mine = counted.series == one.id
        running.append(
            {
                "series": one.key,
                "meter": one.meter,
                "unit": meter.unit.name,
                "scale": meter.scale,
                "samples": int(counted.n[mine].sum()),
                "in": sum(counted.v_in[mine].tolist()),
                "out": sum(counted.v_out[mine].tolist()),
            }
        )
    settled = [
        {
            "charge": one.charge,
            "pool": one.pool,
            "quantity": show(one.quantity),
            "unit": one.unit,
            "net": money(one.net),
            "slots_seen": one.seen,
            "slots_expected": one.expected,
            "coverage": f"{one.seen / one.expected:.6f}" if one.expected else "1.000000",
            "revision": one.revision,
        }
        for one in invoicing.settled_figures(accounts=[row.account_id], period_name=period)
        if one.service == row.id
    ]
    zone = ZoneInfo(owner.zone)
    return {
        "service": service,
        "period": period,
        "start": span.start.astimezone(zone).isoformat(),
        "end": span.end.astimezone(zone).isoformat(),
        "settled": settled,
        "running": running,
    }
