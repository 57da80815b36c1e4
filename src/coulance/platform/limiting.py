"""Where the limits hold over HTTP: signing in, one-time links, the API without a token, webhooks that come in.

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


def client_address(request: HttpRequest) -> str:
    """The address a request comes from.

    A proxy's `X-Forwarded-For` is believed where one is known to stand in front (COULANCE_URL is https) and the request
    comes from this machine or a private network; of its entries the last, which the nearest proxy wrote itself.
    """
    direct = str(request.META.get("REMOTE_ADDR", ""))
    said = str(request.META.get("HTTP_X_FORWARDED_FOR", ""))
    if not said or settings.SECURE_PROXY_SSL_HEADER is None:
        return direct
    try:
        near = ip_address(direct)
        return str(ip_address(said.rsplit(",", 1)[-1].strip())) if near.is_private or near.is_loopback else direct
    except ValueError:
        return direct


class RateLimits:
    """Answer 429 with Retry-After to who tries too often."""

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method == "POST":
            for limit, who in _tries(request):
                if (wait := limits.take(limit, who, at=clock.now())) is not None:
                    return too_many(wait)
        response = self.get_response(request)
        if response.status_code == 401 and request.path.startswith("/api/"):
            wait = limits.take(limits.STRANGER, client_address(request), at=clock.now())
            if wait is not None:
                return too_many(wait)
        return response


def _tries(request: HttpRequest) -> list[tuple[Limit, str]]:
    path, address = request.path, client_address(request)
    if path.startswith("/sign-in/link/") or (path.startswith("/sign-in/") and len(path) > 40):
        return [(limits.LINK, address)]
    if path == "/sign-in" or path.startswith("/sign-in/"):
        name = request.POST.get("username", "")[:150].strip().lower()
        return [(limits.SIGN_IN, address), *([(limits.SIGN_IN_NAME, name)] if name else [])]
    if path.startswith("/hooks/"):
        return [(limits.HOOK, address)]
    return []


def too_many(wait: timedelta) -> HttpResponse:
    """The answer 429, as a problem document that says when to try again."""
    seconds = math.ceil(wait.total_seconds())
    answer = JsonResponse(
        {
            "type": "about:blank",
            "title": "Too many tries",
            "status": 429,
            "detail": f"Try again in {seconds} second{'s' * (seconds != 1)}.",
        },
        status=429,
        content_type="application/problem+json",
    )
    answer["Retry-After"] = str(seconds)
    return answer
