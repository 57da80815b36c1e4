"""Billing periods: what was closed, trying and closing one as a job, parked accounts, number series, plans."""

from datetime import date, datetime
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Path, Router, Status
from pydantic import Field

from coulance.api import paging
from coulance.api.access import actor_of
from coulance.api.operation import operation
from coulance.api.paging import Cursor, Limit
from coulance.api.problems import Problem
from coulance.api.schemas import Given, Money, Page, PeriodName, Reason, Shown, money
from coulance.catalog import queries as catalog
from coulance.flows import background_close
from coulance.invoicing import listing
from coulance.platform import clock, errands

periods = Router(tags=["periods"])
jobs = Router(tags=["periods"])
parked = Router(tags=["periods"])
series = Router(tags=["catalog"])
plans = Router(tags=["catalog"])

JobId = Annotated[str, Path(description="The id that a POST answered.", max_length=30, pattern="^job_[0-9a-f]{20}$",
                            examples=["job_0123456789abcdef0123"])]  # fmt: skip


class Made(Shown):
    """What a run made of a kind and currency."""

    kind: str
    count: int
    net: Money
    gross: Money


class Run(Shown):
    """A close of a period. `state` is open until its documents are numbered, then closed."""

    id: int
    period: str
    purpose: str
    state: str
    opened_at: datetime
    opened_by: str
    closed_at: datetime | None
    parked_accounts: int
    slots_seen: int
    slots_expected: int
    documents: list[Made]


class Parked(Shown):
    """An account that a run could not bill, and why."""

    account: str
    period: str
    reason: str
    detail: str
    parked_at: datetime


class Job(Shown):
    """Work under way: `done` of `total` accounts (0: not known). `result` once it is done, `fault` once it failed."""

    id: str
    kind: str
    subject: str
    state: Annotated[str, Field(pattern="^(waiting|running|done|failed)$")]
    done: int
    total: int
    result: dict[str, Any] | None
    fault: str
    asked_by: str
    asked_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class CloseGiven(Given):
    """A period to close, and why now; parked accounts are taken up again unless said otherwise."""

    reason: Reason
    retry_parked: bool = True


class NumberSeries(Shown):
    """A series of numbers, and where it stands in each year (year 0: it never starts again)."""

    key: str
    format: Annotated[str, Field(examples=["V{year}-{number:06d}"])]
    years: list["NumberState"]


class NumberState(Shown):
    """Where a series stands in a year."""

    year: int
    first: int
    last: int | None


class Plan(Shown):
    """A plan's version that holds from a day."""

    plan: str
    version: str
    name: str
    valid_from: date
    currency: str
    sold: bool
    tax_class: str
    charges: list[str]


def shown_job(one: errands.Errand) -> dict[str, Any]:
    """An errand, as answers show it."""
    return {
        "id": one.key,
        "kind": one.kind,
        "subject": one.subject,
        "state": one.state,
        "done": one.done,
        "total": one.total,
        "result": one.result,
        "fault": one.fault,
        "asked_by": one.asked_by,
        "asked_at": one.asked_at,
        "started_at": one.started_at,
        "ended_at": one.ended_at,
    }


def _run(row: listing.RunRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "period": row.period,
        "purpose": row.purpose,
        "state": row.state,
        "opened_at": row.opened_at,
        "opened_by": row.opened_by,
        "closed_at": row.closed_at,
        "parked_accounts": row.parked,
        "slots_seen": row.seen,
        "slots_expected": row.expected,
        "documents": [
            {"kind": kind, "count": count, "net": money(net), "gross": money(gross)}
            for kind, count, net, gross in row.made
        ],
    }


@operation(periods, "GET", "", scope="periods:read", summary="Runs, the newest period first", response=Page[Run])
def list_runs(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    limit: Limit = 12,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """A page of runs: what each made, how many accounts are parked, and how much of the samples was there."""
    key = paging.after(cursor, "runs", str, int)
    rows = listing.runs_page(limit=limit + 1, before=(key[0], key[1]) if key else None)
    return paging.page(rows, limit, "runs", lambda row: (row.period, row.id), _run)


@operation(periods, "GET", "/{period}", scope="periods:read", summary="The runs of a period", response=list[Run])
def get_runs(request: HttpRequest, period: Annotated[PeriodName, Path()]) -> list[dict[str, Any]]:  # noqa: ARG001
    """Its close, and corrections if there were any. 404 when it was never closed."""
    rows = listing.runs_page(limit=paging.MOST, period=period)
    if not rows:
        raise Problem(404, "not-there", f"{period} was never closed", where="period")
    return [_run(row) for row in rows]


def _ask(period: str, request: HttpRequest, response: HttpResponse, **more: Any) -> Any:
    year, month = map(int, period.split("-"))
    try:
        asked = background_close.ask_to_close(year=year, month=month, actor=actor_of(request), at=clock.now(), **more)
    except errands.UnableToAskError as fault:
        raise Problem(409, "still-at-work", f"{fault}: see /api/v1/jobs/{fault.key}") from fault
    except background_close.UnableToAskForCloseError as fault:
        raise Problem(422, "not-as-expected", str(fault)) from fault
    response["Location"] = f"/api/v1/jobs/{asked.key}"
    return Status(202, shown_job(asked))


_FOLLOW = {
    "responses": {
        202: {
            "links": {
                "job": {
                    "operationId": "get_job",
                    "parameters": {"job": "$response.body#/id"},
                    "description": "How far it is.",
                }
            }
        }
    }
}


@operation(periods, "POST", "/{period}/try", scope="periods:try", summary="Try closing a period: a dry run",
           response={202: Job}, more=_FOLLOW)  # fmt: skip
def try_close(request: HttpRequest, response: HttpResponse, period: Annotated[PeriodName, Path()]) -> Any:
    """A job computes what closing would bill, to the cent, and writes nothing. Follow Location to watch it."""
    return _ask(period, request, response, dry_run=True)


@operation(periods, "POST", "/{period}/close", scope="periods:write", summary="Close a period",
           response={202: Job}, more=_FOLLOW)  # fmt: skip
def close(
    request: HttpRequest, response: HttpResponse, period: Annotated[PeriodName, Path()], given: CloseGiven
) -> Any:
    """A job settles and bills the period for every account that is due. Follow Location to watch it.

    Closing again does what is left: accounts that were parked, or whose billing day had not come.
    """
    return _ask(period, request, response, dry_run=False, reason=given.reason, retry_parked=given.retry_parked)


@operation(jobs, "GET", "/{job}", scope="periods:read", summary="How far a job is", response=Job)
def get_job(request: HttpRequest, job: JobId) -> dict[str, Any]:  # noqa: ARG001 - ninja's signature
    """State, progress, and what came of it."""
    try:
        return shown_job(errands.errand(job))
    except errands.UnableToFindErrandError as fault:
        raise Problem(404, "not-there", str(fault), where="job") from fault


@operation(parked, "GET", "", scope="periods:read", summary="Accounts that could not be billed", response=Page[Parked])
def list_parked(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    limit: Limit = 50,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """What waits for somebody to look: mend it, and close the period again."""
    key = paging.after(cursor, "parked", int)
    rows = listing.parked_after(after=key[0] if key else 0, limit=limit + 1)
    return paging.page(rows, limit, "parked", lambda row: (row.id,), lambda row: {
        "account": row.account, "period": row.period, "reason": row.reason, "detail": row.detail,
        "parked_at": row.parked_at,
    })  # fmt: skip


@operation(series, "GET", "", scope="periods:read", summary="Number series", response=list[NumberSeries])
def list_series(request: HttpRequest) -> list[dict[str, Any]]:  # noqa: ARG001 - ninja's signature
    """The catalog's series, with the first and last number given in each year."""
    given: dict[str, list[dict[str, Any]]] = {}
    for key, year, first, last in listing.number_states():
        given.setdefault(key, []).append({"year": year, "first": first, "last": last})
    return [
        {"key": key, "format": one.format, "years": given.get(key, [])}
        for key, one in sorted(catalog.catalog().series.items())
    ]


@operation(plans, "GET", "", scope="catalog:read", summary="Plans in all their versions", response=list[Plan])
def list_plans(request: HttpRequest) -> list[dict[str, Any]]:  # noqa: ARG001 - ninja's signature
    """Every version of every plan; `sold` are those that services can be put on."""
    sold = set(catalog.plans_sold())
    return [
        {
            "plan": key,
            "version": version.version,
            "name": version.name,
            "valid_from": version.valid_from,
            "currency": version.currency,
            "sold": key in sold,
            "tax_class": version.tax_class,
            "charges": [charge.key for charge in version.charges],
        }
        for key, versions in sorted(catalog.catalog().plans.items())
        for version in versions
    ]


__all__ = ["jobs", "parked", "periods", "plans", "series"]
