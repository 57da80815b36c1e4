"""Promises of uptime for who keeps them: at risk, customers' reports, what was credited and why, what to claim."""

from collections import defaultdict
from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from coulance.console.access import operators_only, who
from coulance.console.acts import Done, UnableToActError, new_token, once, reason_of
from coulance.flows.promises import claims, outlook, wording
from coulance.platform import alarms, clock
from coulance.platform.roles import Permission
from coulance.services import queries as services
from coulance.sla import operations
from coulance.sla import queries as sla
from coulance.sla.errors import SlaError


@operators_only(Permission.SEE)
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """Everything on one page."""
    return _shown(request, "")


@operators_only(Permission.MONEY)
@require_POST
def decide(request: HttpRequest, case: int) -> HttpResponse:
    """Decide on a customer's report; accepted, that time is an outage and is credited."""
    try:
        reason = reason_of(request)
        accepted = request.POST.get("answer") == "accept"
        return once(request, lambda: _decided(case, accepted, reason, who(request)))
    except (UnableToActError, SlaError) as fault:
        return _shown(request, str(fault))


def _decided(case: int, accepted: bool, reason: str, actor: str) -> Done:
    operations.decide(counter=case, accepted=accepted, reason=reason, actor=actor, at=clock.now())
    return Done("/uptime", _("It is decided."))


@operators_only(Permission.MONEY)
@require_POST
def claimed(request: HttpRequest, period: str) -> HttpResponse:
    """Note that a credit was claimed of a supplier, and where; or that none is."""
    try:
        reason = reason_of(request)
        supplier, waived = request.POST.get("supplier", ""), request.POST.get("answer") == "waive"
        return once(request, lambda: _claimed(supplier, period, reason, waived, who(request)))
    except (UnableToActError, SlaError, ValueError) as fault:
        return _shown(request, str(fault))


def _claimed(supplier: str, period: str, reference: str, waived: bool, actor: str) -> Done:
    year, number = (int(part) for part in period.split("-"))
    claims.note(
        supplier=supplier, year=year, month=number, reference=reference, waived=waived, actor=actor, at=clock.now()
    )
    return Done("/uptime", _("It is noted."))


def _shown(request: HttpRequest, fault: str) -> HttpResponse:
    at = clock.now()
    last = at.replace(day=1) - timedelta(days=1)
    measures = sla.measures(period_name=f"{last:%Y-%m}", most=10_000)
    running = [row for row in sla.measures(period_name=f"{at:%Y-%m}", most=10_000) if row.amount.minor]
    names = {row.id: row for row in services.services()}
    causes: dict[str, int] = defaultdict(int)
    for row in measures:
        for one in row.outages:
            causes[one["by"].split(" ")[0]] += 1
    words = {
        "check": _("seen by a check"),
        "entry": _("entered by a person"),
        "unknown": _("nothing was heard"),
        "wrongful": _("a restriction that was wrong"),
    }
    values = {
        "here": "uptime",
        "fault": fault,
        "risks": [
            {"row": row, "down": wording.minutes(row.downtime), "allowed": row.allowed // 60_000_000}
            for row in outlook.at_risk(at=at)
        ],
        "cases": [{"row": row, "service": names[row.service].external_id} for row in sla.cases(waiting=True)],
        "month": f"{last:%Y-%m}",
        "credited": [
            {"service": names[row.service].external_id, "row": row, "down": wording.minutes(row.downtime)}
            for row in measures
            if row.amount.minor
        ],
        "running": [
            {"service": names[row.service].external_id, "row": row, "down": wording.minutes(row.downtime)}
            for row in running
        ],
        "nothing": [one.what for one in alarms.open_alarms() if one.key.startswith("sla-no-fee/")],
        "causes": [(words.get(cause, cause), count) for cause, count in sorted(causes.items())],
        "claims": claims.claims(year=last.year, month=last.month, at=at),
        "token": new_token(),
    }
    return render(request, "console/uptime.html", values, status=422 if fault else 200)
