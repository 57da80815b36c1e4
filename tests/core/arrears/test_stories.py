"""Stories of single accounts: a term that ends, a card that was declined, two currencies, a claim and its worth."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.arrears.worlds import DEFAULT, SHORT, Host, at, by_channels, day, debt, eur, facts, pack

from coulance_core.arrears import (
    Act,
    Level,
    Policy,
    Route,
    Service,
    Step,
    Worth,
    announces,
    chargeable_spans,
    decide,
    parse_policies,
    unmet,
)
from coulance_core.catalog.faults import TermsError
from coulance_core.kernel import Money, Period
from coulance_core.notices import Channel


def test_a_contract_that_ends_with_its_term_lets_the_data_go_the_long_way() -> None:
    route = tuple(s for s in DEFAULT.steps if s.route in (Route.DEMAND, Route.END_AT_TERM))
    policy = replace(DEFAULT, steps=route)
    host = Host(policy, facts(debt(), services=(Service("vps", term_ends_on=day(150)),)), pack("nl"))
    host.days(range(-4, 240))
    when = {step: (on - day(0)).days for on, step, _ in host.acts}
    assert when["not_renew"] < when["retrieval"] == 150
    assert when["exit_notice"] == 151
    assert when["exit_delete"] >= 151 + 3 + 31  # deemed received, thirty days, and the calendar
    assert "suspend" not in when
    no_term = Host(policy, facts(debt()), pack("nl"))
    no_term.days(range(-4, 240, 3))
    assert no_term.steps[-1] == "not_renew"


def test_a_contract_is_renewed_after_all_when_the_debt_is_paid_before_the_end() -> None:
    host = Host(SHORT, facts(debt()))
    host.days(range(1, 8))
    host.pay("a")
    host.days([8])
    assert (day(8), "ends", "paid") in host.lifted


def test_a_declined_collection_has_its_own_step() -> None:
    steps = (
        Step("update", Route.DEMAND, Act.REMIND, "declined", 1, codes=("AC04", "expired_card")),
        Step("reminder", Route.DEMAND, Act.REMIND, days=5, evidence=Level.DELIVERED),
    )
    policy = Policy("cards", date(2026, 1, 1), steps)
    host = Host(policy, facts(debt()))
    host.days(range(4))
    assert host.steps == []
    host.change("a", declined=(("MS03", day(1)),))
    host.days([4])
    assert host.steps == []  # another code
    host.change("a", declined=(("expired_card", day(3)),))
    host.days(range(4, 8))
    assert host.acts == [(day(4), "update", ""), (day(5), "reminder", "")]


def test_debts_of_two_currencies_are_two_claims() -> None:
    dollars = replace(debt("u"), gross=Money(9000, "USD"), open=Money(9000, "USD"))
    known = facts(debt("a"), debt("b", 100), dollars, credit=(Money(9000, "USD"),))
    found = decide(replace(SHORT, minimum=(eur(500), Money(10_000, "USD"))), known, at(day(1)))
    assert [(i.debts, i.amount) for i in found.intents] == [(("a", "b"), eur(5100))]
    assert [h.refusal.code.value for h in found.held_up] == ["credit_on_hand"]
    bare = decide(replace(SHORT, minimum=(eur(500), Money(10_000, "USD"))), replace(known, credit=()), at(day(1)))
    assert [h.refusal.code.value for h in bare.held_up] == ["below_minimum"]


def test_a_debt_for_no_service_restricts_none() -> None:
    host = Host(SHORT, facts(debt(services=())))
    host.days(range(1, 40))
    assert set(host.steps) == {"reminder", "no_more", "collector"}


def test_the_worth_of_the_account_stands_beside_the_claim_where_an_end_is_decided() -> None:
    worth = Worth(eur(120_000), date(2019, 5, 1), eur(700_000))
    host = Host(SHORT, facts(debt(), worth=worth))
    seen = {}
    for number in range(1, 18):
        for _ in range(4):
            for intent in host.run(at(day(number))).intents:
                seen[intent.step] = intent
    for step in ("collector", "ends", "terminate"):
        assert seen[step].worth == worth
        assert seen[step].explanation is not None
        assert ("worth in a year", "1200") in {(f.name, f.value) for f in seen[step].explanation.facts}
    assert seen["throttle"].worth is None


def test_a_notice_that_does_not_say_what_stops_it_proves_nothing() -> None:
    host = Host(SHORT, facts(debt()))
    host.days([1])
    silent = replace(host.facts, done=tuple(replace(d, says_way_out=False) for d in host.facts.done))
    held = decide(SHORT, silent, at(day(3))).held_up
    assert {h.refusal.code.value for h in held if h.step == "throttle"} == {"notice_not_received"}
    assert "throttle" in [i.step for i in decide(SHORT, host.facts, at(day(3))).intents]


def test_what_a_notice_has_to_announce() -> None:
    assert [(a.step, a.days) for a in announces(SHORT, "reminder")] == [("throttle", 1), ("charge", 2)]
    assert [(a.step, a.act.value) for a in announces(DEFAULT, "termination_notice")] == [("terminate", "terminate")]
    assert [(a.step, a.days) for a in announces(DEFAULT, "demand", law_days=14)] == [
        ("block_orders", 14),
        ("costs", 14),
    ]


def test_reached_is_met_by_a_look_or_by_the_law_and_not_by_a_mail_that_was_taken() -> None:
    steps = (
        Step(
            "demand", Route.DEMAND, Act.DEMAND, days=1, evidence=Level.REACHED, channels=(Channel.EMAIL, Channel.POST)
        ),
        Step("collector", Route.COLLECT, Act.HAND_OVER, "demand", 0, to="mediation"),
    )
    host = Host(Policy("strict", date(2026, 1, 1), steps), facts(debt()), pack("nl"))
    host.days(range(1, 12))
    assert [((on - day(0)).days, step) for on, step, _ in host.acts] == [(1, "demand"), (4, "demand"), (8, "collector")]
    no_law = Host(Policy("strict", date(2026, 1, 1), steps), facts(debt()))
    no_law.days(range(1, 30))
    assert "collector" not in no_law.steps


def test_the_formal_way_wants_two_channels_at_once() -> None:
    steps = (
        Step("demand", Route.DEMAND, Act.DEMAND, days=1, evidence=Level.DEEMED, channels=(Channel.EMAIL, Channel.POST)),
        Step("collector", Route.COLLECT, Act.HAND_OVER, "demand", 0, to="mediation"),
    )
    policy = Policy("formal", date(2026, 1, 1), steps)
    host = Host(policy, facts(debt()), pack("nl"))
    host.days(range(1, 12))
    assert [((on - day(0)).days, step) for on, step, _ in host.acts] == [(1, "demand"), (5, "collector")]
    lone = Host(policy, facts(debt()), pack("nl"), evidence=lambda i, when: by_channels(i.channels[:1], when))
    lone.days(range(1, 30))
    assert "collector" not in lone.steps


def test_what_a_policy_wants_and_a_pack_does_not_give() -> None:
    assert unmet(DEFAULT, pack("nl")) == ()
    assert unmet(DEFAULT, pack("be")) == ()
    assert unmet(SHORT, pack("be")) == ("charge: be wants the letter first_reminder before; no step is it",)
    assert unmet(SHORT, pack("de")) == ()
    bare = replace(pack("de"), costs=(), interest=(), deemed=())
    assert [said.split(":")[0] for said in unmet(DEFAULT, bare)] == [
        "costs",
        "interest",
        "exit_notice",
        "deletion_notice",
    ]


def test_two_policies_of_one_name_begin_on_two_days() -> None:
    row = {"name": "p", "from": "2026-01-01", "step": []}
    assert len(parse_policies([row, {**row, "from": "2026-02-01"}])) == 2
    with pytest.raises(TermsError, match="p@2026-01-01 is there twice"):
        parse_policies([row, row])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 120), st.integers(1, 90)), max_size=4), st.integers(1, 4))
def test_a_base_fee_stops_after_one_suspended_period(spans: list[tuple[int, int]], number: int) -> None:
    """Day by day: a day of a period isn't charged when all of the period before was suspended, and so is it, and every
    day of its period until then."""
    start = at(day(0), 0)

    def period(n: int) -> Period:
        return Period(start + timedelta(days=30 * n), start + timedelta(days=30 * (n + 1)))

    held = [Period(start + timedelta(days=a), start + timedelta(days=a + length)) for a, length in spans]

    def suspended(n: int) -> bool:
        return any(start + timedelta(days=n) in span for span in held)

    free, going = set(), all(suspended(n) for n in range(30 * (number - 1), 30 * number))
    for n in range(30 * number, 30 * (number + 1)):
        going = going and suspended(n)
        if going:
            free.add(n)
    charged = chargeable_spans(period(number), period(number - 1), held)
    for n in range(30 * number, 30 * (number + 1)):
        assert any(start + timedelta(days=n) in span for span in charged) == (n not in free)
