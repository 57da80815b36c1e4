"""What of each debt counts, where money is on its way and on hand at once."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.arrears.worlds import SHORT, at, day, debt, eur, facts

from coulance_core.arrears import InFlight
from coulance_core.arrears.judging import Judging


@pytest.mark.parametrize("named", ["a", ""])
def test_money_on_hand_that_one_debt_has_no_need_of_covers_the_next(named: str) -> None:
    """100.00 flies to the first debt, 50.00 is here: nothing is left to act for of the second."""
    known = facts(debt("a", 10_000), debt("b", 5_000))
    flight = InFlight("f", eur(10_000), at(day(0)), day(30), named)
    j = Judging(SHORT, replace(known, in_flight=(flight,), credit=(eur(5_000),)), at(day(5)), None)
    assert [(s.in_flight, s.covered, s.net) for s in j.standing.values()] == [(10_000, 0, 0), (0, 5_000, 0)]
    # A restriction stands on what isn't paid yet: what is here counts for the first debt, what flies for none.
    assert [s.owed for s in j.standing.values()] == [5_000, 5_000]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=4), st.integers(0, 120), st.integers(0, 120))
def test_no_more_is_acted_for_than_is_owed_beside_all_that_comes(sums: list[int], flying: int, here: int) -> None:
    known = facts(*(debt(f"d{n}", amount) for n, amount in enumerate(sums)))
    flights = (InFlight("f", eur(flying), at(day(0)), day(30)),) if flying else ()
    j = Judging(SHORT, replace(known, in_flight=flights, credit=(eur(here),)), at(day(5)), None)
    assert sum(s.net for s in j.standing.values()) == max(sum(sums) - flying - here, 0)
    assert sum(s.owed for s in j.standing.values()) == max(sum(sums) - here, 0)


def test_what_has_had_its_day_is_not_on_its_way_any_more_and_what_is_owed_is_no_credit() -> None:
    """For the account as a whole too; and credit below zero, which nobody should tell, makes no debt larger."""
    known = facts(debt("a", 10_000))
    flight = InFlight("f", eur(4_000), at(day(0)), day(6))
    for on, there in ((6, 4_000), (7, 0)):
        j = Judging(SHORT, replace(known, in_flight=(flight,), credit=(eur(-500),)), at(day(on)), None)
        assert [(s.in_flight, s.covered, s.net, s.owed) for s in j.standing.values()] == [
            (there, 0, 10_000 - there, 10_000)
        ]
