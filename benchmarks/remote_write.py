"""Prometheus remote write on one worker of the web server: 10,000 samples a POST, beside a django-ninja body model.

Both get the same samples with the same labels, each series with one sample, as Prometheus sends them: ours in snappy
protobuf, the rival in the JSON that a model of the same message reads. A sample is one number of one direction.
"decode" is everything before the transaction: for ours labels to series, in beside out, sorted; for the rival
decoding and validation only. "committed" is an answer that came after the commit, with token and counters.
"""

import json

import cramjam
import numpy as np

from benchmarks.harness import Result
from benchmarks.http import peak, posts_a_second, server, with_rival

POSTS = 40
RIVAL_POSTS = 6
PORTS = 5_000
SAMPLES = 2 * PORTS
BEGIN_MS = 1_795_000_000_000
METRICS = ("node_network_receive_bytes_total", "node_network_transmit_bytes_total")


def labels(port: int, metric: str) -> dict[str, str]:
    """The labels of a port's metric: those that node_exporter and a usual configuration give."""
    return {
        "__name__": metric,
        "cluster": "ams1",
        "device": f"eth{port % 2}",
        "environment": "production",
        "instance": f"web{port // 2:05d}.example.net:9100",
        "job": "node",
    }


def key(port: int) -> str:
    """The series key that the rule makes of them."""
    return f"web{port // 2:05d}.example.net:eth{port % 2}"


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(tag: int, content: bytes) -> bytes:
    return bytes([tag]) + _varint(len(content)) + content


def bodies(first: int, count: int) -> list[bytes]:
    """Requests in snappy protobuf, a scrape each."""
    heads = [
        b"".join(_field(10, _field(10, k.encode()) + _field(18, v.encode())) for k, v in labels(port, metric).items())
        for port in range(PORTS) for metric in METRICS
    ]  # fmt: skip
    made = []
    for batch in range(first, first + count):
        at = b"\x10" + _varint(BEGIN_MS + 15_000 * batch)
        values = np.arange(SAMPLES, dtype="<f8") * 1e6 + 10.0**9 + batch * 12_345.0
        raw = values.tobytes()
        parts = [_field(10, head + _field(18, b"\x09" + raw[8 * i : 8 * i + 8] + at)) for i, head in enumerate(heads)]
        made.append(bytes(cramjam.snappy.compress_raw(b"".join(parts))))
    return made


def rival_bodies(first: int, count: int) -> list[bytes]:
    """The same requests as JSON."""
    made = []
    for batch in range(first, first + count):
        series = [
            {
                "labels": labels(i // 2, METRICS[i % 2]),
                "samples": [{"value": i * 1e6 + 1e9 + batch * 12_345.0, "timestamp": BEGIN_MS + 15_000 * batch}],
            }
            for i in range(SAMPLES)
        ]
        made.append(json.dumps({"timeseries": series}).encode())
    return made


def _speed(port: int, path: str, headers: dict[str, str], posts: list[bytes]) -> float:
    """Samples a second."""

    def judge(status: int, answer: bytes) -> None:
        assert status in (200, 204), answer
        if answer:
            assert json.loads(answer)["samples"] == SAMPLES, answer

    return SAMPLES * posts_a_second(port, path, headers, posts, judge)


def run() -> list[Result]:
    """Decode alone, and committed."""
    results = []
    tables = (
        "CREATE TABLE rival_prom (at bigint, series text, v double precision, PRIMARY KEY (at, series));"
        "CREATE TABLE rival_prom_day (series text, day int, n bigint, v double precision,"
        " last_at bigint, PRIMARY KEY (series, day))"
    )
    with with_rival(tables) as token, server("benchmarks.remote_write_app:application") as (port, pid):
        plain = {"Content-Type": "application/json"}
        rival = _speed(port, "/rival/decode", plain, rival_bodies(0, RIVAL_POSTS))
        rival_committed = _speed(port, "/rival/write", plain, rival_bodies(0, RIVAL_POSTS))
        ours = {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "snappy",
            "Authorization": f"Bearer {token}",
        }
        posts = bodies(0, POSTS)
        decoded = _speed(port, "/ours/decode", ours, posts)
        committed = _speed(port, "/api/v1/prometheus/write", ours, posts)
        for what, mine, theirs, goal in (
            ("decode", decoded, rival, 25),
            ("committed", committed, rival_committed, 10),
        ):
            results.append(
                Result(
                    name=f"remote write {what}",
                    ours=mine,
                    unit="samples/s",
                    rival_name="django-ninja body model",
                    rival=theirs,
                    goal=goal,
                    note="a number with its labels",
                    peak_mib=peak(pid),
                )
            )
    return results
