"""What plans do for a debt: one restart, whichever way the first one ended."""

from collections.abc import Sequence

import pytest
from tests.core.arrears.worlds import SHORT, ZONE, at, day, debt, eur, facts

from coulance_core.arrears import INSTALMENT, Instalment, NotPlanned, Paid, Plan, PlanTerms, decide, propose
from coulance_core.arrears.horizon import Horizon
from coulance_core.arrears.plans import PlanStanding, plan_standing
from coulance_core.kernel import Refusal


def plan(ref: str, agreed: int, *due: int, ended: int | None = None) -> Plan:
    parts = tuple(Instalment(day(number), eur(50)) for number in due)
    return Plan(ref, frozenset("a"), at(day(agreed)), parts, (), None if ended is None else at(day(ended), 11))


def standing(plans: Sequence[Plan], on: int) -> PlanStanding:
    return plan_standing(plans, Horizon(at(day(on), 12), ZONE), 3)


@pytest.mark.parametrize(
    "first",
    [
        plan("1", 0, 10, 30, ended=20),  # missed on day 14, and ended for that: the provider asks for it
        plan("1", 0, 10, 30, ended=5),  # ended before anything was due; its later days aren't missed
        plan("1", 0, 10, 30),  # missed, and left for the next
        plan("1", 0, 30, 60),  # left for the next before anything was due
    ],
)
def test_a_second_plan_is_the_one_restart_however_the_first_ended(first: Plan) -> None:
    second = plan("2", 20, 50, 80)
    for on in (20, 40, 53):
        found = standing([first, second], on)
        assert (found.kept, found.breaks) == (second, 1)
    assert standing([first, second], 54).kept is None  # and that one is not kept
    third = plan("3", 55, 90)
    assert standing([first, second, third], 56).kept is None
    assert standing([first, second, third], 56).breaks == 2


def test_catching_up_is_the_restart_too() -> None:
    missed = (Instalment(day(5), eur(50)), Instalment(day(20), eur(50)))
    one = Plan("1", frozenset("a"), at(day(0)), missed, (Paid(day(12), eur(50)),))
    found = [standing([one], on) for on in (8, 9, 12, 23, 24)]
    assert [(f.kept is not None, f.breaks) for f in found] == [
        (True, 0), (False, 1), (True, 1), (True, 1), (False, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "on", "code"),
    [(100, 0, None), (99, 0, NotPlanned.FIRST_TOO_SMALL), (100, 1, NotPlanned.NOT_IN_ORDER), (100, -14, None),
     (100, -15, NotPlanned.FIRST_TOO_LATE)],
)  # fmt: skip
def test_a_first_instalment_may_be_paid_today_and_of_exactly_its_share(
    first: int, on: int, code: NotPlanned | None
) -> None:
    parts = (Instalment(day(0), eur(first)), Instalment(day(20), eur(1000 - first)))
    found = propose(PlanTerms(first_percent=10), eur(1000), parts, on=day(on))
    assert (found.code if isinstance(found, Refusal) else None) == code


@pytest.mark.parametrize(
    ("on", "about"), [(6, None), (7, "1/1/-3"), (9, "1/1/-3"), (10, None), (11, "1/1/1"), (13, "1/1/1"), (14, None)]
)
def test_a_reminder_ahead_of_an_instalment_has_no_meaning_on_its_day(on: int, about: str | None) -> None:
    """Due on day 10: three days before until the eve, the day after while it is kept; on the day itself nothing."""
    known = facts(debt(amount=50), plans=(plan("1", 0, 10),))
    found = [i.about for i in decide(SHORT, known, at(day(on))).intents if i.step == INSTALMENT]
    assert found == ([] if about is None else [about])
