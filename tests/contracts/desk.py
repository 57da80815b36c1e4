"""A service desk, one sentence at a time: contracts, cards, work, leave, tickets."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection

from coulance.contracts import queries, working
from coulance.contracts import ticketing as writing
from coulance.contracts.hours import Hours, hours
from coulance.contracts.ticketing import NewEvent
from coulance.contracts.working import NewWork
from coulance.customers import operations as customers
from coulance.customers import queries as customer_rows
from coulance.flows.contracts import asking, billing, changing, mailing, running, ticketing
from coulance.flows.contracts.ticketing import Incoming
from coulance.notices import queries as sent
from coulance_core.contracts.hours import From
from coulance_core.contracts.terms import Work
from coulance_core.sla.clocks import EventKind
from tests.closing.world import World

ACTOR = "operator:anna"
MAY = datetime(2026, 5, 4, 7, tzinfo=UTC)
"""A Monday, nine o'clock in Amsterdam."""

CONTRACTS = """
[[contracts.terms]]
name = "strips"
from = 2026-01-01
kind = "card"
title = "Hour card"
rate = "95.00 EUR"
low = "2 h"
top_up = true
rounding = { unit = "15 min", rule = "started" }
renewal = { months = 12, notice_days = 30, renews = "term", early_share = "50 %" }
cost = { hour = 40 }
card = [{ key = "10h", hours = "10 h", price = "900.00 EUR", months = 12 }]

[[contracts.terms]]
name = "care"
from = 2026-01-01
kind = "fixed"
title = "Care"
price = "100.00 EUR"
rate = "95.00 EUR"
response = "gold"
cover = { corrective = "included", preventive = "included" }
renewal = { months = 12, notice_days = 30, renews = "monthly", early_share = "50 %" }
indexation = { cap = "3 %" }
cost = { hour = 50 }
standby = "200.00 EUR"

[[contracts.terms]]
name = "pool"
from = 2026-01-01
kind = "retainer"
price = "400.00 EUR"
rate = "90.00 EUR"
retainer = { hours = "5 h", rollover = "carry", carry_most = "2 h" }

[contracts.mail]
address = "help@host.example"
hosts = ["mx.host.example"]
authenticated_by = "mx.host.example"
agents = ["anna@host.example"]
priority = "normal"
most_new = 3

[[contracts.response]]
name = "gold"
from = 2026-01-01
asks = ["Say what you saw, and when."]
cap = "50 %"
[contracts.response.calendar]
zone = "Europe/Amsterdam"
mon = ["09:00-17:00"]
tue = ["09:00-17:00"]
wed = ["09:00-17:00"]
thu = ["09:00-17:00"]
fri = ["09:00-17:00"]
holidays = ["2026-05-05"]
[[contracts.response.target]]
promise = "first_response"
within = "2 h"
[[contracts.response.target]]
promise = "first_response"
priority = "normal"
within = "2 h"
[[contracts.response.target]]
promise = "solution"
priority = "normal"
within = "2 working days"
[[contracts.response.penalty]]
kind = "per_missed"
promise = "first_response"
share = "5 %"
"""


def later(hours_: float) -> datetime:
    """So many hours after that Monday morning."""
    return MAY + timedelta(hours=hours_)


@dataclass
class Desk:
    """The provider's desk, and acme with `boss` (who may incur cost) and `dev` (who may not)."""

    world: World
    account: int

    @classmethod
    def of(cls, world: World) -> "Desk":
        """A customer without contracts."""
        world.provider(extra='email = "hulp@polder.example"\n', more=CONTRACTS).account()
        for ref, may in (("boss", True), ("dev", False)):
            customers.put_contact(
                account="acme", external_id=ref, name=ref.title(), email=f"{ref}@acme.example",
                roles=["owner"] if may else ["technical"], may_incur_cost=may, language="nl" if may else "en",
                channels=["email"],
            )  # fmt: skip
        return cls(world, customer_rows.account("acme").id)

    def agrees(self, key: str, terms: str, on: str = "2026-05-01", at: datetime = MAY, **given: Any) -> "Desk":
        """A contract on named terms."""
        changing.agree(
            key=key, account="acme", terms=terms, starts_on=date.fromisoformat(on), actor=ACTOR, at=at, **given
        )
        return self

    def sells(
        self, key: str, card: str = "c1", product: str = "10h", on: str = "2026-05-01", at: datetime = MAY
    ) -> str:
        """A card; the invoice's number."""
        return billing.sell_card(
            key=key, product=product, card=card, from_=date.fromisoformat(on), actor=ACTOR, at=at
        )  # fmt: skip

    def works(self, key: str, name: str, began: datetime, minutes: int, *, at: datetime | None = None, why: str = "",
              work: str = "corrective", **given: Any) -> working.Recorded:  # fmt: skip
        """Work on a contract, in minutes."""
        one = NewWork(self.id(key), name, began, minutes * 60, "anna", Work(work), **given)
        return working.record_work(work=[one], actor=ACTOR, at=at or began + timedelta(minutes=minutes + 1), reason=why)

    def asks(self, key: str, minutes: int, at: datetime) -> str:
        """Leave for work beyond cover; its key."""
        return asking.ask(key=key, seconds=minutes * 60, text="a new report", actor=ACTOR, at=at).leave.key

    def approves(self, leave: str, at: datetime, contact: str = "boss", approved: bool = True) -> None:
        """A contact answers."""
        asking.answer(leave=leave, approved=approved, account=self.account, contact=contact, how="portal", at=at)

    def tells(self, number: str, *events: tuple[str, datetime], priority: str = "normal", **given: Any) -> int:
        """A desk tells of a ticket; its id."""
        rows = [NewEvent(f"{kind}/{at.isoformat()}", at, EventKind(kind)) for kind, at in events[1:]]
        facts: dict[str, Any] = {"email": "boss@acme.example", **given}
        told = Incoming("zammad", number, f"Help {number}", events[0][1], priority, events=rows, **facts)
        return ticketing.receive(told, actor="worker", at=max(at for _, at in events)).ticket

    def mails(self, text: str = "It is down.", *headers: str, sender: str = "boss@acme.example", at: datetime = MAY,
              id_: str = "", subject: str = "Down", to: str = "help@host.example") -> mailing.Taken:  # fmt: skip
        """A mail to the desk, that comes now."""
        head = [*headers, f"From: {sender}", f"To: {to}", f"Subject: {subject}"]
        head.append(
            f"Message-ID: <{id_ or hashlib.sha256(f'{text}{headers}{at}'.encode()).hexdigest()[:20]}@x.example>"
        )
        return mailing.take(raw=("\n".join(head) + "\n\n" + text).encode(), source="pipe", at=at)

    def runs(self, at: datetime) -> running.Round:
        """The daily round, with nothing that fails."""
        done = running.run(at=at)
        connection.check_constraints()
        assert not done.failed
        return done

    def id(self, key: str) -> int:
        """A contract's id."""
        return queries.contract(key).id

    def hours(self, key: str, at: datetime) -> Hours:
        """Its hours at an instant."""
        row = queries.contract(key)
        return hours(row, queries.facts([row.id])[row.id], at)

    def went(self, key: str, at: datetime) -> dict[str, int]:
        """Minutes by what paid for them."""
        found = self.hours(key, at)
        return {source.value: found.by(source) // 60 for source in From if found.by(source)}

    def subjects(self, about: str = "") -> list[str]:
        """Subjects of all mails, oldest first."""
        rows = sent.messages(account=self.account, limit=200)[::-1]
        return [row.subject for row in rows if not about or row.about == about]


def furnish(world: World, at: datetime) -> dict[str, int]:
    """Contracts of several kinds in a world that has the terms, with a card, work, leave, tickets by mail, an opinion
    and mail that waits: something on every page. Ids: `open` and `solved` tickets, `account`."""
    one = Desk(world, customer_rows.account("acme").id)
    if not any(c.external_id == "boss" for c in customer_rows.contacts([one.account])):
        customers.put_contact(
            account="acme", external_id="boss", name="Boss", email="boss@acme.example", roles=["owner"],
            may_incur_cost=True, language="en", channels=["email"],
        )  # fmt: skip
    on = (at - timedelta(days=40)).date().isoformat()
    for key, terms in (("k1", "strips"), ("k2", "care"), ("k3", "pool")):
        one.agrees(key, terms, on=on, at=at - timedelta(days=40))
    one.sells("k1", on=on, at=at - timedelta(days=39))
    for key, minutes, work in (("k1", 95, "corrective"), ("k2", 30, "preventive"), ("k3", 400, "corrective")):
        one.works(key, f"{key}/1", at - timedelta(days=20), minutes, work=work, text="<b>DNS</b> & mail")
    one.asks("k1", 90, at - timedelta(hours=2))
    opened = one.mails(at=at - timedelta(days=8), subject="The shop is slow")
    solved = one.mails("thanks", at=at - timedelta(days=3), subject="A new mailbox")
    one.mails("who am I", sender="who@else.example", at=at - timedelta(hours=1))
    assert opened.mail.ticket is not None
    assert solved.mail.ticket is not None
    told = [NewEvent("s", at - timedelta(days=2), EventKind.SOLVED)]
    ticketing.receive(Incoming("mail", str(solved.mail.id), events=told), actor=ACTOR, at=at)
    writing.record_opinion(ticket=solved.mail.ticket, score=4, text="quick", contact="boss", at=at - timedelta(days=1))
    return {"open": opened.mail.ticket, "solved": solved.mail.ticket, "account": one.account}
