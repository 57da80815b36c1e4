"""The second law under random histories, against a judge that reads it aloud; and what each guard is for."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.arrears import judge
from tests.core.arrears.histories import DAYS, History
from tests.core.arrears.worlds import SHORT, at, day, eur, pack

from coulance_core.arrears import (
    Decision,
    Facts,
    Held,
    LawPack,
    Policy,
    Promise,
    Refused,
    Stay,
    StayKind,
    amounts,
    decide,
    guards,
    judging,
    lifting,
    plans,
)
from coulance_core.kernel import Explanation

NO_LEAST = replace(SHORT, name="to_the_cent", minimum=())
STANDING = ("throttle", "suspend", "ends", "collector")
"""What is lifted the moment its ground is gone. An end or a deletion isn't."""


@lru_cache
def law() -> LawPack:
    return pack("nl")


def history(seed: int) -> History:
    return History.begin(seed, NO_LEAST if seed % 3 == 0 else SHORT, law() if seed % 2 else None)


def faults(life: History) -> Iterator[str]:
    """What the judge has against a history, as it goes on."""
    least = 500 if life.policy.minimum else 1
    for when, before, decision in life.live():
        for intent in decision.intents:
            wrong = judge.complaints(before, intent.step, intent.service, frozenset(intent.debts), when, least)
            if wrong:
                yield f"{when}: {intent.step} of {intent.debts}: {wrong}"
        if life.law is None:
            yield from missed(before, when, decision, least)
        done = {one.ref: one for one in before.done}
        for lift in decision.lifts:
            one = done[lift.done]
            if lift.step in STANDING and judge.stands(before, one, when, least):
                yield f"{when}: {lift.step} was lifted ({lift.ground}), and its ground stands"
        for one in life.facts.done:
            if one.step in STANDING and one.undone_at is None and not judge.stands(life.facts, one, when, least):
                yield f"{when}: {one.step} stands without a ground"


def missed(before: Facts, when: datetime, decision: Decision, least: int) -> Iterator[str]:
    """Steps that the law has nothing against, and that weren't done: what protects must not do so for ever."""
    for debt in before.debts:
        for step in judge.AT_ONCE:
            for service in debt.services if step != "collector" else ("",):
                if judge.must_come(before, step, debt, service, when, least) and not any(
                    i.step == step and i.service == service and debt.ref in i.debts for i in decision.intents
                ):
                    yield f"{when}: {step} of {debt.ref} on {service} didn't come"
        said = any(i.step == "resume" and debt.ref in i.debts for i in decision.intents)
        if not said and judge.must_say_so(before, debt, when, least):
            yield f"{when}: nobody said that steps go on for {debt.ref}"


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_no_act_without_notice_way_out_and_backup(seed: int) -> None:
    assert next(faults(history(seed)), None) is None


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.integers(10_000, 20_000))
def test_paying_everything_ends_every_restriction_and_nothing_is_done_again(seed: int) -> None:
    life = history(seed)
    for _ in life.live():
        pass
    life.facts = replace(life.facts, debts=tuple(replace(d, open=eur(0)) for d in life.facts.debts))
    when = at(day(DAYS + 1), zone=life.facts.zone)
    life.run(when)
    life.run(when)
    assert [step for step in life.in_force() if step in ("throttle", "suspend")] == []
    after = decide(life.policy, life.facts, at(day(DAYS + 400), zone=life.facts.zone), law=life.law)
    assert (after.intents, after.lifts, after.ahead) == ((), (), ())


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(20_000, 30_000), st.randoms(use_true_random=False))
def test_a_decision_follows_from_the_facts_in_whatever_order_they_come(seed: int, chance: object) -> None:
    life = history(seed)
    for number, (when, before, decision) in enumerate(life.live()):
        if number % 7:
            continue
        # Facts of later days are facts too: judged at an instant, they count for nothing.
        mixed = shuffled(before, chance)
        assert decide(life.policy, mixed, when, law=life.law) == decision
        for reason in reasons(decision):
            reason.recompute()
            assert Explanation.from_json(reason.to_json()) == reason


def reasons(decision: Decision) -> list[Explanation]:
    """Every explanation of a decision."""
    found = [one.explanation for one in (*decision.intents, *decision.lifts)]
    found += [held.refusal.explanation for held in decision.held_up]
    assert None not in found
    return [one for one in found if one is not None]


def shuffled(facts: Facts, chance: object) -> Facts:
    def mix(items: tuple[object, ...]) -> tuple[object, ...]:
        listed = list(items)
        chance.shuffle(listed)  # type: ignore[attr-defined]
        return tuple(listed)

    fields = ("done", "held", "promises", "plans", "in_flight", "backups", "approvals", "stays")
    return replace(facts, **{name: mix(getattr(facts, name)) for name in fields})


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(30_000, 40_000))
def test_between_a_judgement_and_its_wake_time_alone_changes_nothing(seed: int) -> None:
    life = history(seed)
    for number, (when, before, decision) in enumerate(life.live()):
        if number % 5 or not decision.is_quiet:
            continue
        known = before.known(when)  # a bounce of next week is none yet
        for wait in (1, 7, 31):
            later = at(day((when - at(day(0))).days + wait), 11, zone=life.facts.zone)
            if later > when and (decision.wake is None or later < decision.wake):
                again = decide(life.policy, known, later, law=life.law)
                assert again.is_quiet, (when, decision.wake, later, again.intents, again.lifts)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.integers(40_000, 50_000))
def test_more_reasons_to_wait_never_make_more_happen(seed: int) -> None:
    """A payment, credit, a dispute, a promise, a stay, a lost backup or bill: none adds an act that hurts."""
    life = history(seed)
    for number, (when, before, decision) in enumerate(life.live()):
        if number % 6:
            continue
        hurts = {(i.step, i.service, ref) for i in decision.intents if i.step in judge.NOTICES for ref in i.debts}
        for better in improved(before, number, when):
            now = decide(life.policy, better, when, law=life.law)
            more = {(i.step, i.service, ref) for i in now.intents if i.step in judge.NOTICES for ref in i.debts}
            assert more <= hurts


def improved(facts: Facts, number: int, when: datetime) -> Iterator[Facts]:
    one = facts.debts[number % len(facts.debts)]
    paid = tuple(replace(d, open=eur(d.open.minor // 2)) if d.ref == one.ref else d for d in facts.debts)
    yield replace(facts, debts=paid)
    yield replace(facts, credit=(*facts.credit, eur(1500)))
    yield replace(facts, held=(*facts.held, Held("new", one.ref, one.open, when, new_fact=True)))
    yield replace(facts, promises=(*facts.promises, Promise("new", frozenset({one.ref}), when, day(90))))
    yield replace(facts, stays=(*facts.stays, Stay("new", StayKind.INSOLVENCY, when)))
    yield replace(facts, backups=())
    yield replace(facts, approvals=())
    yield replace(facts, debts=tuple(replace(d, bill=None) if d.ref == one.ref else d for d in facts.debts))


# --- dropping any guard is seen

_TABLES = {**guards.DEBT_GUARDS, **guards.ACT_GUARDS}
"""`HANDED_OVER` has no step after it in the short ladder: test_charging_again drops it."""


@pytest.mark.parametrize("code", [code for code in _TABLES if code is not Refused.HANDED_OVER])
def test_without_a_guard_the_judge_complains(code: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEBT_GUARDS", "ACT_GUARDS"):
        left = {key: guard for key, guard in getattr(guards, name).items() if key is not code}
        monkeypatch.setattr(guards, name, left)
    seen = (found for seed in SEEDS[code] for found in faults(history(seed)))
    assert next(seen, None) is not None


SEEDS: dict[Refused, range] = {code: range(80) for code in _TABLES}
"""Histories that are searched for one that shows the guard missing; most do at once."""
for _code in (Refused.UNDER_DISPUTE, Refused.PAYMENT_IN_FLIGHT, Refused.CREDIT_ON_HAND):
    SEEDS[_code] = range(0, 240, 3)  # where there is a minimum, it catches what nothing is left of


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("ground_gone", lambda j, step, ref: None),
        ("_unproven", lambda j, step, s: None),
    ],
)
def test_without_lifting_the_judge_complains(
    name: str, instead: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifting, name, instead)
    if name == "ground_gone":
        monkeypatch.setattr(lifting, "_lift", lambda j, step, done: None)
    assert next((found for seed in range(80) for found in faults(history(seed))), None) is not None


@pytest.mark.parametrize(
    ("module", "name", "instead"),
    [
        (plans, "PROMISES", 9),
        (plans, "PROMISE_DAYS", 90),
        (plans, "PLAN_RESTARTS", 9),
        (amounts, "QUESTION_DAYS", 99),
        (judging.Judging, "resumed", lambda self, debt, step: True),
        (judging.Judging, "resumed", lambda self, debt, step: False),
    ],
)
def test_a_wider_or_narrower_veto_is_seen(
    module: object, name: str, instead: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vetoes have a budget: the judge also sees what should have come and didn't."""
    monkeypatch.setattr(module, name, instead)
    assert next((found for seed in range(0, 160, 2) for found in faults(history(seed))), None) is not None


def test_guards_stand_in_the_order_of_their_names() -> None:
    order = list(Refused)
    debt_guards, act_guards = list(guards.DEBT_GUARDS), list(guards.ACT_GUARDS)
    assert debt_guards == sorted(debt_guards, key=order.index)
    assert act_guards == sorted(act_guards, key=order.index)
    assert {*debt_guards, *act_guards, Refused.NOT_ASKED} == set(Refused)


def test_the_ladder_of_these_histories_is_the_one_the_judge_knows() -> None:
    policy: Policy = SHORT
    assert {step.key for step in policy.steps if step.nature.hurts} == set(judge.NOTICES)
