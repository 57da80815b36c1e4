"""Tickets from anywhere: whose they are, under which promises; and who is warned before one is broken."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from coulance.contracts import queries, ticketing, tickets
from coulance.contracts.errors import UnableToFindTicketError, UnableToRecordError
from coulance.contracts.queries import ContractRow
from coulance.contracts.ticketing import NewEvent
from coulance.contracts.tickets import Standing, TicketRow
from coulance.customers import queries as customers
from coulance.platform import alarms, webhooks
from coulance_core.sla.clocks import Clock, EventKind, State
from coulance_core.sla.intervals import instant, micros

RISK = "tickets.risk:"
LATE = "tickets.late:"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A ticket as a desk tells of it, with what happened.

    Whose it is: `account` (external id), `contract` (key), or else who wrote (`email`). `states`: events that say how
    it stands rather than what happened (a desk that sends its state each time); they count only where they change it.
    """

    source: str
    number: str
    subject: str = ""
    opened_at: datetime | None = None
    priority: str = ""
    account: str = ""
    contract: str = ""
    email: str = ""
    events: Sequence[NewEvent] = ()
    states: Sequence[NewEvent] = ()


@dataclass(frozen=True, slots=True)
class Received:
    """A ticket's id, whether it is new, and how many events are."""

    ticket: int
    opened: bool
    events: int


def receive(told: Incoming, *, actor: str, at: datetime) -> Received:
    """Write down what a desk tells; told again, nothing is there twice. Raises `UnableToRecordError`."""
    with transaction.atomic():
        try:
            number, new = ticketing.ticket_id(source=told.source, number=told.number), False
        except UnableToFindTicketError:
            account, contract = _owner(told, at)
            opened = told.opened_at or min((e.at for e in (*told.events, *told.states)), default=at)
            number, new = ticketing.open_ticket(
                source=told.source, number=told.number, account=account, subject=told.subject or told.number,
                contract=contract.id if contract else None, opened_at=opened, priority=told.priority,
                contact=told.email, actor=actor, at=at,
            )  # fmt: skip
        events = ticketing.add_events(ticket=number, events=told.events, actor=actor, at=at)
        for one in told.states:
            if _changes(tickets.ticket(number), one):
                events += ticketing.add_events(ticket=number, events=[one], actor=actor, at=at)
        if new or events:
            webhooks.emit(
                event="ticket.changed", data={"source": told.source, "number": told.number, "events": events}, at=at
            )
    return Received(number, new, events)


def _owner(told: Incoming, at: datetime) -> tuple[int, ContractRow | None]:
    """Whose a ticket is, and under which contract: the one that is named, or the only one with promises that runs."""
    if told.contract:
        contract = queries.contract(told.contract)
        return contract.account, contract
    if told.account:
        account = customers.account(told.account).id
    else:
        known = {c.account_id for c in customers.contacts_by_email(told.email)} if told.email else set()
        if len(known) != 1:
            whose = "nobody's" if not known else "of several customers"
            raise UnableToRecordError(
                f"ticket {told.number}: {told.email or 'its sender'} is {whose}: name the account or contract"
            )
        (account,) = known
    running = [c for c in queries.contracts(accounts=[account]) if c.runs_on(c.day_of(at))]
    promised = [c for c in running if c.responses is not None]
    if len(promised) > 1:
        named = ", ".join(c.key for c in promised)
        raise UnableToRecordError(f"ticket {told.number}: several contracts promise an answer: name one of {named}")
    return account, promised[0] if promised else running[0] if len(running) == 1 else None


def _changes(row: TicketRow, event: NewEvent) -> bool:
    """Whether a state differs from how the ticket stands."""
    match event.kind:
        case EventKind.PRIORITY:
            told = [e.priority for e in row.events if e.kind in (EventKind.OPENED, EventKind.PRIORITY)]
            return not told or told[-1] != event.priority
        case EventKind.SOLVED | EventKind.VOID:
            return row.is_open
        case EventKind.REOPENED:
            return not row.is_open
        case EventKind.WAITS:
            return not _waits(row)
        case EventKind.RESUMES:
            return _waits(row)
    return True


def _waits(row: TicketRow) -> bool:
    found = [e.kind for e in row.events if e.kind in (EventKind.WAITS, EventKind.RESUMES, EventKind.CUSTOMER_WROTE)]
    return bool(found) and found[-1] is EventKind.WAITS


@dataclass(frozen=True)
class AtRisk:
    """A promise that runs or is broken, of an open ticket."""

    standing: Standing
    clock: Clock

    @property
    def due(self) -> datetime:
        """Its deadline."""
        return instant(self.clock.due)


def at_risk(*, at: datetime) -> list[AtRisk]:
    """Every promise of open tickets that still runs or is late, what is due first on top."""
    found = [
        AtRisk(one, clock)
        for one in tickets.open_tickets(at)
        for clock in one.clocks
        if clock.state in (State.RUNNING, State.PAUSED, State.LATE)
    ]
    return sorted(found, key=lambda one: one.clock.due)


def watch(*, at: datetime) -> tuple[int, int]:
    """Alarm those who can prevent a breach, before it; and of those that happened. How many of each.

    Alarms go to operators by mail, and end by themselves when the promise is kept or the ticket solved.
    """
    now = micros(at)
    wanted: dict[str, tuple[alarms.Severity, str]] = {}
    risk = late = 0
    for one in at_risk(at=at):
        ticket, clock = one.standing.ticket, one.clock
        named = f"{ticket.source}/{ticket.number}/{clock.promise.value}/{clock.cycle}"
        what = f"ticket {ticket.number} ({ticket.source}): {clock.promise.value.replace('_', ' ')}"
        if clock.state is State.LATE:
            wanted[LATE + named] = (
                "warning",
                f"{what} was due {one.due:%Y-%m-%d %H:%M} UTC: answer now; a miss is credited",
            )
            late += 1
        elif clock.state is State.RUNNING and clock.warn <= now:
            wanted[RISK + named] = ("warning", f"{what} is due {one.due:%Y-%m-%d %H:%M} UTC: it can still be kept")
            risk += 1
    for key, (severity, what) in wanted.items():
        alarms.raise_alarm(key=key, severity=severity, what=what, at=at)
    for alarm in alarms.open_alarms():
        if alarm.key.startswith((RISK, LATE)) and alarm.key not in wanted:
            alarms.clear_alarm(key=alarm.key, at=at)
    return risk, late
