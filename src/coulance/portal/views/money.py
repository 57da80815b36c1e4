"""Documents with their explanation, and the statement of account."""

import re
from datetime import date, timedelta

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.http import require_safe

from coulance.catalog import queries as catalog
from coulance.invoicing import holding, pdf
from coulance.invoicing import queries as invoicing
from coulance.invoicing.documents.view import view as document_view
from coulance.invoicing.documents.words import Words
from coulance.invoicing.errors import UnableToFindDocumentError
from coulance.invoicing.holding import HeldRow
from coulance.payments import queries as payments
from coulance.payments import statements
from coulance.payments.documents.view import view as statement_view
from coulance.payments.pdf import render_statement
from coulance.platform import clock
from coulance.portal.access import customers_only, words
from coulance.portal.entry import Me
from coulance_core.kernel import Explanation
from coulance_core.payments import AccountStatement


@customers_only
@require_safe
def documents(request: HttpRequest, *, me: Me) -> HttpResponse:
    """Invoices, credit notes and usage statements, newest first."""
    says = Words.of(translation.get_language())
    rows = [
        {
            "id": row.id,
            "number": row.number,
            "kind": row.kind,
            "month": says.month(row.period_name),
            "amount": says.money(row.gross.decimal(), row.gross.currency),
        }
        for row in invoicing.documents(account=me.account.id)
        if row.number
    ][::-1]
    held = [
        {"id": row.document, "month": says.month(row.period_name), "amount": _money(says, row)}
        for row in holding.held(account=me.account.id)
    ]
    taken = [
        {
            "number": item.number,
            "amount": says.money(item.open.decimal(), item.open.currency),
            "day": says.day(item.issued_on),
            "contest": f"/my/debts/{item.ref.removeprefix('opening/')}/contest",
        }
        for item in payments.open_items(accounts=[me.account.id]).get(me.account.id, ())
        if item.ref.startswith("opening/") and item.open.minor > 0
    ]
    shown = {"here": "documents", "rows": rows, "held": held, "taken": taken}
    return render(request, "portal/documents.html", words(request) | shown)


def _money(says: Words, row: HeldRow) -> str:
    return says.money(row.gross.decimal(), row.gross.currency)


@customers_only
@require_safe
def document(request: HttpRequest, document: int, *, me: Me) -> HttpResponse:
    """A document: what it comes to, why, and the arithmetic of each line."""
    stored = _own(document, me)
    snapshot = {**stored.snapshot, "language": translation.get_language() or "en"}
    lines = [
        {"said": line["description"], "net": line["net"], "why": Explanation.from_json(line["explanation"]).render()}
        for line in stored.snapshot["lines"]
    ]
    return render(
        request,
        "portal/document.html",
        words(request)
        | {
            "here": "documents",
            "row": stored.row,
            "d": document_view(snapshot, pictures=False),
            "lines": lines,
            "currency": stored.snapshot["currency"],
        },
    )


@customers_only
@require_safe
def document_pdf(request: HttpRequest, document: int, *, me: Me) -> HttpResponse:  # noqa: ARG001 - a view takes it
    """The document as PDF/A."""
    stored = _own(document, me)
    return _pdf(pdf.render(stored.snapshot), stored.row.number or "document")


@customers_only
@require_safe
def statement(request: HttpRequest, *, me: Me) -> HttpResponse:
    """What was billed and paid this year, and what is open."""
    found = _statement(me)
    shown = statement_view(
        found, seller=catalog.catalog().provider, buyer=me.account, language=translation.get_language() or "en"
    )
    return render(request, "portal/statement.html", words(request) | {"here": "statement", "s": shown})


@customers_only
@require_safe
def statement_pdf(request: HttpRequest, *, me: Me) -> HttpResponse:  # noqa: ARG001 - a view takes it
    """The same as PDF/A."""
    made = render_statement(_statement(me), seller=catalog.catalog().provider, buyer=me.account)
    return _pdf(made, "statement")


def _own(number: int, me: Me) -> invoicing.StoredDocument:
    try:
        stored = invoicing.document_by_id(document=number)
    except UnableToFindDocumentError as fault:
        raise Http404 from fault
    if stored.row.account != me.account.id or not stored.row.number:
        raise Http404
    return stored


def _statement(me: Me) -> AccountStatement:
    today = clock.now().astimezone(catalog.catalog().provider.zone_info).date()
    return statements.account_statement(
        account=me.account.id,
        currency=me.account.currency,
        start=date(today.year, 1, 1),
        end=today + timedelta(days=1),
    )


def _pdf(content: bytes, name: str) -> HttpResponse:
    answer = HttpResponse(content, content_type="application/pdf")
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    answer.headers["Content-Disposition"] = f'inline; filename="{safe}.pdf"'
    return answer
