"""The provider's terms of advice and goodwill: read from a file, kept with the catalog, made policies."""

from fractions import Fraction as F
from pathlib import Path
from typing import Any

import pytest

from coulance.catalog import queries as catalogs
from coulance.catalog.reader import read_provider_file
from coulance.flows.fair_terms import advice_policy, goodwill_policy
from coulance.flows.retroactive import UnableToOfferError, plan_offers
from coulance_core.kernel import Money, UnitPrice, unit
from coulance_core.overage.goodwill import Cause
from tests.closing.world import PROVIDER, World
from tests.overage.fair import TABLES, fair_world

TERMS = """
[advice]
saves = "5.00 EUR"
share = "20 %"
in_periods = 2
of_periods = 3
every = 6
smaller = true

[goodwill]
costs = ["0.50 EUR/TB", "1.20 EUR/Mbit/s"]
margin = "40 %"
cost_first = false
one_off = "60 %"
first_time = "30 %"

[goodwill.budgets]
support = "50.00 EUR"
admin = "500.00 EUR"
"""
PLAIN = TABLES.replace("[advice]\nretroactive = true\n", "")


def test_terms_come_back_as_they_were_written(db: Any, tmp_path: Path) -> None:
    World(tmp_path).provider(rest=PLAIN, more=TERMS)
    catalog = catalogs.catalog()
    advice = advice_policy(catalog)
    assert (advice.saves, advice.share, advice.in_periods, advice.of_periods, advice.every, advice.smaller) == (
        Money(500, "EUR"),
        F(1, 5),
        2,
        3,
        6,
        True,
    )
    goodwill = goodwill_policy(catalog)
    assert goodwill.costs.per_unit == (
        UnitPrice(F(1, 2), "EUR", unit("TB")),
        UnitPrice(F(6, 5), "EUR", unit("Mbit/s")),
    )
    assert (goodwill.costs.margin, goodwill.cost_first) == (F(2, 5), frozenset())
    assert goodwill.budgets == {"support": Money(5000, "EUR"), "admin": Money(50000, "EUR")}
    assert [goodwill.shares[c] for c in (Cause.ATTACK, Cause.ONE_OFF, Cause.FIRST_TIME)] == [1, F(3, 5), F(3, 10)]


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ("[advice]\nin_periods = 7", "in_periods"),
        ('[advice]\nshare = "101 %"', "0 to 100 percent"),
        ('[goodwill]\nmargin = "0 %"', "more than 0"),
        ('[goodwill.budgets]\nboss = "1.00 EUR"', "unknown key 'boss'"),
        ('[goodwill]\ncosts = ["1.00 EUR"]', "a price for a unit"),
    ],
)
def test_faults_name_their_place(tmp_path: Path, terms: str, says: str) -> None:
    path = tmp_path / "provider.toml"
    path.write_text(PROVIDER + PLAIN + terms)
    faults = read_provider_file(path).faults
    assert faults
    assert says in "\n".join(map(str, faults))


def test_no_larger_plan_unless_the_provider_allows_it(db: Any, store_here: Path, tmp_path: Path) -> None:
    world = fair_world(tmp_path, (3000,))
    assert plan_offers(number="V2026-0001")[0].offers
    world.provider(rest=PLAIN)
    with pytest.raises(UnableToOfferError, match="don't allow it"):
        plan_offers(number="V2026-0001")
