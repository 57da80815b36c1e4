"""A generated year of a provider: debits that come and come back, cards that are charged back, payouts, transfers.

Deterministic from a seed. What happened is tallied beside the program, in plain integers; at the end of the year the
books must say the same to the cent: every account's balance, the statements of account, the bank, what gateways hold.
"""

from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from django.db import connection

from coulance.flows.rails import direct_debit, paying
from coulance.ledger.check import check_ledger
from coulance.payments import charging, collections, statements, told
from coulance.payments import queries as payments
from coulance_core.kernel import Money
from coulance_core.payments.bank import BankEntry
from coulance_core.payments.direct_debit import CollectionState, is_target_day
from tests.payments.till import Customer, eur, faults
from tests.rails import world
from tests.rails.answers import batch, pain002, payment, reads
from tests.rails.fakes import FakeMollie, FakeStripe
from tests.rails.world import ACTOR, Bank, arrives, at, back, credit, payer, signs

START = date(2026, 11, 4)
MONTHS = 12
CODES = ("AM04", "MS03", "MD06", "AC04", "MD01")


class Year:
    """The provider's year: who pays how, and what it comes to."""

    def __init__(self, folder: Path, stripe: FakeStripe, mollie: FakeMollie, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.bank = Bank(folder)
        self.stripe, self.mollie = stripe, mollie
        self.due: dict[int, int] = defaultdict(int)
        """By account: billed less what came and stayed."""
        self.in_bank = self.returns = self.refusals = self.handed = 0
        self.debtors = [payer("debit") for _ in range(3)]
        self.cards = [(payer("card"), "stripe") for _ in range(2)] + [(payer("ideal"), "mollie") for _ in range(2)]
        self.movers = [payer("move")]

    @property
    def everybody(self) -> list[Customer]:
        return [*self.debtors, *(who for who, _ in self.cards), *self.movers]

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def month(self, first: date) -> None:
        for who in self.everybody:
            cents = 121 * int(self.rng.integers(5, 60))
            who.invoice(f"{first}", cents, overage=self.chance(0.4), on=first)
            self.due[who.id] += cents
        self._debits(first)
        for who, name in self.cards:
            self._card(who, name, first + timedelta(days=6))
        for who in self.movers:
            self._transfer(who, _open_day(first + timedelta(days=9)))
        self._payouts(first + timedelta(days=20))

    def _debits(self, first: date) -> None:
        for who in self.debtors:
            signs(who, first)  # anew, where a bank ended it
        for row in direct_debit.plan_due(on=first, actor=ACTOR, at=at(first)).made:
            if not self.chance(0.05):  # some announcements are lost: those are called off
                arrives(row.message_key, at(first, 10))
        day = first
        returned: list[tuple[date, BankEntry]] = []
        for _ in range(6):  # twice a week is often enough
            day = _open_day(day + timedelta(days=4))
            for run in direct_debit.file_due(on=day, actor=ACTOR, at=at(day)).runs:
                direct_debit.hand_over(run=run.id, actor=ACTOR, at=at(day))
                self._answers(run.id, run.reference, day)
            entries = [entry for when, entry in returned if when <= day]
            returned = [(when, entry) for when, entry in returned if when > day]
            for row in collections.collections(states=[CollectionState.HANDED]):
                if row.collect_on > day:
                    continue
                entries.append(credit(row, day))
                if self.chance(0.3):
                    self.returns += 1
                    code = CODES[self.returns % len(CODES)]
                    returned.append((_open_day(day + timedelta(days=2)), back(row, day + timedelta(days=2), code)))
            self._statement(day, entries)
            for row in collections.collections(states=[CollectionState.PLANNED]):
                if row.attempt > 1 and row.planned_at.date() == day:
                    arrives(row.message_key, at(day, 20))
        for when, entry in returned:
            self._statement(when, [entry])

    def _answers(self, run: int, reference: str, day: date) -> None:
        """The bank refuses every seventh before its day; twice, as some do."""
        for row in collections.collections(run=run):
            self.handed += 1
            if self.handed % 7 == 0:
                self.refusals += 1
                code = CODES[self.refusals % len(CODES)]
                said = pain002(reference, batch("B", "PART", payments=[payment(row.end_to_end_id, "RJCT", code)]))
                for again in (said, said.replace(b">R1<", b">R2<")):
                    reads(again, when=at(day, 15))

    def _statement(self, day: date, entries: list[BankEntry]) -> None:
        if not entries:
            return
        dated = [BankEntry(**{**_fields(entry), "booked_on": day, "value_on": day}) for entry in entries]
        report = self.bank.says(*dated, day=day)
        assert {one.outcome for one in report.judged} <= {"booked", "reversed", "ignored"}, report.judged
        owner = {row.end_to_end_id: row.account for row in collections.collections()}
        for entry in dated:
            self.in_bank += entry.amount.minor
            if entry.end_to_end_id in owner:
                self.due[owner[entry.end_to_end_id]] -= entry.amount.minor

    def _card(self, who: Customer, name: str, day: date) -> None:
        items = [i for i in payments.open_items(accounts=[who.id]).get(who.id, ()) if i.open.minor > 0]
        if not items or self.chance(0.1):
            return
        whole = sum((item.open for item in items), Money(0, "EUR"))
        begun = paying.start(
            account=who.id, name=name, amount=whole, numbers=[(i.ref, i.number) for i in items],
            return_url="https://x.example/", language="en", actor="contact:desk", at=at(day),
        ).payment  # fmt: skip
        fake = self.stripe if name == "stripe" else self.mollie
        fake.now = at(day)
        fake.pay(begun.refs[0])
        row = paying.refresh(payment=begun.id, at=at(day, 10))
        self.due[who.id] -= whole.minor
        what = self.rng.random()
        later = day + timedelta(days=5)
        fake.now = at(later)
        if what < 0.2:
            paid_back = int(self.rng.integers(1, whole.minor))
            paying.refund(payment=row.id, amount=eur(paid_back), actor=ACTOR, reason="agreed", at=at(later))
            self.due[who.id] += paid_back
        elif what < 0.4 and name == "stripe":
            lost = self.stripe.dispute(row.refs[1])
            paying.refresh(payment=row.id, at=at(later))
            self.due[who.id] += whole.minor
            if self.chance(0.5):
                self.stripe.win(lost["id"])
                paying.refresh(payment=row.id, at=at(later, 12))
                self.due[who.id] -= whole.minor
        elif what < 0.4:
            self.mollie.chargeback(row.refs[0])
            paying.refresh(payment=row.id, at=at(later))
            self.due[who.id] += whole.minor

    def _transfer(self, who: Customer, day: date) -> None:
        items = [i for i in payments.open_items(accounts=[who.id]).get(who.id, ()) if i.open.minor > 0]
        cents = sum(item.open.minor for item in items)
        cents = max(cents - int(self.rng.integers(0, 3)) * 100, 1)  # in part, sometimes
        text = " ".join(item.number for item in items)
        report = self.bank.says(BankEntry(day, eur(cents), value_on=day, remittance=text), day=day)
        assert report.count("booked") == 1
        self.in_bank += cents
        self.due[who.id] -= cents

    def _payouts(self, day: date) -> None:
        self.stripe.now = self.mollie.now = at(day)
        self.stripe.payout(day)
        self.mollie.settle()
        for name in ("stripe", "mollie"):
            paying.read_payouts(name=name, since=day - timedelta(days=1), at=at(day))


def _fields(entry: BankEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__dataclass_fields__}


def _open_day(day: date) -> date:
    while not is_target_day(day):
        day += timedelta(days=1)
    return day


def test_a_year_of_payments_returns_and_chargebacks_reconciles(
    db: Any, tmp_path: Path, stripe: FakeStripe, mollie: FakeMollie
) -> None:
    world.provider(tmp_path / "provider")
    year = Year(tmp_path, stripe, mollie, seed=20261122)
    first = START
    for _ in range(MONTHS):
        year.month(first)
        first = (first.replace(day=1) + timedelta(days=40)).replace(day=4)

    # every account owes what the tally says; its open items and its statement say the same
    for who in year.everybody:
        owed, on_hand, prepaid = who.stands()
        assert (owed - on_hand, prepaid) == (year.due[who.id], 0)
        assert sum(who.open().values()) == owed
        said = statements.account_statement(account=who.id, currency="EUR", start=START, end=first + timedelta(days=60))
        assert said.closing.minor == year.due[who.id]
    # money is where it is: at the bank, and with the gateways until they pay out
    with connection.cursor() as cursor:
        cursor.execute("SELECT account, sum(amount)::bigint FROM ledger_posting GROUP BY 1")
        books = dict(cursor.fetchall())
        cursor.execute("SELECT coalesce(sum(net), 0), coalesce(sum(fees), 0) FROM payments_gateway_payout")
        paid_out, kept = map(int, cursor.fetchone())
    assert books["cash:bank"] == year.in_bank + paid_out
    assert (books["cash:stripe"], books["cash:mollie"]) == (stripe.held, mollie.held)
    assert books["fees:stripe"] + books["fees:mollie"] == kept
    assert sum(books.values()) == 0
    assert [payout.strange for payout in told.payouts() if payout.strange] == []
    assert [row.state for row in charging.payments(states=charging.LIVE)] == []
    # and it was a year in which everything happened
    codes = {row.return_code for row in collections.collections() if row.return_code}
    assert len(codes) >= 4
    assert {CollectionState.REFUSED, CollectionState.RETURNED} <= {row.state for row in collections.collections()}
    assert {row.attempt for row in collections.collections()} >= {1, 2}
    assert faults() == []
    assert [str(fault) for fault in check_ledger()] == []
