"""Usage over HTTP: batches in, quarantine and running counters out."""

from datetime import date, datetime
from typing import Any

import msgspec
import pyarrow as pa
from django.http import HttpRequest, HttpResponse
from ninja import Router

from coulance.api import arrow_stream
from coulance.api.app import NeedsScope, Problem
from coulance.platform import clock
from coulance.usage import operations, queries
from coulance.usage.columns import Columns

router = Router(tags=["usage"])

ARROW = "application/vnd.apache.arrow.stream"
JSON = "application/json"
LARGEST_BODY = 32 * 1024 * 1024
"""Bytes of a batch, at most; about a million rows of Arrow."""
MOST_ROWS = 1_000_000
LARGEST_UNPACKED = 128 * 1024 * 1024
"""Bytes that a compressed Arrow batch may become."""


class _Sample(msgspec.Struct, forbid_unknown_fields=True, gc=False, rename={"in_": "in"}):
    """A row of row JSON."""

    series: str
    at: int | str
    in_: int | float | str | None = None
    out: int | float | str | None = None
    value: int | float | str | None = None
    item: str | None = None
    since: int | str | None = None


class _Traffic(msgspec.Struct, forbid_unknown_fields=True, gc=False, rename={"in_": "in"}):
    """A row of the usual kind: whole numbers in and out."""

    series: str
    at: int
    in_: int
    out: int


class _TrafficBatch(msgspec.Struct, forbid_unknown_fields=True):
    samples: list[_Traffic]


class _RowBatch(msgspec.Struct, forbid_unknown_fields=True):
    samples: list[_Sample]


class _Columns(msgspec.Struct, forbid_unknown_fields=True, rename={"in_": "in"}):
    """Columnar JSON; the usual case, all whole numbers, decodes straight into lists of them."""

    series: list[str]
    at: list[int]
    in_: list[int] | None = None
    out: list[int] | None = None
    value: list[int] | None = None
    item: list[str] | None = None
    since: list[int] | None = None


class _AnyColumns(msgspec.Struct, forbid_unknown_fields=True, rename={"in_": "in"}):
    """Columnar JSON with anything else that a column may hold; rows at fault are named later."""

    series: list[str | None]
    at: list[int | float | str | None]
    in_: list[int | float | str | None] | None = None
    out: list[int | float | str | None] | None = None
    value: list[int | float | str | None] | None = None
    item: list[str | None] | None = None
    since: list[int | float | str | None] | None = None


class _Shape(msgspec.Struct):
    samples: msgspec.Raw = msgspec.Raw()


_NAMES = (("series", "series"), ("at", "at"), ("in_", "in"), ("out", "out"), ("value", "value"), ("item", "item"))
_plain = msgspec.json.Decoder(_Columns)
_mixed = msgspec.json.Decoder(_AnyColumns)
_traffic = msgspec.json.Decoder(_TrafficBatch)
_rows = msgspec.json.Decoder(_RowBatch)
_shape = msgspec.json.Decoder(_Shape)


def decode_arrow(body: bytes) -> Columns:
    """A batch from an Arrow IPC stream. Raises `UnableToReadBatchError`, and `Problem` for one too large to unpack."""
    try:
        rows, unpacked = arrow_stream.size_of(body)
    except arrow_stream.NotAStreamError as fault:
        raise operations.UnableToReadBatchError("body", f"not an Arrow IPC stream: {fault}") from fault
    if rows > MOST_ROWS:
        raise Problem(413, "Too large", f"a batch has at most {MOST_ROWS} rows; this one has {rows}: send less")
    if unpacked > LARGEST_UNPACKED:
        raise Problem(
            413, "Too large", f"a batch has at most {LARGEST_UNPACKED} bytes unpacked; this one {unpacked}: send less"
        )
    try:
        with pa.ipc.open_stream(pa.py_buffer(body)) as stream:
            table = stream.read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as fault:
        raise operations.UnableToReadBatchError("body", f"not an Arrow IPC stream: {fault}") from fault
    return operations.from_arrow(table)


def decode_json(body: bytes) -> Columns:
    """A batch from JSON: columns ({"series": [...], "at": [...], ...}) or rows ({"samples": [{...}, ...]})."""
    try:
        if not bytes(_shape.decode(body).samples):
            return _from_columns(body)
        try:
            traffic = _traffic.decode(body).samples
        except msgspec.ValidationError:
            samples = _rows.decode(body).samples
        else:
            return operations.from_lists(
                {
                    "series": [one.series for one in traffic],
                    "at": [one.at for one in traffic],
                    "in": [one.in_ for one in traffic],
                    "out": [one.out for one in traffic],
                }
            )
    except msgspec.ValidationError as fault:
        message, _, path = str(fault).partition(" - at ")
        raise operations.UnableToReadBatchError(path.strip("`") or "body", message) from fault
    except msgspec.DecodeError as fault:
        raise operations.UnableToReadBatchError("body", str(fault)) from fault
    except UnicodeDecodeError as fault:
        raise operations.UnableToReadBatchError("body", f"JSON is text in UTF-8, and this is not: {fault}") from fault
    except RecursionError as fault:
        raise operations.UnableToReadBatchError("body", "nested too deeply") from fault
    columns: dict[str, list[Any]] = {}
    for field, name in (*_NAMES, ("since", "since")):
        values = [getattr(sample, field) for sample in samples]
        if name in ("series", "at") or any(value is not None for value in values):
            columns[name] = values
    if "in" in columns or "out" in columns:
        for name in ("in", "out"):
            columns.setdefault(name, [None] * len(samples))
    if not {"in", "value", "item"} & columns.keys():
        columns["value"] = [None] * len(samples)
    return operations.from_lists(columns)


def _from_columns(body: bytes) -> Columns:
    try:
        batch: _Columns | _AnyColumns = _plain.decode(body)
    except msgspec.ValidationError:
        batch = _mixed.decode(body)
    columns = {
        name: values for field, name in (*_NAMES, ("since", "since")) if (values := getattr(batch, field)) is not None
    }
    return operations.from_lists(columns)


def decode(content_type: str, body: bytes) -> Columns:
    """A batch by its content type. Raises `Problem` (413, 415, 422)."""
    if len(body) > LARGEST_BODY:
        raise Problem(
            413, "Too large", f"a batch has at most {LARGEST_BODY} bytes; this one has {len(body)}: send less"
        )
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == ARROW:
            columns = decode_arrow(body)
        elif kind == JSON:
            columns = decode_json(body)
        else:
            raise Problem(415, "Unknown content type", f"send {ARROW} or {JSON}, not {kind or 'nothing'}")
    except operations.UnableToReadBatchError as fault:
        raise Problem(422, "The batch can't be read", fault.message, where=fault.where) from fault
    if len(columns) > MOST_ROWS:
        raise Problem(413, "Too large", f"a batch has at most {MOST_ROWS} rows; this one has {len(columns)}: send less")
    return columns


_BATCH_SCHEMA = {
    "requestBody": {
        "required": True,
        "content": {
            ARROW: {"schema": {"type": "string", "format": "binary"}},
            JSON: {
                "schema": {
                    "oneOf": [
                        {"type": "object", "required": ["series", "at"], "title": "columns"},
                        {"type": "object", "required": ["samples"], "title": "rows"},
                    ]
                },
                "examples": {
                    "columns": {
                        "value": {"series": ["vps-17:eth0"], "at": [1790000100], "in": [123456], "out": [654321]}
                    },
                    "rows": {
                        "value": {"samples": [{"series": "disk-3", "at": "2026-10-01T00:00:00Z", "value": "12.5"}]}
                    },
                },
            },
        },
    },
    "parameters": [
        {
            "in": "header",
            "name": "Idempotency-Key",
            "schema": {"type": "string", "maxLength": 200},
            "description": "Names the batch. The same key and contents again get the first answer again.",
        }
    ],
}


@router.post(
    "",
    auth=NeedsScope("usage:write"),
    openapi_extra=_BATCH_SCHEMA,
    summary="Send a batch of samples",
    description="Answers once the batch is committed, with what became of its rows.",
)
def send_batch(request: HttpRequest) -> HttpResponse:
    """Take a batch in; 200 with the answer, also when some rows were rejected."""
    length = request.headers.get("Content-Length", "")
    if not length.isdecimal():
        raise Problem(411, "No length", "say how long the body is: Content-Length")
    if int(length) > LARGEST_BODY:
        raise Problem(413, "Too large", f"a batch has at most {LARGEST_BODY} bytes; this one has {length}: send less")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Problem(
            415, "Encoded body", "send the body as it is, without Content-Encoding; Arrow may compress inside"
        )
    key = request.headers.get("Idempotency-Key")
    if key is not None and not 1 <= len(key) <= 200:
        raise Problem(422, "Not a key", "Idempotency-Key has 1 to 200 characters", where="Idempotency-Key")
    columns = decode(request.headers.get("Content-Type", ""), request.body)
    token = request.auth  # type: ignore[attr-defined]
    try:
        answer = operations.ingest_batch(
            columns=columns, source=token.actor, recorded_at=clock.now(), key=f"key:{key}" if key else None
        )
    except operations.UnableToIngestError as fault:
        raise Problem(422, "The batch is refused", str(fault), where="Idempotency-Key") from fault
    return HttpResponse(msgspec.json.encode(answer.as_json()), content_type=JSON)


@router.get("/quarantine", auth=NeedsScope("usage:read"), summary="Samples that wait for their series to be assigned")
def quarantine(request: HttpRequest) -> list[dict[str, Any]]:  # noqa: ARG001 - ninja's signature
    """By series key: how many rows, of when, and why they wait."""
    return [
        {
            "series": one.key,
            "reason": one.note or one.reason,
            "rows": one.rows,
            "batches": one.batches,
            "first_used_at": one.first_at.isoformat(),
            "last_used_at": one.last_at.isoformat(),
            "waiting_since": one.since.isoformat(),
        }
        for one in queries.quarantined()
    ]


@router.get("/days", auth=NeedsScope("usage:read"), summary="Running counters of a series, by civil day")
def days(request: HttpRequest, series: str, start: date, end: date) -> list[dict[str, Any]]:  # noqa: ARG001
    """Samples and use of each civil day in [start, end), in the series' zone and its meter's stored unit."""
    if end <= start:
        raise Problem(
            422, "Not a period", "end is the day after the last one wanted, so it is after start", where="end"
        )
    try:
        found = queries.days_of_series(key=series, start=start, end=end)
    except LookupError as fault:
        raise Problem(404, "Unknown series", str(fault), where="series") from fault
    return [
        {"day": day.isoformat(), "samples": n, "in": v_in, "out": v_out, "unit": found.unit, "scale": found.scale}
        for day, n, v_in, v_out in found.days
    ]


def as_iso(instant: datetime | None) -> str | None:
    """An instant for JSON."""
    return None if instant is None else instant.isoformat()


@router.get("/status", auth=NeedsScope("usage:read"), summary="The sample store at a glance")
def status(request: HttpRequest) -> dict[str, Any]:  # noqa: ARG001
    """Series seen, samples kept, what is unsealed, what waits in quarantine."""
    now = queries.overview()
    return {
        "series_seen": now.series_seen,
        "last_used_at": as_iso(now.last_at),
        "samples": now.samples,
        "unsealed_rows": now.unsealed_rows,
        "segments": now.segments,
        "segment_bytes": now.segment_bytes,
        "quarantined_rows": now.quarantined_rows,
        "kept_from": as_iso(now.kept_from),
    }
