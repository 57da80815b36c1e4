"""Promises: a month of probes to credits, and a million ticket clocks at once.

Probes: 1,000 services, each seen every 30 seconds from 3 vantage points for 30 days (259 M samples), to outages by a
quorum of two, to credits with explanations. The samples are made a service at a time, outside what is timed; the work
is spread over both cores by threads. The rival is DuckDB: the same quorum as SQL (gaps and islands, the state of each
probe at each change) on some of the services, seconds down only, which must be equal.

Clocks: deadlines of 1,000,000 tickets, a third with pauses, by a calendar of office hours with holidays. The rival is
what help desks do: a loop a ticket over days and windows; equal on every ticket that both look at.

`COULANCE_BENCH_PROBED` says how many services (1,000), `COULANCE_BENCH_CLOCKS` how many clocks.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import duckdb
import numpy as np

from benchmarks.harness import Result, timed
from coulance_core.kernel import Money, Period
from coulance_core.sla.calendars import WEEKDAYS, Calendar, OpenTime
from coulance_core.sla.clocks import Columns, evaluate
from coulance_core.sla.credits import Charges, credit
from coulance_core.sla.downtime import Facts, Outage
from coulance_core.sla.evidence import Bound, Quorum, Samples, judge
from coulance_core.sla.intervals import Spans, micros
from coulance_core.sla.proof import tiers_below
from coulance_core.sla.terms import Tiers, UptimeTerms

SERVICES = int(os.environ.get("COULANCE_BENCH_PROBED", "1000"))
CLOCKS = int(os.environ.get("COULANCE_BENCH_CLOCKS", "1000000"))
SOME_SERVICES, SOME_CLOCKS = 6, 3000
MONTH = Period(datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))
START, END = micros(MONTH.start), micros(MONTH.end)
SECOND = 1_000_000
EVERY, PROBES = 30 * SECOND, 3
QUORUM = Quorum(ttl=90 * SECOND, down=2, fresh=2)
TERMS = UptimeTerms("bench", Fraction("99.9"), (Tiers(tiers_below([(Fraction("99.9"), Fraction(1, 10))])),))
LIFE = Spans.of([(0, 2**60)])


def seen(service: int) -> list[Samples]:
    """What three probes saw: outages that all see, noise that one sees, and one that is cut off for a while."""
    rng = np.random.default_rng(service)
    begin = rng.integers(START, END, 4)
    truth = Spans.union_of(np.sort(begin), np.sort(begin) + rng.integers(60, 3600, 4) * SECOND)
    probes = []
    for number in range(PROBES):
        at = np.arange(START + int(rng.integers(0, EVERY)), END, EVERY) + rng.integers(0, SECOND)
        up = ~truth.covers(at) & (rng.random(at.size) > 0.0005)
        cut = int(rng.integers(0, at.size - 500))
        keep = np.ones(at.size, bool)
        keep[cut : cut + (200 if number == 0 else 0)] = False
        probes.append(Samples(at[keep], up[keep]))
    return probes


def credited(probes: list[Samples]) -> tuple[int, int]:
    """Microseconds down and cents credited."""
    verdict = judge(probes, QUORUM, START, END)
    down = verdict.down(Bound.STEP)
    outages = tuple(Outage(f"o{i}", Spans.of([pair])) for i, pair in enumerate(down.pairs()))
    found = credit(TERMS, Facts(MONTH, LIFE, outages, unknown=verdict.unknown), Charges(Money(5000, "EUR")))
    return down.total, found.amount.minor


_SQL = """
WITH held AS (
  SELECT probe, t, up, least(lead(t, 1, 9223372036854775807) OVER (PARTITION BY probe ORDER BY t), t + {ttl}) AS till
    FROM samples
), edges AS (
  SELECT t, 1 AS fresh, CASE WHEN up THEN 0 ELSE 1 END AS down FROM held
  UNION ALL SELECT till, -1, CASE WHEN up THEN 0 ELSE -1 END FROM held
), summed AS (SELECT t, sum(fresh) AS fresh, sum(down) AS down FROM edges GROUP BY t),
levels AS (
  SELECT t, sum(fresh) OVER (ORDER BY t) AS fresh, sum(down) OVER (ORDER BY t) AS down,
         lead(t) OVER (ORDER BY t) AS till FROM summed
)
SELECT coalesce(sum(least(till, {end}) - greatest(t, {start})), 0)::BIGINT FROM levels
 WHERE fresh >= 2 AND down >= 2 AND till > {start} AND t < {end}
"""


def rival(probes: list[Samples]) -> int:
    """Microseconds down, by SQL."""
    base = duckdb.connect()
    base.execute("SET threads = 2")
    which = np.concatenate([np.full(p.at.size, i) for i, p in enumerate(probes)])
    samples = {
        "probe": which,
        "t": np.concatenate([p.at for p in probes]),
        "up": np.concatenate([p.up for p in probes]),
    }
    base.register("given", samples)
    base.execute("CREATE TABLE samples AS SELECT * FROM given")
    begin = time.perf_counter()
    found = base.execute(_SQL.format(ttl=QUORUM.ttl, start=START, end=END)).fetchone()
    rival.seconds += time.perf_counter() - begin  # type: ignore[attr-defined]
    assert found is not None
    return int(found[0])


def probes_to_credits() -> Result:
    """All services, two at a time, what they saw made beforehand for each pair."""
    samples, seconds, cents = 0, 0.0, 0
    with ThreadPoolExecutor(2) as pool:
        for first in range(0, SERVICES, 20):
            batch = {s: seen(s) for s in range(first, min(first + 20, SERVICES))}
            samples += sum(p.at.size for probes in batch.values() for p in probes)
            with timed() as watch:
                found = list(pool.map(lambda s: credited(batch[s]), batch))  # noqa: B023 (used at once)
            seconds += watch.seconds
            cents += sum(c for _, c in found)
    assert cents > 0
    rival.seconds, looked = 0.0, 0  # type: ignore[attr-defined]
    for service in range(SOME_SERVICES):
        probes = seen(service)
        looked += sum(p.at.size for p in probes)
        assert rival(probes) == credited(probes)[0]
    theirs = looked / rival.seconds  # type: ignore[attr-defined]
    note = f"{SERVICES} services, {samples / 1e6:.0f} M samples in {seconds:.1f} s"
    return Result(
        "probes to credits", samples / seconds, "samples/s", "DuckDB, seconds down only", theirs, goal=10, note=note
    )


def ticket_clocks() -> Result:
    """Deadlines and breaches of many tickets."""
    office = Calendar.weekly(
        "Europe/Amsterdam",
        {day: ["08:30-12:30", "13:00-17:30"] for day in WEEKDAYS[:5]},
        holidays=[date(2026, 4, 27), date(2026, 5, 5), date(2026, 5, 14), date(2026, 5, 25)],
    )
    rng = np.random.default_rng(7)
    start, end = micros(datetime(2026, 4, 1, tzinfo=UTC)), micros(datetime(2026, 7, 1, tzinfo=UTC))
    since = rng.integers(start, end, CLOCKS)
    amount = rng.choice(np.array([15, 60, 240, 480, 960]) * 60 * SECOND, CLOCKS)
    owner = np.sort(rng.choice(CLOCKS, CLOCKS // 3, replace=False))
    paused = since[owner] + rng.integers(0, 8 * 3600 * SECOND, owner.size)
    clocks = Columns(
        since, amount, np.full(CLOCKS, -1), owner, paused, paused + rng.integers(0, 3 * 86400 * SECOND, owner.size)
    )
    with timed() as watch:
        laid = OpenTime.between(office, start, end + 60 * 86400 * SECOND)
        found = evaluate(laid, clocks, end)
    pauses = {int(o): (int(a), int(b)) for o, a, b in zip(owner, clocks.pause_start, clocks.pause_end, strict=True)}
    with timed() as slow:
        for i in range(min(SOME_CLOCKS, CLOCKS)):
            due = _loop(office, int(since[i]), int(amount[i]), pauses.get(i))
            assert due == int(found.due[i]), i
    return Result(
        "ticket clocks",
        CLOCKS / watch.seconds,
        "clocks/s",
        "a loop a ticket",
        min(SOME_CLOCKS, CLOCKS) / slow.seconds,
        goal=10,
        note=f"{CLOCKS:,} in {watch.seconds:.2f} s",
    )


def _loop(office: Calendar, since: int, amount: int, pause: tuple[int, int] | None) -> int:
    """A deadline as help desks find it: day by day, window by window, taking the pause out."""
    from zoneinfo import ZoneInfo

    zone, need = ZoneInfo(office.zone), amount
    day = office.local_date(since)
    while True:
        for window in office.hours(day):
            edges = [
                datetime(day.year, day.month, day.day, s // 3600, s % 3600 // 60, tzinfo=zone)
                for s in (window.start, window.end)
            ]
            low, high = max(micros(edges[0]), since), micros(edges[1])
            parts = [(low, high)]
            if pause:
                parts = [(low, min(high, pause[0])), (max(low, pause[1]), high)]
            for a, b in parts:
                if b > a:
                    if b - a >= need:
                        return a + need
                    need -= b - a
        day += timedelta(days=1)


def run() -> list[Result]:
    """Both."""
    return [probes_to_credits(), ticket_clocks()]
