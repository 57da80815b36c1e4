"""One operation of the API: its scope, what it may answer, and the rules that hold for every one.

`operation(...)` declares a route. Before the view runs, the token is judged, then unknown or repeated query parameters,
the body's type, length and JSON, and the Idempotency-Key. The OpenAPI document is written from the same declaration, so
a refusal that may come is a refusal that is documented.
"""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.request import RawPostDataException
from ninja import Router
from ninja.decorators import decorate_view

from coulance.api import problems
from coulance.api.access import NeedsScope, verify
from coulance.api.problems import Problem
from coulance.platform import clock, idempotency
from coulance.platform.tokens import Token

View = TypeVar("View", bound=Callable[..., Any])
Run = Callable[..., HttpResponse]

JSON = "application/json"
MOST_BYTES = 1024 * 1024
"""Of a JSON body; batches of samples and bank files have limits of their own."""

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_KEY_PARAMETER = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": idempotency.LONGEST_KEY, "pattern": "^[!-~]+$"},
    "description": "Names this request. Sent again within 48 hours it gets the same answer and does nothing again.",
    "example": "order-4711",
}
_MATCH_PARAMETERS = [
    {
        "in": "header",
        "name": "If-Match",
        "required": False,
        "schema": {"type": "string", "maxLength": 100},
        "description": "The ETag that was read. Refused with 412 when somebody changed it since.",
        "example": '"3f2a9c"',
    },
]


def operation(
    router: Router,
    method: str,
    path: str,
    *,
    scope: str | None,
    summary: str,
    response: Any,
    status: int = 200,
    refusals: Sequence[int] = (),
    match: bool = False,
    raw_body: bool = False,
    keyed: bool | None = None,
    more: Mapping[str, Any] | None = None,
) -> Callable[[View], View]:
    """Declare a route. `refusals` are statuses besides those that follow from method and scope.

    `match`: it takes If-Match. `raw_body`: the view reads the body itself. `keyed`: it takes an Idempotency-Key, as
    every POST does unless said otherwise. `more` is merged into the operation's OpenAPI.
    """
    keyed = method == "POST" if keyed is None else keyed
    takes_body = method in ("POST", "PUT", "PATCH")

    def declare(view: View) -> View:
        statuses = {400, 401, 403, 422, 429, *refusals}
        if "{" in path:
            statuses.add(404)
        if takes_body:
            statuses |= {411, 413, 415}
        if keyed:
            statuses.add(409)
        if match:
            statuses.add(412)
        extra: dict[str, Any] = {
            "x-scope": scope,
            **(more or {}),
            "responses": {
                **{number: problems.response(number) for number in sorted(statuses)},
                **(more or {}).get("responses", {}),
            },
        }
        parameters = [
            *([_KEY_PARAMETER] if keyed else []),
            *(_MATCH_PARAMETERS if match else []),
            *(more or {}).get("parameters", []),
        ]
        if parameters:
            extra["parameters"] = parameters
        needs = NeedsScope(scope)

        def guarded(run: Run) -> Run:
            @functools.wraps(run)
            def inner(request: HttpRequest, **path_values: Any) -> HttpResponse:
                try:
                    token = verify(request, scope)
                    if request.method in _WRITES and not raw_body:
                        _judge_body(request, takes_body)
                    _judge_query(request, known)
                    key = _key(request) if keyed else None
                    if key is None:
                        return run(request, **path_values)
                    return _once(run, request, path_values, token, key)
                except Problem as fault:
                    return problems.answer(fault)

            return inner

        responses = response if isinstance(response, dict) and all(isinstance(k, int) for k in response) else None
        made = router.api_operation(
            [method],
            path,
            auth=needs,
            response=responses or {status: response},
            summary=summary,
            operation_id=view.__name__,
            by_alias=True,
            openapi_extra=extra,
        )(decorate_view(guarded)(view))
        known = _query_names(made._ninja_operation)  # type: ignore[attr-defined]
        return view

    return declare


def _query_names(declared: Any) -> frozenset[str]:
    names: set[str] = set()
    for model in declared.models:
        if model.__ninja_param_source__ == "query":
            names.update(getattr(model, "__ninja_flatten_map__", {}))
    return frozenset(names)


def _judge_query(request: HttpRequest, known: frozenset[str]) -> None:
    for name, values in request.GET.lists():
        if name not in known:
            expected = f"expected {', '.join(sorted(known))}" if known else "it takes none"
            raise Problem(422, "not-as-expected", f"no parameter is called {name!r}; {expected}", where=f"query.{name}")
        if len(values) > 1:
            raise Problem(422, "not-as-expected", "given more than once", where=f"query.{name}")


def _judge_body(request: HttpRequest, takes_body: bool) -> None:
    if not takes_body:
        return
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = 0
    if length > MOST_BYTES:
        raise Problem(413, "too-large", f"a body has at most {MOST_BYTES} bytes; this one has {length}")
    if not length:
        return  # whether one is needed, the view's signature says
    kind = request.content_type or ""
    if kind.lower() != JSON:
        raise Problem(415, "unknown-type", f"send {JSON}, not {kind or 'nothing'}")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Problem(415, "unknown-type", "send the body as it is, without Content-Encoding")
    try:
        # NaN and the like are no JSON, but Python reads them; two members of one name leave open which is meant.
        json.loads(request.body, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError, RawPostDataException) as fault:
        raise Problem(400, "not-json", f"the body is no JSON: {str(fault)[:300]}", where="body") from fault


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice in one object")
    if any(_unspeakable(value) for pair in pairs for value in pair):
        raise ValueError("a text holds a zero byte or half a character")
    return found


def _unspeakable(value: Any) -> bool:
    if isinstance(value, list):
        return any(_unspeakable(one) for one in value)
    return isinstance(value, str) and ("\0" in value or any("\ud800" <= c <= "\udfff" for c in value))


def _key(request: HttpRequest) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= idempotency.LONGEST_KEY or any(not "!" <= c <= "~" for c in key):
        raise Problem(
            422,
            "not-as-expected",
            f"Idempotency-Key has 1 to {idempotency.LONGEST_KEY} printable ASCII characters and no space",
            where="header.Idempotency-Key",
        )
    return key


_KEPT_HEADERS = ("ETag", "Location", "Content-Type")


def _once(run: Run, request: HttpRequest, values: dict[str, Any], token: Token, key: str) -> HttpResponse:
    """Answer this request once: what it does and its answer are committed together, and given again from then on.

    A refusal did nothing, so nothing is kept of it: the same request is judged anew.
    """
    asked = idempotency.fingerprint(request.method or "", request.get_full_path(), request.body)
    at = clock.now()
    with transaction.atomic():
        try:
            kept = idempotency.begin(token=token.prefix, key=key, request=asked, at=at)
        except idempotency.AtWorkError as fault:
            raise Problem(409, "still-at-work", str(fault), where="header.Idempotency-Key") from fault
        except idempotency.OtherRequestError as fault:
            raise Problem(422, "key-used", str(fault), where="header.Idempotency-Key") from fault
        if kept is not None:
            again = HttpResponse(kept.body, status=kept.status, headers=dict(kept.headers))
            again["Idempotency-Replayed"] = "true"
            return again
        answer = run(request, **values)
        if answer.status_code >= 400:
            transaction.set_rollback(True)
            return answer
        headers = {name: answer[name] for name in _KEPT_HEADERS if name in answer}
        idempotency.keep(
            token=token.prefix,
            key=key,
            request=asked,
            answer=idempotency.Kept(answer.status_code, answer.content, headers),
            at=at,
        )
    return answer
