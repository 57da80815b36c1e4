"""Where the limits hold over HTTP: one-time links, the API without a token, webhooks that come in.

Tries of passwords and codes are limited where they are checked, by the console.

Nothing here can slow a client with a valid token: what counts against the API's limit is the answer 401, and what is
refused then is that answer. So a stranger behind the same address as a collector does the collector no harm.
"""

import math
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from coulance.platform import clock, limits
from coulance.platform.limits import Limit

Responder = Callable[[HttpRequest], HttpResponse]
_SHORTEST_SECRET = 20


def client_address(request: HttpRequest) -> str:
    """The address a request comes from, as the outermost proxy of ours saw it (COULANCE_PROXIES says how many).

    Each proxy adds the address it saw to the end of `X-Forwarded-For`; what is further left anybody may have written.
    """
    direct = str(request.META.get("REMOTE_ADDR", ""))
    proxies = settings.ALLAUTH_TRUSTED_PROXY_COUNT
    said = [each.strip() for each in str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",") if each.strip()]
    if not proxies or len(said) < proxies:
        return direct
    try:
        return str(ip_address(said[-proxies]))
    except ValueError:
        return direct


class RateLimits:
    """Answer 429 with Retry-After to who tries too often."""

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        limit = _limits(request.path) if request.method == "POST" else None
        if limit is not None:
            wait = limits.take(limit, client_address(request), at=clock.now())
            if wait is not None:
                return too_many(wait)
        response = self.get_response(request)
        if response.status_code == 401 and request.path.startswith("/api/"):
            wait = limits.take(limits.STRANGER, client_address(request), at=clock.now())
            if wait is not None:
                return too_many(wait)
        return response


def _limits(path: str) -> Limit | None:
    if path.startswith("/sign-in/") and len(path.removeprefix("/sign-in/")) > _SHORTEST_SECRET:
        return limits.LINK
    if path.startswith("/my/enter/"):
        return limits.LINK
    if path in ("/my/sign-in", "/my/password", "/my/code"):
        return limits.ENTRY
    if path.startswith(("/answer/", "/settle/", "/invited/", "/contest/", "/owed/")):
        return limits.ANSWER
    return limits.HOOK if path.startswith("/hooks/") else None


def too_many(wait: timedelta) -> HttpResponse:
    """The answer 429, as a problem document that says when to try again."""
    seconds = math.ceil(wait.total_seconds())
    answer = JsonResponse(
        {
            "type": "/api/v1/problems#too-often",
            "title": "Too many tries",
            "status": 429,
            "detail": f"Try again in {seconds} second{'s' * (seconds != 1)}.",
        },
        status=429,
        content_type="application/problem+json",
    )
    answer["Retry-After"] = str(seconds)
    return answer
