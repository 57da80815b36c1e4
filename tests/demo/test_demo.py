"""The demo: made-up data that adds up, real series from a directory, and the whole command on a small one."""

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from coulance.catalog.faults import Faults
from coulance.flows.customer_file import read_files
from coulance.integrations.demo import traffic
from coulance.integrations.demo.feed import METER, batches, readings, series_key
from coulance.integrations.demo.files import write_files
from coulance.integrations.demo.fleet import OPENING, fleet
from coulance.integrations.demo.real import UnableToReadSeriesError, read_directory, read_series
from tests.support.instances import coulance, new_home

ZONE = ZoneInfo("Europe/Amsterdam")
SMALL = fleet(2026, accounts=40)


def test_the_fleet_is_what_the_demo_promises() -> None:
    whole = fleet(2026)
    assert len(whole.accounts) == 200
    assert 290 <= len(whole.services) <= 310
    assert whole == fleet(2026) != fleet(2027)
    kinds = {service.kind for service in whole.services}
    assert {"vps", "colo", "fleet", "objects", "seats", "mail", "web"} <= kinds
    incidents = {service.incident for service in whole.services} - {""}
    assert {"flood", "runaway", "counter reset", "32-bit counter wraps", "late files", "unknown series"} <= incidents


def test_counters_hold_every_byte_through_jitter_misses_resets_and_wraps() -> None:
    rng = np.random.default_rng(5)
    ends = traffic.interval_ends(datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC))
    out = rng.integers(0, 10**9, len(ends))
    plain = traffic.polled(ends, out, out, np.random.default_rng(1), bits=64)
    assert len(plain.at) < len(ends) + 1  # some polls were missed
    assert np.all(np.diff(plain.at) > 0)
    assert int(plain.v_out[-1] - plain.v_out[0]) == pytest.approx(int(out.sum()), rel=1e-5)  # the last poll's jitter
    narrow = traffic.polled(ends, out, out, np.random.default_rng(1), bits=32)
    wrapped = np.diff(narrow.v_out) % 2**32
    assert np.array_equal(narrow.at, plain.at)
    assert np.array_equal(wrapped, np.diff(plain.v_out) % 2**32)
    assert narrow.v_out.max() < 2**32
    reset = traffic.polled(ends, out, out, np.random.default_rng(1), bits=64, resets=(1000,))
    assert np.sum(np.diff(reset.v_out) < 0) == 1


def test_files_are_resent_overlap_come_late_and_are_corrected() -> None:
    files = batches(fleet(2026, accounts=60), 2026, OPENING, date(2026, 8, 10), ZONE)
    names = [batch.name for batch in files]
    assert names.count("collector-2026-07-05") == 2
    assert any(name.startswith("late-") for name in names)
    assert "log-2026-07-25-corrected" in names
    assert [batch.arrives_on for batch in files] == sorted(batch.arrives_on for batch in files)
    eleventh, tenth = (next(b for b in files if b.name == f"collector-2026-07-{day}") for day in (11, 10))
    shared = set(zip(tenth.series.tolist(), tenth.at.tolist(), strict=True)) & set(
        zip(eleventh.series.tolist(), eleventh.at.tolist(), strict=True)
    )
    assert len(shared) > 100
    last, first = (next(b for b in files if b.name == f"log-2026-07-25{end}") for end in ("-corrected", ""))
    assert np.array_equal(first.v_out, last.v_out * 8)


def test_the_customer_files_are_ones_that_the_import_takes(tmp_path: Path) -> None:
    faults = Faults()
    rows = read_files(write_files(SMALL, tmp_path), faults)
    assert [str(fault) for fault in faults.sorted()] == []
    assert sum(row.record == "account" for row in rows) == 40
    metered = [s for s in SMALL.services if s.kind in METER and s.incident != "unknown series"]
    assert {row.values["series"] for row in rows if row.record == "series"} == {series_key(s) for s in metered}


def test_a_service_that_starts_later_has_no_earlier_readings() -> None:
    starter = next(s for s in fleet(2026).services if s.incident == "starts mid-month")
    polls = readings(starter, 2026, datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 8, 1, tzinfo=UTC), ZONE)
    assert polls.at[0] >= datetime(2026, 7, 9, 22, tzinfo=UTC).timestamp()


SERIES = {
    "isp.csv": "time,traffic (in bits)\n2026-07-01 00:00:00,800\n2026-07-01 00:05:00,1600\n",
    "two.csv": "time,in,out\n2026-07-01T00:00+00:00,1,2\n2026-07-01T00:05+00:00,3,4\n",
    "vm.csv": (
        "Timestamp [ms];\tNetwork received throughput [KB/s];\tNetwork transmitted throughput [KB/s]\n"
        "1782864300;\t1.0;\t2.0\n1782864600;\t1.0;\t0.5\n"
    ),
}
LEFT_OUT = {
    "hourly.csv": ("time,bytes\n2026-07-01 00:00,1\n2026-07-01 01:00,2\n", "3600 s apart"),
    "words.csv": ("a,b\n1,2\n", "no column of volumes"),
    "empty.csv": ("time,bytes\n", "no rows"),
    "broken.csv": ("time,bytes\n2026-07-01 00:00,1\nsoon,2\n", "line 3"),
    "elb_request_count.csv": ("timestamp,value\n2026-07-01 00:00,1\n2026-07-01 00:05,1\n", "requests"),
}


def test_series_of_every_form_are_read_and_the_others_named(tmp_path: Path) -> None:
    for name, text in [*SERIES.items(), *((name, text) for name, (text, _) in LEFT_OUT.items())]:
        (tmp_path / name).write_text(text)
    found, left_out = read_directory(tmp_path)
    first = int(datetime(2026, 7, 1, tzinfo=UTC).timestamp()) + 300
    got = {s.name: (s.meter, s.at.tolist(), s.v_in.tolist(), s.v_out.tolist()) for s in found}
    assert got == {
        "isp": ("bits", [first, first + 300], [0, 0], [800, 1600]),
        "two": ("bytes", [first, first + 300], [1, 3], [2, 4]),
        "vm": ("bytes", [1782864300, 1782864600], [300_000, 300_000], [600_000, 150_000]),
    }
    for name, (_, reason) in LEFT_OUT.items():
        assert reason in dict(left_out)[name.removesuffix(".csv")]


def test_a_series_out_of_order_is_sorted_and_a_bad_number_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("time,bytes\n2026-07-01 00:05,2\n2026-07-01 00:00,1\n")
    assert read_series(path, "s").v_out.tolist() == [1, 2]
    path.write_text("time,bytes\n2026-07-01 00:00,much\n")
    with pytest.raises(UnableToReadSeriesError, match="line 2"):
        read_series(path, "s")


@pytest.mark.slow
def test_the_demo_on_a_directory_bills_the_percentile_of_the_series_and_runs_twice(tmp_path: Path) -> None:
    # Twenty samples of 1 .. 20 Mbit/s: one is dropped, so 19 Mbit/s counts, for one day of thirty-one at 0.10 each.
    rows = [f"2026-07-05 0{i // 12}:{i % 12 * 5:02d}:00,{(i + 1) * 300 * 10**6}" for i in range(20)]
    (tmp_path / "port.csv").write_text("time,traffic (in bits)\n" + "\n".join(rows) + "\n")
    with new_home() as home:
        told = coulance(home, "demo", "--no-serve", "--data", str(tmp_path)).stdout
        assert "closed 2026-07" in told
        assert "1 overage 0.06 EUR" in told  # 19 x 0.10 / 31 = 0.0612..
        why = coulance(home, "explain", "V2026-000001").stdout
        assert "used = 19 Mbit/s" in why
        assert (home / "documents" / "V2026-000001.pdf").read_bytes().startswith(b"%PDF")
        paper = str(tmp_path / "hybrid.pdf")
        coulance(home, "einvoice", "V2026-000001", "--format", "factur-x", "-o", paper)
        assert "CII, urn:cen.eu:en16931:2017: valid" in coulance(home, "einvoice", "validate", paper).stdout
        assert "documents are valid e-invoices" in coulance(home, "einvoice", "check").stdout
        again = coulance(home, "demo", "--no-serve", "--data", str(tmp_path)).stdout
        assert "closed" not in again
        assert "overage invoices  1" in again
