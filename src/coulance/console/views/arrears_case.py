"""One account's arrears: the facts, what was done and what is held up, approvals with the figures first, and acts."""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from coulance.arrears import effects
from coulance.arrears.errors import ArrearsError
from coulance.arrears.queries import PlanRow
from coulance.catalog.queries import UnableToFindCatalogError
from coulance.console.access import operators_only, who
from coulance.console.acts import Done, UnableToActError, day_of, new_token, once, reason_of
from coulance.console.views import arrears as boards
from coulance.customers import queries as customers
from coulance.customers.queries import AccountRow, UnableToFindAccountError
from coulance.flows.arrears import collectors, people, risk, standing
from coulance.flows.arrears.facts import read
from coulance.flows.arrears.standing import Standing
from coulance.platform import clock
from coulance.platform.roles import Permission, may
from coulance_core.arrears import Facts, Refused, StayKind

DAYS = 60
Doing = Callable[[HttpRequest, AccountRow, str, str, datetime], str]


@operators_only(Permission.SEE)
@require_GET
def case(request: HttpRequest, external_id: str) -> HttpResponse:
    """The page."""
    return _page(request, _account(external_id))


@operators_only(Permission.SUPPORT)
@require_POST
def act(request: HttpRequest) -> HttpResponse:
    """What is written down for a customer: a promise they made, a task that was done."""
    return _acted(request, {"promise": _promise, "task": _task})


@operators_only(Permission.BILLING, fresh=True)
@require_POST
def decide(request: HttpRequest) -> HttpResponse:
    """What an operator decides: a plan, an approval, a rest, that data can't be backed up or can be fetched."""
    acts: dict[str, Doing] = {
        "agree-plan": _agree_plan,
        "end-plan": _end_plan,
        "enter-plan": _enter_plan,
        "approve": _approve,
        "take-back": _take_back,
        "recall": _recall,
        "stay": _stay,
        "end-stay": _end_stay,
        "impossible": _impossible,
        "retrieval": _retrieval,
    }
    return _acted(request, acts)


@operators_only(Permission.BILLING, fresh=True)
@require_POST
def package(request: HttpRequest) -> HttpResponse:
    """The package of a hand-over, for whom the claim was handed to."""
    account = _account(request.POST.get("account", ""))
    try:
        act = _number(request)
        content = collectors.fetch(
            account=account.id, act=act, actor=who(request), reason=request.POST.get("reason", ""), at=clock.now()
        )
    except (UnableToActError, ArrearsError) as fault:
        return _page(request, account, str(fault))
    answer = HttpResponse(content, content_type="application/zip")
    answer["Content-Disposition"] = f'attachment; filename="claim-{act}.zip"'
    answer["Cache-Control"] = "no-store"
    return answer


def _recall(request: HttpRequest, account: AccountRow, actor: str, reason: str, at: datetime) -> str:
    collectors.recall(account=account.id, act=_number(request), actor=actor, reason=reason, at=at)
    return _("The claim is taken back. A task asks to tell whom it was handed to.")


def _acted(request: HttpRequest, acts: dict[str, Doing]) -> HttpResponse:
    try:
        account = customers.account(request.POST.get("account", ""))
    except UnableToFindAccountError as fault:
        return boards.show_plans(request, str(fault))
    back = request.POST.get("back", "")
    to = back if back == "/arrears/plans" else boards.case_page(account.external_id)
    try:
        doing, reason = acts.get(request.POST.get("do", "")), reason_of(request)
        if doing is None:
            raise UnableToActError(_("Choose one of the buttons."))

        def act() -> Done:
            return Done(to, doing(request, account, who(request), reason, clock.now()))

        return once(request, act)
    except (UnableToActError, ArrearsError) as fault:
        return (
            boards.show_plans(request, str(fault)) if back == "/arrears/plans" else _page(request, account, str(fault))
        )


def _account(external_id: str) -> AccountRow:
    try:
        return customers.account(external_id)
    except UnableToFindAccountError as fault:
        raise Http404(str(fault)) from fault


def _number(request: HttpRequest) -> int:
    typed = request.POST.get("number", "")
    if not typed.isdigit():
        raise UnableToActError(_("Choose one of the buttons."))
    return int(typed)


def _promise(request: HttpRequest, account: AccountRow, actor: str, reason: str, at: datetime) -> str:  # noqa: ARG001
    pay_by = day_of(request.POST.get("pay_by", ""), default=at.date())
    people.promise(account=account.id, pay_by=pay_by, actor=actor, at=at)
    return _("The promise is on record.")


def _task(request: HttpRequest, account: AccountRow, actor: str, reason: str, at: datetime) -> str:  # noqa: ARG001
    people.finish_task(task=_number(request), actor=actor, note=reason, at=at)
    return _("It is on record that it was done.")


def _plan(request: HttpRequest, account: AccountRow) -> int:
    number = _number(request)
    found = standing.standing(account=account.id, at=clock.now(), days=0)
    if found is None or number not in {one.id for one in found.plans}:
        raise UnableToActError(_("This plan is another account's."))
    return number


def _agree_plan(request: HttpRequest, account: AccountRow, actor: str, reason: str, at: datetime) -> str:
    people.agree_plan(plan=_plan(request, account), actor=actor, reason=reason, at=at)
    return _("The plan is agreed.")


def _end_plan(request: HttpRequest, account: AccountRow, actor: str, reason: str, at: datetime) -> str:
    people.end_plan(plan=_number(request), account=account.id, actor=actor, reason=reason, at=at)
    return _("The plan has ended, or was declined.")


def _enter_plan(request: HttpRequest, account: AccountRow, actor: str, reason: str, at: datetime) -> str:
    bounds = people.bounds(account=account.id, at=at)
    parts = request.POST.get("parts", "")
    if not parts.isdigit() or not 1 <= int(parts) <= 60:
        raise UnableToActError(_("Say in how many payments."))
    people.propose_plan(
        account=account.id,
        instalments=people.suggest_plan(bounds=bounds, parts=int(parts)),
        debts=bounds.debts,
        actor=actor,
        reason=reason,
        at=at,
    )
    return _("The plan is agreed.")


def _approve(request: HttpRequest, account: AccountRow, actor: str, reason: str, at: datetime) -> str:
    step, service = request.POST.get("step", "")[:80], request.POST.get("service", "")[:100]
    people.approve(account=account.id, step=step, service=service, actor=actor, reason=reason, at=at)
    return _("Your approval is on record.")


def _take_back(request: HttpRequest, account: AccountRow, actor: str, reason: str, at: datetime) -> str:
    people.take_back_approval(account=account.id, approval=_number(request), actor=actor, reason=reason, at=at)
    return _("The approval is taken back.")


def _stay(request: HttpRequest, account: AccountRow, actor: str, reason: str, at: datetime) -> str:
    kind = request.POST.get("kind", "")
    if kind not in {one.value for one in StayKind}:
        raise UnableToActError(_("Say why everything rests."))
    until = None
    if typed := request.POST.get("until", "").strip():
        after = day_of(typed, default=at.date()) + timedelta(days=1)
        until = datetime.combine(after, time(), ZoneInfo(account.zone))
    if StayKind(kind) is StayKind.OPERATOR and until is None:
        raise UnableToActError(_("A pause has an end: say until when."))
    numbers = request.POST.get("bills", "").replace(",", " ").split()
    debts = people.refs_of(account=account.id, numbers=numbers)
    people.stay(account=account.id, kind=StayKind(kind), why=reason, actor=actor, at=at, until=until, debts=debts)
    return _("Everything rests.")


def _end_stay(request: HttpRequest, account: AccountRow, actor: str, reason: str, at: datetime) -> str:
    found = standing.standing(account=account.id, at=at, days=0)
    number = _number(request)
    if found is None or number not in {one.id for one in found.stays}:
        raise UnableToActError(_("This rest is another account's."))
    people.end_stay(stay=number, actor=actor, reason=reason, at=at)
    return _("The rest has ended: the account is judged anew.")


def _impossible(request: HttpRequest, account: AccountRow, actor: str, reason: str, at: datetime) -> str:
    service = request.POST.get("service", "")[:100]
    people.record_impossible(account=account.id, service=service, why=reason, actor=actor, at=at)
    return _("It is on record, and the disks are to be frozen.")


def _retrieval(request: HttpRequest, account: AccountRow, actor: str, reason: str, at: datetime) -> str:
    service = request.POST.get("service", "")[:100]
    people.offer_retrieval(account=account.id, service=service, how=reason, actor=actor, at=at)
    return _("The offer to fetch the data is on record.")


def _page(request: HttpRequest, account: AccountRow, fault: str = "") -> HttpResponse:
    at, language = clock.now(), translation.get_language() or "en"
    try:
        found = standing.standing(account=account.id, at=at, days=DAYS, language=language)
    except UnableToFindCatalogError:
        found = None
    values: dict[str, Any] = {
        "account": account,
        "here": "arrears",
        "fault": fault,
        "token": new_token(),
        "found": found,
    }
    if found is not None:
        one = read([account.id], at=at)[account.id]
        values |= _shown(found, at) | {
            "token": new_token(),
            "waiting": _waiting(found, one.facts),
            "services": sorted(one.services),
            "worth": one.facts.worth,
            "score": risk.score_of(account.id, at=at),
            "may_act": may(request.user, Permission.SUPPORT),
            "may_decide": may(request.user, Permission.BILLING),
        }
    return render(request, "console/arrears_case.html", values, status=422 if fault else 200)


def _shown(found: Standing, at: datetime) -> dict[str, Any]:
    return {
        "owed": found.outlook.owed,
        "packaged": {one.act for one in effects.packages(accounts=[found.account])},
        "deletions": effects.deletions(accounts=[found.account]),
        "restore": found.outlook.to_restore,
        "coming": found.coming[:30],
        "done": [(one, boards.what(one.act), boards.step_of(one.step)) for one in reversed(found.done)],
        "held": [(one, boards.what(one.act), boards.why(one.code)) for one in found.held_up],
        "plans": [(one, _state(one), boards.reason_said(one.reason)) for one in reversed(found.plans)],
        "stays": [
            (one, _stays()[one.kind], one.since <= at and (one.ends_at is None or at < one.ends_at))
            for one in reversed(found.stays)
        ],
        "kinds": [(kind.value, words) for kind, words in _stays().items()],
    }


def _waiting(found: Standing, facts: Facts) -> list[dict[str, Any]]:
    """Steps that wait for people's yes: what is owed, who said yes already, and what is safe of the data."""
    out = []
    for row in found.outlook.held_up:
        if row.refusal.code is not Refused.NEEDS_APPROVAL:
            continue
        given = [
            one for one in found.approvals
            if one.step == row.step and one.service == row.service and one.taken_back_at is None
        ]  # fmt: skip
        safe = [one for one in found.backups if one.service == row.service and one.verified_at and not one.lost_at]
        about = [one for one in found.outlook.owed if one.debt in row.debts]
        out.append(
            {
                "step": row.step,
                "what": boards.what(row.act),
                "service": row.service,
                "debts": about,
                "given": given,
                "backup": safe[-1] if safe else None,
                "message": row.refusal.message,
                "explanation": row.refusal.explanation.to_json() if row.refusal.explanation else None,
                "worth": facts.worth,
            }
        )
    return out


def _state(plan: PlanRow) -> str:
    return {
        "proposed": _("waits for a decision"),
        "agreed": _("agreed"),
        "declined": _("declined or taken back"),
        "ended": _("ended"),
    }[plan.state]


def _stays() -> dict[StayKind, str]:
    return {
        StayKind.OPERATOR: _("a pause, until a day"),
        StayKind.OWN_ERROR: _("we were wrong: lift, credit, apologise"),
        StayKind.ORDER: _("a court or an authority says so"),
        StayKind.INSOLVENCY: _("insolvent: the claim goes to the administrator"),
    }
