"""Dividing an amount over debts: conserved to the cent whatever comes, in the order that each policy names."""

import itertools
from datetime import date, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coulance_core.catalog.paying import LawOrder
from coulance_core.kernel import CurrencyMismatchError, Money
from coulance_core.payments import (
    Allocation,
    AllocationError,
    AllocationPolicy,
    Choice,
    ItemKind,
    OpenItem,
    Order,
    allocate,
    order_for,
    set_off,
)

DAY = date(2026, 11, 1)
BY_PACK = [order_for(AllocationPolicy.LAW_PACK, law, "xx@2026-07-01") for law in LawOrder]
POLICIES: list[Order] = [*AllocationPolicy, *BY_PACK]


def item(ref: str, cents: int, kind: str = "base", due: int = 0, issued: int = -14, code: str = "EUR") -> OpenItem:
    """A debt of so many cents, due so many days after the day of payment."""
    money = Money(cents, code)
    days = DAY + timedelta(days=issued), DAY + timedelta(days=due)
    return OpenItem(ref, 1, ItemKind(kind), ref.upper(), *days, gross=money, open=money)


def eur(cents: int) -> Money:
    return Money(cents, "EUR")


def shown(done: Allocation) -> dict[str, int]:
    return {part.ref: part.amount.minor for part in done.parts}


# Debts (name: kind, due, issued), and the order in which 1 cent more each time pays them.
DEBTS = {
    "late_overage": item("late_overage", 100, "overage", due=-30, issued=-60),
    "old_base": item("old_base", 100, "base", due=-20, issued=-50),
    "taken": item("taken", 100, "other", due=-40, issued=-90),
    "base_early_due": item("base_early_due", 100, "base", due=-25, issued=-40),
    "next_base": item("next_base", 100, "base", due=10, issued=-70),
}
ORDERS = {
    "base_before_overage": ["base_early_due", "old_base", "next_base", "taken", "late_overage"],
    "due_then_oldest": ["taken", "late_overage", "old_base", "base_early_due", "next_base"],
    "oldest": ["taken", "next_base", "late_overage", "old_base", "base_early_due"],
}


@pytest.mark.parametrize("policy", ORDERS)
def test_policies_pay_in_their_order(policy: str) -> None:
    for paid in range(1, 6):
        done = allocate(eur(paid * 100), DEBTS.values(), on=DAY, policy=AllocationPolicy(policy))
        assert list(shown(done)) == ORDERS[policy][:paid]


def test_the_choice_comes_first_and_may_name_amounts() -> None:
    done = allocate(
        eur(250), DEBTS.values(), on=DAY, choice=[Choice("late_overage", eur(60)), "next_base", "nothing_there"]
    )
    assert shown(done) == {"late_overage": 60, "next_base": 100, "base_early_due": 90}
    assert done.unmet == ("nothing_there",)
    kept = allocate(eur(250), DEBTS.values(), on=DAY, choice=["old_base"], beyond_choice=False)
    assert (shown(kept), kept.rest) == ({"old_base": 100}, eur(150))
    assert "not open: nothing_there" in done.explanation.render()


def test_shares_are_pro_rata_with_cents_to_the_largest_remainders() -> None:
    debts = [item("a", 100), item("b", 100), item("c", 100)]
    assert shown(allocate(eur(100), debts, on=DAY, policy=AllocationPolicy.PRO_RATA)) == {"a": 34, "b": 33, "c": 33}
    # 10 over 7 : 2 : 1 of 1000 is 7, 2, 1; of 11 it is 7.7, 2.2, 1.1: the cent goes to the first.
    debts = [item("a", 700), item("b", 200), item("c", 100)]
    assert shown(allocate(eur(11), debts, on=DAY, policy=AllocationPolicy.PRO_RATA)) == {"a": 8, "b": 2, "c": 1}


items = st.lists(
    st.tuples(
        st.integers(-500, 100_000),
        st.sampled_from(["base", "overage", "other"]),
        st.integers(-90, 90),
        st.integers(0, 90),
    ),
    max_size=8,
).map(lambda rows: [item(f"i{n}", cents, kind, due, due - age) for n, (cents, kind, due, age) in enumerate(rows)])
choices = st.lists(
    st.tuples(st.integers(0, 9), st.none() | st.integers(1, 50_000)).map(
        lambda c: Choice(f"i{c[0]}", None if c[1] is None else eur(c[1]))
    ),
    max_size=4,
)


@given(st.integers(0, 300_000), items, choices, st.sampled_from(POLICIES), st.booleans())
def test_nothing_is_lost_overpaid_or_unexplained(
    amount: int, debts: list[OpenItem], choice: list[Choice], policy: Order, beyond: bool
) -> None:
    done = allocate(eur(amount), debts, on=DAY, choice=choice, policy=policy, beyond_choice=beyond)
    assert sum(shown(done).values()) + done.rest.minor == amount
    open_of = {debt.ref: debt.open.minor for debt in debts}
    for part in done.parts:
        assert 0 < part.amount.minor <= open_of[part.ref]
        assert part.left_open.minor == open_of[part.ref] - part.amount.minor
    owed = sum(max(cents, 0) for cents in open_of.values())
    if beyond:
        assert done.rest.minor == max(amount - owed, 0)
    numbers = done.explanation.recompute()
    assert numbers["not allocated"] == done.rest.amount
    assert numbers["allocated"] == Fraction(amount - done.rest.minor, 100)


@given(st.integers(1, 100_000), items)
def test_shares_are_within_a_cent_of_exact(amount: int, debts: list[OpenItem]) -> None:
    done = allocate(eur(amount), debts, on=DAY, policy=AllocationPolicy.PRO_RATA)
    total = sum(max(debt.open.minor, 0) for debt in debts)
    if amount < total:
        given_ = shown(done)
        for debt in debts:
            exact = Fraction(amount * max(debt.open.minor, 0), total)
            assert abs(given_.get(debt.ref, 0) - exact) < 1


@given(items, st.sampled_from(POLICIES), st.randoms(use_true_random=False))
def test_the_order_in_which_items_are_listed_means_nothing(debts: list[OpenItem], policy: Order, rng: object) -> None:
    mixed = list(debts)
    rng.shuffle(mixed)  # type: ignore[attr-defined]
    assert allocate(eur(7_777), mixed, on=DAY, policy=policy) == allocate(eur(7_777), debts, on=DAY, policy=policy)


@given(items, st.none() | st.integers(1, 2_000))
def test_credit_set_off_moves_no_money(debts: list[OpenItem], free: int | None) -> None:
    credit = -sum(min(debt.open.minor, 0) for debt in debts)
    owed = sum(max(debt.open.minor, 0) for debt in debts)
    if free is not None and free > credit:
        with pytest.raises(AllocationError):
            set_off(debts, code="EUR", on=DAY, free=eur(free))
        return
    done = set_off(debts, code="EUR", on=DAY, free=None if free is None else eur(free))
    freed = -sum(part.amount.minor for part in done.freed)
    used = sum(part.amount.minor for part in done.allocation.parts)
    assert freed == (min(credit, owed) if free is None else free)
    assert freed == used + done.allocation.rest.minor
    assert all(part.left_open.minor <= 0 for part in done.freed)


def test_a_hundred_thousand_random_sequences_lose_no_cent() -> None:
    """Receipts after each other on one account, by every policy, with choices: a plain linear generator decides."""
    state = 2026

    def draw(limit: int) -> int:
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 33) % limit

    kinds = ["base", "overage", "other"]
    pool = [item(f"p{n}", 1 + draw(90_000), kinds[draw(3)], draw(60) - 30, -draw(60) - 40) for n in range(64)]
    turn = itertools.cycle(POLICIES)
    for _ in range(100_000):
        open_now = {debt.ref: debt for debt in (pool[draw(64)] for _ in range(3))}
        owed, paid, rests = sum(d.open.minor for d in open_now.values()), 0, 0
        for _ in range(2):
            amount = 1 + draw(40_000)
            choice = [f"p{draw(64)}"] if draw(2) else []
            done = allocate(eur(amount), open_now.values(), on=DAY, choice=choice, policy=next(turn))
            for part in done.parts:
                was = open_now[part.ref]
                assert part.left_open.minor == was.open.minor - part.amount.minor >= 0
                open_now[part.ref] = OpenItem(
                    was.ref, 1, was.kind, was.number, was.issued_on, was.due_on, was.gross, part.left_open
                )
            paid += amount
            rests += done.rest.minor
            assert owed + rests == paid + sum(d.open.minor for d in open_now.values())


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(AllocationError, match="below zero"):
        allocate(eur(-1), [], on=DAY)
    with pytest.raises(AllocationError, match="twice"):
        allocate(eur(1), [item("a", 1), item("a", 1)], on=DAY)
    with pytest.raises(CurrencyMismatchError):
        allocate(eur(1), [item("a", 1, code="USD")], on=DAY)
    with pytest.raises(CurrencyMismatchError):
        allocate(eur(1), [item("a", 1)], on=DAY, choice=[Choice("a", Money(1, "USD"))])
    with pytest.raises(AllocationError, match="more than nothing"):
        allocate(eur(1), [item("a", 1)], on=DAY, choice=[Choice("a", eur(0))])
    other = OpenItem("b", 2, ItemKind.BASE, "B", DAY, DAY, eur(1), eur(1))
    with pytest.raises(AllocationError, match="two accounts"):
        allocate(eur(1), [item("a", 1), other], on=DAY)


def test_an_explanation_reads_as_a_bookkeeper_would_say_it() -> None:
    debts = [item("b1", 1000), item("o1", 500, "overage")]
    assert allocate(eur(1200), debts, on=DAY).explanation.render() == (
        "payments.base_before_overage\n"
        "  received = 12 EUR\n"
        "  open on B1 = 10 EUR [base, due 2026-11-01]\n"
        "  open on O1 = 5 EUR [overage, due 2026-11-01]\n"
        "  to B1 = the least of open on B1, received = 10 EUR\n"
        "  left after B1 = received - to B1 = 2 EUR\n"
        "  to O1 = the least of open on O1, left after B1 = 2 EUR\n"
        "  left after O1 = left after B1 - to O1 = 0 EUR\n"
        "  allocated = to B1 + to O1 = 12 EUR\n"
        "  not allocated = received - allocated = 0 EUR\n"
        "  convention: The payer's choice first; then fees before overage, "
        "what was due first before what was due later; interest and costs last."
    )
