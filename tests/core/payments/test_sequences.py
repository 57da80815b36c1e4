"""Random sequences of what money does to an account: the journal sums to zero, and statements to the journal.

A plain tally in integers decides what must be so; the entries are those that the product books. A part of the
sequences run here; `COULANCE_SEQUENCES=100000` runs them all.
"""

import os
import random
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta

from coulance_core.kernel import Money
from coulance_core.ledger import RECEIVABLE, UNALLOCATED, Entry, EntryKind, Posting
from coulance_core.payments import (
    AllocationPolicy,
    ItemKind,
    Method,
    OpenItem,
    Row,
    RowKind,
    allocate,
    allocation_entry,
    receipt_entry,
    reclaim_entry,
    refund_entry,
    statement_of_account,
)

COUNT = int(os.environ.get("COULANCE_SEQUENCES", "5000"))
START = date(2026, 1, 1)
PARTY = bytes(16)
POLICIES = list(AllocationPolicy)
MONEY = (Method.BANK, Method.CARD, Method.STRIPE)


def eur(cents: int) -> Money:
    return Money(cents, "EUR")


@dataclass
class Slip:
    """A receipt: how it came, how much, what is left of it, and what it paid."""

    method: Method
    cents: int
    left: int
    paid: dict[str, int]


class Books:
    """One account: what is open by item, what is left of each receipt, and the entries so far."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.entries: list[Entry] = []
        self.rows: list[Row] = []
        self.open: dict[str, int] = {}
        self.slips: list[Slip] = []
        self.prepaid = 0
        self.day = START

    def post(self, entry: Entry | None) -> None:
        assert entry is not None
        assert sum(one.amount for one in entry.postings) == 0, "every entry sums to zero"
        self.entries.append(entry)
        effect = sum(one.amount for one in entry.postings if one.account in (RECEIVABLE, UNALLOCATED))
        if effect:
            self.rows.append(Row(self.day, RowKind.PAYMENT, "", eur(effect), eur(effect), entry.source))

    def bill(self) -> None:
        cents, name = self.draw.randint(1, 9999), f"i{len(self.entries)}"
        postings = (Posting(RECEIVABLE, cents, "EUR"), Posting("revenue:base", -cents, "EUR"))
        self.post(Entry(PARTY, EntryKind.INVOICE, name, self.day, postings))
        self.open[name] = cents

    def pay(self, method: Method, cents: int, only: str = "") -> None:
        source = f"r{len(self.entries)}"
        self.post(receipt_entry(method, eur(cents), party=PARTY, source=source, on=self.day))
        items = [
            OpenItem(ref, 1, ItemKind.BASE, ref, START, START, eur(cents_), eur(cents_))
            for ref, cents_ in self.open.items()
            if cents_ and only in ("", ref)
        ]
        done = allocate(eur(cents), items, on=self.day, policy=self.draw.choice(POLICIES))
        paid: dict[str, int] = {}
        for part in done.parts:
            name = f"a{len(self.entries)}"
            self.post(allocation_entry(method, part.amount, prepaid=False, party=PARTY, source=name, on=self.day))
            self.open[part.ref] -= part.amount.minor
            paid[part.ref] = part.amount.minor
        self.slips.append(Slip(method, cents, done.rest.minor, paid))

    def write_off(self) -> None:
        if owed := [ref for ref, cents in self.open.items() if cents]:
            ref = self.draw.choice(owed)
            self.pay(Method.WRITE_OFF, self.draw.randint(1, self.open[ref]), ref)

    def fill(self) -> None:
        if one := self._with_left():
            cents, name = self.draw.randint(1, one.left), f"p{len(self.entries)}"
            self.post(allocation_entry(one.method, eur(cents), prepaid=True, party=PARTY, source=name, on=self.day))
            one.left -= cents
            self.prepaid += cents

    def pay_from_balance(self) -> None:
        if cents := min(self.prepaid, sum(self.open.values())):
            self.prepaid -= cents
            self.pay(Method.PREPAID, cents)

    def pay_back(self) -> None:
        if one := self._with_left():
            cents, name = self.draw.randint(1, one.left), f"f{len(self.entries)}"
            self.post(refund_entry(one.method, eur(cents), party=PARTY, source=name, on=self.day))
            one.left -= cents
            if self.draw.random() < 0.3:  # the payment bounces meanwhile: what went back is owed
                name = f"c{len(self.entries)}"
                self.post(reclaim_entry(eur(cents), party=PARTY, source=name, on=self.day))
                self.open[name] = cents
                one.left += cents

    def take_back(self) -> None:
        """Undo the last receipt, a write-off too, unless something of it went on: each of its entries is reversed."""
        if not self.slips or self.slips[-1].left != self.slips[-1].cents - sum(self.slips[-1].paid.values()):
            return
        one = self.slips.pop()
        for ref, part in one.paid.items():
            made = allocation_entry(one.method, eur(part), prepaid=False, party=PARTY, source="a", on=self.day)
            self._reverse(made)
            self.open[ref] += part
        self._reverse(receipt_entry(one.method, eur(one.cents), party=PARTY, source="r", on=self.day))
        if one.method is Method.PREPAID:
            self.prepaid += one.cents

    def _reverse(self, entry: Entry | None) -> None:
        assert entry is not None
        postings = tuple(Posting(one.account, -one.amount, one.currency) for one in entry.postings)
        self.post(Entry(PARTY, EntryKind.ADJUSTMENT, f"u{len(self.entries)}", self.day, postings))

    def _with_left(self) -> Slip | None:
        some = [one for one in self.slips if one.method in MONEY and one.left > 0]
        return self.draw.choice(some) if some else None

    def check(self) -> None:
        sums: Counter[str] = Counter()
        for entry in self.entries:
            for one in entry.postings:
                sums[one.account] += one.amount
        assert sum(sums.values()) == 0
        assert sums[RECEIVABLE] == sum(self.open.values())
        assert -sums[UNALLOCATED] == sum(one.left for one in self.slips)
        assert -sums["prepaid"] == self.prepaid
        closing = eur(sums[RECEIVABLE] + sums[UNALLOCATED])
        items = [
            OpenItem(ref, 1, ItemKind.BASE, ref, START, START, eur(cents), eur(cents))
            for ref, cents in self.open.items()
            if cents
        ]
        end = self.day + timedelta(days=1)
        made = statement_of_account(
            self.rows, start=START, end=end, currency="EUR", closing=closing, prepaid=eur(self.prepaid), items=items,
            on=self.day,
        )  # fmt: skip
        assert made.closing == made.opening + sum((row.row.effect for row in made.rows), eur(0)) == closing
        assert made.ages.due == closing


def test_the_books_of_random_sequences_sum_to_zero_and_their_statements_to_the_books() -> None:
    draw = random.Random(20261122)
    for _ in range(COUNT):
        books = Books(draw)
        for _ in range(draw.randint(3, 7)):
            books.day += timedelta(days=draw.randint(0, 9))
            match draw.randrange(9):
                case 0 | 1:
                    books.bill()
                case 2 | 3:
                    books.pay(draw.choice(MONEY), draw.randint(1, 9999))
                case 4:
                    books.write_off()
                case 5:
                    books.pay_back()
                case 6:
                    books.fill()
                case 7:
                    books.pay_from_balance()
                case _:
                    books.take_back()
        books.check()
