"""Overage control: how many decisions a second, and how long from a received sample to a placed restriction.

A provider with `COULANCE_BENCH_WATCHED` services (10,000), each of its own customer with one contact, all at 99 % of
their allowance. First every one of them is judged, as the hourly look does. Then live batches come in: each brings a
sample of 1,000 services, ten of which pass their allowance; a watcher sleeps on the database's notice, as `coulance up`
runs it. The clock starts before the batch is handed to ingest and ends when the watcher's transaction is committed:
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
ROUNDS, BATCH, PASSING = 60, 1000, 10
GB = 10**9
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
        if done.judged != SERVICES or done.placed:
            raise RuntimeError(f"{done}")
        seconds = _live()
        middle, late = seconds[len(seconds) // 2], seconds[min(int(len(seconds) * 0.99), len(seconds) - 1)]
        note = f"{SERVICES:,} services near their limits"
        live = f"{note}; {ROUNDS} batches of {BATCH:,}, {PASSING} pass"
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
    with transaction.atomic():
        accounts = customers.write_accounts(rows=[_account(n) for n in everybody])
        customers.write_contacts(rows=[(accounts[f"c{n}"], _contact(n)) for n in everybody])
        ids = services.write_services(rows=[(accounts[f"c{n}"], _service(n)) for n in everybody])
        began = date(2026, 10, 1)
        services.replace_subscriptions(rows={ids[f"s{n}"]: [("vps", 1, began, None)] for n in everybody})
        services.write_series(rows=[(f"s{n}", ids[f"s{n}"], "traffic") for n in everybody])
    for day in range(1, 12):
        _send([(n, 90 * GB) for n in range(SERVICES)], datetime(2026, 10, day, 12, tzinfo=UTC))


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
    }  # fmt: skip


def _service(n: int) -> dict[str, Any]:
    return {
        "external_id": f"s{n}", "name": f"Server {n}", "kind": "vps", "started_on": date(2026, 10, 1),
        "ended_on": None, "billed_until": None, "pool": "",
    }  # fmt: skip


def _send(rows: list[tuple[int, int]], at: datetime) -> None:
    from coulance.usage import operations as usage

    count = len(rows)
    answer = usage.ingest_batch(
        columns=usage.from_lists(
            {
                "series": [f"s{n}" for n, _ in rows], "at": [int(at.timestamp())] * count, "in": [0] * count,
                "out": [value for _, value in rows],
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
        first = turn * PASSING
        rest = [(n % SERVICES, 1000) for n in range(first + 1000, first + 1000 + BATCH - PASSING)]
        rows = [(n, 20 * GB) for n in range(first, first + PASSING)] + rest
        began = time.perf_counter()
        _send(sorted(rows), instant[0])
        with seen:
            if not seen.wait_for(lambda: placed[0] >= (turn + 1) * PASSING, timeout=30):  # noqa: B023 - waited for here
                raise RuntimeError(f"{placed[0]} were restricted of {(turn + 1) * PASSING}")
        out += [time.perf_counter() - began] * PASSING
    watcher.stop()
    thread.join(10)
    return sorted(out)
