"""The audit trail: who did what to what, when and why."""

from datetime import UTC, date, datetime, time, timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from coulance.console.access import operators_only
from coulance.console.paging import PER_PAGE, number_asked, page
from coulance.platform import audit
from coulance.platform.roles import Permission


@operators_only(Permission.SEE)
@require_GET
def audit_list(request: HttpRequest) -> HttpResponse:
    """Events, newest first, by actor, act, subject, words and days (UTC)."""
    asked = {name: request.GET.get(name, "").strip()[:200] for name in ("actor", "act", "subject", "q", "from", "to")}
    first, last = _day(asked["from"]), _day(asked["to"])
    wanted = audit.Filter(
        actor=asked["actor"],
        act=asked["act"],
        subject=asked["subject"],
        text=asked["q"],
        since=datetime.combine(first, time(), UTC) if first else None,
        until=datetime.combine(last + timedelta(days=1), time(), UTC) if last and last < date.max else None,
    )
    total = audit.count(wanted)
    number = number_asked(request, total)
    rows = audit.find(wanted, limit=PER_PAGE, offset=(number - 1) * PER_PAGE)
    return render(
        request,
        "console/audit.html",
        {
            "here": "audit",
            "page": page(request, rows, number, total),
            "asked": asked | {"since": asked["from"]},
            "acts": audit.acts(),
        },
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None
