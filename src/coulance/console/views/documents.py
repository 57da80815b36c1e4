"""Documents: the list, one as it reads with each line's explanation, and the same as PDF and JSON."""

import re
from collections.abc import Mapping
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from coulance.console.access import operators_only
from coulance.console.paging import PER_PAGE, number_asked, page
from coulance.flows import einvoicing
from coulance.flows.einvoicing import FORMATS
from coulance.flows.sending import status
from coulance.invoicing import crediting, debiting, listing, pdf, queries
from coulance.invoicing.documents.view import view
from coulance.invoicing.errors import UnableToFindDocumentError
from coulance.invoicing.queries import StoredDocument
from coulance.platform.roles import Permission

KINDS = (
    "base_invoice",
    "overage_invoice",
    "credit_note",
    "debit_note",
    "fee_invoice",
    "interest_invoice",
    "usage_statement",
)


@operators_only(Permission.SEE)
def document_list(request: HttpRequest) -> HttpResponse:
    """Documents, newest first, searched by number or account and filtered by kind and period."""
    text = request.GET.get("q", "").strip()[:140]
    kind = request.GET.get("kind", "")
    period = request.GET.get("period", "")[:7]
    known = kind if kind in KINDS else ""
    total = listing.count_documents(text=text, kind=known, period_name=period)
    number = number_asked(request, total)
    rows = listing.find_documents(
        text=text, kind=known, period_name=period, limit=PER_PAGE, offset=(number - 1) * PER_PAGE
    )
    return render(
        request,
        "console/documents.html",
        {
            "here": "documents",
            "page": page(request, rows, number, total),
            "q": text,
            "kind": kind,
            "kinds": KINDS,
            "period": period,
            "periods": listing.period_names(),
        },
    )


@operators_only(Permission.SEE)
def document_detail(request: HttpRequest, document: int) -> HttpResponse:
    """One document as its customer reads it, from its snapshot."""
    stored = _stored(document)
    shown = view(stored.snapshot)
    explanations = {str(line.get("no") or ""): line.get("explanation") for line in stored.snapshot["lines"]}
    for group in shown["lines"]:
        for row in group["rows"]:
            row["explanation"] = explanations.get(row["no"])
    return render(
        request,
        "console/document.html",
        {
            "here": "documents",
            "row": stored.row,
            "d": shown,
            "account": _account(stored.snapshot),
            "deliveries": status.deliveries_of(document=document),
            "einvoices": FORMATS if stored.row.number and stored.row.kind != "usage_statement" else (),
            "reversed_by": _reversed_by(stored),
            "creditable": stored.row.number and stored.row.kind in crediting.CREDITABLE,
        },
    )


@operators_only(Permission.SEE)
def document_pdf(_request: HttpRequest, document: int) -> HttpResponse:
    """The document as PDF/A."""
    stored = _stored(document)
    answer = HttpResponse(pdf.render(stored.snapshot), content_type="application/pdf")
    answer.headers["Content-Disposition"] = f'inline; filename="{_file_name(stored)}.pdf"'
    return answer


@operators_only(Permission.SEE)
def document_json(_request: HttpRequest, document: int) -> HttpResponse:
    """The document's snapshot."""
    stored = _stored(document)
    answer = JsonResponse(stored.snapshot, json_dumps_params={"indent": 1, "ensure_ascii": False})
    answer.headers["Content-Disposition"] = f'inline; filename="{_file_name(stored)}.json"'
    return answer


@operators_only(Permission.SEE)
def document_einvoice(_request: HttpRequest, document: int, form: str) -> HttpResponse:
    """The document as e-invoice (UBL, CII, Peppol, Factur-X), checked by the official rules; or why it can't be one."""
    stored = _stored(document)
    if stored.row.number is None or form not in FORMATS:
        raise Http404("no such e-invoice")
    try:
        made = einvoicing.einvoice_of(number=stored.row.number, form=form)
    except einvoicing.UnableToMakeEInvoiceError as fault:
        return HttpResponse(str(fault), content_type="text/plain; charset=utf-8", status=409)
    suffix, kind = ("pdf", "application/pdf") if made.startswith(b"%PDF") else ("xml", "application/xml")
    answer = HttpResponse(made, content_type=kind)
    answer.headers["Content-Disposition"] = f'attachment; filename="{_file_name(stored)}-{form}.{suffix}"'
    return answer


def _stored(document: int) -> StoredDocument:
    try:
        return queries.document_by_id(document=document)
    except UnableToFindDocumentError as fault:
        raise Http404(str(fault)) from fault


def _reversed_by(stored: StoredDocument) -> StoredDocument | None:
    number = debiting.reversed_by(credit_note=stored.row.id) if stored.row.kind == "credit_note" else None
    return queries.document(number=number) if number else None


def _account(snapshot: Mapping[str, Any]) -> str:
    return str(snapshot["buyer"].get("external_id") or "")


def _file_name(stored: StoredDocument) -> str:
    """A number as a file name: only what every file system and header takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stored.row.number or f"draft-{stored.row.id}")
