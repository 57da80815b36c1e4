"""Collections and gateways: what is planned, files for the bank, what came back; payments at gateways and payouts."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from coulance.catalog import queries as catalog
from coulance.console.access import operators_only, who
from coulance.console.acts import Done, UnableToActError, amount_of, new_token, once_or_back, reason_of, token_of
from coulance.customers import queries as customers
from coulance.flows.rails import direct_debit, paying, paying_back, returning
from coulance.payments import bank_reports, charging, collections, payback_rows, told
from coulance.payments.errors import PaymentsError
from coulance.payments.ports import GatewayRefusedError, UnableToReachGatewayError
from coulance.platform import clock
from coulance.platform.roles import Permission
from coulance_core.payments.direct_debit import CollectionState
from coulance_core.payments.paybacks import PaybackState

PAYBACKS = "/paybacks"
BACK = "/collections"
GATEWAYS = "/gateways"
OPEN = (CollectionState.PLANNED, CollectionState.FILED, CollectionState.HANDED)
BROUGHT_BACK = (CollectionState.RETURNED, CollectionState.REFUSED)


@operators_only(Permission.SEE)
@require_GET
def collection_list(request: HttpRequest) -> HttpResponse:
    """Collections: those that may bring money, those that came back, and the files they went in."""
    shown = request.GET.get("state", "open")
    states = {"open": OPEN, "back": BROUGHT_BACK, "collected": (CollectionState.COLLECTED,)}.get(shown, OPEN)
    rows = collections.collections(states=states, limit=500)
    owners = {one.id: one for one in customers.accounts({row.account for row in rows})}
    return render(
        request,
        "console/collections.html",
        {
            "here": "collections",
            "state": shown if shown in ("open", "back", "collected") else "open",
            "rows": [{"row": row, "owner": owners[row.account]} for row in rows],
            "runs": collections.runs(limit=20),
            "reports": bank_reports.reports(limit=10),
            "token": new_token(),
            "collects": bool(catalog.payment_terms().creditor_id),
        },
    )


@operators_only(Permission.MONEY, fresh=True)
@require_POST
def collection_act(request: HttpRequest) -> HttpResponse:
    """Plan, make files, call off, collect again. Each says why, and is done once."""
    return once_or_back(request, lambda: _acted(request), BACK)


def _acted(request: HttpRequest) -> Done:
    at = clock.now()
    on = at.astimezone(catalog.catalog().provider.zone_info).date()
    actor, reason = who(request), reason_of(request)
    number = request.POST.get("number", "")
    given = int(number) if number.isdigit() else 0
    try:
        match request.POST.get("what", ""):
            case "plan":
                planned = direct_debit.plan_due(on=on, actor=actor, at=at)
                said = _("%(made)s planned, %(left)s left.") % {"made": len(planned.made), "left": len(planned.left)}
            case "file":
                filed = direct_debit.file_due(on=on, actor=actor, at=at)
                said = _("%(runs)s files, %(off)s called off.") % {"runs": len(filed.runs), "off": len(filed.cancelled)}
            case "cancel-run":
                count = direct_debit.cancel_run(run=given, actor=actor, reason=reason, at=at)
                said = _("%(count)s collections are planned again.") % {"count": count}
            case "cancel":
                direct_debit.cancel(collection=given, on=on, actor=actor, reason=reason, at=at)
                said = _("The collection is called off.")
            case "again":
                made = returning.collect_again(collection=given, on=on, actor=actor, reason=reason, at=at)
                said = _("It is collected again on %(day)s.") % {"day": made.collect_on}
            case _other:
                raise UnableToActError(_("Choose what to do."))
    except PaymentsError as error:
        raise UnableToActError(str(error)) from error
    return Done(BACK, said)


@operators_only(Permission.MONEY, fresh=True)
@require_POST
def collection_fetch(request: HttpRequest, run: int) -> HttpResponse:
    """Fetch a file for the bank: from then on its collections are under way. Again only for a reason."""
    try:
        row, content = direct_debit.hand_over(
            run=run, actor=who(request), at=clock.now(), reason=request.POST.get("reason", "")
        )
    except PaymentsError as error:
        return _refused(request, str(error), BACK)
    answer = HttpResponse(content, content_type="application/xml")
    answer.headers["Content-Disposition"] = f'attachment; filename="{row.reference}.xml"'
    answer.headers["Cache-Control"] = "private, no-store"
    return answer


def _refused(request: HttpRequest, why: str, back: str) -> HttpResponse:
    from django.contrib import messages

    messages.error(request, why)
    return HttpResponseRedirect(back)


@operators_only(Permission.SEE)
@require_GET
def gateway_list(request: HttpRequest) -> HttpResponse:
    """Payments at gateways, their events, and what was paid out."""
    rows = charging.payments(limit=200)
    owners = {one.id: one for one in customers.accounts({row.account for row in rows})}
    return render(
        request,
        "console/gateways.html",
        {
            "here": "gateways",
            "rows": [{"row": row, "owner": owners[row.account]} for row in rows],
            "events": told.events(limit=50),
            "payouts": told.payouts(limit=50),
            "offered": paying.offered(),
            "token": new_token(),
        },
    )


@operators_only(Permission.MONEY, fresh=True)
@require_POST
def gateway_act(request: HttpRequest) -> HttpResponse:
    """Pay back by the gateway, look at a payment again, do an event again, read payouts.

    Each is idempotent by itself (a refund by the form's token), so none needs to be one transaction with its answer.
    """
    acts: dict[str, Callable[[], str]] = {
        "refund": lambda: _refund(request),
        "refresh": lambda: _refresh(request),
        "replay": lambda: paying.do_event(event=_number(request), at=clock.now()),
        "payouts": _payouts,
    }
    act = acts.get(request.POST.get("what", ""))
    try:
        said = act() if act is not None else _("Choose what to do.")
    except (UnableToActError, PaymentsError, GatewayRefusedError, UnableToReachGatewayError) as error:
        return _refused(request, str(error), GATEWAYS)
    from django.contrib import messages

    messages.success(request, said)
    return HttpResponseRedirect(GATEWAYS)


def _number(request: HttpRequest) -> int:
    number = request.POST.get("number", "")
    if not number.isdigit():
        raise UnableToActError(_("Choose what to do."))
    return int(number)


def _refund(request: HttpRequest) -> str:
    row = charging.payment(payment=_number(request))
    amount = amount_of(request.POST.get("amount", ""), row.amount.currency)
    paying.refund(
        payment=row.id,
        amount=amount,
        actor=who(request),
        reason=reason_of(request),
        at=clock.now(),
        key=f"console-{token_of(request)}"[:64],
    )
    return _("%(amount)s is paid back.") % {"amount": amount}


def _refresh(request: HttpRequest) -> str:
    row = paying.refresh(payment=_number(request), at=clock.now())
    return _("The payment is %(state)s.") % {"state": row.state}


def _payouts() -> str:
    from datetime import timedelta

    now = clock.now()
    since = (now - timedelta(days=60)).date()
    count = sum(paying.read_payouts(name=name, since=since, at=now) for name in paying.offered())
    return _("%(count)s payouts are booked.") % {"count": count}


@operators_only(Permission.SEE)
@require_GET
def payback_list(request: HttpRequest) -> HttpResponse:
    """Money that goes back: what waits for people, what is on its way, what is over, and the files."""
    over = request.GET.get("state") == "over"
    states = [state for state in PaybackState if state.is_live is not over]
    rows = payback_rows.paybacks(states=states, limit=500)
    owners = {one.id: one for one in customers.accounts({row.account for row in rows})}
    waits = {one.row.id: one for one in paying_back.waiting(on=clock.now().date())}
    return render(
        request,
        "console/paybacks.html",
        {
            "here": "paybacks",
            "over": over,
            "rows": [{"row": row, "owner": owners[row.account], "waits": waits.get(row.id)} for row in rows],
            "runs": payback_rows.payback_runs(limit=20),
        },
    )


@operators_only(Permission.MONEY, fresh=True)
@require_POST
def payback_act(request: HttpRequest) -> HttpResponse:
    """Approve, decline, say where it goes, make the file, call it off. Each can be done once by what stands."""
    from django.contrib import messages

    try:
        said = _payback(request)
    except (UnableToActError, PaymentsError, GatewayRefusedError) as error:
        return _refused(request, str(error), PAYBACKS)
    messages.success(request, said)
    return HttpResponseRedirect(PAYBACKS)


def _payback(request: HttpRequest) -> str:
    at = clock.now()
    actor, reason = who(request), reason_of(request)
    match request.POST.get("what", ""):
        case "approve":
            row = paying_back.approve(payback=_number(request), actor=actor, reason=reason, at=at)
            return _("You approved it; it is %(state)s.") % {"state": row.state.value}
        case "decline":
            paying_back.decline(payback=_number(request), actor=actor, reason=reason, at=at)
            return _("It is not paid back; the money is on hand again.")
        case "to":
            iban = request.POST.get("iban", "")
            row = paying_back.send_to(payback=_number(request), iban=iban, actor=actor, reason=reason, at=at)
            return _("It goes to %(iban)s.") % {"iban": row.shown_iban}
        case "file":
            on = at.astimezone(catalog.catalog().provider.zone_info).date()
            run = paying_back.file_due(on=on, actor=actor, at=at)
            return _("Nothing is approved.") if run is None else _("File %(name)s is made.") % {"name": run.reference}
        case "cancel-run":
            count = paying_back.cancel_run(run=_number(request), actor=actor, reason=reason, at=at)
            return _("%(count)s are to be filed again.") % {"count": count}
        case _other:
            raise UnableToActError(_("Choose what to do."))


@operators_only(Permission.MONEY, fresh=True)
@require_POST
def payback_fetch(request: HttpRequest, run: int) -> HttpResponse:
    """Fetch a file for the bank: from then on what is in it is on its way. Again only for a reason."""
    try:
        row, content = paying_back.hand_over(
            run=run, actor=who(request), at=clock.now(), reason=request.POST.get("reason", "")
        )
    except PaymentsError as error:
        return _refused(request, str(error), PAYBACKS)
    answer = HttpResponse(content, content_type="application/xml")
    answer.headers["Content-Disposition"] = f'attachment; filename="{row.reference}.xml"'
    answer.headers["Cache-Control"] = "private, no-store"
    return answer
