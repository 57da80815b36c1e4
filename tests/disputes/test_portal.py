"""The customer's side over HTTP: who sees what, files in and out, links, and what is said when it can't be."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from coulance.disputes import queries as cases
from coulance.flows.disputing import links, working
from coulance.flows.disputing.links import Holder
from coulance.platform import audit, clock
from coulance.portal import access
from tests.disputes.court import ANNA, OPENED, Court, later, people


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: OPENED)


def signed_in(account: int, contact: str = "boss", ref: str = "acme") -> Client:
    """A browser in which a contact is signed in."""
    client = Client()
    session = client.session
    address = f"{contact}@{ref}.example"
    session[access.KEY] = {"account": account, "contact": contact, "address": address, "at": OPENED.isoformat()}
    session.save()
    return client


def form(**more: Any) -> dict[str, Any]:
    return {"line-1": "1", "grounds": "quantity", "reason": "not ours", **more}


def test_contested_in_the_portal_with_a_file_and_answered(court: Court, now: None) -> None:
    client = signed_in(court.account)
    page = client.get(f"/my/documents/{court.document}").content.decode()
    assert f'href="/my/documents/{court.document}/contest"' in page
    page = client.get(f"/my/documents/{court.document}/contest").content.decode()
    assert 'name="line-1" value="1" checked' in page  # the only line there is
    log = SimpleUploadedFile("..\\..\\<b>log é.TXT", b"12 June: nothing\n")
    answer = client.post(f"/my/documents/{court.document}/contest", form(files=[log], **{"amount-1": "50,00"}))
    (case,) = cases.cases(accounts=[court.account], at=OPENED)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/my/cases/{case.id}")
    assert (court.stands(), case.opened_by) == ("242.00 of which 60.50 held", "contact:boss")
    again = client.post(f"/my/documents/{court.document}/contest", form())  # the button pressed twice
    assert again.headers["Location"] == f"/my/cases/{case.id}"
    page = client.get(f"/my/cases/{case.id}").content.decode().replace("\u00a0", " ")
    for said in (
        "60.50",
        "not ours",
        "blog e.txt",
        "With us",
        "€181.50",
        "20 July 2026",
        "What both sides see",
        "<svg",
    ):
        assert said in page, said
    working.ask(case=case.id, text="Which <host>?", actor=ANNA, at=later(0.1))
    page = client.get(f"/my/cases/{case.id}").content.decode()
    assert "Which &lt;host&gt;?" in page
    client.post(f"/my/cases/{case.id}", {"act": "say", "text": "web-2"})
    assert cases.case(case.id, at=later(1)).steps[-1].kind.value == "answered"
    client.post(f"/my/cases/{case.id}", {"act": "withdraw", "reason": ""})
    assert court.state(case.id, later(1)) == "withdrawn"
    assert court.stands() == "242.00"


def test_a_file_comes_out_as_an_attachment_and_that_is_written_down(court: Court, now: None) -> None:
    client = signed_in(court.account)
    html = b"<script>alert(1)</script>"
    sent = SimpleUploadedFile("mail.txt", html, content_type="text/html")
    client.post(f"/my/documents/{court.document}/contest", form(files=[sent]))
    (case,) = cases.cases(accounts=[court.account], at=OPENED)
    (file,) = cases.files(case.id)
    answer = client.get(f"/my/cases/{case.id}/files/{file.id}")
    assert (answer.status_code, answer.content) == (200, html)
    headers = {
        name: answer.headers[name]
        for name in ("Content-Type", "Content-Disposition", "X-Content-Type-Options", "Content-Security-Policy")
    }
    assert headers == {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": 'attachment; filename="mail.txt"',
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    (read,) = audit.find(audit.Filter(act="dispute.file_read"))
    assert (read.actor, read.subject, read.detail["sha256"]) == ("contact:boss", f"dispute:{case.id}", file.sha256)
    assert client.get(f"/my/cases/{case.id}/files/{file.id + 1}").status_code == 404


BAD_FILES: list[tuple[list[tuple[str, bytes]], str]] = [
    ([("page.html", b"<b>")], "expected a file that ends in"),
    ([("run.pdf", b"MZ\x90")], "is no PDF"),
    ([("empty.txt", b"")], "is empty"),
    ([("binary.csv", b"a,b\x00")], "control bytes"),
    ([("latin.txt", b"\xe9t\xe9")], "UTF-8"),
    ([("big.txt", b"x" * (5 * 1024 * 1024 + 1))], "larger than 5 MB"),
    ([(f"{n}.txt", b"%d" % n) for n in range(11)], "holds 10 files"),
]


def test_files_that_are_not_taken(court: Court, now: None) -> None:
    client = signed_in(court.account)
    for files, says in BAD_FILES:
        sent = [SimpleUploadedFile(name, content) for name, content in files]
        answer = client.post(f"/my/documents/{court.document}/contest", form(files=sent))
        assert answer.status_code == 422, says
        assert says in answer.content.decode()
    assert cases.holds() == ()


BAD_FORMS: list[tuple[dict[str, str], str]] = [
    ({"line-1": ""}, "Choose what is not right"),
    ({"grounds": "because"}, "Choose what is wrong"),
    ({"reason": " "}, "in a few words"),
    ({"amount-1": "lots"}, "write an amount such as 12.50"),
    ({"amount-1": "1e99"}, "more than was billed"),
    ({"amount-1": "1", "quantity-1": "1"}, "by one of amount, quantity or days"),
    ({"quantity-1": "2001"}, "more than was billed"),
    ({"from-1": "2026-05-31"}, "outside what was billed"),
    ({"from-1": "someday"}, "write days as"),
    ({"accepted-1": "200.00"}, "all that was named is accepted"),
]


def test_what_is_typed_wrong_is_said(court: Court, now: None) -> None:
    client = signed_in(court.account)
    for typed, says in BAD_FORMS:
        answer = client.post(f"/my/documents/{court.document}/contest", form(**typed))
        assert answer.status_code == 422, typed
        assert says in answer.content.decode(), typed
    assert cases.holds() == ()


def test_another_customers_bill_and_case_are_not_there(court: Court, now: None) -> None:
    case = court.opens()
    court.world.account("beta")
    people("beta")
    from coulance.customers import queries as customers

    stranger = signed_in(customers.account("beta").id, ref="beta")
    for page in (f"/my/documents/{court.document}/contest", f"/my/cases/{case}", f"/my/cases/{case}/files/1"):
        assert stranger.get(page).status_code == 404, page
        assert Client().get(page).headers["Location"] == "/my/sign-in"
    assert stranger.post(f"/my/documents/{court.document}/contest", form()).status_code == 404
    assert stranger.post(f"/my/cases/{case}", {"act": "withdraw"}).status_code == 404
    assert court.state(case) == "open"
    assert "None." in stranger.get("/my/cases").content.decode()


def test_by_the_link_of_a_mail_without_signing_in(court: Court, now: None) -> None:
    token = links.make(Holder(court.account, "boss", court.document), until=later(30))
    client = Client()
    assert client.get(f"/contest/{token}").status_code == 200
    assert cases.holds() == ()  # opening it does nothing
    answer = client.post(f"/contest/{token}", form(**{"quantity-1": "500"}))
    assert answer.status_code == 302
    (case,) = cases.cases(accounts=[court.account], at=OPENED)
    assert case.gross.decimal() == "60.50"
    page = client.get(answer.headers["Location"])
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert "What both sides see" not in page.content.decode()  # a forwarded mail shows no more than it said
    own = court.link(case.id)
    client.post(own, {"act": "say", "text": "see our log"})
    assert cases.case(case.id, at=later(1)).steps[-1].text == "see our log"
    # Another's, changed, or too old.
    strange = links.make(Holder(court.account + 1, "boss", court.document, case.id), until=later(30))
    assert client.get(f"/contest/{strange}").status_code == 404
    assert client.get(f"/contest/{token[:-1]}x").status_code == 404
    assert client.get(f"/contest/{links.make(Holder(court.account, 'boss', 1), until=OPENED)}").status_code == 410
    assert client.post(f"/contest/{links.make(Holder(court.account, 'gone', 1), until=later(1))}").status_code == 404


def test_looking_signed_in_is_the_evidence_that_a_question_reached(court: Court, now: None) -> None:
    case = court.opens()
    working.ask(case=case, text="Which host?", actor=ANNA, at=OPENED + timedelta(seconds=-1))
    Client().get(court.link(case))
    assert cases.case(case, at=later(1)).steps[1].reached_at is None
    signed_in(court.account).get(f"/my/cases/{case}")
    assert cases.case(case, at=later(1)).steps[1].reached_at == OPENED


def test_in_dutch(court: Court, now: None) -> None:
    client = signed_in(court.account)
    client.cookies["coulance_language"] = "nl"
    page = client.get(f"/my/documents/{court.document}/contest").content.decode()
    assert "Klopt er iets niet in" in page
    answer = client.post(f"/my/documents/{court.document}/contest", form(grounds=""))
    assert "Kies wat er mis is." in answer.content.decode()
