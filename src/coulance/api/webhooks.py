"""Webhook endpoints: kept, tested, given new secrets, replayed; and what became of deliveries."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router, Status
from pydantic import Field

from coulance.api import paging
from coulance.api.access import actor_of
from coulance.api.operation import operation
from coulance.api.paging import Cursor, Limit
from coulance.api.problems import Problem
from coulance.api.schemas import Given, Instant, Page, Reason, Shown, Text, etag, judge_match
from coulance.platform import clock, webhook_endpoints, webhooks
from coulance.platform.webhook_endpoints import (
    EndpointChangedError,
    UnableToFindEndpointError,
    UnableToKeepEndpointError,
)

router = Router(tags=["webhooks"])

EndpointId = Annotated[str, Path(description="Its id.", pattern="^ep_[0-9a-f]{10}$", examples=["ep_0123456789"])]
_URL = Field(min_length=8, max_length=2000, examples=["https://example.org/hooks"])
_EVENTS = Field(
    max_length=50,
    description="Names of events, or `invoice.*`; empty: all.",
    examples=[["invoice.issued", "payment.*"]],
)
_EVENT = Annotated[str, Field(pattern=r"^[a-z_]+\.([a-z_]+|\*)$", max_length=60)]


class Endpoint(Shown):
    """Where events are sent."""

    id: str
    url: str
    description: str
    events: list[str]
    state: Annotated[str, Field(pattern="^(enabled|failing|disabled)$")]
    made_at: datetime
    made_by: str
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_why: str
    old_secret_until: Annotated[datetime | None, Field(description="Requests are signed with the old secret too.")]


class EndpointWithSecret(Endpoint):
    """An endpoint, and the secret to check signatures with. It is shown this once."""

    secret: Annotated[str, Field(examples=["whsec_c2VjcmV0"])]


class EndpointGiven(Given):
    """An endpoint to add."""

    url: Annotated[str, _URL]
    events: Annotated[list[_EVENT], _EVENTS] = []
    description: Annotated[Text, Field(max_length=200)] = ""


class EndpointChange(Given):
    """What to change of an endpoint. Enabled again, it gets what waits for it."""

    url: Annotated[str, _URL] | None = None
    events: Annotated[list[_EVENT], _EVENTS] | None = None
    description: Annotated[Text, Field(max_length=200)] | None = None
    enabled: bool | None = None
    reason: Reason | None = None


class Rotation(Given):
    """For how many hours requests are signed with the old secret too."""

    overlap_hours: Annotated[int, Field(ge=0, le=720)] = 24


class Replay(Given):
    """One event, or those of [since, until); with `only_failed` just what was given up."""

    event: Annotated[str, Field(pattern="^evt_[0-9a-f]{24}$")] | None = None
    since: Instant | None = None
    until: Instant | None = None
    only_failed: bool = False
    reason: Reason | None = None


class Replayed(Shown):
    """How many events are on their way again."""

    events: int


class Sent(Shown):
    """The event that was sent."""

    event: str


class Delivery(Shown):
    """An event on its way to an endpoint. `failed` is given up; a replay sends it again."""

    endpoint: str
    event_id: str
    event: str
    at: datetime
    state: Annotated[str, Field(pattern="^(waiting|delivered|failed)$")]
    attempts: int
    next_try: datetime | None
    last_try: datetime | None
    last_status: int | None
    last_fault: str
    delivered_at: datetime | None


class EventKind(Shown):
    """A kind of event."""

    event: str
    tells: str


def _shown(one: webhook_endpoints.Endpoint) -> dict[str, Any]:
    return {
        "id": one.key,
        "url": one.url,
        "description": one.description,
        "events": list(one.events),
        "state": one.state,
        "made_at": one.made_at,
        "made_by": one.made_by,
        "failing_since": one.failing_since,
        "disabled_at": one.disabled_at,
        "disabled_why": one.disabled_why,
        "old_secret_until": one.old_secret_until,
    }


def _etag(one: webhook_endpoints.Endpoint) -> str:
    return etag([one.key, one.version])


def _problem(fault: Exception) -> Problem:
    if isinstance(fault, UnableToFindEndpointError):
        return Problem(404, "not-there", str(fault))
    if isinstance(fault, EndpointChangedError):
        return Problem(412, "changed-since", str(fault), where="header.If-Match")
    where = fault.field if isinstance(fault, UnableToKeepEndpointError) else ""
    if where == "endpoint":
        return Problem(409, "refused", str(fault))
    return Problem(422, "not-as-expected", str(fault), where=f"body.{where}")


_FAULTS = (UnableToFindEndpointError, EndpointChangedError, UnableToKeepEndpointError)


def _endpoint(key: str) -> webhook_endpoints.Endpoint:
    try:
        return webhook_endpoints.endpoint(key)
    except UnableToFindEndpointError as fault:
        raise _problem(fault) from fault


@operation(router, "GET", "/events", scope="webhooks:read", summary="Kinds of events", response=list[EventKind])
def list_event_kinds(request: HttpRequest) -> list[dict[str, str]]:  # noqa: ARG001 - ninja's signature
    """Every event there is, and what it tells."""
    return [{"event": name, "tells": tells} for name, tells in webhooks.EVENTS.items()]


@operation(router, "GET", "/endpoints", scope="webhooks:read", summary="Endpoints", response=list[Endpoint])
def list_endpoints(request: HttpRequest) -> list[dict[str, Any]]:  # noqa: ARG001 - ninja's signature
    """Every endpoint, the oldest first; there are at most fifty."""
    return [_shown(one) for one in webhook_endpoints.endpoints()]


@operation(router, "POST", "/endpoints", scope="webhooks:write", summary="Add an endpoint",
           response={201: EndpointWithSecret},
           more={"responses": {201: {"links": {"endpoint": {
               "operationId": "get_endpoint", "parameters": {"endpoint": "$response.body#/id"}}}}}})  # fmt: skip
def add_endpoint(request: HttpRequest, response: HttpResponse, given: EndpointGiven) -> Any:
    """The answer has its secret, this once. The URL is https and public, unless the provider allows its network."""
    try:
        made, secret = webhook_endpoints.add_endpoint(
            url=given.url, events=given.events, description=given.description, actor=actor_of(request), at=clock.now()
        )
    except UnableToKeepEndpointError as fault:
        raise _problem(fault) from fault
    response["Location"] = f"/api/v1/webhooks/endpoints/{made.key}"
    response["ETag"] = _etag(made)
    return Status(201, {**_shown(made), "secret": secret})


@operation(router, "GET", "/endpoints/{endpoint}", scope="webhooks:read", summary="An endpoint", response=Endpoint)
def get_endpoint(request: HttpRequest, response: HttpResponse, endpoint: EndpointId) -> dict[str, Any]:  # noqa: ARG001
    """The endpoint, with an ETag for If-Match."""
    found = _endpoint(endpoint)
    response["ETag"] = _etag(found)
    return _shown(found)


@operation(router, "PATCH", "/endpoints/{endpoint}", scope="webhooks:write", summary="Change an endpoint",
           response=Endpoint, match=True)  # fmt: skip
def change_endpoint(
    request: HttpRequest, response: HttpResponse, endpoint: EndpointId, given: EndpointChange
) -> dict[str, Any]:
    """Change what is given."""
    found = _endpoint(endpoint)
    judge_match(request, _etag(found))
    changes = given.model_dump(exclude_none=True)
    try:
        changed = webhook_endpoints.change_endpoint(
            key=endpoint, version=found.version, actor=actor_of(request), at=clock.now(), **changes
        )
    except _FAULTS as fault:
        raise _problem(fault) from fault
    response["ETag"] = _etag(changed)
    return _shown(changed)


@operation(router, "DELETE", "/endpoints/{endpoint}", scope="webhooks:write", summary="Remove an endpoint",
           response={204: None}, match=True)  # fmt: skip
def remove_endpoint(request: HttpRequest, endpoint: EndpointId) -> Any:
    """Remove it, and what waits for it."""
    found = _endpoint(endpoint)
    judge_match(request, _etag(found))
    try:
        webhook_endpoints.remove_endpoint(key=endpoint, version=found.version, actor=actor_of(request), at=clock.now())
    except _FAULTS as fault:
        raise _problem(fault) from fault
    return Status(204, None)


@operation(router, "POST", "/endpoints/{endpoint}/rotate", scope="webhooks:write", summary="Give a new secret",
           response=EndpointWithSecret)  # fmt: skip
def rotate_secret(
    request: HttpRequest, response: HttpResponse, endpoint: EndpointId, given: Rotation
) -> dict[str, Any]:
    """The answer has the new secret, this once. Until the overlap has passed, requests carry both signatures."""
    try:
        changed, secret = webhook_endpoints.rotate_secret(
            key=endpoint, actor=actor_of(request), at=clock.now(), overlap=timedelta(hours=given.overlap_hours)
        )
    except _FAULTS as fault:
        raise _problem(fault) from fault
    response["ETag"] = _etag(changed)
    return {**_shown(changed), "secret": secret}


@operation(router, "POST", "/endpoints/{endpoint}/test", scope="webhooks:write", summary="Send a test event",
           response={202: Sent})  # fmt: skip
def test_endpoint(request: HttpRequest, endpoint: EndpointId) -> Any:
    """An `endpoint.test` event goes to this endpoint alone; see its deliveries for what came of it."""
    try:
        key = webhook_endpoints.send_test(key=endpoint, actor=actor_of(request), at=clock.now())
    except _FAULTS as fault:
        raise _problem(fault) from fault
    return Status(202, {"event": key})


@operation(router, "POST", "/endpoints/{endpoint}/replay", scope="webhooks:write", summary="Send events again",
           response={202: Replayed})  # fmt: skip
def replay_events(request: HttpRequest, endpoint: EndpointId, given: Replay) -> Any:
    """Delivered ones too. They keep their ids. Events are kept for 30 days."""
    if (given.event is None) == (given.since is None):
        raise Problem(422, "not-as-expected", "give event, or since (and until)", where="body")
    try:
        count = webhook_endpoints.replay(
            key=endpoint,
            actor=actor_of(request),
            at=clock.now(),
            event_id=given.event,
            since=given.since,
            until=given.until,
            only_failed=given.only_failed,
            reason=given.reason or "",
        )
    except _FAULTS as fault:
        raise _problem(fault) from fault
    return Status(202, {"events": count})


@operation(router, "GET", "/deliveries", scope="webhooks:read", summary="Deliveries, the newest first",
           response=Page[Delivery])  # fmt: skip
def list_deliveries(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    limit: Limit = 50,
    cursor: Cursor = None,
    endpoint: Annotated[str | None, Query(max_length=20, description="Only to this endpoint.")] = None,
    state: Annotated[
        str | None, Query(pattern="^(waiting|delivered|failed)$", description="Only in this state.")
    ] = None,
) -> dict[str, Any]:
    """What was sent, what waits and until when, and what went wrong the last time."""
    key = paging.after(cursor, "deliveries", int)
    rows = webhook_endpoints.deliveries(key=endpoint, state=state, before=key[0] if key else None, limit=limit + 1)
    return paging.page(
        rows,
        limit,
        "deliveries",
        lambda row: (row.id,),
        lambda row: {name: getattr(row, name) for name in Delivery.model_fields},
    )
