"""Payments: what came in, booking by hand, dividing it, taking it back, paying it back."""

from collections.abc import Callable
from datetime import date
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from coulance.catalog import queries as catalog
from coulance.console.access import operators_only, who
from coulance.console.acts import (
    Done,
    UnableToActError,
    amount_of,
    day_of,
    form_of,
    is_sure,
    once,
    previewed,
    reason_of,
)
from coulance.console.paging import PER_PAGE
from coulance.console.templatetags.console import money as shown_money
from coulance.customers import queries as customers
from coulance.customers.queries import AccountRow
from coulance.flows import payments as flow
from coulance.payments import bank, queries
from coulance.payments.booking import Booked, NewReceipt
from coulance.payments.errors import PaymentsError, UnableToFindPaymentError
from coulance.platform import clock
from coulance.platform.roles import Permission
from coulance_core.kernel import Money
from coulance_core.payments import Choice, Method, Receipt, ReversalKind

METHODS = (
    (Method.BANK, gettext_lazy("bank transfer")),
    (Method.CASH, gettext_lazy("cash")),
    (Method.CARD, gettext_lazy("card")),
    (Method.OTHER, gettext_lazy("otherwise")),
)
KINDS = (
    (ReversalKind.BOUNCED, gettext_lazy("the bank took it back (a returned debit, a chargeback)")),
    (ReversalKind.RETURNED, gettext_lazy("it was sent back (a closed account)")),
    (ReversalKind.MISTAKE, gettext_lazy("it was never so (another account's, or booked twice)")),
)
FAULTS = (UnableToActError, PaymentsError, ValueError)


@operators_only(Permission.SEE)
@require_GET
def payment_list(request: HttpRequest) -> HttpResponse:
    """Receipts, newest first; of one account, or those with something left."""
    asked = request.GET.get("page", "1")
    number = max(1, int(asked)) if asked.isdecimal() and len(asked) < 7 else 1
    account, unknown = None, ""
    if text := request.GET.get("account", "").strip()[:200]:
        try:
            account = customers.account(text)
        except customers.UnableToFindAccountError as fault:
            unknown = str(fault)
    left = request.GET.get("left") == "1"
    rows: list[Receipt] = []
    if not unknown:
        rows = queries.receipts(
            accounts=[account.id] if account else None,
            with_left=left,
            limit=PER_PAGE + 1,
            offset=(number - 1) * PER_PAGE,
        )
    names = {row.id: row for row in customers.accounts({row.account for row in rows})}
    return render(
        request,
        "console/payments.html",
        {
            "here": "payments",
            "rows": [(row, names[row.account]) for row in rows[:PER_PAGE]],
            "number": number,
            "more": len(rows) > PER_PAGE,
            "account": text,
            "unknown": unknown,
            "left": left,
            "waiting": bank.count(states=("suggested", "new")),
        },
    )


@operators_only(Permission.MONEY, fresh=True)
@require_http_methods(["GET", "POST"])
def payment_new(request: HttpRequest) -> HttpResponse:
    """Book a payment by hand: how it would be divided first, then it is."""
    form = form_of(
        request, "account", "amount", "payer_ref", "numbers", method="bank", received_on=_today().isoformat()
    )
    if request.method == "POST":
        try:
            asked = _asked(request, form.values)
            if is_sure(request):
                return once(request, lambda: _booked(request, form.token, asked))
            form.preview = previewed(lambda: _division(asked, who(request)))
        except FAULTS as fault:
            form.fault = str(fault)
    account = _account_or_none(form.values["account"])
    values = {
        "here": "payments",
        "form": form,
        "methods": METHODS,
        "owner": account,
        "open": queries.open_items(accounts=[account.id]).get(account.id, ()) if account else (),
    }
    return render(request, "console/payment_new.html", values, status=form.status)


@operators_only(Permission.SEE)
@require_GET
def payment_detail(request: HttpRequest, receipt: int) -> HttpResponse:
    """One receipt: where its money went, and what can be done with it."""
    return _page(request, _receipt(receipt), form_of(request, on=_today().isoformat()))


@operators_only(Permission.MONEY, fresh=True)
@require_http_methods(["GET", "POST"])
def payment_act(request: HttpRequest, receipt: int, act: str) -> HttpResponse:
    """Allocate what is left, take an allocation back, undo it all, or pay back: shown first, then done."""
    found = _receipt(receipt)
    if act not in ACTS:
        raise Http404("no such act")
    today = _today().isoformat()
    form = form_of(request, "numbers", "amount", "iban", "allocation", "refund", "reclaim", kind="bounced", on=today)
    if request.method == "POST":
        try:
            said, do = ACTS[act](found, form.values, who(request), reason_of(request), form.token)
            if is_sure(request):
                return once(request, lambda: _done(do, found, said))
            form.preview = {"said": said, "left": previewed(lambda: _after(do, found.id))}
        except FAULTS as fault:
            form.fault = str(fault)
    return _page(request, found, form, act)


def _page(request: HttpRequest, found: Receipt, form: Any, act: str = "") -> HttpResponse:
    owner = customers.accounts([found.account])[0]
    values = {
        "here": "payments",
        "receipt": found,
        "owner": owner,
        "allocations": queries.allocations(receipts=[found.id], undone=True),
        "refunds": (refunds := queries.refunds(receipts=[found.id])),
        "paid_back": [one for one in refunds if one.reversed_on is None],
        "open": queries.open_items(accounts=[found.account]).get(found.account, ()),
        "kinds": KINDS,
        "form": form,
        "act": act,
    }
    return render(request, "console/payment.html", values, status=form.status)


Act = Callable[[], object]


def _allocate(found: Receipt, typed: dict[str, str], actor: str, reason: str, _token: str) -> tuple[str, Act]:
    named = _named(typed["numbers"], found.amount.currency)
    chosen = flow.choices(account=found.account, named=named)
    where = ", ".join(number for number, _amount in named) or _(
        "what is owed, in the order that the provider file names"
    )
    said = _("%(amount)s goes to %(where)s") % {"amount": shown_money(found.left), "where": where}
    return said, lambda: flow.allocate_payment(
        receipt=found.id,
        on=_today(),
        actor=actor,
        reason=reason,
        at=clock.now(),
        choice=chosen,
        beyond_choice=not chosen,
    )


def _unallocate(found: Receipt, typed: dict[str, str], actor: str, reason: str, _token: str) -> tuple[str, Act]:
    rows = {str(row.id): row for row in queries.allocations(receipts=[found.id])}
    row = rows.get(typed["allocation"])
    if row is None:
        raise UnableToActError(_("Choose what to take back."))
    said = _("%(amount)s is taken from %(where)s: it is open again") % {
        "amount": shown_money(row.amount),
        "where": row.number or row.ref,
    }
    return said, lambda: flow.reverse_allocation(
        allocation=row.id, on=_today(), actor=actor, reason=reason, at=clock.now()
    )


def _reverse(found: Receipt, typed: dict[str, str], actor: str, reason: str, _token: str) -> tuple[str, Act]:
    kind, on = ReversalKind(typed["kind"]), day_of(typed["on"], default=_today())
    reclaim = typed["reclaim"] == "1"
    said = _("%(amount)s of %(day)s is undone; what it paid is open again") % {
        "amount": shown_money(found.amount),
        "day": date_format(found.received_on, "j M Y"),
    }
    standing = [one for one in queries.refunds(receipts=[found.id]) if one.reversed_on is None]
    if reclaim and standing:
        back = sum((one.amount for one in standing[1:]), standing[0].amount)
        said += _(", and the %(amount)s paid back is owed by the customer") % {"amount": shown_money(back)}
    return said, lambda: flow.reverse_payment(
        receipt=found.id, kind=kind, on=on, actor=actor, reason=reason, at=clock.now(), reclaim=reclaim
    )


def _unrefund(found: Receipt, typed: dict[str, str], actor: str, reason: str, _token: str) -> tuple[str, Act]:
    rows = {str(row.id): row for row in queries.refunds(receipts=[found.id]) if row.reversed_on is None}
    row = rows.get(typed["refund"])
    if row is None:
        raise UnableToActError(_("Choose the refund that came back."))
    kind, on = ReversalKind(typed["kind"]), day_of(typed["on"], default=_today())
    said = _("the refund of %(amount)s is undone: its money is here again") % {"amount": shown_money(row.amount)}
    return said, lambda: flow.reverse_refund(
        refund=row.id, kind=kind, on=on, actor=actor, reason=reason, at=clock.now()
    )


def _refund(found: Receipt, typed: dict[str, str], actor: str, reason: str, token: str) -> tuple[str, Act]:
    amount, on = amount_of(typed["amount"], found.amount.currency), day_of(typed["on"], default=_today())
    iban = typed["iban"].replace(" ", "").upper()
    said = _("%(amount)s is booked as paid back") % {"amount": shown_money(amount)}
    if iban:
        said = _("%(amount)s is booked as paid back to %(iban)s") % {"amount": shown_money(amount), "iban": iban}
    return said, lambda: flow.refund_payment(
        receipt=found.id,
        amount=amount,
        refunded_on=on,
        source_key=f"console/{token}",
        actor=actor,
        reason=reason,
        at=clock.now(),
        iban=iban,
    )


ACTS: dict[str, Callable[[Receipt, dict[str, str], str, str, str], tuple[str, Act]]] = {
    "allocate": _allocate,
    "unallocate": _unallocate,
    "reverse": _reverse,
    "refund": _refund,
    "unrefund": _unrefund,
}


def _done(do: Act, found: Receipt, said: str) -> Done:
    do()
    return Done(f"/payments/{found.id}", f"{said}.")


def _after(do: Act, receipt: int) -> dict[str, Any]:
    do()
    found = queries.receipt(receipt=receipt)
    standing = queries.balance(account=found.account, currency=found.amount.currency)
    return {"left": found.left, "due": standing.due, "moves": queries.allocations(receipts=[receipt])}


class _Asked:
    """A payment as it was typed."""

    def __init__(self, account: AccountRow, amount: Money, chosen: list[Choice], typed: dict[str, str]) -> None:
        self.account, self.amount, self.chosen = account, amount, chosen
        self.received_on = day_of(typed["received_on"], default=_today())
        self.method = Method(typed["method"])
        self.payer_ref = typed["payer_ref"].strip()[:500]
        self.reason = typed["reason"].strip()

    def book(self, source_key: str, actor: str) -> Booked:
        return flow.book_payment(
            receipt=NewReceipt(
                account=self.account.id,
                amount=self.amount,
                received_on=self.received_on,
                method=self.method,
                source_key=source_key,
                reason=self.reason,
                payer_ref=self.payer_ref,
                choice=tuple(self.chosen),
            ),
            actor=actor,
            at=clock.now(),
        )


def _asked(request: HttpRequest, typed: dict[str, str]) -> _Asked:
    reason_of(request)
    try:
        account = customers.account(typed["account"].strip())
    except customers.UnableToFindAccountError as fault:
        raise UnableToActError(_("There is %(fault)s.") % {"fault": fault}) from None
    if typed["method"] not in [method.value for method, _ in METHODS]:
        raise UnableToActError(_("Choose how it came in."))
    amount = amount_of(typed["amount"], account.currency)
    chosen = flow.choices(account=account.id, named=_named(typed["numbers"], account.currency))
    asked = _Asked(account, amount, chosen, typed)
    if asked.received_on > _today():
        raise UnableToActError(_("That day is yet to come: money is booked when it is there."))
    return asked


def _division(asked: _Asked, actor: str) -> dict[str, Any]:
    booked = asked.book("console/preview", actor)
    standing = queries.balance(account=asked.account.id, currency=asked.amount.currency)
    return {
        "amount": asked.amount,
        "on": asked.received_on,
        "moves": booked.allocation.moves if booked.allocation else (),
        "rest": booked.allocation.rest if booked.allocation else asked.amount,
        "due": standing.due,
    }


def _booked(request: HttpRequest, token: str, asked: _Asked) -> Done:
    booked = asked.book(f"console/{token}", who(request))
    said = _("%(amount)s of %(name)s is booked.") % {
        "amount": shown_money(asked.amount),
        "name": asked.account.name,
    }
    return Done(f"/payments/{booked.receipt}", said)


def _named(text: str, code: str) -> list[tuple[str, Money | None]]:
    """`V2026-1, B2026-7=12.50`: document numbers, each with an amount if not all that is open of it is meant."""
    found: list[tuple[str, Money | None]] = []
    for part in text.replace(";", ",").replace("\n", ",").split(","):
        number, sign, amount = part.strip().partition("=")
        if number.strip():
            found.append((number.strip(), amount_of(amount, code) if sign else None))
    return found


def _account_or_none(external_id: str) -> AccountRow | None:
    try:
        return customers.account(external_id.strip()) if external_id.strip() else None
    except customers.UnableToFindAccountError:
        return None


def _receipt(receipt: int) -> Receipt:
    try:
        return queries.receipt(receipt=receipt)
    except UnableToFindPaymentError as fault:
        raise Http404(str(fault)) from fault


def _today() -> date:
    try:
        return clock.now().astimezone(catalog.catalog().provider.zone_info).date()
    except catalog.UnableToFindCatalogError:
        return clock.now().date()
