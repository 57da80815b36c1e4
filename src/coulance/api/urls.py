"""Addresses of the api room. Routers are added here, so that `app` needs to know none of them."""

import functools
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, path, re_path

from coulance.api import (
    accounts,
    contracts,
    debit,
    disputes,
    documents,
    fair,
    house,
    payments,
    periods,
    problems,
    prometheus,
    restrictions,
    services,
    uptime,
    usage,
    waiting,
    webhooks,
)
from coulance.api.app import api

api.add_router("/usage", usage.router)
api.add_router("/prometheus", prometheus.router)
api.add_router("/probe", uptime.probe)
api.add_router("/uptime", uptime.router)
api.add_router("/accounts", accounts.router)
api.add_router("/services", services.router)
api.add_router("/documents", documents.router)
api.add_router("/accounts", payments.of_account)
api.add_router("/payments", payments.router)
api.add_router("/mandates", debit.of_mandates)
api.add_router("/collections", debit.of_collections)
api.add_router("/collection-files", debit.of_files)
api.add_router("/paybacks", debit.of_paybacks)
api.add_router("/disputes", disputes.router)
api.add_router("/contracts", contracts.of_contract)
api.add_router("/tickets", contracts.of_ticket)
api.add_router("/periods", periods.periods)
api.add_router("/parked-accounts", periods.parked)
api.add_router("/jobs", periods.jobs)
api.add_router("/number-series", periods.series)
api.add_router("/plans", periods.plans)
api.add_router("/restrictions", restrictions.router)
api.add_router("/advice", fair.advised)
api.add_router("/goodwill", fair.given)
api.add_router("/waiting-invoices", waiting.router)
api.add_router("/webhooks", webhooks.router)
api.add_router("/token", house.token)
api.add_router("/audit", house.log)

View = Callable[..., HttpResponse]


def _worded(view: View) -> View:
    """A method that an address doesn't take is a problem document like every other refusal."""

    @functools.wraps(view)
    def inner(request: HttpRequest, *given: Any, **named: Any) -> HttpResponse:
        answer = view(request, *given, **named)
        if answer.status_code != 405:
            return answer
        allowed = answer.headers.get("Allow", "")
        worded = problems.problem(405, "not-allowed", f"this address takes {allowed}, not {request.method}")
        worded["Allow"] = allowed
        return worded

    return inner


def _problems(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 - a view takes the request
    return HttpResponse(problems.page())


def _nowhere(request: HttpRequest) -> HttpResponse:
    return problems.problem(404, "not-there", f"there is nothing at {request.path[:200]}; see /api/v1/openapi.json")


_routes, _app, _namespace = api.urls
for _route in _routes:
    if isinstance(_route, URLPattern):
        _route.callback = _worded(_route.callback)

urlpatterns: list[URLPattern | URLResolver] = [
    path("problems", _problems, name="api-problems"),
    path("", (_routes, _app, _namespace)),
    re_path(r"^.*$", _nowhere),
]
