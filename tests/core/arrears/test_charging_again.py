"""Interest is charged again for what ran since, and for nothing twice; a hand-over freezes its route until a recall."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest
from tests.core.arrears.worlds import Host, arrives, at, day, debt, eur, facts

from coulance_core.arrears import (
    Act,
    Done,
    Instalment,
    LawPack,
    Level,
    Paid,
    Plan,
    Policy,
    Refused,
    Route,
    Stay,
    StayKind,
    Step,
    as_agreed,
    decide,
    guards,
    plan_interest,
)
from coulance_core.arrears.judging import Judging
from coulance_core.arrears.packs import ALL_DEBTORS, InterestRule

LAW = LawPack(
    "xx", "X", frozenset({"NL"}), "EUR", day(0), interest=(InterestRule(ALL_DEBTORS, day(-900), Fraction(10)),)
)
STEPS = (
    Step("before", Route.DEMAND, Act.REMIND, days=-3, within=(-8, -2)),
    Step("reminder", Route.DEMAND, Act.REMIND, days=1, evidence=Level.DELIVERED),
    Step("interest", Route.COLLECT, Act.CHARGE_INTEREST, "reminder", 3, every=10),
    Step("collector", Route.COLLECT, Act.HAND_OVER, "reminder", 25, to="collection"),
    Step("late", Route.COLLECT, Act.CHARGE_INTEREST, "collector", 1),
)
POLICY = Policy("again", day(-900), STEPS)
BIG = 3_650_000
"""10 % a year of it is 10.00 a night."""


def charged(host: Host, until: int) -> list[tuple[int, int]]:
    """Day and minor units of each charge, judged every day at nine."""
    out = []
    for n in range(-10, until + 1):
        decision = host.run(at(day(n)))
        out += [(n, i.amount.minor) for i in decision.intents if i.act is Act.CHARGE_INTEREST]
    return out


def test_a_later_charge_is_of_the_nights_since_and_nothing_is_charged_twice() -> None:
    """Due on day 0, one night of 10.00 each: day 5, then every ten days, until it is handed over on day 27."""
    host = Host(POLICY, facts(debt("a", BIG)), LAW)
    found = charged(host, 60)
    assert [n for n, _ in found] == [5, 15, 25]
    assert [minor for _, minor in found] == [5_000, 10_000, 10_000]
    assert sum(minor for _, minor in found) == 25 * 1_000  # every night up to the last charge, once
    held = host.judge(at(day(60))).held_up
    assert {(one.step, one.refusal.code) for one in held} == {
        ("late", Refused.HANDED_OVER),
        ("interest", Refused.HANDED_OVER),
    }


def test_the_explanation_states_days_and_rates_and_comes_to_the_charge() -> None:
    host = Host(POLICY, facts(debt("a", BIG)), LAW)
    for n in range(-3, 15):
        host.run(at(day(n)))
    (intent,) = [i for i in host.judge(at(day(15))).intents if i.act is Act.CHARGE_INTEREST]
    assert intent.explanation is not None
    known = intent.explanation.recompute()
    assert (known["days 1"], known["rate 1"], known["interest"] * 100) == (10, 10, intent.amount.minor)


def test_payment_stops_it_a_part_lowers_it_and_our_own_error_rests_it() -> None:
    half = replace(debt("a", BIG), open=eur(BIG // 2), paid=(Paid(day(3), eur(BIG // 2)),))
    host = Host(POLICY, facts(half), LAW)
    assert charged(host, 5) == [(5, 3 * 1_000 + 2 * 500)]
    host = Host(POLICY, facts(debt("a", BIG)), LAW)
    host.run(at(day(2)))
    host.facts = replace(host.facts, debts=(replace(debt("a", BIG), open=eur(0), paid=(Paid(day(3), eur(BIG)),)),))
    assert charged(host, 40) == []
    error = Stay("s", StayKind.OWN_ERROR, at(day(2)), at(day(8)))
    host = Host(POLICY, facts(debt("a", BIG), stays=(error,)), LAW)
    assert all(minor == (n - 8) * 1_000 or n > 20 for n, minor in charged(host, 20))


def test_where_nothing_ran_up_the_route_goes_on_and_nothing_is_charged() -> None:
    none = LawPack(
        "yy", "Y", frozenset({"NL"}), "EUR", day(0), interest=(InterestRule(ALL_DEBTORS, day(-900), Fraction(0)),)
    )
    host = Host(POLICY, facts(debt("a", BIG)), none)
    assert charged(host, 40) == []
    assert "collector" in host.steps


def test_a_plan_takes_the_place_of_the_law_s_interest_for_as_long_as_it_holds() -> None:
    """From day 2 to day 12 a plan holds, and is ended: those ten nights are no part of what the law gives."""
    plan = Plan("p", frozenset("a"), at(day(2)), (Instalment(day(100), eur(BIG)),), ended_at=at(day(12)))
    host = Host(POLICY, facts(debt("a", BIG), plans=(plan,)), LAW)
    found = charged(host, 40)
    assert found
    n, minor = found[0]
    assert minor == (n - 10) * 1_000


def test_a_plan_that_is_not_kept_rests_interest_until_it_was_missed_and_no_longer() -> None:
    """Agreed on day 2; the part of day 5, missed with its three days on day 9: nights 0, 1 and from 9 on bear it."""
    parts = tuple(Instalment(day(n), eur(BIG // 2)) for n in (5, 100))
    plan = Plan("p", frozenset("a"), at(day(2)), parts)
    for on, nights in ((9, 2), (10, 3), (20, 13)):
        j = Judging(POLICY, facts(debt("a", BIG), plans=(plan,)), at(day(on)), LAW)
        found = j.interest(j.debts["a"])
        assert found is not None
        assert found.amount == eur(nights * 1_000)


def test_a_plan_s_own_interest_is_by_the_day_and_never_more_than_was_shown() -> None:
    parts = [Instalment(day(n), eur(BIG // 2)) for n in (10, 30)]
    shown = as_agreed(LAW, Fraction(10), eur(BIG), eur(BIG), parts, agreed_on=day(0))
    assert shown.amount == eur(10 * 1_000 + 20 * 500)
    sooner = plan_interest(
        LAW, Fraction(10), eur(BIG), eur(BIG), agreed_on=day(0), until=day(4), paid=[Paid(day(4), eur(BIG))], name="p"
    )
    assert sooner.amount == eur(4 * 1_000)
    # Costs in the plan bear none, and are paid first.
    with_costs = plan_interest(
        LAW, Fraction(10), eur(BIG + 4000), eur(BIG), agreed_on=day(0), until=day(2),
        paid=[Paid(day(1), eur(4000))], name="p",
    )  # fmt: skip
    assert with_costs.amount == eur(2 * 1_000)


def handed_over() -> Host:
    host = Host(POLICY, facts(debt("a", BIG)), LAW)
    for n in range(1, 28):
        host.run(at(day(n)))
    assert host.steps[-1] == "collector"
    return host


def test_what_is_handed_over_rests_here_until_a_person_takes_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    host = handed_over()
    assert host.judge(at(day(60))).is_quiet
    over = next(done for done in host.facts.done if done.step == "collector")
    back = replace(over, undone_at=at(day(30)), recalled=True)
    host.facts = replace(host.facts, done=tuple(back if done is over else done for done in host.facts.done))
    decision = host.judge(at(day(35)))
    assert "collector" not in {i.step for i in decision.intents}  # not handed over again by itself
    assert {i.step for i in decision.intents} == {"interest"}
    # Paid, it is recalled at once; and without the guard it would be charged while somebody else collects.
    host = handed_over()
    left = {key: guard for key, guard in guards.DEBT_GUARDS.items() if key is not Refused.HANDED_OVER}
    monkeypatch.setattr(guards, "DEBT_GUARDS", left)
    assert not host.judge(at(day(60))).is_quiet
    host.facts = replace(host.facts, debts=(replace(host.facts.debts[0], open=eur(0)),))
    assert [lift.inverse for lift in host.judge(at(day(60))).lifts] == ["recall"]


@pytest.mark.parametrize(("remind", "days"), [(0, -3), (7, -7), (20, -8), (1, -2)])
def test_a_reminder_before_moves_by_how_they_pay_within_the_policy_s_days(remind: int, days: int) -> None:
    known = facts(debt("a", BIG), remind_days=remind)
    early = decide(POLICY, known, at(day(days - 1)))
    assert [one.on - day(0) for one in early.ahead if one.step == "before"] == [timedelta(days=days)]
    (intent,) = decide(POLICY, known, at(day(days))).intents
    assert (intent.step, "days before, as they pay" in str(intent.explanation)) == ("before", bool(remind))


def test_steps_name_their_faults() -> None:
    said = {
        fault.field
        for step in (
            Step("r", Route.DEMAND, Act.REMIND, days=3, within=(-5, -1)),
            Step("l", Route.RESTRICT, Act.LIMIT, features=("shell",), plan="small", every=3),
            Step("d", Route.RESTRICT, Act.DOWNGRADE),
            Step("s", Route.RESTRICT, Act.SUSPEND, plan="small"),
        )
        for fault in step.faults()
    }
    assert said == {"within", "every", "plan"}
    done = Done("x", "s", frozenset("a"), at(day(1)), evidence=arrives(at(day(1))))
    assert not done.recalled
