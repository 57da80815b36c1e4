"""Money, quantities, rounding and periods refuse misuse and keep exactness."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coulance_core.kernel import (
    CurrencyMismatchError,
    Money,
    Period,
    PeriodError,
    Quantity,
    Rounding,
    UnitError,
    anchored_date,
    anchored_period,
    civil_midnight,
    exact,
    round_to,
    show,
    unit,
)

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


@pytest.mark.parametrize("value", [0.1, 1.0, True, None, float("nan")])
def test_a_float_is_never_an_exact_number(value: object) -> None:
    with pytest.raises(TypeError, match="exact number"):
        exact(value)  # type: ignore[arg-type]


ENDLESS = ["1e999999999", "1E-999999999", "1e99999999999999999999", Decimal("1e999999"), Decimal("-1e-999999")]


@pytest.mark.parametrize("value", ["", "abc", "1,5", "e", Decimal("NaN"), Decimal("Infinity"), *ENDLESS])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not a number"):
        exact(value)  # type: ignore[arg-type]


def test_a_power_of_ten_that_can_be_kept_is_a_number() -> None:
    assert exact("1.5e3") == exact(Decimal("1.5e3")) == 1500
    assert exact("1e-1000") == exact(Decimal("1e-1000"))


def test_mixing_currencies_raises_everywhere() -> None:
    euro, dollar = Money(1, "EUR"), Money(1, "USD")
    for attempt in (lambda: euro + dollar, lambda: euro - dollar, lambda: euro < dollar, lambda: max(euro, dollar)):
        with pytest.raises(CurrencyMismatchError, match=r"EUR and USD|USD and EUR"):
            attempt()


def test_money_has_no_truth_no_fraction_and_no_unknown_currency() -> None:
    with pytest.raises(TypeError, match="ambiguous"):
        bool(Money(0, "EUR"))
    with pytest.raises(TypeError, match="whole numbers"):
        Money(1, "EUR") * 0.5  # type: ignore[operator]
    with pytest.raises(TypeError, match="whole numbers"):
        Money(1.5, "EUR")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown currency 'XXX'"):
        Money.of(1, "XXX")
    with pytest.raises(ValueError, match="finer than its minor unit"):
        Money.of("0.001", "EUR")


# value, digits, then the result by each rule: worked by hand
ROUNDING = [
    ("2.5", 0, {"half_up": "3", "half_even": "2", "down": "2", "up": "3", "ceiling": "3", "floor": "2"}),
    ("-2.5", 0, {"half_up": "-3", "half_even": "-2", "down": "-2", "up": "-3", "ceiling": "-2", "floor": "-3"}),
    ("3.5", 0, {"half_up": "4", "half_even": "4", "down": "3", "up": "4", "ceiling": "4", "floor": "3"}),
    ("1.005", 2, {"half_up": "1.01", "half_even": "1", "down": "1", "up": "1.01", "ceiling": "1.01", "floor": "1"}),
    ("1/3", 5, {"half_up": "0.33333", "half_even": "0.33333", "up": "0.33334", "down": "0.33333"}),
]


@pytest.mark.parametrize(("value", "digits", "results"), ROUNDING)
def test_rounding_by_name(value: str, digits: int, results: dict[str, str]) -> None:
    for rule, expected in results.items():
        assert round_to(Fraction(value), digits, Rounding(rule)) == Fraction(expected), rule


@given(st.fractions(), st.integers(0, 6), st.sampled_from(Rounding))
def test_rounding_moves_less_than_one_unit_and_is_idempotent(value: Fraction, digits: int, rule: Rounding) -> None:
    rounded = round_to(value, digits, rule)
    assert abs(rounded - value) < Fraction(1, 10**digits)
    assert round_to(rounded, digits, rule) == rounded
    if rule in (Rounding.HALF_UP, Rounding.HALF_EVEN):
        assert abs(rounded - value) <= Fraction(1, 2 * 10**digits)


@given(st.fractions())
def test_shown_numbers_read_back_equal(value: Fraction) -> None:
    assert Fraction(show(value)) == value


@given(st.integers(-(10**12), 10**12), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_money_survives_its_decimal_form(minor: int, code: str) -> None:
    money = Money(minor, code)
    assert Money.of(money.decimal(), code) == money
    assert Money.of(money.amount, code) == money


def test_a_gigabyte_is_not_a_gibibyte_and_bytes_are_not_bits_per_second() -> None:
    assert Quantity.of(1, "GiB").to(unit("GB")).value == Fraction(1073741824, 10**9)
    assert Quantity.of(1000, "GB") < Quantity.of(1, "TiB")
    with pytest.raises(UnitError, match="does not convert"):
        Quantity.of(1, "GB").to(unit("Mbit/s"))
    with pytest.raises(UnitError, match="unknown unit 'Gb'"):
        unit("Gb")


def test_naive_instants_and_backward_periods_are_refused() -> None:
    with pytest.raises(PeriodError, match="needs a zone"):
        Period(datetime(2026, 1, 1), datetime(2026, 2, 1))
    with pytest.raises(PeriodError, match="ends before"):
        Period(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))


# year, month, anchor -> first day, day after the last, hours in Amsterdam (2026: clock changes 29 March and 25 October)
PERIODS = [
    (2026, 1, 1, "2026-01-01", "2026-02-01", 744),
    (2026, 3, 1, "2026-03-01", "2026-04-01", 743),
    (2026, 10, 1, "2026-10-01", "2026-11-01", 745),
    (2026, 1, 31, "2026-01-31", "2026-02-28", 672),
    (2026, 2, 31, "2026-02-28", "2026-03-31", 743),
    (2028, 1, 30, "2028-01-30", "2028-02-29", 720),
    (2026, 12, 15, "2026-12-15", "2027-01-15", 744),
]


@pytest.mark.parametrize(("year", "month", "anchor", "first", "last", "hours"), PERIODS)
def test_anchored_periods(year: int, month: int, anchor: int, first: str, last: str, hours: int) -> None:
    period = anchored_period(year, month, anchor, AMSTERDAM)
    assert tuple(d.isoformat() for d in period.dates(AMSTERDAM)) == (first, last)
    assert period.seconds == hours * 3600


@given(st.integers(1, 31), st.integers(2000, 2040), st.integers(1, 12))
def test_periods_of_one_anchor_follow_each_other_without_gap(anchor: int, year: int, month: int) -> None:
    this = anchored_period(year, month, anchor, AMSTERDAM)
    following = anchored_period(year + month // 12, month % 12 + 1, anchor, AMSTERDAM)
    assert this.end == following.start
    assert anchored_date(year, month, anchor).day <= anchor


def test_a_day_that_has_no_midnight_starts_at_the_change() -> None:
    # Beirut skipped 00:00-01:00 on 26 March 2022: the day began at 01:00 local, 22:00 UTC the day before.
    assert civil_midnight(date(2022, 3, 27), ZoneInfo("Asia/Beirut")) == datetime(2022, 3, 26, 22, tzinfo=UTC)


@given(st.data())
def test_intersections_lie_in_both(data: st.DataObject) -> None:
    base = datetime(2026, 1, 1, tzinfo=UTC)
    hours = [data.draw(st.integers(0, 100)) for _ in range(4)]
    a = Period(base + timedelta(hours=min(hours[:2])), base + timedelta(hours=max(hours[:2])))
    b = Period(base + timedelta(hours=min(hours[2:])), base + timedelta(hours=max(hours[2:])))
    both = a.intersect(b)
    shared = {h for h in range(101) if base + timedelta(hours=h) in a and base + timedelta(hours=h) in b}
    assert (both.seconds // 3600 if both else 0) == len(shared)
