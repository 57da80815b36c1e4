"""A bill and what is done about it, one sentence at a time: contested, asked, answered, decided, paid."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.db import connection

from coulance.customers import operations as customers
from coulance.customers import queries as customer_rows
from coulance.disputes import queries as cases
from coulance.disputes.check import check_disputes
from coulance.flows import payments as money
from coulance.flows.disputing import acting, deciding, opening
from coulance.flows.disputing.deciding import Choice
from coulance.invoicing import queries as invoicing
from coulance.ledger.check import check_ledger
from coulance.notices import evidence, outcomes
from coulance.notices import operations as notices
from coulance.notices import queries as sent
from coulance.payments import queries as payments
from coulance.payments.check import check_payments
from coulance.payments.operations import NewReceipt
from coulance_core.disputes import Contest, Grounds, Outcome, Way
from coulance_core.kernel import Money, exact
from coulance_core.notices import EvidenceKind
from coulance_core.payments import Method
from tests.closing.world import World
from tests.overage.fair import TABLES

ANNA = acting.operator("operator:anna")
OPENED = datetime(2026, 7, 6, 10, tzinfo=UTC)
WHY = "those 2000 GB were not ours"


def eur(text: str) -> Money:
    """An amount in euros."""
    return Money.of(Decimal(text), "EUR")


def later(days: float) -> datetime:
    """So many days after the case was opened."""
    return OPENED + timedelta(days=days)


@dataclass
class Court:
    """A customer (`boss` and `desk`), their overage invoice, and the provider's operator anna."""

    world: World
    account: int
    number: str

    @classmethod
    def of(cls, folder: Path) -> "Court":
        """The customer acme, whose server used 3000 GB of 1000 in June; and contacts."""
        world = World(folder).provider(extra='email = "hulp@polder.example"\n', rest=TABLES).account()
        world.service("vps-1", "vps-s", "2026-06-01", meter="traffic").use("vps-1", {"2026-06-15": 3000})
        world.close("2026-06")
        people("acme")
        return cls(world, customer_rows.account("acme").id, "V2026-0001")

    def terms(self, table: str) -> None:
        """The provider's file from now on, with this table of disputes."""
        self.world.provider(extra='email = "hulp@polder.example"\n', rest=TABLES, more=table)

    @property
    def boss(self) -> acting.Actor:
        """The customer, signed in."""
        return acting.customer(account=self.account, contact="boss")

    @property
    def document(self) -> int:
        """The invoice's id."""
        return invoicing.document(number=self.number).row.id

    def opens(self, *contests: Contest, at: datetime = OPENED, actor: acting.Actor | None = None, **given: Any) -> int:
        """Contest it (without contests: line 1 as a whole); the case."""
        facts: dict[str, Any] = {"grounds": Grounds.QUANTITY, "reason": WHY, **given}
        made = opening.open_dispute(
            document=self.document, contests=contests or (Contest(1),), actor=actor or self.boss, at=at, **facts
        )
        connection.check_constraints()
        return made.case

    def decides(self, case: int, outcome: str, at: datetime | None = None, **given: Any) -> deciding.Decided:
        """Anna decides."""
        choice = Choice(Outcome(outcome), **given)
        done = deciding.decide_case(case=case, choice=choice, reason="we looked", actor=ANNA, at=at or later(3))
        connection.check_constraints()
        return done

    def pays(self, amount: str, *choice: str, on: date = date(2026, 7, 8)) -> Any:
        """Money by bank; the choice names documents."""
        named = money.choices(account=self.account, named=[(one, None) for one in choice])
        one = NewReceipt(
            account=self.account, amount=eur(amount), received_on=on, method=Method.BANK, source_key=f"t/{uuid4()}",
            reason="as on the statement", choice=tuple(named),
        )  # fmt: skip
        (booked,) = money.book_payments(receipts=[one], actor="operator:anna", at=later(4))
        connection.check_constraints()
        return booked

    def stands(self, number: str = "") -> str:
        """An invoice's open and held amounts: "242.00 of which 121.00 held"."""
        wanted = number or self.number
        for item in payments.items(account=self.account):
            if item.number == wanted:
                held = f" of which {item.held.decimal()} held" if item.held is not None else ""
                return f"{item.open.decimal()}{held}"
        raise AssertionError(f"no item {wanted}")

    def on_hand(self) -> str:
        """Money that is allocated to nothing."""
        return payments.unallocated(account=self.account, currency="EUR").decimal()

    def state(self, case: int, at: datetime | None = None) -> str:
        """Where a case stands."""
        return cases.case(case, at=at or later(1)).state.value

    def arrives(self, case: int, step: int, at: datetime) -> None:
        """The mails of a step are taken in by verified mailboxes."""
        for number in self._deliveries(case, step):
            row = sent.delivery(number)
            assert row is not None
            notices.verify_address(account=self.account, address=row.address, how="test", actor="test", at=OPENED)
            accept(number, at)

    def _deliveries(self, case: int, step: int) -> list[int]:
        found = cases.case(case, at=later(400)).steps[step - 1]
        return [number for key in found.messages for number in sent.deliveries_of(key=key)]

    def mails(self, case: int) -> list[str]:
        """Subjects of what was told of a case, to boss, oldest first."""
        rows = sent.messages(account=self.account, about=f"dispute/{case}", limit=100)[::-1]
        return [row.subject for row in rows if row.contact_ref == "boss"]

    def link(self, case: int) -> str:
        """The path of the link in the newest mail to boss."""
        row = next(r for r in sent.messages(account=self.account, about=f"dispute/{case}") if r.contact_ref == "boss")
        text = sent.text_of(message=row.message)
        assert text is not None
        found = re.search(r"https://billing\.example\.nl(/contest/\S+)", text.text)
        assert found is not None, text.text
        return found[1]

    def audit(self) -> list[str]:
        """What the audits of disputes and payments find wrong, and whether the journal adds up."""
        connection.check_constraints()
        return [str(one) for one in (*check_disputes(), *check_payments(), *check_ledger())]


def people(ref: str) -> None:
    """The contacts boss (owner) and desk (technical)."""
    for name, role in (("boss", "owner"), ("desk", "technical")):
        customers.put_contact(
            account=ref, external_id=name, name=name.title(), email=f"{name}@{ref}.example", roles=[role],
            may_incur_cost=role == "owner", language="en", channels=["email"],
        )  # fmt: skip


def accept(delivery: int, at: datetime) -> None:
    """A server took it in."""
    (of,) = outcomes.known([delivery])
    evidence.record([outcomes.piece(of, EvidenceKind.ACCEPTED, at=at, fact={})], at=at)


def whole() -> Contest:
    """All of line 1."""
    return Contest(1)


def part(amount: str) -> Contest:
    """So much of line 1, before tax."""
    return Contest(1, Way.AMOUNT, amount=eur(amount))


def quantity(text: str) -> Contest:
    """So many GB of line 1."""
    return Contest(1, Way.QUANTITY, quantity=exact(text))


def half() -> Fraction:
    """A half."""
    return Fraction(1, 2)


__all__ = ["ANNA", "OPENED", "Court", "EvidenceKind", "accept", "eur", "half", "later", "part", "quantity", "whole"]
