"""Credibility, fairness, prices, renewal: textbook values worked by hand, and what may never tip a verdict."""

from datetime import date, timedelta
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance_core.contracts.credibility import Estimate, Seen, estimate, expected_of
from coulance_core.contracts.fairness import Prices, Used, Verdict, judge
from coulance_core.contracts.pricing import Cost, advise, bootstrap, stop_loss, to_scale, years_of
from coulance_core.contracts.renewal import (
    Indexation,
    Renewal,
    Renews,
    early_fee,
    ends_by_notice,
    index,
    months_later,
    term_on,
)
from coulance_core.contracts.terms import ContractError
from coulance_core.contracts.worth import Recurring, WorthTerms, going_on, worth
from coulance_core.kernel import Money

F = Fraction


def test_buhlmann_straub_on_two_groups() -> None:
    """Two groups of unequal sizes (the data of the example in Loss Models), worked by hand to the cent.

    Losses 10,000 and 13,000 of 50 and 60 members; 18,000, 21,000 and 17,000 of 100, 110 and 105. Means 209.09 and
    177.78, all 185.88. Within: (4,132.23 + 3,443.53 + 493.83 + 18,967.00 + 26,455.03) / 3 = 17,830.69. Between:
    (110 x 538.76 + 315 x 65.70 - 17,830.69) / (425 - 111,325 / 425) = 380.90. k = 46.81; Z = 0.70 and 0.87.
    """
    history = {
        "1": [Seen(F(10_000), F(50)), Seen(F(13_000), F(60))],
        "2": [Seen(F(18_000), F(100)), Seen(F(21_000), F(110)), Seen(F(17_000), F(105))],
    }
    found = estimate(history)
    assert found.k is not None
    assert [round(float(x), 2) for x in (found.epv, found.vhm, found.k)] == [17_830.69, 380.90, 46.81]
    assert [round(float(found.each[k].credibility), 2) for k in "12"] == [0.70, 0.87]
    assert [round(float(x), 2) for x in (found.mu, found.each["1"].expected, found.each["2"].expected)] == [
        191.75, 203.91, 179.59,
    ]  # fmt: skip


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from("abcde"),
        st.lists(
            st.builds(Seen, st.fractions(0, 50, max_denominator=4), st.integers(1, 12).map(F)), min_size=2, max_size=5
        ),
        min_size=2,
    )
)
def test_expected_lies_between_own_and_collective_and_adds_up(history: dict[str, list[Seen]]) -> None:
    found = estimate(history)
    for one in found.each.values():
        assert 0 <= one.credibility <= 1
        assert min(one.own, found.mu) <= one.expected <= max(one.own, found.mu)
    if found.vhm > 0:
        seen = sum((e.exposure * e.own for e in found.each.values()), F(0))
        assert sum((e.exposure * e.expected for e in found.each.values()), F(0)) == seen
    more = estimate({k: [*v, *v] for k, v in history.items()})
    for key in history:
        if found.vhm > 0 and more.vhm > 0 and more.epv <= found.epv:
            assert more.each[key].credibility >= found.each[key].credibility - F(1, 10)
    assert expected_of(found, []).expected == found.mu


def test_without_variance_between_nobody_is_believed() -> None:
    found = estimate({"a": [Seen(F(1)), Seen(F(9))], "b": [Seen(F(9)), Seen(F(1))]})
    assert (found.vhm, found.k, {e.expected for e in found.each.values()}) == (0, None, {F(5)})
    for history in ({}, {"a": [Seen(F(1)), Seen(F(2))]}, {"a": [Seen(F(1))], "b": [Seen(F(2))]}):
        with pytest.raises(ValueError, match="credibility wants"):
            estimate(history)


PRICES = Prices(hourly=F(95), hour_cost=F(55), standby=F(240), tail=F(160), serve=F(100))


def sure(hours: int) -> Estimate:
    return Estimate(F(hours), F(9, 10), F(hours), F(3))


VERDICTS = [
    ("about what it costs", 12, 1200, Verdict.FAIR),
    ("a quiet contract: standby and cover have a price", 9, 1200, Verdict.FAIR),
    ("they pay for nothing", 2, 1200, Verdict.COSTS_CUSTOMER),
    ("we lose on it", 30, 1200, Verdict.COSTS_PROVIDER),
]


@pytest.mark.parametrize(("story", "hours", "price", "verdict"), VERDICTS)
def test_verdicts(story: str, hours: int, price: int, verdict: Verdict) -> None:
    found = judge(Used(F(price), F(hours)), sure(hours), F(price), PRICES)
    assert found.verdict is verdict
    assert found.expected_provider == price - 55 * hours - 100
    assert found.expected_customer == 95 * hours + 400 - price
    found.explanation.recompute()


@given(st.integers(0, 500), st.integers(0, 100), st.integers(0, 50))
def test_what_happened_in_one_period_never_tips_a_verdict(hours: int, free: int, penalties: int) -> None:
    usual = judge(Used(F(300), F(3), years=F(1, 4)), sure(12), F(1200), PRICES).verdict
    wild = Used(F(300), F(hours), F(free), penalties=F(penalties), years=F(1, 4))
    found = judge(wild, sure(12), F(1200), PRICES)
    assert found.verdict is usual
    # Both surpluses together are what the work is worth above what it costs: money between them cancels out.
    worth = (95 - 55) * (hours + free) + F(1, 4) * (400 - 100)
    assert found.provider + found.customer == worth


def test_too_early_to_say() -> None:
    for credibility, years in ((F(2, 5), F(3)), (F(9, 10), F(1, 4))):
        early = Estimate(F(60), credibility, F(60), years)
        assert judge(Used(F(1200), F(60)), early, F(1200), PRICES).verdict is Verdict.TOO_EARLY


def test_price_advice_with_loading_and_stop() -> None:
    years = [F(h) for h in (4, 8, 12, 76)]  # beyond 20: 56 / 4 = 14
    cost = Cost(hour=F(60), network=F(30))
    open_end = advise(sure(25), cost, years, code="EUR", loading=F(1, 5), stop=None)
    stopped = advise(sure(25), cost, years, code="EUR", loading=F(1, 5), stop=F(20))
    assert (open_end.price.minor, stopped.price.minor) == (183_000, 82_200)
    assert stop_loss(years, F(20)) == 14
    stopped.explanation.recompute()


def test_one_bad_quarter_is_no_bad_year() -> None:
    """20 hours in one quarter and none in three are a year of 20: below a stop of 40 nothing is the customer's."""
    quarters = [F(20), F(0), F(0), F(0)]
    assert stop_loss(years_of(quarters), F(40)) == 0
    assert stop_loss([4 * q for q in quarters], F(40)) == 10  # what taking quarters for years would say
    assert years_of(quarters[:3]) == []
    # The shape of others, at this contract's size: what lies above the stop is never more than what is expected.
    years = to_scale([F(h) for h in (4, 8, 12, 76)], F(10))
    assert sum(years) / 4 == 10
    assert stop_loss(years, F(20)) == F(26, 10)
    assert to_scale([F(0)], F(10)) == to_scale([], F(3)) == []


@settings(max_examples=60)
@given(
    st.integers(-2000, 2000), st.integers(0, 84).map(lambda n: F(n, 12)), st.booleans(), st.integers(0, 9),
    st.fractions(0, 30, max_denominator=4), st.fractions(0, 1, max_denominator=20), st.integers(1, 8),
)  # fmt: skip
def test_what_a_contract_is_worth_equals_a_sum_by_twelfths(
    margin: int, sure: F, ends: bool, ended: int, years: F, discount: F, ahead: int
) -> None:
    """A judge that walks in twelfths of a year: sure until the term ends, then by chance once a year."""
    terms = WorthTerms(discount, ahead)
    found = worth([Recurring("k", F(0), F(margin), sure, ends)], terms, ended=ended, years=years, code="EUR")
    chance = F(0) if ends else going_on(ended, years)
    exact, step = F(0), F(1, 12)
    for n in range(12 * ahead):
        past = F(2 * n + 1, 24) - sure
        times = 0 if past < 0 else int(past) + 1
        exact += margin * step * chance**times / (1 + discount) ** (n // 12 + 1)
    assert found.amount.amount <= exact < found.amount.amount + F(1, 100)
    found.explanation.recompute()
    longer = worth([Recurring("k", F(0), F(margin), sure + 1, ends)], terms, ended=ended, years=years, code="EUR")
    assert margin < 0 or longer.amount.minor >= found.amount.minor


def test_a_loss_is_not_hidden_in_a_sum_and_a_chance_can_be_stated() -> None:
    pair = [Recurring("good", F(0), F(100), F(1)), Recurring("bad", F(0), F(-30), F(1))]
    none = worth(pair, WorthTerms(F(0), 5), ended=0, years=F(0), code="EUR")
    assert [a.minor for _, a in none.each] == [10_000, -3_000]
    assert none.amount == Money(7_000, "EUR")  # nothing is known: the term, and no more
    stated = worth(pair, WorthTerms(F(0), 2, F(1)), ended=9, years=F(1), code="EUR")
    assert stated.amount == Money(14_000, "EUR")
    for wrong in (lambda: WorthTerms(F(-1)), lambda: WorthTerms(years=0), lambda: WorthTerms(goes_on=F(2))):
        with pytest.raises(ValueError):
            wrong()


def test_a_portfolio_s_bad_year_is_worse_when_all_have_it_at_once() -> None:
    """Years kept whole: three contracts that are bad together lose; drawn apart (other order) they'd average out."""
    rng = np.random.default_rng(1)
    draws = rng.integers(0, 4, 2000)
    together = bootstrap([[1, 1, 1, 9]] * 3, [200.0] * 3, 50.0, draws)
    apart = bootstrap([[1, 1, 1, 9], [9, 1, 1, 1], [1, 9, 1, 1]], [200.0] * 3, 50.0, draws)
    assert together.at(0.05) < apart.at(0.05)
    assert abs(together.mean - 600 + 50 * 9) < 40
    assert together.bad == pytest.approx(0.25, abs=0.05)
    with pytest.raises(ValueError, match="portfolio"):
        bootstrap([], [], 1.0, draws)


TERMS = [
    # start, months, renews, day -> term start, end
    ("2026-01-01", 12, Renews.TERM, "2027-05-05", "2027-01-01", "2028-01-01"),
    ("2026-01-01", 12, Renews.MONTHLY, "2027-05-05", "2027-05-01", "2027-06-01"),
    ("2026-01-31", 1, Renews.TERM, "2026-03-30", "2026-02-28", "2026-03-31"),
    ("2024-02-29", 12, Renews.TERM, "2025-03-01", "2025-02-28", "2026-02-28"),
]


@pytest.mark.parametrize(("start", "months", "renews", "day", "begins", "ends"), TERMS)
def test_terms(start: str, months: int, renews: Renews, day: str, begins: str, ends: str) -> None:
    term = term_on(date.fromisoformat(start), Renewal(months, 30, renews), date.fromisoformat(day))
    assert term is not None
    assert (term.start.isoformat(), term.end.isoformat()) == (begins, ends)


@given(
    st.dates(date(2024, 1, 1), date(2027, 1, 1)), st.integers(1, 24), st.sampled_from(Renews), st.integers(0, 1500),
    st.sampled_from([0, 30, 90]),
)  # fmt: skip
def test_terms_follow_each_other_without_gap(start: date, months: int, renews: Renews, after: int, notice: int) -> None:
    renewal = Renewal(months, notice, renews)
    day = start + timedelta(days=after)
    term = term_on(start, renewal, day)
    if renews is Renews.ENDS and day >= months_later(start, months):
        assert term is None
        return
    assert term is not None
    assert term.start <= day < term.end
    following = term_on(start, renewal, term.end)
    assert following is None or following.start == term.end
    end = ends_by_notice(start, renewal, day)
    assert end is not None
    assert end >= term.end
    assert (end == term.end) == (day <= term.notice_by or renews is Renews.ENDS)
    if renews is not Renews.ENDS:
        last = term_on(start, renewal, end - timedelta(days=1))
        assert last is not None
        assert (last.end, day <= last.notice_by) == (end, True)  # never with less notice than was agreed


def test_before_it_began_and_where_it_can_not_end() -> None:
    yearly = Renewal(12, 30, Renews.TERM)
    assert term_on(date(2026, 1, 1), yearly, date(2025, 12, 31)) is None
    assert ends_by_notice(date(2026, 1, 1), yearly, date(2025, 12, 31)) is None
    term = term_on(date(2026, 1, 1), yearly, date(2026, 2, 1))
    assert term is not None
    with pytest.raises(ContractError, match="can't be ended"):
        early_fee(term, yearly, Money(1, "EUR"), 1, date(2026, 3, 1))
    paid = Renewal(12, 30, Renews.TERM, F(1))
    assert early_fee(term, paid, Money(10_000, "EUR"), 1, date(2027, 1, 1)).minor == 0
    assert early_fee(term, paid, Money(10_000, "EUR"), 1, date(2026, 1, 1)).minor == 120_000


INDEXED = [
    (Indexation(), "100", "102.5", 10_250),
    (Indexation(), "100", "98", 10_000),
    (Indexation(floor=None), "100", "98", 9_800),
    (Indexation(cap=F(3, 100)), "100", "110", 10_300),
    (Indexation(floor=F(1, 100), cap=F(3, 100)), "100", "100", 10_100),
]


@pytest.mark.parametrize(("rule", "before", "now", "cents"), INDEXED)
def test_indexation(rule: Indexation, before: str, now: str, cents: int) -> None:
    found = index(Money(10_000, "EUR"), F(before), F(now), rule)
    assert found.price.minor == cents
    found.explanation.recompute()


def test_rules_that_can_not_be_meant() -> None:
    for make in (
        lambda: Indexation(floor=F(2), cap=F(1)),
        lambda: Renewal(0, 0, Renews.ENDS),
        lambda: Renewal(1, 0, Renews.ENDS, F(2)),
        lambda: index(Money(1, "EUR"), F(0), F(1), Indexation()),
    ):
        with pytest.raises(ContractError):
            make()
    for wrong in (lambda: Prices(F(-1), F(0)), lambda: Cost(pue=F(1, 2)), lambda: Seen(F(1), F(0))):
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(ValueError, match="safety loading"):
        advise(sure(1), Cost(), [], code="EUR", loading=F(-1), stop=None)
