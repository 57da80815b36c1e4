"""What every answer over HTTP has in common: the demand for a length, the content security policy, the health check."""

import logging
from collections.abc import Callable

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from coulance.platform import clock, heartbeat

Responder = Callable[[HttpRequest], HttpResponse]

# Everything comes from us. Charts are inline SVG, whose elements may carry style attributes; no script is ever inline.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class DemandLength:
    """Refuse a body that doesn't say its length (411).

    The web server hands a chunked body on as an empty one; accepting it would acknowledge samples that never arrived.
    """

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "HTTP_TRANSFER_ENCODING" in request.META or (
            request.method in {"POST", "PUT", "PATCH"} and not request.META.get("CONTENT_LENGTH")
        ):
            return JsonResponse(
                {
                    "type": "about:blank",
                    "title": "Length required",
                    "status": 411,
                    "detail": "Say how long the body is: send it with a Content-Length header, not in chunks.",
                },
                status=411,
                content_type="application/problem+json",
            )
        return self.get_response(request)


class RefuseZeroBytes:
    """Refuse an address with a zero byte in it (400): no name has one, and the database can't even be asked."""

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
            return JsonResponse(
                {
                    "type": "about:blank",
                    "title": "Not an address",
                    "status": 400,
                    "detail": "The address holds a zero byte (%00): leave it out.",
                },
                status=400,
                content_type="application/problem+json",
            )
        return self.get_response(request)


class ContentSecurityPolicy:
    """Add the content security policy, unless the view has set its own."""

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        return response


def not_about_health(record: logging.LogRecord) -> bool:
    """A log filter: an unhealthy answer of /healthz is not an error of the request that asked."""
    request = getattr(record, "request", None)
    return getattr(request, "path", "") != "/healthz"


def healthz(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 - a view takes the request
    """Is this instance able to work: web (it answers), database, and the worker's heartbeat. 200 or 503."""
    parts = {"web": "ok", "database": "ok", "worker": "ok"}
    try:
        seen = heartbeat.last_seen()
    except DatabaseError as fault:
        connection.close()
        parts["database"] = f"unreachable: {str(fault).splitlines()[0] if str(fault) else type(fault).__name__}"
        parts["worker"] = "unknown while the database is unreachable"
    else:
        if seen is None:
            parts["worker"] = "never seen"
        elif (late := (clock.now() - seen).total_seconds()) > heartbeat.LATE_AFTER_S:
            parts["worker"] = f"last seen {late:.0f} s ago"
    well = all(state == "ok" for state in parts.values())
    return JsonResponse({"ok": well, **parts}, status=200 if well else 503)
