"""One page says what is owed, what comes of it and every way to stop it: by the notice's link and signed in."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from coulance.arrears import queries as records
from coulance.flows.arrears import links, people
from coulance.flows.arrears.links import Owing
from coulance.invoicing import operations as invoicing
from coulance.platform import audit, clock
from tests.payments.till import Customer
from tests.rails import world
from tests.rails.world import RAILS, at, payer

NOW = datetime(2026, 12, 2, 10, tzinfo=UTC)
DUE = date(2026, 11, 18)


def owing(folder: Path, *, language: str = "en") -> Customer:
    """A provider with arrears, and a customer who owes 242.00 of fees and 60.50 of overage, two weeks late."""
    world.provider(folder, rails=RAILS + '\n[arrears]\nmode = "enforce"\n')
    anna = payer(language=language)
    anna.invoice("base", 24_200)
    anna.invoice("more", 6050, overage=True)
    for number in anna.numbers.values():
        invoicing.mark_sent(number=number, at=at(date(2026, 11, 4)))
    return anna


@pytest.fixture
def anna(db: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Customer:
    """Who owes; it is the 2nd of December."""
    monkeypatch.setattr(clock, "now", lambda: NOW)
    return owing(tmp_path / "provider")


def path(anna: Customer) -> str:
    """The link of a notice."""
    return f"/owed/{links.make(Owing(anna.id, 'desk'), at=NOW)}"


def said(answer: Any) -> str:
    """A page's text, with plain spaces."""
    text = re.sub(r"<[^>]+>", " ", answer.content.decode()).replace("\u00a0", " ").replace("&#x27;", "'")
    return re.sub(r"\s+", " ", text)


def test_the_link_shows_it_all_and_opening_it_does_nothing(anna: Customer) -> None:
    before = len(audit.events(limit=1000))
    answer = Client().get(path(anna))
    page = said(answer)
    for words in (
        "€302.50", anna.numbers["base"], "fees", "use above what was included", "Due on 18 November 2026",
        "What happens next", "Pay, all or a part", "Pay in parts", "Say by when you pay", "contest", "A smaller plan",
        "Talk to us", "NL79DEMO0000000000", "Until 16 December 2026 at the latest",
    ):  # fmt: skip
        assert words in page, words
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert len(audit.events(limit=1000)) == before
    assert records.plans(accounts=[anna.id]) == []
    contest = re.search(r'href="(/contest/[^"]+)"', answer.content.decode())
    assert contest is not None
    assert anna.numbers["base"] in said(Client().get(contest[1]))


def test_a_link_is_good_for_its_own_account_and_time(anna: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    good = path(anna)
    assert Client().get(good[:-3] + "xyz").status_code == 404
    gone = links.make(Owing(anna.id, "nobody"), at=NOW)
    assert Client().get(f"/owed/{gone}").status_code == 404
    several = links.make(Owing(anna.id, ""), at=NOW)
    assert "€302.50" in said(Client().get(f"/owed/{several}"))
    monkeypatch.setattr(clock, "now", lambda: NOW + links.LASTS + timedelta(hours=1))
    assert Client().get(good).status_code == 410


def test_a_plan_is_seen_before_it_is_agreed_to(anna: Customer) -> None:
    client, link = Client(), path(anna)
    private = client.post(link, {"act": "shape", "parts": "3", "first": "150", "reason": "I am ill"})
    assert 'name="reason" value=""' in private.content.decode()  # why is one of a few words, or nothing: never more
    shown = client.post(link, {"act": "shape", "parts": "3", "first": "150", "reason": "later"})
    page = said(shown)
    for words in ("9 December 2026 €150.00", "11 January 2027 €76.25", "9 February 2027 €76.25", "Propose this plan"):
        assert words in page, words
    assert records.plans(accounts=[anna.id]) == []
    digest = re.search(r'name="digest" value="(\w+)"', shown.content.decode())
    assert digest is not None
    sent = {"act": "plan", "parts": "3", "first": "150", "reason": "later"}
    assert "This is the plan" in said(client.post(link, sent | {"digest": "0" * 64}))
    assert records.plans(accounts=[anna.id]) == []
    assert "Your plan is with us" in said(client.post(link, sent | {"digest": digest[1]}))
    (plan,) = records.plans(accounts=[anna.id])
    assert (plan.state, plan.reason, plan.proposed_by, str(plan.total)) == (
        "proposed",
        "later",
        "link:desk",
        "302.50 EUR",
    )
    # It is one at a time; and once it is agreed, nothing is to come while it is kept.
    assert "Pay in parts" not in said(client.get(link))
    people.agree_plan(plan=plan.id, actor="operator:anna", reason="fair", at=NOW)
    page = said(client.get(link))
    assert "Your plan 9 December 2026: €150.00" in page
    assert "While you keep it, nothing else happens." in page
    assert "is taken back" in said(client.post(link, {"act": "end-plan", "plan": str(plan.id)}))
    assert records.plan(plan.id).state == "ended"


REFUSED = [
    ({"act": "shape", "parts": "99"}, "in how many parts"),
    ({"act": "shape", "parts": "2", "first": "1"}, "at least 10 % of the whole"),
    ({"act": "shape", "parts": "2", "first": "400"}, "less than the whole"),
    ({"act": "shape", "parts": "2", "first": "ten"}, "such as 25.00"),
    ({"act": "promise", "pay_by": "2027-03-01"}, "too late for a promise"),
    ({"act": "promise", "pay_by": "2026-11-01"}, "today or a later day"),
    ({"act": "promise", "pay_by": "soon"}, "Choose a day"),
    ({"act": "pay", "gateway": "stripe"}, "Choose what to pay"),
    ({"act": "end-plan", "plan": "1"}, "can't be done now"),
    ({"act": "dance"}, "Choose what to do"),
]


def test_what_is_refused_says_why_and_does_nothing(anna: Customer) -> None:
    link = path(anna)
    for sent, words in REFUSED:
        answer = Client().post(link, sent)
        assert (answer.status_code, words in said(answer)) == (422, True), (sent, said(answer))
    assert records.plans(accounts=[anna.id]) == []
    assert records.promises(accounts=[anna.id]) == []


def test_a_promise_and_its_budget(anna: Customer) -> None:
    client, link = Client(), path(anna)
    for left in ("You can do this once more.", "Your plan"):
        page = said(client.post(link, {"act": "promise", "pay_by": "2026-12-10"}))
        assert "Nothing happens until 10 December 2026 is over" in page
        assert left == "Your plan" or left in page
    assert "Say by when you pay" not in said(client.get(link))
    assert "used up for this bill" in said(client.post(link, {"act": "promise", "pay_by": "2026-12-10"}))
    assert len(records.promises(accounts=[anna.id])) == 2


def test_dutch_and_every_word_of_it(db: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    anna = owing(tmp_path / "provider", language="nl")
    switched = Client().post("/my/language", {"language": "en", "next": path(anna)})
    assert switched.headers["Location"] == path(anna)
    page = said(Client().get(path(anna)))
    for words in ("Wat u moet betalen", "Wat er hierna gebeurt", "In delen betalen", "18 november 2026"):
        assert words in page, words
    for english in ("Nothing", "What ", "Pay", "owe", "Due"):
        assert english not in page, english


def test_a_telephone_is_confirmed_by_a_code(anna: Customer) -> None:
    from coulance.customers import operations as customers
    from coulance.notices import queries as sent
    from coulance.portal.access import KEY

    customers.put_contact(
        account=anna.ref, external_id="desk", name="Desk", email=f"desk@{anna.ref}.example", language="en",
        phone="+31612345678", roles=["billing"], channels=["email"],
    )  # fmt: skip
    client = Client()
    session = client.session
    session[KEY] = {
        "account": anna.id, "contact": "desk", "address": f"desk@{anna.ref}.example", "at": NOW.isoformat()
    }  # fmt: skip
    session.save()
    assert "We sent a code to +31612345678" in said(client.post("/my/contacts", {"act": "phone-code"}))
    mail = sent.messages(account=anna.id, kind="consent")[0]
    text = sent.text_of(message=mail.message)
    assert text is not None
    code = re.search(r"\b\d{6}\b", text.text)
    assert code is not None
    wrong = "000000" if code[0] != "000000" else "111111"
    assert "not right" in said(client.post("/my/contacts", {"act": "phone-confirm", "code": wrong}))
    page = said(client.post("/my/contacts", {"act": "phone-confirm", "code": code[0]}))
    assert "Your telephone is confirmed." in page
    assert "telephone confirmed" in page
