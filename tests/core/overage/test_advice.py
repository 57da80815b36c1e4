"""Advice: tables worked by hand, and every plan's cost against what a closing of that plan comes to."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from fractions import Fraction as F

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.rating.scenes import AMS, NET, OUT_GB, P95, book, days, month, plan, port, traffic

from coulance_core.catalog.terms import Catalog, Measure, PerUnit, PlanVersion, Pool, Tier, Volume
from coulance_core.invoicing.closing import PartUse, ServiceFacts, close_account, wanted
from coulance_core.invoicing.documents import ServiceRef
from coulance_core.kernel import Money, Period
from coulance_core.overage.advice import (
    AdvicePolicy,
    Comparison,
    NotComparableError,
    PeriodUse,
    Verdict,
    compare,
    plan_cost,
    recommend,
)
from coulance_core.overage.retroactive import RetroactiveOffer, retroactive_offers
from coulance_core.rating.base import base_due
from coulance_core.rating.charges import Allowed
from coulance_core.rating.pools import PoolMember
from coulance_core.rating.segments import SubscriptionSpan
from coulance_core.usage.figures import Conversion, Joined, UsageFigure

S = plan("vps-s", traffic("0.10", "1000 GB"), base="10.00")
M = plan("vps-m", traffic("0.08", "5000 GB"), base="25.00")
XL = plan("vps-xl", traffic("0.05", "25000 GB"), base="60.00")
SERVICE = ServiceRef("vps-1", "vps-1", 1)


def used(*gigabytes: int | F, forecast: int | None = None) -> list[PeriodUse]:
    out = [PeriodUse(f"2026-{n:02}", month(2026, n), {OUT_GB: F(gb)}) for n, gb in enumerate(gigabytes, 1)]
    if forecast is not None:
        n = len(out) + 1
        out.append(PeriodUse(f"2026-{n:02}", month(2026, n), {OUT_GB: F(forecast)}, forecast=True))
    return out


def ask(*gigabytes: int, forecast: int | None = None, present: PlanVersion = S) -> Comparison:
    return compare(present, [S, M, XL], used(*gigabytes, forecast=forecast), zone=AMS)


def table(found: Comparison) -> list[tuple[str, str, str, int]]:
    for record in found.ranked:
        for cost in record.costs:
            assert cost.explanation.recompute()["net"] == cost.net.amount, cost.explanation.render()
    return [(r.version.plan, r.total.decimal(), r.saved.decimal(), r.cheaper_in) for r in found.ranked]


def test_once_three_terabytes() -> None:
    """400 GB a month, then 3 TB once: 2000 GB above at 0.10 is 200.00. M was cheaper in hindsight, and only once."""
    found = ask(400, 400, 400, 400, 400, 3000)
    assert table(found) == [
        ("vps-m", "150.00", "110.00", 1),
        ("vps-s", "260.00", "0.00", 0),
        ("vps-xl", "360.00", "-100.00", 1),
    ]
    advice = recommend(found, AdvicePolicy())
    assert (advice.verdict, advice.plan, advice.saved, advice.cheaper_in) == (
        Verdict.NOT_OFTEN,
        M,
        Money(11000, "EUR"),
        1,
    )
    (first, second) = offers(found, Money(20000, "EUR"))
    assert (first.plan, first.difference, first.saves) == (M, Money(1500, "EUR"), Money(18500, "EUR"))
    assert (second.plan, second.difference, second.saves) == (XL, Money(5000, "EUR"), Money(15000, "EUR"))
    assert first.reverts_on == date(2026, 7, 1)
    assert first.remains == Money(0, "EUR")
    assert first.explanation.recompute()["net"] == first.line.amount.amount == 15


def test_fifteen_times_the_plan_every_month() -> None:
    """15,000 GB a month: S 10 + 1400, M 25 + 800, XL 60. XL saves 1350.00 a month, each month."""
    found = ask(*[15_000] * 6, forecast=15_000)
    assert table(found) == [
        ("vps-xl", "360.00", "8100.00", 6),
        ("vps-m", "4950.00", "3510.00", 6),
        ("vps-s", "8460.00", "0.00", 0),
    ]
    assert found.best.average == 60
    advice = recommend(found, AdvicePolicy())
    assert (advice.verdict, advice.plan, advice.cheaper_in, advice.periods) == (Verdict.CHANGE, XL, 6, 6)
    assert advice.explanation.recompute()["saved a period"] == 1350
    assert "would have cost" in advice.explanation.render()


@pytest.mark.parametrize(
    ("gigabytes", "forecast", "present", "policy", "told", "verdict", "named"),
    [
        ((400,) * 6, None, S, AdvicePolicy(), None, Verdict.BEST, None),
        ((15_000,) * 5, None, S, AdvicePolicy(), None, Verdict.TOO_FEW, XL),
        ((15_000,) * 6, None, S, AdvicePolicy(), 2, Verdict.TOLD, XL),
        ((15_000,) * 6, None, S, AdvicePolicy(), 3, Verdict.CHANGE, XL),
        ((15_000,) * 6, 400, S, AdvicePolicy(), None, Verdict.DEARER_AHEAD, XL),
        # 1200 GB costs 30.00 on S and 25.00 on M: a sixth saved.
        ((1200,) * 6, None, S, AdvicePolicy(), None, Verdict.CHANGE, M),
        ((1200,) * 6, None, S, AdvicePolicy(share=F(1, 5)), None, Verdict.TOO_LITTLE, M),
        ((1200,) * 6, None, S, AdvicePolicy(saves=Money(501, "EUR")), None, Verdict.TOO_LITTLE, M),
        ((1200,) * 6, None, S, AdvicePolicy(saves=Money(500, "EUR")), None, Verdict.CHANGE, M),
        ((1200,) * 6, None, S, AdvicePolicy(saves=Money(9000, "USD")), None, Verdict.CHANGE, M),
        ((400,) * 6, None, XL, AdvicePolicy(), None, Verdict.SMALLER, S),
        ((400,) * 6, None, XL, AdvicePolicy(smaller=True), None, Verdict.CHANGE, S),
        # Older periods than the last six are not looked at.
        ((15_000,) * 6 + (400,) * 6, None, S, AdvicePolicy(), None, Verdict.BEST, None),
    ],
)
def test_when_it_is_said(
    gigabytes: tuple[int, ...],
    forecast: int | None,
    present: PlanVersion,
    policy: AdvicePolicy,
    told: int | None,
    verdict: Verdict,
    named: PlanVersion | None,
) -> None:
    found = ask(*gigabytes, forecast=forecast, present=present)
    advice = recommend(found, policy, told_periods_ago=told)
    assert (advice.verdict, advice.plan) == (verdict, named), advice.explanation.render()
    advice.explanation.recompute()


def test_what_is_not_compared() -> None:
    found = compare(
        S,
        [
            replace(plan("usd", traffic()), currency="USD"),
            plan("mail"),
            plan("burst", replace(traffic(), measure=P95, allowance=None)),
        ],
        used(400),
        zone=AMS,
    )
    assert table(found) == [("vps-s", "10.00", "0.00", 0)]
    assert [name for name, _ in found.left_out] == ["usd@2025-01-01", "mail@2025-01-01", "burst@2025-01-01"]
    assert "USD" in found.left_out[0][1]
    assert "nothing" in found.left_out[1][1]
    assert "no figure" in found.left_out[2][1]
    with pytest.raises(ValueError, match="measured"):
        compare(S, [M], used(forecast=5), zone=AMS)


def test_what_was_absorbed_cost_nothing() -> None:
    """3 TB used, of which only 100 GB may be charged: S came to 20.00, so M at 25.00 would have saved nothing."""
    (use,) = used(3000)
    use = replace(use, allowed={"traffic": Allowed(F(100))})
    found = compare(S, [M], [use], zone=AMS)
    assert table(found) == [("vps-s", "20.00", "0.00", 0), ("vps-m", "25.00", "-5.00", 0)]
    assert offers(found, Money(1000, "EUR")) == ()


def test_fees_of_several_months_units_and_parts() -> None:
    yearly = plan("year", traffic(), base="120.00", months=12)
    (use,) = used(400)
    assert plan_cost(yearly, replace(use, units=3), zone=AMS).base == Money(3000, "EUR")
    half = days(date(2026, 1, 17), date(2026, 2, 1))
    cost = plan_cost(S, replace(use, active=half, figures={OUT_GB: F(1000)}), zone=AMS)
    # 15 of 31 days: 4.84 of 10.00, and 483.87 GB included of 1000.
    assert (cost.base, cost.usage) == (Money(484, "EUR"), Money(5161, "EUR"))
    assert cost.explanation.recompute()["net"] == cost.net.amount


def test_a_port_and_its_burst() -> None:
    """130 Mbit/s on 100 committed for 150.00, 2.00 a Mbit/s: 210.00; on a port of 200 Mbit/s for 195.00, 195.00."""
    small = plan("port-100", port(), base="50.00")
    large = plan(
        "port-flat", replace(port(), commitment=None, price=PerUnit(F(3, 2))), base="50.00"
    )  # 130 x 1.50 = 195.00
    use = PeriodUse("2026-01", month(2026, 1), {P95: F(130)})
    found = compare(small, [large], [use], zone=AMS)
    assert table(found) == [("port-flat", "245.00", "15.00", 1), ("port-100", "260.00", "0.00", 0)]


def test_a_pool_is_rated_whole() -> None:
    """Two services share 1000 GB each; ours brings 1700, the other 500: 200 above at 0.20. Bringing 2000: none."""
    pool = Pool("fleet", "Fleet", date(2025, 1, 1), "EUR", OUT_GB, PerUnit(F("0.20")))
    node = plan("node", traffic(pool="fleet"), base="10.00")
    large = plan("large", traffic("0", "2000 GB", pool="fleet"), base="30.00")
    lone = plan("lone", traffic("0.10", "1500 GB"), base="12.00")
    period = month(2026, 1)
    other = PoolMember("b", node, node.charges[0], F(500), period)
    use = PeriodUse("2026-01", period, {OUT_GB: F(1700)}, others={"fleet": [other]})
    found = compare(node, [large, lone], [use], zone=AMS, pools={"fleet": pool})
    # Alone, ours pays 200 GB above 1500 itself, and the pool has room: 12 + 20.
    assert table(found) == [("large", "30.00", "20.00", 1), ("lone", "32.00", "18.00", 1), ("node", "50.00", "0.00", 0)]
    with pytest.raises(NotComparableError, match="fleet"):
        plan_cost(node, use, zone=AMS)


def offers(found: Comparison, overage: Money, tax: Sequence[str] = ("standard",)) -> tuple[RetroactiveOffer, ...]:
    last = len(found.present.costs) - 1
    return retroactive_offers(
        found.present.costs[last],
        [record.costs[last] for record in found.ranked],
        overage=overage,
        tax_classes=tax,
        service=SERVICE,
        period=month(2026, last + 1),
        zone=AMS,
    )


def test_no_offer_that_is_not_fair() -> None:
    found = ask(3000)
    assert offers(found, Money(20000, "EUR"), ("reduced",)) == ()
    assert offers(found, Money(1500, "EUR")) == ()
    assert [o.difference.decimal() for o in offers(found, Money(1501, "EUR"))] == ["15.00"]
    # What is still above the larger plan stays overage: 6000 GB is 25.00 and 1000 at 0.08 on M.
    first, second = offers(ask(6000), Money(50000, "EUR"))
    assert (first.plan, first.difference, first.remains) == (XL, Money(5000, "EUR"), Money(0, "EUR"))
    assert (second.plan, second.difference, second.remains) == (M, Money(9500, "EUR"), Money(8000, "EUR"))
    assert offers(ask(6000, present=XL), Money(50000, "EUR")) == ()


figures = st.integers(0, 40_000).map(lambda n: F(n, 3))
cents = st.integers(0, 9000).map(lambda n: F(n, 100))


@st.composite
def versions(draw: st.DrawFn, key: str) -> PlanVersion:
    base = draw(st.one_of(st.none(), cents))
    charges = []
    if draw(st.booleans()):
        pool = "fleet" if draw(st.booleans()) else None
        price = PerUnit(draw(cents) / 100)
        charges.append(replace(traffic("0", f"{draw(st.integers(0, 9000))} GB", pool=pool), price=price))
    else:
        tiers = (Tier(F(draw(st.integers(1, 500))), draw(cents) / 100, draw(cents)), Tier(None, draw(cents) / 100))
        charges.append(replace(traffic("0", f"{draw(st.integers(0, 9000))} GB"), price=Volume(tiers)))
    if draw(st.booleans()):
        charges.append(port())
    else:
        charges.append(replace(port(), commitment=None, minimum_spend=draw(cents)))
    return plan(key, *charges, base=None if base is None else str(float(base)), per_unit=draw(st.booleans()))


@settings(max_examples=120, deadline=None)
@given(
    versions("a"),
    versions("b"),
    versions("c"),
    st.lists(st.tuples(figures, figures), min_size=1, max_size=4),
    st.integers(1, 3),
    st.integers(1, 28),
)
def test_every_plan_costs_what_its_closing_bills(
    a: PlanVersion, b: PlanVersion, c: PlanVersion, use: list[tuple[F, F]], units: int, first: int
) -> None:
    """Each plan's cost is what base fees and a closing of a customer on that plan come to; the best is never dearer."""
    pool = Pool("fleet", "Fleet", date(2025, 1, 1), "EUR", OUT_GB, PerUnit(F("0.07")))
    catalog = book(a, b, c, pools=[pool])
    period = month(2026, 3)
    start = date(2026, 3, first)
    active = days(start, date(2026, 4, 1))
    uses = [PeriodUse(str(n), period, {OUT_GB: gb, P95: rate}, units, active) for n, (gb, rate) in enumerate(use)]
    found = compare(a, [b, c], uses, zone=AMS, pools={"fleet": pool})
    assert found.best.total <= found.present.total
    for record in found.ranked:
        for cost, (gb, rate) in zip(record.costs, use, strict=True):
            assert cost.net == billed(catalog, record.version, gb, rate, units, start, period)
            assert cost.explanation.recompute()["net"] == cost.net.amount
    advice = recommend(found, AdvicePolicy(in_periods=1, of_periods=1, smaller=True))
    if advice.verdict is Verdict.CHANGE and advice.plan is not None:
        last = {record.version: record.costs[-1].net for record in found.ranked}
        assert last[advice.plan] < last[a]


def measured(what: Measure, quantity: F, period: Period) -> UsageFigure:
    parts = (("total", quantity, what.unit.name),)
    return UsageFigure(
        what, NET, period, quantity, 1, 1, 1, {}, parts=parts, joined=Joined.ALONE, conversion=Conversion((), F(1))
    )


def billed(catalog: Catalog, version: PlanVersion, gb: F, rate: F, units: int, start: date, period: Period) -> Money:
    """The same by the closing's own functions, from a subscription."""
    span = SubscriptionSpan(version.plan, units, start)
    facts = ServiceFacts(SERVICE, (span,))
    parts = [
        PartUse(part, measured(part.charge.measure, gb if part.charge.measure == OUT_GB else rate, period))
        for part in wanted(catalog, facts, period, AMS)
    ]
    closing = close_account(
        catalog,
        [facts],
        {"vps-1": parts},
        period=period,
        zone=AMS,
        billing_day=1,
        base_since=date(2026, 4, 1),
    )
    fees = base_due(
        catalog,
        [span],
        (),
        billing_day=1,
        zone=AMS,
        since=date(2026, 2, 1),
        through=date(2026, 3, 31),
    )
    total = sum(line.amount.minor for line in closing.overage) + sum(due.line.net.minor for due in fees)
    return Money(total, "EUR")
