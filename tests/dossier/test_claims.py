"""What a claim's interest is counted from: as arrears counts it, and no more where nobody knows."""

from datetime import date
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

from coulance.flows.dossier import claims
from coulance_core.arrears import Instalment, Plan, Stay, StayKind
from coulance_core.arrears.judging import Judging
from coulance_core.arrears.packs import ALL_DEBTORS, Begins, InterestRule
from tests.core.arrears.worlds import DEFAULT, Host, at, day, debt, eur, facts, pack

ITEM: Any = SimpleNamespace(ref="a", due_on=day(0))


@pytest.mark.parametrize("begins", Begins)
def test_interest_is_claimed_from_where_it_is_charged_from(begins: Begins) -> None:
    rule = InterestRule(ALL_DEBTORS, date(2020, 1, 1), Fraction(5), begins=begins, letter="first_reminder")
    host = Host(DEFAULT, facts(debt()), pack("be"))
    host.days(range(30))
    judged = Judging(DEFAULT, host.facts, at(day(30)), host.law)
    assert claims._begins(judged, rule, ITEM) == judged.interest_begins(rule, judged.debts["a"])
    # Where arrears is off nobody knows whether the notice that the law wants was ever received.
    assert claims._begins(None, rule, ITEM) == (day(0) if begins is Begins.DUE else None)
    assert claims._begins(judged, None, ITEM) is None


def test_interest_rests_in_a_claim_while_a_plan_holds_and_for_an_error_of_ours() -> None:
    plan = Plan("p", frozenset("a"), at(day(5)), (Instalment(day(20), eur(5000)),))
    error = Stay("s", StayKind.OWN_ERROR, at(day(2)), at(day(4)))
    judged = Judging(DEFAULT, facts(debt(), plans=(plan,), stays=(error,)), at(day(10)), None)
    assert claims._rests(judged, ITEM) == [(date.min, day(4)), (day(5), day(10))]
    assert claims._rests(None, ITEM) == ()
