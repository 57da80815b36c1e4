"""Documents: as issued, with the explanation of every line, as PDF and as e-invoice; and credit notes on them."""

import json
from datetime import date
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router, Status
from pydantic import Field

from coulance.api import paging
from coulance.api.access import actor_of
from coulance.api.accounts import account_row
from coulance.api.operation import operation
from coulance.api.paging import Cursor, Limit
from coulance.api.problems import Problem
from coulance.api.schemas import Given, Money, Page, PeriodName, Reason, Shown, amount_of, money
from coulance.flows import crediting, einvoicing
from coulance.invoicing import errors, pdf, queries
from coulance.platform import clock
from coulance_core.invoicing import CreditRequest, CreditType, DocumentKind
from coulance_core.kernel import Explanation

router = Router(tags=["documents"])

Number = Annotated[str, Path(description="Its number.", max_length=140, examples=["V2026-000001"])]
_KINDS = "|".join(kind.value for kind in DocumentKind)


class Document(Shown):
    """A document without its lines."""

    number: str
    kind: DocumentKind
    account: Annotated[str, Field(description="Your id of the account, when it was issued.")]
    period: str
    issued_on: date
    due_on: date
    net: Money
    tax: Money
    gross: Money
    credits_: Annotated[str | None, Field(alias="credits", description="The invoice that a credit note lowers.")]


class Line(Shown):
    """A line's net, why it is what it is (structure and words)."""

    line: int
    net: str
    explanation: dict[str, Any]
    text: str


class Explained(Shown):
    """Explanations, line by line."""

    number: str
    currency: str
    lines: list[Line]


class CreditLine(Given):
    """A line of the invoice, and how much of its net is given back; without an amount all that is left of it."""

    line: Annotated[int, Field(ge=1, le=100_000)]
    net: Money | None = None


class DebitNote(Given):
    """A debit note to give: it takes the whole of a credit note back."""

    reason: Annotated[Reason, Field(description="What the customer reads on it.")]


class CreditNote(Given):
    """A credit note to give. Without `lines`, all that is left of the invoice."""

    type: Annotated[
        str,
        Field(
            pattern="^(price_reduction|damages|correction)$",
            description="The price is lowered, harm is made good (no tax comes back), or the invoice was wrong.",
            examples=["price_reduction"],
        ),
    ]
    reason: Annotated[Reason, Field(description="What the customer reads on it.")]
    lines: Annotated[list[CreditLine], Field(min_length=1, max_length=500)] | None = None


def _document(number: str) -> queries.StoredDocument:
    try:
        return queries.document(number=number)
    except errors.UnableToFindDocumentError as fault:
        raise Problem(404, "not-there", str(fault), where="number") from fault


def _shown(row: queries.DocumentRow) -> dict[str, Any]:
    return {
        "number": row.number,
        "kind": row.kind,
        "account": row.buyer_ref,
        "period": row.period_name,
        "issued_on": row.issued_on,
        "due_on": row.due_on,
        "net": money(row.net),
        "tax": money(row.tax),
        "gross": money(row.gross),
        "credits": row.invoice,
    }


@operation(router, "GET", "", scope="invoices:read", summary="Documents, the newest first", response=Page[Document],
           refusals=[404])  # fmt: skip
def list_documents(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    limit: Limit = 50,
    cursor: Cursor = None,
    account: Annotated[str | None, Query(max_length=100, description="Only of this account.")] = None,
    period: Annotated[PeriodName | None, Query(description="Only of this period.")] = None,
    kind: Annotated[str | None, Query(pattern=f"^({_KINDS})$", description="Only of this kind.")] = None,
) -> dict[str, Any]:
    """A page of issued documents. New ones come before the first page, so that going on repeats none."""
    key = paging.after(cursor, "documents", str, int)
    try:
        before = (date.fromisoformat(key[0]), key[1]) if key else None
    except ValueError:
        raise Problem(422, "not-as-expected", "no cursor of this list", where="query.cursor") from None
    owner = account_row(account).id if account is not None else None
    rows = queries.documents_before(account=owner, period_name=period, kind=kind, before=before, limit=limit + 1)
    return paging.page(rows, limit, "documents", lambda row: (row.issued_on.isoformat(), row.id), _shown)


@operation(router, "GET", "/{number}", scope="invoices:read", summary="A document as issued", response=dict[str, Any])
def get_document(request: HttpRequest, number: Number) -> HttpResponse:  # noqa: ARG001 - ninja's signature
    """The snapshot, `coulance.document/1`: lines with their explanations, tax, totals, usage with pictures' points.

    It never changes. Links lead to its PDF and, for invoices and credit notes, its e-invoice.
    """
    stored = _document(number)
    answer = HttpResponse(json.dumps(stored.snapshot, ensure_ascii=False), content_type="application/json")
    links = [f'</api/v1/documents/{number}/pdf>; rel="alternate"; type="application/pdf"']
    if stored.row.kind != DocumentKind.USAGE_STATEMENT:
        links.append(f'</api/v1/documents/{number}/e-invoice>; rel="alternate"; type="application/xml"')
    if number.isascii() and not any(c in number for c in '<>"; ,\r\n'):
        answer["Link"] = ", ".join(links)
    return answer


@operation(router, "GET", "/{number}/explanation", scope="invoices:read", summary="Why each line is what it is",
           response=Explained)  # fmt: skip
def explain_document(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    number: Number,
    line: Annotated[int | None, Query(ge=1, le=100_000, description="Only this line.")] = None,
) -> dict[str, Any]:
    """Explanations line by line, recomputed before they are sent, as structure and as plain text."""
    snapshot = _document(number).snapshot
    lines = [one for one in snapshot["lines"] if line is None or one["no"] == line]
    if line is not None and not lines:
        raise Problem(404, "not-there", f"{number} has {len(snapshot['lines'])} lines", where="query.line")
    out = []
    for one in lines:
        explanation = Explanation.from_json(one["explanation"])
        explanation.recompute()
        out.append(
            {"line": one["no"], "net": one["net"], "explanation": one["explanation"], "text": explanation.render()}
        )
    return {"number": number, "currency": snapshot["currency"], "lines": out}


def _file(media_type: str) -> dict[str, Any]:
    said = {"description": "The file.", "content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}
    return {"responses": {200: said}}


@operation(router, "GET", "/{number}/pdf", scope="invoices:read", summary="A document as PDF/A-3", response={200: None},
           more=_file("application/pdf"))  # fmt: skip
def get_pdf(request: HttpRequest, number: Number) -> HttpResponse:  # noqa: ARG001 - ninja's signature
    """The PDF, the same bytes each time, with the explanations attached as JSON."""
    answer = HttpResponse(pdf.render(_document(number).snapshot), content_type="application/pdf")
    answer["Content-Disposition"] = f'inline; filename="{number}.pdf"'
    return answer


@operation(router, "GET", "/{number}/e-invoice", scope="invoices:read", summary="A document as e-invoice",
           response={200: None}, refusals=[409], more=_file("application/xml"))  # fmt: skip
def get_einvoice(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    number: Number,
    form: Annotated[
        str, Query(pattern="^(ubl|peppol|cii)$", description="UBL 2.1, the same as Peppol BIS 3, or CII.")
    ] = "ubl",
) -> HttpResponse:
    """EN 16931, checked by the official rules before it leaves. 409 says what a valid one lacks."""
    kind = _document(number).row.kind
    if kind == DocumentKind.USAGE_STATEMENT:
        raise Problem(409, "refused", f"{number} is a usage statement: only invoices and credit notes are e-invoices")
    try:
        made = einvoicing.einvoice_of(number=number, form=form)
    except einvoicing.UnableToMakeEInvoiceError as fault:
        raise Problem(409, "refused", str(fault)) from fault
    answer = HttpResponse(made, content_type="application/xml")
    answer["Content-Disposition"] = f'attachment; filename="{number}.xml"'
    return answer


@operation(router, "POST", "/{number}/credit-notes", scope="invoices:write", summary="Give a credit note",
           response={201: Document})  # fmt: skip
def give_credit_note(request: HttpRequest, response: HttpResponse, number: Number, given: CreditNote) -> Any:
    """Credit some lines of an invoice, or all that is left of it. Numbered and booked at once.

    Send an Idempotency-Key: the same request again then gives no second credit note.
    """
    lines = None
    if given.lines is not None:
        lines = [
            CreditRequest(one.line, amount_of(one.net, f"body.lines.{i}.net") if one.net else None)
            for i, one in enumerate(given.lines)
        ]
    try:
        made = crediting.give_credit_note(
            number=number,
            lines=lines,
            credit_type=CreditType(given.type),
            reason=given.reason,
            actor=actor_of(request),
            at=clock.now(),
        )
    except errors.UnableToFindDocumentError as fault:
        raise Problem(404, "not-there", str(fault), where="number") from fault
    except errors.UnableToCreditError as fault:
        raise Problem(409, "refused", str(fault)) from fault
    row = queries.document(number=made).row
    response["Location"] = f"/api/v1/documents/{made}"
    return Status(201, _shown(row))


@operation(router, "POST", "/{number}/debit-notes", scope="invoices:write", summary="Take a credit note back",
           response={201: Document})  # fmt: skip
def give_debit_note(request: HttpRequest, response: HttpResponse, number: Number, given: DebitNote) -> Any:
    """By a debit note that mirrors it, numbered and booked at once; 409 for one that was taken back before."""
    try:
        made = crediting.reverse_credit_note(
            number=number, reason=given.reason, actor=actor_of(request), at=clock.now()
        )
    except errors.UnableToFindDocumentError as fault:
        raise Problem(404, "not-there", str(fault), where="number") from fault
    except errors.UnableToCreditError as fault:
        raise Problem(409, "refused", str(fault)) from fault
    row = queries.document(number=made).row
    response["Location"] = f"/api/v1/documents/{made}"
    return Status(201, _shown(row))
