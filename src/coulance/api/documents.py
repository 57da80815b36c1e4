"""Documents over HTTP: as issued, with the explanation of every line, and as PDF. Read only."""

from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from coulance.api.app import NeedsScope, Problem
from coulance.customers import queries as customers
from coulance.invoicing import pdf, queries
from coulance.invoicing.operations import UnableToFindDocumentError
from coulance_core.kernel import Explanation

router = Router(tags=["documents"])
_MOST = 500


def _document(number: str) -> queries.StoredDocument:
    try:
        return queries.document(number=number)
    except UnableToFindDocumentError as fault:
        raise Problem(404, "No such document", str(fault)) from fault


@router.get("", auth=NeedsScope("invoices:read"), summary="Documents, newest first", response=dict[str, Any])
def list_documents(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    account: str | None = None,
    period: str | None = None,
    kind: str | None = None,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> dict[str, Any]:
    """Issued documents of an account (its external id), a period (2026-10) or a kind; all of them without."""
    owner: int | None = None
    if account is not None:
        try:
            owner = customers.account(account).id
        except customers.UnableToFindAccountError as fault:
            raise Problem(404, "No such account", str(fault), where="account") from fault
    rows = queries.documents(
        account=owner, period_name=period, kind=kind, state="issued", limit=limit + 1, offset=offset
    )
    return {
        "documents": [
            {
                "number": row.number,
                "kind": row.kind,
                "account": row.buyer_ref,
                "period": row.period_name,
                "issued_on": row.issued_on.isoformat(),
                "due_on": row.due_on.isoformat(),
                "currency": row.net.currency,
                "net": row.net.decimal(),
                "tax": row.tax.decimal(),
                "gross": row.gross.decimal(),
                "credits": row.invoice,
            }
            for row in rows[:limit]
        ],
        "next_offset": offset + limit if len(rows) > limit else None,
    }


@router.get("/{number}", auth=NeedsScope("invoices:read"), summary="A document as issued", response=dict[str, Any])
def get_document(request: HttpRequest, number: str) -> dict[str, Any]:  # noqa: ARG001 - ninja's signature
    """The snapshot, `coulance.document/1`: lines with their explanations, tax, totals, usage with pictures' points."""
    return _document(number).snapshot


@router.get(
    "/{number}/explanation",
    auth=NeedsScope("invoices:read"),
    summary="Why each line is what it is",
    response=dict[str, Any],
)
def explain_document(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    number: str,
    line: int | None = None,
) -> dict[str, Any]:
    """Explanations line by line, recomputed before they are sent, as structure and as plain text."""
    snapshot = _document(number).snapshot
    lines = [one for one in snapshot["lines"] if line is None or one["no"] == line]
    if line is not None and not lines:
        raise Problem(404, "No such line", f"{number} has {len(snapshot['lines'])} lines", where="line")
    out = []
    for one in lines:
        explanation = Explanation.from_json(one["explanation"])
        explanation.recompute()
        out.append(
            {"line": one["no"], "net": one["net"], "explanation": one["explanation"], "text": explanation.render()}
        )
    return {"number": number, "currency": snapshot["currency"], "lines": out}


@router.get("/{number}/pdf", auth=NeedsScope("invoices:read"), summary="A document as PDF/A-3", response={200: bytes})
def get_pdf(request: HttpRequest, number: str) -> HttpResponse:  # noqa: ARG001 - ninja's signature
    """The PDF, the same bytes each time, with the explanations attached as JSON."""
    answer = HttpResponse(pdf.render(_document(number).snapshot), content_type="application/pdf")
    answer["Content-Disposition"] = f'inline; filename="{number}.pdf"'
    return answer
