"""Restrictions of services' networks: what holds and whether it was done; restricting and lifting by hand."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Query, Router, Status
from pydantic import Field

from coulance.api import paging
from coulance.api.access import actor_of
from coulance.api.operation import operation
from coulance.api.paging import Cursor, Limit
from coulance.api.problems import Problem
from coulance.api.schemas import Given, Id, Page, Reason, Shown, Text
from coulance.enforcement import queries
from coulance.flows import enforcing
from coulance.platform import clock
from coulance_core.enforcement.restrictions import Action, Source

router = Router(tags=["restrictions"])

RestrictionId = Annotated[int, Path(ge=1, lt=2**63, description="The number of a restriction.", examples=[1])]


class NetworkRestriction(Shown):
    """What restricts a service's network. `confirmed_at` is when it was first seen to hold where the service is."""

    id: int
    service: str
    source: Source
    ref: str
    action: Action
    rate_bps: int | None
    address: str
    observe: bool
    reason: str
    placed_at: datetime
    placed_by: str
    confirmed_at: datetime | None
    lifted_at: datetime | None
    lifted_by: str


class RestrictionGiven(Given):
    """A restriction to place. A throttle has a rate in bits a second, a blackhole one address of the service."""

    service: Id
    action: Annotated[str, Field(pattern="^(pause|throttle|blackhole)$", examples=["pause"])]
    reason: Reason
    source: Annotated[str, Field(pattern="^(security|customer|order)$")] = "security"
    ref: Annotated[Text, Field(max_length=200, description="What caused it: the same cause restricts once.")] = ""
    rate_bps: Annotated[int, Field(gt=0, lt=10**13)] | None = None
    address: Annotated[Text, Field(max_length=45, examples=["192.0.2.7"])] = ""
    observe: bool = False


class LiftGiven(Given):
    """Why it is lifted."""

    reason: Reason


def _shown(row: queries.RestrictionRow) -> dict[str, Any]:
    one = row.restriction
    return {
        "id": row.id,
        "service": row.service_name,
        "source": one.source,
        "ref": one.ref,
        "action": one.action,
        "rate_bps": one.rate_bps,
        "address": one.address,
        "observe": one.observe,
        "reason": row.reason,
        "placed_at": one.placed_at,
        "placed_by": row.placed_by,
        "confirmed_at": row.confirmed_at,
        "lifted_at": one.lifted_at,
        "lifted_by": row.lifted_by,
    }


def _row(restriction: int) -> queries.RestrictionRow:
    found = queries.restriction(restriction)
    if found is None:
        raise Problem(404, "not-there", f"there is no restriction {restriction}")
    return found


@operation(router, "GET", "", scope="enforce:read", summary="Restrictions, the newest first",
           response=Page[NetworkRestriction], refusals=[404])  # fmt: skip
def list_restrictions(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    limit: Limit = 50,
    cursor: Cursor = None,
    service: Annotated[str | None, Query(max_length=100, description="Only of this service.")] = None,
    lifted: Annotated[bool, Query(description="Those that were lifted too.")] = False,
) -> dict[str, Any]:
    """A page of what holds."""
    key = paging.after(cursor, "restrictions", int)
    try:
        ids = None if service is None else [enforcing.service_id(service)]
    except enforcing.UnableToEnforceError as fault:
        raise Problem(404, "not-there", str(fault)) from fault
    rows = queries.restrictions(services=ids, open_only=not lifted, before=key[0] if key else None, limit=limit + 1)
    return paging.page(rows, limit, "restrictions", lambda row: (row.id,), _shown)


@operation(router, "POST", "", scope="enforce:write", summary="Restrict a service's network",
           response={200: NetworkRestriction, 201: NetworkRestriction}, refusals=[404])  # fmt: skip
def place_restriction(request: HttpRequest, given: RestrictionGiven) -> Any:
    """It is executed within a second of the answer (201); the same cause again is the one that is there (200)."""
    try:
        enforcing.service_id(given.service)
    except enforcing.UnableToEnforceError as fault:
        raise Problem(404, "not-there", str(fault), where="body.service") from fault
    try:
        done = enforcing.restrict(
            service=given.service,
            action=Action(given.action),
            reason=given.reason,
            source=Source(given.source),
            ref=given.ref,
            rate_bps=given.rate_bps,
            address=given.address,
            observe=given.observe,
            actor=actor_of(request),
            at=clock.now(),
        )
    except enforcing.UnableToEnforceError as fault:
        raise Problem(422, "not-as-expected", str(fault), where="body") from fault
    return Status(201 if done.new else 200, _shown(_row(done.restriction)))


@operation(router, "GET", "/{restriction}", scope="enforce:read", summary="A restriction",
           response=NetworkRestriction)  # fmt: skip
def get_restriction(request: HttpRequest, restriction: RestrictionId) -> dict[str, Any]:  # noqa: ARG001
    """The restriction as it stands."""
    return _shown(_row(restriction))


@operation(router, "POST", "/{restriction}/lift", scope="enforce:write", summary="Lift a restriction",
           response=NetworkRestriction)  # fmt: skip
def lift_restriction(request: HttpRequest, restriction: RestrictionId, given: LiftGiven) -> dict[str, Any]:
    """Only what was placed by hand: a limit pause ends by its customer, and a debt's by being paid."""
    _row(restriction)
    try:
        enforcing.release(restriction=restriction, reason=given.reason, actor=actor_of(request), at=clock.now())
    except enforcing.UnableToEnforceError as fault:
        raise Problem(409, "refused", str(fault)) from fault
    return _shown(_row(restriction))
