"""Usage over HTTP: batches in, quarantine and running counters out."""

from datetime import date, datetime
from typing import Annotated, Any

import msgspec
import pyarrow as pa
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from pydantic import Field

from coulance.api import arrow_stream, paging
from coulance.api.access import actor_of
from coulance.api.accounts import refused
from coulance.api.operation import operation
from coulance.api.paging import Cursor, Limit
from coulance.api.problems import Problem
from coulance.api.schemas import Day, Given, Page, Reason, Shown, Text
from coulance.flows import customers, quarantine
from coulance.platform import clock
from coulance.usage import operations, queries
from coulance.usage.columns import Columns

router = Router(tags=["usage"])

ARROW = "application/vnd.apache.arrow.stream"
JSON = "application/json"
LARGEST_BODY = 32 * 1024 * 1024
"""Bytes of a batch, at most; about a million rows of Arrow."""
MOST_ROWS = 1_000_000
_MOST_DAYS = 1100
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
            "required": False,
            "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
            "description": "Names the batch. The same key and contents again get the first answer again.",
            "example": "poll-2026-10-31T12:00",
        }
    ],
}


class Rejected(Shown):
    """A row that was not taken, and why."""

    row: int
    field: str
    reason: str


class Answer(Shown):
    """What became of a batch. Rows that are wrong are named (the first hundred); the others are taken."""

    batch: int | None
    rows: int
    accepted: int
    duplicate: int
    late: int
    corrected: int
    quarantined: int
    rejected_rows: int
    rejected: list[Rejected]
    resent: bool


class Waiting(Shown):
    """Samples of a series that nobody has assigned."""

    series: str
    reason: str
    rows: int
    batches: int
    first_used_at: datetime
    last_used_at: datetime
    waiting_since: datetime


class DayCount(Shown):
    """Use of a civil day, in `unit` / 10^`scale`."""

    day: date
    samples: int
    in_: Annotated[int, Field(alias="in")]
    out: int
    unit: str
    scale: int


class Store(Shown):
    """The sample store at a glance."""

    series_seen: int
    last_used_at: datetime | None
    samples: int
    unsealed_rows: int
    segments: int
    segment_bytes: int
    quarantined_rows: int
    kept_from: datetime | None


class Assignment(Given):
    """Which service and meter a series counts for."""

    series: Annotated[Text, Field(min_length=1, max_length=200, examples=["vps-1001/eth0"])]
    service: Annotated[Text, Field(min_length=1, max_length=100, examples=["vps-1001"])]
    meter: Annotated[Text, Field(min_length=1, max_length=60, examples=["traffic"])]
    reason: Reason | None = None


class Assigned(Shown):
    """What came of it: whether the series is new, and what became of the rows that waited."""

    series: str
    done: Annotated[str, Field(pattern="^(created|unchanged)$")]
    rows: int
    accepted: int
    late: int
    corrected: int
    duplicate: int
    stuck: Annotated[str, Field(description="Why some rows still wait, if any do.")]


class Discard(Given):
    """Series whose waiting samples are given up, and why."""

    series: Annotated[list[Annotated[Text, Field(min_length=1, max_length=200)]], Field(min_length=1, max_length=100)]
    reason: Reason


class Discarded(Shown):
    """How many rows were given up."""

    rows: int


@operation(
    router, "POST", "", scope="usage:write", summary="Send a batch of samples", response=Answer, raw_body=True,
    keyed=False, more=_BATCH_SCHEMA,
)  # fmt: skip
def send_batch(request: HttpRequest) -> HttpResponse:
    """Answers once the batch is committed, with what became of its rows: 200 also when some were rejected."""
    length = request.headers.get("Content-Length", "")
    if not length.isdecimal():
        raise Problem(411, "no-length", "say how long the body is: Content-Length")
    if int(length) > LARGEST_BODY:
        raise Problem(413, "too-large", f"a batch has at most {LARGEST_BODY} bytes; this one has {length}: send less")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Problem(
            415, "unknown-type", "send the body as it is, without Content-Encoding; Arrow may compress inside"
        )
    key = request.headers.get("Idempotency-Key")
    if key is not None and (not 1 <= len(key) <= 200 or any(not "!" <= c <= "~" for c in key)):
        raise Problem(
            422,
            "Not a key",
            "Idempotency-Key has 1 to 200 printable ASCII characters and no space",
            where="Idempotency-Key",
        )
    columns = decode(request.headers.get("Content-Type", ""), request.body)
    try:
        answer = operations.ingest_batch(
            columns=columns, source=actor_of(request), recorded_at=clock.now(), key=f"key:{key}" if key else None
        )
    except operations.UnableToIngestError as fault:
        raise Problem(422, "The batch is refused", str(fault), where="Idempotency-Key") from fault
    return HttpResponse(msgspec.json.encode(answer.as_json()), content_type=JSON)


@operation(router, "GET", "/quarantine", scope="usage:read", summary="Samples that wait for their series",
           response=Page[Waiting])  # fmt: skip
def list_quarantine(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    limit: Limit = 50,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """By series key: how many rows, of when, and why they wait."""
    key = paging.after(cursor, "quarantine", str)
    rows = [one for one in queries.quarantined() if key is None or one.key > key[0]]
    return paging.page(
        sorted(rows, key=lambda one: one.key)[: limit + 1],
        limit,
        "quarantine",
        lambda one: (one.key,),
        lambda one: {
            "series": one.key,
            "reason": one.note or one.reason,
            "rows": one.rows,
            "batches": one.batches,
            "first_used_at": one.first_at,
            "last_used_at": one.last_at,
            "waiting_since": one.since,
        },
    )


@operation(router, "POST", "/quarantine/assign", scope="usage:assign", summary="Assign a series that waits",
           response=Assigned)  # fmt: skip
def assign_quarantined(request: HttpRequest, given: Assignment) -> dict[str, Any]:
    """Say which service and meter it counts for; what waits for it is taken in, at the instants it was used."""
    try:
        done = quarantine.assign(
            key=given.series,
            service=given.service,
            meter=given.meter,
            actor=actor_of(request),
            at=clock.now(),
            reason=given.reason or "",
        )
    except customers.UnableToKeepError as fault:
        raise refused(fault) from fault
    taken = done.replayed
    return {
        "series": done.series,
        "done": done.done,
        "rows": taken.rows,
        "accepted": taken.accepted,
        "late": taken.late,
        "corrected": taken.corrected,
        "duplicate": taken.duplicate,
        "stuck": "; ".join(why for _, why in taken.stuck),
    }


@operation(router, "POST", "/quarantine/discard", scope="usage:assign", summary="Give waiting samples up",
           response=Discarded)  # fmt: skip
def discard_quarantined(request: HttpRequest, given: Discard) -> dict[str, int]:
    """They stay on record as discarded, with the reason, and are not billed."""
    rows = quarantine.discard(keys=given.series, reason=given.reason, actor=actor_of(request), at=clock.now())
    return {"rows": rows}


@operation(router, "GET", "/days", scope="usage:read", summary="Running counters of a series, by civil day",
           response=list[DayCount], refusals=[404])  # fmt: skip
def list_days(
    request: HttpRequest,  # noqa: ARG001
    series: Annotated[str, Query(max_length=200, description="The series' key.", examples=["vps-1001/eth0"])],
    start: Annotated[Day, Query(description="The first day.")],
    end: Annotated[Day, Query(description="The day after the last one; at most 1100 days on.")],
) -> list[dict[str, Any]]:
    """Samples and use of each civil day in [start, end), in the series' zone and its meter's stored unit."""
    if not 0 < (end - start).days <= _MOST_DAYS:
        raise Problem(
            422,
            "Not a period",
            f"end is the day after the last one wanted: after start, and at most {_MOST_DAYS} days later",
            where="end",
        )
    try:
        found = queries.days_of_series(key=series, start=start, end=end)
    except LookupError as fault:
        raise Problem(404, "Unknown series", str(fault), where="series") from fault
    return [
        {"day": day, "samples": n, "in": v_in, "out": v_out, "unit": found.unit, "scale": found.scale}
        for day, n, v_in, v_out in found.days
    ]


@operation(router, "GET", "/status", scope="usage:read", summary="The sample store at a glance", response=Store)
def get_status(request: HttpRequest) -> dict[str, Any]:  # noqa: ARG001
    """Series seen, samples kept, what is unsealed, what waits in quarantine."""
    now = queries.overview()
    return {
        "series_seen": now.series_seen,
        "last_used_at": now.last_at,
        "samples": now.samples,
        "unsealed_rows": now.unsealed_rows,
        "segments": now.segments,
        "segment_bytes": now.segment_bytes,
        "quarantined_rows": now.quarantined_rows,
        "kept_from": now.kept_from,
    }
