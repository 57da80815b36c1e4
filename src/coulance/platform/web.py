"""What every answer over HTTP has in common: the demand for a length, security headers; and the health checks."""

from collections.abc import Callable

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from coulance.platform import clock, heartbeat, schema

Responder = Callable[[HttpRequest], HttpResponse]

# Everything comes from us. Charts are inline SVG, whose elements may carry style attributes; no script is ever inline.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "accelerometer=(), camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Permitted-Cross-Domain-Policies": "none",
}


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
                    "type": "/api/v1/problems#no-length",
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
                    "type": "/api/v1/problems#not-an-address",
                    "title": "Not an address",
                    "status": 400,
                    "detail": "The address holds a zero byte (%00): leave it out.",
                },
                status=400,
                content_type="application/problem+json",
            )
        return self.get_response(request)


class SecurityHeaders:
    """Add what tells a browser to trust an answer with little, unless the view has said so itself.

    Outside everything else that answers, so that refusals and static files have it too. Answers of the API hold
    customers' data and are kept by nobody.
    """

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        if request.path.startswith(("/api/", "/metrics", "/hooks/")):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def healthz(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 - a view takes the request
    """Is this web server alive: it answers. Says nothing of what it needs, so that nobody restarts it for that."""
    return JsonResponse({"ok": True, "web": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 - a view takes the request
    """Can this instance work: web (it answers), database, migrations, the worker's heartbeat. 200 or 503."""
    parts = {"web": "ok", "database": "ok", "migrations": "ok", "worker": "ok"}
    try:
        if behind := _pending():
            parts["migrations"] = f"{behind} pending: coulance migrate"
        seen = heartbeat.last_seen()
    except DatabaseError as fault:
        connection.close()
        parts["database"] = f"unreachable: {str(fault).splitlines()[0] if str(fault) else type(fault).__name__}"
        parts["migrations"] = parts["worker"] = "unknown while the database is unreachable"
    else:
        if seen is None:
            parts["worker"] = "never seen"
        elif (late := (clock.now() - seen).total_seconds()) > heartbeat.LATE_AFTER_S:
            parts["worker"] = f"last seen {late:.0f} s ago"
    well = all(state == "ok" for state in parts.values())
    return JsonResponse({"ok": well, **parts}, status=200 if well else 503)


_none_pending = False


def _pending() -> int:
    """How many migrations are missing; asked no more once none is: this program's own can't grow while it runs."""
    global _none_pending
    if _none_pending:
        return 0
    behind = len(schema.pending())
    _none_pending = not behind
    return behind
