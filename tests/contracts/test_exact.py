"""Balances through the shell: exact under any order of work, correction, expiry and leave; whole after any death."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coulance.contracts import queries, tickets, working
from coulance.contracts.errors import ContractsError
from coulance.contracts.working import NewWork
from coulance.flows.contracts import asking, earning
from coulance.invoicing import queries as invoicing
from coulance.invoicing.check import check_documents
from coulance.ledger import queries as ledger
from coulance.ledger.check import check_ledger
from coulance_core.contracts.terms import Work
from coulance_core.kernel import Money, Period
from tests.contracts import dying
from tests.contracts.desk import ACTOR, MAY, Desk, later
from tests.support.crashing import kill_at_each

MINUTE = timedelta(minutes=1)
QUARTER = 900

STEP = st.one_of(
    st.tuples(st.just("work"), st.integers(0, 5), st.integers(0, 60 * 24 * 20), st.integers(0, 200)),
    st.tuples(st.just("out"), st.integers(0, 5), st.just(0), st.just(0)),
    st.tuples(st.just("card"), st.integers(0, 2), st.integers(0, 15), st.just(0)),
    st.tuples(st.just("leave"), st.integers(0, 3), st.integers(0, 60 * 24 * 20), st.integers(1, 120)),
    st.tuples(st.just("round"), st.just(0), st.just(0), st.just(0)),
)


def judged(cards: list[list[Any]], leave: list[list[Any]], work: dict[str, tuple[datetime, int]]) -> dict[str, int]:
    """A judge that draws quarter by quarter: the card that ends first, then leave that was given before, then us."""
    went = {"card": 0, "approved": 0, "absorbed": 0}
    cards = [list(one) for one in sorted(cards, key=lambda c: (c[1], c[0], c[3]))]
    leave = [list(one) for one in sorted(leave, key=lambda a: (a[1], a[0], a[3]))]
    for began, minutes in sorted((began, minutes) for began, minutes in work.values()):
        for _ in range(-(-minutes // 15)):
            rest = QUARTER
            for kind, sources in (("card", cards), ("approved", leave)):
                for source in sources:
                    if rest and source[0] <= began < source[1]:
                        taken = min(rest, source[2])
                        source[2] -= taken
                        rest -= taken
                        went[kind] += taken
            went["absorbed"] += rest
    return {kind: seconds // 60 for kind, seconds in went.items() if seconds}


def pooled(periods: list[Period], work: dict[str, tuple[datetime, int]]) -> list[tuple[int, int, int]]:
    """Minutes carried in, used and lapsed of a pool of five hours a month, two of which keep for another month."""
    found, carried = [], 0
    for period in periods:
        asked = sum(3 * minutes for began, minutes in work.values() if began in period)
        used = min(asked, carried + 300)
        on = min(300 - max(used - carried, 0), 120)
        found.append((carried, used, carried + 300 - used - on))
        carried = on
    return found


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=3, max_size=8))
def test_a_card_is_exact_whatever_happens_in_whatever_order(desk: Desk, steps: list[tuple[str, int, int, int]]) -> None:
    with transaction.atomic():
        _story(desk, steps)
        transaction.set_rollback(True)


def _story(desk: Desk, steps: list[tuple[str, int, int, int]]) -> None:
    desk.agrees("k1", "strips").agrees("k2", "pool", at=MAY)
    zone = queries.contract("k1")
    work: dict[str, tuple[datetime, int]] = {}
    cards: dict[str, list[Any]] = {}
    leave: list[list[Any]] = []
    for n, (what, which, minute, long) in enumerate(steps):
        at = MAY + timedelta(days=30 + n)  # all of it is told late, each thing a day after the other
        key = f"e{which}"
        if what == "work":
            began = MAY + minute * MINUTE
            if key in work:
                began = work[key][0]  # a correction
            desk.works("k1", key, began, long, at=at, why="corrected")
            desk.works("k2", f"p{which}", began, 3 * long, at=at, why="corrected")
            work[key] = began, long
        elif what == "out" and key in work:
            for name in (key, f"p{which}"):
                working.remove_work(key=name, actor=ACTOR, reason="not theirs", at=at)
            del work[key]
        elif what == "card" and f"c{which}" not in cards:
            first = MAY.date() + timedelta(days=minute)
            desk.sells("k1", f"c{which}", on=first.isoformat(), at=at)
            (card,) = [c for c in queries.facts([zone.id])[zone.id].cards if c.key == f"c{which}"]
            cards[card.key] = [card.from_, card.until, card.seconds, card.key]
        elif what == "leave":
            asked = asking.ask(key="k1", seconds=long * 60, text="more", actor=ACTOR, at=MAY + minute * MINUTE).leave
            given_at = MAY + (minute + 1) * MINUTE
            if which:
                desk.approves(asked.key, given_at)
                leave.append([given_at, asked.until, long * 60, asked.key])
        else:
            desk.runs(at)
    end = MAY + timedelta(days=60)
    assert desk.went("k1", end) == judged(list(cards.values()), leave, work)
    found = desk.hours("k1", end).cards
    assert found is not None
    assert all(c.used + c.left + c.lapsed == c.card.seconds for c in found.cards)
    pool = desk.hours("k2", end).pool
    assert pool is not None
    edges = [p.period for p in pool.periods]
    assert [(p.carried_in // 60, p.used // 60, p.lapsed // 60) for p in pool.periods] == pooled(edges, work)
    # What was charged by the hour and is owed in work follows, however often and in whatever order it was looked at.
    over = MAY + timedelta(days=800)
    desk.runs(over)
    approved = desk.went("k1", over).get("approved", 0)
    charged = sum(c.amount.minor * (1 if c.kind == "hours" else -1)
                  for c in queries.charges([zone.id]) if c.kind in ("hours", "hours_back"))  # fmt: skip
    assert charged == (approved * 9_500 * 2 + 60) // 120
    assert [str(f) for f in earning.check_hours()] == []
    assert {row.account: row.balance.minor for row in ledger.trial_balance()}.get("deferred:hours", 0) == 0


@pytest.fixture
def lasting_desk(lasting: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The desk, with commits that are real: a card, and anna's timer."""
    monkeypatch.setenv("COULANCE_URL", "https://billing.example.nl")
    desk = Desk.of(lasting).agrees("k1", "strips")
    desk.sells("k1")
    working.start_timer(contract=desk.id("k1"), who=dying.ANNA, work=Work.CORRECTIVE, text="DNS", at=later(2))
    desk.works("k1", "e0", later(1), 60)
    return desk


def together(*acts: Callable[[], Any]) -> list[str]:
    """Do these at once, each by its own connection; how each ended."""
    ends: list[str] = [""] * len(acts)
    ready = threading.Barrier(len(acts))

    def run(n: int, act: Callable[[], Any]) -> None:
        ready.wait()
        try:
            act()
            ends[n] = "done"
        except ContractsError as fault:
            ends[n] = type(fault).__name__
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(n, act)) for n, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(ends)


def test_killed_at_every_step_and_done_by_many_at_once(lasting_desk: Desk, committed_db: Any) -> None:
    desk = lasting_desk
    connections.close_all()
    kill_at_each("tests.contracts.dying", tuple(dying.STEPS), database=committed_db)
    assert desk.went("k1", later(9)) == {"card": 60}
    assert [one.who for one in queries.timers()] == [dying.ANNA]
    assert [c.key for c in queries.charges([desk.id("k1")])] == ["card/c1"]
    assert tickets.tickets() == []
    # Whoever tries again, and however many at once: each thing is there once.
    for job in (dying.write, dying.sell, dying.earn, dying.take):
        assert together(*[lambda job=job: job(later(2))] * 3) == ["done"] * 3, job.__name__
    assert together(*[lambda: dying.stop(later(2))] * 3) == ["UnableToRecordError", "UnableToRecordError", "done"]
    assert desk.went("k1", later(9)) == {"card": 60 + 30 + 60}
    assert len(tickets.tickets()) == 1
    assert [d.net for d in invoicing.documents(account=desk.account)] == [Money(90_000, "EUR")] * 2

    # One entry told by two with different times: one of them is new, the other a correction that wants a reason.
    def told(minutes: int) -> Callable[[], Any]:
        one = NewWork(desk.id("k1"), "race", later(3), minutes * 60, "anna")
        return lambda: working.record_work(work=[one], actor=ACTOR, at=later(9))

    assert together(told(10), told(20)) == ["UnableToRecordError", "done"]
    # Leave is asked; yes and no come at once: one of them counts, and what began before it is ours.
    leave = desk.asks("k1", 60, later(4))

    def answer(approved: bool) -> Callable[[], Any]:
        return lambda: desk.approves(leave, later(5), approved=approved)

    assert together(answer(True), answer(False), answer(True)) == ["UnableToApproveError"] * 2 + ["done"]
    desk.runs(later(30))
    assert [str(f) for f in earning.check_hours()] == []
    assert list(check_ledger()) == []
    assert list(check_documents()) == []
