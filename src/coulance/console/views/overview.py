"""The first page: how much there is, how the last run went, and what wants attention."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from coulance.console.access import operators_only
from coulance.console.paging import number_asked, page
from coulance.customers import listing as customers
from coulance.invoicing import listing
from coulance.invoicing import queries as invoicing
from coulance.platform.roles import Permission
from coulance.services import listing as services
from coulance.usage import queries as usage

RUNS_PER_PAGE = 12
SHOWN = 10


@operators_only(Permission.SEE)
def overview(request: HttpRequest) -> HttpResponse:
    """Counts, the newest run, parked accounts and quarantined series."""
    runs = listing.runs_page(limit=6)
    last = next((run for run in runs if run.purpose == "close"), runs[0] if runs else None)
    parked = invoicing.parked()
    quarantined = usage.quarantined()
    return render(
        request,
        "console/overview.html",
        {
            "here": "overview",
            "accounts": customers.count_accounts(),
            "services": services.count_services(),
            "usage": usage.overview(),
            "last": last,
            "runs": runs,
            "largest": listing.largest(run=last.id) if last else [],
            "parked": parked[:SHOWN],
            "parked_count": len(parked),
            "quarantined": quarantined[:SHOWN],
            "quarantined_count": len(quarantined),
        },
    )


@operators_only(Permission.SEE)
def runs(request: HttpRequest) -> HttpResponse:
    """Every run with what it made and whom it left out."""
    total = listing.count_runs()
    number = number_asked(request, total, RUNS_PER_PAGE)
    rows = listing.runs_page(limit=RUNS_PER_PAGE, offset=(number - 1) * RUNS_PER_PAGE)
    shown = {run.id for run in rows}
    parked = [row for row in invoicing.parked() if row.run in shown]
    return render(
        request,
        "console/runs.html",
        {
            "here": "runs",
            "page": page(request, rows, number, total, RUNS_PER_PAGE),
            "parked": parked[:200],
            "parked_count": len(parked),
        },
    )
