"""Closing a month: aggregate, rate, settle, number, write invoices, lines, statements and journal; fsync on.

Three services an account, so that a base invoice has three lines, as the rival's have; the accounts also get overage
invoices where they are due, and a usage statement each. `close_world` says what their samples are like. September is
closed first, outside the time that is measured, so that October is a month like any other: one month's base fee in
advance, one month's usage in arrears, on ledger chains that have begun.

Invoices a second count base and overage invoices only, over the whole time of the command: statements are made in the
same time and not counted. Beside what the rival does here stands what Silver itself was measured to do elsewhere.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.harness import Result
from benchmarks.server import database

SIZES = (10_000, 100_000)
WORKERS = 2
RIVAL_INVOICES = 1_000
GOAL = 200.0
SILVER = 49.0
"""Three-line invoices a second that Silver was measured to make, at best (32 at worst)."""
SECONDS = 60.0
MEBIBYTES = 2048.0


def _tree(root: int) -> list[int]:
    """A process and all that it started."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    out, todo = [], [root]
    while todo:
        one = todo.pop()
        out.append(one)
        todo.extend(children.get(one, ()))
    return out


def _mib(pids: list[int]) -> float:
    """Their memory together, shared pages counted once."""
    total = 0
    for pid in pids:
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            continue
    return total / 1024


def _cpu_seconds(*roots: int) -> float:
    """Processor time of these process trees so far, with that of processes that ended and were waited for."""
    ticks = 0
    for pid in {pid for root in roots for pid in _tree(root)}:
        try:
            fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


class Peak:
    """The most memory that process trees held together, looked at a few times a second."""

    def __init__(self) -> None:
        self.mib = 0.0


@contextmanager
def watched(*roots: int) -> Iterator[Peak]:
    """Watch these process trees meanwhile."""
    peak, done = Peak(), threading.Event()

    def look() -> None:
        while not done.wait(0.25):
            peak.mib = max(peak.mib, _mib([pid for root in roots for pid in _tree(root)]))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def _server_pid() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('data_directory')")
        return int((Path(cursor.fetchone()[0]) / "postmaster.pid").read_text().splitlines()[0])


def close_once(services: int, rival_invoices: int) -> dict[str, float]:
    """Make a world, close its September and October, and say what October took; runs in a process of its own."""
    with database():
        from benchmarks import close_world
        from coulance.flows.closing.close_period import close_period
        from coulance.ledger.check import check_ledger

        samples = close_world.build(services)
        september = datetime(2026, 10, 4, 6, tzinfo=UTC)
        close_period(year=2026, month=9, at=september, actor="benchmark", workers=WORKERS)
        with watched(os.getpid(), _server_pid()) as peak:
            start, before = time.perf_counter(), _cpu_seconds(os.getpid(), _server_pid())
            report = close_period(
                year=close_world.YEAR,
                month=close_world.MONTH,
                at=close_world.CLOSES_AT,
                actor="benchmark",
                workers=WORKERS,
            )
            seconds = time.perf_counter() - start
            cpu = _cpu_seconds(os.getpid(), _server_pid()) - before
        done = report.totals
        accounts = -(-services // close_world.SERVICES_AN_ACCOUNT)
        if report.parked or done.services != services or done.samples != samples:
            raise RuntimeError(f"not everything was closed: {report}")
        if done.documents["base_invoice"] != accounts or done.documents["usage_statement"] != accounts:
            raise RuntimeError(f"documents are missing: {done.documents}")
        if faults := list(check_ledger()):
            raise RuntimeError(f"the journal is not right: {faults[:3]}")
        rival = 0.0
        if rival_invoices:
            from benchmarks import close_rival

            rival = close_rival.invoices_a_second(rival_invoices)
        return {
            "seconds": seconds,
            "cpu": cpu,
            "samples": samples,
            "invoices": done.documents["base_invoice"] + done.documents.get("overage_invoice", 0),
            "documents": sum(done.documents.values()),
            "peak": peak.mib,
            "rival": rival,
        }


def run() -> list[Result]:
    """Each size in a process and on a database of its own."""
    results = []
    for services in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "figures.json"
            subprocess.run(
                [sys.executable, "-m", "benchmarks.close", str(services), str(RIVAL_INVOICES), str(out)], check=True
            )
            got = json.loads(out.read_text())
        size = f"{services // 1000}k services, {got['samples'] / 1e6:.0f} M samples"
        speed = got["invoices"] / got["seconds"]
        last = services == SIZES[-1]
        results += [
            Result(
                f"close, {size}: invoices",
                speed,
                "invoices/s",
                "Django ORM as Silver",
                got["rival"],
                GOAL if last else None,
                peak_mib=got["peak"],
                note=f"{got['documents']:.0f} documents",
            ),
            Result(
                f"close, {size}: invoices", speed, "invoices/s", "Silver as published", SILVER, peak_mib=got["peak"]
            ),
            Result(
                f"close, {size}: time",
                got["seconds"],
                "s",
                less_is_better=True,
                at_most=SECONDS * services / 100_000 if last else None,
                peak_mib=got["peak"],
                note=f"{services / got['seconds']:.0f} services/s; {got['cpu']:.0f} s of processor time",
            ),
        ]
        if last:
            results.append(
                Result(
                    f"close, {size}: memory of all processes",
                    got["peak"],
                    "MiB",
                    at_most=MEBIBYTES,
                    peak_mib=got["peak"],
                )
            )
    return results


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(close_once(int(sys.argv[1]), int(sys.argv[2]))))
