"""The story in a real browser, on a phone: warned, unread, paused, answered by the link with a limit, resumed."""

import os
from pathlib import Path
from typing import Any

import pytest

from coulance.platform import clock
from tests.console.test_browser import address, chromium  # noqa: F401 - fixtures
from tests.overage_control.town import Town
from tests.support.database import ROOT

FAULTS = (ROOT / "tests" / "console" / "faults.js").read_text()
CONTRAST = (ROOT / "tests" / "console" / "contrast.js").read_text()
PICTURES = os.environ.get("COULANCE_PICTURES")


@pytest.fixture
def here(address: str, lasting: Any, monkeypatch: pytest.MonkeyPatch) -> Town:  # noqa: F811
    """A controlling provider with one customer, at noon of 6 October."""
    monkeypatch.setenv("COULANCE_URL", "https://billing.example.nl")
    town = Town(lasting.folder)
    monkeypatch.setattr(clock, "now", lambda: town.at("2026-10-06T13:00"))
    return town.controlled().customer().service("web", "vps", meter="traffic")


def _look(page: Any, name: str) -> None:
    assert page.evaluate(FAULTS) == []
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{name} is wider than a phone"
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"), full_page=True)


@pytest.mark.parametrize("script", [False, True], ids=["without script", "with script"])
def test_warned_paused_answered_resumed(address: str, here: Town, chromium: Any, script: bool) -> None:  # noqa: F811
    for day, gb in [(2, 30), (3, 25), (4, 30), (6, 40)]:
        here.uses("web", f"2026-10-{day:02d}T12:00", gb)
    assert here.restricted("web") == ["overage"]
    context = chromium.new_context(
        viewport={"width": 360, "height": 740}, java_script_enabled=True, reduced_motion="reduce"
    )
    context.set_default_timeout(10_000)
    page = context.new_page()
    trouble: list[str] = []
    page.on("console", lambda said: trouble.append(f"{said.type}: {said.text}"))
    page.on("pageerror", lambda fault: trouble.append(str(fault)))
    if not script:
        page.route("**/*.js", lambda route: route.abort())
    page.goto(address + here.link())
    _look(page, "answer")
    assert "WEB" in page.inner_text("h1")
    assert here.restricted("web") == ["overage"]
    page.get_by_label("Amount a period (EUR)").fill("20")
    page.get_by_role("button", name="See what that means").click()
    page.get_by_text("up to €20.00 a period, before tax").wait_for()
    _look(page, "answer-sure")
    page.get_by_role("button", name="Yes, set this limit").click()
    page.get_by_text("Your limit is set.").wait_for()
    _look(page, "answer-done")
    assert here.restricted("web") == []
    # Into the portal, by a mailed link.
    page.goto(address + "/my/sign-in")
    page.get_by_label("Your e-mail address").fill("boss@acme.example")
    _look(page, "sign-in")
    page.get_by_role("button", name="Mail me a link").click()
    page.get_by_text("If we know that address").wait_for()
    from tests.portal.test_portal import _entry_link

    page.goto(address + _entry_link("acme"))
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Your services").wait_for()
    _look(page, "overview")
    page.get_by_role("link", name="WEB").click()
    page.get_by_role("heading", name="Traffic out").wait_for()
    _look(page, "service")
    if script:
        page.get_by_label("Amount a period (EUR)").press_sequentially("12.50")
        page.get_by_text("= 125\u00a0GB").wait_for()
    page.get_by_role("button", name="Pause its network myself").click()
    page.get_by_text("Its network is paused.").first.wait_for()
    assert here.restricted("web") == ["customer"]
    page.get_by_role("button", name="End my pause").click()
    page.get_by_text("Your pause is ended.").wait_for()
    assert here.restricted("web") == []
    for path in ("/my/contacts", "/my/documents", "/my/statement", "/my/limit"):
        page.goto(address + path)
        _look(page, path.rpartition("/")[2])
    page.get_by_role("button", name="Nederlands").click()
    page.get_by_role("button", name="Uitloggen").wait_for()
    _look(page, "statement-nl")
    context.close()
    assert [said for said in trouble if "ERR_FAILED" not in said and "limit.js" not in said] == []


def test_the_mail_as_a_picture(here: Town, chromium: Any) -> None:  # noqa: F811
    from coulance.notices import queries as sent

    for day, gb in [(2, 30), (3, 25), (4, 30)]:
        here.uses("web", f"2026-10-{day:02d}T12:00", gb)
    text = sent.text_of(message=here.mails()[-1].message)
    assert text is not None
    context = chromium.new_context(viewport={"width": 360, "height": 740}, java_script_enabled=True)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_content(text.html)
    assert page.get_by_role("link", name="Answer this warning").get_attribute("href") == (
        "https://billing.example.nl" + here.link()
    )
    assert "85\u00a0%" in page.inner_text("body")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / "mail.png"), full_page=True)
    assert asked == []  # it loads nothing
    context.close()
