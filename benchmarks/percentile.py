"""Exact p95 and sum of every series, from sealed segments on disk: the kernels beside DuckDB, rrdtool and a loop.

All start from a warm file cache and give, for each series, the 95th percentile and the sum of in and of out. DuckDB
reads the very same Parquet files on as many threads; the figures must be equal. rrdtool (in process, where its Python
binding is installed) reads its own files of some of the series, at full resolution; the loop does, on some of the
series, what LibreNMS does: asks a table for one bill's rows in order and takes one by its index.
"""

import math
import os
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import fsspec
import numpy as np
import pyarrow.parquet as pq

from benchmarks.harness import Result, best_of, here
from coulance.usage import segments
from coulance.usage.blobs import Rows
from coulance.usage.store import SegmentStore
from coulance_core.catalog.terms import PercentileTerms
from coulance_core.usage.percentile import percentile_many, rank_of
from coulance_core.usage.samples import segment_sums

SERIES = int(os.environ.get("COULANCE_BENCH_SERIES", "2000"))
FILES = 8
SLOTS = 8640
START = 1_775_001_600
SOME = 24
"""Series for the slow rivals; their speed doesn't depend on how many there are."""

Figures = dict[int, tuple[int, int, int, int]]
"""Series: (p95 in, p95 out, sum in, sum out)."""


def traffic(first: int, count: int) -> Rows:
    """A month of bytes a slot for some series: each has its own level, a day's rhythm, noise and bursts."""
    slot = np.arange(SLOTS)
    rhythm = 1 + 0.6 * np.sin(2 * np.pi * (slot % 288) / 288)
    value = np.empty((count, 2, SLOTS), np.int64)
    for i in range(count):  # seeded by series, so that the slow rivals get the same ones
        rng = np.random.default_rng(first + i)
        level = 10 ** rng.uniform(4, 9, (2, 1))
        burst = np.where(rng.random((2, SLOTS)) < 0.01, 20, 1)
        value[i] = level * rhythm * rng.lognormal(0, 0.5, (2, SLOTS)) * burst
    series = np.repeat(np.arange(first, first + count, dtype=np.int64), SLOTS)
    at = np.tile(START + 300 * (slot + 1), count).astype(np.int64)
    return Rows(series, at, value[:, 0].reshape(-1), value[:, 1].reshape(-1))


def write_segments(folder: Path) -> list[Path]:
    """The month as sealed segments, written by the store's own writer."""
    paths = []
    for i in range(FILES):
        first, last = SERIES * i // FILES, SERIES * (i + 1) // FILES
        rows = traffic(first, last - first)
        written = segments.write(segments.Part(rows, np.ones(len(rows), np.int64)), level=1)
        path = folder / f"{i}.parquet"
        path.write_bytes(written.data)
        paths.append(path)
    return paths


def ours_of(path: Path) -> Figures:
    """One segment: the values decoded, the series' bounds from its footer, the kernels over them."""
    store = SegmentStore(fsspec.filesystem("file"), str(path.parent), local=True)
    index = segments.index_of(store, path.name)
    ids, offsets = index.ids, index.starts
    terms = PercentileTerms()
    table = pq.ParquetFile(path, metadata=index.metadata).read(columns=["v_in", "v_out"], use_threads=False)
    columns = [table.column(name).to_numpy() for name in ("v_in", "v_out")]
    p95 = [percentile_many(column, offsets, terms).tolist() for column in columns]
    sums = [segment_sums(column, offsets) for column in columns]
    return dict(zip(ids.tolist(), zip(*p95, *sums, strict=True), strict=True))


def ours(paths: list[Path], threads: int) -> Figures:
    """Segments side by side: decoding and selecting release the interpreter's lock."""
    segments.index_of.cache_clear()  # the footers are part of the work
    figures: Figures = {}
    with ThreadPoolExecutor(threads) as pool:
        for part in pool.map(ours_of, paths):
            figures |= part
    return figures


def duck(paths: list[Path], threads: int) -> Figures:
    """quantile_disc is the drop-5-% rule."""
    connection = duckdb.connect(config={"threads": threads})
    rows = connection.execute(
        "select series, quantile_disc(v_in, 0.95), quantile_disc(v_out, 0.95), sum(v_in)::bigint, sum(v_out)::bigint "
        "from read_parquet(?) group by series",
        [[str(path) for path in paths]],
    ).fetchall()
    return {row[0]: row[1:] for row in rows}


def write_table(folder: Path) -> Path:
    """Some series in a table as LibreNMS keeps them."""
    path = folder / "bills.sqlite"
    rows = traffic(0, SOME)
    with sqlite3.connect(path) as connection:
        connection.execute("create table bill_data (bill_id, timestamp, in_delta, out_delta)")
        columns = (rows.series.tolist(), rows.at.tolist(), rows.v_in.tolist(), rows.v_out.tolist())
        connection.executemany("insert into bill_data values (?, ?, ?, ?)", zip(*columns, strict=True))
        connection.execute("create index bills on bill_data (bill_id, timestamp)")
    return path


def loop(path: Path) -> Figures:
    """For each bill and direction: the rows in order of the delta, one picked by its index; the sum beside it."""
    figures: Figures = {}
    with sqlite3.connect(path) as connection:
        for bill in range(SOME):
            p95, sums = [], []
            for column in ("in_delta", "out_delta"):
                rows = connection.execute(
                    f"select * from bill_data where bill_id = ? and timestamp > ? order by {column}", (bill, START)
                ).fetchall()
                place = 2 if column == "in_delta" else 3
                p95.append(rows[math.floor(len(rows) / 100 * 95 + 0.5) - 1][place])
                total = 0
                for row in rows:
                    total += row[place]
                sums.append(total)
            figures[bill] = (*p95, *sums)
    return figures


def write_rrds(folder: Path, rrdtool: object) -> list[Path]:
    """Some series as rrdtool's own files, one row a slot; values are fed as rates."""
    rows = traffic(0, SOME)
    paths = []
    for i in range(SOME):
        path = folder / f"{i}.rrd"
        rrdtool.create(  # type: ignore[attr-defined]
            str(path), "--start", str(START), "--step", "300", "DS:in:GAUGE:600:0:U", "DS:out:GAUGE:600:0:U",
            f"RRA:AVERAGE:0.5:1:{SLOTS + 10}",
        )  # fmt: skip
        mine = slice(i * SLOTS, (i + 1) * SLOTS)
        columns = (rows.at[mine].tolist(), rows.v_in[mine].tolist(), rows.v_out[mine].tolist())
        updates = [f"{t}:{a}:{b}" for t, a, b in zip(*columns, strict=True)]
        rrdtool.update(str(path), *updates)  # type: ignore[attr-defined]
        paths.append(path)
    return paths


def rrd(paths: list[Path], rrdtool: object) -> Figures:
    """PERCENT and the average at full resolution: as many pixels as slots."""
    figures: Figures = {}
    for i, path in enumerate(paths):
        prints = []
        for name in ("in", "out"):
            prints += [
                f"DEF:{name}={path}:{name}:AVERAGE",
                f"VDEF:p{name}={name},95,PERCENT",
                f"VDEF:t{name}={name},TOTAL",
                f"PRINT:p{name}:%.0lf",
                f"PRINT:t{name}:%.0lf",
            ]
        span = ["--start", str(START), "--end", str(START + SLOTS * 300 - 1), "--width", str(SLOTS)]
        info = rrdtool.graphv("-", *span, "--only-graph", *prints)  # type: ignore[attr-defined]
        p_in, t_in, p_out, t_out = (int(info[f"print[{n}]"]) for n in range(4))
        figures[i] = (p_in, p_out, t_in // 300, t_out // 300)
    return figures


def run() -> list[Result]:
    """Ours beside each rival, equal to all of them."""
    folder = here("percentile")
    shutil.rmtree(folder)
    folder.mkdir()
    threads = os.cpu_count() or 1
    samples, some = SERIES * SLOTS * 2, SOME * SLOTS * 2
    try:
        paths = write_segments(folder)
        size = sum(path.stat().st_size for path in paths) / samples
        figures = ours(paths, threads)
        assert figures == duck(paths, threads), "DuckDB and the kernels disagree"
        speed = samples / best_of(3, lambda: ours(paths, threads))
        what = f"exact p95 + sum of {SERIES} series from disk, {threads} threads"
        rival = samples / best_of(3, lambda: duck(paths, threads))
        results = [Result(what, speed, "samples/s", "DuckDB", rival, 2, note=f"{size:.1f} bytes a sample")]
        table = write_table(folder)
        assert rank_of(SLOTS, PercentileTerms().rank).ascending == math.floor(SLOTS / 100 * 95 + 0.5)
        assert all(figures[bill] == by_loop for bill, by_loop in loop(table).items())
        results.append(
            Result("the same", speed, "samples/s", "LibreNMS-like loop", some / best_of(2, lambda: loop(table)), 50)
        )
        results.append(_beside_rrdtool(folder, speed, some, figures))
        return results
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _beside_rrdtool(folder: Path, speed: float, some: int, figures: Figures) -> Result:
    try:
        import rrdtool
    except ImportError:
        return Result(
            "the same", speed, "samples/s", "rrdtool", note="skipped: its Python binding isn't installed here"
        )
    paths = write_rrds(folder, rrdtool)
    for series, (p_in, p_out, _, _) in rrd(paths, rrdtool).items():
        assert (p_in, p_out) == figures[series][:2], "rrdtool and the kernels disagree"
    return Result("the same", speed, "samples/s", "rrdtool", some / best_of(2, lambda: rrd(paths, rrdtool)), 15)
