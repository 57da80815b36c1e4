"""A provider with collectors for tests: one account, its services and series, and the counters' truth."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

from coulance.catalog import operations as catalog
from coulance.catalog.reader import read_provider_file
from coulance.customers import operations as customers
from coulance.services import operations as services
from coulance.usage import queries
from tests.catalog import SMALL

NOW = datetime(2026, 11, 10, 12, tzinfo=UTC)
T0 = int(datetime(2026, 11, 10, tzinfo=UTC).timestamp())
METERS = """
[meters.port]
name = "Port"
kind = "counter"
unit = "B"
counter_bits = 64
max_rate = "10 Gbit/s"
gap = "spread"

[meters.disk]
name = "Disk"
kind = "gauge"
unit = "B"

[plans.colo]
name = "Colo"

[[plans.colo.versions]]
from = 2026-01-01
base = "50.00 EUR/month"

[plans.colo.versions.charges.transfer]
name = "Traffic"
meter = "port"
direction = "out"
price = "0.01 EUR/GB"
"""


def house(folder: Path, collectors: str, series: Mapping[str, str] | Iterable[str], at: datetime = NOW) -> None:
    """Apply a provider file with these collectors, and assign series (key to meter; `port` unless said)."""
    path = folder / "provider.toml"
    path.write_text(SMALL + METERS + collectors)
    catalog.apply_catalog(file=read_provider_file(path), actor="test", at=at)
    customers.create_account(
        external_id="c1", name="Ada", kind="business", country="NL", currency="EUR", zone="UTC", language="nl"
    )
    services.start_service(
        account="c1", external_id="s1", name="rack", kind="colo", started_on=date(2026, 1, 1), plan="colo"
    )
    for key in series:
        services.assign_series(key=key, service="s1", meter=series[key] if isinstance(series, Mapping) else "port")


def used(key: str) -> tuple[int, int, int]:
    """(samples, in, out) of November's running counters of a series."""
    days = queries.days_of_series(key=key, start=date(2026, 11, 1), end=date(2026, 12, 1)).days
    return sum(d[1] for d in days), sum(d[2] for d in days), sum(d[3] for d in days)
