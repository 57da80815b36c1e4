"""How a customer pays: at once on a gateway's page, by a mandate, by a way to pay that is kept, from a balance."""

from collections.abc import Callable
from datetime import date
from hashlib import sha256
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from coulance.catalog import queries as catalog
from coulance.flows.rails import by_mandate, coming, direct_debit, mandates, paying, paying_back, wallet, wording
from coulance.flows.rails.direct_debit import portal_link
from coulance.invoicing.documents.words import Words
from coulance.payments import agreements, bank, charging, payback_rows
from coulance.payments import mandates as signed
from coulance.payments import queries as payments
from coulance.payments.errors import PaymentsError
from coulance.payments.ports import GatewayRefusedError, UnableToReachGatewayError
from coulance.platform import clock
from coulance.portal.access import customers_only, words
from coulance.portal.entry import Me
from coulance_core.kernel import Money
from coulance_core.payments.paybacks import PaybackState

MANDATE = "mandate"
"""What stands for the mandate where a way to pay is chosen."""
MAY = frozenset(("billing", "owner"))
"""Who of an account decides how it pays."""


class _Said(Exception):
    """What was asked for can't be; the text says why, in the reader's language."""


@customers_only
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, *, me: Me) -> HttpResponse:
    """What is open and every way to pay it, now and by itself."""
    done = fault = ""
    if request.method == "POST":
        try:
            if not MAY & set(me.contact.roles):
                raise _Said(_("Only a billing contact or an owner decides this."))
            answer = _act(request, me)
            if isinstance(answer, HttpResponse):
                return answer
            done = answer
        except _Said as said:
            fault = str(said)
        except PaymentsError as error:
            fault = _("That can't be done: %(why)s") % {"why": error}
        except (GatewayRefusedError, UnableToReachGatewayError):
            fault = _("The payment service gives no answer now. Nothing was taken; please try again later.")
    return render(request, "portal/paying.html", _shown(me) | words(request) | {"done": done, "fault": fault})


def _today() -> date:
    return clock.now().astimezone(catalog.catalog().provider.zone_info).date()


def _act(request: HttpRequest, me: Me) -> HttpResponse | str:
    acts: dict[str, Callable[[HttpRequest, Me], HttpResponse | str]] = {
        "pay": _pay,
        "top-up": _top_up,
        "sign": _sign,
        "withdraw": _withdraw,
        "forget": _forget,
        "auto-pay": _auto_pay,
        "auto-top-up": _auto_top_up,
        "stop": _stop,
        "invoices-on": _invoices_on,
        "invoices-off": _invoices_off,
        "ask-back": _ask_back,
    }
    found = acts.get(request.POST.get("act", ""))
    if found is None:
        raise _Said(_("Choose what to do."))
    return found(request, me)


def _amount(request: HttpRequest, name: str, me: Me) -> Money | None:
    typed = request.POST.get(name, "").strip().replace(",", ".")
    if not typed:
        return None
    try:
        money = Money.of(typed, me.account.currency)
    except (ValueError, ArithmeticError) as error:
        raise _Said(_("Type an amount such as 25.00.")) from error
    if money.minor <= 0:
        raise _Said(_("Type an amount such as 25.00."))
    return money


def _needed(request: HttpRequest, name: str, me: Me) -> Money:
    money = _amount(request, name, me)
    if money is None:
        raise _Said(_("Type an amount such as 25.00."))
    return money


def _begin(request: HttpRequest, me: Me, **given: Any) -> HttpResponse:
    started = paying.start(
        account=me.account.id,
        name=request.POST.get("gateway", ""),
        return_url=portal_link(),
        language=translation.get_language() or "en",
        keep=request.POST.get("keep") == "yes",
        actor=f"contact:{me.contact.external_id}",
        at=clock.now(),
        **given,
    )
    return HttpResponseRedirect(started.url)


def _pay(request: HttpRequest, me: Me) -> HttpResponse:
    chosen = set(request.POST.getlist("ref"))
    items = [item for item in _debts(me) if item.ref in chosen]
    if not items:
        raise _Said(_("Choose what to pay."))
    coming_now = coming.coming(account=me.account.id, on=_today(), refs={item.ref for item in items})
    if coming_now and request.POST.get("anyway") != "yes":
        raise _Said(
            _("A payment of %(number)s is under way. Wait for it, or tick that you pay it all the same.")
            % {"number": coming_now[0].number}
        )
    whole = sum((item.payable for item in items), Money(0, me.account.currency))
    return _begin(request, me, amount=whole, numbers=[(item.ref, item.number) for item in items])


def _top_up(request: HttpRequest, me: Me) -> HttpResponse:
    return _begin(request, me, amount=_needed(request, "amount", me), top_up=True)


def _sign(request: HttpRequest, me: Me) -> str:
    text = mandates.text(language=translation.get_language() or "en")
    if request.POST.get("agreed") != sha256(text.encode()).hexdigest():
        raise _Said(_("Read the mandate and tick the box."))
    if not request.POST.get("iban", "").strip() or not request.POST.get("holder", "").strip():
        raise _Said(_("Type the account and whose it is."))
    mandates.sign_in_portal(
        account=me.account.id,
        contact=me.contact.external_id,
        address=request.META.get("REMOTE_ADDR", ""),
        iban=request.POST["iban"],
        holder=request.POST["holder"],
        language=translation.get_language() or "en",
        on=_today(),
        at=clock.now(),
        invoices=request.POST.get("invoices") == "yes",
    )
    return _("Your mandate is signed. We tell you before each collection.")


def _invoices_on(request: HttpRequest, me: Me) -> str:
    by_mandate.collect_invoices(
        account=me.account.id,
        most_each=_amount(request, "most_each", me),
        most_a_month=_amount(request, "most_a_month", me),
        language=translation.get_language() or "en",
        given_by=f"contact:{me.contact.external_id}",
        on=_today(),
        at=clock.now(),
    )
    return _("From now on we collect your invoices when they are due.")


def _invoices_off(request: HttpRequest, me: Me) -> str:  # noqa: ARG001 - as every act
    by_mandate.stop_collecting(
        account=me.account.id,
        language=translation.get_language() or "en",
        by=f"contact:{me.contact.external_id}",
        on=_today(),
        at=clock.now(),
    )
    return _("Your invoices are not collected any more; what the bank has already may still come.")


def _ask_back(request: HttpRequest, me: Me) -> str:  # noqa: ARG001 - as every act
    paying_back.ask_left_over(
        account=me.account.id,
        actor=f"contact:{me.contact.external_id}",
        reason="the customer asked for it in the portal",
        at=clock.now(),
    )
    return _("We pay it back once somebody here has looked at it, the way it came.")


def _withdraw(request: HttpRequest, me: Me) -> str:
    own = {one.id for one in signed.mandates(accounts=[me.account.id]) if one.withdrawn_on is None}
    if not (number := request.POST.get("mandate", "")).isdigit() or int(number) not in own:
        raise _Said(_("This mandate is not in force."))
    direct_debit.end_mandate(
        mandate=int(number),
        on=_today(),
        actor=f"contact:{me.contact.external_id}",
        reason="the customer ended it in the portal",
        at=clock.now(),
    )
    return _("Your mandate has ended; what was planned by it is called off.")


def _method(request: HttpRequest, me: Me) -> int:
    own = {one.id for one in charging.stored_methods(accounts=[me.account.id])}
    if not (number := request.POST.get("method", "")).isdigit() or int(number) not in own:
        raise _Said(_("Choose a way to pay."))
    return int(number)


def _forget(request: HttpRequest, me: Me) -> str:
    paying.forget(
        method=_method(request, me),
        actor=f"contact:{me.contact.external_id}",
        reason="the customer took it back in the portal",
        at=clock.now(),
    )
    return _("This way to pay is forgotten; nothing more is charged to it.")


def _auto_pay(request: HttpRequest, me: Me) -> str:
    wallet.agree_auto_pay(
        account=me.account.id,
        method=_method(request, me),
        most_each=_amount(request, "most_each", me),
        most_a_month=_amount(request, "most_a_month", me),
        language=translation.get_language() or "en",
        given_by=f"contact:{me.contact.external_id}",
        at=clock.now(),
    )
    return _("From now on your invoices are paid when they are due.")


def _auto_top_up(request: HttpRequest, me: Me) -> str:
    if request.POST.get("method") == MANDATE:
        by_mandate.agree_top_up(
            account=me.account.id,
            below=_needed(request, "below", me),
            amount=_needed(request, "amount", me),
            most_a_month=_needed(request, "most_a_month", me),
            language=translation.get_language() or "en",
            given_by=f"contact:{me.contact.external_id}",
            on=_today(),
            at=clock.now(),
        )
        return _("From now on your balance is topped up when it is low.")
    wallet.agree_top_up(
        account=me.account.id,
        method=_method(request, me),
        below=_needed(request, "below", me),
        amount=_needed(request, "amount", me),
        most_a_month=_needed(request, "most_a_month", me),
        language=translation.get_language() or "en",
        given_by=f"contact:{me.contact.external_id}",
        at=clock.now(),
    )
    return _("From now on your balance is topped up when it is low.")


def _stop(request: HttpRequest, me: Me) -> str:
    own = {one.id for one in agreements.agreements(accounts=[me.account.id])}
    if not (number := request.POST.get("agreement", "")).isdigit() or int(number) not in own:
        raise _Said(_("This was stopped already."))
    wallet.stop(
        agreement=int(number),
        actor=f"contact:{me.contact.external_id}",
        reason="the customer stopped it in the portal",
        at=clock.now(),
    )
    return _("Stopped: nothing more is charged by itself.")


def _debts(me: Me) -> list[Any]:
    items = payments.open_items(accounts=[me.account.id]).get(me.account.id, ())
    return [item for item in items if item.payable.minor > 0 and item.open.currency == me.account.currency]


def _shown(me: Me) -> dict[str, Any]:
    whole = catalog.catalog()
    language = translation.get_language() or "en"
    says = Words.of(language)

    def money(amount: Money | None) -> str:
        return "" if amount is None else says.money(amount.decimal(), amount.currency)

    flights: dict[str, date] = {one.ref: one.final_on for one in payments.in_flight(accounts=[me.account.id])}
    items = [
        {
            "ref": item.ref,
            "number": item.number,
            "due": says.day(item.due_on),
            "amount": money(item.payable),
            "under_way": item.ref in flights,
        }
        for item in _debts(me)
    ]
    mandate = signed.in_force(on=_today(), accounts=[me.account.id]).get(me.account.id)
    text = mandates.text(language=language) if mandates.offered() and me.account.currency == "EUR" else ""
    methods = charging.stored_methods(accounts=[me.account.id])
    word = None if mandate is None else agreements.invoices_by(mandate=mandate.id, account=me.account.id)
    left = sum(
        (paying_back.left_of(one.id) for one in payments.receipts(accounts=[me.account.id], with_left=True)),
        Money(0, me.account.currency),
    )
    backs = payback_rows.paybacks(accounts=[me.account.id], states=[state for state in PaybackState if state.is_live])
    return {
        "here": "paying",
        "items": items,
        "gateways": [(name, name.capitalize()) for name in paying.offered()],
        "keep_text": wording.keep_text(seller=whole.provider, language=language),
        "balance": money(payments.prepaid(account=me.account.id, currency=me.account.currency)),
        "reference": bank.top_up_reference(me.account.id),
        "iban": whole.provider.iban,
        "mandate": mandate,
        "collects_invoices": mandate is not None and word is not False,
        "some_under_way": any(item["under_way"] for item in items),
        "left": money(left) if left.minor > 0 else "",
        "going_back": [{"amount": money(one.amount), "to": one.shown_iban or one.way.capitalize()} for one in backs],
        "mandate_text": text,
        "mandate_digest": sha256(text.encode()).hexdigest(),
        "methods": methods,
        "agreements": [
            {"id": one.id, "text": one.text, "kind": one.kind}
            for one in agreements.agreements(accounts=[me.account.id])
        ],
        "currency": me.account.currency,
    }
