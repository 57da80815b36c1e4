"""In a real browser: the customer's minute on a phone without scripts and the operator's decision by keyboard; and a
debtor's whole story, from the link of a reminder until their network is itself again.
"""

import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections

from coulance.disputes import queries as cases
from coulance.flows.disputing import links
from coulance.flows.disputing.links import Holder
from coulance.notices import queries as sent
from coulance.platform import clock
from tests.arrears.street import Street, at
from tests.console.conftest import signed_in
from tests.console.test_browser import address, chromium  # noqa: F401 - fixtures
from tests.disputes.court import Court, later
from tests.portal.test_whole_story import RULES
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


def _to(page: Any, what: str) -> None:
    """By Tab alone, to the element of that name, value or text; where it is can be seen."""
    for _ in range(80):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "() => { const e = document.activeElement, s = getComputedStyle(e);"
            " return [e.name || '', e.value || '', e.innerText || '', s.outlineStyle + s.boxShadow] }"
        )
        if what in found[:3]:
            assert found[3] != "nonenone", f"{what}: where the focus is can't be seen"
            return
    raise AssertionError(f"{what} can't be reached by Tab")


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
    _to(desk, "Decide")
    desk.keyboard.press("Enter")
    desk.get_by_role("heading", name="Decide").wait_for()
    _to(desk, "upheld")
    desk.keyboard.press("ArrowDown")  # the second of how it ends: right in part
    assert desk.get_by_label("Right in part: credit these amounts").is_checked()
    _to(desk, "amount-1")
    desk.keyboard.type("40")
    _to(desk, "reason")
    desk.keyboard.type("400 GB were a scan from elsewhere")
    _look(desk, "decide")
    _to(desk, "See the figures")
    desk.keyboard.press("Enter")
    desk.get_by_role("heading", name="This will happen").wait_for()
    _look(desk, "figures")
    assert "€48.40" in desk.inner_text("main")
    assert here.stands() == "242.00 of which 60.50 held"
    _to(desk, "Decide it so")
    desk.keyboard.press("Enter")
    desk.get_by_text("Decided; credited by C2026-0001.").wait_for()
    _look(desk, "decided")
    desk.context.close()
    connections.close_all()
    assert here.stands() == "193.60"
    assert here.audit() == []
    assert trouble == []


def test_a_debtors_whole_story_on_a_telephone(
    address: str, lasting: Any, chromium: Any, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    """From the link in a notice: what is owed, a part contested, a day promised, the rest in two parts: lifted."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    monkeypatch.setenv("COULANCE_URL", "https://billing.example.nl")
    moment = [at("2026-07-21", 11)]
    monkeypatch.setattr(clock, "now", lambda: moment[0])
    street = Street.of(lasting.folder)
    number = street.billed()
    street.until("2026-07-21", since="2026-06-15")
    assert street.restricted() == ["throttle"]
    mail = next(
        row for row in sent.messages(account=street.account, limit=100)
        if row.contact_ref == "boss" and row.about.startswith("arrears/")
    )  # fmt: skip
    text = sent.text_of(message=mail.message)
    assert text is not None
    link = re.search(r"https://billing\.example\.nl(/owed/\S+)", text.text)
    assert link is not None, text.text

    trouble: list[str] = []
    phone = _page(chromium, 360, trouble)

    def look(name: str) -> str:
        """axe finds nothing on it, and it is no wider than the telephone; its words."""
        found = axe.run(phone, options=RULES).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == [], name
        _look(phone, name)
        return str(phone.inner_text("main")).replace("\u00a0", " ")

    phone.goto(address + link[1])
    said = look("owed")
    for words in (
        "€121.00",
        "Restricted now",
        "What happens next",
        "Every way to stop it",
        "Talk to us",
    ):
        assert words.casefold() in said.casefold(), words
    phone.get_by_role("link", name=f"contest {number}").click()
    phone.get_by_text("Only a part of it").click()
    phone.get_by_label("This amount").fill("40")
    phone.get_by_label("It did not work").check()
    phone.get_by_label("In a few words").fill("it was down for twelve days")
    look("owed-contest")
    phone.get_by_role("button", name="Contest it").click()
    phone.get_by_role("heading", name="With us").wait_for()
    assert "To be paid of B2026-0001: €72.60" in look("owed-case")

    phone.goto(address + link[1])
    assert "€48.40 of it is contested and waits." in look("owed-rest")
    phone.get_by_label("I pay by").fill("2026-07-28")
    phone.get_by_role("button", name="Promise it").click()
    phone.get_by_text("Nothing happens until 28 July 2026 is over").wait_for()
    phone.get_by_label("In how many payments").select_option("2")
    phone.get_by_role("button", name="See the payments").click()
    phone.get_by_role("heading", name="This is the plan").wait_for()
    assert said.count("Restricted now") == 1
    assert "€56.30" in look("owed-plan")  # 121.00 less 48.40, and 40.00 of costs
    phone.get_by_role("button", name="Agree to this plan").click()
    phone.get_by_text("Your plan is agreed.").wait_for()
    moment[0] = at("2026-07-21", 11.02)
    street.run(moment[0])  # as the job does that the agreement queued
    phone.goto(address + link[1])
    said = look("owed-planned")
    assert ("Restricted now" in said, "While you keep it, nothing else happens." in said) == (False, True)
    phone.context.close()
    connections.close_all()
    assert street.restricted() == []
    (case,) = cases.cases(accounts=[street.account], at=moment[0])
    assert (case.gross.decimal(), street.audit(), trouble) == ("48.40", [], [])
