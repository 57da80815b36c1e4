"""What every request leaves behind: a name in the logs and the answer, a line in the access log, a count."""

import logging
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from coulance.platform import logs, metrics

Responder = Callable[[HttpRequest], HttpResponse]

_access = logging.getLogger("coulance.access")


class Observe:
    """The outermost middleware.

    The access log has no address of a client, no query and no path, only its route: paths name customers and hold the
    secrets of one-time links.
    """

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        name = logs.begin_request(request.headers.get("X-Request-Id"))
        began = time.monotonic()
        try:
            response = self.get_response(request)
            seconds = time.monotonic() - began
            metrics.count(request, status=response.status_code, seconds=seconds)
            response.headers["X-Request-Id"] = name
            if _access.isEnabledFor(logging.INFO):
                facts = {"method": request.method, "route": metrics.route_of(request), "status": response.status_code}
                size = None if response.streaming else len(response.content)
                _access.info("request", extra={**facts, "ms": round(seconds * 1000, 1), "size": size})
            return response
        finally:
            logs.end_request()
