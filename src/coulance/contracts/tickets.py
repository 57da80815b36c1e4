"""Reading tickets and their clocks, which are computed from history each time."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.db.models.expressions import RawSQL

from coulance.contracts import models, queries
from coulance.contracts.errors import UnableToFindTicketError
from coulance.contracts.queries import ContractRow
from coulance_core.sla.clocks import Clock, Event, EventKind, State, clocks
from coulance_core.sla.intervals import instant, micros


@dataclass(frozen=True, slots=True)
class TicketRow:
    """A ticket with its history, in order."""

    id: int
    source: str
    number: str
    account: int
    contract: int | None
    subject: str
    contact: str
    opened_at: datetime
    events: tuple[Event, ...]

    @property
    def is_open(self) -> bool:
        """Whether it waits to be solved."""
        last = [e.kind for e in self.events if e.kind in _ENDS]
        return not last or last[-1] is EventKind.REOPENED

    @property
    def solved_at(self) -> datetime | None:
        """When it was solved, if it is."""
        found = [e.at for e in self.events if e.kind is EventKind.SOLVED]
        return instant(found[-1]) if found and not self.is_open else None


_ENDS = (EventKind.SOLVED, EventKind.REOPENED, EventKind.VOID)


@dataclass(frozen=True)
class Standing:
    """A ticket with its contract and its clocks at an instant."""

    ticket: TicketRow
    contract: ContractRow | None
    clocks: tuple[Clock, ...]

    @property
    def at_risk(self) -> list[Clock]:
        """Clocks that run."""
        return [c for c in self.clocks if c.state in (State.RUNNING, State.PAUSED)]

    @property
    def breached(self) -> list[Clock]:
        """Promises that were broken."""
        return [c for c in self.clocks if c.breached]


def tickets(
    *,
    accounts: Collection[int] | None = None,
    contracts: Collection[int] | None = None,
    ids: Collection[int] | None = None,
    opened_before: datetime | None = None,
    after: tuple[datetime, int] | None = None,
    only_open: bool = False,
    most: int = 1000,
) -> list[TicketRow]:
    """Tickets with their history, the newest first; `after`: behind the one that was opened then and has that id."""
    rows = models.Ticket.objects.order_by("-opened_at", "-id")
    if after is not None:
        rows = rows.filter(Q(opened_at__lt=after[0]) | Q(opened_at=after[0], id__lt=after[1]))
    if only_open:
        rows = rows.exclude(id__in=_closed())
    if accounts is not None:
        rows = rows.filter(account__in=accounts)
    if contracts is not None:
        rows = rows.filter(contract__in=contracts)
    if ids is not None:
        rows = rows.filter(id__in=ids)
    if opened_before is not None:
        rows = rows.filter(opened_at__lt=opened_before)
    found = list(rows[:most])
    events: dict[int, list[Event]] = defaultdict(list)
    of = models.TicketEvent.objects.filter(ticket__in=[t.id for t in found]).order_by("at", "id")
    for n, at, kind, priority, seq in of.values_list("ticket_id", "at", "kind", "priority", "id"):
        events[n].append(Event(micros(at), seq, EventKind(kind), priority))
    return [
        TicketRow(
            t.id, t.source, t.number, t.account_id, t.contract_id, t.subject, t.contact, t.opened_at,
            tuple(events[t.id]),
        )
        for t in found
    ]  # fmt: skip


def ticket(id_: int, *, account: int | None = None) -> TicketRow:
    """One ticket. Raises `UnableToFindTicketError`, also for another account's."""
    found = [t for t in tickets(ids=[id_]) if account is None or t.account == account]
    if not found:
        raise UnableToFindTicketError(f"there is no ticket {id_}")
    return found[0]


def standing(rows: Collection[TicketRow], at: datetime) -> list[Standing]:
    """Tickets with their clocks at an instant; without promises, none."""
    known = {c.id: c for c in queries.contracts(ids={t.contract for t in rows if t.contract is not None})}
    found = []
    for row in rows:
        contract = known.get(row.contract) if row.contract is not None else None
        promised = contract.responses if contract is not None else None
        of = clocks(row.events, promised.terms, micros(at)) if promised is not None else ()
        found.append(Standing(row, contract, of))
    return found


def open_tickets(at: datetime) -> list[Standing]:
    """Tickets that wait to be solved, with their clocks."""
    return standing(tickets(only_open=True, most=10_000), at)


def _closed() -> RawSQL:
    """The ids of tickets whose last word is that they are solved, or void."""
    return RawSQL(
        "SELECT ticket_id FROM (SELECT DISTINCT ON (ticket_id) ticket_id, kind FROM contracts_ticket_event"
        " WHERE kind IN ('solved', 'reopened', 'void') ORDER BY ticket_id, at DESC, id DESC) last"
        " WHERE kind <> 'reopened'",
        [],
    )


@dataclass(frozen=True, slots=True)
class OpinionRow:
    """What a customer said of a solved ticket."""

    ticket: int
    score: int
    text: str
    contact: str
    at: datetime


def opinions(tickets_: Collection[int]) -> list[OpinionRow]:
    """The newest opinion of each ticket."""
    rows = models.Opinion.objects.filter(ticket__in=tickets_).order_by("ticket_id", "-id").distinct("ticket_id")
    return [OpinionRow(o.ticket_id, o.score, o.text, o.contact, o.at) for o in rows]


def opinions_of(account: int, *, most: int = 200) -> list[OpinionRow]:
    """The newest opinion of each of an account's tickets, the newest first."""
    rows = models.Opinion.objects.filter(ticket__account=account).order_by("ticket_id", "-id").distinct("ticket_id")
    found = [OpinionRow(o.ticket_id, o.score, o.text, o.contact, o.at) for o in rows]
    return sorted(found, key=lambda o: o.at, reverse=True)[:most]
