"""Uptime: what probe agents are to look at and saw, what other monitoring saw, and what it came to."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Body, Query, Router
from pydantic import Field

from coulance.api.access import actor_of, token_of
from coulance.api.accounts import account_row
from coulance.api.operation import operation
from coulance.api.problems import Problem
from coulance.api.schemas import Given, Instant, Money, Shown, Text, money
from coulance.flows.promises import intake, wording
from coulance.integrations.uptime import reading
from coulance.integrations.uptime.reading import Seen, UnableToReadUptimeError
from coulance.platform import clock
from coulance.services import queries as services
from coulance.sla import looks
from coulance.sla import queries as sla
from coulance.sla.errors import UnableToFindCheckError, UnableToTakeLooksError

probe = Router(tags=["uptime"])
router = Router(tags=["uptime"])

Name = Annotated[Text, Field(min_length=1, max_length=500, pattern=r"\S")]
Source = Annotated[str, Query(pattern="^[a-z0-9_-]{1,40}$", description="Which of several, such as main.")]


class CheckShown(Shown):
    """What an agent is to look at."""

    id: int
    kind: str
    target: str
    every_s: int
    timeout_s: int
    expect: dict[str, Any]


class Checks(Shown):
    """All that this agent is to look at."""

    checks: list[CheckShown]


class LooksGiven(Given):
    """Looks of a probe agent: rows of number, check, instant (microseconds since 1970), up, milliseconds, why."""

    sent_at: Annotated[int, Field(ge=0, lt=2**52, description="The agent's clock, in microseconds since 1970.")]
    lost: Annotated[int, Field(ge=0, lt=2**53, description="Looks that it had to drop, in all.")] = 0
    looks: Annotated[list[Annotated[list[Any], Field(min_length=4, max_length=6)]], Field(max_length=5_000)]


class LooksTaken(Shown):
    """What became of them."""

    accepted: int
    doubles: int
    unknown: int


class Brought(Shown):
    """What became of what a source sent; `unknown` are names that no check here has."""

    accepted: int
    doubles: int
    unknown: list[str]


class LookGiven(Given):
    """What was seen of something, by the sender's name for it."""

    name: Name
    at: Instant
    up: bool


class SeenGiven(Given):
    """What a source saw."""

    looks: Annotated[list[LookGiven], Field(max_length=20_000)]


class SlotGiven(Given):
    """What was counted of something, by the sender's name for it, in the slot that begins at an instant."""

    name: Name
    at: Instant
    requests: Annotated[int, Field(ge=0, lt=2**53)]
    errors: Annotated[int, Field(ge=0, lt=2**53)]


class SlotsGiven(Given):
    """What a source counted."""

    slots: Annotated[list[SlotGiven], Field(max_length=20_000)]


class OutageShown(Shown):
    """An outage that counts."""

    since: datetime
    until: datetime
    by: str


class Period(Shown):
    """What a service's period came to; `so_far`: it isn't over, and this is what is owed already."""

    service: str
    period: str
    terms: str
    availability_percent: str
    downtime_s: int
    unknown_s: int
    credited: Money
    so_far: bool
    outages: list[OutageShown]


class Periods(Shown):
    """The newest measure of each period."""

    items: list[Period]


@operation(probe, "GET", "/checks", scope="probe", summary="What this agent is to look at",
           response=Checks, refusals=[409])  # fmt: skip
def get_probe_checks(request: HttpRequest) -> dict[str, Any]:
    """By the agent that the token was made for."""
    rows = sla.checks_for(_agent(request))
    names = ("id", "kind", "target", "every_s", "timeout_s", "expect")
    return {"checks": [{name: getattr(row, name) for name in names} for row in rows]}


@operation(probe, "POST", "/looks", scope="probe", summary="Hand over what this agent saw",
           response=LooksTaken, refusals=[409], keyed=False)  # fmt: skip
def post_probe_looks(request: HttpRequest, given: LooksGiven) -> dict[str, int]:
    """Looks are numbered: handed over again they are doubles, and change nothing."""
    _agent(request)
    try:
        taken = looks.take(
            agent=token_of(request).prefix, looks=given.looks, sent_at=given.sent_at, lost=given.lost, at=clock.now()
        )
    except UnableToTakeLooksError as error:
        raise Problem(422, "not-as-expected", str(error), where="looks") from error
    return {"accepted": taken.accepted, "doubles": taken.doubles, "unknown": taken.unknown}


def _agent(request: HttpRequest) -> str:
    name = sla.agent_of(token_of(request).prefix)
    if name is None:
        raise Problem(409, "no-agent", "this token is no agent's; make one with: coulance sla agent add NAME")
    return name


@operation(router, "POST", "/looks", scope="uptime:write", summary="Send what other monitoring saw",
           response=Brought)  # fmt: skip
def post_uptime_looks(request: HttpRequest, given: SeenGiven, source: Source = "main") -> dict[str, Any]:
    """Names are those of checks of kind `outside` (coulance sla check add --kind outside)."""
    return _bring(request, f"api:{source}", [Seen(one.name, one.at, one.up) for one in given.looks])


@operation(router, "POST", "/requests", scope="uptime:write", summary="Send requests and errors that were counted",
           response=Brought)  # fmt: skip
def post_uptime_requests(request: HttpRequest, given: SlotsGiven, source: Source = "main") -> dict[str, Any]:
    """Names are those of checks of kind `requests`, whose slots begin every so many seconds from midnight UTC. The same
    slot again changes nothing; of several counts of it the fullest counts."""
    rows = [(one.name, one.at, one.requests, one.errors) for one in given.slots]
    try:
        done = intake.bring_counts(source=f"api:{source}", counted=rows, at=clock.now(), actor=actor_of(request))
    except UnableToTakeLooksError as error:
        raise Problem(422, "not-as-expected", str(error), where="slots") from error
    return {"accepted": done.accepted, "doubles": done.doubles, "unknown": list(done.unknown)}


@operation(router, "POST", "/kuma", scope="uptime:write", summary="A webhook of Uptime Kuma", response=Brought)
def post_uptime_kuma(request: HttpRequest, given: Body[dict[str, Any]], source: Source = "main") -> dict[str, Any]:
    """Set it up in Kuma with the header `Authorization: Bearer <token>` and the preset body."""
    return _bring(request, f"kuma:{source}", _read(reading.kuma, given))


@operation(router, "POST", "/pingdom", scope="uptime:write", summary="A webhook of Pingdom, or one like it",
           response=Brought)  # fmt: skip
def post_uptime_pingdom(request: HttpRequest, given: Body[dict[str, Any]], source: Source = "main") -> dict[str, Any]:
    """States that are not sure (`UNCONFIRMED_DOWN`, `PAUSED`) say nothing."""
    return _bring(request, f"pingdom:{source}", _read(reading.pingdom, given))


def _read(reader: Any, body: dict[str, Any]) -> list[Seen]:
    try:
        found: list[Seen] = reader(body)
    except UnableToReadUptimeError as error:
        raise Problem(422, "not-as-expected", str(error), where="body") from error
    return found


def _bring(request: HttpRequest, source: str, seen: list[Seen]) -> dict[str, Any]:
    try:
        done = intake.bring(source=source, seen=seen, at=clock.now(), actor=actor_of(request))
    except (UnableToTakeLooksError, UnableToFindCheckError) as error:
        raise Problem(422, "not-as-expected", str(error), where="looks") from error
    return {"accepted": done.accepted, "doubles": done.doubles, "unknown": list(done.unknown)}


@operation(router, "GET", "/periods", scope="uptime:read", summary="What services' periods came to, the newest first",
           response=Periods, refusals=[404])  # fmt: skip
def list_uptime(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    account: Annotated[str | None, Query(max_length=100, description="Only of this account.")] = None,
    period: Annotated[str | None, Query(pattern=r"^\d{4}-\d\d$", description="Only of this month.")] = None,
) -> dict[str, Any]:
    """The last measure of each service's period, at most a thousand."""
    rows = sla.measures(account=None if account is None else account_row(account).id, period_name=period)
    names = {row.id: row.external_id for row in services.services({row.service for row in rows})}
    return {
        "items": [
            {
                "service": names[row.service],
                "period": row.period_name,
                "terms": row.terms_version,
                "availability_percent": wording.percent(row.availability),
                "downtime_s": row.downtime // 1_000_000,
                "unknown_s": row.unknown // 1_000_000,
                "credited": money(row.amount),
                "so_far": row.so_far,
                "outages": [dict(one) for one in row.outages],
            }
            for row in rows
        ]
    }
