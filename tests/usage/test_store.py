"""Sealing, compaction, retention, garbage, damage; other engines read the same; S3 does too."""

import errno
import os
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from coulance.usage import blobs, operations, queries, sealing, segments, store
from coulance.usage.blobs import BlobError, Rows
from coulance.usage.models import Blob, Segment
from coulance_core.kernel import Period
from tests.usage.support import NOW, SERIES, T0, day_totals, faults, send, stored

MONTH = 30 * 86_400


def fill() -> None:
    """Three months of a few series, with corrections and late samples, in several batches."""
    for month in (0, 1, -1):
        begin = T0 + month * MONTH
        send([(key, begin + i * 300, i, 2 * i) for key in ("t0", "t1", "t7", "c0") for i in range(0, 200, 2)])
        send([(key, begin + i * 300, i, 2 * i) for key in ("t1", "c0") for i in range(1, 200, 2)])
    send([("t1", T0 + 300 * i, 5, 5) for i in range(10)])


@pytest.mark.parametrize("values", [[0], [255], [256, 1], [2**40], [-1, 5], [2**63 - 1, -(2**63)]])
def test_a_blob_reads_back(values: list[int]) -> None:
    n = len(values)
    some = Rows(
        np.arange(5, 5 + 3 * n, 3),
        T0 + np.arange(n) * 70_000,
        np.array(values, np.int64),
        np.array(values[::-1], np.int64),
    )
    back = blobs.decode(blobs.encode(some))
    for name in ("series", "at", "v_in", "v_out"):
        assert np.array_equal(getattr(back, name), getattr(some, name))


def test_a_damaged_blob_is_noticed() -> None:
    data = bytearray(blobs.encode(Rows(*(np.array([1, 2], np.int64) for _ in range(4)))))
    data[-1] ^= 1
    with pytest.raises(BlobError, match="checksum"):
        blobs.decode(bytes(data))
    with pytest.raises(BlobError, match="short"):
        blobs.decode(b"CBL1")


def test_sealing_and_merging_change_nothing_that_is_read(db: Any, series: Path) -> None:
    fill()
    before, totals = stored(), [day_totals(key) for key in ("t0", "t1", "t7", "c0")]
    assert len(before) == 1800
    done = operations.seal(now=NOW)
    assert (done.blobs, Blob.objects.count()) == (7, 0)
    assert stored() == before
    send([("t0", T0 + 300, 7, 7)])  # a late one among what is sealed
    operations.seal(now=NOW)
    before["t0", T0 + 300] = (7, 7)
    merged = operations.compact(now=NOW, least=1)
    assert merged.merged > merged.into >= 3
    assert stored() == before
    assert operations.compact(now=NOW).merged == 0
    assert faults() == []
    assert [day_totals(key) for key in ("t1", "t7", "c0")] == totals[1:]
    assert Segment.objects.filter(state="superseded").count() == merged.merged


def test_duckdb_reads_the_same(db: Any, series: Path) -> None:
    fill()
    operations.seal(now=NOW)
    ours = stored()
    theirs = duckdb.sql(
        'SELECT series, "at", arg_max(v_in, revision), arg_max(v_out, revision)'
        f" FROM '{series}/*/*/*.parquet' GROUP BY 1, 2"
    ).fetchall()
    names = {number: key for key, (number, *_) in SERIES.items()}
    assert {(names[s], at): (a, b) for s, at, a, b in theirs} == ours


def test_samples_of_some_series_and_some_time(db: Any, series: Path) -> None:
    fill()
    operations.seal(now=NOW)
    send([("t7", T0 + 201 * 300, 1, 1)])
    ids = [SERIES["t7"][0], SERIES["t1"][0], SERIES["g0"][0]]
    period = Period(NOW.fromtimestamp(T0 + 3000, NOW.tzinfo), NOW.fromtimestamp(T0 + 201 * 300, NOW.tzinfo))
    block = queries.series_samples(series=ids, period=period)
    expected = {k: v for k, v in stored(["t7", "t1"]).items() if T0 + 3000 <= k[1] <= T0 + 201 * 300}
    bounds = block.samples.offsets.tolist()
    assert block.samples.series == 3
    assert bounds[2] == bounds[3]
    read = {
        (key, int(block.samples.at[i])): (int(block.samples.v_in[i]), int(block.samples.v_out[i]))
        for place, key in enumerate(("t7", "t1"))
        for i in range(bounds[place], bounds[place + 1])
    }
    assert read == expected


def test_expired_months_are_refused_and_their_counters_stay(db: Any, series: Path) -> None:
    fill()
    operations.seal(now=NOW)
    total = day_totals("t0")
    assert operations.retain(before=date(2026, 10, 1), now=NOW) > 0
    assert all(at >= 1_790_812_800 for _, at in stored())
    answer = send([("t0", T0, 5, 5), ("t0", T0 + 20 * 86_400, 5, 5)])
    assert (answer.accepted + answer.late, answer.rejected_rows) == (1, 1)
    assert "kept" in answer.rejected[0].reason
    assert day_totals("t0") == (total[0] + 1, total[1] + 5, total[2] + 5)
    assert faults() == []


def test_files_outlive_the_manifest_for_a_while(db: Any, series: Path) -> None:
    fill()
    operations.seal(now=NOW)
    operations.compact(now=NOW)
    (series / "2026" / "09" / "stray.parquet").write_bytes(b"left by a crash")
    os.utime(series / "2026" / "09" / "stray.parquet", (1, 1))
    files = len(list(series.rglob("*.parquet")))
    assert operations.collect_garbage(now=NOW + timedelta(days=1)) == (0, 1)
    left = Segment.objects.filter(state="superseded").count()
    if left == 0:
        send([("t0", T0 + 9 * 300, 1, 1)])
        operations.seal(now=NOW)
        left = operations.compact(now=NOW, least=1).merged
        files = len(list(series.rglob("*.parquet"))) + 1
    assert operations.collect_garbage(now=NOW + timedelta(days=36)) == (left, 0)
    assert len(list(series.rglob("*.parquet"))) == files - 1 - left
    assert Segment.objects.filter(state="deleted", deleted_at__isnull=False).count() == left
    assert faults() == []


@pytest.mark.parametrize("harm", ["missing", "cut", "flipped"])
def test_harm_to_a_segment_is_found(db: Any, series: Path, harm: str) -> None:
    fill()
    operations.seal(now=NOW)
    victim = sorted(series.rglob("*.parquet"))[0]
    data = bytearray(victim.read_bytes())
    if harm == "missing":
        victim.unlink()
    elif harm == "cut":
        victim.write_bytes(data[:-10])
    else:
        data[100] ^= 1
        victim.write_bytes(data)
    found = faults()
    assert len(found) == 1
    assert victim.name in found[0]
    assert "restore it from a backup" in found[0]


def test_a_full_disk_keeps_the_samples_and_leaves_no_rest(
    db: Any, series: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send([("t0", T0 + 300 * i, i, 2 * i) for i in range(20)])
    before = stored()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(operations.UnableToSealError, match=r"No space left on device.*kept where it was"):
            operations.seal(now=NOW)
    assert [path for path in series.rglob("*") if path.is_file()] == []
    assert Blob.objects.count() == 1
    assert operations.seal(now=NOW).rows == 20
    assert stored() == before


def test_one_sealer_at_a_time(committed_db: Any, series: Path) -> None:
    from django.db import connection

    fill()
    outcome: list[str] = []

    def other() -> None:
        try:
            operations.seal(now=NOW)
        except operations.UnableToSealError as fault:
            outcome.append(str(fault))
        finally:
            connection.close()

    with sealing._alone():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert "another process" in outcome[0]
    assert operations.seal(now=NOW).rows > 0


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    import urllib.request

    urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/samples", method="PUT")).close()
    yield f"s3://samples/segments?endpoint=http://{host}:{port}&region=us-east-1"
    server.stop()


def test_segments_in_a_bucket(db: Any, series: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.VARIABLE, bucket)
    fill()
    before = stored()
    operations.seal(now=NOW)
    assert stored() == before
    operations.compact(now=NOW, least=1)
    assert stored() == before
    assert faults() == []
    names = [path for path, _ in store.current().list()]
    assert names
    store.current().delete(Segment.objects.filter(state="live").values_list("path", flat=True)[0])
    segments.index_of.cache_clear()
    assert "missing" in faults()[0]
    assert not list(series.rglob("*.parquet"))
