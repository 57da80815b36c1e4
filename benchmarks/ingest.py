"""Durable, exact, de-duplicated ingest with running counters, in 10,000-row batches, fsync on.

Ours takes text keys and validates; the rival is PostgreSQL itself on the same server, given everything it could wish:
ids instead of keys, no validation, the key order that suits it best, one COPY, one INSERT ... ON CONFLICT and one
upsert of the day's counters a batch.

Two shapes: a poll (each batch has one sample of each of 10,000 series) and a backlog (1,000 series, ten samples each).
"""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa

from benchmarks.harness import Result, timed
from benchmarks.server import database

SERIES = 10_000
ROWS = 10_000
BATCHES = 120
TURN = 10
T0 = 1_790_000_100
NOW = datetime(2026, 12, 1, tzinfo=UTC)


def samples(batch: int, shape: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(series number, at, in, out) of one batch."""
    if shape == "poll":
        series = np.arange(SERIES)
        at = np.full(SERIES, T0 + 300 * batch)
    else:
        first = (batch % 10) * 1000
        series = np.repeat(np.arange(first, first + 1000), 10)
        at = T0 + 300 * (10 * (batch // 10) + np.tile(np.arange(10), 1000))
    values = rng.lognormal(16, 2, (2, ROWS)).astype(np.int64)
    return series, at, values[0], values[1]


def install_series(names: list[str]) -> None:
    """Give ingest these series, with a delta meter, without filling the rooms below."""
    from coulance.usage import registry
    from coulance_core.catalog.meters import Meter, MeterKind
    from coulance_core.kernel import unit

    table = registry.build(
        {name: (i + 1, "traffic", "Europe/Amsterdam") for i, name in enumerate(names)},
        {"traffic": Meter("traffic", "Traffic", MeterKind.DELTA, unit("B"))},
    )
    registry.current = lambda: table


def warm_up(table: pa.Table) -> None:
    """Let what is imported on first use be imported: a batch of which every row is in the far future."""
    from coulance.usage import operations

    late = table.slice(0, 10).set_column(1, "at", pa.array([2**33] * 10))
    answer = operations.ingest_batch(columns=operations.from_arrow(late), source="bench", recorded_at=NOW)
    assert answer.rejected_rows == 10, answer


def names() -> list[str]:
    """The keys that senders use."""
    return [f"vps-{i:05}.example.nl:eth0" for i in range(SERIES)]


def tables(shape: str) -> list[pa.Table]:
    """All batches of a shape as senders send them."""
    keys = pa.array(names())
    rng = np.random.default_rng(1)
    made = []
    for batch in range(BATCHES):
        series, at, v_in, v_out = samples(batch, shape, rng)
        made.append(pa.table({"series": keys.take(pa.array(series)), "at": at, "in": v_in, "out": v_out}))
    return made


def ours(shape: str, batches: list[pa.Table], first: int) -> float:
    """Seconds to commit some batches."""
    from coulance.usage import operations

    with timed() as watch:
        for number, table in enumerate(batches, first):
            answer = operations.ingest_batch(
                columns=operations.from_arrow(table), source="bench", recorded_at=NOW, key=f"{shape}-{number}"
            )
            assert answer.accepted == ROWS, answer
    return watch.seconds


def check_ours(shape: str, batches: list[pa.Table]) -> None:
    """Everything is there once, and a batch under another key is all duplicates."""
    from coulance.usage import operations, queries

    again = operations.ingest_batch(
        columns=operations.from_arrow(batches[0]), source="bench", recorded_at=NOW, key=f"{shape}-again"
    )
    assert again.duplicate == ROWS, again
    assert queries.overview().unsealed_rows == ROWS * BATCHES


def prepare_rival(connection: "psycopg.Connection[Any]") -> None:
    """The rival's tables."""
    connection.execute(
        "DROP TABLE IF EXISTS rival_sample, rival_day;"
        "CREATE TABLE rival_sample (at bigint, series bigint, v_in bigint, v_out bigint, PRIMARY KEY (at, series));"
        "CREATE TABLE rival_day (series bigint, day int, n bigint, v_in numeric, v_out numeric,"
        " last_at bigint, PRIMARY KEY (series, day));"
        "CREATE TEMP TABLE IF NOT EXISTS rival_in (at bigint, series bigint, v_in bigint, v_out bigint)"
    )
    connection.commit()


def rival(connection: "psycopg.Connection[Any]", batches: list[list[tuple[int, int, int, int]]]) -> float:
    """Seconds to commit some batches by COPY + ON CONFLICT + counters."""
    with timed() as watch:
        for rows in batches:
            with connection.transaction(), connection.cursor() as cursor:
                cursor.execute("TRUNCATE rival_in")
                with cursor.copy("COPY rival_in FROM STDIN (FORMAT binary)") as copy:
                    copy.set_types(["int8", "int8", "int8", "int8"])
                    for row in rows:
                        copy.write_row(row)
                cursor.execute(
                    "WITH fresh AS (INSERT INTO rival_sample SELECT at, series, v_in, v_out FROM rival_in"
                    "  ON CONFLICT DO NOTHING RETURNING at, series, v_in, v_out)"
                    " INSERT INTO rival_day SELECT series, (at / 86400)::int, count(*), sum(v_in), sum(v_out), max(at)"
                    " FROM fresh GROUP BY 1, 2 ORDER BY 1, 2 ON CONFLICT (series, day) DO UPDATE SET"
                    " n = rival_day.n + excluded.n, v_in = rival_day.v_in + excluded.v_in,"
                    " v_out = rival_day.v_out + excluded.v_out, last_at = greatest(rival_day.last_at, excluded.last_at)"
                )
    connection.commit()
    return watch.seconds


def rows_of(shape: str) -> list[list[tuple[int, int, int, int]]]:
    """The same batches as the rival wants them."""
    rng = np.random.default_rng(1)
    made = []
    for batch in range(BATCHES):
        series, at, v_in, v_out = samples(batch, shape, rng)
        made.append(list(zip(at.tolist(), series.tolist(), v_in.tolist(), v_out.tolist(), strict=True)))
    return made


def run() -> list[Result]:
    """Both shapes, ours and the rival by turns, so that a noisy machine disturbs both alike."""
    results = []
    with database() as url, psycopg.connect(url) as connection:
        install_series(names())
        for shape, words in (("poll", "10,000 series, one sample each"), ("backlog", "1,000 series, ten samples each")):
            connection.execute("TRUNCATE usage_batch, usage_blob, usage_state_page, usage_day_page")
            prepare_rival(connection)
            batches, rows = tables(shape), rows_of(shape)
            warm_up(batches[0])
            mine = theirs = 0.0
            for first in range(0, BATCHES, TURN):
                theirs += rival(connection, rows[first : first + TURN])
                mine += ours(shape, batches[first : first + TURN], first)
            check_ours(shape, batches)
            assert connection.execute("SELECT count(*) FROM rival_sample").fetchone() == (ROWS * BATCHES,)
            connection.commit()
            results.append(
                Result(
                    name=f"ingest {shape}",
                    note=words,
                    ours=ROWS * BATCHES / mine,
                    unit="rows/s",
                    rival_name="COPY + ON CONFLICT + counters",
                    rival=ROWS * BATCHES / theirs,
                    goal=10,
                )
            )
    return results
