"""What is undone, at once, and nothing else; and which restrictions turn out to have been wrong."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.core.arrears.worlds import SHORT, Host, arrives, at, day, debt, eur, facts

from coulance_core.arrears import (
    DebtKind,
    Ground,
    Held,
    InFlight,
    Instalment,
    Mode,
    Plan,
    Promise,
    Refused,
    Service,
    Stay,
    StayKind,
    decide,
    lifts,
    wrongful_restrictions,
)
from coulance_core.arrears.facts import Evidence
from coulance_core.arrears.judging import PolicyMismatchError
from coulance_core.notices import Event, EvidenceKind

NOW = at(day(8), 12)


def suspended(**more: object) -> Host:
    host = Host(SHORT, facts(debt(), **more))
    host.days(range(1, 8))
    assert {"throttle", "suspend"} <= set(host.in_force())
    assert lifts(SHORT, host.facts, NOW) == ()
    return host


def undone(host: Host, when: object = NOW) -> dict[str, Ground]:
    return {lift.step: lift.ground for lift in lifts(SHORT, host.facts, when)}  # type: ignore[arg-type]


RESTRICTING = ("suspend", "throttle", "collector", "ends")


def test_paying_undoes_what_stood_on_it() -> None:
    host = suspended()
    host.pay("a")
    found = undone(host)
    assert found == dict.fromkeys(RESTRICTING, Ground.PAID)
    assert [lift.inverse for lift in lifts(SHORT, host.facts, NOW)] == ["unsuspend", "renew", "recall", "unthrottle"]
    host.run(NOW)
    assert host.in_force() == []
    host.run(at(day(8), 13))
    assert ("no_more", "paid") in {(step, ground) for _, step, ground in host.lifted}  # nothing is left to announce


@pytest.mark.parametrize("left", [0, 499])
def test_paying_all_but_what_the_policy_would_not_act_for_is_enough(left: int) -> None:
    host = suspended()
    host.change("a", open=eur(left))
    assert set(undone(host)) == set(RESTRICTING)
    host.change("a", open=eur(500))
    assert undone(host) == {}


def test_a_dispute_or_a_plan_undoes_at_once_and_a_promise_or_money_on_its_way_does_not() -> None:
    host = suspended()
    known = host.facts
    host.facts = replace(known, held=(Held("h", "a", eur(5000), at(day(8))),))
    assert set(undone(host).values()) == {Ground.DISPUTED}
    host.facts = replace(known, held=(Held("h", "a", eur(1000), at(day(8))),))
    assert undone(host) == {}
    host.facts = replace(known, plans=(Plan("p", frozenset("a"), at(day(8)), (Instalment(day(20), eur(5000)),)),))
    assert set(undone(host).values()) == {Ground.PLANNED}
    host.facts = replace(known, promises=(Promise("p", frozenset("a"), at(day(8)), day(9)),))
    assert undone(host) == {}
    host.facts = replace(known, in_flight=(InFlight("f", eur(5000), at(day(8)), day(12), "a"),))
    assert undone(host) == {}
    host.facts = replace(known, credit=(eur(5000),))
    assert set(undone(host).values()) == {Ground.PAID}


def test_costs_and_interest_that_are_left_keep_nothing_restricted() -> None:
    host = suspended()
    host.pay("a")
    host.facts = replace(host.facts, debts=(*host.facts.debts, debt("costs", 4000, kind=DebtKind.COSTS)))
    assert set(undone(host)) == set(RESTRICTING)


def test_a_debt_of_another_service_keeps_only_its_own_restriction() -> None:
    both = (debt("a", services=("vps",)), debt("b", services=("mail",)))
    host = Host(SHORT, facts(*both, services=(Service("vps"), Service("mail"))))
    host.days(range(1, 8))
    host.pay("a")
    gone = {(lift.step, lift.service) for lift in lifts(SHORT, host.facts, NOW)}
    assert gone == {("suspend", "vps"), ("throttle", "vps"), ("ends", "vps")}


def test_the_base_that_was_paid_is_not_restricted_for_overage() -> None:
    both = (debt("base"), debt("over", kind=DebtKind.OVERAGE))
    host = Host(SHORT, facts(*both))
    host.days(range(1, 8))
    host.pay("base")
    assert {step for step, ground in undone(host).items() if ground is not Ground.PAID} == set()
    assert {"suspend", "throttle"} <= set(undone(host))
    assert "collector" not in undone(host)  # the claim goes on


def test_a_bounce_within_72_hours_lifts_and_was_wrong_from_the_start() -> None:
    host = Host(SHORT, facts(debt()), evidence=lambda i, when: arrives(when, bounced=when + timedelta(hours=71)))
    host.days(range(1, 4))
    assert host.in_force() == ["throttle"]
    when = at(day(4), 11)
    [lift] = lifts(SHORT, host.facts, when)
    assert (lift.ground, lift.wrongful_since) == (Ground.EVIDENCE_GONE, at(day(3)))
    host.run(when)
    [wrong] = wrongful_restrictions(SHORT, host.facts, at(day(30)))
    assert (wrong.step, wrong.since, wrong.until) == ("throttle", at(day(3)), when)


def test_a_later_bounce_is_wrong_from_the_bounce() -> None:
    back = at(day(8), 11)
    host = Host(SHORT, facts(debt()), evidence=lambda i, when: arrives(when, bounced=back))
    host.days(range(1, 8))
    assert undone(host, at(day(8), 10)) == {}
    since = {lift.step: lift.wrongful_since for lift in lifts(SHORT, host.facts, NOW)}
    assert since["suspend"] == back
    assert since["throttle"] == back


def test_an_act_for_two_debts_is_wrong_from_when_the_last_of_them_grounded_it_no_more() -> None:
    host = Host(SHORT, facts(debt("a"), debt("b")))
    host.days(range(1, 8))
    sent = at(day(-14))
    for ref, hour in (("a", 9), ("b", 11)):
        host.change(ref, bill=arrives(sent, bounced=at(day(8), hour)))
    late = lifts(SHORT, host.facts, NOW)
    assert {lift.step for lift in late} == set(RESTRICTING)
    assert {lift.wrongful_since for lift in late} == {at(day(8), 11)}


def test_a_restriction_that_was_lifted_can_turn_out_wrong_afterwards() -> None:
    host = suspended()
    host.pay("a")
    host.run(NOW)
    assert wrongful_restrictions(SHORT, host.facts, at(day(9))) == ()
    reminder = host.facts.done[0]
    late = arrives(reminder.at, bounced=reminder.at + timedelta(hours=48))
    known = replace(host.facts, done=(replace(reminder, evidence=late), *host.facts.done[1:]))
    assert {w.step for w in wrongful_restrictions(SHORT, known, at(day(9)))} == {"throttle", "suspend"}
    assert all(w.until == NOW for w in wrongful_restrictions(SHORT, known, at(day(9))))


def test_a_bill_that_turns_out_undelivered_lifts_and_was_wrong() -> None:
    host = suspended()
    host.change("a", bill=arrives(at(day(-14)), bounced=at(day(-13))))
    found = lifts(SHORT, host.facts, NOW)
    assert {lift.ground for lift in found} == {Ground.BILL_GONE}
    assert all(lift.wrongful_since for lift in found)


def test_a_bill_that_came_back_and_was_delivered_anew_is_due_later_and_nothing_stands_or_goes_on_until_then() -> None:
    sent = at(day(-14))
    known = {"a": at(day(-100)), "b": at(day(-100))}
    first = Event(EvidenceKind.ACCEPTED, sent, "a")
    host = Host(SHORT, facts(debt(bill=Evidence((first,), known))))
    host.days(range(1, 8))
    back = at(day(8), 9)
    again = Event(EvidenceKind.ACCEPTED, at(day(8), 10), "b")
    host.change("a", bill=Evidence((first, Event(EvidenceKind.BOUNCED, back, "a"), again), known))
    found = lifts(SHORT, host.facts, NOW)
    assert {lift.step for lift in found} == set(RESTRICTING)
    assert {lift.ground for lift in found} == {Ground.BILL_GONE}
    assert {lift.wrongful_since for lift in found} == {back}
    due = 22  # as much later as it came
    host.days(range(8, due))
    assert host.in_force() == []
    assert {on for on, _, _ in host.acts} <= {day(n) for n in range(8)}
    [held] = [h for h in host.judge(at(day(due - 1))).held_up if h.step == "throttle"]
    assert held.refusal.code is Refused.BILL_NOT_DELIVERED
    assert f"due on {day(due).isoformat()}" in held.refusal.message
    host.days(range(due, due + 8))
    assert "throttle" in host.in_force()


def test_our_own_error_lifts_and_credits_an_order_lifts_and_a_pause_leaves_what_stands() -> None:
    host = suspended()
    known = host.facts
    host.facts = replace(known, stays=(Stay("s", StayKind.OWN_ERROR, at(day(8))),))
    since = {lift.done: lift.wrongful_since for lift in lifts(SHORT, host.facts, NOW)}
    assert all(since.values())
    wrong = wrongful_restrictions(SHORT, host.facts, NOW)
    assert {w.done: w.since for w in wrong}.items() <= since.items()  # from the beginning, by either question
    host.facts = replace(known, stays=(Stay("s", StayKind.ORDER, at(day(8))),))
    assert {lift.wrongful_since for lift in lifts(SHORT, host.facts, NOW)} == {None}
    for kind in (StayKind.INSOLVENCY, StayKind.OPERATOR):
        host.facts = replace(known, stays=(Stay("s", kind, at(day(8)), at(day(20))),))
        assert lifts(SHORT, host.facts, NOW) == ()
    both = (*host.facts.stays, Stay("t", StayKind.OWN_ERROR, at(day(8), 11)))
    host.facts = replace(known, stays=both)
    assert {lift.ground for lift in lifts(SHORT, host.facts, NOW)} == {Ground.STAYED}


def test_an_ended_contract_comes_back_by_hand_and_only_where_it_was_wrong() -> None:
    host = Host(SHORT, facts(debt()))
    host.days(range(1, 16))
    assert "terminate" in host.steps
    when = at(day(16))
    host.change("a", open=eur(0))
    assert "terminate" not in undone(host, when)
    host.change("a", open=eur(5000))
    host.facts = replace(host.facts, stays=(Stay("s", StayKind.OWN_ERROR, at(day(15))),))
    [lift] = [lift for lift in lifts(SHORT, host.facts, when) if lift.step == "terminate"]
    assert (lift.by_hand, lift.inverse) == (True, "reinstate")


def test_a_notice_of_termination_is_taken_back_and_must_be_given_again() -> None:
    host = Host(SHORT, facts(debt()))
    host.days(range(1, 10))
    assert "last" in host.steps
    host.facts = replace(host.facts, held=(Held("h", "a", eur(5000), at(day(9), 12)),))
    host.days([10])
    assert "last" in {step for _, step, _ in host.lifted}
    host.facts = replace(host.facts, held=(Held("h", "a", eur(5000), at(day(9), 12), at(day(11), 1)),))
    host.days(range(11, 40))
    assert host.steps.count("suspend") == 2
    assert host.steps.count("last") == 2


def test_observe_mode_decides_the_same_and_touches_nothing() -> None:
    enforced = Host(SHORT, facts(debt()))
    watched = Host(replace(SHORT, mode=Mode.OBSERVE), facts(debt()))
    for host in (enforced, watched):
        host.days(range(1, 20))
    assert watched.acts == enforced.acts
    assert all(done.observed for done in watched.facts.done)
    # What was only watched is no notice: enforcing begins at the beginning.
    fresh = decide(SHORT, watched.facts, at(day(20)))
    assert [intent.step for intent in fresh.intents] == ["reminder"]
    assert fresh.lifts == ()


def test_a_case_is_judged_by_the_version_it_is_pinned_to() -> None:
    known = replace(suspended().facts, pinned="short@2026-01-01")
    decide(SHORT, known, NOW)
    newer = replace(SHORT, valid_from=day(5))
    with pytest.raises(PolicyMismatchError, match="short@2026-01-01, not by short@2026-03-07"):
        decide(newer, known, NOW)
    with pytest.raises(PolicyMismatchError, match="'suspend', which"):
        decide(replace(SHORT, steps=SHORT.steps[:1]), replace(known, pinned=""), NOW)
