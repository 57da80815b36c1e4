"""Overage control: how many decisions a second, and how long from a received sample to a placed restriction.

A provider with `COULANCE_BENCH_WATCHED` customers (10,000), each with one contact: most have a server at 99 % of its
transfer; up to a hundred have a percentile port with one sample left until it is held, for which its month of samples
is read, and as many a pool of three nodes at 99 %. First every one of them is judged, as the hourly look does. Then
live batches come in: each brings a sample of 1,000 servers, of which eight pass their allowance, and of one port and
one pool that do; a watcher sleeps on the database's notice, as `coulance up` runs it. The clock starts before the batch
is handed to ingest and ends when the watcher's transaction is committed:
counters read, judged, warnings written and queued with their evidence, restrictions in the register.
"""

import os
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.harness import Result, timed
from benchmarks.server import database

SERVICES = int(os.environ.get("COULANCE_BENCH_WATCHED", "10000"))
PORTS = POOLS = min(max(SERVICES // 20, 1), 100)
SUMS = SERVICES - PORTS - POOLS
PASSING = 8
"""Servers of a batch that pass, beside one port and one pool."""
ROUNDS, BATCH = min(60, PORTS, SUMS // PASSING), min(1000, SUMS // 2)
NODES = 3
PLACED = PASSING + 1 + NODES
"""Restrictions that a batch brings: a pool's are one for each of its nodes."""
GB = 10**9
BURST = 300 * 40 * 10**6 // 8
"""Bytes of five minutes at 40 Mbit/s, of which 10 are paid for."""
ABOVE = 444
"""Samples above: of October's 447 that are dropped, two may still come while a port is being held."""
NOW = datetime(2026, 10, 20, 12, tzinfo=UTC)
PROVIDER = """
[provider]
name = "Polder Hosting BV"
address = ["Dijkstraat 1"]
country = "NL"
vat_id = "NL000000000B00"
currency = "EUR"
zone = "Europe/Amsterdam"
email = "help@polder-hosting.example"
[series]
base = { format = "B{year}-{number:04d}" }
overage = { format = "V{year}-{number:04d}" }
credit = { format = "C{year}-{number:04d}" }
[[tax]]
country = "NL"
class = "standard"
rate = "21 %"
from = 2012-10-01
code = "NL21"
[meters.traffic]
name = "Traffic"
kind = "delta"
unit = "B"
interval = "5 min"
[plans.vps]
name = "VPS"
[[plans.vps.versions]]
from = 2025-01-01
base = "5.00 EUR/month"
[plans.vps.versions.charges.out]
name = "Traffic out"
meter = "traffic"
direction = "out"
included = "1000 GB"
price = "0.10 EUR/GB"
[plans.colo]
name = "Colo"
[[plans.colo.versions]]
from = 2025-01-01
base = "100.00 EUR/month"
[plans.colo.versions.charges.bw]
name = "Bandwidth"
meter = "traffic"
aggregation = "percentile"
direction = "greater"
percentile = { rank = "drop_floor", p = 95, missing = "lowest" }
commitment = { quantity = "10 Mbit/s", fee = "20.00 EUR/month" }
price = "1.10 EUR/Mbit/s"
[pools.fleet]
name = "Fleet traffic"
[[pools.fleet.versions]]
from = 2025-01-01
meter = "traffic"
direction = "out"
price = "0.20 EUR/GB"
[plans.node]
name = "Node"
[[plans.node.versions]]
from = 2025-01-01
base = "5.00 EUR/month"
[plans.node.versions.charges.out]
name = "Traffic out"
meter = "traffic"
direction = "out"
included = "1000 GB"
pool = "fleet"
[overage]
control = "enforce"
warn_at = ["100 %"]
"""


def run() -> list[Result]:
    """Judge everything; then watch."""
    with database():
        _build()
        from coulance.flows.overage_control import rounds

        with timed() as swept:
            done = rounds.sweep(at=NOW)
        if done.judged != SERVICES or done.placed:  # a pool is one
            raise RuntimeError(f"{done}")
        seconds = _live()
        middle, late = seconds[len(seconds) // 2], seconds[min(int(len(seconds) * 0.99), len(seconds) - 1)]
        note = f"{SERVICES:,} customers near their limits, {PORTS} of them by a port and {POOLS} by a pool"
        live = f"{note}; {ROUNDS} batches of {BATCH:,}, in which {PASSING}, a port and a pool pass"
        return [
            Result("overage: judged", SERVICES / swept.seconds, "decisions/s", note=note),
            Result("overage: sample to restriction, p50", middle, "s", less_is_better=True, note=live),
            Result(
                "overage: sample to restriction, p99", late, "s", less_is_better=True, at_most=1.0,
                note=f"{live}, each warned",
            ),
        ]  # fmt: skip


def _build() -> None:
    from django.db import transaction

    from coulance.catalog import operations as catalog
    from coulance.catalog.reader import read_provider_file
    from coulance.customers import operations as customers
    from coulance.services import operations as services

    with TemporaryDirectory() as folder:
        path = Path(folder) / "provider.toml"
        path.write_text(PROVIDER)
        file = read_provider_file(path)
        if file.faults:
            raise RuntimeError("\n".join(map(str, file.faults)))
        catalog.apply_catalog(file=file, actor="benchmark", at=NOW - timedelta(days=60))
    everybody = range(SERVICES)
    plans = {name: (n, plan) for n in everybody for name, plan in _of(n)}
    with transaction.atomic():
        accounts = customers.write_accounts(rows=[_account(n) for n in everybody])
        customers.write_contacts(rows=[(accounts[f"c{n}"], _contact(n)) for n in everybody])
        ids = services.write_services(
            rows=[(accounts[f"c{n}"], _service(name, n)) for name, (n, _plan) in plans.items()]
        )
        began = date(2026, 10, 1)
        services.replace_subscriptions(rows={ids[name]: [(plan, 1, began, None)] for name, (_n, plan) in plans.items()})
        services.write_series(rows=[(name, ids[name], "traffic") for name in plans])
    summed = [name for name, (_n, plan) in plans.items() if plan != "colo"]
    for day in range(1, 12):
        at = datetime(2026, 10, day, 12, tzinfo=UTC)
        _send([(name, int(at.timestamp()), 90 * GB) for name in summed], at)
    ports = [name for name, (_n, plan) in plans.items() if plan == "colo"]
    begin = datetime(2026, 9, 30, 22, tzinfo=UTC)
    ends = [int(begin.timestamp()) + 300 * i for i in range(1, (NOW - begin) // timedelta(minutes=5) + 1)]
    for name in ports:
        _send([(name, end, BURST if i < ABOVE else BURST // 5) for i, end in enumerate(ends)], NOW)


def _of(n: int) -> list[tuple[str, str]]:
    """A customer's services, with their plans."""
    if n < SUMS:
        return [(f"s{n}", "vps")]
    if n < SUMS + PORTS:
        return [(f"s{n}", "colo")]
    return [(f"s{n}-{node}", "node") for node in range(NODES)]


def _account(n: int) -> dict[str, Any]:
    return {
        "external_id": f"c{n}", "name": f"Customer {n}", "kind": "business", "country": "NL", "vat_id": "",
        "address": ["Street 1"], "currency": "EUR", "zone": "Europe/Amsterdam", "language": "nl" if n % 2 else "en",
        "billing_day": 1, "tax_class": "", "national_tax_currency": "", "groups": [],
    }  # fmt: skip


def _contact(n: int) -> dict[str, Any]:
    return {
        "external_id": "boss", "name": f"Boss {n}", "email": f"boss@c{n}.example", "phone": "", "roles": ["owner"],
        "may_incur_cost": True, "language": "nl" if n % 2 else "en", "channels": ["email"], "mailbox_service": "",
        "zone": "",
    }  # fmt: skip


def _service(name: str, n: int) -> dict[str, Any]:
    return {
        "external_id": name, "name": f"Server {n}", "kind": "vps", "started_on": date(2026, 10, 1),
        "ended_on": None, "billed_until": None, "pool": "",
    }  # fmt: skip


def _send(rows: list[tuple[str, int, int]], at: datetime) -> None:
    """Samples: series, end in epoch seconds, bytes out."""
    from coulance.usage import operations as usage

    count = len(rows)
    answer = usage.ingest_batch(
        columns=usage.from_lists(
            {
                "series": [name for name, *_ in rows], "at": [end for _, end, _ in rows], "in": [0] * count,
                "out": [value for *_, value in rows],
            }
        ),
        source="benchmark",
        recorded_at=at + timedelta(seconds=1),
    )  # fmt: skip
    if answer.accepted != count:
        raise RuntimeError(f"{answer}")


def _live() -> list[float]:
    """Seconds of every crossing, sorted."""
    from django.db import connections

    from coulance.flows.overage_control.evaluating import Evaluated
    from coulance.flows.overage_control.watcher import Watcher

    instant = [NOW]
    placed, seen = [0], threading.Condition()

    def count(done: Evaluated) -> None:
        with seen:
            placed[0] += done.placed
            seen.notify()

    def work() -> None:
        watcher.run()
        connections.close_all()

    watcher = Watcher(now=lambda: instant[0], seen=count)
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    time.sleep(1)
    out: list[float] = []
    for turn in range(ROUNDS):
        instant[0] = NOW + timedelta(minutes=5 * (turn + 1))
        first, end = turn * PASSING, int(instant[0].timestamp())
        rest = [f"s{n % SUMS}" for n in range(first + PASSING, first + BATCH)]
        passing = [f"s{n}" for n in range(first, first + PASSING)] + [f"s{SUMS + PORTS + turn}-0"]
        rows = [(name, end, 40 * GB) for name in passing] + [(name, end, 1000) for name in rest]
        rows.append((f"s{SUMS + turn}", end, BURST))
        began = time.perf_counter()
        _send(sorted(rows), instant[0])
        with seen:
            if not seen.wait_for(lambda: placed[0] >= (turn + 1) * PLACED, timeout=30):  # noqa: B023 - waited for here
                raise RuntimeError(f"{placed[0]} were restricted of {(turn + 1) * PLACED}")
        out += [time.perf_counter() - began] * PLACED
    watcher.stop()
    thread.join(10)
    return sorted(out)
