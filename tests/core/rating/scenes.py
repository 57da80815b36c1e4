"""A small provider to rate: zones, periods, plans, and short ways to write lines down."""

from collections.abc import Sequence
from datetime import date
from fractions import Fraction as F
from zoneinfo import ZoneInfo

from coulance_core.catalog.terms import (
    Aggregation,
    Allowance,
    BaseFee,
    Catalog,
    Commitment,
    Direction,
    Measure,
    Meter,
    MeterKind,
    NumberSeries,
    PercentileTerms,
    PerUnit,
    PlanVersion,
    Pool,
    Proration,
    ProviderTerms,
    TaxRate,
    TaxTable,
    UsageCharge,
)
from coulance_core.kernel import Period, Quantity, anchored_period, civil_midnight, show, unit
from coulance_core.rating.lines import PricedLine

AMS = ZoneInfo("Europe/Amsterdam")
NET = Meter("net", "Network", MeterKind.COUNTER, unit("B"), counter_bits=64)
SEATS = Meter("seats", "Seats", MeterKind.GAUGE, unit("seat"))
OUT_GB = Measure("net", Aggregation.SUM, unit("GB"))
P95 = Measure("net", Aggregation.PERCENTILE, unit("Mbit/s"), Direction.GREATER, PercentileTerms(), round_step=F("0.01"))


def month(year: int, number: int, billing_day: int = 1, zone: ZoneInfo = AMS) -> Period:
    return anchored_period(year, number, billing_day, zone)


def days(start: date, end: date, zone: ZoneInfo = AMS) -> Period:
    return Period(civil_midnight(start, zone), civil_midnight(end, zone))


def traffic(
    price: str = "0.10", included: str = "1000 GB", *, proration: Proration = Proration.CALENDAR_DAYS, **more: object
) -> UsageCharge:
    number, _, name = included.partition(" ")
    allowance = Allowance(Quantity.of(number, name), proration)
    return UsageCharge("traffic", "Traffic", OUT_GB, PerUnit(F(price)), allowance, **more)  # type: ignore[arg-type]


def port(**more: object) -> UsageCharge:
    """A colo port: 100 Mbit/s bought in advance for 150 a month, 2 for each Mbit/s of burst above it."""
    commitment = Commitment(Quantity.of(100, "Mbit/s"), F(150))
    return UsageCharge("port", "Port", P95, PerUnit(F(2)), commitment=commitment, **more)  # type: ignore[arg-type]


def plan(
    key: str,
    *charges: UsageCharge,
    base: str | None = "10.00",
    on: date = date(2025, 1, 1),
    months: int = 1,
    proration: Proration = Proration.CALENDAR_DAYS,
    per_unit: bool = True,
) -> PlanVersion:
    fee = None if base is None else BaseFee(F(base), months, proration, per_unit)
    return PlanVersion(key, key.upper(), on, "EUR", fee, charges)


def book(*versions: PlanVersion, pools: Sequence[Pool] = ()) -> Catalog:
    plans: dict[str, tuple[PlanVersion, ...]] = {}
    for version in versions:
        plans[version.plan] = (*plans.get(version.plan, ()), version)
    return Catalog(
        ProviderTerms("Kade Hosting", "NL", "EUR", "Europe/Amsterdam"),
        {"net": NET, "seats": SEATS},
        plans,
        {pool.key: (pool,) for pool in pools},
        TaxTable((TaxRate("NL", "standard", F(21), date(2012, 10, 1), "NL21"),)),
        {key: NumberSeries(key, key[0].upper() + "{year}-{number:06d}") for key in ("base", "overage", "credit")},
    )


def told(lines: Sequence[PricedLine]) -> list[str]:
    """Each line as `kind quantity unit = net`, having checked that its explanation recomputes to it."""
    for line in lines:
        known = line.explanation.recompute()
        assert known["amount"] == line.amount, line.explanation.render()
        assert known["net"] == line.net.amount, line.explanation.render()
        assert line.explanation.terms == line.terms
    return [f"{line.kind} {show(line.quantity)} {line.unit} = {line.net.decimal()}" for line in lines]
