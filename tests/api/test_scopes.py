"""Every operation asks for its scope and no other: read from the OpenAPI document, so that none can be forgotten."""

import json
import re
from functools import cache
from typing import Any

import pytest

from tests.api.conftest import Api, make_token

OPEN_TO_EVERY_TOKEN = {"get_token"}
FILLED = {
    "account": "acme", "contact": "ada", "service": "v1", "number": "V2026-0001", "period": "2026-10",
    "job": "job_0123456789abcdef0123", "endpoint": "ep_0123456789", "payment": "1",
    "restriction": "1", "document": "1", "case": "1", "refund": "1", "mandate": "1", "collection": "1", "file": "1",
    "payback": "1", "key": "k1", "ticket": "1",
}  # fmt: skip


@cache
def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """(method, path below /api/v1 with ids filled in, operation) of every route there is."""
    from coulance.api.app import api
    from coulance.api.urls import urlpatterns

    assert urlpatterns
    document = api.get_openapi_schema(path_prefix="/api/v1/")
    found = []
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            filled = re.sub(r"\{(\w+)\}", lambda name: FILLED[name[1]], path.removeprefix("/api/v1"))
            found.append((method.upper(), filled, one))
    return found


@pytest.fixture(autouse=True)
def strangers_are_not_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred requests without a token in a second would meet the limit on strangers."""
    monkeypatch.setattr("coulance.platform.limits.take", lambda *_, **__: None)


def test_every_operation_names_a_scope_that_there_is(api: Api) -> None:
    from coulance.platform.tokens import SCOPES

    named = {one["operationId"]: one.get("x-scope") for _, _, one in operations()}
    assert len(named) == len(operations()) >= 45
    assert {name for name, scope in named.items() if scope is None} == OPEN_TO_EVERY_TOKEN
    elsewhere = {"metrics", "uptime:hook"}
    assert {scope for scope in named.values() if scope} == set(SCOPES) - elsewhere, "each scope opens something"


def test_reading_and_writing_are_apart(api: Api) -> None:
    for method, _, one in operations():
        scope = one.get("x-scope") or ""
        if method == "GET":
            assert not scope.endswith(":write"), one["operationId"]
        else:
            assert not scope.endswith(":read"), one["operationId"]


def test_scopes_one_by_one(api: Api) -> None:
    """Missing token 401, every other scope 403, its own scope anything but those; on every operation there is."""
    from coulance.platform.tokens import SCOPES

    alone = {scope: f"Bearer {make_token(scope)}" for scope in SCOPES}
    others = {scope: f"Bearer {make_token(*(other for other in SCOPES if other != scope))}" for scope in SCOPES}
    for method, path, one in operations():
        scope, what = one.get("x-scope"), f"{method} {path}"
        missing = api(method, path, Authorization="Basic abc")
        assert (missing.status_code, missing["WWW-Authenticate"]) == (401, 'Bearer realm="coulance"'), what
        wrong = api(method, path, Authorization="Bearer cl_0123456789_nothing")
        assert wrong.status_code == 401, what
        if scope is None:
            assert api(method, path, Authorization=alone["audit:read"]).status_code == 200
            continue
        refused = api(method, path, Authorization=others[scope])
        assert refused.status_code == 403, (what, refused.content)
        assert f"lacks the scope {scope}" in refused.json()["detail"], what
        allowed = api(method, path, Authorization=alone[scope])
        assert allowed.status_code not in (401, 403, 500), (what, allowed.content)


def test_a_refusal_is_a_problem_with_a_kind_that_there_is(api: Api) -> None:
    from coulance.api.problems import KINDS

    for method, path, _ in operations():
        answer = api(method, path, Authorization="")
        assert answer["Content-Type"] == "application/problem+json"
        body = answer.json()
        home, _, word = body["type"].partition("#")
        assert home == "/api/v1/problems"
        assert KINDS[word].title == body["title"]
    page = api.client.get("/api/v1/problems")
    assert page.status_code == 200
    for word in KINDS:
        assert f'id="{word}"' in page.content.decode()


def test_the_document_is_whole(api: Api) -> None:
    """Valid OpenAPI 3.1, an example or none needed everywhere, every refusal described; no asset from elsewhere."""
    document = json.loads(api.client.get("/api/v1/openapi.json").content)
    assert document["openapi"].startswith("3.1")
    names = set(document["components"]["schemas"])
    for ref in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)):
        assert ref in names, ref
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            assert one["summary"], (path, method)
            assert {"401", "403", "422"} <= set(one["responses"]), (path, method)
            assert any(number.startswith("2") for number in one["responses"]), (path, method)
            for number, said in one["responses"].items():
                if number[0] in "45":
                    assert "application/problem+json" in said["content"], (path, method, number)
    docs = api.client.get("/api/v1/docs").content.decode()
    assert "http://" not in docs.replace("http://www.w3.org", "")
    assert "https://" not in docs


def test_no_two_forms_have_one_name() -> None:
    """Components are named by their class: two of one name would describe each other's answers."""
    from coulance.api import accounts, documents, house, payments, periods, services, usage, webhooks
    from coulance.api.schemas import Given, Shown

    seen: dict[str, str] = {}
    for module in (accounts, documents, house, payments, periods, services, usage, webhooks):
        for name, kind in vars(module).items():
            if isinstance(kind, type) and issubclass(kind, Given | Shown) and kind.__module__ == module.__name__:
                assert name not in seen, f"{name} is in {seen[name]} and in {module.__name__}"
                seen[name] = module.__name__
    assert len(seen) > 30


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
def test_a_method_that_is_none_is_answered_as_every_fault_is(api: Api, method: str) -> None:
    answer = api(method, "/plans", {} if method != "DELETE" else None)
    assert answer.status_code == 405
    assert answer["Allow"] == "GET"
    assert answer.json()["type"] == "/api/v1/problems#not-allowed"
    nowhere = api(method, "/nowhere/at/all", {} if method != "DELETE" else None)
    assert nowhere.status_code == 404
    assert nowhere.json()["type"] == "/api/v1/problems#not-there"
