"""Collectors: how each source of counters does, and the series that fell silent."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from coulance.console.access import operators_only
from coulance.platform import clock
from coulance.platform.roles import Permission
from coulance.usage import queries as usage
from coulance.usage import silence

MOST_SILENT = 200


@operators_only(Permission.SEE)
@require_GET
def collector_list(request: HttpRequest) -> HttpResponse:
    """Every target with its state, those in trouble first; then silent series."""
    at = clock.now()
    order = {"failing": 0, "behind": 1, "new": 2}
    targets = sorted(
        usage.collector_health(at=at), key=lambda one: (order.get(one.state, 3), one.collector, one.target)
    )
    silent = silence.silent_series(at)
    return render(
        request,
        "console/collectors.html",
        {
            "here": "collectors",
            "at": at,
            "targets": targets,
            "silent": silent[:MOST_SILENT],
            "silent_count": len(silent),
        },
    )
