"""The pure half of closing: which figures a period wants, what they come to, and how an amount is given back."""

from dataclasses import replace
from datetime import date
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.rating.scenes import book, plan

from coulance_core.catalog.terms import (
    Aggregation,
    Allowance,
    Measure,
    Meter,
    MeterKind,
    NotInCatalogError,
    PerUnit,
    Pool,
    Proration,
    UsageCharge,
)
from coulance_core.invoicing.closing import (
    AccountClosing,
    BaseKnown,
    PartUse,
    ServiceFacts,
    close_account,
    settlements,
    wanted,
)
from coulance_core.invoicing.corrections import OpenLine, spread_credit
from coulance_core.invoicing.documents import ServiceRef
from coulance_core.kernel import Quantity, anchored_period, unit
from coulance_core.rating.base import BilledSpan
from coulance_core.rating.segments import SubscriptionSpan
from coulance_core.usage.aggregate import figure
from coulance_core.usage.samples import Samples

ZONE = ZoneInfo("Europe/Amsterdam")
OCTOBER = anchored_period(2026, 10, 1, ZONE)
OUT = Measure("net", Aggregation.SUM, unit("GB"))


def charge(price: str, included: str, pool: str | None = None) -> UsageCharge:
    allowance = Allowance(Quantity.of(included, "GB"), Proration.CALENDAR_DAYS)
    return UsageCharge("out", "Traffic out", OUT, PerUnit(Fraction(price)), allowance, pool=pool)


CATALOG = book(
    plan("vps", charge("0.10", "100"), base="5.00"),
    plan("xl", charge("0.05", "310"), base="31.00"),
    plan("node", charge("0.20", "100", "fleet"), base=None),
    pools=[Pool("fleet", "Fleet", date(2025, 1, 1), "EUR", OUT, PerUnit(Fraction("0.20")))],
)
DELTAS = Meter("net", "Network", MeterKind.DELTA, unit("B"))


def facts(ref: str, *spans: SubscriptionSpan, billed: tuple[BilledSpan, ...] = (), pool: str = "") -> ServiceFacts:
    return ServiceFacts(ServiceRef(ref, ref.upper(), 1), spans, billed, pool)


def used(service: ServiceFacts, gigabytes: dict[int, int]) -> list[PartUse]:
    """So many GB at noon of days of October, measured for each wanted part."""
    at = [int(OCTOBER.start.timestamp()) + (day - 1) * 86_400 + 43_200 for day in sorted(gigabytes)]
    values = [gigabytes[day] * 10**9 for day in sorted(gigabytes)]
    samples = Samples.one(at, [0] * len(at), values)
    return [
        PartUse(part, figure(part.charge.measure, DELTAS, samples, part.active, ZONE))
        for part in wanted(CATALOG, service, OCTOBER, ZONE)
    ]


def close(*services: ServiceFacts, use: dict[str, dict[int, int]] | None = None) -> AccountClosing:
    return close_account(
        CATALOG,
        services,
        {one.ref.external_id: used(one, (use or {}).get(one.ref.external_id, {})) for one in services},
        period=OCTOBER,
        zone=ZONE,
        billing_day=1,
        base_since=date(2025, 9, 1),
    )


S = SubscriptionSpan


def test_a_part_for_each_version_that_held() -> None:
    service = facts("v", S("vps", 1, date(2026, 1, 1), date(2026, 10, 11)), S("xl", 1, date(2026, 10, 11)))
    parts = wanted(CATALOG, service, OCTOBER, ZONE)
    assert [(p.version.plan, *(d.isoformat() for d in p.active.dates(ZONE))) for p in parts] == [
        ("vps", "2026-10-01", "2026-10-11"),
        ("xl", "2026-10-11", "2026-11-01"),
    ]
    assert wanted(CATALOG, facts("gone", S("vps", 1, date(2026, 1, 1), date(2026, 10, 1))), OCTOBER, ZONE) == ()
    with pytest.raises(NotInCatalogError, match="nowhere"):
        wanted(CATALOG, facts("lost", S("nowhere", 1, date(2026, 10, 3))), OCTOBER, ZONE)


def test_base_in_advance_overage_in_arrears_and_what_it_is_settled_at() -> None:
    done = close(facts("v", S("vps", 1, date(2026, 10, 1))), use={"v": {2: 150}})
    # A first closing bills the days since the start and the month to come
    assert [(str(line.amount), line.period.dates(ZONE)[0].isoformat()) for line in done.base] == [
        ("5.00 EUR", "2026-10-01"),
        ("5.00 EUR", "2026-11-01"),
    ]
    assert [(line.service.external_id, str(line.amount)) for line in done.overage if line.service] == [
        ("v", "5.00 EUR")
    ]
    (settled,) = done.settlements
    assert (settled.key, settled.used, str(settled.net), settled.n) == ("out", Fraction(150), "5.00 EUR", 1)
    assert done.credits == ()


def test_days_billed_and_not_had_come_back() -> None:
    first = close(facts("v", S("vps", 1, date(2026, 10, 1))))
    billed = tuple(line.span for line in first.base if line.span is not None)
    ended = facts("v", S("vps", 1, date(2026, 10, 1), date(2026, 10, 21)), billed=billed)
    again = close(ended)
    # 20 of 31 days of October stay: 5.00 - 3.23 = 1.77 comes back, and all of November
    assert again.base == ()
    assert [str(due.line.net) for _, due in again.credits] == ["-1.77 EUR", "-5.00 EUR"]
    assert close(facts("v", S("vps", 1, date(2026, 10, 1)), billed=billed)).base == ()


def test_what_was_billed_elsewhere_is_not_billed_again() -> None:
    moved = ServiceFacts(ServiceRef("v", "V", 1), (S("vps", 1, date(2026, 1, 1)),), billed_until=date(2026, 11, 1))
    assert [line.period.dates(ZONE)[0].isoformat() for line in close(moved).base] == ["2026-11-01"]


def test_pools_settle_by_key_and_group() -> None:
    done = close(
        facts("n1", S("node", 1, date(2026, 10, 1)), pool="web"),
        facts("n2", S("node", 1, date(2026, 10, 1)), pool="mail"),
        facts("n3", S("node", 1, date(2026, 10, 1)), pool="mail"),
        use={"n1": {2: 150}, "n2": {2: 260}},
    )
    assert [(line.settled, str(line.amount)) for line in done.overage] == [
        ("pool:fleet/mail", "12.00 EUR"),
        ("pool:fleet/web", "10.00 EUR"),
    ]
    by_key = {one.key: one for one in settlements(done.services, done.pools) if one.service is None}
    assert {key: (one.used, str(one.net), one.n) for key, one in by_key.items()} == {
        "pool:fleet/mail": (Fraction(260), "12.00 EUR", 2),
        "pool:fleet/web": (Fraction(150), "10.00 EUR", 1),
    }


@given(st.integers(0, 500), st.lists(st.integers(-20, 100), max_size=6))
def test_nothing_is_given_back_twice_or_more_than_is_left(amount: int, left: list[int]) -> None:
    lines = [OpenLine(f"V{n}", n, own) for n, own in enumerate(left)]
    shares, rest = spread_credit(amount, lines)
    assert sum(share.amount for share in shares) + rest == amount
    by_line = {share.line: share.amount for share in shares}
    assert len(by_line) == len(shares)
    assert all(0 < by_line[n] <= left[n] for n in by_line)
    if rest:
        assert sum(by_line.values()) == sum(own for own in left if own > 0)


def test_an_amount_below_zero_is_no_gift() -> None:
    with pytest.raises(ValueError, match="not negative"):
        spread_credit(-1, [])


def test_base_fees_that_services_share_are_worked_out_once_and_come_out_the_same() -> None:
    october = close(facts("a", S("vps", 1, date(2026, 10, 1))))
    billed = tuple(line.span for line in october.base if line.span is not None)
    halves = (S("vps", 1, date(2026, 10, 1), date(2026, 10, 11)), S("xl", 2, date(2026, 10, 11)))
    services = [
        facts("a", S("vps", 1, date(2026, 10, 1))),
        facts("b", S("vps", 1, date(2026, 10, 1))),
        facts("c", S("vps", 1, date(2026, 10, 1)), billed=billed),
        facts("d", *halves, billed=billed),
        facts("e", *halves),
        facts("f", S("vps", 2, date(2026, 10, 1))),
        replace(facts("g", S("vps", 1, date(2026, 10, 1))), billed_until=date(2026, 11, 1)),
    ]

    def due(known: BaseKnown | None, since: date) -> list[AccountClosing]:
        return [
            close_account(CATALOG, [one], {}, period=OCTOBER, zone=ZONE, billing_day=1, base_since=since, known=known)
            for one in services
        ]

    known: BaseKnown = {}
    for since in (date(2025, 9, 1), date(2026, 11, 1)):
        alone = due(None, since)
        assert due(known, since) == alone  # as it fills
        assert due(known, since) == alone  # from memory
    assert len(known) == 2 * (len(services) - 1)  # a and b have the same facts, and no two others
    assert [line.service for line in due(known, date(2025, 9, 1))[1].base] == [services[1].ref] * 2
