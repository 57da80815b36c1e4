"""From a committed restriction to its executed, proven and recorded act, with 10,000 services in the register.

The executor runs as it does in `coulance up`: a process of its own, told by NOTIFY. Half of the services are paused at
a router already; then restrictions are placed and lifted one transaction at a time, at a steady pace, on services here
and there. Measured is what the record says: from the decision to the act that was seen to hold. At a real router where
this machine allows it (nftables in a network namespace of its own), and on record only.

`COULANCE_BENCH_SERVICES` says how many services (10,000), `COULANCE_BENCH_DECISIONS` how many decisions (300).
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from benchmarks.harness import Result
from benchmarks.server import database

SERVICES = int(os.environ.get("COULANCE_BENCH_SERVICES", "10000"))
DECISIONS = int(os.environ.get("COULANCE_BENCH_DECISIONS", "300"))
EVERY_S = 0.05

_EXECUTOR = """
import os, signal, sys
import django
django.setup()
from datetime import UTC, datetime
from coulance.drivers import factory
from coulance.enforcement.executor import Executor
from coulance_core.catalog.terms import Driver, DriverKind
kind, prefix = DriverKind(sys.argv[1]), tuple(sys.argv[2:])
now = lambda: datetime.now(UTC)
terms = {"bench": Driver("bench", kind, prefix=prefix, timeout_s=8, reconcile_s=86400)}
running = Executor(worker=f"bench:{os.getpid()}", now=now, terms=lambda: terms,
                   build=lambda some: factory.drivers(some, now=now))
signal.signal(signal.SIGTERM, lambda *_: running.stop())
running.run()
"""


def run() -> list[Result]:
    """Both drivers, the router only where there may be one."""
    with database():
        services = _fill()
        results = _measured(services, "record", (), "on record only")
        with _namespace() as name:
            if name:
                results += _measured(services, "nftables", ("ip", "netns", "exec", name), "nftables")
            else:
                print("  nftables skipped: it wants root, nft and network namespaces", file=sys.stderr)
    return results


@contextmanager
def _namespace() -> Iterator[str]:
    """A router of its own, or nothing where that can't be."""
    name = f"clb{os.getpid()}"
    possible = os.geteuid() == 0 and shutil.which("nft") and shutil.which("ip")
    if not possible or subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        yield ""
        return
    try:
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


def _measured(services: list[int], kind: str, prefix: tuple[str, ...], title: str) -> list[Result]:
    from coulance.enforcement import operations

    operations.look_again(services=services, at=datetime.now(UTC))
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", _EXECUTOR, kind, *prefix])
    try:
        _until_idle()
        filled = time.perf_counter() - begun
        took = _decide(services)
    finally:
        process.terminate()
        process.wait(30)
    if len(took) != DECISIONS:
        raise RuntimeError(f"{len(took)} acts were recorded of {DECISIONS} decisions")
    note = f"{SERVICES:,} services, half of them paused; {DECISIONS} decisions, {1 / EVERY_S:.0f} a second"
    return [
        Result(
            f"enforcement, {title}: decision to act, p50", took[len(took) // 2], "s", less_is_better=True, note=note
        ),
        Result(
            f"enforcement, {title}: decision to act, p99",
            took[len(took) * 99 // 100],
            "s",
            less_is_better=True,
            at_most=1.0,
            note=note,
        ),
        Result(
            f"enforcement, {title}: brought to the register at start", SERVICES / filled, "services/s",
            note="looked at one and all, half of them paused and read again",
        ),
    ]  # fmt: skip


def _fill() -> list[int]:
    """Services with targets, half of them paused by their limit."""
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO customers_account (external_id, name, kind, country, address, currency, zone, language)"
            " VALUES ('C1', 'Customer', 'business', 'NL', '{}', 'EUR', 'Europe/Amsterdam', 'en') RETURNING id"
        )
        (account,) = cursor.fetchone()
        cursor.execute(
            "INSERT INTO services_service (account_id, external_id, name, kind, started_on)"
            " SELECT %s, 'vps-' || i, 'vps-' || i, 'vps', '2026-01-01' FROM generate_series(1, %s) i RETURNING id",
            [account, SERVICES],
        )
        services = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            "INSERT INTO enforcement_target (service_id, driver, identity, parameters) SELECT id, 'bench', external_id,"
            " jsonb_build_object('addresses', jsonb_build_array('10.' || (i / 65536) || '.' || (i / 256 % 256) || '.'"
            " || (i % 256))) FROM (SELECT id, external_id, row_number() OVER (ORDER BY id) AS i"
            "   FROM services_service) s"
        )
        cursor.execute(  # a restriction wants its work to be there
            "INSERT INTO enforcement_work (service_id, version, since, next_try, routine)"
            " SELECT id, 1, now(), now(), true FROM services_service"
        )
        cursor.execute(
            "INSERT INTO enforcement_restriction (service_id, source, ref, reason, action, placed_at, placed_by)"
            " SELECT id, 'overage', '2026-10', 'the limit is reached', 'pause', now(), 'worker'"
            "   FROM services_service WHERE id % 2 = 0"
        )
    return services


def _decide(services: list[int]) -> list[float]:
    """Place on services that are free, lift of those that are paused, here and there; gives how long each act took."""
    from django.db import connection

    from coulance.enforcement import operations
    from coulance_core.enforcement.restrictions import Action, Source

    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM enforcement_act")
        (mark,) = cursor.fetchone()
        cursor.execute("SELECT service_id FROM enforcement_restriction WHERE lifted_at IS NULL")
        paused = {row[0] for row in cursor.fetchall()}
    step = max(len(services) // DECISIONS, 1)
    chosen = [services[i * step + i % step] for i in range(DECISIONS)]
    for i, service in enumerate(chosen):
        begun = time.perf_counter()
        at = datetime.now(UTC)
        if service in paused:
            operations.lift(service=service, source=Source.OVERAGE, actor="worker", reason=f"limit raised {i}", at=at)
        else:
            operations.place(
                service=service, source=Source.OVERAGE, ref="2026-10", reason="the limit is reached",
                action=Action.PAUSE, actor="worker", at=at,
            )  # fmt: skip
        time.sleep(max(EVERY_S - (time.perf_counter() - begun), 0))
    _until_idle()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM finished_at - decided_at)::float8 FROM enforcement_act"
            " WHERE id > %s AND outcome = 'done' ORDER BY 1",
            [mark],
        )
        return [row[0] for row in cursor.fetchall()]


def _until_idle() -> None:
    from coulance.enforcement import queries

    give_up = time.monotonic() + 600
    while queries.count_waiting():
        if time.monotonic() > give_up:
            raise RuntimeError("the executor did not get done in ten minutes")
        time.sleep(0.1)
