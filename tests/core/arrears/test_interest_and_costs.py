"""What being late costs, against numbers from elsewhere: other programs' tests, the statutes' own examples."""

import json
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.arrears.worlds import eur, pack

from coulance_core.arrears import Debtor, LawPack, Paid
from coulance_core.arrears.costs import collection_costs, reminder_fee
from coulance_core.arrears.interest import accrue
from coulance_core.arrears.packs import Band, CostRule, InterestRule, Lock, Per, Rate
from coulance_core.kernel import Explanation, Money

YEAR = date(2026, 3, 2)


def costs(name: str, debtor: Debtor, *amounts: str, code: str = "EUR", on: date = YEAR) -> str:
    law = pack(name)
    rule = law.costs_for(debtor, on, code)
    assert rule is not None
    found = collection_costs(law, rule, [(f"n{n}", Money.of(a, code)) for n, a in enumerate(amounts)])
    assert found.explanation.recompute()["costs"] == found.amount.amount
    return found.amount.decimal()


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("10", "40.00"),
        ("266.66", "40.00"),
        ("266.67", "40.00"),
        ("266.70", "40.01"),
        ("2500", "375.00"),
        ("5000", "625.00"),
        ("10000", "875.00"),
        ("200000", "2775.00"),
        ("1000000", "6775.00"),
        ("5000000", "6775.00"),
    ],
)
def test_dutch_collection_costs(claim: str, expected: str) -> None:
    assert costs("nl", Debtor.CONSUMER, claim) == expected
    assert costs("nl", Debtor.BUSINESS, claim) == expected


def test_dutch_claims_are_added_up_before_costs_are_counted() -> None:
    assert costs("nl", Debtor.CONSUMER, "100", "100", "200") == "60.00"  # and not three times 40


@pytest.mark.parametrize(
    ("debt", "expected"),
    [
        ("20", "20.00"),
        ("150", "20.00"),
        ("150.01", "30.00"),
        ("500", "65.00"),
        ("1000", "90.00"),
        ("100000", "2000.00"),
    ],
)
def test_belgian_caps_for_consumers(debt: str, expected: str) -> None:
    assert costs("be", Debtor.CONSUMER, debt) == expected


@pytest.mark.parametrize(
    ("debt", "expected"), [("999.99", "40.00"), ("1000", "70.00"), ("9999.99", "70.00"), ("10000", "100.00")]
)
def test_british_fixed_sums(debt: str, expected: str) -> None:
    assert costs("uk", Debtor.BUSINESS, debt, code="GBP") == expected


def test_forty_euro_for_each_debt_between_businesses() -> None:
    assert costs("eu_b2b", Debtor.BUSINESS, "10", "5000") == "80.00"
    assert costs("de", Debtor.BUSINESS, "10") == "40.00"
    assert pack("de").costs_for(Debtor.CONSUMER, YEAR, "EUR") is None
    assert pack("nl").costs_for(Debtor.CONSUMER, YEAR, "USD") is None


def test_the_first_reminder_is_free_in_belgium_and_later_ones_are_capped() -> None:
    law = pack("be")
    rule = law.fees_for(Debtor.CONSUMER, YEAR)
    fees = [reminder_fee(law, rule, eur(1500), before=n).amount.minor for n in (0, 1, 2)]
    assert fees == [0, 750, 750]
    assert law.fees_for(Debtor.BUSINESS, YEAR) is None
    assert reminder_fee(law, None, eur(1500), before=0).amount == eur(1500)
    assert reminder_fee(law, rule, Money(1500, "USD"), before=5).amount == Money(0, "USD")  # no law says how much


# --- interest


def bgb(points: int, due: str, paid: str, amount: str = "10000.00", parts: tuple[Paid, ...] = ()) -> Money:
    law = pack("de")
    debtor = Debtor.CONSUMER if points == 5 else Debtor.BUSINESS
    rule = law.interest_for(debtor, date.fromisoformat(due))
    assert rule is not None
    assert rule.points == points
    found = accrue(
        law, rule, Money.of(amount, "EUR"), due=date.fromisoformat(due), until=date.fromisoformat(paid), paid=parts
    )
    assert found.explanation.recompute()["interest"] == found.amount.amount
    return found.amount


@pytest.mark.data
def test_german_interest_as_another_program_counts_it(cases: Path) -> None:
    table = json.loads((cases / "arrears" / "late_interest_cases.json").read_text())["cases"]
    judged = 0
    for case in table:
        points, due, paid = case["surcharge_points"], case["due"], case["paid"]
        parts = tuple(
            Paid(date.fromisoformat(on), Money.of(sum_, "EUR")) for on, sum_ in case.get("partial_payments", [])
        )
        got = bgb(points, due, paid, case["amount"], parts)
        if case["expected"] is not None:
            assert got == Money.of(case["expected"], "EUR"), case
            judged += 1
    assert judged == 4


@pytest.mark.data
def test_the_rates_by_period_and_the_principals_of_those_cases(cases: Path) -> None:
    law = pack("de")
    table = json.loads((cases / "arrears" / "late_interest_cases.json").read_text())["cases"]
    for case in table:
        rule = law.interest_for(Debtor.CONSUMER if case["surcharge_points"] == 5 else Debtor.BUSINESS, YEAR)
        assert rule is not None
        due, until = date.fromisoformat(case["due"]), date.fromisoformat(case["paid"])
        parts = [Paid(date.fromisoformat(on), Money.of(a, "EUR")) for on, a in case.get("partial_payments", [])]
        found = accrue(law, rule, Money.of(case["amount"], "EUR"), due=due, until=until, paid=parts)
        for (start, end, percent), stretch in zip(case.get("periods", []), found.stretches, strict=False):
            assert stretch.percent == Fraction(percent)
            assert str(stretch.end) == end
            assert str(stretch.start) in (start, str(date.fromisoformat(start) - timedelta(days=1)))
        if "expected_principals" in case:
            assert [s.principal for s in found.stretches] == [Fraction(p) for p in case["expected_principals"]]


@pytest.mark.data
def test_german_base_rates_as_they_were_published(cases: Path) -> None:
    series = {rate.valid_from: rate for rate in pack("de").series("base_rate")}
    rows = [line.split(",") for line in (cases / "arrears" / "base_rate_bgb247.csv").read_text().splitlines()[1:]]
    last = Fraction(0)
    for valid_from, percent, _ in rows:
        on = date.fromisoformat(valid_from)
        if on >= date(2013, 1, 1):
            known = series.get(on)
            assert Fraction(percent) == (known.percent if known else last), valid_from
        last = Fraction(percent)
    assert {date.fromisoformat(row[0]) for row in rows} >= set(series)
    assert [rate.valid_from for rate in series.values() if rate.verify] == [date(2026, 7, 1)]


def test_the_surcharge_between_businesses_changed_on_29_july_2014() -> None:
    law = pack("de")
    points = [law.interest_for(Debtor.BUSINESS, on) for on in (date(2014, 7, 28), date(2014, 7, 29))]
    assert [rule.points for rule in points if rule] == [8, 9]


def test_a_rate_below_zero_lowers_the_sum_and_not_the_interest_below_nothing() -> None:
    assert bgb(5, "2020-01-01", "2020-12-31", "1000.00") == Money.of("41.20", "EUR")  # 4.12 %, 365 nights


def test_interest_floats_by_half_year_or_is_locked_at_the_start() -> None:
    uk, de = pack("uk"), pack("de")
    locked = uk.interest_for(Debtor.BUSINESS, YEAR)
    floats = de.interest_for(Debtor.BUSINESS, YEAR)
    assert locked is not None
    assert floats is not None
    long = accrue(uk, locked, Money(100_000, "GBP"), due=date(2023, 3, 1), until=date(2025, 3, 1))
    assert {s.percent for s in long.stretches} == {Fraction("11.5")}  # 3.50 on 31 December 2022, plus 8
    assert {
        s.percent for s in accrue(de, floats, eur(1000), due=date(2023, 3, 1), until=date(2024, 2, 1)).stretches
    } == {
        Fraction("10.62"),
        Fraction("12.12"),
        Fraction("12.62"),
    }


@pytest.mark.parametrize(
    ("due", "percent"),
    [
        ("2023-06-29", "11.5"),
        ("2023-06-30", "13"),
        ("2023-07-01", "13"),
        ("2024-12-30", "13.25"),
        ("2024-12-31", "12.75"),
    ],
)
def test_a_locked_rate_is_that_of_the_day_on_which_interest_starts_to_run(due: str, percent: str) -> None:
    """SI 2002/1675: interest that starts to run from 1 July on, by the rate of 30 June. It starts the day after."""
    law = pack("uk")
    rule = law.interest_for(Debtor.BUSINESS, YEAR)
    assert rule is not None
    on = date.fromisoformat(due)
    found = accrue(law, rule, Money(100_000, "GBP"), due=on, until=on + timedelta(days=365))
    assert [s.percent for s in found.stretches] == [Fraction(percent)]


def test_dutch_trade_interest_is_added_to_the_sum_every_year() -> None:
    law = pack("nl")
    rule = law.interest_for(Debtor.BUSINESS, YEAR)
    assert rule is not None
    one = accrue(law, rule, eur(100_000), due=date(2024, 7, 1), until=date(2025, 7, 1))
    two = accrue(law, rule, eur(100_000), due=date(2024, 7, 1), until=date(2025, 7, 2))
    first = Fraction(1000) * (Fraction("12.25") * 184 + Fraction("11.15") * 181) / 36500
    assert one.exact == first
    assert two.exact == first + (1000 + first) * Fraction("10.15") / 36500


def test_interest_that_was_added_bears_none_once_the_principal_is_paid() -> None:
    law = pack("nl")
    rule = law.interest_for(Debtor.BUSINESS, YEAR)
    assert rule is not None
    due, paid = date(2023, 7, 1), Paid(date(2025, 1, 1), eur(100_000))
    until_then = accrue(law, rule, eur(100_000), due=due, until=paid.on)
    assert accrue(law, rule, eur(100_000), due=due, until=date(2025, 12, 1), paid=[paid]).exact == until_then.exact
    early = Paid(due, eur(40_000))  # on the day it was due, and before: it never bore any
    assert accrue(law, rule, eur(100_000), due=due, until=paid.on, paid=[early]).exact == until_then.exact * 6 / 10


def test_belgian_interest_is_rounded_up_to_half_a_point() -> None:
    law = pack("be")
    rule = law.interest_for(Debtor.CONSUMER, YEAR)
    assert rule is not None
    found = accrue(law, rule, eur(100_000), due=date(2025, 1, 1), until=date(2025, 12, 31))
    assert [s.percent for s in found.stretches] == [Fraction("11.5"), Fraction("10.5")]


def test_no_rate_is_guessed() -> None:
    law = pack("uk")
    rule = law.interest_for(Debtor.BUSINESS, YEAR)
    assert rule is not None
    late = accrue(law, rule, Money(1000, "GBP"), due=date(2026, 8, 1), until=date(2026, 12, 1))
    assert (late.amount.minor, late.unknown_from) == (0, date(2026, 8, 1))
    assert any("no rate is known" in note for note in late.explanation.notes)
    nl = pack("nl")
    consumer = nl.interest_for(Debtor.CONSUMER, YEAR)
    assert consumer is not None
    half = accrue(nl, consumer, eur(100_000), due=date(2026, 6, 1), until=date(2026, 9, 1))
    assert half.unknown_from == date(2026, 7, 1)
    assert half.exact == Fraction(1000) * 4 * 30 / 36500


def test_our_own_delay_stops_interest() -> None:
    law = pack("de")
    rule = law.interest_for(Debtor.CONSUMER, YEAR)
    assert rule is not None
    due, until = date(2026, 1, 1), date(2026, 2, 1)
    whole = accrue(law, rule, eur(100_000), due=due, until=until)
    rested = accrue(law, rule, eur(100_000), due=due, until=until, rests=[(date(2026, 1, 11), date(2026, 1, 21))])
    assert rested.exact == whole.exact * 21 / 31
    assert any("the delay was ours" in note for note in rested.explanation.notes)
    for_good = accrue(law, rule, eur(100_000), due=due, until=until, rests=[(date(2026, 1, 11), None)])
    assert for_good.exact == whole.exact * 10 / 31


def test_what_was_charged_is_not_charged_again() -> None:
    law = pack("nl")
    rule = law.interest_for(Debtor.BUSINESS, YEAR)
    assert rule is not None
    due, middle, end = date(2024, 3, 1), date(2024, 9, 15), date(2025, 11, 1)
    whole = accrue(law, rule, eur(123_456), due=due, until=end)
    first = accrue(law, rule, eur(123_456), due=due, until=middle)
    rest = accrue(law, rule, eur(123_456), due=due, until=end, since=middle)
    assert first.exact + rest.exact == whole.exact


SERIES = tuple(Rate(date(2020 + n // 2, 7 if n % 2 else 1, 1), Fraction(n % 7 - 2, 4)) for n in range(12))
MADE_UP = LawPack("made_up", "", frozenset(), "EUR", YEAR, rates=(("r", SERIES),))


def nightly(rule: InterestRule, principal: int, due: date, until: date, paid: dict[date, int]) -> Fraction:
    """One night at a time, in cents."""
    total, left, day = Fraction(0), principal, due
    while day < until:
        left -= paid.get(day, 0)
        fixing = day if rule.lock is Lock.BY_DAY else date(day.year, 7 if day.month > 6 else 1, 1)
        percent = [r.percent for r in SERIES if r.valid_from <= fixing][-1] + rule.points
        total += max(left, 0) * max(percent, Fraction(0)) / 36500
        day += timedelta(days=1)
    return total


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 10**9),
    st.integers(0, 900),
    st.integers(0, 400),
    st.dictionaries(st.integers(1, 380), st.integers(1, 10**8), max_size=3),
    st.sampled_from([Lock.HALF_YEAR, Lock.BY_DAY]),
)
def test_stretches_are_the_sum_of_their_nights(
    principal: int, start: int, length: int, parts: dict[int, int], lock: Lock
) -> None:
    due = date(2020, 2, 1) + timedelta(days=start)
    until = due + timedelta(days=length)
    rule = InterestRule(frozenset(Debtor), date(2000, 1, 1), Fraction(5), "r", lock)
    paid = {due + timedelta(days=n): minor for n, minor in parts.items()}
    found = accrue(
        MADE_UP, rule, eur(principal), due=due, until=until, paid=[Paid(on, eur(minor)) for on, minor in paid.items()]
    )
    assert found.exact * 100 == nightly(rule, principal, due, until, paid)
    assert abs(found.amount.amount - found.exact) <= Fraction(1, 200)
    assert sum(s.days for s in found.stretches) == length
    more = accrue(MADE_UP, rule, eur(principal + 100), due=due, until=until)
    less = accrue(MADE_UP, rule, eur(principal), due=due, until=until)
    assert more.exact >= less.exact


def test_costs_rise_with_the_claim_and_no_cent_is_lost() -> None:
    chance = Random(5)
    law = pack("nl")
    rule = law.costs_for(Debtor.BUSINESS, YEAR, "EUR")
    assert rule is not None
    last = 0
    for minor in sorted(chance.randrange(1, 30_000_000) for _ in range(200)):
        found = collection_costs(law, rule, [("claim", eur(minor))]).amount.minor
        assert found >= last
        assert 4000 <= found <= 677_500
        last = found
    each = CostRule(frozenset(Debtor), YEAR, "EUR", (Band(None, Fraction(0), Fraction(10)),), Per.DEBT)
    parts = [(f"n{n}", eur(chance.randrange(1, 10_000))) for n in range(50)]
    found = collection_costs(law, each, parts)
    explained: Explanation = found.explanation
    assert sum(child.recompute()["costs"] for child in explained.children) == found.amount.amount
