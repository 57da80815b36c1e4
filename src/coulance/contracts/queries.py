"""Reading contracts with their facts, as core's values. Nothing here is a balance: see `hours`."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from coulance.contracts import models
from coulance.contracts.errors import UnableToFindContractError
from coulance.contracts.provider_table import Agreed
from coulance.customers import queries as customers
from coulance_core.contracts.bundles import Allocated, allocate
from coulance_core.contracts.renewal import Term, months_later, term_on
from coulance_core.contracts.terms import Approval, Card, Entry, Kind, Work
from coulance_core.contracts.terms_file import ServiceTerms
from coulance_core.kernel import Explanation, Money, Period
from coulance_core.kernel.period import civil_midnight
from coulance_core.sla.response_file import Responses


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A change: `price`, `seats`, `end` (`value` is the early fee), or `go_on`, which takes an end back.

    `element_end` and `element_on` are of the element of a bundle at the place `value`.
    """

    id: int
    kind: str
    on: date
    value: int
    at: datetime
    by: str
    reason: str


@dataclass(frozen=True)
class ContractRow:
    """A contract. `agreed` is what was agreed, as it stood that day; `zone` its account's."""

    id: int
    key: str
    account: int
    service: int | None
    kind: Kind
    version: str
    pinned: Mapping[str, Any]
    currency: str
    first_price: Money
    first_seats: int
    starts_on: date
    agreed_at: datetime
    zone: str
    changes: tuple[ChangeRow, ...] = ()

    @cached_property
    def agreed(self) -> Agreed:
        """Terms and promises, read from what was pinned."""
        return Agreed.of(self.pinned)

    @property
    def terms(self) -> ServiceTerms:
        """The terms of work and money."""
        return self.agreed.terms

    @property
    def responses(self) -> Responses | None:
        """The promises of response, if any."""
        return self.agreed.responses

    def _latest(self, kind: str, on: date) -> int | None:
        found = [c for c in self.changes if c.kind == kind and c.on <= on]
        return max(found, key=lambda c: (c.on, c.id)).value if found else None

    def price_on(self, day: date) -> Money:
        """The price of `every` months (of one seat) on a day."""
        value = self._latest("price", day)
        return self.first_price if value is None else Money(value, self.currency)

    def seats_on(self, day: date) -> int:
        """How many seats on a day."""
        return self._latest("seats", day) or self.first_seats

    def fee_on(self, day: date) -> Money:
        """What `every` months cost on a day: all seats together; of a bundle, what hasn't ended of it."""
        bundled = self.allocated_on(day)
        return self.price_on(day) * self.seats_on(day) if bundled is None else bundled.price

    def ended_elements(self, day: date) -> frozenset[str]:
        """Elements of its bundle that have ended by a day."""
        bundle, last = self.terms.bundle, dict[int, ChangeRow]()
        for c in sorted(self.changes, key=lambda c: c.id):
            if c.kind in ("element_end", "element_on"):
                last[c.value] = c
        of = bundle.elements if bundle is not None else ()
        return frozenset(of[n].key for n, c in last.items() if c.kind == "element_end" and c.on <= day)

    def allocated_on(self, day: date) -> Allocated | None:
        """What of the price is each element's on a day; None where it is no bundle."""
        bundle = self.terms.bundle
        return None if bundle is None else allocate(bundle, self.price_on(day), self.ended_elements(day))

    @property
    def ends_on(self) -> date | None:
        """The first day on which it no longer runs: by its last notice that wasn't taken back, or by its terms."""
        said = [c for c in self.changes if c.kind in ("end", "go_on")]
        last = max(said, key=lambda c: c.id, default=None)
        if last is not None and last.kind == "end":
            return last.on
        return None

    def runs_on(self, day: date) -> bool:
        """Whether it runs on a day."""
        ends = self.ends_on
        return self.term_on(day) is not None and (ends is None or day < ends)

    def term_on(self, day: date) -> Term | None:
        """The term that runs on a day."""
        return term_on(self.starts_on, self.terms.renewal, day)

    def periods(self, until: datetime) -> list[Period]:
        """Its fee periods that began by an instant, oldest first."""
        found: list[Period] = []
        n = 0
        while True:
            first = months_later(self.starts_on, n * self.terms.every)
            after = months_later(self.starts_on, (n + 1) * self.terms.every)
            period = Period(self.midnight(first), self.midnight(after))
            if period.start > until or not self.runs_on(first):
                return found
            found.append(period)
            n += 1

    def bills(self, period: Period) -> bool:
        """Whether a fee period of its is charged here: what ran before it was agreed here was billed elsewhere."""
        return period.end > self.agreed_at

    def midnight(self, day: date) -> datetime:
        """The first instant of a day where the account is."""
        return civil_midnight(day, ZoneInfo(self.zone))

    def day_of(self, at: datetime) -> date:
        """The day of an instant where the account is."""
        return at.astimezone(ZoneInfo(self.zone)).date()


@dataclass(frozen=True, slots=True)
class WorkRow:
    """Work as it counts now. `revision` above 1 was corrected."""

    entry: Entry
    who: str
    text: str
    ticket: str
    revision: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class LeaveRow:
    """Leave that was asked for; `approved` None while it waits."""

    key: str
    contract: int
    seconds: int
    rate: Money
    text: str
    until: datetime
    asked_at: datetime
    approved: bool | None
    answered_at: datetime | None
    answered_by: str


@dataclass(frozen=True)
class Facts:
    """All that a contract's hours follow from."""

    cards: tuple[Card, ...] = ()
    work: tuple[WorkRow, ...] = ()
    leave: tuple[LeaveRow, ...] = ()

    @property
    def entries(self) -> list[Entry]:
        """The work, as core takes it."""
        return [one.entry for one in self.work]

    @property
    def approvals(self) -> list[Approval]:
        """Leave that was given, counted from its answer on."""
        return [
            Approval(one.key, one.answered_at, one.until, one.seconds, one.rate.amount)
            for one in self.leave
            if one.approved and one.answered_at is not None
        ]


@dataclass(frozen=True, slots=True)
class ChargeRow:
    """A charge, with its invoice once it has one."""

    id: int
    contract: int
    key: str
    kind: str
    starts_on: date
    ends_on: date
    amount: Money
    explanation: Explanation
    made_at: datetime
    invoice: str
    line: int | None
    element: str = ""


@dataclass(frozen=True, slots=True)
class CreditRow:
    """What a period's missed responses came to."""

    id: int
    contract: int
    period_start: date
    period_end: date
    amount: Money
    missed: tuple[str, ...]
    explanation: Explanation
    credit_note: str


def contracts(
    *,
    accounts: Collection[int] | None = None,
    keys: Collection[str] | None = None,
    ids: Collection[int] | None = None,
    after: str = "",
    most: int | None = None,
) -> list[ContractRow]:
    """Contracts, all or of some accounts, keys or ids, by key; `after` a key, and so many at most."""
    rows = models.Contract.objects.order_by("key")
    if after:
        rows = rows.filter(key__gt=after)
    if accounts is not None:
        rows = rows.filter(account__in=accounts)
    if keys is not None:
        rows = rows.filter(key__in=keys)
    if ids is not None:
        rows = rows.filter(id__in=ids)
    found = list(rows[:most])
    changes: dict[int, list[ChangeRow]] = defaultdict(list)
    for c in models.Change.objects.filter(contract__in=found).order_by("id"):
        changes[c.contract_id].append(ChangeRow(c.id, c.kind, c.on, c.value, c.at, c.by, c.reason))
    zones = {one.id: one.zone for one in customers.accounts({c.account_id for c in found})}
    return [
        ContractRow(
            c.id, c.key, c.account_id, c.service_id, Kind(c.kind), c.terms, c.agreed, c.currency,
            Money(c.price, c.currency), c.seats, c.starts_on, c.agreed_at, zones[c.account_id], tuple(changes[c.id]),
        )
        for c in found
    ]  # fmt: skip


def contract(key: str, *, account: int | None = None) -> ContractRow:
    """One contract. Raises `UnableToFindContractError`, also for another account's."""
    found = [c for c in contracts(keys=[key]) if account is None or c.account == account]
    if not found:
        raise UnableToFindContractError(f"there is no contract {key!r}")
    return found[0]


def facts(ids: Collection[int]) -> dict[int, Facts]:
    """The facts of contracts, by their ids."""
    cards: dict[int, list[Card]] = defaultdict(list)
    for c in models.Card.objects.filter(contract__in=ids, taken_back_at__isnull=True).order_by("id"):
        cards[c.contract_id].append(Card(c.key, c.seconds, Money(c.price, c.currency), c.from_at, c.until))
    work: dict[int, list[WorkRow]] = defaultdict(list)
    newest = models.Entry.objects.filter(contract__in=ids).order_by("source_key", "-revision").distinct("source_key")
    for e in newest:
        if not e.removed:
            one = Entry(e.source_key, e.began_at, e.seconds, Work(e.work), e.free)
            work[e.contract_id].append(WorkRow(one, e.who, e.text, e.ticket, e.revision, e.recorded_at))
    asked: dict[int, list[LeaveRow]] = defaultdict(list)
    for a in models.Leave.objects.filter(contract__in=ids).order_by("id"):
        asked[a.contract_id].append(_leave(a))
    by_time = {n: sorted(rows, key=lambda w: (w.entry.began_at, w.entry.key)) for n, rows in work.items()}
    return {n: Facts(tuple(cards[n]), tuple(by_time.get(n, ())), tuple(asked[n])) for n in ids}


def leave(key: str, *, account: int | None = None) -> LeaveRow:
    """Leave that was asked for. Raises `UnableToFindContractError`, also for another account's."""
    rows = models.Leave.objects.filter(key=key)
    found = (rows if account is None else rows.filter(contract__account=account)).first()
    if found is None:
        raise UnableToFindContractError(f"no leave {key!r} was asked for")
    return _leave(found)


def _leave(a: models.Leave) -> LeaveRow:
    return LeaveRow(
        a.key, a.contract_id, a.seconds, Money(a.rate, a.currency), a.text, a.until, a.asked_at, a.approved,
        a.answered_at, a.answered_by,
    )  # fmt: skip


def charges(ids: Collection[int], *, waiting: bool = False) -> list[ChargeRow]:
    """Charges of contracts, oldest first; `waiting`: only those without an invoice."""
    rows = models.Charge.objects.filter(contract__in=ids).order_by("id")
    if waiting:
        rows = rows.filter(line__isnull=True)
    return [
        ChargeRow(
            c.id, c.contract_id, c.key, c.kind, c.starts_on, c.ends_on, Money(c.amount, c.currency),
            Explanation.from_json(c.explanation), c.made_at, c.invoice, c.line, c.element,
        )
        for c in rows
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class BoundRow:
    """A service that is in a bundle, as which element; `plan` is what it was on then."""

    contract: int
    element: str
    service: int
    plan: str


def bound(contracts_: Collection[int] | None = None, *, services: Collection[int] | None = None) -> list[BoundRow]:
    """Services that are in bundles, of some contracts, or these services; also of contracts and elements that ended."""
    rows = models.Bound.objects.order_by("id")
    if contracts_ is not None:
        rows = rows.filter(contract__in=contracts_)
    if services is not None:
        rows = rows.filter(service__in=services)
    return [BoundRow(b.contract_id, b.element, b.service_id, b.plan) for b in rows]


@dataclass(frozen=True, slots=True)
class SoldCard:
    """A card whose price is owed in work: its line, and what was booked as income of it by now."""

    id: int
    contract: int
    account: int
    key: str
    taken_back: bool
    invoice: str
    line: int | None
    bookings: int
    used: Money
    lapsed: Money


def sold_cards(contracts_: Collection[int] | None = None) -> list[SoldCard]:
    """Cards that were booked as owed in work, oldest first; those from before that was so are not among them."""
    rows = models.Card.objects.filter(deferred=True).select_related("contract").order_by("id")
    if contracts_ is not None:
        rows = rows.filter(contract__in=contracts_)
    found = list(rows)
    last: dict[int, models.Earning] = {}
    for one in models.Earning.objects.filter(card__in=found).order_by("card_id", "-no").distinct("card_id"):
        last[one.card_id] = one
    keys = [f"card/{c.key}" for c in found]
    lines = {
        key: (invoice, line)
        for key, invoice, line in models.Charge.objects.filter(key__in=keys).values_list("key", "invoice", "line")
    }
    shown = []
    for c in found:
        booked, (invoice, line) = last.get(c.id), lines.get(f"card/{c.key}", ("", None))
        shown.append(
            SoldCard(
                c.id, c.contract_id, c.contract.account_id, c.key, c.taken_back_at is not None, invoice, line,
                booked.no if booked else 0, Money(booked.used if booked else 0, c.currency),
                Money(booked.lapsed if booked else 0, c.currency),
            )
        )  # fmt: skip
    return shown


def credits_of(ids: Collection[int] | None = None, *, most: int = 500) -> list[CreditRow]:
    """Credits for missed responses, newest first."""
    rows = models.Credit.objects.order_by("-period_start", "-id")
    if ids is not None:
        rows = rows.filter(contract__in=ids)
    return [
        CreditRow(
            c.id, c.contract_id, c.period_start, c.period_end, Money(c.amount, c.currency), tuple(c.missed),
            Explanation.from_json(c.explanation), c.credit_note,
        )
        for c in rows[:most]
    ]  # fmt: skip


def lapsed(ids: Collection[int]) -> dict[str, tuple[int, Money]]:
    """Lapsed hours that were recorded, by card: seconds, and what was paid for them."""
    rows = models.Lapse.objects.filter(card__contract__in=ids).select_related("card")
    return {one.card.key: (one.seconds, Money(one.amount, one.card.currency)) for one in rows}


@dataclass(frozen=True, slots=True)
class TimerRow:
    """A timer that runs."""

    who: str
    contract: int
    began_at: datetime
    work: Work
    text: str
    ticket: str


def timers() -> list[TimerRow]:
    """Timers that run, by who."""
    return [
        TimerRow(t.who, t.contract_id, t.began_at, Work(t.work), t.text, t.ticket)
        for t in models.Timer.objects.order_by("who")
    ]


def hours_text(seconds: int) -> str:
    """Time for people: hours and minutes.

    >>> hours_text(5400), hours_text(-60)
    ('1:30', '-0:01')
    """
    sign, minutes = ("-" if seconds < 0 else ""), -(-abs(seconds) // 60)
    return f"{sign}{minutes // 60}:{minutes % 60:02}"
