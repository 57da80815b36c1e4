"""Overage invoices that wait for their customer's choice: what waits and why, what was settled, issuing one now."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Query, Router
from pydantic import Field

from coulance.api import paging
from coulance.api.access import actor_of
from coulance.api.operation import operation
from coulance.api.paging import Cursor, Limit
from coulance.api.problems import Problem
from coulance.api.schemas import Given, Money, Page, Reason, Shown, money
from coulance.customers import queries as customers
from coulance.flows.settling_first import settling
from coulance.invoicing import holding
from coulance.invoicing.holding import HeldRow
from coulance.platform import clock

router = Router(tags=["waiting invoices"])

DocumentId = Annotated[int, Path(ge=1, lt=2**63, description="The id of a draft that waits.", examples=[17])]


class WaitingInvoice(Shown):
    """An overage invoice that waits, or waited: `asked` people by mail, and silence issues it at `until`."""

    document: int
    account: str
    period: str
    gross: Money
    why: str
    held_at: datetime
    asked: int
    until: datetime | None
    settled_at: datetime | None
    way: Annotated[str, Field(description="How it was settled: pay, silence, released, plan:..., or another way.")]
    settled_by: str
    reason: str
    issued: Annotated[list[str], Field(description="Numbers of what came of it.")]


class ReleaseGiven(Given):
    """Why it doesn't wait for the customer."""

    reason: Reason


def _shown(row: HeldRow, name: str) -> dict[str, Any]:
    return {
        "document": row.document,
        "account": name,
        "period": row.period_name,
        "gross": money(row.gross),
        "why": row.why,
        "held_at": row.held_at,
        "asked": row.told,
        "until": row.until,
        "settled_at": row.ended_at,
        "way": row.way,
        "settled_by": row.ended_by,
        "reason": row.reason,
        "issued": list(row.made),
    }


@operation(router, "GET", "", scope="invoices:read", summary="Invoices that wait for their customer",
           response=Page[WaitingInvoice])  # fmt: skip
def list_waiting(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    limit: Limit = 50,
    cursor: Cursor = None,
    settled: Annotated[bool, Query(description="Those that were settled too.")] = False,
) -> dict[str, Any]:
    """A page of them, the latest made first."""
    key = paging.after(cursor, "waiting", int)
    rows = holding.newest_held(before=key[0] if key else None, ended=settled, limit=limit + 1)
    names = {row.id: row.external_id for row in customers.accounts({row.account for row in rows})} if rows else {}
    return paging.page(rows, limit, "waiting", lambda row: (row.document,), lambda row: _shown(row, names[row.account]))


@operation(router, "POST", "/{document}/release", scope="invoices:write", summary="Issue one without waiting",
           response=WaitingInvoice)  # fmt: skip
def release(request: HttpRequest, document: DocumentId, given: ReleaseGiven) -> dict[str, Any]:
    """It is numbered and booked at once, as if nobody had chosen in time."""
    if not holding.held(document=document, ended=None):
        raise Problem(404, "not-there", f"document {document} does not wait for anybody")
    try:
        settling.release(document=document, reason=given.reason, actor=actor_of(request), at=clock.now())
    except settling.UnableToReleaseError as fault:
        raise Problem(409, "refused", str(fault)) from fault
    (row,) = holding.held(document=document, ended=None)
    (account,) = customers.accounts([row.account])
    return _shown(row, account.external_id)
