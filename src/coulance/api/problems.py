"""Problem documents (RFC 9457): one form for every refusal, and a list of the kinds there are.

A kind has a word. Its `type` is this instance's own page about it, `/api/v1/problems#word`, which needs no network.
"""

from typing import Any, NamedTuple

from django.http import HttpResponse, JsonResponse

MEDIA_TYPE = "application/problem+json"
HOME = "/api/v1/problems"


class Kind(NamedTuple):
    """A kind of problem: its title, and what to do about it."""

    title: str
    advice: str


KINDS: dict[str, Kind] = {
    "no-token": Kind("No valid token", "Send Authorization: Bearer cl_...; make one with coulance token create."),
    "no-scope": Kind("This token may not do that", "The detail names the scope; make a token that has it."),
    "not-an-address": Kind("Not an address", "Leave the zero byte (%00) out."),
    "not-json": Kind("Not JSON", "Send one JSON value in UTF-8, without NaN, and each name of an object once."),
    "not-as-expected": Kind("Not as expected", "See errors: each says where, and what was expected."),
    "not-there": Kind("Not there", "Check the id; the lists have what there is."),
    "not-allowed": Kind("Not an operation", "Allow names the methods that the address takes."),
    "still-at-work": Kind(
        "Still at work", "The first request, or the same work, is under way; look again in a moment."
    ),
    "key-used": Kind("Key used before", "Use a new Idempotency-Key for each request; the same only to repeat one."),
    "changed-since": Kind("Changed since", "Read it again; send its new ETag as If-Match."),
    "no-length": Kind("No length", "Send Content-Length rather than chunks."),
    "too-large": Kind("Too large", "Send less at once."),
    "unknown-type": Kind("Unknown type", "Send the Content-Type that the operation names, without Content-Encoding."),
    "refused": Kind("Refused", "The detail says which rule stands against it, and what would do."),
    "too-often": Kind("Too many tries", "Wait as long as Retry-After says."),
    "not-now": Kind("Not now", "Nothing was taken: send the same again after Retry-After."),
    "our-fault": Kind("Our fault", "Send the same again, with the same Idempotency-Key: nothing counts twice."),
}
"""Every kind of problem."""

_BY_STATUS = {
    400: "not-json", 401: "no-token", 403: "no-scope", 404: "not-there", 405: "not-allowed", 409: "refused",
    411: "no-length", 412: "changed-since", 413: "too-large", 415: "unknown-type", 422: "not-as-expected",
    429: "too-often", 500: "our-fault", 503: "not-now",
}  # fmt: skip
_MEANS = {
    400: "The request can't be read.",
    401: "No token, or not a valid one.",
    403: "The token lacks the scope.",
    404: "There is none of that id.",
    405: "The address doesn't take that method.",
    409: "The same is still at work, or the state of things stands against it.",
    411: "The body doesn't say its length.",
    412: "Somebody changed it since it was read.",
    413: "The body is too large.",
    415: "The body is of another type.",
    422: "Something given is not as expected.",
    429: "Too many tries without a valid token.",
    500: "Our fault.",
    503: "Not now; nothing was taken. Send the same again after Retry-After.",
}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "A refusal (RFC 9457): what is wrong, where, and what to do.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "examples": [f"{HOME}#not-as-expected"]},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What is wrong with this request, and what would do."},
        "where": {"type": "string", "description": "The place at fault: body.account, query.limit, header.If-Match."},
        "errors": {
            "type": "array",
            "description": "Everything at fault, when it is more than one thing.",
            "items": {
                "type": "object",
                "required": ["where", "detail"],
                "properties": {"where": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


class Problem(Exception):
    """A refusal on its way out: status, its kind's word, what is wrong and what to do; `where` names the place.

    Instead of a word, a title of its own: the kind then follows from the status.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        where: str | None = None,
        errors: list[dict[str, str]] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail, self.where, self.errors = status, kind, detail, where, errors


def problem(status: int, kind: str, detail: str, **more: Any) -> HttpResponse:
    """A problem document."""
    word = kind if kind in KINDS else _BY_STATUS.get(status, "refused")
    title = KINDS[kind].title if kind in KINDS else kind
    body = {"type": f"{HOME}#{word}", "title": title, "status": status, "detail": detail}
    body |= {name: value for name, value in more.items() if value is not None}
    found = JsonResponse(body, status=status, content_type=MEDIA_TYPE)
    if status == 401:
        found["WWW-Authenticate"] = 'Bearer realm="coulance"'
    return found


def answer(fault: Problem) -> HttpResponse:
    """The answer that a refusal becomes."""
    return problem(fault.status, fault.kind, fault.detail, where=fault.where, errors=fault.errors)


def response(status: int) -> dict[str, Any]:
    """A refusal in OpenAPI."""
    found: dict[str, Any] = {
        "description": _MEANS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status == 401:
        found["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    if status in (429, 503):
        found["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return found


def page() -> str:
    """The page that `type` leads to, as HTML without any asset."""
    rows = "".join(
        f'<h2 id="{word}">{kind.title} <code>{word}</code></h2><p>{kind.advice}</p>' for word, kind in KINDS.items()
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Problems of the Coulance API</title>'
        f"<h1>Problems of the API</h1>{rows}</html>"
    )
