# ruff: noqa: A005 - named for what it measures, and only imported as benchmarks.http
"""HTTP ingest on one worker of the web server: 10,000 samples a POST, ours beside a django-ninja body model.

"decode" is everything before the transaction (for ours: the series looked up and the rows sorted, too); "committed" is
an answer that came after the commit, with our token checked and our counters kept.
"""

import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
import psutil
import psycopg
import pyarrow as pa

from benchmarks.harness import Result, timed
from benchmarks.ingest import names, samples
from benchmarks.server import database

POSTS = 40
RIVAL_POSTS = 8
ROWS = 10_000
ARROW = "application/vnd.apache.arrow.stream"
JSON = "application/json"


def bodies(form: str, first: int, count: int) -> list[bytes]:
    """POST bodies in one form; `first` keeps batches apart."""
    rng = np.random.default_rng(first)
    keys = pa.array(names())
    made = []
    for batch in range(first, first + count):
        series, at, v_in, v_out = samples(batch, "poll", rng)
        text = keys.take(pa.array(series))
        if form == "arrow":
            table = pa.table({"series": text, "at": at, "in": v_in, "out": v_out})
            sink = io.BytesIO()
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
            made.append(sink.getvalue())
            continue
        columns = {"series": text.to_pylist(), "at": at.tolist(), "in": v_in.tolist(), "out": v_out.tolist()}
        if form == "columns":
            made.append(json.dumps(columns).encode())
        else:
            rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            made.append(json.dumps({"samples": rows}).encode())
    return made


@contextmanager
def server(application: str = "benchmarks.http_app:application") -> Iterator[tuple[int, int]]:
    """One worker of the web server: (port, process id)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["--interface", "wsgi", "--port", str(port), "--workers", "1", "--blocking-threads", "1", "--no-ws"]
    process = subprocess.Popen(
        [sys.executable, "-m", "granian", *arguments, "--log-level", "error", application],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["src", "."])},
        start_new_session=True,
    )
    try:
        for _ in range(300):
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
            except OSError:
                time.sleep(0.1)
        yield port, process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def speed(port: int, path: str, kind: str, posts: list[bytes], token: str = "") -> float:
    """Samples a second, each POST one of ours."""

    def judge(status: int, answer: bytes) -> None:
        told = json.loads(answer)
        assert status == 200, told
        assert ROWS in (told.get("rows"), told.get("accepted")), told
        assert not told.get("rejected_rows"), told

    headers = {"Content-Type": kind, **({"Authorization": f"Bearer {token}"} if token else {})}
    return ROWS * posts_a_second(port, path, headers, posts, judge)


def posts_a_second(
    port: int, path: str, headers: dict[str, str], posts: list[bytes], judge: Callable[[int, bytes], None]
) -> float:
    """How many go over one kept-alive connection, each answer judged; the first POST is not timed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def post(body: bytes) -> None:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        judge(answer.status, answer.read())

    post(posts[0])
    with timed() as watch:
        for body in posts[1:]:
            post(body)
    connection.close()
    return (len(posts) - 1) / watch.seconds


@contextmanager
def with_rival(tables: str) -> Iterator[str]:
    """A database with the rival's tables beside ours; gives a token for ours."""
    with database() as url:
        from coulance.platform import tokens

        token, _ = tokens.make_token(
            name="bench", scopes=["usage:write"], at=datetime(2026, 1, 1, tzinfo=UTC), actor="bench"
        )
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(tables)
        yield token


def run() -> list[Result]:
    """Decode alone, and committed, in each form."""
    results = []
    tables = (
        "CREATE TABLE rival_sample (at bigint, series bigint, v_in bigint, v_out bigint,"
        " PRIMARY KEY (at, series));"
        "CREATE TABLE rival_day (series bigint, day int, n bigint, v_in numeric, v_out numeric,"
        " last_at bigint, PRIMARY KEY (series, day))"
    )
    with with_rival(tables) as token, server() as (port, pid):
        rival = speed(port, "/rival/decode", JSON, bodies("rows", 0, RIVAL_POSTS))
        rival_committed = speed(port, "/rival/usage", JSON, bodies("rows", 0, RIVAL_POSTS))
        for number, (form, kind, goal) in enumerate(
            (("arrow", ARROW, True), ("columns", JSON, False), ("rows", JSON, False))
        ):
            posts = bodies(form, number * POSTS, POSTS)
            decoded = speed(port, "/ours/decode", kind, posts)
            committed = speed(port, "/api/v1/usage", kind, posts, token)
            for what, mine, theirs, least in (
                ("decode", decoded, rival, 25),
                ("committed", committed, rival_committed, 10),
            ):
                results.append(
                    Result(
                        name=f"http {what}, {form}",
                        ours=mine,
                        unit="samples/s",
                        rival_name="django-ninja body model",
                        rival=theirs,
                        goal=least if goal else None,
                        note="goal for Arrow" if goal else "",
                        peak_mib=peak(pid),
                    )
                )
    return results


def peak(pid: int) -> float:
    """The most memory that the server's processes hold, in MiB."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(one.memory_info().rss for one in family) / 2**20
