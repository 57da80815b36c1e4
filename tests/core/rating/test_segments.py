"""Which terms hold when, and what is rated apart."""

from dataclasses import replace
from datetime import date
from fractions import Fraction as F

import pytest
from tests.core.rating.scenes import AMS, book, days, month, plan, port, told, traffic

from coulance_core.catalog.terms import Allowance, NotInCatalogError, OnChange
from coulance_core.kernel import Quantity
from coulance_core.rating.charges import rate_charge
from coulance_core.rating.segments import ChargePart, SubscriptionSpan, charge_parts, segments

OCT, NOV = date(2026, 10, 1), date(2026, 11, 1)
SMALL, LARGE = plan("s", traffic(included="310 GB")), plan("l", traffic(included="620 GB"), base="20.00")
LARGE_2 = plan("l", traffic("0.05", "620 GB"), base="25.00", on=date(2026, 10, 21))
CATALOG = book(SMALL, LARGE, LARGE_2)


def cut(*spans: SubscriptionSpan) -> list[str]:
    return [f"{s.version.version} x{s.units} {s.start:%d}..{s.end:%m-%d}" for s in segments(CATALOG, spans, OCT, NOV)]


def test_a_period_is_cut_at_changes_of_plan_quantity_and_version() -> None:
    assert cut(SubscriptionSpan("s", 1, date(2026, 1, 1))) == ["s@2025-01-01 x1 01..11-01"]
    assert cut(
        SubscriptionSpan("s", 1, date(2026, 1, 1), date(2026, 10, 11)),
        SubscriptionSpan("l", 1, date(2026, 10, 11), date(2026, 10, 26)),
        SubscriptionSpan("l", 2, date(2026, 10, 26)),
    ) == [
        "s@2025-01-01 x1 01..10-11",
        "l@2025-01-01 x1 11..10-21",
        "l@2026-10-21 x1 21..10-26",
        "l@2026-10-21 x2 26..11-01",
    ]
    assert cut(SubscriptionSpan("s", 1, date(2026, 1, 1), OCT), SubscriptionSpan("s", 1, NOV)) == []


def test_neighbours_on_the_same_terms_are_one() -> None:
    spans = SubscriptionSpan("s", 1, date(2026, 1, 1), date(2026, 10, 5)), SubscriptionSpan("s", 1, date(2026, 10, 5))
    assert cut(*spans) == ["s@2025-01-01 x1 01..11-01"]


def test_a_subscription_before_its_plan_begins_is_refused() -> None:
    with pytest.raises(NotInCatalogError, match="begins 2025-01-01"):
        segments(CATALOG, [SubscriptionSpan("s", 1, date(2024, 1, 1))], date(2024, 1, 1), date(2024, 2, 1))


def parts(*spans: SubscriptionSpan) -> tuple[ChargePart, ...]:
    return charge_parts(segments(CATALOG, spans, OCT, NOV), AMS)


def test_a_plan_change_in_mid_month_rates_each_part_on_its_own_terms() -> None:
    found = parts(
        SubscriptionSpan("s", 1, date(2026, 1, 1), date(2026, 10, 11)), SubscriptionSpan("l", 1, date(2026, 10, 11))
    )
    used = {"s@2025-01-01": F(150), "l@2025-01-01": F(100), "l@2026-10-21": F(300)}
    lines = []
    for part in found:
        rated = rate_charge(
            part.charge,
            used[part.version.version],
            period=month(2026, 10),
            version=part.version,
            zone=AMS,
            active=part.active,
            units=part.units,
        )
        lines += rated.lines
    # 10 days of 310 GB are 100 GB, 10 of 620 are 200, 11 of 620 are 220
    assert told(lines) == ["overage 50 GB = 5.00", "overage 80 GB = 4.00"]
    assert [line.period for line in lines] == [days(OCT, date(2026, 10, 11)), days(date(2026, 10, 21), NOV)]


def test_a_charge_may_go_by_the_terms_at_the_end_of_the_period() -> None:
    old = plan("c", port())
    new = plan("c", replace(port(), on_change=OnChange.END_TERMS), on=date(2026, 10, 21))
    found = segments(book(old, new), [SubscriptionSpan("c", 1, date(2026, 1, 1))], OCT, NOV)
    [part] = charge_parts(found, AMS)
    assert (part.version, part.active) == (new, month(2026, 10))
    apart = charge_parts(segments(book(old), [SubscriptionSpan("c", 1, date(2026, 10, 5))], OCT, NOV), AMS)
    assert [one.active for one in apart] == [days(date(2026, 10, 5), NOV)]


def test_a_change_of_quantity_cuts_only_what_depends_on_it() -> None:
    spans = SubscriptionSpan("s", 1, date(2026, 1, 1), date(2026, 10, 5)), SubscriptionSpan("s", 4, date(2026, 10, 5))
    [part] = parts(*spans)
    assert part.active == month(2026, 10)
    each = replace(traffic(), allowance=Allowance(Quantity.of(310, "GB"), per_unit=True))
    found = charge_parts(segments(book(plan("s", each)), spans, OCT, NOV), AMS)
    assert [(one.units, one.active) for one in found] == [
        (1, days(OCT, date(2026, 10, 5))),
        (4, days(date(2026, 10, 5), NOV)),
    ]


def test_a_charge_that_only_one_plan_has_is_rated_for_its_part() -> None:
    catalog = book(plan("a", traffic()), plan("b", port()))
    spans = [SubscriptionSpan("a", 1, OCT, date(2026, 10, 8)), SubscriptionSpan("b", 1, date(2026, 10, 8))]
    found = charge_parts(segments(catalog, spans, OCT, NOV), AMS)
    assert [(one.charge.key, one.active) for one in found] == [
        ("traffic", days(OCT, date(2026, 10, 8))),
        ("port", days(date(2026, 10, 8), NOV)),
    ]
