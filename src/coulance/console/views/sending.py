"""Sending: what would go to whom and approving it, what came back, and every message with its evidence."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from coulance.catalog import queries as catalog
from coulance.console.access import operators_only, who
from coulance.console.acts import Done, UnableToActError, form_of, once, reason_of
from coulance.console.paging import PER_PAGE, number_asked, page
from coulance.customers import queries as customers
from coulance.flows.sending import documents, queueing, status
from coulance.flows.sending.queueing import UnableToSendDocumentsError
from coulance.invoicing import listing
from coulance.notices import operations as notices
from coulance.notices import queries
from coulance.notices.errors import NoticesError
from coulance.notices.states import State
from coulance.platform import clock
from coulance.platform.roles import Permission

SHOWN = 100
FAULTS = (UnableToActError, UnableToSendDocumentsError, NoticesError)


@operators_only(Permission.SEE)
@require_GET
def sending_queue(request: HttpRequest) -> HttpResponse:
    """The periods with documents that were not sent, how mail stands, and what was not delivered."""
    period = request.GET.get("period", "")[:7]
    periods = listing.closed_periods()
    chosen = period if period in periods else (periods[0] if periods else "")
    plan = _plan(chosen)
    return render(
        request,
        "console/sending.html",
        {
            "here": "sending",
            "periods": periods[:24],
            "period": chosen,
            "plan": plan,
            "ready": plan.ready[:SHOWN] if plan else (),
            "blocked": plan.blocked[:SHOWN] if plan else (),
            "mail": queries.mail_state(at=clock.now()),
            "undelivered": status.undelivered_documents(limit=SHOWN),
            "form": form_of(request),
        },
    )


@operators_only(Permission.BILLING)
@require_http_methods(["GET", "POST"])
def sending_approve(request: HttpRequest) -> HttpResponse:
    """Send what is ready of a period: whom it goes to first, then it is queued."""
    form = form_of(request, "period")
    period = form.values["period"][:7]
    if request.method == "POST":
        try:
            reason = reason_of(request)
            return once(request, lambda: _approved(period, who(request), reason))
        except FAULTS as fault:
            form.fault = str(fault)
    plan = _plan(period)
    if plan is None:
        raise Http404("no such period")
    values = {"here": "sending", "form": form, "period": period, "plan": plan, "ready": plan.ready[:SHOWN]}
    return render(request, "console/sending_approve.html", values, status=form.status)


@operators_only(Permission.SEE)
@require_GET
def message_list(request: HttpRequest) -> HttpResponse:
    """Messages, newest first, by state and words."""
    text, state = request.GET.get("q", "").strip()[:200], request.GET.get("state", "")
    known = state if state in set(State) else None
    total = queries.count_messages(text=text, state=known)
    number = number_asked(request, total)
    rows = queries.messages(text=text, state=known, limit=PER_PAGE, offset=(number - 1) * PER_PAGE)
    return render(
        request,
        "console/messages.html",
        {
            "here": "sending",
            "page": page(request, rows, number, total),
            "q": text,
            "state": state,
            "states": [each.value for each in State],
        },
    )


@operators_only(Permission.SEE)
@require_GET
def message_detail(request: HttpRequest, delivery: int) -> HttpResponse:
    """One message to one address: what it says, where it stands, and the evidence."""
    return _message(request, delivery, "")


@operators_only(Permission.SUPPORT)
@require_http_methods(["POST"])
def message_act(request: HttpRequest, delivery: int) -> HttpResponse:
    """Send it again, take it back, say that it arrived after all, or use its address again."""
    try:
        reason = reason_of(request)
        act = request.POST.get("act", "")
        return once(request, lambda: _changed(delivery, act, who(request), reason))
    except FAULTS as fault:
        return _message(request, delivery, str(fault))


def _plan(period: str) -> queueing.Plan | None:
    if period not in listing.closed_periods():
        return None
    try:
        return queueing.plan(period=period)
    except (catalog.UnableToFindCatalogError, UnableToSendDocumentsError):
        return None


def _approved(period: str, actor: str, reason: str) -> Done:
    done = queueing.approve(period=period, actor=actor, at=clock.now(), reason=reason)
    said = f"{done.documents} documents are queued, as {done.messages} messages"
    if done.blocked:
        said += f"; {len(done.blocked)} can't be sent"
    return Done(f"/sending?period={period}", f"{said}.")


def _message(request: HttpRequest, delivery: int, fault: str) -> HttpResponse:
    row = queries.delivery(delivery)
    if row is None:
        raise Http404("no such message")
    document = documents.document_of(row.about)
    account = customers.accounts([row.account]) if row.account else []
    form = form_of(request)
    form.fault = fault
    values = {
        "here": "sending",
        "row": row,
        "text": queries.text_of(message=row.message),
        "evidence": queries.evidence_of(delivery=delivery),
        "document": document,
        "account": account[0] if account else None,
        "form": form,
        "dead": queries.dead_among([row.address]).get(row.address),
    }
    return render(request, "console/message.html", values, status=form.status)


def _changed(delivery: int, act: str, actor: str, reason: str) -> Done:
    at, back = clock.now(), f"/messages/{delivery}"
    row = queries.delivery(delivery)
    if row is None:
        raise UnableToActError(_("There is no such message."))
    if act == "again":
        notices.send_again(delivery=delivery, actor=actor, reason=reason, at=at)
        return Done(back, _("It is sent again."))
    if act == "withdraw":
        notices.withdraw(delivery=delivery, actor=actor, reason=reason, at=at)
        return Done(back, _("It is taken back."))
    if act == "arrived":
        notices.settle_as_arrived(delivery=delivery, actor=actor, reason=reason, at=at)
        return Done(back, _("It counts as accepted."))
    if act == "release":
        released = notices.release_address(address=row.address, actor=actor, reason=reason, at=at)
        return Done(
            back,
            _("%(address)s is written to again; %(released)s held messages go out.")
            % {"address": row.address, "released": released},
        )
    document = documents.document_of(row.about)
    if act == "resend" and document is not None:
        number = listing.number_of(document=document)
        queueing.resend(number=number, actor=actor, reason=reason, at=at)
        return Done(
            f"/documents/{document}",
            _("%(number)s is sent again, to the contacts as they are now.") % {"number": number},
        )
    raise UnableToActError(_("Choose what to do."))
