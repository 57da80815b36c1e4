"""Campaigns: how far each is; beginning one, pausing it, going on."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from coulance.console.access import operators_only, who
from coulance.console.acts import Done, UnableToActError, new_token, once, reason_of
from coulance.console.tables import Act, Cell, Field, Row, Table
from coulance.flows import campaigning
from coulance.overage import campaigns
from coulance.overage.errors import UnableToRecordError
from coulance.platform import clock
from coulance.platform.roles import Permission, may


@operators_only(Permission.SEE)
@require_GET
def campaign_list(request: HttpRequest) -> HttpResponse:
    """Every campaign and how far it is."""
    return _shown(request)


@operators_only(Permission.BILLING)
@require_POST
def campaign_act(request: HttpRequest) -> HttpResponse:
    """Begin, pause, go on; with a reason."""
    try:
        reason, do = reason_of(request), request.POST.get("do", "")

        def act() -> Done:
            at, actor = clock.now(), who(request)
            if do in ("start", "start-for-all"):
                pace = request.POST.get("per_hour", "")
                if not pace.isdecimal() or not 0 < int(pace[:9]) <= 100_000:
                    raise UnableToActError(_("How many an hour? Write 200."))
                done = campaigning.start(
                    name=request.POST.get("name", "")[:60], per_hour=int(pace), actor=actor, reason=reason, at=at,
                    for_all=do == "start-for-all",
                )  # fmt: skip
                said = _("%(invited)s are invited, %(kept)s of them with a provisional limit; %(left)s can't be.")
                return Done(
                    "/overage/campaigns",
                    said % {"invited": done.invited, "kept": done.provisional, "left": len(done.left_out)},
                )
            number = request.POST.get("campaign", "")
            if do not in ("paused", "running") or not number.isdecimal():
                raise UnableToActError(_("Choose one of the buttons."))
            campaigning.set_state(campaign=int(number[:18]), state=do, actor=actor, reason=reason, at=at)
            return Done("/overage/campaigns", _("It is paused.") if do == "paused" else _("It goes on."))

        return once(request, act)
    except (UnableToActError, UnableToRecordError) as fault:
        return _shown(request, str(fault))


def _shown(request: HttpRequest, fault: str = "") -> HttpResponse:
    acts = may(request.user, Permission.BILLING)
    why = Field("reason", _("Why"))
    rows = [
        Row(
            [
                Cell(row.name, small=row.reason),
                Cell(_state(row.state), tag="good" if row.state == "done" else "plain"),
                Cell(f"{row.sent} / {row.invited}", num=True, small=_("%(pace)s an hour") % {"pace": row.per_hour}),
                Cell(row.answered, num=True),
                Cell(row.provisional, num=True),
                Cell(row.failed, num=True),
                Cell(row.started_by, small=f"{row.started_at:%Y-%m-%d}"),
            ],
            [
                Act(_("Pause or go on"), row.name, "/overage/campaigns/act", [("campaign", str(row.id))], [why],
                    [("paused", _("Pause it")), ("running", _("Go on"))])
            ] if acts and row.state != "done" else [],
        )
        for row in campaigns.campaigns()
    ]  # fmt: skip
    table = Table(
        _("Campaigns"),
        [_("Name"), _("State"), _("Sent"), _("Answered"), _("Provisional limits"), _("Can't be sent"), _("By")],
        rows,
        _("None yet."),
        intro=_(
            "Existing customers are asked how far overage may go. Who always paid for more keeps running meanwhile."
        ),
    )
    new = Act(
        _("Begin a campaign"), "", "/overage/campaigns/act", [],
        [Field("name", _("Name")), Field("per_hour", _("At most so many an hour")), why],
        [("start", _("Invite them")), ("start-for-all", _("Invite them to one limit for everything"))],
    )  # fmt: skip
    values = {
        "here": "campaigns", "title": _("Campaigns"), "tables": [table], "token": new_token(), "fault": fault,
        "new": new if acts else None,
    }  # fmt: skip
    return render(request, "console/table.html", values, status=422 if fault else 200)


def _state(code: str) -> str:
    return {"running": _("running"), "paused": _("paused"), "done": _("done")}.get(code, code)
