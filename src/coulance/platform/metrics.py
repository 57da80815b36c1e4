"""Counts of what the web server did, kept so that they add up over its processes.

Under `coulance up` each process writes its counts to files of its own (PROMETHEUS_MULTIPROC_DIR), which are summed when
somebody asks; the files of a process that has gone still count. Labels are few by design: a route is the pattern of the
address and never the address, which would tell of customers and have no end.
"""

import os
from typing import Final

from django.http import HttpRequest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

_own: Final = CollectorRegistry()
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

REQUESTS: Final = Counter(
    "coulance_http_requests", "Requests answered, by method, route and status.", ["method", "route", "status"],
    registry=_own,
)  # fmt: skip
SECONDS: Final = Histogram(
    "coulance_http_request_seconds", "How long requests took, by route.", ["route"], buckets=_BUCKETS, registry=_own
)


def route_of(request: HttpRequest) -> str:
    """The pattern that the address matched, such as api/v1/usage/batches; `none` when it matched nothing."""
    match = getattr(request, "resolver_match", None)
    if match is None and request.path.startswith("/static/"):
        return "static"
    return str(match.route) or "/" if match is not None else "none"


def count(request: HttpRequest, *, status: int, seconds: float) -> None:
    """Count one answered request."""
    route = route_of(request)
    method = request.method if request.method in _METHODS else "other"
    REQUESTS.labels(method, route, str(status)).inc()
    SECONDS.labels(route).observe(seconds)


def registry() -> CollectorRegistry:
    """The counts of every process of this web server, to be rendered."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return _own
    whole = CollectorRegistry()
    MultiProcessCollector(whole)  # type: ignore[no-untyped-call]
    return whole
