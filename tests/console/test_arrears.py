"""Arrears in the console: who is where, what is at risk and held up, what comes; plans, rests and approvals by hand."""

import re
from pathlib import Path
from typing import Any

import pytest

from coulance.arrears import queries as records
from coulance.flows.arrears import people
from coulance.platform import clock
from tests.arrears.street import ANNA, Street, at
from tests.closing.conftest import store_here  # noqa: F401 - fixture

CASE = "/arrears/cases/acme"
NOW = at("2026-07-02", 10)


@pytest.fixture
def street(
    db: Any, store_here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> Street:  # fmt: skip
    """Acme owes 121.00 since the 18th of June, was reminded, and asks for a plan; it is the 2nd of July."""
    monkeypatch.setenv("COULANCE_URL", "https://billing.example.nl")
    made = Street.of(tmp_path)
    made.billed()
    for day in ("2026-06-23", "2026-07-01"):
        made.run(at(day))
    monkeypatch.setattr(clock, "now", lambda: NOW)
    return made


def said(answer: Any, status: int = 200) -> str:
    """A page's text."""
    assert answer.status_code == status, answer.content[:800]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())).replace("\u00a0", " ")


def test_who_is_where_and_what_comes(street: Street, browser: Any) -> None:
    board = said(browser.get("/arrears"))
    for words in ("Acme", "€121.00", "Open cases 1"):
        assert words in board, words
    calendar = said(browser.get("/arrears/calendar?days=60"))
    assert "Acme" in calendar
    assert re.search(r"2026-0[78]-\d\d Acme", calendar), calendar
    assert "Every open bill is known to have arrived" in said(browser.get("/arrears/risk"))
    for page in ("/arrears/held", "/arrears/plans"):
        said(browser.get(page))
    case = said(browser.get(CASE))
    for words in ("What is owed", "2026-06-18", "What was done", "reminder", "What comes", "Worth a year"):
        assert words in case, words
    assert browser.get("/arrears/cases/nobody").status_code == 404
    # A viewer sees it, and can't act.
    from coulance.platform.models import Operator
    from tests.console.conftest import signed_in

    viewer = Operator.objects.create_user(
        "vic", "vic@example.nl", "correct horse battery", is_staff=True, role="viewer"
    )
    client = signed_in(viewer)
    page = client.get(CASE).content.decode()
    assert 'action="/arrears/' not in page
    assert client.post("/arrears/decide", {"account": "acme", "do": "stay"}).status_code == 403
    assert client.post("/arrears/act", {"account": "acme", "do": "promise"}).status_code == 403


def test_a_plan_is_decided_on_with_a_reason(street: Street, browser: Any) -> None:
    bounds = people.bounds(account=street.account, at=NOW)
    parts = people.suggest_plan(bounds=bounds, parts=2)
    plan = people.propose_plan(account=street.account, instalments=parts, actor="contact:boss", at=NOW, reason="later")
    if plan.state == "agreed":  # below what needs nobody's approval
        people.end_plan(plan=plan.id, actor=ANNA, reason="test", at=NOW)
    sent = {"account": "acme", "number": str(plan.id), "token": "t" * 12, "back": "/arrears/plans"}
    assert "Say why" in said(browser.post("/arrears/decide", sent | {"do": "end-plan"}), 422)
    done = browser.post(
        "/arrears/decide", {"account": "acme", "do": "enter-plan", "parts": "2", "token": "u" * 12, "reason": "called"}
    )
    assert done.status_code == 302
    (running,) = records.plans(state="agreed")
    assert (running.agreed_by, running.reason, len(running.instalments)) == (ANNA, "called", 2)
    page = said(browser.get("/arrears/plans"))
    assert "called" in page
    # Sent twice it is done once; another account's number is refused.
    again = {"account": "acme", "do": "end-plan", "number": str(running.id), "token": "v" * 12, "reason": "mistake"}
    assert [browser.post("/arrears/decide", again).status_code for _ in range(2)] == [302, 302]
    assert records.plan(running.id).state == "ended"


def test_rests_promises_and_approvals(street: Street, browser: Any) -> None:
    def acts(path: str, status: int = 302, **sent: str) -> Any:
        tokens.append("x")
        answer = browser.post(
            path, {"account": "acme", "token": "n" * (10 + len(tokens)), "reason": "as agreed"} | sent
        )
        assert answer.status_code == status, said(answer, answer.status_code)[:2000]
        return answer

    tokens: list[str] = []
    assert "A pause has an end" in said(acts("/arrears/decide", 422, do="stay", kind="operator"), 422)
    acts("/arrears/decide", do="stay", kind="operator", until="2026-07-10")
    (rest,) = records.stays(accounts=[street.account])
    assert rest.until == at("2026-07-11", 0)
    acts("/arrears/decide", do="end-stay", number=str(rest.id))
    assert "another account" in said(acts("/arrears/decide", 422, do="end-stay", number="999"), 422)
    acts("/arrears/act", do="promise", pay_by="2026-07-09")
    (promise,) = records.promises(accounts=[street.account])
    assert (promise.by, promise.pay_by.isoformat()) == (ANNA, "2026-07-09")
    assert "14 days" in said(acts("/arrears/act", 422, do="promise", pay_by="2026-09-01"), 422)
    acts("/arrears/decide", 422, do="approve", step="reminder", service="")
    acts("/arrears/decide", do="approve", step="terminate", service="vps-1")
    (case,) = records.cases()
    (yes,) = records.approvals(case=case.id)
    assert (yes.by, yes.reason) == (ANNA, "as agreed")
    acts("/arrears/decide", do="take-back", number=str(yes.id))
    acts("/arrears/act", 422, do="approve", step="terminate", service="vps-1")  # not there, and not by this right
