"""The story in a real browser: the customer's minute on a phone without scripts, then the operator's decision."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections

from coulance.disputes import queries as cases
from coulance.flows.disputing import links
from coulance.flows.disputing.links import Holder
from coulance.platform import clock
from tests.console.conftest import signed_in
from tests.console.test_browser import address, chromium  # noqa: F401 - fixtures
from tests.disputes.court import Court, later
from tests.support.database import ROOT

FAULTS = (ROOT / "tests" / "console" / "faults.js").read_text()
CONTRAST = (ROOT / "tests" / "console" / "contrast.js").read_text()
PICTURES = os.environ.get("COULANCE_PICTURES")


def _look(page: Any, name: str) -> None:
    assert page.evaluate(FAULTS) == [], name
    assert page.evaluate(CONTRAST) == [], name
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{name} is too wide"
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"), full_page=True)


@pytest.fixture
def here(address: str, lasting: Any, monkeypatch: pytest.MonkeyPatch) -> Court:  # noqa: F811
    monkeypatch.setenv("COULANCE_URL", "https://billing.example.nl")
    monkeypatch.setattr(clock, "now", lambda: later(0.1))
    return Court.of(lasting.folder)


def _page(browser: Any, width: int, trouble: list[str], client: Any = None) -> Any:
    context = browser.new_context(viewport={"width": width, "height": 740}, reduced_motion="reduce")
    context.set_default_timeout(10_000)
    if client is not None:
        kept = client.cookies[settings.SESSION_COOKIE_NAME]
        context.add_cookies([{"name": kept.key, "value": kept.value, "url": client.address}])
    page = context.new_page()
    page.route("**/*.js", lambda route: route.abort())
    page.on("pageerror", lambda fault: trouble.append(str(fault)))
    return page


def test_the_customers_minute_and_the_operators_decision(
    address: str, here: Court, chromium: Any, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    trouble: list[str] = []
    log = tmp_path / "log.txt"
    log.write_text("12 June: nothing of ours\n")
    phone = _page(chromium, 360, trouble)
    token = links.make(Holder(here.account, "boss", here.document), until=later(30))
    began = time.monotonic()
    phone.goto(f"{address}/contest/{token}")
    _look(phone, "contest")
    phone.get_by_text("Only a part of it").click()
    phone.get_by_label("This quantity (GB)").fill("500")
    phone.get_by_label("The use is not right").check()
    phone.get_by_label("In a few words").fill("500 GB went to a host that is not ours")
    phone.get_by_label("Files, if you have any").set_input_files(str(log))
    phone.get_by_role("button", name="Contest it").click()
    phone.get_by_role("heading", name="With us").wait_for()
    assert time.monotonic() - began < 60
    _look(phone, "case")
    body = phone.inner_text("body").replace("\u00a0", " ")
    for words in ("€60.50", "To be paid of V2026-0001: €181.50", "by 20 July 2026", "log.txt"):
        assert words in body, body
    assert here.stands() == "242.00 of which 60.50 held"
    (case,) = cases.cases(accounts=[here.account], at=later(1))
    phone.context.close()

    from coulance.platform.models import Operator

    anna = Operator.objects.create_user(
        "anna", "anna@example.nl", "correct horse battery", is_staff=True, role="billing"
    )
    client = signed_in(anna)
    client.address = address
    desk = _page(chromium, 1200, trouble, client)
    desk.goto(f"{address}/disputes")
    _look(desk, "queue")
    desk.get_by_role("link", name=str(case.id), exact=True).click()
    desk.get_by_role("heading", name="What both sides see").wait_for()
    _look(desk, "console-case")
    desk.get_by_role("link", name="Decide").click()
    desk.get_by_label("Right in part: credit these amounts").check()
    desk.get_by_label("Line 1,").fill("40")
    desk.get_by_label("Reason, as the customer reads it").fill("400 GB were a scan from elsewhere")
    _look(desk, "decide")
    desk.get_by_role("button", name="See the figures").click()
    desk.get_by_role("heading", name="This will happen").wait_for()
    _look(desk, "figures")
    assert "€48.40" in desk.inner_text("main")
    assert here.stands() == "242.00 of which 60.50 held"
    desk.get_by_role("button", name="Decide it so").click()
    desk.get_by_text("Decided; credited by C2026-0001.").wait_for()
    _look(desk, "decided")
    desk.context.close()
    connections.close_all()
    assert here.stands() == "193.60"
    assert here.audit() == []
    assert trouble == []
