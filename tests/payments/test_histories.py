"""Random histories of an account against a plain model of it; books, rows and open items compared after every step."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from coulance.payments import operations, queries
from coulance_core.payments import Choice, ItemKind, Method, ReversalKind
from tests.payments.till import ACTOR, AT, DAY, ON, WHY, Customer, customer, eur, faults

ACT: Any = {"actor": ACTOR, "reason": WHY, "at": AT + 5 * DAY}
RANK = {"base": 0, "other": 1, "overage": 2}


@dataclass
class Item:
    """A debt as a bookkeeper keeps it on a card: what it asks for now, and what was set against it."""

    key: tuple[Any, ...]
    asks: int
    paid: dict[int, int] = field(default_factory=dict)  # by receipt

    @property
    def open(self) -> int:
        return self.asks - sum(self.paid.values())


@dataclass
class Slip:
    """A receipt: what it had, what went to prepaid and back to the payer."""

    had: int
    prepaid: int = 0
    refunds: dict[int, int] = field(default_factory=dict)
    drawn: bool = False
    given_up: bool = False
    undone: bool = False


class History(RuleBasedStateMachine):
    """One account, everything on one day."""

    def __init__(self) -> None:
        super().__init__()
        self.mark = transaction.savepoint()
        self.one: Customer = customer("history")
        self.cards: dict[str, Item] = {}
        self.names: dict[str, str] = {}
        self.creditable: dict[str, int] = {}
        self.reclaims: dict[int, str] = {}  # refunds whose payment bounced: the ref of what claims them back
        self.notes: dict[str, tuple[str, int]] = {}  # credit notes that stand: the invoice's ref and what they gave
        self.slips: dict[int, Slip] = {}
        self.turn = 0

    def teardown(self) -> None:
        connection.check_constraints()
        transaction.savepoint_rollback(self.mark)

    def key(self) -> str:
        self.turn += 1
        return f"{self.one.ref}/{self.turn}"

    # --- the model ---

    def left(self, slip: int) -> int:
        one = self.slips[slip]
        used = sum(card.paid.get(slip, 0) for card in self.cards.values())
        return 0 if one.undone else one.had - used - one.prepaid - sum(one.refunds.values())

    def prepaid(self) -> int:
        standing = [slip for slip in self.slips.values() if not slip.undone]
        return sum(slip.prepaid for slip in standing) - sum(slip.had for slip in standing if slip.drawn)

    def divide(self, slip: int, amount: int, first: str | None) -> None:
        order = sorted(self.cards, key=lambda ref: self.cards[ref].key)
        if first is not None:
            order.insert(0, first)
        for ref in order:
            card = self.cards[ref]
            part = min(amount, card.open)
            if part > 0:
                card.paid[slip] = card.paid.get(slip, 0) + part
                amount -= part

    def undo(self, slip: int) -> None:
        self.slips[slip].undone = True
        self.slips[slip].prepaid = 0
        for card in self.cards.values():
            card.paid.pop(slip, None)

    def debts(self) -> list[str]:
        return [ref for ref, card in self.cards.items() if card.open > 0]

    def credit_there(self) -> int:
        return -sum(min(card.open, 0) for card in self.cards.values())

    # --- what happens ---

    @rule(gross=st.integers(1, 9), overage=st.booleans())
    def issue(self, gross: int, overage: bool) -> None:
        name = self.key()
        ref = self.one.invoice(name, gross * 121, overage=overage)
        number = self.one.numbers[name]
        self.names[ref] = name
        due = queries.items_by_number(numbers=[number])[number][0].due_on
        rank = RANK["overage" if overage else "base"]
        self.cards[ref] = Item((rank, due, ON, number, ref), gross * 121)
        self.creditable[ref] = gross * 121

    @rule(cents=st.integers(-900, 900).filter(bool), kind=st.sampled_from(list(RANK)))
    def take_over(self, cents: int, kind: str) -> None:
        source = self.key()
        with transaction.atomic():
            operations.take_over_items(
                account=self.one.id,
                items=[
                    operations.TakenItem(
                        source_key=source,
                        kind=ItemKind(kind),
                        number=source,
                        issued_on=ON - 9 * DAY,
                        due_on=ON,
                        gross=eur(cents * 2),
                        open=eur(cents),
                    )
                ],
                taken_on=ON,
                **ACT,
            )
        ref = queries.items_by_number(numbers=[source])[source][0].ref
        self.cards[ref] = Item((RANK[kind], ON, ON - 9 * DAY, source, ref), cents)

    @precondition(lambda self: self.names)
    @rule(data=st.data(), net=st.integers(1, 9))
    def credit(self, data: st.DataObject, net: int) -> None:
        ref = data.draw(st.sampled_from(sorted(self.names)))
        card = self.cards[ref]
        if self.creditable[ref] >= net * 121:
            note = self.one.credit(self.names[ref], net * 100)
            self.notes[note] = ref, net * 121
            self.creditable[ref] -= net * 121
            card.asks -= net * 121

    @precondition(lambda self: self.notes)
    @rule(data=st.data())
    def take_credit_back(self, data: st.DataObject) -> None:
        """A debt of its own; and the invoice may be credited again."""
        note = data.draw(st.sampled_from(sorted(self.notes)))
        ref, cents = self.notes.pop(note)
        with transaction.atomic():
            number = self.one.debit(note)
        (item,) = queries.items_by_number(numbers=[number])[number]
        self.creditable[ref] += cents
        self.cards[item.ref] = Item((self.cards[ref].key[0], item.due_on, ON, number, item.ref), cents)

    @rule(cents=st.integers(1, 3000), data=st.data(), to_prepaid=st.booleans())
    def pay(self, cents: int, data: st.DataObject, to_prepaid: bool) -> None:
        first = data.draw(st.none() | st.sampled_from(sorted(self.cards))) if self.cards and not to_prepaid else None
        booked = self.one.pays(cents, *([first] if first else []), prepaid=to_prepaid, source_key=self.key())
        self.slips[booked.receipt] = Slip(cents, prepaid=cents if to_prepaid else 0)
        if not to_prepaid:
            self.divide(booked.receipt, cents, first)

    @precondition(lambda self: self.prepaid() > 0)
    @rule(data=st.data())
    def draw(self, data: st.DataObject) -> None:
        cents = data.draw(st.integers(1, self.prepaid()))
        with transaction.atomic():
            booked = operations.draw_prepaid(
                account=self.one.id, amount=eur(cents), drawn_on=ON, source_key=self.key(), **ACT
            )
        self.slips[booked.receipt] = Slip(cents, drawn=True)
        self.divide(booked.receipt, cents, None)

    @precondition(lambda self: any(not slip.undone for slip in self.slips.values()))
    @rule(data=st.data(), kind=st.sampled_from(list(ReversalKind)), reclaim=st.booleans())
    def bounce(self, data: st.DataObject, kind: ReversalKind, reclaim: bool) -> None:
        slip = data.draw(st.sampled_from([n for n, one in sorted(self.slips.items()) if not one.undone]))
        refused = bool(self.slips[slip].refunds) and not reclaim
        gone = [slip]
        short = self.slips[slip].prepaid - self.prepaid()
        if self.slips[slip].prepaid:
            for n in sorted(self.slips, reverse=True):
                one = self.slips[n]
                if short > 0 and one.drawn and not one.undone and not one.refunds:
                    gone.append(n)
                    short -= one.had
            refused = refused or short > 0
        try:
            with transaction.atomic():
                undone = operations.reverse_receipt(receipt=slip, kind=kind, on=ON, reclaim=reclaim, **ACT)
        except operations.UnableToReverseError:
            assert refused
            return
        assert not refused
        assert undone == gone
        for n in gone:
            self.undo(n)
        for made, cents in self.slips[slip].refunds.items():
            number = f"REFUND-{made}"
            ref = queries.items_by_number(numbers=[number])[number][0].ref
            self.reclaims[made] = ref
            self.cards[ref] = Item((RANK["other"], ON, ON, number, ref), cents)

    @precondition(lambda self: any(self.left(n) > 0 for n in self.slips))
    @rule(data=st.data())
    def refund(self, data: st.DataObject) -> None:
        slip = data.draw(st.sampled_from([n for n in sorted(self.slips) if self.left(n) > 0]))
        cents = data.draw(st.integers(1, self.left(slip)))
        with transaction.atomic():
            made = operations.refund(
                receipt=slip,
                amount=eur(cents),
                refunded_on=ON,
                method=Method.CASH,
                source_key=self.key(),
                **ACT,
            )
        self.slips[slip].refunds[made] = cents

    @precondition(lambda self: any(slip.refunds for slip in self.slips.values()))
    @rule(data=st.data())
    def refund_returns(self, data: st.DataObject) -> None:
        there = [(n, made) for n, slip in sorted(self.slips.items()) for made in slip.refunds]
        slip, made = data.draw(st.sampled_from(there))
        with transaction.atomic():
            operations.reverse_refund(refund=made, kind=ReversalKind.RETURNED, on=ON, **ACT)
        del self.slips[slip].refunds[made]
        if (ref := self.reclaims.pop(made, None)) is not None:
            del self.cards[ref]  # and what was paid on it is left over

    @precondition(lambda self: any(card.paid for card in self.cards.values()))
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        rows = [
            row for row in queries.allocations(accounts=[self.one.id]) if row.ref != "prepaid" and row.amount.minor > 0
        ]
        if not rows:
            return
        row = data.draw(st.sampled_from(rows))
        if self.slips[row.receipt].given_up:
            with pytest.raises(operations.UnableToReverseError, match="is a write-off"), transaction.atomic():
                operations.reverse_allocation(allocation=row.id, on=ON, kind=ReversalKind.MISTAKE, **ACT)
            return
        with transaction.atomic():
            operations.reverse_allocation(allocation=row.id, on=ON, kind=ReversalKind.MISTAKE, **ACT)
        card = self.cards[row.ref]
        card.paid[row.receipt] -= row.amount.minor
        if not card.paid[row.receipt]:
            del card.paid[row.receipt]

    @precondition(lambda self: self.debts() and any(self.left(n) > 0 for n in self.slips))
    @rule(data=st.data())
    def allocate(self, data: st.DataObject) -> None:
        slip = data.draw(st.sampled_from([n for n in sorted(self.slips) if self.left(n) > 0]))
        left = self.left(slip)
        with transaction.atomic():
            operations.allocate_receipt(receipt=slip, on=ON, **ACT)
        self.divide(slip, left, None)

    @precondition(lambda self: self.debts())
    @rule(data=st.data())
    def write_off(self, data: st.DataObject) -> None:
        ref = data.draw(st.sampled_from(sorted(self.debts())))
        cents = data.draw(st.integers(1, self.cards[ref].open))
        with transaction.atomic():
            booked = operations.write_off(
                account=self.one.id,
                items=[Choice(ref, eur(cents))],
                on=ON,
                source_key=self.key(),
                currency="EUR",
                **ACT,
            )
        self.slips[booked.receipt] = Slip(cents, given_up=True)
        self.cards[ref].paid[booked.receipt] = cents

    @precondition(lambda self: self.credit_there())
    @rule()
    def credited_write_offs(self) -> None:
        """What was given up and is credited now was never paid: it is no credit. (A write-off here is of one debt.)"""
        credited = [card for card in self.cards.values() if card.open < 0]
        standing = [n for n, slip in sorted(self.slips.items()) if slip.given_up and not slip.undone]
        gone = [(n, card) for n in standing for card in credited if n in card.paid]
        with transaction.atomic():
            undone = operations.undo_credited_write_offs(account=self.one.id, on=ON, **ACT)
        assert undone == [n for n, _ in gone]
        for n, card in gone:
            self.undo(n)
            if cents := min(self.slips[n].had, max(card.open, 0)):
                again = queries.receipt_by_source(source_key=f"again/{n}")
                assert again is not None
                self.slips[again.id] = Slip(cents, given_up=True)
                card.paid[again.id] = cents

    @precondition(lambda self: self.credit_there() and self.debts())
    @rule()
    def set_off(self) -> None:
        self.credited_write_offs()
        owed = sum(self.cards[ref].open for ref in self.debts())
        moved = min(self.credit_there(), owed)
        try:
            with transaction.atomic():
                booked = operations.apply_credit(
                    account=self.one.id, currency="EUR", on=ON, source_key=self.key(), **ACT
                )
        except operations.UnableToAllocateError:
            assert moved == 0
            return
        left = moved
        sources = [ref for ref in self.cards if self.cards[ref].open < 0]
        for ref in sorted(sources, key=lambda r: (self.cards[r].key[2], self.cards[r].key[3], r)):
            part = min(left, -self.cards[ref].open)
            if part:
                self.cards[ref].paid[booked.receipt] = -part
                left -= part
        self.slips[booked.receipt] = Slip(0)
        self.divide(booked.receipt, moved, None)

    @invariant()
    def books_and_model_agree(self) -> None:
        assert self.one.open() == {ref: card.open for ref, card in self.cards.items() if card.open}
        owed = sum(card.open for card in self.cards.values())
        on_hand = sum(self.left(n) for n in self.slips)
        assert self.one.stands() == (owed, on_hand, self.prepaid())
        for n, slip in self.slips.items():
            found = queries.receipt(receipt=n)
            assert (found.left.minor, found.reversed_on is not None) == (self.left(n), slip.undone)
        assert faults() == []


def test_random_histories_agree_with_a_model(db: Any) -> None:
    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=8, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
