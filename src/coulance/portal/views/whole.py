"""One limit for everything of an account: in the portal, and by an invitation's link."""

from hashlib import sha256
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from coulance.flows.overage_control import whole
from coulance.flows.overage_control.acting import Customer, UnableToActError
from coulance.flows.overage_control.judging import cost
from coulance.invoicing.documents.words import Words
from coulance.platform import clock
from coulance.portal.access import customers_only, words
from coulance.portal.entry import Me
from coulance.portal.views.deciding import Result, came_from


@customers_only
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, *, me: Me) -> HttpResponse:
    """What the account's own limit binds, and the form for it."""
    return shown(request, by=Customer(me.account.id, me.contact, "portal", came_from(request)), here="overview")


def shown(request: HttpRequest, *, by: Customer, here: str) -> HttpResponse:
    """The page for whoever acts, and what they asked for done. Nothing is agreed to that was not shown first."""
    result = _act(request, by) if request.method == "POST" else Result()
    try:
        of = whole.whole(account=by.account, at=clock.now())
    except UnableToActError as fault:
        raise Http404(str(fault)) from fault
    says = Words.of(translation.get_language() or "en")
    rows = [
        {
            "name": one.counted.service.name,
            "charge": one.counted.charge.name,
            "used": says.amount_of(one.counted.used, one.counted.unit, 1),
            "included": says.amount_of(one.counted.included, one.counted.unit, 1),
            "cost": says.money(cost(one.standing.billable, one.terms).decimal(), one.terms.currency),
        }
        for one in of.bound
    ]
    values: dict[str, Any] = {
        "here": here,
        "rows": rows,
        "apart": [one.counted.service.name for one in of.apart],
        "consent": of.consent,
        "spent": says.money(of.spent.decimal(), of.spent.currency),
        "currency": of.account.currency,
        "result": result,
        "name": by.contact.name,
        "may_allow": by.contact.may_incur_cost,
    }
    return render(request, "portal/limit.html", words(request) | values, status=422 if result.fault else 200)


def _act(request: HttpRequest, by: Customer) -> Result:
    at, what = clock.now(), request.POST.get("act", "")
    out = Result(amount=request.POST.get("amount", "")[:40])
    try:
        match what:
            case "preview" | "allow":
                of = whole.whole(account=by.account, at=at)
                offered = whole.offer(of=of, amount=out.amount, language=translation.get_language() or "en")
                out.digest = sha256(offered.text.encode()).hexdigest()
                if what == "preview" or request.POST.get("digest") != out.digest:
                    out.offer = offered
                    return out
                given = whole.give(by=by, offered=offered, at=at)
                out.done, out.amount = _("Your limit is set."), ""
                if given.pending:
                    out.done = _("Your limit waits for our approval; we tell you. Until then nothing changes.")
                elif given.dormant:
                    out.done = _("Your limit is set, and counts once your mail address is confirmed: see Contacts.")
            case "withdraw":
                typed = request.POST.get("consent", "")
                whole.withdraw(by=by, consent=int(typed[:18]) if typed.isdecimal() else 0, at=at)
                out.done = _("Your limit is withdrawn: nothing that is used from now on is charged as overage.")
            case _:
                raise UnableToActError(_("Choose what to do."))
    except UnableToActError as fault:
        out.fault = str(fault)
    return out
