"""Restrictions: what holds for whose network, whether it was done and how fast; placing and lifting by hand."""

from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from coulance.console.access import operators_only, who
from coulance.console.acts import Done, UnableToActError, form_of, is_sure, new_token, once, reason_of
from coulance.enforcement import queries
from coulance.enforcement.leases import SILENT
from coulance.flows import enforcing
from coulance.platform import clock
from coulance.platform.roles import Permission
from coulance_core.enforcement.restrictions import Action, Source

MOST = 500


@operators_only(Permission.SEE)
@require_GET
def restriction_list(request: HttpRequest) -> HttpResponse:
    """What holds, what waits, how fast acts were, and the last of them with their proofs."""
    return _shown(request, "")


@operators_only(Permission.OPERATE)
@require_POST
def restriction_lift(request: HttpRequest) -> HttpResponse:
    """Lift one that was placed by hand."""
    try:
        number = request.POST.get("restriction", "")
        if not number.isdecimal() or len(number) > 18:
            raise UnableToActError(_("Which restriction? Open the page again."))
        reason = reason_of(request)
        return once(request, lambda: _lifted(int(number), who(request), reason))
    except (UnableToActError, enforcing.UnableToEnforceError) as fault:
        return _shown(request, str(fault))


@operators_only(Permission.OPERATE)
@require_POST
def restriction_new(request: HttpRequest) -> HttpResponse:
    """Restrict a service: first what would happen, then it does."""
    form = form_of(request, "service", "action", "address", "rate", source="security")
    try:
        reason = reason_of(request)
        action, source = _choice(form.values["action"]), form.values["source"]
        if source not in enforcing.BY_HAND:
            raise UnableToActError(
                _("Choose who asks for it: %(by_hand)s.") % {"by_hand": ", ".join(enforcing.BY_HAND)}
            )
        rate = _rate(form.values["rate"]) if action is Action.THROTTLE else None
        address = form.values["address"].strip() if action is Action.BLACKHOLE else ""
        service = form.values["service"].strip()

        def act() -> Done:
            enforcing.restrict(
                service=service, action=action, source=Source(source), reason=reason, rate_bps=rate, address=address,
                actor=who(request), at=clock.now(),
            )  # fmt: skip
            return Done("/restrictions", _("The restriction of %(service)s is placed.") % {"service": service})

        if is_sure(request):
            return once(request, act)
        row = enforcing.service_id(service)
        form.preview = {
            "held": queries.desired(row).words,
            "reached": queries.targets(row),
            "what": f"throttled to {rate} bit/s" if rate else f"{address} blackholed" if address else "paused",
        }
    except (UnableToActError, enforcing.UnableToEnforceError) as fault:
        form.fault = str(fault)
    values = {"here": "restrictions", "form": form}
    return render(request, "console/restriction_new.html", values, status=form.status)


def _choice(text: str) -> Action:
    try:
        return Action(text)
    except ValueError:
        raise UnableToActError(_("Choose what to do: %(action)s.") % {"action": ", ".join(Action)}) from None


def _rate(text: str) -> int:
    if not text.strip().isdecimal() or not 0 < int(text) <= 10_000_000:
        raise UnableToActError(_("A throttle wants a rate in kbit/s, such as 10000."))
    return int(text) * 1000


def _lifted(number: int, actor: str, reason: str) -> Done:
    row = enforcing.release(restriction=number, reason=reason, actor=actor, at=clock.now())
    return Done(
        "/restrictions",
        _("Lifted for %(service_name)s; what others imposed on it still holds.") % {"service_name": row.service_name},
    )


def _shown(request: HttpRequest, fault: str) -> HttpResponse:
    at = clock.now()
    rows = queries.restrictions(limit=MOST)
    unreached = queries.unreached(services=[row.service for row in rows])
    acts = queries.acts(limit=30)
    names = queries.service_names({act.service for act in acts})
    values = {
        "here": "restrictions",
        "at": at,
        "rows": [
            {
                "row": row,
                "unreached": row.service in unreached,
                "by_hand": row.restriction.source in enforcing.BY_HAND,
                "took": None
                if row.confirmed_at is None
                else f"{(row.confirmed_at - row.restriction.placed_at).total_seconds():.2f}",
            }
            for row in rows
        ],
        "waiting": queries.waiting(limit=100),
        "speed": queries.speed(since=at - timedelta(days=1)),
        "running": [each for each in queries.executors() if at - each.beat_at < SILENT],
        "acts": [
            {"act": act, "name": names[act.service],
             "took": f"{(act.finished_at - act.decided_at).total_seconds():.2f}"}
            for act in acts
        ],
        "token": new_token(),
        "fault": fault,
    }  # fmt: skip
    return render(request, "console/restrictions.html", values, status=422 if fault else 200)
