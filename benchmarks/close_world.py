"""The provider that the closing benchmark closes a month of: accounts of three services each, and a month of samples.

99 services in 100 send hourly totals and pay for outgoing traffic above an allowance (one in five is above it). One in
100 is a port that sends five-minute readings and pays its 95th percentile above a commitment. That is 745 and 8,940
samples in October 2026 (a civil month of 31 days and an hour).

Everything goes in by the product's own bulk paths: accounts and services as the CSV import writes them, samples by
ingest and sealing, so that running counters agree with what is stored and closing checks that in earnest.
"""

import tempfile
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

SERVICES_AN_ACCOUNT = 3
PORT_EVERY = 100
YEAR, MONTH = 2026, 10
START, END = 1_790_805_600, 1_793_487_600  # October 2026 in Amsterdam, in epoch seconds: 745 hours
HOUR, FIVE_MINUTES = 3600, 300
CLOSES_AT = datetime(2026, 11, 4, 6, tzinfo=UTC)
ROWS_A_BATCH = 1_500_000
ALLOWANCE = 1_000_000_000_000

PROVIDER = """
[provider]
name = "Polder Hosting BV"
address = ["Dijkstraat 1", "0000 AA Nergenshuizen"]
country = "NL"
vat_id = "NL000000000B00"
email = "billing@polder-hosting.example"
currency = "EUR"
zone = "Europe/Amsterdam"
language = "nl"
prices = "net"
rounding = "half_up"
tax_rounding = "sum_by_net"
payment_days = 14
settle_after_days = 3

[series.base]
format = "B{year}-{number:06d}"
resets = "yearly"

[series.overage]
format = "V{year}-{number:06d}"
resets = "yearly"

[series.credit]
format = "C{year}-{number:06d}"
resets = "yearly"

[meters.traffic]
name = "Network traffic"
kind = "delta"
unit = "B"
interval = "1 h"

[meters.port]
name = "Switch port"
kind = "delta"
unit = "B"
interval = "5 min"

[plans.vps]
name = "VPS M"

[[plans.vps.versions]]
from = 2026-01-01
base = "11.50 EUR/month"

[plans.vps.versions.charges.transfer]
name = "Outgoing traffic"
meter = "traffic"
direction = "out"
included = "1000 GB"
price = { model = "graduated", tiers = [
    { up_to = "4 TB", price = "0.010 EUR/GB" },
    { price = "0.008 EUR/GB" },
] }

[plans.colo]
name = "Colo port, 100 Mbit/s committed"

[[plans.colo.versions]]
from = 2026-01-01
base = "149.00 EUR/month"

[plans.colo.versions.charges.bandwidth]
name = "Bandwidth, 95th percentile"
meter = "port"
aggregation = "percentile"
direction = "greater"
percentile = { rank = "drop_floor", p = 95, missing = "lowest" }
commitment = { quantity = "100 Mbit/s", fee = "90.00 EUR/month" }
price = "1.10 EUR/Mbit/s"
on_change = "end_terms"

[[tax]]
country = "NL"
class = "standard"
rate = "21 %"
from = 2012-10-01
code = "NL21"
"""


def is_port(service: int) -> bool:
    """Whether the service of that number is a port."""
    return service % PORT_EVERY == PORT_EVERY - 1


def build(services: int) -> int:
    """Make the world; returns how many samples it has."""
    from coulance.usage import sealing

    _catalog()
    _customers(services)
    samples = _samples(services)
    sealing.seal(now=CLOSES_AT)
    return samples


def _catalog() -> None:
    from coulance.catalog.operations import apply_catalog
    from coulance.catalog.reader import read_provider_file

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "provider.toml"
        path.write_text(PROVIDER)
        file = read_provider_file(path)
        if file.faults:
            raise RuntimeError("\n".join(map(str, file.faults)))
        apply_catalog(file=file, actor="benchmark", at=datetime(2026, 1, 1, tzinfo=UTC))


def _customers(count: int) -> None:
    from django.db import transaction

    from coulance.customers.operations import write_accounts
    from coulance.services.operations import replace_subscriptions, write_series, write_services

    accounts = -(-count // SERVICES_AN_ACCOUNT)
    with transaction.atomic():
        ids = write_accounts(
            rows=[
                {
                    "external_id": f"K{i:07}",
                    "name": f"Klant {i} BV",
                    "kind": "business",
                    "country": "NL",
                    "vat_id": "",
                    "address": ["Dijkstraat 1", "0000 AA Nergenshuizen"],
                    "currency": "EUR",
                    "zone": "Europe/Amsterdam",
                    "language": "nl",
                    "billing_day": 1,
                    "tax_class": "",
                    "national_tax_currency": "",
                    "groups": [],
                }
                for i in range(accounts)
            ]
        )
        made = write_services(
            rows=[
                (
                    ids[f"K{i // SERVICES_AN_ACCOUNT:07}"],
                    {
                        "external_id": f"s{i:07}",
                        "name": f"vps{i}.example.nl",
                        "kind": "colo" if is_port(i) else "vps",
                        "started_on": date(2026, 10, 1),
                        "ended_on": None,
                        "pool": "",
                        "billed_until": None,
                    },
                )
                for i in range(count)
            ]
        )
        replace_subscriptions(
            rows={
                made[f"s{i:07}"]: [("colo" if is_port(i) else "vps", 1, date(2026, 10, 1), None)] for i in range(count)
            }
        )
        write_series(rows=[(_key(i), made[f"s{i:07}"], "port" if is_port(i) else "traffic") for i in range(count)])


def _key(service: int) -> str:
    return f"vps{service}.example.nl:eth0"


def _samples(count: int) -> int:
    """Ingest every service's month, many services a batch; returns how many samples."""
    from coulance.usage import operations

    rng = np.random.default_rng(20261001)
    total = 0
    for ports, interval in ((False, HOUR), (True, FIVE_MINUTES)):
        members = [i for i in range(count) if is_port(i) is ports]
        instants = np.arange(START + interval, END + 1, interval)
        each = len(instants)
        for first in range(0, len(members), max(1, ROWS_A_BATCH // each)):
            lot = members[first : first + max(1, ROWS_A_BATCH // each)]
            n = len(lot)
            series = np.repeat(np.arange(n, dtype=np.int32), each)
            if ports:
                mean = rng.uniform(1e6, 1.6e7, (n, 1)) * interval  # 8 to 128 Mbit/s
            else:
                over = rng.random((n, 1)) < 0.2
                share = np.where(over, rng.uniform(1.05, 6, (n, 1)), rng.uniform(0.05, 0.9, (n, 1)))
                mean = share * ALLOWANCE / each
            v_out = (mean * rng.uniform(0.5, 1.5, (n, each))).astype(np.int64).reshape(-1)
            v_in = v_out // 7
            keys = pa.DictionaryArray.from_arrays(pa.array(series), pa.array([_key(i) for i in lot]))
            answer = operations.ingest_batch(
                columns=operations.from_arrow(
                    pa.table({"series": keys, "at": np.tile(instants, n), "in": v_in, "out": v_out})
                ),
                source="benchmark",
                recorded_at=CLOSES_AT,
                key=f"{interval}/{first}",
            )
            if answer.accepted != n * each:
                raise RuntimeError(f"set-up: {answer}")
            total += n * each
    return total
