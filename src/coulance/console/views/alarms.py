"""Alarms: what a person should look at, and saying that somebody did."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from coulance.console.access import operators_only, who
from coulance.console.acts import Done, UnableToActError, new_token, once, reason_of
from coulance.platform import alarms, clock
from coulance.platform.roles import Permission


@operators_only(Permission.SEE)
@require_GET
def alarm_list(request: HttpRequest) -> HttpResponse:
    """Open alarms, and those that were over lately."""
    return _shown(request, "")


@operators_only(Permission.OPERATE)
@require_POST
def alarm_clear(request: HttpRequest) -> HttpResponse:
    """Say that what an alarm was about is over; it comes back when its watcher sees it again."""
    key = request.POST.get("key", "")[:500]
    try:
        reason = reason_of(request)
        return once(request, lambda: _cleared(key, who(request), reason))
    except UnableToActError as fault:
        return _shown(request, str(fault))


def _cleared(key: str, actor: str, reason: str) -> Done:
    gone = alarms.clear_alarm(key=key, at=clock.now(), actor=actor, reason=reason)
    return Done("/alarms", "The alarm is cleared." if gone else "That alarm was over already.")


def _shown(request: HttpRequest, fault: str) -> HttpResponse:
    values = {
        "here": "alarms",
        "open": alarms.open_alarms(),
        "over": [each for each in alarms.recent_alarms(limit=50) if each.cleared_at is not None],
        "token": new_token(),
        "fault": fault,
    }
    return render(request, "console/alarms.html", values, status=422 if fault else 200)
