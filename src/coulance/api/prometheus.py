"""Prometheus remote write 1.0 and 2.0: what a Prometheus server, or an agent that speaks its protocol, sends to us.

Answers, as the protocol wants them: 204 once all is committed; 400 for what can't be taken and must not be sent again
(it says which; what could be taken is committed); 429 and 503 with Retry-After for what should be. A sender keeps what
was not answered with 2xx or 4xx and sends it again, byte for byte, by which it is recognised.
"""

import logging
import threading
from datetime import datetime, timedelta

from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from ninja import Router

from coulance.api import problems
from coulance.api.app import NeedsScope, Problem, problem
from coulance.catalog import queries as catalog
from coulance.integrations.prometheus import remote_write, wire
from coulance.integrations.prometheus.remote_write import Protocol
from coulance.platform import clock
from coulance.usage import operations
from coulance_core.catalog.collectors import Collector, CollectorKind

router = Router(tags=["usage"])
_log = logging.getLogger(__name__)

PROTOBUF = "application/x-protobuf"
LARGEST_BODY = 32 * 1024 * 1024
AT_ONCE = 16
"""Bodies that one process decodes at a time; more are asked to come again a second later."""
_SHOWN = 3
_NOTE_EVERY = timedelta(seconds=5)

_room = threading.BoundedSemaphore(AT_ONCE)

_SCHEMA = {
    "requestBody": {
        "required": True,
        "content": {PROTOBUF: {"schema": {"type": "string", "format": "binary"}}},
    },
    "parameters": [
        {
            "in": "query",
            "name": "collector",
            "schema": {"type": "string", "maxLength": 60},
            "description": "Which [collectors.NAME] this is; may be left out while there is only one of remote write.",
        }
    ],
    "x-scope": "usage:write",
    "responses": {
        204: {"description": "Committed."},
        404: problems.response(404),
        503: problems.response(503),
    },
}


def _collector(name: str | None) -> Collector:
    try:
        every = catalog.catalog().collectors
    except catalog.UnableToFindCatalogError as fault:
        raise Problem(404, "No collector", str(fault)) from fault
    known = {key: one for key, one in every.items() if one.kind is CollectorKind.PROMETHEUS_REMOTE_WRITE}
    if name is None:
        if len(known) == 1:
            return next(iter(known.values()))
        hint = "add one to the provider file" if not known else f"say which: ?collector={sorted(known)[0]}"
        raise Problem(404, "No collector", f"there are {len(known)} collectors of kind prometheus_remote_write; {hint}")
    if name not in known:
        raise Problem(404, "No collector", f"no collector {name[:60]!r} of kind prometheus_remote_write")
    return known[name]


def _body(request: HttpRequest) -> tuple[bytes, Protocol]:
    """The body of a request that says it is what we read, and which version of it. Raises `Problem`."""
    length = request.headers.get("Content-Length", "")
    if not length.isdecimal():
        raise Problem(411, "No length", "say how long the body is: Content-Length")
    if int(length) > LARGEST_BODY:
        raise Problem(413, "Too large", f"a request has at most {LARGEST_BODY} bytes; this one has {length}")
    kind, _, more = request.headers.get("Content-Type", "").partition(";")
    if kind.strip().lower() != PROTOBUF:
        raise Problem(415, "Unknown content type", f"send {PROTOBUF}, not {kind.strip()[:100] or 'nothing'}")
    given = [part.strip().removeprefix("proto=").strip(' "') for part in more.split(";") if "proto=" in part]
    proto = given[0] if given else Protocol.V1.value
    if proto not in list(Protocol):
        known = " or ".join(Protocol)
        said = f"send {known}, not {proto[:100]}: set protobuf_message in remote_write to one of them"
        raise Problem(415, "Another version", said)
    encoding = request.headers.get("Content-Encoding", "")
    if encoding.lower() != "snappy":
        raise Problem(
            415, "Not snappy", f"send Content-Encoding: snappy (block format), not {encoding[:40] or 'nothing'}"
        )
    return request.body, Protocol(proto)


@router.post(
    "/write",
    auth=NeedsScope("usage:write"),
    response={204: None},
    openapi_extra=_SCHEMA,
    summary="Prometheus remote write 1.0 and 2.0",
    description="Answers 204 once everything is committed. The collector's rules say which series the samples are.",
)
def write(request: HttpRequest) -> HttpResponse:
    """Take a WriteRequest in."""
    collector = _collector(request.GET.get("collector"))
    body, protocol = _body(request)
    if not _room.acquire(blocking=False):
        return _later(429, "Busy", f"{AT_ONCE} requests are being read; send this one again", 1)
    now = clock.now()
    try:
        taken = remote_write.take(body=body, collector=collector, at=now, protocol=protocol)
    except wire.TooLargeError as fault:
        return _refused(collector, 413, "Too large", str(fault), now)
    except wire.NotAWriteRequestError as fault:
        return _refused(collector, 400, "Not a write request", str(fault), now)
    except operations.UnableToTakeMoreError as fault:
        return _later(429, "Too much waits", str(fault), 30)
    except (OperationalError, InterfaceError):
        _log.exception("remote write to %s: the database did not take it", collector.key)
        return _later(503, "Not now", "the database did not take it; nothing of it is committed", 5)
    finally:
        _room.release()
    _notes.add(collector, taken, now)
    if taken.refused:
        shown = "; ".join(f"{fault.field}: {fault.reason}" for fault in taken.refused[:_SHOWN])
        more = len(taken.refused) - _SHOWN
        answer = problem(
            400,
            "Some samples are refused",
            f"{len(taken.refused)} of {taken.samples} samples: {shown}" + (f"; and {more} more" if more > 0 else "")
            + ". The others are committed; don't send this again",
        )  # fmt: skip
    else:
        answer = HttpResponse(status=204)
    if protocol is Protocol.V2:
        answer["X-Prometheus-Remote-Write-Samples-Written"] = str(taken.samples_written)
        answer["X-Prometheus-Remote-Write-Histograms-Written"] = str(taken.histograms)
        answer["X-Prometheus-Remote-Write-Exemplars-Written"] = "0"
    return answer


def _later(status: int, title: str, detail: str, after_s: int) -> HttpResponse:
    answer = problem(status, title, detail)
    answer["Retry-After"] = str(after_s)
    return answer


def _refused(collector: Collector, status: int, title: str, detail: str, now: datetime) -> HttpResponse:
    try:
        operations.note_written(
            collector=collector.key, kind=collector.kind.value, answers=(), newest=None, notes=(), at=now, error=detail
        )
    except DatabaseError:
        _log.exception("what was refused of %s is not noted", collector.key)
    return problem(status, title, detail)


class _Notes:
    """How senders do, written down every few seconds: the row is one, and requests come over many connections."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, list[remote_write.Taken]] = {}
        self._noted: dict[str, datetime] = {}

    def add(self, collector: Collector, taken: remote_write.Taken, now: datetime) -> None:
        with self._lock:
            held = self._held.setdefault(collector.key, [])
            held.append(taken)
            last = self._noted.get(collector.key)
            if last is not None and last <= now < last + _NOTE_EVERY:
                return
            self._noted[collector.key] = now
            self._held[collector.key] = []
        newest = [one.translated.newest for one in held if one.translated.newest is not None]
        notes = [f"{fault.field}: {fault.reason}" for fault in taken.translated.faults[:_SHOWN]]
        if taken.unused_histograms:
            left = f"{taken.unused_histograms} native histograms were left out"
            notes.append(f"{left}: no rule names their count or sum (NAME_count, NAME_sum)")
        try:
            operations.note_written(
                collector=collector.key,
                kind=collector.kind.value,
                answers=[one.written for one in held if one.written is not None],
                newest=max(newest, default=None),
                notes=notes,
                at=now,
            )
        except DatabaseError:
            _log.exception("how %s does is not noted", collector.key)


_notes = _Notes()
