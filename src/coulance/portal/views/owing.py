"""What is owed, what comes of it and every way to stop it: by a link or signed in. Opening it does nothing."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from coulance.arrears.errors import ArrearsError
from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.flows.arrears import links, people, standing
from coulance.flows.arrears.seen import saw
from coulance.flows.arrears.standing import Standing
from coulance.flows.disputing import links as disputing
from coulance.flows.overage_control.links import UnableToAnswerError
from coulance.flows.rails import paying
from coulance.invoicing.documents.words import Words
from coulance.payments.errors import PaymentsError
from coulance.payments.ports import GatewayRefusedError, UnableToReachGatewayError
from coulance.platform import clock
from coulance.platform.address import public
from coulance.portal import access, entry, owing
from coulance.portal.access import customers_only, words
from coulance.portal.entry import Me
from coulance.portal.owing import Shape, UnableToReadFormError
from coulance.portal.views.answers import safe
from coulance.portal.views.paying import MAY
from coulance_core.kernel import Money

DAYS = 60
CONTEST_LASTS = timedelta(days=90)


@access.for_anybody
@sensitive_variables("token")
@require_http_methods(["GET", "HEAD", "POST"])
def by_link(request: HttpRequest, token: str) -> HttpResponse:
    """The page of a notice's link."""
    try:
        who = links.read(token, at=clock.now())
    except UnableToAnswerError as fault:
        status = 410 if fault.expired else 404
        said = words(request) | {"expired": fault.expired}
        return safe(render(request, "portal/answer_gone.html", said, status=status))
    me = _holder(who)
    if me is None:
        return safe(render(request, "portal/answer_gone.html", words(request) | {"expired": False}, status=404))
    with translation.override(access.language(request, me.contact.language)):
        return safe(_page(request, me, actor=f"link:{who.contact or 'several'}", here=""))


def _holder(who: links.Owing) -> Me | None:
    """Who holds the link. Of a mail to several it is whoever of them may decide: each of them may."""
    if who.contact:
        return entry.find(account=who.account, contact=who.contact)
    found = (entry.find(account=who.account, contact=row.external_id) for row in customers.contacts([who.account]))
    return next((one for one in found if one is not None and MAY & set(one.contact.roles)), None)


@customers_only
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, *, me: Me) -> HttpResponse:
    """The same for who is signed in."""
    return _page(request, me, actor=f"contact:{me.contact.external_id}", here="owing")


def _page(request: HttpRequest, me: Me, *, actor: str, here: str) -> HttpResponse:
    at, language = clock.now(), translation.get_language() or "en"
    says = Words.of(language)
    done = fault = ""
    shaped: Shape | None = None
    found = standing.standing(account=me.account.id, at=at, days=DAYS, language=language)
    if request.method == "POST" and found is not None:
        try:
            if not MAY & set(me.contact.roles):
                raise UnableToReadFormError(_("Only a billing contact or an owner decides this."))
            if not actor.endswith(":several"):
                saw(account=me.account.id, contact=me.contact.external_id, actor=actor, at=at)
            answer = _act(request, me, found, actor, at)
            if isinstance(answer, HttpResponse):
                return answer
            if isinstance(answer, Shape):
                shaped = answer
                fault = shaped.fault
            else:
                done = answer
        except UnableToReadFormError as error:
            fault = str(error)
        except ArrearsError as error:
            fault = owing.why(error, found.bounds)
        except PaymentsError as error:
            fault = _("That can't be done: %(why)s") % {"why": error}
        except (GatewayRefusedError, UnableToReachGatewayError):
            fault = _("The payment service gives no answer now. Nothing was taken; please try again later.")
        found = standing.standing(account=me.account.id, at=clock.now(), days=DAYS, language=language)
    shown: dict[str, Any] = {"owes": False} if found is None else owing.page(found, says)
    for debt in shown.get("debts", ()):
        debt["contest"], debt["look"] = _ways_to(debt["ref"], me, here, at)
    provider = catalog.catalog().provider
    return render(
        request,
        "portal/owing.html",
        words(request)
        | shown
        | {
            "here": here,
            "name": me.contact.name,
            "may": bool(MAY & set(me.contact.roles)),
            "done": done,
            "fault": fault,
            "shaped": None if shaped is None or shaped.fault else {
                "of": shaped, "rows": owing.rows(shaped.instalments, says),
                "interest": says.money(shaped.interest.decimal(), shaped.interest.currency) if shaped.interest else "",
                "percent": "" if shaped.percent is None else says.number(shaped.percent),
            },
            "typed": request.POST if fault or shaped else {},
            "gateways": [(name, name.capitalize()) for name in paying.offered()],
            "iban": provider.iban,
            "email": provider.email,
            "currency": me.account.currency,
        },
        status=422 if fault else 200,
    )  # fmt: skip


def _ways_to(ref: str, me: Me, here: str, at: datetime) -> tuple[str, str]:
    """Where a bill is contested, and where it is seen."""
    kind, _bar, number = ref.partition("/")
    taken = int(number) if kind == "opening" else None
    document = int(number) if kind == "document" else None
    if here:
        if document is None:
            return f"/my/debts/{taken}/contest", ""
        return f"/my/documents/{document}/contest", f"/my/documents/{document}"
    who = disputing.Holder(me.account.id, me.contact.external_id, document, opening=taken)
    return f"/contest/{disputing.make(who, until=at + CONTEST_LASTS)}", ""


def _act(request: HttpRequest, me: Me, found: Standing, actor: str, at: datetime) -> HttpResponse | Shape | str:
    acts: dict[str, Callable[[], HttpResponse | Shape | str]] = {
        "pay": lambda: _pay(request, me, found, actor, at),
        "promise": lambda: _promise(request, me, actor, at),
        "shape": lambda: _shape(request, found),
        "plan": lambda: _plan(request, me, found, actor, at),
        "end-plan": lambda: _end_plan(request, me, actor, at),
    }
    act = acts.get(request.POST.get("act", ""))
    if act is None:
        raise UnableToReadFormError(_("Choose what to do."))
    return act()


def _pay(request: HttpRequest, me: Me, found: Standing, actor: str, at: datetime) -> HttpResponse:
    """On a gateway's page: what was ticked, or a part of it; what a part goes to is what is due first of those."""
    chosen = set(request.POST.getlist("ref"))
    items = [one for one in found.outlook.owed if one.debt in chosen and one.net.currency == me.account.currency]
    whole = sum((one.net for one in items), Money(0, me.account.currency))
    if not whole.minor:
        raise UnableToReadFormError(_("Choose what to pay."))
    part = owing.amount(request.POST.get("part", ""), me.account.currency)
    if part is not None and part > whole:
        raise UnableToReadFormError(_("That is more than what you chose to pay."))
    started = paying.start(
        account=me.account.id,
        name=request.POST.get("gateway", ""),
        amount=part or whole,
        return_url=f"{public()}{request.path}",
        language=translation.get_language() or "en",
        actor=actor,
        at=at,
        numbers=[(one.debt, one.number) for one in items],
    )
    return HttpResponseRedirect(started.url)


def _promise(request: HttpRequest, me: Me, actor: str, at: datetime) -> str:
    made = people.promise(
        account=me.account.id, pay_by=owing.day_of(request.POST.get("pay_by", "")), actor=actor, at=at
    )
    day = Words.of(translation.get_language()).day(made.pay_by)
    return _("Thank you. Nothing happens until %(day)s is over; if you pay by then, it is done.") % {"day": day}


def _shape(request: HttpRequest, found: Standing) -> Shape:
    given = {name: request.POST.get(name, "")[:40] for name in ("parts", "first", "reason")}
    return owing.shape(found.bounds, **given)


def _plan(request: HttpRequest, me: Me, found: Standing, actor: str, at: datetime) -> Shape | str:
    shaped = _shape(request, found)
    if shaped.fault or request.POST.get("digest") != shaped.digest:
        return shaped  # what is owed changed meanwhile: they look at it again
    made = people.propose_plan(
        account=me.account.id,
        instalments=shaped.instalments,
        actor=actor,
        at=at,
        debts=found.bounds.debts,
        reason=shaped.reason,
    )
    if made.state == "agreed":
        return _("Your plan is agreed. While you keep it, nothing else happens.")
    return _("Your plan is with us. We tell you as soon as it is decided.")


def _end_plan(request: HttpRequest, me: Me, actor: str, at: datetime) -> str:
    number = request.POST.get("plan", "")
    if not number.isdigit():
        raise UnableToReadFormError(_("Choose what to do."))
    people.end_plan(plan=int(number), actor=actor, reason="the customer took it back", at=at, account=me.account.id)
    return _("Your plan is taken back.")
