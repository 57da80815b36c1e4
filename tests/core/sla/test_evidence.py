"""Evidence: bounds that hold the truth, silence that is neither up nor down, a real history read by its own rules."""

import csv
import json
from collections import defaultdict
from datetime import UTC, datetime, time, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance_core.sla.evidence import UPPTIME, Bound, Quorum, Samples, aligned, judge, seen
from coulance_core.sla.intervals import EMPTY, Spans, instant, micros

TTL, END = 90, 4000


@st.composite
def truths(draw: st.DrawFn) -> Spans:
    """Outages and pauses between them that are longer than two samples are apart, so that each is seen."""
    edges, at = [], draw(st.integers(100, 800))
    for _ in range(draw(st.integers(0, 3))):
        edges.append((at, at + draw(st.integers(100, 500))))
        at = edges[-1][1] + draw(st.integers(100, 500))
    return Spans.of(edges).clip(0, END)


def sampled(truth: Spans, offset: int, every: int, lost: frozenset[int] = frozenset()) -> Samples:
    at = np.array([t for i, t in enumerate(range(offset, END, every)) if i not in lost], np.int64)
    return Samples.of(at, ~truth.covers(at))


@settings(max_examples=80)
@given(truths(), st.lists(st.tuples(st.integers(0, 40), st.integers(20, 45)), min_size=1, max_size=4), st.data())
def test_the_truth_lies_within_the_bounds(truth: Spans, probes: list[tuple[int, int]], data: st.DataObject) -> None:
    need = data.draw(st.integers(1, len(probes)))
    found = judge([sampled(truth, *p) for p in probes], Quorum(ttl=TTL, down=need, fresh=need), 200, END - 200)
    truth, inside = truth.clip(200, END - 200), Spans.of([(200, END - 200)])
    assert found.lower - truth == EMPTY
    assert (truth & inside) - found.upper - found.unknown == EMPTY
    assert found.lower - found.step == EMPTY
    assert found.step - found.upper == EMPTY
    assert found.lower - found.down(Bound.MIDPOINT) == EMPTY
    assert found.down(Bound.MIDPOINT) - found.upper == EMPTY


@settings(max_examples=60)
@given(truths(), st.frozensets(st.integers(0, 200)), st.randoms(use_true_random=False))
def test_silence_is_unknown_and_never_up_or_down(truth: Spans, lost: frozenset[int], random: object) -> None:
    probe = sampled(truth, 0, 30, lost)
    found = judge([probe], Quorum(ttl=TTL), 0, END)
    covered = {t for s in probe.at.tolist() for t in range(s, min(s + TTL, END))}
    assert set(np.arange(END)[found.unknown.covers(np.arange(END))].tolist()) == set(range(END)) - covered
    for bound in Bound:
        assert found.down(bound) & found.unknown == EMPTY or bound is Bound.MIDPOINT
    # Late, in another order and twice: the same.
    order = list(range(probe.at.size)) * 2
    random.shuffle(order)  # type: ignore[attr-defined]
    again = judge([Samples.of(probe.at[order], probe.up[order])], Quorum(ttl=TTL), 0, END)
    assert again == found


@settings(max_examples=60)
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 4))
def test_confirmation_and_backdating(states: list[bool], confirm: int) -> None:
    """Judge: walk the samples; a run of failures counts from its first once it is long enough."""
    at = np.arange(len(states)) * 10
    wanted: set[int] = set()
    run: list[int] = []
    for i, up in enumerate([*states, True]):
        if up:
            if len(run) >= confirm:
                wanted |= {t for j in run for t in range(j * 10, j * 10 + 10)}
            run = []
        else:
            run.append(i)
    found = seen(Samples.of(at, np.array(states)), Quorum(ttl=10, confirm=confirm))
    assert {t for s, e in found.step.pairs() for t in range(s, e)} == wanted


def test_a_share_of_the_checkers_must_agree() -> None:
    """Route 53: down when more than 18 % of the checkers say so; here 2 of 8 do from 100 to 200, 1 of 8 before."""
    at = np.arange(0, 300, 10)
    one, two = Samples.of(at, (at < 50) | (at >= 200)), Samples.of(at, (at < 100) | (at >= 200))
    rest = [Samples.of(at, np.ones(at.size, bool))] * 6
    found = judge([one, two, *rest], Quorum(ttl=20, share=Fraction(18, 100)), 0, 300)
    assert found.step.pairs() == [(100, 200)]


def test_one_instant_with_two_answers_counts_as_down() -> None:
    probe = Samples.of(np.array([0, 10, 10, 20]), np.array([True, True, False, True]))
    assert seen(probe, Quorum(ttl=10)).step.pairs() == [(10, 20)]


def test_a_clock_that_runs_ahead_is_moved_back_and_a_late_batch_is_not() -> None:
    ahead = aligned(np.array([1000, 1030]), np.array([400, 430]), 5)
    assert ahead.tolist() == [400, 430]
    assert aligned(np.array([0, 30]), np.array([9000, 9000]), 5).tolist() == [0, 30]
    assert aligned(np.array([3, 30]), np.array([0, 30]), 5).tolist() == [0, 30]


@pytest.mark.parametrize("wrong", [{"ttl": 0}, {"ttl": 1, "down": 0}, {"ttl": 1, "share": Fraction(1)}])
def test_a_quorum_that_can_not_be(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="quorum"):
        Quorum(**wrong)


@pytest.mark.data
def test_upptime_s_own_minutes(cases: Path) -> None:
    """FoodCoopX (ODbL): 32 services whose minutes were published; 27 agree within 2 minutes on every day."""
    stem = cases / "outages" / "upptime" / "FoodCoopX__upptime"
    checks: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    with stem.with_name(stem.name + ".checks.csv").open() as file:
        for row in csv.DictReader(file):
            checks[row["slug"]].append((micros(datetime.fromisoformat(row["last_updated_utc"])), row["status"] == "up"))
    summary = json.loads(stem.with_name(stem.name + ".summary.json").read_text())
    published = {s["slug"]: s["dailyMinutesDown"] for s in summary}
    compared = json.loads(stem.with_name(stem.name + ".agreement.json").read_text())
    agreeing, days = 0, 0
    for slug in compared:
        at, up = map(np.array, zip(*checks[slug], strict=True))
        found = judge([Samples.of(at, up)], UPPTIME, int(at.min()), int(at.max()) + 1).down(Bound.STEP)
        ours = _by_day(found)
        both = set(ours) | set(published[slug])
        off = [d for d in both if abs(ours.get(d, 0) - published[slug].get(d, 0)) > 2]
        agreeing += not off
        days += 0 if off else len(both)
    assert len(compared) == 32
    assert agreeing >= 27
    assert days >= 348


def _by_day(spans: Spans) -> dict[str, float]:
    """Minutes by UTC day."""
    found: dict[str, float] = defaultdict(float)
    for start, end in spans.pairs():
        while start < end:
            day = instant(start).date()
            until = min(end, micros(datetime.combine(day + timedelta(days=1), time(), UTC)))
            found[day.isoformat()] += (until - start) / 60_000_000
            start = until
    return found


def test_an_outage_over_the_end_of_a_period_is_as_long_as_it_was() -> None:
    """Down from 50 to 70, judged in two halves of ten: each half is of an outage that lasted twenty."""
    at = np.arange(0, 120, 10)
    probe = Samples.of(at, (at < 50) | (at >= 70))
    for shortest, halves in ((15, [10, 10]), (20, [0, 0])):
        quorum = Quorum(ttl=1000, shortest=shortest)
        assert [judge([probe], quorum, *part).step.total for part in ((0, 60), (60, 120))] == halves


def test_a_success_that_expired_before_the_first_failure_claims_nothing_as_down() -> None:
    probe = Samples.of(np.array([0, 500, 560]), np.array([True, False, True]))
    assert judge([probe], Quorum(ttl=100), 0, 1000).upper.pairs() == [(500, 560)]
    near = Samples.of(np.array([0, 90, 150]), np.array([True, False, True]))
    assert judge([near], Quorum(ttl=100), 0, 1000).upper.pairs() == [(0, 150)]


def test_a_clock_ahead_by_no_more_than_is_tolerated_moves_only_what_is_from_the_future() -> None:
    at = np.array([105, 160])
    assert aligned(at, np.array([100, 170]), 5).tolist() == [100, 160]
    assert aligned(at, np.array([99, 170]), 5).tolist() == [99, 154]
