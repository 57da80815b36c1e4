"""Signing in: tries are limited, a second factor is demanded where others can reach the console, codes work once."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from django.test import Client

from coulance.console import second_factor
from coulance.platform import audit, clock, operators, sign_in_policy
from tests.console.conftest import signed_in

PASSWORD = "correct horse battery"


@pytest.fixture
def demanded(db: Any) -> None:
    sign_in_policy.decide(second_factor=True, actor="test", reason="a test", at=clock.now())


def code(secret: str, at: datetime | None = None) -> str:
    return format_hotp_value(hotp_value(secret, int((at or clock.now()).timestamp()) // 30))


def enrol(client: Any) -> tuple[str, list[str]]:
    """Set a second factor up; returns its key and the recovery codes."""
    page = client.get("/me/second-factor").content.decode()
    found = re.search(r"Key: <code>([A-Z2-7 ]+)</code>", page)
    assert found, page
    assert 'class="qr"' in page
    key = found.group(1).replace(" ", "")
    answer = client.post("/me/second-factor", {"code": code(key)})
    codes = re.findall(r"<li><code>(\d{8})</code>", answer.content.decode())
    assert len(codes) == 10
    return key, codes


def by_password(client: Any, password: str = PASSWORD) -> Any:
    return client.post("/sign-in", {"username": "anna", "password": password, "next": "/documents"})


def later(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + by)


def test_none_is_demanded_on_this_machine_alone(browser: Any) -> None:
    assert sign_in_policy.policy() == sign_in_policy.Policy(demanded=False, decided=False, public=False)
    assert browser.get("/").status_code == 200


def test_one_is_demanded_as_soon_as_others_can_reach_the_console(browser: Any, settings_public: None) -> None:
    assert sign_in_policy.policy().demanded
    answer = browser.get("/documents")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/me")
    assert b"Set one up to go on" in browser.get("/me").content
    enrol(browser)
    assert browser.get("/documents").status_code == 200
    assert b"Turn it off" not in browser.get("/me").content
    assert b"is demanded here" in browser.post("/me/second-factor/leave").content


@pytest.fixture
def settings_public(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.conf import settings

    monkeypatch.setattr(settings, "COULANCE_PUBLIC", True)


def test_whoever_decides_otherwise_says_why_and_it_is_kept(db: Any, settings_public: None) -> None:
    with pytest.raises(sign_in_policy.UnableToChangePolicyError, match="say why"):
        sign_in_policy.decide(second_factor=False, actor="test", reason=" ", at=clock.now())
    sign_in_policy.decide(second_factor=False, actor="cli:root", reason="behind a VPN", at=clock.now())
    assert sign_in_policy.policy() == sign_in_policy.Policy(demanded=False, decided=True, public=True)
    assert audit.events(act="sign_in_policy.decided")[0].reason == "behind a VPN"
    assert sign_in_policy.decide(second_factor=None, actor="test", reason="as before", at=clock.now()).demanded


def test_a_password_alone_can_not_enrol_where_one_is_demanded(operator: Any, demanded: None) -> None:
    thief = Client()
    assert by_password(thief).headers["Location"] == "/documents"
    assert thief.get("/documents").headers["Location"] == "/me"
    for answer in (thief.get("/me/second-factor"), thief.post("/me/second-factor", {"code": "123456"})):
        assert answer.status_code == 403
        assert b"coulance operator link anna" in answer.content
    assert not sign_in_policy.enrolled(operator.pk)


def test_signing_in_then_takes_the_code_and_nothing_less(operator: Any, demanded: None) -> None:
    key, _ = enrol(signed_in(operator))
    visitor = Client()
    assert by_password(visitor).headers["Location"] == "/sign-in/code"
    assert visitor.get("/documents").headers["Location"].startswith("/sign-in?")
    wrong = visitor.post("/sign-in/code", {"code": "000000"})
    assert wrong.status_code == 200
    assert b"Incorrect code" in wrong.content
    answer = visitor.post("/sign-in/code", {"code": code(key, clock.now() + timedelta(seconds=30))})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/documents")
    assert visitor.get("/documents").status_code == 200
    event = audit.events(act="operator.signed_in")[0]
    assert event.detail == {"by": ["password", "totp"]}


def test_a_link_is_one_factor_too(operator: Any, demanded: None) -> None:
    enrol(signed_in(operator))
    visitor = Client()
    secret = operators.make_link(name="anna", at=clock.now(), actor="test")
    assert visitor.post(f"/sign-in/{secret}").headers["Location"] == "/sign-in/code"
    assert visitor.get("/").status_code == 302


def test_a_code_works_once(operator: Any) -> None:
    key, _ = enrol(signed_in(operator))
    at = clock.now() + timedelta(seconds=30)
    first, second = Client(), Client()
    by_password(first)
    by_password(second)
    assert first.post("/sign-in/code", {"code": code(key, at)}).status_code == 302
    assert second.post("/sign-in/code", {"code": code(key, at)}).status_code == 200


def test_a_recovery_code_works_once_and_new_ones_replace_the_old(operator: Any) -> None:
    _, codes = enrol(signed_in(operator))
    for expected in (302, 200):
        visitor = Client()
        by_password(visitor)
        answer = visitor.post("/sign-in/code", {"code": codes[0]})
        assert answer.status_code == expected
        if expected == 302:
            known = visitor
    assert b"9 recovery codes left" in known.get("/me").content
    renewed = re.findall(r"<li><code>(\d{8})</code>", known.post("/me/recovery-codes").content.decode())
    assert len(renewed) == 10
    visitor = Client()
    by_password(visitor)
    assert visitor.post("/sign-in/code", {"code": codes[1]}).status_code == 200
    assert visitor.post("/sign-in/code", {"code": renewed[1]}).status_code == 302


def test_it_counts_for_a_working_day_then_a_code_is_asked_again(
    operator: Any, demanded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = signed_in(operator)
    key, _ = enrol(browser)
    assert browser.get("/documents").status_code == 200
    later(monkeypatch, second_factor.LASTS + timedelta(minutes=1))
    answer = browser.get("/documents")
    assert answer.headers["Location"] == "/sign-in/again?next=%2Fdocuments"
    assert b"Type a code" in browser.get(answer.headers["Location"]).content
    monkeypatch.undo()
    asked = {"code": code(key, clock.now() + timedelta(seconds=30)), "next": "/documents"}
    assert browser.post("/sign-in/again", asked).headers["Location"] == "/documents"


def test_who_enrolled_elsewhere_must_show_the_code_in_an_older_session_too(operator: Any) -> None:
    old = Client()
    by_password(old)
    assert old.get("/documents").status_code == 200
    enrol(signed_in(operator))
    assert old.get("/documents").headers["Location"].startswith("/sign-in/again")


def test_tries_of_a_password_are_limited(operator: Any) -> None:
    visitor = Client()
    answers = [by_password(visitor, "wrong").status_code for _ in range(7)]
    assert answers == [200] * 5 + [429] * 2
    assert by_password(visitor).status_code == 429  # even the right one, for some minutes
    cache.clear()
    assert by_password(visitor).status_code == 302


def test_tries_of_a_code_are_limited(operator: Any) -> None:
    key, _ = enrol(signed_in(operator))
    visitor = Client()
    by_password(visitor)
    for _ in range(5):
        visitor.post("/sign-in/code", {"code": "000000"})
    answer = visitor.post("/sign-in/code", {"code": code(key, clock.now() + timedelta(seconds=30))})
    assert answer.status_code == 200
    assert b"Too many" in answer.content


def test_the_key_of_a_telephone_is_not_readable_in_the_database(operator: Any) -> None:
    from allauth.mfa.models import Authenticator

    key, codes = enrol(signed_in(operator))
    kept = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert key not in kept
    assert not any(each in kept for each in codes)


def test_somebody_who_lost_theirs_is_let_in_by_an_admin_and_a_link(operator: Any, demanded: None) -> None:
    enrol(signed_in(operator))
    with pytest.raises(sign_in_policy.UnableToChangePolicyError, match="say why"):
        sign_in_policy.take_second_factor(name="anna", actor="cli:root", reason="", at=clock.now())
    taken = {"name": "anna", "actor": "cli:root", "reason": "telephone lost", "at": clock.now()}
    assert sign_in_policy.take_second_factor(**taken)
    assert not sign_in_policy.take_second_factor(**taken)
    assert [person.has_second_factor for person in operators.operators()] == [False]
    again = signed_in(operator)
    assert again.get("/").headers["Location"] == "/me"
    enrol(again)
    assert again.get("/").status_code == 200


def test_it_can_be_given_up_where_none_is_demanded(browser: Any, operator: Any) -> None:
    enrol(browser)
    assert browser.post("/me/second-factor/leave").status_code == 302
    assert not sign_in_policy.enrolled(operator.pk)
    assert browser.get("/").status_code == 200


@pytest.mark.parametrize(
    "address", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_proving_it_again_leads_nowhere_else(operator: Any, address: str) -> None:
    visitor = Client()
    by_password(visitor)
    answer = visitor.post("/sign-in/again", {"password": PASSWORD, "next": address})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert b"not your password" in visitor.post("/sign-in/again", {"password": "x", "next": "/"}).content
