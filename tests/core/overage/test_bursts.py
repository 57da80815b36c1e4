"""Percentile meters under limits: clipped, ranked again, by hand and at random."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.overage.worlds import T0, VERSION, at, epoch, facts, in_force, payable

from coulance_core.catalog.terms import MissingSamples, PercentileTerms, PerUnit, RankConvention
from coulance_core.kernel import Money
from coulance_core.overage.bursts import Port, settle_port
from coulance_core.overage.settle import SettleError
from coulance_core.overage.terms import Absorbed, Consent, Facts, Limit, PriceTerms, Span
from coulance_core.usage.percentile import percentile

RANK = PercentileTerms(RankConvention.DROP_FLOOR, F(95), MissingSamples.LOWEST)
TERMS = PriceTerms(VERSION, PerUnit(F(2)), "EUR", F(21))  # 2.00 for each Mbit/s above the commit


def port(rates: Sequence[int], commit: int = 100, *columns: Sequence[int], added: bool = False) -> Port:
    ends = np.array([epoch(300 * (i + 1)) for i in range(len(rates))], np.int64)
    rows = tuple(np.array(column, np.int64) for column in (rates, *columns))
    return Port("port", "Mbit/s", F(commit), TERMS, RANK, ends - 300, ends, rows, len(rates), added=added)


def consent(amount: str, **more: object) -> Consent:
    given = {
        "in_force": Span(T0),
        "limit": Limit(Money.of(amount, "EUR"), None),
        "terms": VERSION,
        "verified": (Span(T0),),
    }
    return Consent("c1", **(given | more))  # type: ignore[arg-type]


WARNED = (Span(T0),)
# 100 samples: 90 at 80, ten at 300. Five are dropped; the sixth counts: 300.
BURST = [80] * 90 + [300] * 10


def test_past_the_commit_without_consent_costs_nothing_more() -> None:
    settled = settle_port(port(BURST), Facts(warned=WARNED))
    assert (settled.measured, settled.billable, settled.overage, settled.absorbed) == (300, 100, 0, 200)
    assert settled.clipped == {Absorbed.NO_CONSENT: 10}


def test_within_consent_it_is_the_percentile() -> None:
    settled = settle_port(port(BURST), Facts((consent("1000.00"),), WARNED))
    assert (settled.billable, settled.overage, settled.absorbed, settled.clipped) == (300, 200, 0, {})


def test_the_limit_reaches_to_a_rate() -> None:
    settled = settle_port(port(BURST), Facts((consent("121.00"),), WARNED))  # 100.00 net: 50 Mbit/s
    assert (settled.billable, settled.overage, settled.absorbed) == (150, 50, 150)
    assert settled.clipped == {Absorbed.ABOVE_LIMIT: 10}
    assert payable(TERMS, settled.overage) == 121


def test_a_warning_in_the_burst_leaves_the_percentile_to_what_came_after() -> None:
    # Warned before the last six of ten: five of those six are dropped, the sixth counts.
    settled = settle_port(port(BURST), Facts((consent("1000.00"),), (Span(at(94 * 300)),)))
    assert (settled.billable, settled.clipped) == (300, {Absorbed.NOT_WARNED: 4})
    settled = settle_port(port(BURST), Facts((consent("1000.00"),), (Span(at(95 * 300)),)))
    assert (settled.billable, settled.overage, settled.clipped) == (100, 0, {Absorbed.NOT_WARNED: 5})


def test_lowering_the_limit_counts_from_then_on() -> None:
    wide = consent("1000.00", in_force=Span(T0, at(94 * 300)))
    narrow = replace(consent("121.00", in_force=Span(at(94 * 300))), ref="c2")
    settled = settle_port(port(BURST), Facts((wide, narrow), WARNED))
    assert settled.billable == 150  # four samples at 300 lie among the five that are dropped


def test_throttled_samples_count_as_measured() -> None:
    paused = (Span(at(90 * 300), at(100 * 300)),)
    settled = settle_port(port(BURST), Facts((consent("1000.00"),), WARNED, paused=paused))
    assert settled.billable == 300


def test_two_columns_added_are_clipped_together() -> None:
    settled = settle_port(port(BURST, 100, [60] * 100, added=True), Facts(warned=WARNED))
    assert (settled.measured, settled.overage) == (360, 0)
    assert 99 <= settled.billable <= 100  # whole stored units are shared out downwards


def test_columns_must_fit() -> None:
    with pytest.raises(SettleError, match="100 samples"):
        settle_port(port(BURST, 100, [1, 2]), Facts())


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from([0, 50, 99, 100, 101, 150, 400]), min_size=1, max_size=40), facts(), st.integers(0, 200)
)
def test_no_port_is_charged_past_what_was_agreed(rates: list[int], known: Facts, commit: int) -> None:
    one = port(rates, commit)
    settled = settle_port(one, known)
    assert settled.billable <= settled.measured
    assert settled.overage + settled.absorbed == max(settled.measured - commit, 0)
    assert settled.explanation.recompute()["overage"] == settled.overage
    # By the law, sample by sample: what each may count as, at most, and the percentile of that.
    counted = []
    for i, rate in enumerate(rates):
        moments = [at(300 * i + s) for s in range(0, 300, 1)]
        tops = []
        for moment in moments:
            word = in_force(known, moment)
            fine = (
                word is not None
                and any(s.start <= moment and (s.end is None or moment < s.end) for s in word.verified)
                and any(s.start <= moment and (s.end is None or moment < s.end) for s in known.warned)
            )
            if not fine or word is None:
                tops.append(F(commit))
                break
            changed = word.terms != VERSION
            bounds = []
            if (word.limit.typed == "amount" or changed) and word.limit.amount is not None:
                bounds.append(word.limit.amount.amount / F(242, 100))
            if (word.limit.typed == "quantity" or changed) and word.limit.quantity is not None:
                bounds.append(word.limit.quantity)
            tops.append(commit + min(bounds))
        counted.append(min([F(rate), *tops]))
    naive = percentile(
        np.array([-(-c.numerator // c.denominator) for c in counted], np.int64), RANK, expected=len(rates)
    )
    assert settled.billable <= max(naive, F(0))
