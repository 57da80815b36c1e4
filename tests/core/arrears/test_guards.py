"""Each refusal by name: what brings it about, that it comes first, and what ends it."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from tests.core.arrears.worlds import SHORT, Host, arrives, at, day, debt, eur, facts, lost

from coulance_core.arrears import (
    Approval,
    Backup,
    DebtKind,
    Facts,
    Held,
    Impossible,
    InFlight,
    Instalment,
    Paid,
    Plan,
    Promise,
    Refused,
    Retrieval,
    Service,
    Stay,
    StayKind,
    decide,
    may_execute,
)
from coulance_core.arrears.facts import Evidence

# 2 March 2026 is a Monday. The reminder goes on Tuesday (day 1), the throttle may come on Thursday (day 3).
THROTTLE = at(day(3))


def reminded(**more: object) -> Facts:
    """An account whose reminder was received, so that the throttle's day comes on day 3."""
    host = Host(SHORT, facts(debt(), **more))
    host.days([1])
    assert host.steps == ["reminder"]
    return host.facts


def refusal_of(known: Facts, step: str = "throttle", when: object = THROTTLE) -> Refused | None:
    decision = decide(SHORT, known, when)  # type: ignore[arg-type]
    for intent in decision.intents:
        if intent.step == step:
            return None
    for held in decision.held_up:
        if held.step == step:
            assert held.refusal.message
            assert held.refusal.explanation is not None
            held.refusal.explanation.recompute()
            assert isinstance(held.refusal.code, Refused)
            return held.refusal.code
    raise AssertionError(f"{step} isn't at hand: {decision}")


def test_nothing_keeps_a_throttle_whose_day_has_come() -> None:
    assert refusal_of(reminded()) is None


VETOES: dict[Refused, dict[str, object]] = {
    Refused.STAYED: {"stays": (Stay("s", StayKind.INSOLVENCY, at(day(2))),)},
    Refused.BILL_NOT_DELIVERED: {"debts": (debt(bill=None),)},
    Refused.COSTS_NEVER_RESTRICT: {"debts": (debt(kind=DebtKind.COSTS),)},
    Refused.OVERAGE_ALONE: {"debts": (debt(kind=DebtKind.OVERAGE),)},
    Refused.UNDER_DISPUTE: {"held": (Held("h", "a", eur(5000), at(day(2))),)},
    Refused.PROMISE_LIVE: {"promises": (Promise("p", frozenset("a"), at(day(2)), day(9)),)},
    Refused.PLAN_KEPT: {
        "plans": (Plan("p", frozenset("a"), at(day(2)), (Instalment(day(9), eur(5000)),)),),
    },
    Refused.PAYMENT_IN_FLIGHT: {"in_flight": (InFlight("f", eur(5000), at(day(2)), day(6)),)},
    Refused.CREDIT_ON_HAND: {"credit": (eur(5000),)},
    Refused.BELOW_MINIMUM: {"debts": (replace(debt(), open=eur(499)),)},
    Refused.OUTSIDE_CALENDAR: {"holidays": frozenset({day(4)})},
}


@pytest.mark.parametrize("code", list(VETOES))
def test_each_veto_by_its_name(code: Refused) -> None:
    known = replace(reminded(), **VETOES[code])  # type: ignore[arg-type]
    assert refusal_of(known) is code


def test_of_several_the_first_by_precedence_is_told() -> None:
    merged: dict[str, object] = {}
    for code in reversed([c for c in Refused if c in VETOES and "debts" not in VETOES[c]]):
        merged |= VETOES[code]
        assert refusal_of(replace(reminded(), **merged)) is code  # type: ignore[arg-type]


def test_a_notice_that_came_back_stops_the_clock_and_goes_by_post() -> None:
    host = Host(SHORT, facts(debt()), evidence=lambda intent, when: arrives(when, bounced=when + timedelta(hours=5)))
    host.days([1])
    assert refusal_of(host.facts) is Refused.NOTICE_NOT_RECEIVED
    again = decide(SHORT, host.facts, at(day(2))).intents
    assert [(i.step, [c.value for c in i.channels]) for i in again] == [("reminder", ["post"])]
    host.evidence = lambda intent, when: arrives(when, post=True)
    host.days([2])
    assert refusal_of(host.facts, when=at(day(7))) is None  # the letter came on Tuesday; Friday and weekend are closed


def test_a_notice_that_nobody_took_waits_its_days_and_then_goes_by_post() -> None:
    host = Host(SHORT, facts(debt()), evidence=lambda intent, when: lost(when))
    host.days(range(1, 4))
    assert host.steps == ["reminder"]
    host.days([4])
    assert host.steps == ["reminder", "reminder"]
    host.days(range(5, 30))
    assert host.steps == ["reminder", "reminder"]  # nothing runs from it, and both ways are used: a person has to look


def test_an_address_that_nobody_verified_proves_nothing() -> None:
    def unverified(when: object) -> Evidence:
        return Evidence(arrives(when).events)  # type: ignore[arg-type]

    host = Host(SHORT, facts(debt()), evidence=lambda intent, when: unverified(when))
    host.days([1])
    assert refusal_of(host.facts) is Refused.NOTICE_NOT_RECEIVED


def test_somebody_who_looked_has_received_it_whatever_bounces() -> None:
    host = Host(
        SHORT,
        facts(debt()),
        evidence=lambda i, when: replace(
            arrives(when, bounced=when + timedelta(hours=9), seen=when + timedelta(hours=2)), verified={}
        ),
    )
    host.days([1])
    assert refusal_of(host.facts) is None


def test_a_partial_dispute_leaves_the_rest_due_and_is_about_the_rest() -> None:
    known = replace(reminded(), held=(Held("h", "a", eur(2000), at(day(2))),))
    [intent] = [i for i in decide(SHORT, known, THROTTLE).intents if i.step == "throttle"]
    assert intent.amount == eur(3000)


def test_a_second_dispute_needs_a_new_fact() -> None:
    first = Held("h1", "a", eur(5000), at(day(1), 12), at(day(1), 13))
    second = Held("h2", "a", eur(5000), at(day(2)))
    known = replace(reminded(), held=(first, second))
    assert refusal_of(known) is Refused.NOTICE_NOT_RECEIVED  # not held, but steps rested: the notice comes first
    assert refusal_of(replace(known, held=(first, replace(second, new_fact=True)))) is Refused.UNDER_DISPUTE
    told = Host(SHORT, replace(known, held=(first, second)))
    told.days(range(2, 15))
    assert "throttle" in told.steps
    held = Host(SHORT, replace(known, held=(first, replace(second, new_fact=True))))
    held.days(range(2, 15))
    assert "throttle" not in held.steps


def test_a_question_unanswered_for_14_days_ends_the_hold() -> None:
    asked = Held("h", "a", eur(5000), at(day(1), 12), None, asked_on=day(2))
    host = Host(SHORT, replace(reminded(), held=(asked,)))
    host.days(range(2, 17))
    assert host.steps == []
    host.days(range(17, 30))
    assert "resume" in host.steps
    assert "throttle" in host.steps


def test_promises_are_two_of_fourteen_days_and_no_more() -> None:
    host = Host(SHORT, replace(reminded(), promises=(Promise("p1", frozenset("a"), at(day(2)), day(60)),)))
    host.days(range(2, 17))
    assert host.acts == []
    assert refusal_of(host.facts, when=at(day(16))) is Refused.PROMISE_LIVE
    host.days([17])
    assert host.steps == ["no_more", "resume"]
    host.facts = replace(
        host.facts, promises=(*host.facts.promises, Promise("p2", frozenset("a"), at(day(18)), day(60)))
    )
    host.days(range(18, 33))
    assert host.steps == ["no_more", "resume"]
    host.facts = replace(
        host.facts, promises=(*host.facts.promises, Promise("p3", frozenset("a"), at(day(32)), day(60)))
    )
    host.days(range(33, 40))
    assert host.steps[:3] == ["no_more", "resume", "resume"]
    assert "throttle" in host.steps


def plan(*dues: int, paid: tuple[tuple[int, int], ...] = ()) -> Plan:
    parts = tuple(Instalment(day(n), eur(5000 // len(dues))) for n in dues)
    return Plan("plan", frozenset("a"), at(day(2)), parts, tuple(Paid(day(n), eur(m)) for n, m in paid))


def test_a_plan_in_month_three_breaks_and_the_same_step_comes_after_its_notice() -> None:
    kept = plan(10, 40, 70, paid=((9, 1667), (40, 1667)))
    host = Host(SHORT, replace(reminded(), plans=(kept,)))
    host.days(range(2, 74))
    assert set(host.steps) == {"instalment"}
    assert [on for on, _, _ in host.acts] == [day(7), day(37), day(67), day(71)]
    host.days([74])  # due on day 70, three days of grace
    assert host.steps[-1] == "resume"
    host.days(range(75, 80))
    assert [on for on, step, _ in host.acts if step == "throttle"] == [day(77)]


def test_a_plan_that_catches_up_is_kept_again_once() -> None:
    late = plan(10, 20, 30, 40, paid=((15, 1250), (30, 2500)))
    host = Host(SHORT, replace(reminded(), plans=(late,)))
    assert refusal_of(host.facts, when=at(day(13))) is Refused.PLAN_KEPT
    assert refusal_of(host.facts, when=at(day(14))) is Refused.NOTICE_NOT_RECEIVED
    assert refusal_of(host.facts, when=at(day(15))) is Refused.PLAN_KEPT
    assert refusal_of(host.facts, when=at(day(24))) is Refused.NOTICE_NOT_RECEIVED
    assert refusal_of(host.facts, when=at(day(31))) is Refused.NOTICE_NOT_RECEIVED  # caught up a second time: used up


def test_in_flight_ends_on_its_final_day_and_then_steps_go_on_after_a_notice() -> None:
    host = Host(SHORT, replace(reminded(), in_flight=(InFlight("f", eur(5000), at(day(2)), day(6), "a"),)))
    host.days(range(2, 7))
    assert host.acts == []
    host.days([7])
    assert host.steps == ["no_more", "resume"]


def test_after_the_notice_that_steps_go_on_its_whole_days_are_the_customers() -> None:
    """A promise until Sunday, day 6; told on Monday, day 7; two days more: the throttle is for Thursday, day 10."""
    known = replace(reminded(), promises=(Promise("p", frozenset("a"), at(day(2)), day(6)),))
    host = Host(SHORT, known)
    host.days(range(2, 12))
    on = {step: (when - day(0)).days for when, step, _ in reversed(host.acts)}
    assert (on["resume"], on["throttle"]) == (7, 10)


def test_money_that_came_back_wants_a_notice_before_anything_hurts() -> None:
    host = Host(SHORT, reminded())
    host.change("a", open=eur(0))
    host.days([2])
    host.change("a", open=eur(5000), came_back=(at(day(3), 8),))
    host.days([3])
    assert host.steps == ["resume"]
    assert refusal_of(host.facts) is Refused.NOTICE_NOT_RECEIVED


@pytest.mark.parametrize(
    ("number", "hour", "minute", "runs"),
    [
        (3, 10, 0, True),  # Thursday
        (4, 10, 0, False),  # Friday
        (4, 17, 55, False),  # Friday at 17:55
        (5, 10, 0, False),
        (6, 10, 0, False),
        (7, 8, 59, False),
        (7, 9, 0, True),
        (7, 15, 59, True),
        (7, 16, 0, False),
        (8, 10, 0, False),  # the eve of a holiday
        (9, 10, 0, False),  # the holiday
        (10, 10, 0, True),
    ],
)
def test_restrictions_keep_to_the_calendar(number: int, hour: int, minute: int, runs: bool) -> None:
    known = replace(reminded(), holidays=frozenset({day(9)}))
    code = refusal_of(known, when=at(day(number), hour, minute))
    assert code is (None if runs else Refused.OUTSIDE_CALENDAR)


def test_the_calendar_is_the_customers() -> None:
    host = Host(SHORT, replace(reminded(), zone=at(day(0)).tzinfo))  # type: ignore[type-var]
    assert refusal_of(host.facts, when=at(day(3), 9, 30)) is Refused.OUTSIDE_CALENDAR  # 8:30 there


# --- backups and two people


def suspended_soon(**more: object) -> Host:
    host = Host(SHORT, facts(debt(), **more), backs_up=False)
    host.days(range(1, 7))
    return host


def test_no_suspension_without_a_verified_and_young_backup() -> None:
    host = suspended_soon()
    when = at(day(7))
    assert refusal_of(host.facts, "back_up", when) is None
    assert not any(i.step == "suspend" for i in decide(SHORT, host.facts, when).intents)

    def with_backup(**changes: object) -> list[str]:
        made = Backup("b", "vps", at(day(6)), at(day(6), 11), "checksum")
        known = replace(host.facts, backups=(replace(made, **changes),))  # type: ignore[arg-type]
        return [i.step for i in decide(SHORT, known, when).intents]

    assert "suspend" in with_backup()
    assert "suspend" not in with_backup(verified_at=None)
    assert "suspend" not in with_backup(made_at=at(day(4), 9))
    assert "suspend" not in with_backup(service="other")
    assert "suspend" not in with_backup(lost_at=at(day(7), 9))


def test_a_colo_port_holds_no_data_and_needs_no_backup() -> None:
    host = suspended_soon(services=(Service("vps", holds_data=False),))
    host.days([7])
    assert "suspend" in host.steps
    assert "back_up" not in host.steps


def test_termination_and_deletion_want_two_different_people() -> None:
    host = Host(SHORT, facts(debt()), approve=False)
    host.days(range(1, 14))
    when = at(day(14))
    assert "suspend" in host.steps
    host.facts = replace(host.facts, backups=(Backup("b", "vps", at(day(13)), at(day(13)), "restored"),))
    assert refusal_of(host.facts, "terminate", when) is Refused.NEEDS_APPROVAL

    def approved(*by: str, **changes: object) -> Refused | None:
        given = tuple(replace(Approval("terminate", who, at(day(13)), "vps"), **changes) for who in by)  # type: ignore[arg-type]
        return refusal_of(replace(host.facts, approvals=given), "terminate", when)

    assert approved("anna", "ben") is None
    assert approved("anna", "anna") is Refused.NEEDS_APPROVAL
    assert approved("anna", "ben", service="mail") is Refused.NEEDS_APPROVAL
    assert approved("anna", "ben", step="delete") is Refused.NEEDS_APPROVAL
    assert approved("anna", "ben", at=at(day(-1))) is Refused.NEEDS_APPROVAL
    assert approved("anna", "ben", taken_back_at=at(day(14), 9)) is Refused.NEEDS_APPROVAL


def test_deletion_without_a_backup_wants_recorded_impossibility_and_thirty_days_of_retrieval() -> None:
    host = Host(SHORT, facts(debt()))
    host.days(range(1, 19))
    assert host.steps[-2:] == ["terminate", "goodbye"]
    host.backs_up = False
    when = at(day(44))
    people = tuple(Approval("delete", who, at(day(43)), "vps") for who in ("anna", "ben"))
    known = replace(host.facts, approvals=(*host.facts.approvals, *people))
    assert refusal_of(known, "delete", when) is Refused.NO_VERIFIED_BACKUP
    told = replace(known, impossible=(Impossible("vps", at(day(20)), "anna", "the disk can't be read"),))
    assert refusal_of(told, "delete", when) is Refused.NO_VERIFIED_BACKUP
    young = replace(told, retrievals=(Retrieval("vps", at(day(20))),))
    assert refusal_of(young, "delete", when) is Refused.NO_VERIFIED_BACKUP
    short = replace(told, retrievals=(Retrieval("vps", at(day(10)), at(day(30))),))
    assert refusal_of(short, "delete", when) is Refused.NO_VERIFIED_BACKUP
    long = replace(told, retrievals=(Retrieval("vps", at(day(10))),))
    assert refusal_of(long, "delete", when) is None
    assert refusal_of(replace(long, approvals=people[:1]), "delete", when) is Refused.NEEDS_APPROVAL


def test_impossibility_is_for_deletion_only() -> None:
    host = suspended_soon(
        impossible=(Impossible("vps", at(day(0)), "anna", "no"),), retrievals=(Retrieval("vps", at(day(-60))),)
    )
    assert refusal_of(host.facts, "suspend", at(day(7))) is Refused.NO_VERIFIED_BACKUP


# --- bills


def test_a_bill_that_came_late_is_due_later_by_as_much() -> None:
    sent = at(day(-4))  # issued on day -14, and received ten days later
    host = Host(SHORT, facts(debt(bill=arrives(sent))))
    host.days(range(11))
    assert host.acts == []
    host.days([11])
    assert host.steps == ["reminder"]


def test_a_bill_within_the_lag_keeps_its_day() -> None:
    host = Host(SHORT, facts(debt(bill=arrives(at(day(-11))))))
    host.days([1])
    assert host.steps == ["reminder"]


def test_overage_restricts_where_the_contract_says_so_expressly() -> None:
    known = replace(reminded(), debts=(debt(kind=DebtKind.OVERAGE, expressly=True),))
    assert refusal_of(known) is None


# --- at the write


def test_an_intent_is_judged_again_when_it_is_carried_out() -> None:
    known = reminded()
    [intent] = [i for i in decide(SHORT, known, THROTTLE).intents if i.step == "throttle"]
    assert may_execute(SHORT, known, intent, THROTTLE) is None
    for code, changes in VETOES.items():
        changed = replace(known, **changes)  # type: ignore[arg-type]
        refusal = may_execute(SHORT, changed, intent, THROTTLE)
        assert refusal is not None
        assert refusal.code is code
    host = Host(SHORT, known)
    host.do(intent, THROTTLE)
    again = may_execute(SHORT, host.facts, intent, THROTTLE)
    assert again is not None
    assert again.code is Refused.NOT_ASKED
    part = replace(known, debts=(replace(debt(), open=eur(2000)),))
    less = may_execute(SHORT, part, intent, THROTTLE)  # about 50.00, of which 20.00 is left
    assert less is not None
    assert less.code is Refused.NOT_ASKED
    paid = replace(known, debts=(replace(debt(), open=eur(0)),))
    gone = may_execute(SHORT, paid, intent, THROTTLE)
    assert gone is not None
    assert gone.code is Refused.NOT_ASKED


def test_an_operators_pause_has_an_end() -> None:
    with pytest.raises(ValueError, match="needs an end"):
        Stay("s", StayKind.OPERATOR, at(day(0)))
    assert date(2026, 3, 2) == day(0)
