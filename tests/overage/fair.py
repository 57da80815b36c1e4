"""A provider with three sizes of one plan and a customer on the smallest: what the fair ways out are tried on."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from tests.closing.world import WITHOUT_PLANS, World
from tests.support.tables import pool, pooled_plan, traffic_plan

TABLES = WITHOUT_PLANS + "".join(
    [
        "\n[advice]\nretroactive = true\n",
        traffic_plan("vps-s", "VPS S", base="10.00 EUR/month", included="1000 GB", price="0.10 EUR/GB"),
        traffic_plan("vps-m", "VPS M", base="25.00 EUR/month", included="5000 GB", price="0.08 EUR/GB"),
        traffic_plan("vps-xl", "VPS XL", base="60.00 EUR/month", included="25000 GB", price="0.05 EUR/GB"),
        pooled_plan("node", "Node", "100 GB", base="9.00 EUR/month"),
        pool("fleet", "Fleet traffic", "0.20 EUR/GB"),
    ]
)
NOW = datetime(2026, 7, 5, 9, tzinfo=UTC)


def months(world: World, ref: str, gigabytes: Sequence[int], *, close: bool = True) -> None:
    """So many GB in the middle of each month from January 2026, each month closed."""
    for month, quantity in enumerate(gigabytes, 1):
        world.use(ref, {f"2026-{month:02}-15": quantity})
        if close:
            world.close(f"2026-{month:02}")


def fair_world(folder: Path, gigabytes: Sequence[int], *, plan: str = "vps-s", close: bool = True) -> World:
    """A customer `acme` whose only server `vps-1` used that much."""
    world = World(folder).provider(rest=TABLES).account()
    world.service("vps-1", plan, "2026-01-01", meter="traffic")
    months(world, "vps-1", gigabytes, close=close)
    return world


ONCE = (400, 400, 400, 400, 400, 3000)
ALWAYS = (15_000,) * 6


def cents(text: str) -> int:
    return int(Decimal(text) * 100)
