"""Prices as sentences: every model says its numbers, and the demo's plans read as they were meant."""

from datetime import date
from fractions import Fraction

import pytest

from coulance_core.catalog.meters import Aggregation, Measure
from coulance_core.catalog.plans import Allowance, BaseFee, Commitment, PlanVersion, Pool, UsageCharge
from coulance_core.catalog.prices import (
    BlockTier,
    Capacity,
    CapacityTier,
    Dynamic,
    Graduated,
    GraduatedPercentage,
    Package,
    Percentage,
    PercentTier,
    PerUnit,
    PriceModel,
    Tier,
    TieredBlocks,
    Volume,
)
from coulance_core.kernel import Quantity, unit
from coulance_core.rating.words import plan_words, pool_words, price_words

F = Fraction
TRAFFIC = Measure("traffic", Aggregation.SUM, unit("GB"))

# model; what it says, of GB in EUR
MODELS = [
    (PerUnit(F(0)), "free"),
    (PerUnit(F("0.0123")), "0.0123 EUR per GB"),
    (
        Graduated((Tier(F(10), F(1), F(2)), Tier(F(20), F("0.5")), Tier(None))),
        (
            "each part at its own price: the first 10 GB 1 EUR per GB and 2 EUR at once,"
            " from 10 to 20 GB 0.5 EUR per GB, the rest free"
        ),
    ),
    (
        Volume((Tier(F(10), F(1)), Tier(None, F("0.5")))),
        "all of it at the price of the tier it reaches: the first 10 GB 1 EUR per GB, the rest 0.5 EUR per GB",
    ),
    (Package(F(5), F(100), F(20)), "the first 20 GB free, then 5 EUR for every 100 GB begun"),
    (
        TieredBlocks((BlockTier(F(10), F(1), 3), BlockTier(F(50), F(4)))),
        (
            "in blocks, each at its own price: 1 EUR for every 10 GB begun, at most 3 of them,"
            " then 4 EUR for every 50 GB begun"
        ),
    ),
    (
        Capacity((CapacityTier((("", F(100)),), F(10)), CapacityTier((), F(25)))),
        "by the highest that is reached: 10 EUR up to 100 GB, 25 EUR above",
    ),
    (
        Percentage(F("1.2"), F("0.1"), 3, None, F("0.05"), F(2)),
        (
            "1.2 % of each amount and 0.1 EUR an event, the first 3 events free, at least 0.05 EUR an event,"
            " at most 2 EUR an event"
        ),
    ),
    (
        GraduatedPercentage((PercentTier(F(100), F(2)), PercentTier(None, F(1), F(3)))),
        "each part at its own rate: the first 100 EUR 2 %, the rest 1 % and 3 EUR at once",
    ),
    (Dynamic(), "each event at the amount it brings"),
]


@pytest.mark.parametrize(("model", "said"), MODELS, ids=lambda each: type(each).__name__)
def test_a_price_model_in_words(model: PriceModel, said: str) -> None:
    assert price_words(model, "GB", "EUR") == said


def test_a_plan_in_words() -> None:
    charges = (
        UsageCharge("traffic", "Traffic", TRAFFIC, PerUnit(F("0.01")), Allowance(Quantity(F(1000), unit("GB")))),
        UsageCharge(
            "port", "Port", TRAFFIC, PerUnit(F(2)), commitment=Commitment(Quantity(F(5), unit("GB")), F(30)),
            minimum_spend=F(1), maximum_spend=F(99),
        ),
        UsageCharge("pooled", "Pooled", TRAFFIC, PerUnit(F(0)), Allowance(Quantity(F(5), unit("GB"))), pool="eu"),
    )  # fmt: skip
    plan = PlanVersion("vps", "VPS", date(2026, 1, 1), "EUR", BaseFee(F("4.5")), charges)
    said = plan_words(plan)
    assert said[0] == "4.5 EUR a month for each, in advance."
    assert said[1] == "Traffic: 1000 GB included; above it 0.01 EUR per GB."
    assert said[2].startswith("(outgoing traffic counts")
    assert said[3] == (
        "Port: 5 GB bought in advance for 30 EUR; above it 2 EUR per GB; at least 1 EUR a period;"
        " at most 99 EUR a period."
    )
    assert said[5] == "Pooled: 5 GB included; shared in pool eu, whose price applies."
    assert plan_words(PlanVersion("free", "Free", date(2026, 1, 1), "EUR")) == ("Free.",)
    pool = Pool("eu", "EU", date(2026, 1, 1), "EUR", TRAFFIC, PerUnit(F("0.02")), maximum_spend=F(10))
    assert pool_words(pool)[0] == "above what the members bring in all: 0.02 EUR per GB; at most 10 EUR a period."
