"""Restrictions by source: their union, whoever comes and goes in whatever order."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coulance_core.enforcement.restrictions import (
    FREE,
    Action,
    Desired,
    Restriction,
    RestrictionError,
    Source,
    difference,
    effective,
)

T = datetime(2026, 10, 1, tzinfo=UTC)


@st.composite
def restrictions(draw: st.DrawFn) -> Restriction:
    action = draw(st.sampled_from(Action))
    return Restriction(
        draw(st.sampled_from(Source)),
        draw(st.sampled_from("abc")),
        action,
        T,
        draw(st.integers(1, 10)) * 100_000 if action is Action.THROTTLE else None,
        draw(st.sampled_from(["192.0.2.1", "2001:db8::1"])) if action is Action.BLACKHOLE else "",
        draw(st.booleans()),
        draw(st.sampled_from([None, None, T])),
    )


@given(st.lists(restrictions(), max_size=8), st.randoms(use_true_random=False))
def test_the_union_knows_no_order(them: list[Restriction], chance: object) -> None:
    shuffled = list(them)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert effective(shuffled) == effective(them)


@given(st.lists(restrictions(), max_size=8), st.sampled_from(Source))
def test_lifting_one_source_leaves_the_others(them: list[Restriction], source: Source) -> None:
    after = [replace(r, lifted_at=T) if r.source is source else r for r in them]
    others = [r for r in them if r.source is not source]
    assert effective(after) == effective(others)


@given(st.lists(restrictions(), max_size=8))
def test_observing_changes_nothing(them: list[Restriction]) -> None:
    assert effective([replace(r, observe=True) for r in them]) == FREE


@given(st.lists(restrictions(), max_size=5), st.lists(restrictions(), max_size=5))
def test_the_difference_leads_from_one_to_the_other(want: list[Restriction], have: list[Restriction]) -> None:
    desired, observed = effective(want), effective(have)
    step = difference(desired, observed)
    reached = Desired(
        observed.paused if step.pause is None else step.pause,
        observed.rate_bps if step.rate is None else step.rate[0],
        (observed.blackholed - step.remove) | step.add,
    )
    assert reached == desired
    assert bool(step) == (desired != observed)
    assert Desired.from_json(desired.to_json()) == desired


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"action": Action.THROTTLE}, "rate"),
        ({"action": Action.PAUSE, "rate_bps": 5}, "rate"),
        ({"action": Action.THROTTLE, "rate_bps": 0}, "more than 0"),
        ({"action": Action.BLACKHOLE}, "address"),
        ({"action": Action.PAUSE, "address": "192.0.2.1"}, "address"),
        ({"action": Action.PAUSE, "ref": ""}, "ref"),
    ],
)
def test_restrictions_that_cannot_be(given: dict[str, object], fault: str) -> None:
    with pytest.raises(RestrictionError, match=fault):
        Restriction(**({"source": Source.OVERAGE, "ref": "x", "placed_at": T} | given))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"paused": 1, "rate_bps": None, "blackholed": []},
        {"paused": True, "rate_bps": 1.5, "blackholed": []},
        {"paused": True, "rate_bps": True, "blackholed": []},
        {"paused": True, "rate_bps": 1, "blackholed": "x"},
    ],
)
def test_states_that_cannot_be_read(data: dict[str, object]) -> None:
    with pytest.raises(RestrictionError):
        Desired.from_json(data)
