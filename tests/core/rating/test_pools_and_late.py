"""Pooled allowances, and settled periods rated again."""

from dataclasses import replace
from datetime import date
from fractions import Fraction as F

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.rating.scenes import AMS, OUT_GB, days, month, plan, told, traffic

from coulance_core.catalog.terms import Graduated, PerUnit, Pool, Tier
from coulance_core.kernel import Money, Period, unit
from coulance_core.rating.charges import Allowed, rate_charge
from coulance_core.rating.late import LateResult, Settled, rate_late
from coulance_core.rating.pools import PoolMember, rate_pool

JUNE = month(2026, 6)
POOL = Pool("transfer", "Traffic pool", date(2025, 1, 1), "EUR", OUT_GB, PerUnit(F("0.02")))


def member(service: str, used: str, included: str = "1000 GB", active: Period = JUNE) -> PoolMember:
    charge = traffic(included=included, pool="transfer")
    return PoolMember(service, plan("vps", charge), charge, F(used), active)


def test_three_services_share_what_they_include() -> None:
    pooled = rate_pool(POOL, [member("a", "2500"), member("b", "10"), member("c", "800")], period=JUNE, zone=AMS)
    assert (pooled.used, pooled.included, pooled.overage) == (3310, 3000, 310)
    assert told(pooled.lines) == ["overage 310 GB = 6.20"]
    [line] = pooled.lines
    assert (line.pool, line.service, line.charge, line.terms) == (
        "transfer",
        "",
        "transfer",
        "pool:transfer@2025-01-01",
    )
    assert line.description == "Traffic pool, above what 3 services include together"
    table = {fact.name: fact.value for fact in line.explanation.facts}
    assert table["used by a"] == "2500"
    assert table["included with c"] == "1000"
    assert [rated.overage for rated in pooled.members] == [1500, 0, 0]
    assert all(rated.lines == () for rated in pooled.members)


def test_a_pool_charges_what_is_allowed() -> None:
    pooled = rate_pool(POOL, [member("a", "2500"), member("b", "10")], period=JUNE, zone=AMS, allowed=Allowed(F(100)))
    assert told(pooled.lines) == ["overage 100 GB = 2.00"]
    assert (pooled.overage, pooled.charged, pooled.absorbed) == (510, 100, 410)


def test_a_pool_that_suffices_costs_nothing() -> None:
    pooled = rate_pool(POOL, [member("a", "1900"), member("b", "100")], period=JUNE, zone=AMS)
    assert (pooled.lines, pooled.overage, pooled.net("EUR").minor) == ((), 0, 0)
    assert rate_pool(POOL, [], period=JUNE, zone=AMS).lines == ()


def test_a_plan_change_brings_a_part_of_either_allowance() -> None:
    first, rest = days(date(2026, 6, 1), date(2026, 6, 11)), days(date(2026, 6, 11), date(2026, 7, 1))
    pooled = rate_pool(
        POOL,
        [member("a", "300", "900 GB", first), member("a", "700", "1.5 TB", rest), member("b", "500", "300 GB")],
        period=JUNE,
        zone=AMS,
    )
    assert pooled.included == 300 + 1000 + 300
    assert "used by a (2)" in {fact.name for fact in pooled.explanation.facts}
    pooled.explanation.recompute()


def test_members_measured_in_another_unit_are_converted() -> None:
    one = member("a", "3")
    charge = replace(one.charge, measure=replace(OUT_GB, unit=unit("TB")))
    other = replace(one, charge=charge, version=plan("vps", charge))
    pooled = rate_pool(POOL, [other], period=JUNE, zone=AMS)
    assert (pooled.used, pooled.included, pooled.members[0].included) == (3000, 1000, 1)


def test_a_pool_has_its_own_bounds() -> None:
    bounded = replace(POOL, maximum_spend=F(5), minimum_spend=F(1))
    members = [member("a", "2500"), member("b", "10")]
    assert told(rate_pool(bounded, members, period=JUNE, zone=AMS).lines) == [
        "overage 510 GB = 10.20",
        "maximum_discount 1 1 = -5.20",
    ]
    least = rate_pool(bounded, [member("a", "1")], period=JUNE, zone=AMS)
    assert told(least.lines) == ["minimum 1 1 = 1.00"]
    assert least.lines[0].pool == "transfer"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 2000)), min_size=1, max_size=6))
def test_sharing_never_costs_more_than_each_alone(amounts: list[tuple[int, int]]) -> None:
    members = [member(f"s{i}", str(used), f"{included} GB") for i, (used, included) in enumerate(amounts)]
    pooled = rate_pool(POOL, members, period=JUNE, zone=AMS)
    told(pooled.lines)
    alone = sum(max(F(used - included), F(0)) for used, included in amounts)
    assert pooled.overage <= alone
    assert sum((line.amount for line in pooled.lines), F(0)) == pooled.overage * F("0.02")


def late(used: str, billed_used: str, billed: int, found: date, cap: int = 12, tiers: bool = False) -> LateResult:
    charge = traffic()
    if tiers:
        charge = replace(charge, price=Graduated((Tier(F(100), F("0.10")), Tier(None, F("0.05")))))
    again = rate_charge(charge, F(used), period=JUNE, version=plan("x", charge), zone=AMS)
    return rate_late(
        Settled(F(billed_used), Money(billed, "EUR")),
        again,
        charge="traffic",
        name="Traffic",
        period=JUNE,
        found_on=found,
        cap_months=cap,
        zone=AMS,
        tax_class="standard",
        terms="x@2025-01-01",
    )


def test_late_usage_is_a_line_of_its_own_under_its_own_terms() -> None:
    result = late("1250", "1100", 1000, date(2026, 9, 1), tiers=True)
    assert result.line is not None
    assert told([result.line]) == ["late_usage 150 GB = 7.50"]  # above 100: at the lower price of the second tier
    assert result.line.period == JUNE
    assert result.line.explanation.children[0].terms == "x@2025-01-01"
    assert result.line.description == "Traffic, late usage in 2026-06-01 to 2026-07-01"


def test_less_than_was_billed_is_a_credit_however_old() -> None:
    result = late("1040", "1100", 1000, date(2031, 1, 1))
    assert result.line is not None
    assert told([result.line]) == ["credit -60 GB = -6.00"]
    assert result.absorbed.minor == 0


@pytest.mark.parametrize(
    ("found", "billed", "absorbed"),
    [(date(2026, 12, 31), 500, 0), (date(2027, 1, 1), 0, 500), (date(2027, 6, 1), 0, 500)],
)
def test_what_is_found_too_late_is_absorbed(found: date, billed: int, absorbed: int) -> None:
    result = late("1050", "900", 0, found, cap=6)
    assert (0 if result.line is None else result.line.net.minor, result.absorbed.minor) == (billed, absorbed)
    result.explanation.recompute()
    if absorbed:
        assert "found before 2027-01-01, 6 months after its period; it is absorbed" in result.explanation.notes[0]


def test_no_difference_no_line() -> None:
    result = late("950", "900", 0, date(2026, 8, 1))
    assert (result.line, result.absorbed.minor) == (None, 0)
    result.explanation.recompute()
