"""Two service contracts of one price: one loses us money, the other costs its customer too much; and what is advised.

Both ran since long before the demo; what was worked on them is written down from a list. On the first, a ticket was
answered too late and another waits. Told again, nothing is added.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.utils import translation

from coulance.catalog import queries as catalogs
from coulance.contracts import queries, tickets, working
from coulance.contracts.ticketing import NewEvent
from coulance.contracts.working import NewWork
from coulance.customers import operations as customers
from coulance.customers import queries as customer_rows
from coulance.flows.contracts import changing, fairness, ticketing, wording
from coulance.flows.contracts.ticketing import Incoming
from coulance.integrations.demo.story import ACTOR
from coulance_core.contracts.renewal import months_later
from coulance_core.contracts.terms import Work
from coulance_core.sla.clocks import EventKind
from coulance_core.sla.intervals import instant

TERMS = "care"
SINCE = date(2025, 1, 1)
STORIES = (("D901", "Drukwerk Lelie BV", (0, 3, 14, 1, 2, 4, 9)), ("D902", "Stille Haven BV", (0,)))
"""External id, name, hours of work a month, over and over."""


def tell(*, at: datetime) -> list[str]:
    """Agree both contracts and write their work down, unless that was done; a line for each, and one for both."""
    if not any(row["name"] == TERMS for row in catalogs.table("contracts").get("terms", [])):
        return []
    if not queries.contracts(keys=[f"{ref}-care" for ref, _, _ in STORIES]):
        for ref, name, hours in STORIES:
            _set_up(ref, name, hours, at)
        _tickets(at)
    said = []
    names = {one.id: one.name for one in customer_rows.accounts()}
    for portfolio in fairness.judge_all(at=at, years=500):
        for one in portfolio.contracts:
            with translation.override("en"):
                verdict = wording.verdict(one.fairness.verdict).lower()
            fair = one.fairness
            said.append(
                f"{names[one.contract.account]}, contract {one.contract.key} at {one.price} a year: {verdict}"
                f" (of a year we have {float(fair.expected_provider):+,.0f}, they"
                f" {float(fair.expected_customer):+,.0f}); advised {one.advice.price}"
            )
        if portfolio.year is not None:
            said.append(
                f"a loss on all contracts together in {portfolio.year.bad:.0%} of years drawn from what happened"
            )
    return [*said, *_desk(at)]


def _desk(at: datetime) -> list[str]:
    """What became of the first customer's tickets: each promise that was broken, and one that runs."""
    (row,) = queries.contracts(keys=[f"{STORIES[0][0]}-care"])
    said = []
    for one in reversed(tickets.standing(tickets.tickets(contracts=[row.id]), at)):
        for clock in one.breached or one.at_risk[:1]:
            due = f"{instant(clock.due).astimezone(ZoneInfo(row.zone)):%a %d %b %H:%M}"
            with translation.override("en"):
                what = f"{wording.promise(clock.promise)} promised by {due}: {wording.state(clock.state)}"
            said.append(f"ticket {one.ticket.number} of {STORIES[0][1]}, {one.ticket.subject!r}: {what}")
    return said


def _tickets(at: datetime) -> None:
    """A ticket of a Monday in the week before last, answered half past two though promised by one; and one of now."""
    zone = ZoneInfo("Europe/Amsterdam")
    monday = at.astimezone(zone).date() - timedelta(days=at.astimezone(zone).weekday() + 14)

    def clock(hour: int, minute: int, days: int = 0) -> datetime:
        return datetime.combine(monday + timedelta(days=days), time(hour, minute), zone)

    late = [(clock(14, 30), EventKind.ANSWERED), (clock(10, 5, 1), EventKind.SOLVED)]
    for number, subject, opened, events in (
        ("1001", "The newsletter doesn't leave", clock(9, 0), late),
        ("1002", "A form gives an error", at - timedelta(minutes=30), []),
    ):
        told = Incoming(
            "desk", number, subject, opened, "normal", account=STORIES[0][0], contract=f"{STORIES[0][0]}-care",
            events=[NewEvent(f"{number}/{kind}", when, kind) for when, kind in events],
        )  # fmt: skip
        ticketing.receive(told, actor=ACTOR, at=at)


def _set_up(ref: str, name: str, hours: Sequence[int], at: datetime) -> None:
    if ref not in customer_rows.accounts_by_external_id([ref]):
        customers.create_account(
            external_id=ref, name=name, kind="business", country="NL", currency="EUR", zone="Europe/Amsterdam",
            language="nl", address=["Voorbeeldstraat 9", "0000 AA Nergenshuizen"],
        )  # fmt: skip
    made = changing.agree(key=f"{ref}-care", account=ref, terms=TERMS, starts_on=SINCE, actor=ACTOR, at=at)
    work: list[NewWork] = []
    month = 0
    while (day := months_later(SINCE, month)) < at.date() - timedelta(days=31):
        began = datetime(day.year, day.month, 12, 8, tzinfo=UTC)
        seconds = hours[month % len(hours)] * 3600
        if seconds:
            work.append(
                NewWork(made.id, f"{ref}/{day:%Y-%m}", began, seconds, "sanne", Work.CORRECTIVE, text="Repairs")
            )
        month += 1
    working.record_work(work=work, actor=ACTOR, at=at)
