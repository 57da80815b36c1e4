"""Real series, metered: an ISP's link, a hosting provider's VM, two walks of one switch, CloudWatch."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from coulance_core.catalog.terms import (
    Aggregation,
    Direction,
    GapPolicy,
    Measure,
    Meter,
    MeterKind,
    MissingSamples,
    PercentileTerms,
    RankConvention,
    ResetPolicy,
)
from coulance_core.kernel import Period, unit
from coulance_core.usage.aggregate import figure, figures_by_period
from coulance_core.usage.counters import CounterPolicy, Flag, to_deltas
from coulance_core.usage.samples import Samples
from coulance_core.usage.slots import Grid, rates_to_deltas, to_slots

pytestmark = pytest.mark.data
UTC_ZONE = ZoneInfo("UTC")


def rows(path: Path, delimiter: str = ",") -> Iterator[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file, delimiter=delimiter)
        next(reader)
        yield from reader


def epoch(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


# --- the ISP: bits an interval, stamped at its start


@pytest.fixture(scope="module")
def isp(cases: Path) -> Samples:
    data = [(epoch(r[0]) + 300, int(r[1])) for r in rows(cases / "traffic/isp_tsdl/it_eu_5m.csv")]
    return Samples.one([t for t, _ in data], [v for _, v in data])


LINK = Meter("link", "Transatlantic link", MeterKind.DELTA, unit("bit"))


def test_the_isp_month_equals_rrdtool_at_full_resolution(isp: Samples) -> None:
    """rrdtool 1.7.2 on 8 June to 8 July 2005: PERCENT95 7777542392, TOTAL 10043222494474500 (bits x 300 s)."""
    month = Period(datetime(2005, 6, 8, tzinfo=UTC), datetime(2005, 7, 8, tzinfo=UTC))
    for missing in (MissingSamples.LOWEST, MissingSamples.DROPPED):
        terms = PercentileTerms(RankConvention.RRDTOOL, missing=missing)
        p95 = figure(
            Measure("link", Aggregation.PERCENTILE, unit("bit/s"), Direction.IN, terms), LINK, isp, month, UTC_ZONE
        )
        assert p95.quantity == Fraction(7_777_542_392, 300)
        assert (p95.n, p95.seen, p95.expected) == (8640, 8640, 8640)
        assert p95.explanation.recompute()["quantity"] == p95.quantity
    total = figure(Measure("link", Aggregation.SUM, unit("bit"), Direction.IN), LINK, isp, month, UTC_ZONE)
    assert total.quantity * 300 == 10_043_222_494_474_500
    assert total.coverage == 1


def test_the_isps_hourly_roll_up_is_equal_in_all_1231_hours(cases: Path, isp: Samples) -> None:
    """Another publisher's roll-up of the same link: our hourly sums are his, every one, and coverage is whole."""
    path = cases / "traffic/isp_tsdl/isp_eu_hourly_internet-traffic-data-in-bits-fr.csv"
    hours = [(datetime.fromisoformat(r[0]).replace(tzinfo=UTC), int(Decimal(r[1]))) for r in rows(path)]
    assert len(hours) == 1231
    measure = Measure("link", Aggregation.SUM, unit("bit"), Direction.IN)
    periods = [Period(start, start + timedelta(hours=1)) for start, _ in hours]
    figures = figures_by_period(measure, LINK, isp, periods, UTC_ZONE)
    different = [
        (start, value, f.quantity) for (start, value), f in zip(hours, figures, strict=True) if f.quantity != value
    ]
    assert different == []
    partly = [start for (start, _), f in zip(hours, figures, strict=True) if f.seen != 12]
    assert partly == []


# --- the VM: polls at 299 to 303 seconds, some missed, readings in KB/s


@pytest.fixture(scope="module")
def vm(cases: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(epoch seconds, KB/s x 10^4 by direction). The header says ms, the stamps are seconds."""
    data = {int(r[0]): (r[9], r[10]) for r in rows(cases / "traffic/hosting_vm/bitbrains_vm.csv", ";") if len(r) > 10}
    at = np.array(sorted(data), np.int64)
    columns = {}
    for place, name in enumerate(("in", "out")):
        # Readings are averages of fifteen 20-second samples: four decimals keep what they say.
        exact = [Decimal(data[t][place].strip()).quantize(Decimal("0.0001")) for t in at.tolist()]
        columns[name] = np.array([int(value.scaleb(4)) for value in exact], np.int64)
    return at, columns


def test_the_vms_jittered_polls_give_right_totals_and_coverage(vm: tuple[np.ndarray, dict[str, np.ndarray]]) -> None:
    at, rate = vm
    steps = np.diff(at)
    missed = steps > 450
    assert at.size == 8619
    assert set(steps[~missed].tolist()) <= set(range(290, 311))
    meter = Meter("vm", "VM traffic", MeterKind.DELTA, unit("KiB"), 4)
    deltas = {name: rates_to_deltas(at, column, interval_s=300, gap_after_s=450) for name, column in rate.items()}
    samples = Samples.one(at, deltas["in"].value, deltas["out"].value)
    period = Period(datetime.fromtimestamp(int(at[0]) - 300, UTC), datetime.fromtimestamp(int(at[-1]), UTC))
    # By hand, second by second: a reading holds for the time since the poll before, or 300 s after a missed one.
    seconds = np.concatenate(([300], np.where(missed, 300, steps)))
    for direction, name in ((Direction.IN, "in"), (Direction.OUT, "out")):
        total = figure(Measure("vm", Aggregation.SUM, unit("KiB"), direction), meter, samples, period, UTC_ZONE)
        by_hand = sum(int(r) * int(s) for r, s in zip(rate[name], seconds, strict=True))
        assert total.quantity == Fraction(by_hand, 10**4)
        assert total.n == 8619
        # Coverage says what was missed, in slots' worth of time, and jitter costs nothing of it.
        assert total.seen == (int(seconds.sum()) + 150) // 300
        lost = int((steps[missed] - 300).sum())
        assert abs((total.expected - total.seen) * 300 - lost) <= 300
        slots = to_slots(deltas[name], to_slots_grid(at))
        assert int(slots.value.sum()) == by_hand
    burst = Measure("vm", Aggregation.PERCENTILE, unit("Mbit/s"), Direction.GREATER, PercentileTerms())
    p95 = figure(burst, meter, samples, period, UTC_ZONE)
    # No slot is missing but where polls were: each missed poll costs at most two half-seen slots.
    assert p95.expected - p95.seen <= int(((steps[missed] - 300) // 300 + 2).sum())
    assert p95.expected - p95.seen >= lost // 300 - int(missed.sum())


def to_slots_grid(at: np.ndarray) -> Grid:
    first = (int(at[0]) - 300) // 300 * 300
    return Grid(first, (int(at[-1]) - first) // 300 + 1, 300)


# --- the switch: two walks, 147 days apart

_NAME, _IN, _OUT = "1.3.6.1.2.1.31.1.1.1.1.", "1.3.6.1.2.1.31.1.1.1.6.", "1.3.6.1.2.1.31.1.1.1.10."
_UPTIME = "1.3.6.1.2.1.1.3.0"


def walk(path: Path) -> tuple[int, dict[str, tuple[int, int]]]:
    """(sysUpTime, (in, out) octets by ifName) of a recorded walk; a type with x has its value in hex."""
    values = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        oid, kind, value = line.split("|", 2)
        values[oid] = bytes.fromhex(value).decode("latin-1") if kind.endswith("x") else value
    names = {oid.removeprefix(_NAME): name for oid, name in values.items() if oid.startswith(_NAME)}
    ports = {
        name: (int(values[_IN + index]), int(values[_OUT + index]))
        for index, name in names.items()
        if _IN + index in values and _OUT + index in values
    }
    return int(values[_UPTIME]), ports


def test_two_walks_of_one_switch_give_the_ports_deltas(cases: Path) -> None:
    before_up, before = walk(cases / "traffic/snmp/cisco-n5000.snmprec")
    after_up, after = walk(cases / "traffic/snmp/cisco-n5000-uk9.snmprec")
    ports = sorted(before.keys() & after.keys())
    assert len(ports) > 20
    elapsed = (after_up - before_up) // 100
    assert elapsed // 86400 in (146, 147)
    at, up = np.array([0, elapsed]), np.array([before_up, after_up])
    meter = Meter(
        "port", "Port", MeterKind.COUNTER, unit("B"), interval_s=300, counter_bits=64,
        max_rate=Fraction(1_250_000_000), gap=GapPolicy.SPREAD, reset=ResetPolicy.SINCE_ZERO,
    )  # fmt: skip
    policy = CounterPolicy.of(meter)
    moved = 0
    for port in ports:
        for place in (0, 1):
            old, new = before[port][place], after[port][place]
            raw = np.array([old, new], np.uint64).view(np.int64)
            deltas = to_deltas(at, raw, policy, uptime=up)
            flag = Flag(int(deltas.flags[0]))
            assert new >= old, "the device ran on: no 64-bit counter of it went back"
            assert int(deltas.value[0]) == new - old
            assert flag == Flag.GAP | Flag.SPREAD
            moved += new > old
    assert moved > 20
    # The same readings after a restart between the walks: only what was counted since can be sure.
    busiest = max(ports, key=lambda p: after[p][0])
    raw = np.array([before[busiest][0], after[busiest][0]], np.uint64).view(np.int64)
    restarted = to_deltas(at, raw, policy, uptime=np.array([before_up, 100 * 86400 * 30]))
    assert Flag(int(restarted.flags[0])) & Flag.RESET
    assert int(restarted.value[0]) in (0, after[busiest][0])
    assert int(restarted.value[0]) <= 1_250_000_000 * (30 * 86400 + 31)


# --- CloudWatch: two slots missing


def test_cloudwatch_series_with_two_missing_slots(cases: Path) -> None:
    found: dict[int, int] = {}
    for stamp, value in rows(cases / "traffic/nab/ec2_network_in_257a54.csv"):
        found[epoch(stamp) // 300 * 300 + 300] = int(Decimal(value).scaleb(1))
    samples = Samples.one(list(found), list(found.values()))
    fortnight = Period(datetime(2014, 4, 10, tzinfo=UTC), datetime(2014, 4, 24, tzinfo=UTC))
    meter = Meter("in", "NetworkIn", MeterKind.DELTA, unit("B"), 1)
    total = figure(Measure("in", Aggregation.SUM, unit("B"), Direction.IN), meter, samples, fortnight, UTC_ZONE)
    assert (total.expected, total.seen, total.flags) == (4032, 4030, {"gap": 2})
    last = int(fortnight.end.timestamp())  # the file goes on for two samples more
    assert total.quantity == Fraction(sum(value for at, value in found.items() if at <= last), 10)
