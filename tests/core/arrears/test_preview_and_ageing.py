"""What will happen is what then happens; and the accounts that columns leave out have nothing to do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.arrears.histories import History
from tests.core.arrears.worlds import D0, DEFAULT, SHORT, ZONE, Host, at, by_channels, day, debt, eur, facts

from coulance_core.arrears import (
    Debtor,
    Facts,
    Held,
    Instalment,
    NotPlanned,
    Paid,
    Plan,
    PlanTerms,
    Promise,
    Proposed,
    Way,
    decide,
    in_parts,
    outlook,
    preview,
    propose,
)
from coulance_core.arrears.ageing import candidates, first_days, wake_of
from coulance_core.arrears.calendar import closed_because, next_open
from coulance_core.arrears.facts import DebtKind
from coulance_core.arrears.preview import instants, suppose
from coulance_core.arrears.terms import Calendar
from coulance_core.kernel import Money, Refusal


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.integers(0, 5000), st.booleans())
def test_a_preview_is_what_happens(seed: int, approved: bool) -> None:
    """From somewhere within a random history, nobody doing anything from then on, all messages arriving."""
    life = History.begin(seed, SHORT, None)
    stop = Random(seed).randint(3, 60)
    when = at(D0)
    for number, (instant, _, _) in enumerate(life.live()):
        when = instant
        if number == stop:
            break
    start = when + timedelta(minutes=10)
    known = life.facts.known(start)
    said = preview(SHORT, known, start, days=25, approved=approved)
    host = Host(SHORT, known, evidence=lambda i, then: by_channels(i.channels, then), approve=approved)
    host.number = 10_000
    happened = []
    for then in instants(SHORT, known, start, 25):
        for _ in range(12):
            decision = host.run(then)
            happened += [(then, lift.step, lift.service, True) for lift in decision.lifts]
            happened += [(then, intent.step, intent.service, False) for intent in decision.intents]
            waits = any(held.refusal.code.value == "needs_approval" for held in decision.held_up)
            if decision.is_quiet and not (approved and waits):
                break
    assert [(p.at, p.step, p.service, p.undone) for p in said if not p.waits_for] == happened


def test_a_preview_says_what_a_step_waits_for() -> None:
    said = preview(SHORT, facts(debt()), at(day(0)), days=30)
    waits = {(p.step, p.waits_for): p.at for p in said if p.waits_for}
    assert waits["terminate", "needs_approval"] == at(day(14), 9)
    assert not any(p.step == "delete" for p in said)
    done = preview(SHORT, facts(debt()), at(day(0)), days=30, approved=True)
    assert [p.step for p in done if p.step in ("terminate", "delete") and not p.waits_for] == ["terminate", "delete"]


# --- columns

POLICIES = (SHORT, DEFAULT)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_accounts_that_are_left_out_have_nothing_to_do(seed: int) -> None:
    chance = Random(seed)
    now = at(day(chance.randint(5, 40)), 11, 30)
    all_of: dict[int, Facts] = {}
    judged: dict[int, np.datetime64] = {}
    touched: list[int] = []
    for account in range(9):
        life = History.begin(seed * 100 + account, SHORT, None)
        all_of[account] = life.facts.known(now)
        if account % 4 == 0:
            continue  # nobody ever judged it
        when, before, decision = chance.choice(list(takewhile(lambda seen: seen[0] <= now, life.live())))
        all_of[account] = before.known(when)  # and nothing happened since
        judged[account] = wake_of(decision.wake)
        if not decision.is_quiet:
            touched.append(account)  # what was decided will be done: its facts change
    rows = [(account, d.open.minor, d.due_on) for account, known in all_of.items() for d in known.debts]
    picked = candidates(
        np.array([r[0] for r in rows], np.int64),
        np.array([r[1] for r in rows], np.int64),
        np.array([r[2] for r in rows], "datetime64[D]"),
        judged=np.array(list(judged), np.int64),
        wake=np.array(list(judged.values()), "datetime64[s]"),
        touched=np.array(touched, np.int64),
        at=now,
        first=first_days([SHORT]),
    )
    assert sorted(set(picked.tolist())) == picked.tolist()
    for account, known in all_of.items():
        if account not in picked:
            assert decide(SHORT, known, now).is_quiet, account
    assert len(picked) < len(all_of)


def test_columns_pick_by_the_first_day_of_any_policy() -> None:
    assert first_days(POLICIES) == -3
    assert first_days([SHORT]) == 1
    due = np.array(["2026-11-25", "2026-11-26"], "datetime64[D]")
    none = np.array([], np.int64)
    picked = candidates(
        np.array([1, 2]),
        np.array([100, 100]),
        due,
        judged=none,
        wake=np.array([], "datetime64[s]"),
        touched=none,
        at=datetime(2026, 11, 22, 9, tzinfo=UTC),
        first=-3,
    )
    assert picked.tolist() == [1]


# --- the page


def test_the_page_says_what_is_owed_what_comes_and_what_stops_it() -> None:
    debts = (debt("a"), debt("b", 3000, due=20), debt("i", 100, kind=DebtKind.INTEREST))
    host = Host(SHORT, facts(*debts, held=(Held("h", "a", eur(1000), at(day(0))),)))
    host.days([1])
    page = outlook(SHORT, host.facts, at(day(2)))
    assert [(line.debt, line.disputed.minor, line.net.minor) for line in page.owed] == [
        ("a", 1000, 4000),
        ("i", 0, 100),
        ("b", 0, 3000),
    ]
    assert page.to_restore == (eur(4000),)
    assert ("throttle", day(3)) in {(one.step, one.on) for one in page.coming}
    ways = {way.way: way for way in page.ways}
    assert ways[Way.PAY].amount == eur(4100)
    assert (ways[Way.PROMISE].left, ways[Way.PLAN].is_open) == (2, True)
    two = tuple(Promise(f"p{n}", frozenset("ai"), at(day(n), 9), day(n)) for n in (0, 1))
    used = outlook(SHORT, replace(host.facts, promises=two), at(day(2)))
    assert not {way.way: way for way in used.ways}[Way.PROMISE].is_open
    clear = outlook(SHORT, facts(debt(amount=0)), at(day(2)))
    assert (clear.owed, clear.to_restore, [way.way for way in clear.ways]) == ((), (), [Way.TALK])


# --- proposing

TERMS = PlanTerms(
    instalments=3, days=90, first_percent=20, first_days=10, smallest=(eur(500),), auto_below=(eur(9000),)
)


@pytest.mark.parametrize(
    ("parts", "owed", "breaks", "code"),
    [
        ([(5, 3000), (30, 3000), (60, 3000)], 9000, 0, None),
        ([(5, 3000)], 0, 0, NotPlanned.NOTHING_OWED),
        ([(5, 9000)], 9000, 2, NotPlanned.VETOES_USED),
        ([(5, 9000)], 9000, 1, None),
        ([(5, 3000), (30, 3000)], 9000, 0, NotPlanned.WRONG_SUM),
        ([(5, 9500), (30, -500)], 9000, 0, NotPlanned.WRONG_SUM),
        ([(30, 4500), (5, 4500)], 9000, 0, NotPlanned.NOT_IN_ORDER),
        ([(-1, 9000)], 9000, 0, NotPlanned.NOT_IN_ORDER),
        ([(1, 3000), (2, 2000), (3, 2000), (4, 2000)], 9000, 0, NotPlanned.TOO_MANY),
        ([(5, 4500), (91, 4500)], 9000, 0, NotPlanned.TOO_LONG),
        ([(11, 9000)], 9000, 0, NotPlanned.FIRST_TOO_LATE),
        ([(5, 1000), (30, 8000)], 9000, 0, NotPlanned.FIRST_TOO_SMALL),
        ([(5, 8000), (30, 400), (60, 600)], 9000, 0, NotPlanned.TOO_SMALL),
    ],
)
def test_a_plan_within_bounds(parts: list[tuple[int, int]], owed: int, breaks: int, code: NotPlanned | None) -> None:
    proposed = [Instalment(day(n), eur(minor)) for n, minor in parts]
    found = propose(TERMS, eur(owed), proposed, on=D0, breaks=breaks)
    if code is None:
        assert isinstance(found, Proposed)
        assert not found.needs_approval
    else:
        assert isinstance(found, Refusal)
        assert found.code is code


def test_a_larger_plan_wants_an_operators_yes() -> None:
    found = propose(TERMS, eur(9001), [Instalment(day(5), eur(9001))], on=D0)
    assert isinstance(found, Proposed)
    assert found.needs_approval


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 10**9), st.integers(1, 12), st.integers(0, 10**6))
def test_parts_of_a_plan_come_to_the_cent(minor: int, count: int, first: int) -> None:
    days = [day(30 * n) for n in range(count)]
    parts = in_parts(eur(minor), days)
    assert sum(part.amount.minor for part in parts) == minor
    assert max(p.amount.minor for p in parts) - min(p.amount.minor for p in parts) <= 1
    if count > 1:
        assert sum(p.amount.minor for p in in_parts(eur(minor + first), days, first=eur(first))) == minor + first


def test_a_plan_that_is_paid_through_holds_nothing_back_any_more() -> None:
    done = Plan("p", frozenset("a"), at(day(0)), (Instalment(day(5), eur(5000)),), (Paid(day(1), eur(5000)),))
    host = Host(SHORT, facts(debt(amount=7000), plans=(done,)))
    host.change("a", open=eur(2000))
    host.days(range(9))
    assert host.steps == []
    host.days(range(9, 12))
    assert host.steps[0] == "reminder"


# --- calendars


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.integers(0, 23), st.sets(st.integers(0, 420), max_size=40))
def test_the_next_opening_is_the_first(number: int, hour: int, holidays: set[int]) -> None:
    closed = frozenset(day(n) for n in holidays)
    start = at(day(number), hour, 30)
    opens = next_open(Calendar(), start, ZONE, closed)
    assert opens >= start
    local = opens.astimezone(ZONE)
    assert closed_because(Calendar(), local.date(), closed) == ""
    assert 9 <= local.hour < 16
    probe = start
    while probe < opens:
        here = probe.astimezone(ZONE)
        assert closed_because(Calendar(), here.date(), closed) or not 9 <= here.hour < 16
        probe += timedelta(hours=1)


def test_suppositions_are_recorded_as_the_shell_would() -> None:
    known = facts(debt(), debtor=Debtor.CONSUMER)
    decision = decide(SHORT, known, at(day(1)))
    [done] = suppose(known, decision, at(day(1))).done
    assert (done.step, done.debts, done.channels) == ("reminder", frozenset("a"), frozenset({"email"}))
    assert isinstance(decision.intents[0].amount, Money)
