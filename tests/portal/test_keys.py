"""A contact's password and second factor: set, used, limited, taken away; and nobody's way into the console."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from coulance.customers import contact_keys
from coulance.customers import queries as customers
from coulance.platform import clock
from coulance.portal import keys, totp
from tests.overage_control.town import Town
from tests.portal.test_portal import _enter

GOOD = "een lang woord dat past"
ADDRESS = "boss@acme.example"


@pytest.fixture
def now(town: Town, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A customer with two contacts, and a clock that is set."""
    town.customer(contacts=2).customer("beta")
    moment = [town.at("2026-11-06T13:00")]
    monkeypatch.setattr(clock, "now", lambda: moment[0])

    def later(**by: int) -> datetime:
        moment[0] += timedelta(**by)
        return moment[0]

    return later


def _set(client: Client, password: str = GOOD, again: str = "", code: str = "") -> Any:
    said = {"act": "password", "password": password, "again": again or password, "code": code}
    return client.post("/my/security", said)


def _try(password: str, address: str = ADDRESS) -> Any:
    return Client().post("/my/password", {"address": address, "password": password})


def test_a_password_lets_in_and_changing_it_puts_others_out(now: Any) -> None:
    here, there = _enter("acme"), _enter("acme")
    now(minutes=1)
    assert "Your password is set" in _set(here).content.decode()
    assert here.get("/my/").status_code == 200
    assert there.get("/my/").status_code == 302
    now(minutes=1)
    assert _try(GOOD).headers["Location"] == "/my/"
    assert _try("another long word", ADDRESS).status_code == 403
    for page in ("/accounts", "/operators"):  # no way into the console
        assert here.get(page).headers["Location"].startswith("/sign-in")
    here.post("/my/security", {"act": "no-password"})
    assert _try(GOOD).status_code == 403


@pytest.mark.parametrize(("password", "again"), [("short", ""), (GOOD, "other"), ("boss is a long word", "")])
def test_what_is_no_good_password(now: Any, password: str, again: str) -> None:
    client = _enter("acme")
    assert _set(client, password, again).status_code == 422
    assert not keys.has_password(_me())


def test_nobody_learns_who_is_known_and_tries_are_limited(now: Any) -> None:
    _set(_enter("acme"))

    def said(address: str) -> str:
        page = _try("wrong", address).content.decode()
        return re.sub(r'value="[^"]*"', "", page)

    assert said(ADDRESS) == said("nobody@nowhere.example") == said("boss@beta.example")
    for _ in range(6):
        _try("wrong")
    assert _try(GOOD).status_code in (403, 429)  # tried too often
    now(minutes=20)
    assert _try(GOOD).status_code == 302


def test_a_second_factor_is_asked_for_by_either_way_and_a_code_is_good_once(now: Any) -> None:
    client = _enter("acme")
    _set(client)
    page = client.get("/my/security").content.decode()
    secret = re.search(r"<code>(\w+)</code>", page)
    assert secret is not None

    def code() -> str:
        return totp.code_at(secret[1], int(clock.now().timestamp()) // 30)

    assert client.post("/my/security", {"act": "second", "code": "000000"}).status_code == 422
    assert "asked for a code" in client.post("/my/security", {"act": "second", "code": code()}).content.decode()
    # Whoever finds the browser open can't put another in its place, of a secret that anybody knows.
    empty = totp.code_at("", int(clock.now().timestamp()) // 30)
    assert client.post("/my/security", {"act": "second", "code": empty}).status_code == 422
    # Nor another password, or none, however lately somebody came in.
    now(seconds=40)
    assert _set(client, "another long word that fits", code="123456").status_code == 422
    assert client.post("/my/security", {"act": "no-password"}).status_code == 422
    assert "Your password is set" in _set(client, code=code()).content.decode()
    now(minutes=1)
    other = Client()
    assert other.post("/my/password", {"address": ADDRESS, "password": GOOD}).headers["Location"] == "/my/code"
    assert other.get("/my/").status_code == 302
    assert other.post("/my/code", {"code": "123456"}).status_code == 403
    used = code()
    assert other.post("/my/code", {"code": used}).headers["Location"] == "/my/"
    assert other.get("/my/").status_code == 200
    third = Client()
    third.post("/my/sign-in", {"address": ADDRESS})
    from tests.portal.test_portal import _entry_link

    assert third.post(_entry_link("acme")).headers["Location"] == "/my/code"
    assert third.post("/my/code", {"code": used}).status_code == 403  # was used
    account = customers.account("acme").id
    assert contact_keys.forget(account=account, contact="boss", actor="cli:root", reason="lost it", at=now(minutes=1))
    assert other.get("/my/").status_code == 302  # every session is over
    fresh = Client()
    fresh.post("/my/sign-in", {"address": ADDRESS})


def test_who_came_in_long_ago_changes_nothing(now: Any) -> None:
    client = _enter("acme")
    now(minutes=31)
    assert _set(client).status_code == 422
    assert not keys.has_password(_me())


def _me() -> Any:
    from coulance.portal import entry

    me = entry.find(account=customers.account("acme").id, contact="boss")
    assert me is not None
    return me
