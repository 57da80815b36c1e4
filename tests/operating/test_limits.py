"""Limits on tries: exact against a simple model, exact between processes, and no harm to who holds a token."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coulance.platform import clock, limits, tokens
from coulance.platform.limits import Limit

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
THREE = Limit("three", 3, timedelta(seconds=10))


@given(waits=st.lists(st.integers(0, 40), min_size=1, max_size=25))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_it_is_a_bucket_that_fills_again(db: Any, waits: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM platform_rate_limit")
    at, left_s = AT, 30.0  # the bucket in seconds of refill: three tries of ten seconds each
    for wait in waits:
        at += timedelta(seconds=wait)
        left_s = min(30.0, left_s + wait)
        answer = limits.take(THREE, "somebody", at=at)
        if left_s >= 10:
            left_s -= 10
            assert answer is None
        else:
            assert answer == max(timedelta(seconds=10 - left_s), timedelta(milliseconds=1))


def test_everybody_has_a_bucket_and_it_names_nobody(db: Any) -> None:
    for _ in range(3):
        assert limits.take(THREE, "192.0.2.1", at=AT) is None
    assert limits.take(THREE, "192.0.2.1", at=AT) == timedelta(seconds=10)
    assert limits.take(THREE, "192.0.2.2", at=AT) is None
    assert limits.take(Limit("other", 3, timedelta(seconds=10)), "192.0.2.1", at=AT) is None
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(key, ' ') FROM platform_rate_limit")
        assert "192.0.2" not in (cursor.fetchone() or ("192.0.2",))[0]
    assert limits.forget(at=AT + timedelta(minutes=1)) == 3


def test_two_at_once_never_get_more_than_there_is(committed_db: Any) -> None:
    def one(_: int) -> bool:
        try:
            return limits.take(Limit("ten", 10, timedelta(hours=1)), "somebody", at=AT) is None
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(one, range(40))) == 10


@pytest.fixture
def narrow(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of three, and a clock that stands still."""
    monkeypatch.setattr(clock, "now", lambda: AT)
    for name in ("STRANGER", "LINK", "HOOK"):
        monkeypatch.setattr(limits, name, Limit(name.lower(), 3, timedelta(seconds=10)))


def _statuses(ask: Any, times: int) -> list[int]:
    return [ask().status_code for _ in range(times)]


def test_strangers_are_slowed_and_a_token_is_not(narrow: None) -> None:
    client = Client(raise_request_exception=False)
    bad = {"Authorization": "Bearer cl_0000000000_wrong"}
    assert _statuses(lambda: client.get("/api/v1/documents", headers=bad), 5) == [401, 401, 401, 429, 429]
    answer = client.get("/api/v1/documents", headers=bad)
    assert answer["Retry-After"] == "10"
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == 429
    text, _ = tokens.make_token(name="good", scopes=["invoices:read"], at=AT, actor="test")
    good = {"Authorization": f"Bearer {text}"}
    assert _statuses(lambda: client.get("/api/v1/documents", headers=good), 8) == [200] * 8


def test_tries_of_links_and_hooks_are_limited(narrow: None) -> None:
    client = Client()
    link, hook = "/sign-in/" + "x" * 43, "/hooks/mail/" + "y" * 43
    assert _statuses(lambda: client.post(link, content_type="text/plain", data="x"), 4) == [403, 403, 403, 429]
    assert _statuses(lambda: client.post(hook, content_type="text/plain", data="x"), 4) == [404, 404, 404, 429]
    assert client.get(link).status_code == 200


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "192.0.2.9", "127.0.0.1"),
        (1, "192.0.2.9", "192.0.2.9"),
        (1, "10.0.0.1, 192.0.2.9", "192.0.2.9"),
        (2, "192.0.2.9, 10.0.0.1", "192.0.2.9"),
        (2, "6.6.6.6, 192.0.2.9, 10.0.0.1", "192.0.2.9"),
        (1, "nonsense", "127.0.0.1"),
        (2, "192.0.2.9", "127.0.0.1"),
    ],
)
def test_an_address_is_believed_from_our_own_proxies_only(
    monkeypatch: pytest.MonkeyPatch, proxies: int, forwarded: str, expected: str
) -> None:
    from django.conf import settings as ours
    from django.test import RequestFactory

    from coulance.platform.limiting import client_address

    monkeypatch.setattr(ours, "ALLAUTH_TRUSTED_PROXY_COUNT", proxies, raising=False)
    request = RequestFactory().get("/", headers={"X-Forwarded-For": forwarded})
    assert client_address(request) == expected
