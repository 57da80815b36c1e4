"""Pricing 100,000 services at once, beside a plain Decimal loop that does the same sums, equal on every one.

Each service has its own use in bytes and its own allowance; what exceeds it is priced in GB and rounded to cents. The
loop is written as a careful billing engineer would: quantities and prices as `Decimal`, one `quantize` at the end.
"""

from datetime import date
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np

from benchmarks.harness import Result, best_of
from coulance_core.catalog.terms import (
    Aggregation,
    Allowance,
    Graduated,
    Measure,
    Package,
    PerUnit,
    PlanVersion,
    PriceModel,
    Tier,
    UsageCharge,
    Volume,
)
from coulance_core.kernel import Quantity, anchored_period, unit
from coulance_core.rating.charges import rate_charge
from coulance_core.rating.many import charge_many

SERVICES = 100_000
GB = 10**9
GOAL = 100

TIERS = (Tier(Fraction(100), Fraction("0.10")), Tier(Fraction(1000), Fraction("0.08")), Tier(None, Fraction("0.05")))
MODELS: dict[str, PriceModel] = {
    "graduated": Graduated(TIERS),
    "per unit": PerUnit(Fraction("0.08")),
    "volume": Volume(TIERS),
    "packages of 100 GB": Package(Fraction(5), Fraction(100)),
}


def services() -> tuple[np.ndarray, np.ndarray]:
    """(used, included) in bytes: most above their allowance, so that nearly each has something to price."""
    rng = np.random.default_rng(20261001)
    included = rng.choice([100, 500, 1000, 4000], SERVICES) * GB
    used = (included * rng.lognormal(1.0, 0.8, SERVICES)).astype(np.int64)
    return used, included


def ours(model: PriceModel, used: np.ndarray, included: np.ndarray) -> np.ndarray:
    """Cents of every service."""
    return charge_many(model, used, included, denominator=GB, exponent=2)


def decimal_loop(model: PriceModel, used: list[int], included: list[int]) -> list[int]:
    """The same in a loop over Decimals."""
    cent, gigabyte, zero = Decimal("0.01"), Decimal(GB), Decimal(0)
    if isinstance(model, Package):
        amount, size = _decimal(model.amount), _decimal(model.size)
        tiers = []
    elif isinstance(model, PerUnit):
        tiers = [(None, _decimal(model.unit_price))]
    else:
        tiers = [(None if t.up_to is None else _decimal(t.up_to), _decimal(t.unit_price)) for t in model.tiers]
    out = []
    with localcontext() as context:
        context.prec = 50
        for use, free in zip(used, included, strict=True):
            over = Decimal(use - free) / gigabyte
            cost = zero
            if over > 0:
                if isinstance(model, Package):
                    cost = (over / size).to_integral_value(ROUND_CEILING) * amount
                elif isinstance(model, Volume):
                    cost = next(over * price for end, price in tiers if end is None or over <= end)
                else:
                    below = zero
                    for end, price in tiers:
                        if end is None or over <= end:
                            cost += (over - below) * price
                            break
                        cost += (end - below) * price
                        below = end
            out.append(int(cost.quantize(cent, ROUND_HALF_UP) * 100))
    return out


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def run() -> list[Result]:
    """Each model, both ways, compared on every service."""
    used, included = services()
    used_list, included_list = used.tolist(), included.tolist()
    results = []
    for name, model in MODELS.items():
        fast = ours(model, used, included)
        slow: list[int] = []
        seconds_slow = best_of(
            2, lambda m=model, s=slow: s.__setitem__(slice(None), decimal_loop(m, used_list, included_list))
        )
        if fast.tolist() != slow:
            raise AssertionError(f"{name}: not equal to the Decimal loop")
        seconds = best_of(15, lambda m=model: ours(m, used, included))
        results.append(
            Result(
                f"price 100k services, {name}",
                SERVICES / seconds,
                "services/s",
                "a Decimal loop",
                SERVICES / seconds_slow,
                GOAL if name == "graduated" else None,
                note="equal on every one",
            )
        )
    return results + [explained(name, used) for name, used in (("within", 900), ("above", 1234))]


def explained(name: str, used: int) -> Result:
    """One charge at a time with its whole explanation, as the closing run needs it; for information."""
    zone = ZoneInfo("Europe/Amsterdam")
    traffic = UsageCharge(
        "traffic",
        "Traffic",
        Measure("net", Aggregation.SUM, unit("GB")),
        MODELS["graduated"],
        Allowance(Quantity.of(1000, "GB")),
    )
    version = PlanVersion("vps", "VPS", date(2026, 1, 1), "EUR", None, (traffic,))
    period = anchored_period(2026, 10, 1, zone)
    figures = [Fraction(used * 10**6 + i, 10**6) for i in range(10_000)]

    def work() -> None:
        for figure in figures:
            rate_charge(traffic, figure, period=period, version=version, zone=zone)

    return Result(
        f"rate one charge with its explanation, {name} its allowance", len(figures) / best_of(3, work), "services/s"
    )
