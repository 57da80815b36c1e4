"""Quarantine: samples of series that nobody knows, and giving a series to a service."""

from urllib.parse import quote

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from coulance.catalog import queries as catalog
from coulance.console.access import operators_only, who
from coulance.console.acts import Done, UnableToActError, form_of, is_sure, new_token, once, once_or_back, reason_of
from coulance.console.paging import PER_PAGE, number_asked, page
from coulance.customers import queries as customers
from coulance.flows import quarantine
from coulance.flows.customers import UnableToKeepError
from coulance.platform import clock
from coulance.platform.roles import Permission
from coulance.services import queries as services
from coulance.services.queries import ServiceRow
from coulance.usage import queries as usage
from coulance.usage.errors import UnableToReplayError
from coulance.usage.operations import ReplayAnswer


@operators_only(Permission.SEE)
@require_GET
def quarantine_list(request: HttpRequest) -> HttpResponse:
    """Every series that waits, those with most samples first."""
    text = request.GET.get("q", "").strip()[:200]
    found = [one for one in usage.quarantined() if text.lower() in one.key.lower()]
    found.sort(key=lambda one: (-one.rows, one.key))
    number = number_asked(request, len(found))
    rows = found[(number - 1) * PER_PAGE : number * PER_PAGE]
    return render(
        request,
        "console/quarantine.html",
        {
            "here": "quarantine",
            "page": page(request, rows, number, len(found)),
            "q": text,
            "rows_waiting": sum(one.rows for one in found),
            "token": new_token(),
        },
    )


@operators_only(Permission.OPERATE)
@require_http_methods(["GET", "POST"])
def quarantine_series(request: HttpRequest) -> HttpResponse:
    """One series (`?key=`): give it to a service and meter, or give its samples up."""
    key = request.GET.get("key", "")[:1000]
    series = next((one for one in usage.quarantined() if one.key == key), None)
    form = form_of(request, "service", "meter", "what")
    if series is None and request.method != "POST":
        raise Http404("nothing of that series waits")
    if request.method == "POST":
        try:
            reason = reason_of(request)
            if form.values["what"] == "discard":
                return once(request, lambda: _discarded(key, who(request), reason))
            service = _service(form.values["service"])
            if is_sure(request):
                meter = form.values["meter"]
                return once(request, lambda: _assigned(key, service.external_id, meter, who(request), reason))
            form.preview = {"service": service, "account": customers.accounts([service.account_id])[0]}
        except (UnableToActError, UnableToKeepError, UnableToReplayError) as fault:
            form.fault = str(fault)
    try:
        meters = sorted(catalog.catalog().meters)
    except catalog.UnableToFindCatalogError:
        meters = []
    values = {"here": "quarantine", "key": key, "series": series, "meters": meters, "form": form}
    return render(request, "console/quarantine_series.html", values, status=form.status)


@operators_only(Permission.OPERATE)
@require_http_methods(["POST"])
def quarantine_replay(request: HttpRequest) -> HttpResponse:
    """Count what waits for series that are known by now."""
    return once_or_back(
        request,
        lambda: Done("/quarantine", _said(quarantine.replay(actor=who(request), at=clock.now()))),
        "/quarantine",
    )


def _service(external_id: str) -> ServiceRow:
    try:
        return services.service(external_id.strip())
    except services.UnableToFindServiceError as fault:
        raise UnableToActError(_("There is %(fault)s.") % {"fault": fault}) from None


def _assigned(key: str, service: str, meter: str, actor: str, reason: str) -> Done:
    done = quarantine.assign(key=key, service=service, meter=meter, actor=actor, reason=reason, at=clock.now())
    return Done(f"/services/{quote(service, safe='')}", _said(done.replayed))


def _replayed(actor: str) -> Done:
    return Done("/quarantine", _said(quarantine.replay(actor=actor, at=clock.now())))


def _discarded(key: str, actor: str, reason: str) -> Done:
    rows = quarantine.discard(keys=[key], actor=actor, reason=reason, at=clock.now())
    return Done(
        "/quarantine",
        _("%(rows)s samples of %(key)s are given up: they will not be billed.") % {"rows": rows, "key": key},
    )


def _said(answer: ReplayAnswer) -> str:
    said = f"{answer.accepted + answer.late + answer.corrected} samples of {len(answer.keys)} series count now"
    if answer.stuck:
        return f"{said}; {len(answer.stuck)} series still can't be placed: {answer.stuck[0][1]}"
    return f"{said}."
