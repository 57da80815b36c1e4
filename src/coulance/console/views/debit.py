"""Taking a credit note back: what is owed again, before it is."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from coulance.console.access import operators_only, who
from coulance.console.acts import Done, UnableToActError, form_of, is_sure, once, reason_of
from coulance.flows.crediting import preview_debit_note, reverse_credit_note
from coulance.invoicing import queries
from coulance.invoicing.errors import InvoicingError, UnableToFindDocumentError
from coulance.platform import clock
from coulance.platform.roles import Permission


@operators_only(Permission.BILLING, fresh=True)
@require_http_methods(["GET", "POST"])
def take_credit_back(request: HttpRequest, document: int) -> HttpResponse:
    """Take a credit note back by a debit note: shown first, then issued."""
    try:
        stored = queries.document_by_id(document=document)
    except UnableToFindDocumentError as fault:
        raise Http404(str(fault)) from fault
    number = stored.row.number
    if number is None or stored.row.kind != "credit_note":
        raise Http404("only credit notes are taken back")
    form = form_of(request)
    if request.method == "POST":
        try:
            reason = reason_of(request)
            if is_sure(request):
                return once(request, lambda: _taken(number, reason, who(request)))
            form.preview = preview_debit_note(number=number, reason=reason, at=clock.now())
        except (UnableToActError, InvoicingError) as fault:
            form.fault = str(fault)
    values = {"here": "documents", "row": stored.row, "buyer": stored.snapshot["buyer"]["name"], "form": form}
    return render(request, "console/debit.html", values, status=form.status)


def _taken(number: str, reason: str, actor: str) -> Done:
    given = reverse_credit_note(number=number, reason=reason, actor=actor, at=clock.now())
    return Done(
        f"/documents/{queries.document(number=given).row.id}",
        _("%(given)s is issued: it takes %(number)s back.") % {"given": given, "number": number},
    )
