"""Ports while their period runs: burst by hand, and held to a rate in time whatever the traffic does."""

from dataclasses import replace
from fractions import Fraction as F
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.overage.worlds import T0, VERSION, epoch

from coulance_core.catalog.terms import (
    Action,
    MissingSamples,
    Of,
    PercentileTerms,
    PerUnit,
    RankConvention,
    Threshold,
)
from coulance_core.kernel import Money
from coulance_core.overage.bursts import Port, settle_port
from coulance_core.overage.limit import payable
from coulance_core.overage.ports import PortStanding, arm_port, crossed_port, decide_port, free_of, held_to, rate_stop
from coulance_core.overage.standing import Policy, Stop
from coulance_core.overage.terms import Absorbed, Consent, Facts, Limit, PriceTerms, Span
from coulance_core.usage.percentile import percentile

TERMS = PriceTerms(VERSION, PerUnit(F(2)), "EUR", F(21))
LOWEST = PercentileTerms(RankConvention.DROP_FLOOR, F(95), MissingSamples.LOWEST)
STEP = 300


def consent(amount: str, **more: object) -> Consent:
    return Consent("c1", Span(T0), Limit(Money.of(amount, "EUR"), None), VERSION, (Span(T0),), **more)  # type: ignore[arg-type]


def so_far(rates: list[int], whole: int, rank: PercentileTerms = LOWEST, **more: object) -> PortStanding:
    ends = np.array([epoch(STEP * (i + 1)) for i in range(len(rates))], np.int64)
    port = Port(
        "p", "Mbit/s", F(100), TERMS, rank, ends - STEP, ends, (np.array(rates, np.int64),), whole,
        tolerance=F(int(str(more.pop("tolerance", 0)))),
    )  # fmt: skip
    return PortStanding(port, whole - len(rates), STEP, **more)  # type: ignore[arg-type]


def test_a_port_may_burst_for_36_hours_of_a_month() -> None:
    new = so_far([], 8640)
    assert (new.free, new.burst.minutes_left) == (432, 36 * 60)
    used = so_far([80] * 100 + [300] * 72, 8640)
    assert (used.burst.minutes_left, used.figure) == (30 * 60, 0)
    told = crossed_port(
        (
            Threshold("30 h of burst", Of.BURST, F(1800)),
            Threshold("80 %", Of.ALLOWANCE, F(4, 5)),
            Threshold("120 Mbit/s", Of.QUANTITY, F(120), "Mbit/s"),
            Threshold("1200 GB", Of.QUANTITY, F(1200), "GB"),
        ),
        used,
    )
    assert [t.key for t, _ in told] == ["30 h of burst"]


def test_without_consent_it_stops_when_the_burst_is_gone_less_lag() -> None:
    # 100 samples: five are dropped; one sample of lag.
    four = so_far([80] * 50 + [300] * 4, 100)
    three = so_far([80] * 50 + [300] * 3, 100)
    assert decide_port(three, Policy(), lag_s=300).act is None
    found = decide_port(four, Policy(), lag_s=300)
    assert (found.act, found.minutes_left) == (Action.PAUSE, 0)
    assert found.point is not None
    assert (found.point.rate, found.point.why) == (100, Stop.ALLOWANCE)
    assert decide_port(four, Policy(Action.ABSORB), lag_s=300).act is Action.ABSORB
    assert decide_port(replace(four, consent=consent("24.20")), Policy(), lag_s=300).point.why is Stop.DORMANT  # type: ignore[union-attr]


def test_a_limit_states_consent_to_throttling_to_the_rate_it_reaches() -> None:
    agreed = so_far([80] * 50 + [115] * 4, 100, consent=consent("24.20"), verified=True)  # 20.00 net: 10 Mbit/s
    found = decide_port(agreed, Policy(), lag_s=300)
    assert found.act is Action.THROTTLE
    assert found.point is not None
    assert held_to(found.point.rate, "Mbit/s") == 110_000_000
    unlimited = so_far([80] * 50 + [105] * 50, 100, consent=consent("24.20"), verified=True)
    assert decide_port(unlimited, Policy(), lag_s=300).act is None  # 105 costs 12.10


def test_exposure_holds_a_port_until_somebody_knows() -> None:
    many = so_far(
        [80] * 50 + [150] * 10, 100, consent=consent("242.00"), verified=True, exposure=Money.of("10.00", "EUR")
    )
    found = rate_stop(many)
    assert found is not None
    assert (found.rate, found.why) == (105, Stop.EXPOSURE)
    assert rate_stop(replace(many, acknowledged=True)).rate == 200  # type: ignore[union-attr]
    # Settled alike: what nobody knew of counts as what needs no acknowledgement.
    facts = Facts((consent("242.00"),), (Span(T0),), exposure=Money.of("10.00", "EUR"))
    settled = settle_port(replace(many.port, expected=60), facts)
    assert (settled.billable, settled.overage, settled.clipped) == (105, 5, {Absorbed.NOT_ACKNOWLEDGED: 10})
    assert settle_port(replace(many.port, expected=60), replace(facts, acknowledged=(T0,))).billable == 150


def test_a_tolerance_is_free_right_above_the_commit() -> None:
    facts = Facts((consent("1000.00"),), (Span(T0),))
    bursty = so_far([80] * 90 + [300] * 10, 100, tolerance=10)
    settled = settle_port(bursty.port, facts)
    assert (settled.billable, settled.overage, settled.absorbed, settled.tolerated) == (300, 190, 10, 10)
    assert settled.explanation.recompute()["overage"] == 190
    within = settle_port(so_far([80] * 90 + [109] * 10, 100, tolerance=10).port, Facts())
    assert (within.overage, within.absorbed) == (0, 9)


@pytest.mark.parametrize("missing", [MissingSamples.LOWEST, MissingSamples.DROPPED])
@pytest.mark.parametrize("rank", list(RankConvention))
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_held_in_time_the_percentile_never_passes_the_limit(
    rank: RankConvention, missing: MissingSamples, data: st.DataObject
) -> None:
    """Whatever the port does until it is held, and however much still comes through while we act, nothing of it has to
    be absorbed: the percentile stays within the limit, and the price of it within the amount."""
    whole = data.draw(st.integers(40, 300))
    lag = data.draw(st.integers(0, 3))
    terms = PercentileTerms(rank, F(95), missing)
    if free_of(terms, whole) <= lag:
        return  # so short a period has no burst to hold it by
    agreed = consent(data.draw(st.sampled_from(["2.42", "24.20", "100.00"])))
    traffic = data.draw(
        st.lists(st.sampled_from([0, 90, 100, 101, 103, 110, 141, 500]), min_size=whole, max_size=whole)
    )
    rates: list[int] = []
    held_from, top = whole + 1, F(0)
    looked_at, armed = 0, 0
    for i, wanted in enumerate(traffic):
        rates.append(wanted if i < held_from else min(wanted, ceil(top) - 1 if top.denominator > 1 else int(top)))
        standing = so_far(rates, whole, terms, consent=agreed, verified=True)
        found = decide_port(standing, Policy(), lag_s=STEP * lag)
        # What was armed would have looked here in time: enough has gone through since.
        if found.act is None or held_from > whole:
            if sum(rates[looked_at:]) >= armed:
                looked_at, armed = len(rates), arm_port((), standing, lag_s=STEP * lag) or 10**9
            else:
                assert found.act is None
        if found.act is not None and held_from > whole:
            assert found.point is not None
            held_from, top = i + 1 + lag, found.point.rate
    limit = rate_stop(so_far(rates, whole, terms, consent=agreed, verified=True))
    assert limit is not None
    figure = percentile(np.array(rates, np.int64), terms, expected=whole)
    assert figure <= limit.rate
    settled = settle_port(so_far(rates, whole, terms).port, Facts((agreed,), (Span(T0),)))
    assert settled.absorbed == 0
    assert payable(TERMS.price, settled.overage, TERMS) <= agreed.limit.amount.amount  # type: ignore[union-attr]
