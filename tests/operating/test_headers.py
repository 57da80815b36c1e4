"""Every address that the server answers carries the headers that keep a browser safe, whoever asks."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from coulance.platform import web

DEMANDED = {
    **web.SECURITY_HEADERS,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
#: Own policies of pages that need one, and why.
OTHER_POLICY = {"api/v1/docs": "the API's own documentation has a script in the page; it comes from us, with its hash"}


def _patterns(of: Any, before: str = "") -> Iterator[str]:
    for each in of.url_patterns:
        route = before + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from _patterns(each, route)
        elif isinstance(each, URLPattern):
            yield route


def _address(route: str) -> str:
    route = re.sub(r"<(int|float):[^>]+>", "1", route)
    return "/" + re.sub(r"[\^$]|\\Z", "", re.sub(r"<[^>]+>", "x", route))


ROUTES = sorted({_address(route) for route in _patterns(get_resolver())})


def test_there_are_many() -> None:
    assert len(ROUTES) > 40
    assert {"/metrics", "/healthz", "/readyz", "/sign-in"} <= set(ROUTES)


@pytest.mark.parametrize("signed_in", [False, True], ids=["stranger", "operator"])
def test_every_answer_has_them(db: Any, signed_in: bool) -> None:
    from coulance.platform.models import Operator

    client = Client(raise_request_exception=False)
    if signed_in:
        who = Operator.objects.create(username="anna", is_staff=True, role="admin")
        client.force_login(who, backend="django.contrib.auth.backends.ModelBackend")
    wrong = {}
    for address in [*ROUTES, "/no/such/page", "/static/none.css", "/x%00"]:
        for method in ("get", "post", "delete"):
            answer = getattr(client, method)(
                address, **({"data": "{}", "content_type": "application/json"} if method == "post" else {})
            )
            for name, value in DEMANDED.items():
                if answer.headers.get(name) == value:
                    continue
                if name == "Content-Security-Policy" and address.lstrip("/") in OTHER_POLICY:
                    assert "frame-ancestors 'none'" in answer.headers[name]
                    continue
                wrong[f"{method} {address}"] = (name, answer.headers.get(name))
            assert answer.headers["X-Request-Id"]
            for cookie in answer.cookies.values():
                assert not cookie.value or cookie["samesite"] in {"Lax", "Strict"}, cookie
            if "coulance_session" in answer.cookies and answer.cookies["coulance_session"].value:
                assert answer.cookies["coulance_session"]["httponly"]
    assert wrong == {}


def test_what_belongs_to_a_customer_is_kept_by_no_cache(db: Any) -> None:
    client = Client()
    for address in ("/api/v1/documents", "/metrics"):
        assert "no-store" in client.get(address)["Cache-Control"]


def test_a_foreign_host_is_refused_with_them(db: Any) -> None:
    answer = Client(headers={"host": "evil.example"}).get("/sign-in")
    assert answer.status_code == 400
    assert answer["Content-Security-Policy"] == web.CONTENT_SECURITY_POLICY


def test_signing_in_makes_a_new_session(db: Any) -> None:
    # Who plants a session in somebody's browser beforehand has nothing afterwards.
    from coulance.platform import clock, operators

    operators.make_operator(name="anna", email="", at=clock.now(), actor="test")
    client = Client()
    session = client.session
    session["planted"] = "x"
    session.save()
    planted = session.session_key
    client.cookies["coulance_session"] = planted
    secret = operators.make_link(name="anna", at=clock.now(), actor="test")
    assert client.post(f"/sign-in/{secret}", {}).status_code == 302
    assert client.cookies["coulance_session"].value != planted
    other = Client()
    other.cookies["coulance_session"] = planted
    assert other.get("/").status_code == 302
