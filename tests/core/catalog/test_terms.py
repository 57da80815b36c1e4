"""Terms check themselves, say every fault with its field, and survive being stored."""

from dataclasses import replace
from datetime import date
from fractions import Fraction as F

import pytest

from coulance_core.catalog.terms import (
    Aggregation,
    Allowance,
    BaseFee,
    BlockTier,
    Capacity,
    CapacityTier,
    Catalog,
    Commitment,
    Dynamic,
    Edges,
    Graduated,
    GraduatedPercentage,
    Measure,
    Meter,
    MeterKind,
    NoTaxRateError,
    NotInCatalogError,
    NumberSeries,
    Package,
    Percentage,
    PercentileTerms,
    PercentTier,
    PerUnit,
    PlanVersion,
    Pool,
    PriceModel,
    ProviderTerms,
    Resets,
    TaxKind,
    TaxRate,
    TaxTable,
    TermsError,
    Tier,
    TieredBlocks,
    UsageCharge,
    Volume,
    canonical,
    digest,
    from_json,
    to_json,
)
from coulance_core.kernel import Money, Quantity, unit

OUT = Measure("net", Aggregation.SUM, unit("GB"))
P95 = Measure("net", Aggregation.PERCENTILE, unit("Mbit/s"), percentile=PercentileTerms())
NET = Meter("net", "Network", MeterKind.COUNTER, unit("B"), counter_bits=64)
PROVIDER = ProviderTerms("Kade Hosting", "NL", "EUR", "Europe/Amsterdam")
TAX = TaxTable((TaxRate("NL", "standard", F(21), date(2012, 10, 1), "NL21"),))
SERIES = {key: NumberSeries(key, key[0].upper() + "{year}-{number:06d}") for key in ("base", "overage", "credit")}

MODELS: list[PriceModel] = [
    PerUnit(F(1, 10)),
    Graduated((Tier(F(10), F(1), F(2)), Tier(None, F(1, 3)))),
    Volume((Tier(F(10), F(1)), Tier(None, F("0.5"))), edges=Edges.WHOLE_UNITS),
    Package(F(10), F(100), F(5)),
    Percentage(F("1.3"), F(2), 3, F(250), F(1), F(12)),
    GraduatedPercentage((PercentTier(F(10), F(1), F(2)), PercentTier(None, F(3)))),
    TieredBlocks((BlockTier(F(1), F("1.5"), 10), BlockTier(F(100), F(1)))),
    Capacity((CapacityTier((("", F(100)),), F(10)), CapacityTier((), F(30)))),
    Dynamic(),
]


def plan(*charges: UsageCharge, on: date = date(2026, 1, 1), key: str = "vps") -> PlanVersion:
    return PlanVersion(key, "VPS", on, "EUR", BaseFee(F("4.99")), charges)


def book(*versions: PlanVersion, pools: dict[str, tuple[Pool, ...]] | None = None) -> Catalog:
    plans: dict[str, tuple[PlanVersion, ...]] = {}
    for version in versions:
        plans[version.plan] = (*plans.get(version.plan, ()), version)
    return Catalog(PROVIDER, {"net": NET}, plans, pools or {}, TAX, SERIES)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_every_price_model_survives_storage(model: PriceModel) -> None:
    version = plan(UsageCharge("x", "X", OUT, model))
    again = from_json(PlanVersion, to_json(version))
    assert again == version
    assert digest(again) == digest(version)
    assert canonical(again) == canonical(version)


def test_other_terms_survive_storage() -> None:
    terms = [
        NET,
        P95,
        replace(PROVIDER, carry_forward_below=Money(250, "EUR"), address=("Kade 1", "1011 AA Amsterdam")),
        Pool("p", "Pool", date(2026, 1, 1), "EUR", OUT, PerUnit(F(1, 100)), maximum_spend=F(99)),
        UsageCharge("x", "X", OUT, PerUnit(F(1)), Allowance(Quantity.of(14, "TB"), per_unit=True, accrual_hours=672)),
        UsageCharge("p", "P", P95, PerUnit(F(2)), commitment=Commitment(Quantity.of(100, "Mbit/s"), F(200))),
        TaxRate("DE", "standard", F(0), date(2026, 1, 1), "RC", TaxKind.REVERSE_CHARGE, "Art. 196 2006/112/EC"),
        SERIES["base"],
    ]
    for value in terms:
        assert from_json(type(value), to_json(value)) == value


def test_a_digest_tells_terms_apart() -> None:
    one = plan(UsageCharge("x", "X", OUT, PerUnit(F(1, 10))))
    other = plan(UsageCharge("x", "X", OUT, PerUnit(F(1, 10) + F(1, 10**9))))
    assert digest(one) != digest(other)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"plan": "x"}, "PlanVersion needs name, valid_from, currency"),
        ({"plan": "x", "name": "X", "valid_from": "2026-01-01", "currency": "EUR", "colour": 1}, "has no colour"),
        ({"plan": 3, "name": "X", "valid_from": "2026-01-01", "currency": "EUR"}, "expected str, not 3"),
    ],
)
def test_stored_terms_that_are_none_are_refused(data: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_json(PlanVersion, data)


@pytest.mark.parametrize(
    ("make", "fields"),
    [
        (lambda: Graduated(()), ["tiers"]),
        (lambda: Graduated((Tier(F(10)), Tier(F(10)), Tier(None))), ["tiers[1].up_to"]),
        (lambda: Graduated((Tier(F(10)), Tier(F(20)))), ["tiers[1].up_to"]),
        (lambda: Volume((Tier(None), Tier(F(20), F(-1)))), ["tiers[0].up_to", "tiers[1].up_to", "tiers[1].unit_price"]),
        (lambda: Volume((Tier(F("0.5")), Tier(None)), edges=Edges.WHOLE_UNITS), ["tiers[0].up_to"]),
        (lambda: Package(F(-1), F(0)), ["amount", "size"]),
        (lambda: Percentage(F(1), event_minimum=F(3), event_maximum=F(2)), ["event_maximum"]),
        (
            lambda: TieredBlocks((BlockTier(F(1), F(1)), BlockTier(F(0), F(1), 0))),
            ["tiers[0].max_blocks", "tiers[1].size", "tiers[1].max_blocks"],
        ),
        (
            lambda: Capacity((CapacityTier((), F(1)), CapacityTier((("", F(1)),), F(1)))),
            ["tiers[0].limits", "tiers[1].limits"],
        ),
        (lambda: BaseFee(F(-1), 5), ["amount", "interval_months"]),
        (lambda: Meter("", "", MeterKind.COUNTER, unit("B"), scale=-1), ["key", "scale", "counter_bits"]),
        (lambda: Meter("m", "M", MeterKind.DELTA, unit("Mbit/s"), counter_bits=32), ["counter_bits", "unit"]),
        (lambda: Measure("m", Aggregation.PERCENTILE, unit("GB")), ["percentile", "unit"]),
        (lambda: Measure("m", Aggregation.SUM, unit("Mbit/s"), percentile=PercentileTerms()), ["percentile", "unit"]),
        (
            lambda: UsageCharge("", "X", OUT, PerUnit(F(1)), Allowance(Quantity.of(1, "h"))),
            ["key", "allowance.quantity"],
        ),
        (lambda: UsageCharge("x", "X", OUT, PerUnit(F(1)), minimum_spend=F(5), maximum_spend=F(4)), ["maximum_spend"]),
        (lambda: UsageCharge("x", "X", P95, PerUnit(F(1)), pool="p"), ["pool"]),
        (lambda: PlanVersion("", "X", date(2026, 1, 1), "EURO"), ["plan", "currency"]),
        (
            lambda: ProviderTerms("", "Holland", "EUR", "Amsterdam", payment_days=-1),
            ["name", "country", "zone", "payment_days"],
        ),
        (lambda: NumberSeries("b", "B{month}", start=-1), ["format", "format", "format", "start"]),
        (lambda: NumberSeries("b", "B{number", Resets.NEVER), ["format", "format"]),
        (lambda: TaxRate("nl", "standard", F(121), date(2026, 1, 1), ""), ["country", "rate", "code"]),
        (lambda: TaxRate("NL", "standard", F(21), date(2026, 1, 1), "X", TaxKind.EXEMPT), ["rate", "reason"]),
    ],
)
def test_every_fault_is_said_with_its_field(make: object, fields: list[str]) -> None:
    with pytest.raises(TermsError) as caught:
        make()  # type: ignore[operator]
    assert [fault.field for fault in caught.value.faults] == fields
    assert all(fault.message in str(caught.value) for fault in caught.value.faults)


def test_a_catalog_checks_its_parts_against_each_other() -> None:
    wrong = Measure("nett", Aggregation.SUM, unit("GB"))
    level = Measure("net", Aggregation.TIME_WEIGHTED, unit("GB"))
    with pytest.raises(TermsError) as caught:
        book(
            plan(
                UsageCharge("a", "A", wrong, PerUnit(F(1))),
                UsageCharge("b", "B", level, PerUnit(F(1)), tax_class="reduced"),
                UsageCharge("c", "C", OUT, PerUnit(F(1)), pool="p"),
            )
        )
    assert [fault.field for fault in caught.value.faults] == [
        "plans.vps@2026-01-01.charges[0].measure.meter",
        "plans.vps@2026-01-01.charges[1].measure.aggregation",
        "plans.vps@2026-01-01.charges[1].tax_class",
        "plans.vps@2026-01-01.charges[2].pool",
    ]


def test_a_percentile_of_a_byte_counter_is_a_rate() -> None:
    assert book(plan(UsageCharge("p", "P", P95, PerUnit(F(2)))))
    count = Measure("net", Aggregation.PERCENTILE, unit("seat"), percentile=PercentileTerms())
    seats = plan(UsageCharge("p", "P", count, PerUnit(F(2))))
    with pytest.raises(TermsError, match="is a rate, not a count"):
        book(seats)


def test_the_version_in_force_is_the_newest_that_has_begun() -> None:
    old, new = plan(), plan(on=date(2026, 7, 1))
    catalog = book(old, new)
    assert catalog.plan_version("vps", date(2026, 6, 30)) is old
    assert catalog.plan_version("vps", date(2026, 7, 1)) is new
    assert catalog.version("vps@2026-07-01") is new
    assert catalog.plan_versions_between("vps", date(2026, 6, 1), date(2026, 7, 1)) == (old,)
    assert catalog.plan_versions_between("vps", date(2026, 6, 1), date(2026, 7, 2)) == (old, new)
    with pytest.raises(NotInCatalogError, match="begins 2026-01-01"):
        catalog.plan_version("vps", date(2025, 12, 31))
    with pytest.raises(NotInCatalogError, match="unknown plan 'vpx': expected one of vps"):
        catalog.plan_version("vpx", date(2026, 1, 1))


def test_tax_of_a_country_goes_before_any_and_the_newest_before_the_old() -> None:
    table = TaxTable(
        (
            TaxRate("NL", "standard", F(19), date(2001, 1, 1), "NL19"),
            TaxRate("NL", "standard", F(21), date(2012, 10, 1), "NL21"),
            TaxRate("*", "standard", F(0), date(2020, 1, 1), "OUT", TaxKind.OUT_OF_SCOPE),
            TaxRate("*", "standard", F(0), date(2020, 1, 1), "RC", TaxKind.REVERSE_CHARGE, "Art. 196"),
        )
    )
    assert table.rate("NL", "standard", date(2012, 9, 30)).rate == 19
    assert table.rate("NL", "standard", date(2026, 1, 1)).rate == 21
    assert table.rate("US", "standard", date(2026, 1, 1)).code == "OUT"
    found = table.reverse_charge("DE", "standard", date(2026, 1, 1))
    assert found is not None
    assert found.code == "RC"
    assert table.reverse_charge("DE", "standard", date(2019, 1, 1)) is None
    with pytest.raises(NoTaxRateError, match="country NL, class 'reduced', on 2026-01-01"):
        table.rate("NL", "reduced", date(2026, 1, 1))
