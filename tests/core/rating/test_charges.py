"""One charge over one period: scenarios a customer could be shown, and explanations that recompute."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction as F
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.rating import strategies as some
from tests.core.rating.scenes import AMS, OUT_GB, days, month, plan, port, told, traffic

from coulance_core.catalog.terms import (
    Aggregation,
    Allowance,
    Graduated,
    Measure,
    PerUnit,
    PriceModel,
    Proration,
    Tier,
    UsageCharge,
    ZeroUsageFlat,
)
from coulance_core.kernel import Explanation, Period, Quantity, Rounding, unit
from coulance_core.rating.charges import Allowed, Measured, RatedCharge, included_quantity, rate_charge
from coulance_core.rating.models import Use

OCTOBER = month(2026, 10)
JUNE = month(2026, 6)


def rate(charge: UsageCharge, used: object, period: Period = OCTOBER, **more: object) -> RatedCharge:
    return rate_charge(charge, used, period=period, version=plan("x", charge), zone=AMS, **more)  # type: ignore[arg-type]


def test_within_the_allowance_nothing_is_due_and_it_is_explained() -> None:
    rated = rate(traffic(), F(999))
    assert (rated.lines, rated.used, rated.included, rated.overage) == ((), 999, 1000, 0)
    assert rated.net("EUR").minor == 0
    assert rated.explanation.recompute()["overage"] == 0


def test_above_the_allowance_each_unit_is_priced() -> None:
    rated = rate(traffic(), F("1234.5"), service="vps-1")
    assert told(rated.lines) == ["overage 234.5 GB = 23.45"]
    [line] = rated.lines
    assert (line.charge, line.service, line.unit_price, line.tax_class) == ("traffic", "vps-1", F("0.1"), "standard")
    assert line.description == "Traffic, above the included 1000 GB"
    assert line.terms == "x@2025-01-01"


def test_only_what_is_allowed_is_charged_and_the_rest_is_said() -> None:
    rated = rate(traffic(), F(1500), service="vps-1", allowed=Allowed(F("413.2")))
    assert told(rated.lines) == ["overage 413.2 GB = 41.32"]
    assert (rated.overage, rated.charged, rated.absorbed) == (500, F("413.2"), F("86.8"))
    known = rated.lines[0].explanation.recompute()
    assert (known["overage"], known["charged"], known["amount"]) == (500, F("413.2"), F("41.32"))
    assert rate(traffic(), F(1500), allowed=Allowed(F(0))).lines == ()
    assert told(rate(traffic(), F(1500), allowed=Allowed(F(9999))).lines) == ["overage 500 GB = 50.00"]


@given(some.by_quantity, some.quantities, some.quantities)
def test_an_allowed_part_costs_what_so_much_use_costs(model: PriceModel, used: F, allowed: F) -> None:
    charge = UsageCharge("x", "X", OUT_GB, model)
    bounded, plain = rate(charge, used, allowed=Allowed(allowed)), rate(charge, min(used, allowed))
    assert bounded.net("EUR") == plain.net("EUR")
    told(bounded.lines)


def test_conventions_are_printed() -> None:
    gib = replace(traffic(), measure=Measure("net", Aggregation.SUM, unit("GiB")))
    assert "1 GiB = 2^30 bytes" in rate(gib, F(5000)).explanation.conventions
    words = rate(port(), F(120)).explanation.conventions
    assert "incoming and outgoing are reckoned apart; the greater counts" in words
    assert "95th percentile: the highest floor(0.05 n) samples are dropped, the next one counts" in words
    assert "missing samples count as the lowest" in words
    assert "rounded down to steps of 0.01 Mbit/s" in words


def test_an_allowance_in_another_unit_is_the_same_quantity() -> None:
    assert rate(traffic(included="1 TB"), F(1500)).included == 1000
    assert rate(traffic(included="1 TiB"), F(1500)).included == F(2**40, 10**9)
    quantity = included_quantity(traffic(included="1 TB"))
    assert str(quantity) == "1 TB"


@pytest.mark.parametrize(
    ("how", "start", "included"),
    [
        (Proration.NONE, date(2026, 10, 15), "1000"),
        (Proration.CALENDAR_DAYS, date(2026, 10, 15), "17000/31"),
        (Proration.FIXED_30, date(2026, 10, 15), "1600/3"),  # 16 of 30: the 15th to the last day, which is the 30th
        (Proration.SECONDS, date(2026, 10, 15), "409000/745"),  # October has 745 hours; 409 of them from the 15th
    ],
)
def test_a_part_of_a_period_brings_a_part_of_the_allowance(how: Proration, start: date, included: str) -> None:
    rated = rate(traffic(proration=how), F(2000), active=Period(days(start, start).start, OCTOBER.end))
    assert rated.included == F(included)
    assert told(rated.lines)


def test_an_allowance_may_accrue_by_the_hour_to_its_cap() -> None:
    charge = replace(traffic(), allowance=Allowance(Quantity.of(1000, "GB"), accrual_hours=672))
    start = OCTOBER.start
    assert rate(charge, F(0), active=Period(start, start + timedelta(hours=168))).included == 250
    assert rate(charge, F(0), active=Period(start, start + timedelta(hours=167, minutes=1))).included == 250
    assert rate(charge, F(0), active=Period(start, start + timedelta(days=28))).included == 1000
    assert rate(charge, F(0)).included == 1000


def test_an_allowance_may_count_per_unit() -> None:
    charge = replace(traffic(), allowance=Allowance(Quantity.of(1000, "GB"), per_unit=True))
    assert rate(charge, F(2500), units=3).included == 3000
    assert told(rate(charge, F(2500), units=2).lines) == ["overage 500 GB = 50.00"]


def test_commit_and_burst_of_a_colo_port() -> None:
    assert told(rate(port(), F(100)).lines) == []
    rated = rate(port(), F("123.456"))
    assert rated.used == F("123.45")  # rounded down to the step, in the customer's favour
    assert told(rated.lines) == ["overage 23.45 Mbit/s = 46.90"]


def test_a_level_keeps_its_commitment_for_a_part_of_a_period_and_its_price_is_lowered() -> None:
    half_june = days(date(2026, 6, 16), date(2026, 7, 1))
    rated = rate(port(), F(160), JUNE, active=half_june)
    assert rated.included == 100
    assert told(rated.lines) == ["overage 60 Mbit/s = 60.00"]  # 60 x 2.00 for the month, half of it
    assert rated.lines[0].unit_price is None


def test_minimum_spend_is_trued_up_also_when_nothing_was_used() -> None:
    charge = traffic(included="0 GB", minimum_spend=F(25))
    assert told(rate(charge, F(100)).lines) == ["overage 100 GB = 10.00", "minimum 1 1 = 15.00"]
    assert told(rate(charge, F(0)).lines) == ["minimum 1 1 = 25.00"]
    assert told(rate(charge, F(250)).lines) == ["overage 250 GB = 25.00"]
    part = rate(charge, F(0), JUNE, active=days(date(2026, 6, 1), date(2026, 6, 11)))
    assert told(part.lines) == ["minimum 1 1 = 8.33"]


def test_maximum_spend_is_a_visible_discount() -> None:
    charge = traffic(maximum_spend=F(50))
    assert told(rate(charge, F(1500)).lines) == ["overage 500 GB = 50.00"]
    rated = rate(charge, F(9000))
    assert told(rated.lines) == ["overage 8000 GB = 800.00", "maximum_discount 1 1 = -750.00"]
    assert rated.net("EUR").minor == 5000


def test_the_bounds_hold_to_the_cent_whatever_was_rounded() -> None:
    charge = traffic("0.333", "0 GB", minimum_spend=F(10), maximum_spend=F(10))
    for used in (F(1), F("29.99"), F("30.03"), F("1000.001")):
        assert rate(charge, used).net("EUR").minor == 1000


def test_a_flat_amount_at_no_use_is_due_or_not_by_name() -> None:
    tiers = (Tier(F(10), F(1), F(2)), Tier(None, F(1)))
    waived = replace(traffic(included="0 GB"), price=Graduated(tiers))
    due = replace(traffic(included="0 GB"), price=Graduated(tiers, ZeroUsageFlat.CHARGE))
    assert told(rate(waived, F(0)).lines) == []
    assert told(rate(due, F(0)).lines) == ["overage 0 GB = 2.00"]
    assert "the first tier's flat amount is due when nothing was used" in rate(due, F(0)).explanation.conventions


def test_a_figure_brings_its_own_explanation_along() -> None:
    own = Explanation.build("usage.sum").fact("samples", 8928).freeze()
    rated = rate(traffic(), Measured(F(1100), own))
    assert rated.lines[0].explanation.children == (own,)
    brought = Measured(F(3), None, Use(F(3), events=[F(10), F(20)]))
    assert rate(traffic(included="0 GB"), brought).lines[0].amount == F("0.3")


@pytest.mark.parametrize(("number", "hours"), [(3, 743), (10, 745), (6, 720)])
def test_months_with_a_clock_change_have_their_own_seconds(number: int, hours: int) -> None:
    period = month(2026, number)
    one_hour = Period(period.start, period.start + timedelta(hours=1))
    rated = rate(traffic(included="1000 GB", proration=Proration.SECONDS), F(0), period, active=one_hour)
    assert rated.included == F(1000, hours)


def test_rounding_is_the_named_one() -> None:
    charge = traffic("0.005", "0 GB")
    assert rate(charge, F(1), rounding=Rounding.HALF_UP).net("EUR").minor == 1
    assert rate(charge, F(1), rounding=Rounding.HALF_EVEN).net("EUR").minor == 0
    assert rate(charge, F(1), rounding=Rounding.DOWN).net("EUR").minor == 0


@settings(max_examples=60, deadline=None)
@given(
    some.by_quantity,
    some.quantities,
    st.integers(0, 300),
    st.sampled_from(Proration),
    st.integers(0, 30),
    st.integers(1, 31),
    st.none() | st.integers(0, 5000),
    st.none() | st.integers(0, 5000),
)
def test_every_line_recomputes(
    model: PriceModel,
    used: F,
    included: int,
    how: Proration,
    first: int,
    length: int,
    least: int | None,
    more: int | None,
) -> None:
    simple = not hasattr(model, "rate") and type(model).__name__ != "Capacity"
    charge = UsageCharge(
        "x",
        "X",
        OUT_GB,
        model,
        Allowance(Quantity.of(included, "GB"), how) if simple else None,
        minimum_spend=None if least is None else F(least, 100),
        maximum_spend=None if more is None else F((least or 0) + more, 100),
        proration=how,
    )
    start = OCTOBER.start.astimezone(ZoneInfo("Europe/Amsterdam")).date() + timedelta(days=min(first, 30))
    end = min(start + timedelta(days=length), date(2026, 11, 1))
    rated = rate(charge, used, active=days(start, end))
    told(rated.lines)
    rated.explanation.recompute()
    assert rated.overage == max(rated.used - rated.included, 0)
    if least is not None:
        assert rated.net("EUR").minor >= 0


def test_prices_per_unit_print_only_where_they_multiply_out() -> None:
    line = rate(traffic(), F(1100)).lines[0]
    assert line.unit_price is not None
    assert line.unit_price * line.quantity == line.amount
    seats = Measure("seats", Aggregation.PEAK, unit("seat"))
    charge = UsageCharge("seats", "Seats", seats, PerUnit(F(4)))
    part = rate(charge, F(10), JUNE, active=days(date(2026, 6, 21), date(2026, 7, 1)))
    assert told(part.lines) == ["overage 10 seat = 13.33"]
    assert part.lines[0].unit_price is None


def test_an_instant_in_a_day_counts_that_day_whole() -> None:
    start = datetime(2026, 6, 16, 15, 30, tzinfo=UTC)
    rated = rate(traffic(), F(0), JUNE, active=Period(start, JUNE.end))
    assert rated.included == 500
