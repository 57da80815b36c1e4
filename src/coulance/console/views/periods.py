"""Periods: what can be closed, trying it first, closing with live progress, and whom a close left out."""

import re
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from coulance.console.access import operators_only, who
from coulance.console.acts import Done, UnableToActError, form_of, is_sure, once, reason_of
from coulance.console.paging import number_asked, page
from coulance.flows import background_close
from coulance.flows.closing import due
from coulance.invoicing import listing
from coulance.invoicing import queries as invoicing
from coulance.platform import clock, errands
from coulance.platform.errands import Errand, UnableToAskError
from coulance.platform.roles import Permission

PER_PAGE = 12
MOST_PARKED = 200


@operators_only(Permission.SEE)
@require_GET
def period_list(request: HttpRequest) -> HttpResponse:
    """Months that are still open, and every run with what it made."""
    at = clock.now()
    total = listing.count_runs()
    number = number_asked(request, total, PER_PAGE)
    rows = listing.runs_page(limit=PER_PAGE, offset=(number - 1) * PER_PAGE)
    return render(
        request,
        "console/periods.html",
        {
            "here": "periods",
            "months": due.months(at=at),
            "page": page(request, rows, number, total, PER_PAGE),
            "errands": _under_way(),
        },
    )


@operators_only(Permission.SEE)
@require_GET
def period_detail(request: HttpRequest, period: str) -> HttpResponse:
    """One month: its runs, whom they left out, the newest trial and close."""
    year, month = _month(period)
    runs = listing.runs_page(period=period)
    parked = [row for run in runs for row in invoicing.parked(run=run.id)]
    open_months = {each.period: each for each in due.months(at=clock.now())}
    tried = [_shown(each) for each in errands.recent(kind=background_close.TRY, subject=f"period:{period}", limit=5)]
    closed = [_shown(each) for each in errands.recent(kind=background_close.CLOSE, subject=f"period:{period}", limit=5)]
    return render(
        request,
        "console/period.html",
        {
            "here": "periods",
            "period": period,
            "runs": runs,
            "parked": parked[:MOST_PARKED],
            "parked_count": len(parked),
            "month": open_months.get(period),
            "tried": tried,
            "closed": closed,
            "known": bool(runs) or period in open_months or bool(tried),
            "year": year,
            "number": month,
        },
    )


@operators_only(Permission.BILLING)
@require_POST
def try_period(request: HttpRequest, period: str) -> HttpResponse:
    """Compute a close without writing it."""
    year, month = _month(period)
    try:
        asked = background_close.ask_to_close(
            year=year, month=month, dry_run=True, actor=who(request), at=clock.now(), reason="preview"
        )
    except UnableToAskError as fault:
        return HttpResponseRedirect(f"/errands/{fault.key}")
    return HttpResponseRedirect(f"/errands/{asked.key}")


@operators_only(Permission.BILLING, fresh=True)
@require_http_methods(["GET", "POST"])
def close_period(request: HttpRequest, period: str) -> HttpResponse:
    """Close a month: what the newest trial said, why now, and then it is done in the background."""
    year, month = _month(period)
    form = form_of(request)
    if is_sure(request):
        try:
            reason = reason_of(request)
            return once(request, lambda: _asked(year, month, reason, who(request)))
        except (UnableToActError, background_close.UnableToAskForCloseError) as fault:
            form.fault = str(fault)
        except UnableToAskError as fault:
            return HttpResponseRedirect(f"/errands/{fault.key}")
    tried = errands.recent(kind=background_close.TRY, subject=f"period:{period}", limit=1)
    shown = _shown(tried[0]) if tried and tried[0].state == "done" else None
    values = {"here": "periods", "period": period, "form": form, "tried": shown}
    return render(request, "console/close.html", values, status=form.status)


@operators_only(Permission.SEE)
@require_GET
def errand(request: HttpRequest, key: str) -> HttpResponse:
    """How far a trial or close is, and what came of it. Refreshes itself, by script or by the browser."""
    return render(request, "console/errand.html", {"here": "periods", **_shown(_errand(key))})


@operators_only(Permission.SEE)
@require_GET
def errand_state(_request: HttpRequest, key: str) -> HttpResponse:
    """The same in figures, for the script of that page."""
    found = _errand(key)
    return JsonResponse({"state": found.state, "done": found.done, "total": found.total})


def _asked(year: int, month: int, reason: str, actor: str) -> Done:
    made = background_close.ask_to_close(
        year=year, month=month, dry_run=False, actor=actor, at=clock.now(), reason=reason
    )
    return Done(f"/errands/{made.key}", _("The close has begun."))


def _under_way() -> list[dict[str, Any]]:
    return [
        _shown(each)
        for each in errands.recent(limit=20)
        if each.kind in (background_close.CLOSE, background_close.TRY) and each.state not in errands.DONE
    ]


def _errand(key: str) -> Errand:
    try:
        found = errands.errand(key)
    except errands.UnableToFindErrandError as fault:
        raise Http404(str(fault)) from fault
    if found.kind not in (background_close.CLOSE, background_close.TRY):
        raise Http404("that is another kind of job")
    return found


def _shown(found: Errand) -> dict[str, Any]:
    return {
        "errand": found,
        "period": found.subject.removeprefix("period:"),
        "trial": found.kind == background_close.TRY,
        "over": found.state in errands.DONE,
        "percent": 100 * found.done // found.total if found.total else 0,
        "result": found.result or {},
    }


def _month(period: str) -> tuple[int, int]:
    found = re.fullmatch(r"(20\d{2}|21\d{2})-(0[1-9]|1[0-2])", period)
    if found is None:
        raise Http404("no month")
    return int(found[1]), int(found[2])
