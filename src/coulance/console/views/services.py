"""Services: the list with use against what is included, and one service with its pictures and figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from coulance.console.access import operators_only
from coulance.console.paging import number_asked, page
from coulance.console.views.recent import recent
from coulance.customers import queries as customers
from coulance.invoicing import chart, listing, svg
from coulance.platform import clock
from coulance.platform.roles import Permission
from coulance.services import listing as services
from coulance.services import queries

Item = Mapping[str, Any]

PER_PAGE = 25
"""Fewer than other lists: each row has its picture."""


@operators_only(Permission.SEE)
def service_list(request: HttpRequest) -> HttpResponse:
    """Services by id, searched and filtered, each with the figures of its newest statement."""
    text, kind = request.GET.get("q", "").strip()[:100], request.GET.get("kind", "")
    total = services.count_services(text=text, kind=kind)
    number = number_asked(request, total, PER_PAGE)
    found = services.find_services(text=text, kind=kind, limit=PER_PAGE, offset=(number - 1) * PER_PAGE)
    statements = listing.latest_statements(accounts={row.account_id for row in found})
    rows = [listed(row, statements.get(row.account_id)) for row in found]
    return render(
        request,
        "console/services.html",
        {
            "here": "services",
            "page": page(request, rows, number, total, PER_PAGE),
            "q": text,
            "kind": kind,
            "kinds": services.kinds(),
        },
    )


@operators_only(Permission.SEE)
def service_detail(request: HttpRequest, external_id: str) -> HttpResponse:
    """One service: pictures and figures of a period, its plans, its sample series, its documents."""
    try:
        service = queries.service(external_id)
    except queries.UnableToFindServiceError as fault:
        raise Http404(str(fault)) from fault
    account = customers.accounts([service.account_id])[0]
    periods = listing.statement_periods(account=account.id)
    period = request.GET.get("period", "")
    if period not in periods:
        period = periods[0] if periods else ""
    statement = listing.latest_statements(accounts=[account.id], period_name=period).get(account.id) if period else None
    items = items_of(statement, external_id)
    series = queries.series_of([service.id]).get(service.id, ())
    return render(
        request,
        "console/service.html",
        {
            "here": "services",
            "service": service,
            "account": account,
            "periods": periods,
            "period": period,
            "items": items,
            "pools": _pools(statement, items),
            "subscriptions": queries.subscriptions([service.id]).get(service.id, ()),
            "prices": queries.agreed_prices([service.id]).get(service.id, ()),
            "recent": recent(series, zone=account.zone, at=clock.now()),
            "series": series,
            "documents": listing.documents_of_service(service=service.id, limit=24),
        },
    )


def listed(service: services.ListedService, statement: Mapping[str, Any] | None) -> dict[str, Any]:
    """A row of a list of services: the service, its items on a statement, and the zone of their days."""
    zone = ((statement or {}).get("period") or {}).get("zone") or "UTC"
    return {"service": service, "items": items_of(statement, service.external_id), "zone": zone}


def items_of(statement: Mapping[str, Any] | None, external_id: str) -> list[Item]:
    """A statement's usage items of one service."""
    usage = (statement or {}).get("usage") or ()
    return [item for item in usage if (item.get("service") or {}).get("id") == external_id]


def _pools(statement: Mapping[str, Any] | None, items: Sequence[Item]) -> list[str]:
    """Pictures of the pools that these items belong to."""
    pictures = []
    for name in dict.fromkeys(str(item["pool"]) for item in items if item.get("pool")):
        members = [item for item in (statement or {}).get("usage") or () if item.get("pool") == name]
        model = chart.pool(members, name=name)
        if model is not None:
            pictures.append(svg.svg(model))
    return pictures
