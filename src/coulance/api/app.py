"""The API: one NinjaAPI, how every fault is answered, and its OpenAPI document.

Every fault is `application/problem+json`: what was expected, where, and what to do. Routers are added in `urls`.
"""

import logging
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema

from coulance import __version__
from coulance.api import docs, problems
from coulance.api.access import NeedsScope
from coulance.api.problems import Problem, problem
from coulance.platform.tokens import SCOPES

__all__ = ["NeedsScope", "Problem", "api", "problem"]

_log = logging.getLogger(__name__)

_DESCRIPTION = """
Send samples; keep accounts and services; read usage, invoices and why each line is what it is; close periods; book
payments; and be told of what happens by webhooks.

Money is `{"amount": "12.34", "currency": "EUR"}`, days are `2026-10-31`, instants are ISO 8601 with an offset. A list
has `items` and `next`: send `next` as `cursor` for the page after. A POST may carry an `Idempotency-Key`. Every refusal
is a problem document (RFC 9457). Each operation names the scope that a token needs as `x-scope`.
"""


class CoulanceAPI(NinjaAPI):
    """A NinjaAPI whose document also says what ninja leaves out: refusals, scopes, and the form of a problem."""

    _document: dict[str, Any] | None = None

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        """The document; made once a process, since routes don't change."""
        if self._document is None:
            made = super().get_openapi_schema(path_prefix=path_prefix, path_params=path_params)
            _complete(made)
            self._document = made
        return self._document  # type: ignore[return-value]


def _complete(document: dict[str, Any]) -> None:
    document["components"]["schemas"]["Problem"] = problems.SCHEMA
    document["components"]["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "Scopes: " + "; ".join(f"`{scope}`: {what}" for scope, what in SCOPES.items()) + ".",
        }
    }
    for path, operations in document["paths"].items():
        for method, one in operations.items():
            _complete_operation(path, method, one)


def _complete_operation(path: str, method: str, one: dict[str, Any]) -> None:
    scope = one.get("x-scope")
    one["security"] = [{"token": []}]
    if scope is not None:
        one["description"] = f"{one.get('description', '').strip()}\n\nScope: `{scope}`.".strip()
    responses = {str(number): said for number, said in one["responses"].items()}
    wanted = [400, 401, 403, 422, 429]
    if method != "get":
        wanted += [409, 411, 413, 415]
    if "{" in path:
        wanted.append(404)
    for number in wanted:
        responses.setdefault(str(number), problems.response(number))
    one["responses"] = dict(sorted(responses.items()))
    for parameter in one.get("parameters", []):
        if parameter["in"] == "path":  # an address without it would be another one
            parameter["schema"].setdefault("minLength", 1)


api = CoulanceAPI(
    title="Coulance",
    version=__version__,
    description=_DESCRIPTION.strip(),
    docs=docs.Page(),
    docs_url="/docs",
    urls_namespace="coulance-api",
)


@api.exception_handler(Problem)
def _problem(request: HttpRequest, fault: Problem) -> HttpResponse:  # noqa: ARG001 - ninja's signature
    return problems.answer(fault)


@api.exception_handler(AuthenticationError)
def _stranger(request: HttpRequest, fault: AuthenticationError) -> HttpResponse:  # noqa: ARG001
    return problem(401, "no-token", "send a token: Authorization: Bearer cl_...")


@api.exception_handler(HttpError)
def _refused(request: HttpRequest, fault: HttpError) -> HttpResponse:  # noqa: ARG001
    return problem(fault.status_code, "Refused", str(fault))


@api.exception_handler(Http404)
def _missing(request: HttpRequest, fault: Http404) -> HttpResponse:  # noqa: ARG001
    return problem(404, "not-there", str(fault) or "there is nothing at this address")


@api.exception_handler(Exception)
def _unforeseen(request: HttpRequest, fault: Exception) -> HttpResponse:
    if any(kind.__name__.startswith("UnableTo") for kind in type(fault).__mro__):
        # The house's refusals are named so and written for people, also one that no view foresaw.
        return problem(409, "refused", str(fault))
    _log.error("%s %s failed", request.method, request.path, exc_info=fault)
    return problem(500, "our-fault", "the request could not be answered; what went wrong is in the log")


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, fault: ValidationError) -> HttpResponse:  # noqa: ARG001
    errors = [{"where": _where(one.get("loc", ())), "detail": _said(one)} for one in fault.errors]
    first = errors[0] if errors else {"where": "body", "detail": "the request can't be read"}
    return problem(
        422, "not-as-expected", first["detail"], where=first["where"], errors=errors if len(errors) > 1 else None
    )


def _where(place: Any) -> str:
    """The place in the sender's words: ninja puts the name of the view's parameter after `body`."""
    parts = list(map(str, place))
    if len(parts) > 1 and parts[0] == "body" and parts[1] == "given":
        del parts[1]
    return ".".join(parts)


def _said(one: Any) -> str:
    """What is wrong, in our words where the library's are not clear."""
    kind = one.get("type")
    if kind == "extra_forbidden":
        return "there is no field of this name"
    if kind == "missing":
        return "it is required, and not there"
    message = str(one.get("msg", "not as expected"))
    return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
