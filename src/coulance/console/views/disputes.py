"""Contested bills: the queue by deadline, and a case with all that both sides see, figures before any decision."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any
from urllib.parse import quote

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from coulance.console.access import operators_only, who
from coulance.console.acts import Done, Form, UnableToActError, amount_of, day_of, form_of, is_sure, new_token, once
from coulance.console.tables import Cell, Row, Table
from coulance.customers import queries as customers
from coulance.disputes import queries as rows
from coulance.disputes.errors import DisputesError, UnableToFindCaseError
from coulance.disputes.queries import CaseRow
from coulance.flows.disputing import acting, deciding, opening, telling, wording, working
from coulance.flows.disputing.deciding import Choice
from coulance.flows.disputing.evidence import evidence_of
from coulance.invoicing.documents.words import Words
from coulance.invoicing.errors import InvoicingError
from coulance.platform import clock
from coulance.platform.roles import Permission, may
from coulance_core.disputes import MAY_FOLLOW, Contest, Grounds, Outcome, State, StepKind, Way
from coulance_core.kernel import Money, exact

_REFUSED = (UnableToActError, DisputesError, InvoicingError)


@operators_only(Permission.SEE)
@require_GET
def dispute_list(request: HttpRequest) -> HttpResponse:
    """Open cases, what has to happen first on top; and those closed last."""
    at = clock.now()
    open_ = rows.queue(at=at)
    closed = [one for one in rows.cases(at=at, limit=100) if one.state.is_closed][:25]
    names = {one.id: one for one in customers.accounts({case.account for case in (*open_, *closed)})}
    held = sum((one.gross for one in open_ if one.gross.currency == "EUR"), Money(0, "EUR"))
    late = [one for one in open_ if one.clock.due_at is not None and one.clock.due_at <= at]
    columns = [_("Case"), _("Customer"), _("Invoice"), _("Contested"), _("State"), _("By when")]
    return render(
        request,
        "console/table.html",
        {
            "here": "disputes",
            "title": _("Contested bills"),
            "intro": _("Only what is contested is held; the rest stays to be paid. Our own delay stops interest."),
            "figures": [
                (_("Open"), len(open_)),
                (_("We are late with"), len(late)),
                (_("Held in euros"), _money(held)),
            ],
            "tables": [
                Table(
                    _("Open, by deadline"), columns, [_row(one, names, at) for one in open_], _("Nothing is contested.")
                ),
                Table(_("Closed last"), columns, [_row(one, names, at) for one in closed], _("None yet.")),
            ],
        },
    )


def _row(case: CaseRow, names: dict[int, Any], at: Any) -> Row:
    account = names[case.account]
    due = case.clock.due_at or case.clock.lapses_at
    late = case.clock.due_at is not None and case.clock.due_at <= at
    tag = "warn" if late else "good" if case.state is State.OPEN else "plain"
    return Row(
        [
            Cell(str(case.id), href=f"/disputes/{case.id}"),
            Cell(account.name, href=f"/accounts/{quote(account.external_id, safe='')}"),
            Cell(case.number, href=_bill_page(case.document, case.account), small=_grounds()[case.grounds]),
            Cell(_money(case.gross), num=True),
            Cell(_states()[case.state], tag=tag, small=_outcomes()[case.outcome] if case.outcome else ""),
            Cell(f"{due:%-d %b %Y %H:%M}" if due else "", small=_("late") if late else ""),
        ]
    )


@operators_only(Permission.SEE)
@require_GET
def dispute_detail(request: HttpRequest, case: int) -> HttpResponse:
    """A case as both sides see it, with what can be done."""
    return _page(request, case)


@operators_only(Permission.SUPPORT)
@require_POST
def dispute_act(request: HttpRequest, case: int) -> HttpResponse:
    """Ask, add, write down an answer, hand over to a third party, or take back at the customer's word."""
    text, do = request.POST.get("text", ""), request.POST.get("do", "")
    actor, at = acting.operator(who(request)), clock.now()
    acts: dict[str, Callable[[], object]] = {
        "ask": lambda: working.ask(case=case, text=text, actor=actor, at=at),
        "note": lambda: working.note(case=case, text=text, actor=actor, at=at),
        "answer": lambda: working.answer(case=case, text=text, actor=actor, at=at),
        "withdraw": lambda: working.withdraw(case=case, reason=text, actor=actor, at=at),
        "mediation": lambda: working.begin_mediation(
            case=case,
            name=request.POST.get("name", ""),
            reference=request.POST.get("reference", ""),
            text=text,
            answer_by=day_of(request.POST["answer_by"], default=at.date()) if request.POST.get("answer_by") else None,
            actor=actor,
            at=at,
        ),
        "mediated": lambda: working.end_mediation(case=case, text=text, actor=actor, at=at),
    }
    try:
        if do not in acts:
            raise UnableToActError(_("Choose one of the buttons."))

        def act() -> Done:
            acts[do]()
            return Done(f"/disputes/{case}", _("It is in the case."))

        return once(request, act)
    except UnableToFindCaseError as fault:
        raise Http404(str(fault)) from fault
    except _REFUSED as fault:
        return _page(request, case, str(fault))


@operators_only(Permission.SUPPORT, fresh=True)
@require_http_methods(["GET", "POST"])
def dispute_decide(request: HttpRequest, case: int) -> HttpResponse:
    """How it ends: the figures first, then, pressed again, the credit note, the hold and the mail at once.

    Who may decide what amounts is the provider's to say (`[[disputes.decider]]`); else who may write credit notes.
    """
    found = _found(case)
    refusal = acting.may_decide(_role(request), found.gross)
    if refusal is not None:
        raise PermissionDenied(refusal.message)
    parts = rows.parts(case)
    names = [f"amount-{part.line}" for part in parts]
    form = form_of(request, *names, outcome="", share="1/2", plan="")
    plans = deciding.plans_for(found) if not found.state.is_closed else ()
    if request.method == "POST":
        try:
            actor, reason = acting.operator(who(request), role=_role(request)), _reason(request)
            choice = _choice(form, parts, found)
            if is_sure(request):
                return once(request, lambda: _decided(case, choice, reason, actor))
            form.preview = deciding.preview_decision(
                case=case, choice=choice, reason=reason, actor=actor, at=clock.now()
            )
        except _REFUSED as fault:
            form.fault = str(fault)
    shown = form.preview
    values = {
        "here": "disputes",
        "case": found,
        "contested": _money(found.gross),
        "taken_over": found.document is None,
        "parts": [(part, _money(part.net), form.values[f"amount-{part.line}"]) for part in parts],
        "outcomes": [
            (one.value, words) for one, words in _outcomes().items() if one is not Outcome.PLAN_CHANGE or plans
        ],
        "plans": [
            (f"{of.service}|{one.plan.plan}", f"{of.service}: {one.plan.name} ({_money(one.difference)})")
            for of in plans
            for one in of.offers
        ],
        "form": form,
        "preview": None
        if shown is None
        else [
            (_("Credited, tax included"), _money(shown.credited)),
            (_("Billed instead"), _money(shown.billed)),
            (_("To be paid of it then"), _money(shown.stays)),
            (_("Due"), f"{shown.due_on:%-d %b %Y}"),
        ],
        "explanation": shown.decision.explanation.to_json() if shown is not None and shown.decision else None,
    }
    return render(request, "console/dispute_decide.html", values, status=form.status)


@operators_only(Permission.SUPPORT)
@require_http_methods(["GET", "POST"])
def dispute_open(request: HttpRequest, document: int) -> HttpResponse:
    """Open a case for a customer who called or wrote."""
    return _open(request, document=document)


@operators_only(Permission.SUPPORT)
@require_http_methods(["GET", "POST"])
def dispute_open_debt(request: HttpRequest, opening: int) -> HttpResponse:
    """The same on a debt that was taken over from another system."""
    return _open(request, debt=opening)


def _open(request: HttpRequest, *, document: int | None = None, debt: int | None = None) -> HttpResponse:
    actor, at = acting.operator(who(request)), clock.now()
    try:
        of = opening.contestable(document=document, opening=debt, actor=actor, at=at)
    except DisputesError as fault:
        raise Http404(str(fault)) from fault
    free = [line for line in of.lines if line.can_be]
    form = form_of(request, *(f"amount-{line.no}" for line in free), grounds="", new_fact="", contact="")
    if request.method == "POST":
        try:
            reason = _reason(request)
            contests = _contests(request, form, of)
            if form.values["grounds"] not in set(Grounds):
                raise UnableToActError(_("Choose what is wrong."))

            def act() -> Done:
                made = opening.open_dispute(
                    document=document,
                    opening=debt,
                    contests=contests,
                    grounds=Grounds(form.values["grounds"]),
                    reason=reason,
                    new_fact=form.values["new_fact"],
                    contact=form.values["contact"],
                    actor=actor,
                    at=at,
                )
                return Done(f"/disputes/{made.case}", _("Case %(case)s is open.") % {"case": made.case})

            return once(request, act)
        except _REFUSED as fault:
            form.fault = str(fault)
    values = {
        "here": "disputes",
        "number": of.bill.number,
        "back": _bill_page(of.bill.document, of.bill.account),
        "before_tax": document is not None,
        "lines": [
            (one, _money(one.left), f"line-{one.no}" in request.POST, form.values[f"amount-{one.no}"]) for one in free
        ],
        "again": any(one.state.is_closed for one in of.earlier),
        "grounds": [(one.value, words) for one, words in _grounds().items()],
        "contacts": customers.contacts([of.bill.account]),
        "form": form,
    }
    return render(request, "console/dispute_open.html", values, status=form.status)


@operators_only(Permission.SEE)
@require_GET
def dispute_file(request: HttpRequest, case: int, file: int) -> HttpResponse:
    """A file of a case, to be saved, never shown as a page of ours; that it was read is kept."""
    try:
        found = working.read_file(case=case, file=file, actor=acting.operator(who(request)), at=clock.now())
    except UnableToFindCaseError as fault:
        raise Http404(str(fault)) from fault
    answer = HttpResponse(found.content, content_type="application/octet-stream")
    answer.headers["Content-Disposition"] = f'attachment; filename="{found.name}"'
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return answer


def _page(request: HttpRequest, case: int, fault: str = "") -> HttpResponse:
    at = clock.now()
    found = _found(case)
    (account,) = customers.accounts([found.account])
    seen = evidence_of(found, language=translation.get_language() or "en", at=at)
    stays, due_on = working.to_pay(found)
    mine = may(request.user, Permission.SUPPORT)
    following = MAY_FOLLOW[found.state]
    values = {
        "here": "disputes",
        "case": found,
        "account": account,
        "bill": _bill_page(found.document, found.account),
        "taken_over": found.document is None,
        "state": _states()[found.state],
        "grounds": _grounds()[found.grounds],
        "figures": [
            (_("Held") if found.closed_at is None else _("Was held"), _money(found.gross)),
            (_("To be paid of it now"), _money(stays)),
            (_("Was due"), f"{due_on:%-d %b %Y}"),
            (_("We act by"), f"{found.clock.due_at:%-d %b %Y %H:%M}" if found.clock.due_at else "–"),
            (_("Closes unanswered on"), f"{found.clock.lapses_at:%-d %b %Y %H:%M}" if found.clock.lapses_at else "–"),
        ],
        "late": bool(found.clock.late),
        "steps": [
            {
                "of": step,
                "what": _steps()[step.kind],
                "outcome": _outcomes()[step.outcome] if step.outcome else "",
                "proof": [(address, wording.rung(said)) for address, said in telling.proof(step, at=at)],
                "files": [one for one in seen.files if one.step == step.no],
            }
            for step in found.steps
        ],
        "e": seen,
        "warnings": [(one, wording.rung(one.proof)) for one in seen.warnings],
        "payments": [(one.row, _money(one.row.amount)) for one in seen.payments],
        "lines": [
            (
                one,
                _money(Money.of(one.net, one.part.net.currency)),
                _money(one.part.net),
                one.why.to_json(),
                one.part.explanation.to_json(),
            )
            for one in seen.lines
        ],
        "others": [(one, _states()[one.state]) for one in seen.earlier],
        "may_decide": mine and not found.state.is_closed and acting.may_decide(_role(request), found.gross) is None,
        "may_ask": mine and StepKind.ASKED in following,
        "may_note": mine and StepKind.NOTED in following,
        "may_mediate": mine and StepKind.MEDIATION in following,
        "mediator": found.policy.mediator,
        "usually_by": None if found.policy.mediator is None else at + found.policy.mediator.usually,
        "in_mediation": mine and StepKind.MEDIATED in following,
        "token": new_token(),
        "fault": fault,
    }
    return render(request, "console/dispute.html", values, status=422 if fault else 200)


def _found(case: int) -> CaseRow:
    try:
        return rows.case(case, at=clock.now())
    except UnableToFindCaseError as fault:
        raise Http404(str(fault)) from fault


def _bill_page(document: int | None, account: int) -> str:
    """Where a bill is seen: its own page, or its customer's, where another system made it."""
    if document is not None:
        return f"/documents/{document}"
    (row,) = customers.accounts([account])
    return f"/accounts/{quote(row.external_id, safe='')}#money"


def _role(request: HttpRequest) -> str:
    return str(getattr(request.user, "role", "viewer"))


def _reason(request: HttpRequest) -> str:
    reason = request.POST.get("reason", "").strip()
    if not reason:
        raise UnableToActError(_("Say why: the customer reads it."))
    return reason


def _choice(form: Form, parts: tuple[rows.PartRow, ...], case: CaseRow) -> Choice:
    try:
        outcome = Outcome(form.values["outcome"])
    except ValueError:
        raise UnableToActError(_("Choose how it ends.")) from None
    amounts = {
        part.line: amount_of(form.values[f"amount-{part.line}"], case.gross.currency)
        for part in parts
        if form.values[f"amount-{part.line}"].strip()
    }
    service, _bar, plan = form.values["plan"].partition("|")
    if outcome is Outcome.SHARED and not amounts:
        try:
            share: Fraction = exact(form.values["share"].strip())
        except ValueError:
            raise UnableToActError(_("Write the share as 1/2 or 0.5.")) from None
        return Choice(outcome, share=share)
    if outcome is Outcome.PLAN_CHANGE:
        return Choice(outcome, plan=plan, service=service)
    takes = outcome in (Outcome.PART, Outcome.SHARED, Outcome.GOODWILL)
    return Choice(outcome, amounts=amounts if takes else None)


def _decided(case: int, choice: Choice, reason: str, actor: acting.Actor) -> Done:
    done = deciding.decide_case(case=case, choice=choice, reason=reason, actor=actor, at=clock.now())
    made = ", ".join(done.credit_notes)
    said = _("Decided; credited by %(notes)s.") % {"notes": made} if made else _("Decided: the charge stands.")
    return Done(f"/disputes/{case}", said)


def _contests(request: HttpRequest, form: Form, of: opening.Contestable) -> list[Contest]:
    found = []
    for line in of.lines:
        if not line.can_be:
            continue
        text = form.values[f"amount-{line.no}"].strip()
        if text:
            found.append(Contest(line.no, Way.AMOUNT, amount=amount_of(text, of.open.currency)))
        elif f"line-{line.no}" in request.POST:
            found.append(Contest(line.no))
    if not found:
        raise UnableToActError(_("Choose the lines that are contested."))
    return found


def _money(amount: Money) -> str:
    return Words.of(translation.get_language()).money(amount.decimal(), amount.currency)


def _states() -> dict[State, str]:
    return {
        State.OPEN: _("with us"),
        State.ASKED: _("waits for an answer"),
        State.MEDIATION: _("with a third party"),
        State.DECIDED: _("decided"),
        State.WITHDRAWN: _("withdrawn"),
        State.LAPSED: _("closed unanswered"),
    }


def _outcomes() -> dict[Outcome, str]:
    return {
        Outcome.UPHELD: _("The customer is right: credit all of it"),
        Outcome.PART: _("Right in part: credit these amounts"),
        Outcome.SHARED: _("Share it"),
        Outcome.PLAN_CHANGE: _("The larger plan instead of the overage"),
        Outcome.GOODWILL: _("The charge stands; give these amounts anyway"),
        Outcome.REJECTED: _("The charge stands"),
    }


def _grounds() -> dict[Grounds, str]:
    return {
        Grounds.QUANTITY: _("the use is not right"),
        Grounds.PRICE: _("not the price agreed"),
        Grounds.NOT_AGREED: _("not ordered or agreed"),
        Grounds.NOT_WARNED: _("no warning"),
        Grounds.NOT_USABLE: _("did not work"),
        Grounds.ATTACK: _("an attack"),
        Grounds.PAID: _("paid or credited already"),
        Grounds.OTHER: _("something else"),
    }


def _steps() -> dict[StepKind, str]:
    return {
        StepKind.OPENED: _("Contested"),
        StepKind.SAID: _("The customer added"),
        StepKind.NOTED: _("We added"),
        StepKind.ASKED: _("We asked"),
        StepKind.ANSWERED: _("The customer answered"),
        StepKind.MEDIATION: _("To a third party"),
        StepKind.MEDIATED: _("The third party is done"),
        StepKind.DECIDED: _("Decided"),
        StepKind.WITHDRAWN: _("Withdrawn"),
        StepKind.LAPSED: _("Closed unanswered"),
    }
