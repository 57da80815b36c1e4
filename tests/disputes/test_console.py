"""The operator's side over HTTP: the queue, a case, questions, figures before a decision, and what is refused."""

from typing import Any

import pytest

from coulance.platform import clock
from tests.console.conftest import operator  # noqa: F401 - fixture
from tests.console.conftest import signed_in as browser_of
from tests.disputes.court import Court, later, part
from tests.disputes.test_portal import signed_in


@pytest.fixture
def desk(court: Court, operator: Any, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: F811
    """Anna's browser, just signed in."""
    monkeypatch.setattr(clock, "now", lambda: later(0.2))
    return browser_of(operator)


def test_queue_case_question_and_decision(court: Court, desk: Any) -> None:
    case = court.opens(part("50.00"), reason="<b>not</b> ours")
    page = desk.get("/disputes").content.decode()
    assert f'href="/disputes/{case}"' in page
    assert "€60.50" in page
    page = desk.get(f"/disputes/{case}").content.decode()
    for said in ("&lt;b&gt;not&lt;/b&gt; ours", "boss@acme.example", "What both sides see", "<svg", "€181.50"):
        assert said in page, said
    act = {"token": "t" * 20, "do": "ask", "text": "Which host?"}
    assert desk.post(f"/disputes/{case}/act", act).status_code == 302
    assert desk.post(f"/disputes/{case}/act", act).status_code == 302  # pressed twice, asked once
    answer = desk.post(f"/disputes/{case}/act", act | {"token": "u" * 20})
    assert (answer.status_code, "one question at a time" in answer.content.decode()) == (422, True)
    asked = {"token": "v" * 20, "outcome": "part", "amount-1": "20", "reason": "half of June was ours"}
    page = desk.post(f"/disputes/{case}/decide", asked).content.decode()
    assert "€24.20" in page
    assert court.state(case) == "asked"  # figures first
    answer = desk.post(f"/disputes/{case}/decide", asked | {"step": "do"})
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/disputes/{case}")
    assert (court.state(case, later(2)), court.stands()) == ("decided", "217.80")
    assert "C2026-0001" in desk.get(f"/disputes/{case}").content.decode()


BAD_DECISIONS: list[tuple[dict[str, str], str]] = [
    ({"outcome": ""}, "Choose how it ends"),
    ({"outcome": "upheld", "reason": ""}, "Say why"),
    ({"outcome": "part", "amount-1": "50.01"}, "50.00 EUR is contested"),
    ({"outcome": "part"}, "say how much"),
    ({"outcome": "shared", "share": "2"}, "between 0 and 1"),
    ({"outcome": "shared", "share": "half"}, "Write the share"),
]


def test_a_decision_that_cannot_be(court: Court, desk: Any) -> None:
    case = court.opens(part("50.00"))
    for typed, says in BAD_DECISIONS:
        answer = desk.post(f"/disputes/{case}/decide", {"token": "t" * 20, "reason": "so", **typed})
        assert (answer.status_code, court.state(case)) == (422, "open"), typed
        assert says in answer.content.decode(), typed


def test_opened_for_a_customer_who_called_and_their_file_read(court: Court, desk: Any) -> None:
    body = {"token": "t" * 20, "line-1": "1", "grounds": "attack", "contact": "boss", "reason": "on the phone"}
    answer = desk.post(f"/documents/{court.document}/contest", body)
    assert answer.status_code == 302
    case = int(answer.headers["Location"].rsplit("/", 1)[1])
    assert court.stands() == "242.00 of which 242.00 held"
    from django.core.files.uploadedfile import SimpleUploadedFile

    log = SimpleUploadedFile("log.txt", b"look")
    page = signed_in(court.account).post(f"/my/cases/{case}", {"act": "say", "text": "see this", "files": [log]})
    assert page.status_code == 200
    found = desk.get(f"/disputes/{case}").content.decode()
    address = found.split(f'href="/disputes/{case}/files/')[1].split('"')[0]
    file = desk.get(f"/disputes/{case}/files/{address}")
    assert (file.content, file.headers["X-Content-Type-Options"]) == (b"look", "nosniff")
    assert desk.get("/disputes/999999").status_code == 404
