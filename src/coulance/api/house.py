"""What a token is and may do, and the audit log."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router
from pydantic import Field

from coulance.api import paging
from coulance.api.access import token_of
from coulance.api.operation import operation
from coulance.api.paging import Cursor, Limit
from coulance.api.schemas import Page, Shown
from coulance.platform import audit

token = Router(tags=["tokens"])
log = Router(tags=["audit"])


class TokenShown(Shown):
    """The token that asked, without its secret."""

    name: str
    prefix: str
    actor: Annotated[str, Field(description="How the audit log names it.")]
    scopes: list[str]
    made_at: datetime
    expires_at: datetime | None


class AuditEvent(Shown):
    """Who did what to what, when and why."""

    at: datetime
    actor: str
    act: str
    subject: str
    reason: str
    detail: dict[str, Any]


@operation(token, "GET", "", scope=None, summary="This token, and what it may do", response=TokenShown)
def get_token(request: HttpRequest) -> dict[str, Any]:
    """For a program to see what it was given. Every valid token may ask."""
    one = token_of(request)
    return {
        "name": one.name,
        "prefix": one.prefix,
        "actor": one.actor,
        "scopes": list(one.scopes),
        "made_at": one.made_at,
        "expires_at": one.expires_at,
    }


@operation(
    log, "GET", "", scope="audit:read", summary="The audit log, the newest record first", response=Page[AuditEvent]
)
def list_audit(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    limit: Limit = 50,
    cursor: Cursor = None,
    subject: Annotated[str | None, Query(max_length=200, description="Only of this: account:1001.")] = None,
    act: Annotated[str | None, Query(max_length=60, description="Only this act: invoice.credited.")] = None,
    actor: Annotated[str | None, Query(max_length=200, description="Only by them: token:0123456789.")] = None,
) -> dict[str, Any]:
    """A page of events. It is append-only: the database refuses to change or remove one."""
    key = paging.after(cursor, "audit", int)
    rows = audit.page(subject=subject, act=act, actor=actor, before=key[0] if key else None, limit=limit + 1)
    return paging.page(
        rows,
        limit,
        "audit",
        lambda row: (row[0],),
        lambda row: {name: getattr(row[1], name) for name in AuditEvent.model_fields},
    )
