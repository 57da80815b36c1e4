"""A customer's uptime: what was promised, what was down, what was credited and how it was paid; and what they saw."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from coulance.flows.promises import terms, wording
from coulance.invoicing.documents.words import Words
from coulance.platform import clock
from coulance.portal.access import customers_only, words
from coulance.portal.entry import Me
from coulance.services import queries as services
from coulance.sla import operations
from coulance.sla import queries as sla
from coulance.sla.errors import SlaError
from coulance_core.sla.paying import Pays


@customers_only
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, *, me: Me) -> HttpResponse:
    """Outages and credits; a form for what they saw themselves; how credits are paid."""
    known = terms.table()
    (own,) = services.accounts_for_close([me.account.id])
    fault = ""
    if request.method == "POST":
        fault = _act(request, me, {s.external_id: s.id for s in own.services}, known.pays)
        if not fault:
            return HttpResponseRedirect("/my/uptime")
    says, zone = Words.of(translation.get_language()), ZoneInfo(me.account.zone)
    names = {s.id: s.name for s in own.services}
    given: dict[tuple[int, str], list[Any]] = {}
    for row in sla.given(account=me.account.id):
        given.setdefault((row.service, row.period_name), []).append(row)
    periods = [
        {
            "service": names.get(row.service, ""),
            "period": row.period_name,
            "terms": row.terms_version,
            "so_far": row.so_far,
            "made_of": row.terms.get(terms.MADE_OF, ""),
            "target": f"{row.terms.get('target', '')} %",
            "percent": f"{wording.percent(row.availability)} %",
            "minutes": wording.minutes(row.downtime),
            "outages": [_shown(one, zone) for one in row.outages],
            "credits": [
                {
                    "amount": says.money(one.amount.decimal(), one.amount.currency),
                    "numbers": ", ".join(one.numbers),
                }
                for one in given.get((row.service, row.period_name), ())
            ],
            "why": row.explanation.render(),
        }
        for row in sla.measures(account=me.account.id, most=200)
    ]
    labels = {
        Pays.INVOICE: _("On the next invoice"),
        Pays.WALLET: _("To the balance"),
        Pays.MONEY_BACK: _("Money back"),
    }
    chosen = sla.preference(me.account.id) or known.pays[0]
    return render(
        request,
        "portal/uptime.html",
        words(request)
        | {
            "here": "uptime",
            "periods": periods,
            "services": own.services,
            "cases": [
                {"row": row, "service": names.get(row.service, ""), "when": _times(row.since, row.until, zone)}
                for row in sla.cases(account=me.account.id)
            ],
            "ways": [(way.value, labels[way], way is chosen) for way in known.pays] if len(known.pays) > 1 else [],
            "zone": me.account.zone,
            "fault": fault,
        },
        status=422 if fault else 200,
    )


def _act(request: HttpRequest, me: Me, own: dict[str, int], ways: tuple[Pays, ...]) -> str:
    """Do what the form asks; what is wrong with it, or nothing."""
    by, at = f"contact:{me.contact.external_id}", clock.now()
    if request.POST.get("act") == "prefer":
        way = request.POST.get("way", "")
        if way not in [one.value for one in ways]:
            return _("Choose one of the ways that are offered.")
        operations.prefer(account=me.account.id, way=Pays(way), by=by, at=at)
        return ""
    service = own.get(request.POST.get("service", ""))
    zone = ZoneInfo(me.account.zone)
    try:
        since, until = (
            datetime.fromisoformat(request.POST.get(key, "")).replace(tzinfo=zone) for key in ("since", "until")
        )
    except ValueError:
        return _("Say from when to when it was down.")
    text = request.POST.get("words", "").strip()
    if service is None or not text or until <= since or since > at:
        return _("Say which service was down, from when to when, and what you saw.")
    try:
        operations.contest(service=service, account=me.account.id, since=since, until=until, words=text, by=by, at=at)
    except SlaError:
        return _("You have told us of many already: we answer those first.")
    return ""


def _shown(one: Any, zone: ZoneInfo) -> str:
    return _times(datetime.fromisoformat(one["since"]), datetime.fromisoformat(one["until"]), zone)


def _times(since: datetime, until: datetime, zone: ZoneInfo) -> str:
    return f"{since.astimezone(zone):%Y-%m-%d %H:%M:%S} – {until.astimezone(zone):%Y-%m-%d %H:%M:%S}"
