"""Contesting an invoice, and the case that comes of it: signed in, or by the link of a mail."""

from datetime import datetime, timedelta
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import translation
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from coulance.customers import queries as customers
from coulance.disputes import queries as rows
from coulance.disputes.errors import DisputesError, UnableToFindCaseError, UnableToOpenError
from coulance.disputes.files import ENDINGS, MOST_BYTES
from coulance.disputes.queries import CaseRow
from coulance.flows.disputing import acting, links, opening, telling, wording, working
from coulance.flows.disputing.acting import Actor
from coulance.flows.disputing.evidence import Evidence, evidence_of
from coulance.flows.disputing.links import Holder
from coulance.flows.overage_control.links import UnableToAnswerError
from coulance.invoicing.documents.words import Words
from coulance.platform import clock
from coulance.portal import access, contesting, entry
from coulance.portal.access import customers_only, words
from coulance.portal.contesting import UnableToReadFormError
from coulance.portal.entry import Me
from coulance.portal.views.answers import safe
from coulance_core.disputes import State
from coulance_core.kernel import Money

LINK_LASTS = timedelta(days=365)


@customers_only
@require_http_methods(["GET", "HEAD", "POST"])
def contest(request: HttpRequest, document: int, *, me: Me) -> HttpResponse:
    """The form to contest an invoice, or a part of it."""
    return _contest(request, _actor(me), lambda case: f"/my/cases/{case}", here="documents", document=document)


@customers_only
@require_http_methods(["GET", "HEAD", "POST"])
def contest_debt(request: HttpRequest, opening: int, *, me: Me) -> HttpResponse:
    """The same of a debt that was taken over from another system."""
    return _contest(request, _actor(me), lambda case: f"/my/cases/{case}", here="documents", debt=opening)


@customers_only
@require_safe
def cases(request: HttpRequest, *, me: Me) -> HttpResponse:
    """What the account contests and contested."""
    says = Words.of(translation.get_language())
    found = [
        {
            "case": one,
            "state": wording.state(one.state),
            "amount": _said(one.gross, says),
            "on": _day(one.opened_at, says),
        }
        for one in rows.cases(accounts=[me.account.id], at=clock.now(), limit=200)
    ]
    return render(request, "portal/cases.html", words(request) | {"here": "cases", "rows": found})


@customers_only
@require_http_methods(["GET", "HEAD", "POST"])
def case(request: HttpRequest, case: int, *, me: Me) -> HttpResponse:
    """A case: where it stands, what was said, what there is to see; to answer and to take it back."""
    actor = _actor(me)
    try:
        working.see(case=case, actor=actor, at=clock.now())
    except UnableToFindCaseError as fault:
        raise Http404 from fault
    return _case(request, case, actor, here="cases", whole=True)


@customers_only
@require_safe
def case_file(request: HttpRequest, case: int, file: int, *, me: Me) -> HttpResponse:  # noqa: ARG001 - a view takes it
    """A file of a case, to be saved: never shown by the browser as a page of ours."""
    try:
        found = working.read_file(case=case, file=file, actor=_actor(me), at=clock.now())
    except UnableToFindCaseError as fault:
        raise Http404 from fault
    answer = HttpResponse(found.content, content_type="application/octet-stream")
    answer.headers["Content-Disposition"] = f'attachment; filename="{found.name}"'
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return answer


@access.for_anybody
@sensitive_variables("token")
@require_http_methods(["GET", "HEAD", "POST"])
def by_link(request: HttpRequest, token: str) -> HttpResponse:
    """The form or the case of a mail's link, without signing in. Opening it does nothing."""
    try:
        holder = links.read(token, at=clock.now())
        language, name = _reader(holder)
    except UnableToAnswerError as fault:
        status = 410 if fault.expired else 404
        gone = words(request) | {"expired": fault.expired}
        return safe(render(request, "portal/answer_gone.html", gone, status=status))
    of = f"opening/{holder.opening}" if holder.document is None else f"document/{holder.document}"
    actor = acting.customer(account=holder.account, contact=holder.contact, link=of)
    with translation.override(access.language(request, language)):
        if holder.case:
            return safe(_case(request, holder.case, actor, here="", whole=False, name=name))

        def opened(number: int) -> str:
            mine = Holder(holder.account, holder.contact, holder.document, number, holder.opening)
            return f"/contest/{links.make(mine, until=clock.now() + LINK_LASTS)}"

        return safe(_contest(request, actor, opened, here="", document=holder.document, debt=holder.opening))


def _reader(holder: Holder) -> tuple[str, str]:
    """The language and name of who holds a link. Raises `UnableToAnswerError` when they are no contact any more."""
    if not holder.contact:
        found = customers.accounts([holder.account])
        if not found:
            raise UnableToAnswerError
        return found[0].language, ""
    me = entry.find(account=holder.account, contact=holder.contact)
    if me is None:
        raise UnableToAnswerError
    return me.contact.language, me.contact.name


def _actor(me: Me) -> Actor:
    return acting.customer(account=me.account.id, contact=me.contact.external_id)


def _contest(
    request: HttpRequest,
    actor: Actor,
    opened: Any,
    *,
    here: str,
    document: int | None = None,
    debt: int | None = None,
) -> HttpResponse:
    at = clock.now()
    try:
        of = opening.contestable(document=document, opening=debt, actor=actor, at=at)
    except (UnableToFindCaseError, UnableToOpenError) as error:
        raise Http404 from error
    fault = ""
    running = next((one for one in of.earlier if not one.state.is_closed), None)
    if request.method == "POST" and running is not None and not any(line.can_be for line in of.lines):
        return HttpResponseRedirect(opened(running.id))  # the button was pressed twice
    if request.method == "POST":
        try:
            (account,) = customers.accounts([of.bill.account])
            asked = contesting.asked(request, of, zone=account.zone)
            made = opening.open_dispute(
                document=document,
                opening=debt,
                contests=asked.contests,
                grounds=asked.grounds,
                reason=asked.reason,
                new_fact=asked.new_fact,
                files=asked.files,
                actor=actor,
                at=at,
            )
            return HttpResponseRedirect(opened(made.case))
        except UnableToOpenError as error:
            running = opening.already(error, ref=of.bill.ref, at=at)
            if running is not None:  # somebody else was first
                return HttpResponseRedirect(opened(running.id))
            fault = contesting.said(error)
        except (DisputesError, UnableToReadFormError) as error:
            fault = contesting.said(error)
    says = Words.of(translation.get_language())
    lines = [
        {
            "t": one,
            "net": _said(one.line.left, says),
            "quantity": says.amount_of(one.line.quantity, one.line.unit),
            "unit": says.unit(one.line.unit),
            "by_quantity": one.line.unit != "1" and one.line.quantity > 0,
            "by_days": one.line.first_day < one.line.last_day,
        }
        for one in contesting.typed(request, of)
    ]
    return render(
        request,
        "portal/contest.html",
        words(request)
        | {
            "here": here,
            "number": of.bill.number,
            "back": f"/my/documents/{document}" if document is not None else "/my/documents",
            "before_tax": document is not None,
            "lines": lines,
            "open": _said(of.open, says),
            "held": _said(of.held, says) if of.held.minor else "",
            "again": any(one.state.is_closed for one in of.earlier),
            "running": [one.id for one in of.earlier if not one.state.is_closed],
            "grounds": [(one.value, wording.grounds(one)) for one in of.grounds],
            "picked": request.POST.get("grounds", ""),
            "reason": request.POST.get("reason", ""),
            "new_fact": request.POST.get("new_fact", ""),
            "accept": ",".join(f".{one}" for one in ENDINGS),
            "most": MOST_BYTES // 1024 // 1024,
            "endings": ", ".join(ENDINGS),
            "fault": fault,
        },
        status=422 if fault else 200,
    )


def _case(request: HttpRequest, number: int, actor: Actor, *, here: str, whole: bool, name: str = "") -> HttpResponse:
    at = clock.now()
    done = fault = ""
    try:
        found = working.case_of(case=number, actor=actor, at=at)
        if request.method == "POST":
            try:
                if request.POST.get("act") == "withdraw":
                    reason = request.POST.get("reason", "").strip() or _("taken back by the customer")
                    working.withdraw(case=number, reason=reason, actor=actor, at=at)
                    done = _("You took it back. Nothing is set aside any more.")
                elif request.POST.get("act") == "mediator" and found.policy.mediator is not None:
                    asked = _("We ask you to let %(name)s look at this.") % {"name": found.policy.mediator.name}
                    working.answer(case=number, text=asked, actor=actor, at=at)
                    done = _("Thank you: it is in the case. We tell you when they begin.")
                else:
                    files = contesting.uploads(request)
                    working.answer(case=number, text=request.POST.get("text", ""), actor=actor, at=at, files=files)
                    done = _("Thank you: it is in the case.")
            except UnableToFindCaseError:
                raise
            except DisputesError as error:
                fault = contesting.said(error)
            found = working.case_of(case=number, actor=actor, at=at)
    except UnableToFindCaseError as error:
        raise Http404 from error
    language = translation.get_language() or "en"
    says = Words.of(language)
    evidence = evidence_of(found, language=language, at=at) if whole else None
    stays, due_on = working.to_pay(found)
    return render(
        request,
        "portal/case.html",
        words(request)
        | {
            "here": here,
            "case": found,
            "name": name,
            "state": wording.state(found.state),
            "held": _said(found.gross, says),
            "to_pay": wording.to_pay(found.number, stays, due_on, says),
            "decide_by": _day(found.clock.due_at, says) if found.clock.due_at else "",
            "late": bool(found.clock.late),
            "lapses": _day(found.clock.lapses_at, says) if found.clock.lapses_at else "",
            "is_open": not found.state.is_closed,
            "asked": found.question if found.state is State.ASKED else None,
            "steps": [_step(found, one, says) | {"proof": _proof(one, at) if whole else ()} for one in found.steps],
            "e": None if evidence is None else _shown(evidence, says),
            "mediator": found.policy.mediator,
            "may_mediate": found.state is State.OPEN,
            "stays": "/my/paying" if stays.minor > 0 else "",
            "accept": ",".join(f".{one}" for one in ENDINGS),
            "text": request.POST.get("text", "") if fault else "",
            "done": done,
            "fault": fault,
        },
        status=422 if fault else 200,
    )


def _step(found: CaseRow, one: rows.StepRow, says: Words) -> dict[str, Any]:
    detail = one.detail
    more = []
    if one.outcome is not None:
        more.append(wording.outcome(one.outcome))
    if detail.get("credit_notes"):
        more.append(
            _("Credited: %(amount)s, by %(notes)s.")
            % {"amount": says.money(detail["gross"], found.gross.currency), "notes": ", ".join(detail["credit_notes"])}
        )
    if detail.get("name"):
        more.append(f"{detail['name']}, {detail['reference']}")
    return {
        "what": wording.step(one.kind),
        "on": _day(one.at, says),
        "text": one.text,
        "ours": one.ours,
        "more": more,
        "files": [file for file in rows.files(found.id) if file.step == one.no],
    }


def _proof(one: rows.StepRow, at: datetime) -> list[tuple[str, str]]:
    """Of each mail that told of a step, whom it went to and how far it came, in words."""
    return [(address, wording.rung(said)) for address, said in telling.proof(one, at=at)]


def _shown(of: Evidence, says: Words) -> dict[str, Any]:
    return {
        "lines": [
            {
                "of": one,
                "net": says.money(one.net, one.part.net.currency),
                "contested": _said(one.part.net, says),
                "why": one.why.render(),
                "why_contested": one.part.explanation.render(),
            }
            for one in of.lines
        ],
        "pictures": [{**one, "svg": mark_safe(one["svg"])} for one in of.pictures],  # noqa: S308 - our own writer's
        "use": of.use,
        "warnings": [
            {
                "of": one,
                "proof": wording.rung(one.proof),
                "on": _day(one.at, says),
                "arrived": _day(one.delivered_at, says) if one.delivered_at else "",
            }
            for one in of.warnings
        ],
        "consents": [{"of": one, "on": _day(one.given_at, says)} for one in of.consents],
        "terms": None if of.terms is None else {"of": of.terms, "on": says.day(of.terms.agreed.on)},
        "payments": [
            {"of": one.row, "on": says.day(one.row.on), "amount": _said(one.row.amount, says)} for one in of.payments
        ],
        "earlier": [
            {"of": one, "state": wording.state(one.state), "on": _day(one.opened_at, says)} for one in of.earlier
        ],
    }


def _said(amount: Money, says: Words) -> str:
    return says.money(amount.decimal(), amount.currency)


def _day(at: Any, says: Words) -> str:
    return wording.day(at, says)
