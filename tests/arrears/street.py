"""A debt and what is done about it, one sentence at a time: days pass, mail arrives or comes back, people act."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from coulance.arrears import queries as records
from coulance.arrears.queries import ActRow
from coulance.customers import operations as customers
from coulance.customers import queries as customer_rows
from coulance.enforcement import queries as register
from coulance.flows import payments as money
from coulance.flows.arrears import people
from coulance.flows.arrears.checking import check_arrears
from coulance.flows.arrears.running import Ran, run_arrears
from coulance.notices import evidence, outcomes
from coulance.notices import operations as notices
from coulance.notices import queries as sent
from coulance.payments import queries as payments
from coulance.payments.operations import NewReceipt
from coulance.services import queries as services
from coulance_core.enforcement.restrictions import Source
from coulance_core.kernel import Money
from coulance_core.notices import EvidenceKind
from coulance_core.payments import Method, ReversalKind
from tests.closing.world import WITHOUT_PLANS, World
from tests.support.tables import traffic_plan

ZONE = ZoneInfo("Europe/Amsterdam")
ANNA, BEN = "operator:anna", "operator:ben"
ON = '[arrears]\nmode = "enforce"\nno_data = ["colo"]\n'
PLANS = "".join(
    [
        traffic_plan("vps", "VPS", base="100.00 EUR/month", included="100 GB", price="0.10 EUR/GB"),
        traffic_plan("colo", "Colo port", base="100.00 EUR/month", included="100 GB", price="0.10 EUR/GB"),
    ]
)


def at(day: str, hour: float = 9.5) -> datetime:
    """An hour of a day in Amsterdam."""
    local = datetime.combine(date.fromisoformat(day), time(), ZONE) + timedelta(hours=hour)
    return local.astimezone(UTC)


def eur(text: str) -> Money:
    """An amount in euros."""
    return Money.of(Decimal(text), "EUR")


@dataclass
class Street:
    """The customer, their services, and what of their mail arrives."""

    world: World
    account: int
    bounces: set[str] = field(default_factory=set)
    taken: set[int] = field(default_factory=set)
    backs_up: bool = True

    @classmethod
    def of(cls, folder: Path, *, arrears: str = ON, **account: Any) -> "Street":
        """Acme on the plan vps since June, billed in advance; boss (owner) and desk (technical) read mail."""
        world = World(folder).provider(
            extra='email = "hulp@polder.example"\n', rest=WITHOUT_PLANS + PLANS, more=arrears
        )
        world.account(**account)
        for name, role in (("boss", "owner"), ("desk", "technical")):
            customers.put_contact(
                account="acme", external_id=name, name=name.title(), email=f"{name}@acme.example", roles=[role],
                may_incur_cost=role == "owner", language="en", channels=["email"],
            )  # fmt: skip
        made = cls(world, customer_rows.account("acme").id)
        for name in ("boss", "desk"):
            notices.verify_address(
                account=made.account, address=f"{name}@acme.example", how="test", actor="test", at=at("2026-05-01")
            )
        world.service("vps-1", "vps", "2026-06-01", meter="traffic")
        return made

    def off(self) -> None:
        """The provider applies a file without [arrears]."""
        self.world.provider(extra='email = "hulp@polder.example"\n', rest=WITHOUT_PLANS + PLANS)

    def billed(self, month: str = "2026-05", *, mailed: bool = True) -> str:
        """Close a month and mail what was issued, the same day; the number of the newest base invoice."""
        self.world.close(month)
        rows = [row for row in self.documents() if row.number and row.number.startswith("B")]
        when = datetime.combine(rows[-1].issued_on, time(10), ZONE).astimezone(UTC)
        if mailed:
            # As sending does it, without its e-invoices: story 4 sends for real.
            notices.queue_message(
                key=f"document/{rows[-1].id}", account=self.account, kind="document",
                to=[notices.Recipient("boss@acme.example", "Boss", "boss")], language="en", subject="Invoice",
                text="Your invoice", at=when, about=f"document/{rows[-1].id}",
            )  # fmt: skip
            self.mail(when)
        return rows[-1].number or ""

    def documents(self) -> list[Any]:
        """The account's documents, oldest first."""
        from tests.closing.world import documents_of

        return documents_of("acme")

    @transaction.atomic
    def mail(self, when: datetime) -> None:
        """What waits is taken by its server, or comes back; letters wait for a person."""
        for row in sent.messages(account=self.account, limit=10_000):
            if row.id in self.taken or row.copy:
                continue
            self.taken.add(row.id)
            (of,) = outcomes.known([row.id])
            kind = EvidenceKind.BOUNCED if row.address in self.bounces else EvidenceKind.ACCEPTED
            if of.channel == "post":
                continue
            evidence.record([outcomes.piece(of, EvidenceKind.ACCEPTED, at=when, fact={})], at=when)
            if kind is EvidenceKind.BOUNCED:
                evidence.record([outcomes.piece(of, kind, at=when + timedelta(minutes=5), fact={})], at=when)

    def run(self, when: datetime) -> Ran:
        """Judge and act, as the job does; mail goes out, backups are made by hand the same day."""
        ran = run_arrears(at=when, accounts=[self.account])
        assert not ran.failed, ran.failed
        connection.check_constraints()
        self.mail(when + timedelta(minutes=1))
        for task in records.tasks(accounts=[self.account], kind="back_up"):
            if self.backs_up:
                later = when + timedelta(hours=1)
                people.record_backup(
                    account=self.account, service=task.ref, made_at=later, how="by hand", actor=ANNA, at=later,
                    verified_how="restored the home directories and compared them",
                )  # fmt: skip
                people.finish_task(task=task.id, actor=ANNA, note="done", at=later)
        return ran

    def until(self, day: str, *, since: str) -> "Street":
        """Each day from `since` up to and with `day`, at half past nine; days on which time changes nothing are left
        out, by the case's own word."""
        on = date.fromisoformat(since)
        while on <= date.fromisoformat(day):
            ran = self.run(at(on.isoformat()))
            on += timedelta(days=1)
            case = records.case(self.account)
            if case is not None and case.wake is not None and not (ran.done or ran.undone or ran.failed):
                on = max(on, case.wake.astimezone(ZONE).date())
        return self

    def pays(self, amount: str, when: datetime, *choice: str) -> int:
        """Money by bank; the choice names documents. The receipt."""
        named = money.choices(account=self.account, named=[(one, None) for one in choice])
        one = NewReceipt(
            account=self.account, amount=eur(amount), received_on=when.astimezone(ZONE).date(), method=Method.BANK,
            source_key=f"t/{uuid4()}", reason="as on the statement", choice=tuple(named),
        )  # fmt: skip
        (booked,) = money.book_payments(receipts=[one], actor=ANNA, at=when)
        connection.check_constraints()
        return booked.receipt

    def returned(self, receipt: int, when: datetime) -> None:
        """The payer's bank takes it back."""
        money.reverse_payment(
            receipt=receipt, kind=ReversalKind.BOUNCED, on=when.astimezone(ZONE).date(), actor=ANNA,
            reason="returned by the payer's bank", at=when,
        )  # fmt: skip

    def approved(self, step: str, when: datetime, *by: str, service: str = "vps-1") -> None:
        """People say yes to a step."""
        for one in by or (ANNA, BEN):
            people.approve(
                account=self.account, step=step, service=service, actor=one, reason="looked at the case", at=when
            )

    # What came of it

    def acts(self, *, undone: bool = False) -> list[ActRow]:
        """What was done, and stands (or was undone too)."""
        return [row for row in records.acts(account=self.account) if undone or row.undone_at is None]

    def story(self) -> list[str]:
        """What was done, in order: "06-23 reminder", and "; lifted 07-20 paid" where it was undone."""
        out = []
        for row in records.acts(account=self.account):
            said = f"{row.at.astimezone(ZONE):%m-%d} {row.step}"
            if row.undone_at is not None:
                said += f"; lifted {row.undone_at.astimezone(ZONE):%m-%d} {row.ground}"
            out.append(said)
        return out

    def steps(self) -> list[str]:
        """The steps that were done, in order."""
        return [row.step for row in records.acts(account=self.account)]

    def held(self) -> dict[str, str]:
        """What is held up now, and by what."""
        return {row.step: row.code for row in records.held_up(accounts=[self.account])}

    def restricted(self) -> list[str]:
        """What arrears restrict of the network now."""
        found = register.restrictions(services=[services.service("vps-1").id])
        return sorted(row.restriction.action.value for row in found if row.restriction.source is Source.ARREARS)

    def subjects(self) -> list[str]:
        """Subjects of what arrears wrote to boss, oldest first."""
        rows = sent.messages(account=self.account, limit=1000)[::-1]
        return [row.subject for row in rows if row.contact_ref == "boss" and row.about.startswith("arrears/")]

    def owed(self) -> str:
        """All that is open, in euros."""
        items = payments.open_items(accounts=[self.account]).get(self.account, ())
        return sum((item.open for item in items), eur("0")).decimal()

    def debts(self) -> list[str]:
        """The refs of what is open."""
        return [item.ref for item in payments.open_items(accounts=[self.account]).get(self.account, ())]

    def audit(self) -> list[str]:
        """What the audit of the second law finds."""
        connection.check_constraints()
        return [str(fault) for fault in check_arrears()]


def days(first: str, count: int) -> Iterable[str]:
    """So many civil days from `first`."""
    start = date.fromisoformat(first)
    return ((start + timedelta(days=n)).isoformat() for n in range(count))
