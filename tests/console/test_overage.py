"""The overage pages: what they show, what is decided there, and that it is said in Dutch too."""

import io
import re
from typing import Any

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from django.test import Client

from coulance.invoicing import holding
from coulance.notices import queries as sent
from coulance.overage import queries as overage
from coulance.platform import clock
from tests.closing.conftest import store_here  # noqa: F401 - fixture
from tests.overage_control.conftest import town  # noqa: F401 - fixture
from tests.overage_control.town import Town
from tests.settling_first.waiting_room import CLOSED, waiting_world
from tests.support.database import ROOT

CONSOLE = ROOT / "src" / "coulance" / "console"
PAGES = ["", "/unreached", "/approvals", "/waiting", "/consents", "/pauses", "/goodwill", "/exposure", "/campaigns"]


@pytest.fixture
def place(town: Town, browser: Any, monkeypatch: pytest.MonkeyPatch) -> Town:  # noqa: F811
    """A service at 115 % whose network is paused, one at 60 %; a limit of 900.00 that waits for approval."""
    town.controlled(more='approval_above = "500.00 EUR"')
    town.customer().service("web", "vps", meter="traffic").service("small", "vps", meter="traffic")
    monkeypatch.setattr(clock, "now", lambda: town.at("2026-10-06T13:00"))
    town.uses("small", "2026-10-05T12:00", 60)
    town.uses("web", "2026-10-06T12:00", 115)
    return town


def text(answer: Any) -> str:
    assert answer.status_code == 200, answer.content[:300]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())).replace("\u00a0", " ")


def test_every_page_says_what_there_is(place: Town, browser: Any) -> None:
    pages = {page: text(browser.get(f"/overage{page}")) for page in PAGES}
    assert "web/out" in pages[""]
    assert "115 GB" in pages[""]
    assert "small/out" not in pages[""]
    assert "paused" in pages[""].lower() or "stopped" in pages[""]
    assert "web/out" in pages["/unreached"]
    assert "holds" in pages["/pauses"]
    assert "unknown: the meter has no max_rate" in pages["/exposure"]
    for page in PAGES:
        browser.cookies["coulance_console_language"] = "nl"
        found = browser.get(f"/overage{page}").content.decode()
        assert '<html lang="nl">' in found
        assert re.search(r'<main[^>]* lang="nl"', found), page
        del browser.cookies["coulance_console_language"]


def test_a_limit_is_decided_with_a_reason_and_the_customer_is_told(place: Town, browser: Any) -> None:
    place.verify("boss@acme.example", "2026-10-01T00:00")
    given = place.allows("web", "2026-10-06T12:30", "900")
    assert given.pending
    assert "€900.00" in text(browser.get("/overage/approvals"))
    body = {"consent": str(given.id), "do": "approve", "token": "t" * 24}
    refused = browser.post("/overage/approvals/decide", body | {"reason": ""})
    assert (refused.status_code, overage.pending()[0].id) == (422, given.id)
    for _ in range(2):  # sent twice, decided once
        done = browser.post("/overage/approvals/decide", body | {"reason": "pays well for years"})
        assert done.status_code == 302
    row = overage.consent(consent=given.id)
    assert row is not None
    assert (row.approved, row.decided_by, row.decision_reason) == (True, "operator:anna", "pays well for years")
    (mail,) = [one for one in place.mails() if one.key == f"consent-decided/{given.id}"]
    words = sent.text_of(message=mail.message)
    assert words is not None
    assert words.subject == "Your limit is approved"
    assert "pays well for years" in words.text
    assert place.restricted("web") == []  # the pause ended with it
    history = text(browser.get("/overage/consents?account=acme"))
    assert "operator:anna: pays well for years" in history


def test_a_call_is_worked_off(town: Town, browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    from coulance.customers import operations as customers

    town.account("acme").service("web", "vps", meter="traffic")
    customers.put_contact(
        account="acme", external_id="boss", name="Ben", phone="+31 10 1234567", language="en", email="", roles=["owner"]
    )
    monkeypatch.setattr(clock, "now", lambda: town.at("2026-10-06T13:00"))
    town.uses("web", "2026-10-06T12:00", 115)
    (task,) = overage.phone_tasks()
    assert "+31 10 1234567" in text(browser.get("/overage/unreached"))
    body = {"task": str(task.id), "contact": "boss", "do": "no_answer", "reason": "rang out", "token": "a" * 24}
    assert browser.post("/overage/unreached/called", body).status_code == 302
    assert overage.phone_tasks()[0].attempts == 1
    body |= {"do": "reached", "reason": "knew the customer number", "token": "b" * 24}
    assert browser.post("/overage/unreached/called", body).status_code == 302
    assert overage.phone_tasks() == []
    assert browser.post("/overage/unreached/called", body | {"token": "c" * 24}).status_code == 422


def test_an_invoice_that_waits_is_issued_with_a_reason(
    db: Any, store_here: Any, tmp_path: Any, browser: Any, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    waiting_world(tmp_path)
    (row,) = holding.held()
    assert "€242.00" in text(browser.get("/overage/waiting"))
    body = {"document": str(row.document), "do": "release", "reason": "they called", "token": "t" * 24}
    assert browser.post("/overage/waiting/release", body).status_code == 302
    page = text(browser.get("/overage/waiting"))
    assert "V2026-0001" in page
    assert "operator:anna: they called" in page
    again = browser.post("/overage/waiting/release", body | {"token": "u" * 24})
    assert (again.status_code, "settled before" in again.content.decode()) == (422, True)
    assert CLOSED


def test_the_language_is_chosen_and_leads_nowhere_else() -> None:
    answer = Client().post("/language", {"language": "nl", "next": "//evil.example"})
    assert (answer.headers["Location"], answer.cookies["coulance_console_language"].value) == ("/", "nl")


def test_every_text_of_these_pages_is_translated() -> None:
    used = {
        str(found)
        for _, _, found, _, _ in extract_from_dir(CONSOLE / "views", method_map=[("overage_*.py", "python")])
        if found
    }
    po = CONSOLE / "locale" / "nl" / "LC_MESSAGES" / "django.po"
    catalog: Any = read_po(io.BytesIO(po.read_bytes()), locale="nl", abort_invalid=True)
    known = {str(message.id): str(message.string) for message in catalog if message.id}
    assert len(used) > 100
    assert used <= known.keys()
    for said in used:
        assert sorted(re.findall(r"%\(\w+\)s", said)) == sorted(re.findall(r"%\(\w+\)s", known[said]))
