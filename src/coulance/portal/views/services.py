"""A customer's services: how much of what is used, and the limit of each."""

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.http import require_http_methods, require_safe

from coulance.flows.overage_control import acting
from coulance.flows.overage_control.acting import Customer, Seen, UnableToActError
from coulance.invoicing.documents.words import Words
from coulance.platform import clock
from coulance.portal.access import customers_only, words
from coulance.portal.entry import Me
from coulance.portal.shown import shown
from coulance.portal.views.deciding import Result, act, came_from
from coulance.portal.views.terms import to_agree
from coulance.services import queries as services


@customers_only
@require_safe
def overview(request: HttpRequest, *, me: Me) -> HttpResponse:
    """Every service, those that want attention first."""
    at = clock.now()
    charges = [shown(seen, at=at) for seen in acting.seen(account=me.account.id, at=at)]
    charges.sort(key=lambda c: (not c.paused_here, -c.percent_number, c.service))
    (own,) = services.accounts_for_close([me.account.id])
    counted = {c.service for c in charges}
    today = at.astimezone(charges[0].seen.judged.counted.zone).date() if charges else at.date()
    others = [s for s in own.services if s.external_id not in counted and (s.ended_on is None or s.ended_on > today)]
    told = {
        "here": "overview",
        "charges": charges,
        "others": others,
        "terms": to_agree(me, translation.get_language() or "en"),
    }
    return render(request, "portal/overview.html", words(request) | told)


@customers_only
@require_http_methods(["GET", "HEAD", "POST"])
def service(request: HttpRequest, external_id: str, *, me: Me) -> HttpResponse:
    """One service: pictures, limit, pause."""
    row = services.services_by_external_id([external_id]).get(external_id)
    if row is None or row.account_id != me.account.id:
        raise Http404
    at = clock.now()
    found = acting.seen(account=me.account.id, service=row.id, at=at)
    result, charge = Result(), ""
    if request.method == "POST":
        charge = request.POST.get("charge", "")
        by = Customer(me.account.id, me.contact, "portal", came_from(request))
        result = act(request, by=by, judged=_charge(found, charge).judged)
        found = acting.seen(account=me.account.id, service=row.id, at=clock.now())
    return render(
        request,
        "portal/service.html",
        words(request)
        | {
            "here": "overview",
            "service": row,
            "charges": [shown(seen, at=at, picture=True) for seen in found],
            "result": result,
            "acted_on": charge,
            "may_allow": me.contact.may_incur_cost,
        },
        status=422 if result.fault else 200,
    )


@customers_only
@require_safe
def compute(request: HttpRequest, external_id: str, *, me: Me) -> HttpResponse:
    """The other side of a typed amount or quantity, for the script beside the form. Nothing is kept."""
    row = services.services_by_external_id([external_id]).get(external_id)
    if row is None or row.account_id != me.account.id:
        raise Http404
    found = acting.seen(account=me.account.id, service=row.id, at=clock.now())
    judged = _charge(found, request.GET.get("charge", "")).judged
    language = translation.get_language() or "en"
    says = Words.of(language)
    try:
        limit = acting.offer(
            judged=judged,
            amount=request.GET.get("amount", "")[:40],
            quantity=request.GET.get("quantity", "")[:40],
            language=language,
        ).limit
    except UnableToActError as fault:
        return JsonResponse({"fault": str(fault)})
    quantity = says.amount_of(limit.quantity, judged.counted.unit) if limit.quantity is not None else "∞"
    amount = says.money(limit.amount.decimal(), limit.amount.currency) if limit.amount is not None else "–"
    return JsonResponse({"other": quantity if limit.typed == "amount" else amount})


def _charge(found: list[Seen], charge: str) -> Seen:
    for seen in found:
        if seen.judged.counted.charge.key == charge:
            return seen
    raise Http404
