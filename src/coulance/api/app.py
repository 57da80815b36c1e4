"""The API: one NinjaAPI, its authentication by scoped tokens, and how every fault is answered.

Every fault is `application/problem+json`: what was expected, where, and what to do. Routers of other parts are added
at the end of this file.
"""

import logging
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.security import HttpBearer

from coulance.platform import clock, tokens

_log = logging.getLogger(__name__)
PROBLEM = "application/problem+json"


class NeedsScope(HttpBearer):
    """`Authorization: Bearer cl_...` of a token that has the scope. `request.auth` is then the token."""

    def __init__(self, scope: str) -> None:
        super().__init__()
        self.scope = scope

    def __call__(self, request: HttpRequest) -> Any:
        """The token, or the refusal that tells a missing token from one that may not."""
        kind, _, text = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not text:
            raise Problem(401, "No token", "send a token: Authorization: Bearer cl_... (coulance token create)")
        return self.authenticate(request, text.strip())

    def authenticate(self, request: HttpRequest, token: str) -> Any:  # noqa: ARG002 - ninja's signature
        """As `__call__`, for a token that was sent."""
        try:
            return tokens.verify(token, scope=self.scope, at=clock.now())
        except tokens.UnableToVerifyTokenError as fault:
            title = "Not a valid token" if fault.status == 401 else "This token may not do that"
            raise Problem(fault.status, title, str(fault)) from fault


class Problem(Exception):
    """A refusal on its way out: status, a title, what is wrong and what to do; `where` names the place in the body."""

    def __init__(self, status: int, title: str, detail: str, *, where: str | None = None) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail, self.where = status, title, detail, where


def problem(status: int, title: str, detail: str, **more: Any) -> HttpResponse:
    """A problem document (RFC 9457)."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    body |= {name: value for name, value in more.items() if value is not None}
    answer = JsonResponse(body, status=status, content_type=PROBLEM)
    if status == 401:
        answer["WWW-Authenticate"] = 'Bearer realm="coulance"'
    return answer


api = NinjaAPI(
    title="Coulance",
    version="1",
    description="Send samples, read usage, invoices and their explanations.",
    docs_url="/docs",
    urls_namespace="coulance-api",
)


@api.exception_handler(Problem)
def _problem(request: HttpRequest, fault: Problem) -> HttpResponse:  # noqa: ARG001 - ninja's signature
    return problem(fault.status, fault.title, fault.detail, where=fault.where)


@api.exception_handler(AuthenticationError)
def _stranger(request: HttpRequest, fault: AuthenticationError) -> HttpResponse:  # noqa: ARG001
    return problem(401, "No token", "send a token: Authorization: Bearer cl_...")


@api.exception_handler(HttpError)
def _refused(request: HttpRequest, fault: HttpError) -> HttpResponse:  # noqa: ARG001
    return problem(fault.status_code, "Refused", str(fault))


@api.exception_handler(Exception)
def _unforeseen(request: HttpRequest, fault: Exception) -> HttpResponse:
    _log.error("%s %s failed", request.method, request.path, exc_info=fault)
    return problem(500, "Our fault", "the request could not be answered; what went wrong is in the log")


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, fault: ValidationError) -> HttpResponse:  # noqa: ARG001
    first = fault.errors[0] if fault.errors else {}
    where = ".".join(map(str, first.get("loc", ())))
    return problem(422, "Not as expected", str(first.get("msg", "the request can't be read")), where=where)
