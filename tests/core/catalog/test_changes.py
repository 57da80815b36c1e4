"""What `coulance plan` tells: every difference, and every edit that must not be."""

from dataclasses import replace
from datetime import date
from fractions import Fraction as F

import pytest

from coulance_core.catalog.changes import Changes, compare
from coulance_core.catalog.terms import (
    Aggregation,
    Allowance,
    BaseFee,
    Catalog,
    Measure,
    Meter,
    MeterKind,
    NumberSeries,
    PerUnit,
    PlanVersion,
    Pool,
    ProviderTerms,
    TaxRate,
    TaxTable,
    UsageCharge,
)
from coulance_core.kernel import Quantity, unit

CLOSED = date(2026, 10, 1)
OUT = Measure("net", Aggregation.SUM, unit("GB"))
TRAFFIC = UsageCharge("traffic", "Traffic", OUT, PerUnit(F("0.1")), Allowance(Quantity.of(1000, "GB")))
VPS = PlanVersion("vps", "VPS", date(2026, 1, 1), "EUR", BaseFee(F(5)), (TRAFFIC,))
POOL = Pool("transfer", "Pool", date(2026, 1, 1), "EUR", OUT, PerUnit(F("0.02")))
NL21 = TaxRate("NL", "standard", F(21), date(2012, 10, 1), "NL21")
OLD = Catalog(
    ProviderTerms("Kade Hosting", "NL", "EUR", "Europe/Amsterdam"),
    {"net": Meter("net", "Network", MeterKind.COUNTER, unit("B"), counter_bits=64)},
    {"vps": (VPS,)},
    {"transfer": (POOL,)},
    TaxTable((NL21,)),
    {key: NumberSeries(key, key[0].upper() + "{year}-{number:06d}") for key in ("base", "overage", "credit")},
)


def against(new: Catalog, services: int = 3, closed: date | None = CLOSED) -> Changes:
    return compare(OLD, new, in_use={"vps": services, "pool:transfer": services}, closed_until=closed)


def said(changes: Changes) -> list[str]:
    return [f"{fault.field}: {fault.message}" for fault in changes.faults]


def test_nothing_changes_nothing() -> None:
    assert against(OLD).nothing
    assert against(OLD).allowed


def test_a_first_catalog_is_all_new() -> None:
    first = compare(None, OLD, closed_until=CLOSED)
    assert [str(change) for change in first.changes] == [
        "plan vps@2026-01-01: added",
        "pool pool:transfer@2026-01-01: added",
        "meter net: added",
    ]
    assert first.allowed


def test_a_new_version_says_from_when_and_for_how_many() -> None:
    dearer = replace(VPS, valid_from=date(2026, 11, 1), base=BaseFee(F(6)))
    changes = against(replace(OLD, plans={"vps": (VPS, dearer)}))
    assert changes.allowed
    assert [str(change) for change in changes.changes] == ["plan vps@2026-11-01: added from 2026-11-01, 3 services"]


def test_a_published_version_cannot_be_edited() -> None:
    charge = replace(TRAFFIC, price=PerUnit(F("0.2")), allowance=Allowance(Quantity.of(900, "GB")))
    changes = against(replace(OLD, plans={"vps": (replace(VPS, charges=(charge,)),)}))
    [fault] = said(changes)
    assert fault == (
        "plans.vps@2026-01-01: vps@2026-01-01 is published and cannot be edited (charges[traffic].price.unit_price, "
        "charges[traffic].allowance.quantity): put it back, and add a new version of 'vps' with its own valid_from"
    )
    assert [str(one) for one in changes.changes[0].fields] == [
        "charges[traffic].price.unit_price: 0.1 -> 0.2",
        "charges[traffic].allowance.quantity: 1000 GB -> 900 GB",
    ]
    assert not changes.allowed


def test_its_name_can() -> None:
    changes = against(replace(OLD, plans={"vps": (replace(VPS, name="VPS Small"),)}))
    assert changes.allowed
    assert [str(one) for one in changes.changes[0].fields] == ["name: VPS -> VPS Small"]


@pytest.mark.parametrize(
    ("services", "closed", "fault"),
    [
        (1, None, "vps@2026-01-01 is published and 1 service is on 'vps': put it back"),
        (0, CLOSED, "vps@2026-01-01 priced periods that are closed: put it back"),
        (0, None, None),
        (0, date(2026, 1, 1), None),
    ],
)
def test_removing_a_version(services: int, closed: date | None, fault: str | None) -> None:
    changes = against(replace(OLD, plans={}), services, closed)
    assert [str(change)[:30] for change in changes.changes] == ["plan vps@2026-01-01: removed f"]
    assert [one.message for one in changes.faults] == ([] if fault is None else [fault])


@pytest.mark.parametrize(("day", "services", "allowed"), [(30, 3, False), (30, 0, True)])
def test_a_version_cannot_begin_in_a_closed_period(day: int, services: int, allowed: bool) -> None:
    early = replace(VPS, valid_from=date(2026, 9, day), base=BaseFee(F(6)))
    changes = against(replace(OLD, plans={"vps": (VPS, early)}), services)
    assert changes.allowed is allowed
    if not allowed:
        assert "expected valid_from on that day or later" in changes.faults[0].message
    assert against(replace(OLD, plans={"vps": (VPS, replace(early, valid_from=CLOSED))}), services).allowed


def test_pools_are_versioned_alike() -> None:
    changes = against(replace(OLD, pools={"transfer": (replace(POOL, price=PerUnit(F("0.03"))),)}))
    assert "pool:transfer@2026-01-01 is published" in changes.faults[0].message


def test_what_samples_are_read_by_cannot_change() -> None:
    net = OLD.meters["net"]
    changes = against(replace(OLD, meters={"net": replace(net, counter_bits=32, name="Uplink")}))
    assert said(changes) == [
        "meters.net.counter_bits: its samples are read by it: add a meter with another key instead"
    ]
    assert against(replace(OLD, meters={"net": replace(net, name="Uplink", max_rate=F(10**9))})).allowed
    assert [str(c) for c in against(replace(OLD, meters={"net": net, "x": replace(net, key="x")})).changes] == [
        "meter x: added"
    ]


def test_tax_that_was_charged_stays() -> None:
    raised = replace(NL21, rate=F(23))
    assert "was charged in closed periods" in said(against(replace(OLD, tax=TaxTable((raised,)))))[0]
    new = TaxRate("NL", "standard", F(23), date(2027, 1, 1), "NL23")
    assert against(replace(OLD, tax=TaxTable((NL21, new)))).allowed
    ended = replace(NL21, valid_until=date(2027, 1, 1))
    assert against(replace(OLD, tax=TaxTable((ended, new)))).allowed
    assert not against(replace(OLD, tax=TaxTable((replace(NL21, valid_until=date(2026, 5, 1)), new)))).allowed
    assert not against(replace(OLD, tax=TaxTable((NL21, replace(new, valid_from=date(2026, 2, 1)))))).allowed


def test_the_provider_may_move_but_not_change_currency() -> None:
    moved = replace(OLD, provider=replace(OLD.provider, address=("Kade 2", "Haarlem"), payment_days=30))
    assert [str(one) for one in against(moved).changes[0].fields] == [
        "payment_days: 14 -> 30",
        "address[0]: - -> Kade 2",
        "address[1]: - -> Haarlem",
    ]
    assert against(moved).allowed
    dollars = replace(OLD, provider=replace(OLD.provider, currency="USD"))
    assert said(against(dollars)) == ["provider.currency: periods were closed in it: it cannot change"]
    assert against(dollars, closed=None).allowed
