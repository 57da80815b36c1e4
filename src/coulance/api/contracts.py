"""Service contracts and tickets: hours and what paid for them, work, leave, tickets, events and clocks."""

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
from coulance.api.schemas import Day, Given, Instant, Money, Page, Shown, Text, money
from coulance.contracts import queries, tickets, working
from coulance.contracts.errors import ContractsError, UnableToFindContractError, UnableToFindTicketError
from coulance.contracts.hours import hours
from coulance.contracts.queries import ContractRow
from coulance.contracts.ticketing import NewEvent
from coulance.contracts.working import NewWork
from coulance.customers import queries as customers
from coulance.customers.queries import UnableToFindAccountError
from coulance.flows.contracts import asking
from coulance.flows.contracts.ticketing import Incoming, receive
from coulance.platform import clock
from coulance_core.contracts.hours import From
from coulance_core.contracts.terms import Kind, Work
from coulance_core.sla.clocks import EventKind, State
from coulance_core.sla.intervals import instant, micros
from coulance_core.sla.responses import Promise

of_contract = Router(tags=["contracts"])
of_ticket = Router(tags=["tickets"])

Key = Annotated[str, Path(max_length=100, pattern=r"^[!-~]+$", description="The contract's key.", examples=["care-1"])]
TicketId = Annotated[int, Path(ge=1, lt=2**63, description="The number of a ticket here.", examples=[1])]
Words = Annotated[Text, Field(min_length=1, max_length=2000, pattern=r"\S")]
Named = Annotated[Text, Field(min_length=1, max_length=100, pattern=r"\S")]


class Contract(Shown):
    """A contract. `left` is the seconds that can still be drawn; none where nothing is drawn."""

    key: str
    account: str
    kind: Kind
    terms: str
    starts_on: Day
    ends_on: Day | None
    price: Money
    seats: int
    left: int | None


class Paid(Shown):
    """So many seconds of an entry, and what paid for them."""

    by: From
    source: str
    seconds: int


class WorkDone(Shown):
    """Work as it counts now; `revision` above 1 was corrected."""

    key: str
    began_at: datetime
    seconds: int
    work: Work
    free: bool
    who: str
    text: str
    ticket: str
    revision: int
    paid: list[Paid]


class WorkGiven(Given):
    """Work to write down; `key` names it once. A correction of one that is there wants a `reason` beside."""

    key: Annotated[Text, Field(min_length=1, max_length=200, pattern=r"\S", examples=["desk-4711"])]
    began_at: Instant
    seconds: Annotated[int, Field(ge=0, le=working.LONGEST)]
    who: Named
    work: Work = Field(default=Work.CORRECTIVE, strict=False)
    free: bool = False
    text: Annotated[Text, Field(max_length=2000)] = ""
    ticket: Annotated[Text, Field(max_length=140)] = ""


class WorkList(Given):
    """Work to write down: all of it, or none."""

    work: Annotated[list[WorkGiven], Field(min_length=1, max_length=1000)]
    reason: Annotated[Text, Field(max_length=500, description="Why, where entries are corrected.")] = ""


class Written(Shown):
    """How many entries are new, corrected, and were there already."""

    new: int
    corrected: int
    known: int


class LeaveGiven(Given):
    """Leave to ask the customer for: so much work at the contract's rate."""

    seconds: Annotated[int, Field(ge=60, le=working.LONGEST)]
    text: Words


class Leave(Shown):
    """Leave that was asked for; `approved` is null while it waits. It counts from `answered_at` on."""

    key: str
    seconds: int
    rate: Money
    text: str
    until: datetime
    approved: bool | None
    answered_at: datetime | None


class Clock(Shown):
    """A promise on a ticket. `spent` is the open time that counted, in seconds."""

    promise: Promise
    cycle: int
    priority: str
    due_at: datetime
    done_at: datetime | None
    spent: int
    state: State


class Event(Shown):
    """What happened to a ticket."""

    at: datetime
    kind: EventKind
    priority: str


class Ticket(Shown):
    """A ticket, its history, and its clocks as they stand."""

    id: int
    source: str
    number: str
    account: str
    contract: str | None
    subject: str
    opened_at: datetime
    open: bool
    events: list[Event]
    clocks: list[Clock]


class EventGiven(Given):
    """What happened to a ticket; `key` names it once within it."""

    key: Annotated[Text, Field(min_length=1, max_length=200, pattern=r"\S", examples=["article-9"])]
    at: Instant
    kind: EventKind = Field(strict=False)
    priority: Annotated[Text, Field(max_length=40)] = ""


class TicketGiven(Given):
    """A ticket, or more of one that is there: whose it is by contract, account, or the sender's address."""

    source: Annotated[Text, Field(min_length=1, max_length=40, pattern=r"\S", examples=["desk"])]
    number: Named
    subject: Annotated[Text, Field(max_length=300)] = ""
    opened_at: Instant | None = None
    priority: Annotated[Text, Field(max_length=40)] = ""
    contract: Annotated[Text, Field(max_length=100)] = ""
    account: Annotated[Text, Field(max_length=100)] = ""
    email: Annotated[Text, Field(max_length=200)] = ""
    events: Annotated[list[EventGiven], Field(max_length=1000)] = []


def _account(number: int) -> str:
    return customers.accounts([number])[0].external_id


def _contract(key: str) -> ContractRow:
    try:
        return queries.contract(key)
    except UnableToFindContractError as fault:
        raise Problem(404, "not-there", str(fault)) from fault


def _shown(row: ContractRow) -> dict[str, Any]:
    at = clock.now()
    day = max(row.day_of(at), row.starts_on)
    return {
        "key": row.key,
        "account": _account(row.account),
        "kind": row.kind,
        "terms": row.version,
        "starts_on": row.starts_on,
        "ends_on": row.ends_on,
        "price": money(row.price_on(day)),
        "seats": row.seats_on(day),
        "left": hours(row, queries.facts([row.id])[row.id], at).left,
    }


@operation(of_contract, "GET", "", scope="contracts:read", summary="Contracts, by key", response=Page[Contract])
def list_contracts(request: HttpRequest, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:  # noqa: ARG001
    """A page of contracts."""
    key = paging.after(cursor, "contracts", str)
    rows = queries.contracts(after=key[0] if key else "", most=limit + 1)
    return paging.page(rows, limit, "contracts", lambda row: (row.key,), _shown)


@operation(of_contract, "GET", "/{key}", scope="contracts:read", summary="A contract", response=Contract)
def get_contract(request: HttpRequest, key: Key) -> dict[str, Any]:  # noqa: ARG001 - ninja's signature
    """Its terms, price, and hours left."""
    return _shown(_contract(key))


@operation(of_contract, "GET", "/{key}/work", scope="contracts:read", summary="Every minute of a contract",
           response=Page[WorkDone])  # fmt: skip
def list_work(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    key: Key,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """All work that counts, the oldest first, each with what paid for it."""
    row = _contract(key)
    last = paging.after(cursor, "work", int, str)
    facts = queries.facts([row.id])[row.id]
    found = hours(row, facts, clock.now())
    rows = [one for one in facts.work if last is None or _place(one) > last][: limit + 1]

    def shown(one: queries.WorkRow) -> dict[str, Any]:
        return {
            "key": one.entry.key,
            "began_at": one.entry.began_at,
            "seconds": one.entry.seconds,
            "work": one.entry.work,
            "free": one.entry.free,
            "who": one.who,
            "text": one.text,
            "ticket": one.ticket,
            "revision": one.revision,
            "paid": [{"by": d.by, "source": d.source, "seconds": d.seconds} for d in found.of(one.entry.key)],
        }

    return paging.page(rows, limit, "work", _place, shown)


def _place(one: queries.WorkRow) -> tuple[int, str]:
    return micros(one.entry.began_at), one.entry.key


@operation(of_contract, "POST", "/{key}/work", scope="contracts:write", summary="Write down work",
           response=Written)  # fmt: skip
def write_work(request: HttpRequest, key: Key, given: WorkList) -> dict[str, Any]:
    """Each entry once by its key; what differs from one that is there corrects it, and wants a reason."""
    row = _contract(key)
    new = [NewWork(row.id, w.key, w.began_at, w.seconds, w.who, w.work, w.free, w.text, w.ticket) for w in given.work]
    try:
        done = working.record_work(work=new, actor=actor_of(request), at=clock.now(), reason=given.reason)
    except ContractsError as fault:
        raise Problem(422, "not-as-expected", str(fault), where="body.work") from fault
    return {"new": done.new, "corrected": done.corrected, "known": done.known}


@operation(of_contract, "POST", "/{key}/leave", scope="contracts:write", summary="Ask for leave",
           response={201: Leave})  # fmt: skip
def ask_for_leave(request: HttpRequest, key: Key, given: LeaveGiven) -> Any:
    """Asks those of the customer who may incur cost, by one link. Work that began before the answer isn't charged."""
    _contract(key)
    try:
        asked = asking.ask(
            key=key, seconds=given.seconds, text=given.text, actor=actor_of(request), at=clock.now()
        ).leave
    except ContractsError as fault:
        raise Problem(409, "refused", str(fault)) from fault
    shown = {name: getattr(asked, name) for name in ("key", "seconds", "text", "until", "approved", "answered_at")}
    return Status(201, shown | {"rate": money(asked.rate)})


def _ticket(one: tickets.Standing) -> dict[str, Any]:
    row = one.ticket
    return {
        "id": row.id,
        "source": row.source,
        "number": row.number,
        "account": _account(row.account),
        "contract": one.contract.key if one.contract else None,
        "subject": row.subject,
        "opened_at": row.opened_at,
        "open": row.is_open,
        "events": [{"at": instant(e.at), "kind": e.kind, "priority": e.priority} for e in row.events],
        "clocks": [
            {
                "promise": c.promise,
                "cycle": c.cycle,
                "priority": c.priority,
                "due_at": instant(c.due),
                "done_at": instant(c.done) if c.done is not None else None,
                "spent": c.spent // 10**6,
                "state": c.state,
            }
            for c in one.clocks
        ],
    }


@operation(of_ticket, "GET", "", scope="contracts:read", summary="Tickets, the newest first",
           response=Page[Ticket])  # fmt: skip
def list_tickets(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    limit: Limit = 50,
    cursor: Cursor = None,
    open_: Annotated[bool, Query(alias="open", description="Only those that wait to be solved.")] = False,
) -> dict[str, Any]:
    """A page of tickets with their clocks."""
    at, last = clock.now(), paging.after(cursor, "tickets", int, int)
    after = (_instant(last[0]), last[1]) if last is not None else None
    rows = tickets.standing(tickets.tickets(after=after, only_open=open_, most=limit + 1), at)
    return paging.page(rows, limit, "tickets", lambda one: (micros(one.ticket.opened_at), one.ticket.id), _ticket)


def _instant(value: int) -> datetime:
    try:
        return instant(value)
    except OverflowError:
        raise Problem(422, "not-as-expected", "no cursor of this list", where="query.cursor") from None


@operation(of_ticket, "GET", "/{ticket}", scope="contracts:read", summary="A ticket", response=Ticket)
def get_ticket(request: HttpRequest, ticket: TicketId) -> dict[str, Any]:  # noqa: ARG001 - ninja's signature
    """Its history, and its clocks as they stand."""
    try:
        row = tickets.ticket(ticket)
    except UnableToFindTicketError as fault:
        raise Problem(404, "not-there", str(fault)) from fault
    return _ticket(tickets.standing([row], clock.now())[0])


@operation(of_ticket, "POST", "", scope="contracts:write", summary="Tell of a ticket",
           response={201: Ticket}, refusals=[404, 409])  # fmt: skip
def tell_ticket(request: HttpRequest, given: TicketGiven) -> Any:
    """A new ticket, or more of one that is there. Told again, nothing is there twice; nothing is ever rewritten."""
    at = clock.now()
    told = Incoming(
        given.source, given.number, given.subject, given.opened_at, given.priority, given.account, given.contract,
        given.email, [NewEvent(e.key, e.at, e.kind, e.priority) for e in given.events],
    )  # fmt: skip
    try:
        done = receive(told, actor=actor_of(request), at=at)
    except (UnableToFindContractError, UnableToFindAccountError) as fault:
        raise Problem(404, "not-there", str(fault), where="body") from fault
    except ContractsError as fault:
        raise Problem(422, "not-as-expected", str(fault), where="body") from fault
    return Status(201, _ticket(tickets.standing([tickets.ticket(done.ticket)], at)[0]))
