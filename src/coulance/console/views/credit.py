"""Giving a credit note: which lines, why, and what comes back, before it does."""

from decimal import Decimal, InvalidOperation

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from coulance.console.access import operators_only, who
from coulance.console.acts import Done, UnableToActError, form_of, is_sure, once, reason_of
from coulance.flows.crediting import give_credit_note, preview_credit_note
from coulance.invoicing import crediting, queries
from coulance.invoicing.errors import InvoicingError, UnableToFindDocumentError
from coulance.platform import clock
from coulance.platform.roles import Permission
from coulance_core.invoicing import CreditRequest, CreditType
from coulance_core.kernel import Money

TYPES = (
    (CreditType.CORRECTION, gettext_lazy("The invoice was wrong"), gettext_lazy("tax comes back as it was charged")),
    (
        CreditType.PRICE_REDUCTION,
        gettext_lazy("The price is lowered"),
        gettext_lazy("tax comes back as it was charged"),
    ),
    (CreditType.DAMAGES, gettext_lazy("Harm is made good"), gettext_lazy("no tax comes back")),
)


@operators_only(Permission.BILLING, fresh=True)
@require_http_methods(["GET", "POST"])
def give_credit(request: HttpRequest, document: int) -> HttpResponse:
    """Credit an invoice: all that is left of it, or some lines."""
    try:
        stored = queries.document_by_id(document=document)
    except UnableToFindDocumentError as fault:
        raise Http404(str(fault)) from fault
    if stored.row.number is None or stored.row.kind not in crediting.CREDITABLE:
        raise Http404("only issued invoices are credited")
    number = stored.row.number
    lines = crediting.creditable_lines(number)
    form = form_of(request, credit_type="correction", what="all")
    if request.method == "POST":
        try:
            kind, reason = _kind(form.values["credit_type"]), reason_of(request)
            asked = _asked(request, stored.row.gross.currency)
            at = clock.now()
            if is_sure(request):
                return once(
                    request,
                    lambda: _given(number, asked, kind, reason, who(request)),
                )
            form.preview = preview_credit_note(number=number, lines=asked, credit_type=kind, reason=reason, at=at)
        except (UnableToActError, InvoicingError) as fault:
            form.fault = str(fault)
    typed = {key: value for key, value in request.POST.items() if key.startswith(("line-", "amount-"))}
    values = {
        "here": "documents",
        "row": stored.row,
        "buyer": stored.snapshot["buyer"]["name"],
        "lines": [(line, typed.get(f"line-{line.no}", ""), typed.get(f"amount-{line.no}", "")) for line in lines],
        "typed": typed,
        "types": TYPES,
        "form": form,
    }
    return render(request, "console/credit.html", values, status=form.status)


def _given(number: str, lines: list[CreditRequest] | None, kind: CreditType, reason: str, actor: str) -> Done:
    given = give_credit_note(number=number, lines=lines, credit_type=kind, reason=reason, at=clock.now(), actor=actor)
    made = queries.document(number=given)
    return Done(
        f"/documents/{made.row.id}",
        _("%(given)s is issued: it lowers %(number)s.") % {"given": given, "number": number},
    )


def _kind(text: str) -> CreditType:
    try:
        return CreditType(text)
    except ValueError:
        raise UnableToActError(_("Choose why credit is given: it decides the tax.")) from None


def _asked(request: HttpRequest, code: str) -> list[CreditRequest] | None:
    if request.POST.get("what") != "lines":
        return None
    asked = []
    for key in request.POST:
        no = key.removeprefix("line-")
        if not key.startswith("line-") or not no.isdecimal() or len(no) > 6:
            continue
        text = request.POST.get(f"amount-{no}", "").strip().replace(",", ".")
        try:
            net = Money.of(Decimal(text), code) if text else None
        except (InvalidOperation, ValueError):
            raise UnableToActError(
                _("Line %(no)s: %(text)s is no amount in %(code)s; write 12.50.")
                % {"no": no, "text": repr(text), "code": code}
            ) from None
        asked.append(CreditRequest(int(no), net))
    if not asked:
        raise UnableToActError(_("Choose the lines to credit, or credit all that is left."))
    return asked
