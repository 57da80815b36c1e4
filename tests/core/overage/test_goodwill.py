"""Goodwill: what a grant comes to, whose it is, what it costs, and that it never exceeds the line or the budget."""

from fractions import Fraction as F

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance_core.kernel import Money, UnitPrice, unit
from coulance_core.overage.goodwill import (
    By,
    Cause,
    CostTerms,
    GoodwillError,
    GoodwillPolicy,
    Grant,
    Granted,
    Habit,
    PastUse,
    cause_of,
    effect,
    granted,
    history,
    propose,
    within_budget,
)


def eur(text: str) -> Money:
    return Money.of(text, "EUR")


COSTS = CostTerms((UnitPrice(F("0.5"), "EUR", unit("TB")),), margin=F(2, 5))


@pytest.mark.parametrize(
    ("left", "grant", "gives", "remains"),
    [
        ("200.00", Grant(By.AMOUNT, eur("30.00")), "30.00", "170.00"),
        ("200.00", Grant(By.SHARE, share=F(1)), "200.00", "0.00"),
        ("200.00", Grant(By.SHARE, share=F(1, 3)), "66.67", "133.33"),
        # A share is of the line as billed, whatever was given before.
        ("120.00", Grant(By.SHARE, share=F(1, 2)), "100.00", "20.00"),
        ("120.00", Grant(By.CAP, eur("50.00")), "70.00", "50.00"),
        ("120.00", Grant(By.CAP, eur("0.00")), "120.00", "0.00"),
    ],
)
def test_grants(left: str, grant: Grant, gives: str, remains: str) -> None:
    got = granted(eur("200.00"), eur(left), grant)
    assert (got.amount, got.left) == (eur(gives), eur(remains))
    known = got.explanation.recompute()
    assert (known["granted"], known["left after"]) == (got.amount.amount, got.left.amount)


@pytest.mark.parametrize(
    ("left", "grant", "says"),
    [
        ("20.00", Grant(By.AMOUNT, eur("20.01")), "only 20.00 EUR"),
        ("99.99", Grant(By.SHARE, share=F(1, 2)), "only 99.99 EUR"),
        ("50.00", Grant(By.CAP, eur("50.00")), "gives nothing"),
        ("200.00", Grant(By.AMOUNT, Money(1, "USD")), "USD"),
        ("200.01", Grant(By.AMOUNT, eur("1.00")), "left"),
    ],
)
def test_grants_that_cannot_be(left: str, grant: Grant, says: str) -> None:
    with pytest.raises(GoodwillError, match=says):
        granted(eur("200.00"), eur(left), grant)


def test_a_grant_says_one_thing() -> None:
    for wrong in (
        {"by": By.SHARE, "share": F(0)},
        {"by": By.SHARE, "share": F(3, 2)},
        {"by": By.AMOUNT, "amount": eur("0.00")},
        {"by": By.AMOUNT, "amount": eur("1.00"), "share": F(1)},
        {"by": By.CAP},
        {"by": By.CAP, "amount": Money(-1, "EUR")},
    ):
        with pytest.raises(GoodwillError):
            Grant(**wrong)


def past(*gigabytes: int, included: int = 1000) -> list[PastUse]:
    return [PastUse(f"2026-{n:02}", F(gb), F(included)) for n, gb in enumerate(gigabytes, 1)]


@pytest.mark.parametrize(
    ("now", "earlier", "habit"),
    [
        (3000, (400, 400, 400, 400), Habit.ONE_OFF),
        # One odd month among them doesn't move a median: 400, 400, 900.
        (3000, (400, 900, 400), Habit.ONE_OFF),
        (1200, (400, 400, 400), Habit.FIRST_TIME),  # exactly three times is not more than that
        (1201, (400, 400, 400), Habit.ONE_OFF),
        (3000, (990, 1000, 1000), Habit.FIRST_TIME),
        (3000, (400, 400), Habit.FIRST_TIME),
        (3000, (), Habit.FIRST_TIME),
        (15_000, (400, 15_000, 400), Habit.REPEATED),
        (3000, (400, 1001, 400), Habit.REPEATED),
        (1000, (400, 400, 400), Habit.WITHIN),
    ],
)
def test_habits(now: int, earlier: tuple[int, ...], habit: Habit) -> None:
    got = history(PastUse("now", F(now), F(1000)), past(*earlier), unit="GB")
    assert got.habit is habit
    got.explanation.recompute()
    assert f"habit: {habit.value}" in got.explanation.render()


def test_what_it_costs_and_when_it_is_earned_back() -> None:
    """2000 GB at 0.50 a TB cost 1.00. A margin of 40 % of 10.00 is 4.00 a month: earned back in the first month."""
    whole = granted(eur("200.00"), eur("200.00"), Grant(By.SHARE, share=F(1)))
    got = effect(whole, quantity=F(2000), unit="GB", base_fee=eur("10.00"), terms=COSTS)
    assert (got.cost, got.loss, got.margin, got.months) == (eur("1.00"), eur("1.00"), eur("4.00"), 1)
    got.explanation.recompute()
    # 26 TB cost 13.00, of which 0.40 is still paid: 12.60 lost is four months of 4.00.
    most = granted(eur("200.00"), eur("200.00"), Grant(By.CAP, eur("0.40")))
    got = effect(most, quantity=F(26), unit="TB", base_fee=eur("10.00"), terms=COSTS)
    assert (got.loss, got.months) == (eur("12.60"), 4)
    half = granted(eur("200.00"), eur("200.00"), Grant(By.SHARE, share=F(1, 2)))
    got = effect(half, quantity=F(2000), unit="GB", base_fee=eur("10.00"), terms=COSTS)
    assert (got.loss, got.months) == (eur("0.00"), 0)
    got = effect(half, quantity=F(2000), unit="GB", base_fee=eur("10.00"))
    assert (got.cost, got.loss, got.months) == (None, None, None)
    assert COSTS.cost(F(1), "seat", "EUR") is None
    assert COSTS.cost(F(1), "GB", "USD") is None
    assert COSTS.cost(F(1), "GB", "EUR") == eur("0.01")


@pytest.mark.parametrize(
    ("cause", "policy", "gives"),
    [
        (Cause.ATTACK, GoodwillPolicy(costs=COSTS), "200.00"),
        (Cause.MOVING_AWAY, GoodwillPolicy(), "200.00"),
        (Cause.ONE_OFF, GoodwillPolicy(costs=COSTS), "199.00"),
        (Cause.ONE_OFF, GoodwillPolicy(), "100.00"),
        (Cause.FIRST_TIME, GoodwillPolicy(), "50.00"),
        (Cause.OTHER, GoodwillPolicy(costs=COSTS), None),
    ],
)
def test_what_the_policy_proposes(cause: Cause, policy: GoodwillPolicy, gives: str | None) -> None:
    got = propose(cause, line=eur("200.00"), left=eur("200.00"), quantity=F(2000), unit="GB", policy=policy)
    assert (got.granted and got.granted.amount) == (eur(gives) if gives else None)


def test_nothing_is_proposed_of_nothing() -> None:
    got = propose(
        Cause.ATTACK, line=eur("9.00"), left=eur("0.00"), quantity=F(9), unit="GB", policy=GoodwillPolicy(costs=COSTS)
    )
    assert got.grant is None
    assert "gives nothing" in got.why
    assert [cause_of(h).value for h in Habit] == ["one_off", "first_time", "other", "other"]


def test_budgets() -> None:
    policy = GoodwillPolicy(budgets={"support": eur("100.00")})
    assert within_budget(policy, "support", spent=eur("70.00"), amount=eur("30.00")) is None
    over = within_budget(policy, "support", spent=eur("70.00"), amount=eur("30.01"))
    assert str(over) == "OVER_BUDGET: 30.00 EUR of 100.00 EUR is left this month, not 30.01 EUR"
    none = within_budget(policy, "viewer", spent=eur("0.00"), amount=eur("0.01"))
    assert none is not None
    assert none.code.value == "no_budget"
    assert within_budget(policy, "support", spent=Money(0, "USD"), amount=Money(1, "USD")) is not None
    assert within_budget(GoodwillPolicy(), "viewer", spent=eur("0.00"), amount=eur("9.00")) is None


grants = st.one_of(
    st.integers(1, 30_000).map(lambda n: Grant(By.AMOUNT, Money(n, "EUR"))),
    st.fractions(F(1, 100), 1, max_denominator=100).map(lambda share: Grant(By.SHARE, share=share)),
    st.integers(0, 20_000).map(lambda n: Grant(By.CAP, Money(n, "EUR"))),
)


@settings(deadline=None)
@given(st.integers(1, 20_000), st.lists(grants, max_size=6))
def test_grants_conserve(minor: int, asked: list[Grant]) -> None:
    """Whatever is asked in whatever order: given and left make the line, and nothing goes below zero."""
    line = left = Money(minor, "EUR")
    given_so_far = Money(0, "EUR")
    for grant in asked:
        try:
            got: Granted = granted(line, left, grant)
        except GoodwillError:
            continue
        assert got.amount.minor > 0
        assert got.explanation.recompute()["left after"] == got.left.amount
        given_so_far, left = given_so_far + got.amount, got.left
        assert given_so_far + left == line
        assert left.minor >= 0
