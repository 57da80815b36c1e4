"""The operator's side: contracts with verdicts, a timer, leave; promises at risk and broken."""

from typing import Any

import pytest

from coulance.contracts import queries, ticketing, tickets
from coulance.platform import clock
from tests.console.conftest import operator  # noqa: F401 - fixture
from tests.console.conftest import signed_in as browser_of
from tests.contracts.desk import Desk, later


def test_contracts_timer_leave_and_promises(desk: Desk, operator: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    desk.agrees("k1", "strips").sells("k1")
    desk.agrees("k2", "care").tells("7", ("opened", later(0)), contract="k2")
    monkeypatch.setattr(clock, "now", lambda: later(3))
    browser = browser_of(operator)
    page = browser.get("/contracts").content.decode()
    for said in ("Too early to say", "10:00", "strips@2026-01-01"):
        assert said in page, said
    act = {"token": "t" * 20, "contract": "k1", "do": "start", "text": "<b>DNS</b>", "work": "corrective"}
    assert browser.post("/contract-work", act).status_code == 302
    assert browser.post("/contract-work", act).status_code == 302  # pressed twice, started once
    monkeypatch.setattr(clock, "now", lambda: later(3.3))
    assert "runs on k1 since" in browser.get("/contracts").content.decode()
    assert "Stop and write down" in browser.get("/contracts/k1").content.decode()
    browser.post("/contract-work", {"token": "u" * 20, "contract": "k1", "do": "stop"})
    ask = {"token": "v" * 20, "contract": "k1", "do": "ask", "text": "a report", "minutes": "90"}
    browser.post("/contract-work", ask)
    page = browser.get("/contracts/k1").content.decode()
    for said in ("&lt;b&gt;DNS&lt;/b&gt;", "0:30 your hour card", "a report", "95.00", "B2026-0001", "waits"):
        assert said in page, said
    assert queries.timers() == []
    # A timer that was forgotten is no work; one that runs is there in another browser too, after a restart.
    browser.post("/contract-work", act | {"token": "w" * 20})
    other = browser_of(operator)
    assert "Your timer runs since" in other.get("/contracts/k1").content.decode()
    monkeypatch.setattr(clock, "now", lambda: later(3.3 + 24 * 32))
    assert (
        "31 days" in other.post("/contract-work", {"token": "x" * 20, "contract": "k1", "do": "stop"}).content.decode()
    )
    other.post("/contract-work", {"token": "y" * 20, "contract": "k1", "do": "drop"})
    assert queries.timers() == []
    monkeypatch.setattr(clock, "now", lambda: later(3.3))
    page = browser.get("/promises").content.decode()
    for said in ("Help 7", "first answer", "late"):
        assert said in page, said
    assert browser.get("/contracts/k9").status_code == 404


def test_what_can_be_done_with_a_contract_is_shown_first_and_done_once(
    desk: Desk,
    operator: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk.agrees("k1", "strips").agrees("k2", "care")
    monkeypatch.setattr(clock, "now", lambda: later(30))
    browser, number = browser_of(operator), iter(range(1000))

    def press(address: str, **typed: str) -> tuple[int, str]:
        answer = browser.post(address, {"token": f"{next(number):020}", **typed}, follow=True)
        return answer.status_code, answer.content.decode()

    def written() -> list[int]:
        rows = queries.contracts(keys=["k1", "k2"])
        facts = queries.facts([row.id for row in rows])
        return [len(queries.charges([row.id])) + len(row.changes) + len(facts[row.id].cards) for row in rows]

    card = {"contract": "k1", "do": "card", "product": "10h", "name": "order-7"}
    deals = [  # typed, said
        (card, "Card order-7: 10:00 for"),
        (
            {"contract": "k1", "do": "card-back", "name": "order-7", "reason": "ordered twice"},
            "is taken back by credit note",
        ),
        (
            {"contract": "k2", "do": "price", "price": "81,50", "on": "2027-06-01", "reason": "agreed"},
            "It costs 81.50 EUR from 2027-06-01",
        ),
        (
            {"contract": "k2", "do": "index", "before": "100", "now": "110", "on": "2026-06-01", "reason": "the index"},
            "It costs 103.00 EUR from 2026-06-01",
        ),
        ({"contract": "k2", "do": "notice", "reason": "by mail"}, "By its terms it ends on"),
        ({"contract": "k2", "do": "go-on", "reason": "they stay"}, "it goes on"),
    ]
    for typed, said in deals:
        before = written()
        status, page = press("/contract-deal", **typed)
        assert status == 200, page
        assert said in page, (typed, page)
        assert "This is what would happen" in page
        assert written() == before, "a look writes nothing"
        status, page = press("/contract-deal", step="do", **typed)
        assert status == 200, page
        assert said in page, (typed, page)
        assert "This is what would happen" not in page
        assert written() != before

    # work is written down, corrected with a reason, and taken out
    work = {
        "contract": "k2",
        "day": "2026-05-04",
        "time": "09:30",
        "minutes": "45",
        "work": "corrective",
        "text": "DNS",
    }
    assert "0:45 are written down" in press("/contract-work", do="write", **work)[1]
    (one,) = queries.facts([queries.contract("k2").id])[queries.contract("k2").id].work
    again = {"contract": "k2", "entry": one.entry.key, "minutes": "30", "work": "corrective"}
    assert press("/contract-work", do="correct", **again)[0] == 422
    assert "It is corrected: 0:30" in press("/contract-work", do="correct", reason="a slip", **again)[1]
    assert press("/contract-work", do="correct", reason="x", **(again | {"contract": "k1"}))[0] == 422, "another's work"
    assert "It counts no more" in press("/contract-work", do="take-out", reason="not for them", **again)[1]

    wrong = (  # said, and changes nothing
        card | {"product": "none"},
        card | {"name": ""},
        {"contract": "k2", "do": "price", "price": "x", "on": "2027-01-01"},
        {"contract": "k2", "do": "early", "reason": "x"},
        {"contract": "k2", "do": "seats", "seats": "-1", "on": "2027-01-01"},
        {"contract": "k2", "do": "nothing"},
    )
    before = written()
    for typed in wrong:
        assert press("/contract-deal", step="do", **typed)[0] == 422, typed
    assert written() == before

    # another contract is agreed
    new = {"key": "k3", "account": "acme", "terms": "care", "on": "2026-03-01", "do": "agree", "reason": "ordered"}
    assert "k3 is agreed on care@" in press("/contract-agree", **new)[1]
    assert queries.contract("k3").starts_on.isoformat() == "2026-03-01"


def test_a_contract_shows_what_both_sides_have(desk: Desk, operator: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    desk.agrees("k2", "care")
    monkeypatch.setattr(clock, "now", lambda: later(30))
    page = browser_of(operator).get("/contracts/k2").content.decode()
    for said in ("Is it fair?", "nothing is said yet", "By the hour".lower(), "They are ahead by", "How it was judged"):
        assert said in page, said


def test_mail_that_waits_a_ticket_and_what_they_said_of_it(
    desk: Desk,
    operator: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk.agrees("k2", "care")
    held = desk.mails("<script>x</script>", sender="new@acme.example", subject="<b>Down</b>")
    monkeypatch.setattr(clock, "now", lambda: later(3))
    browser = browser_of(operator)
    page = browser.get("/tickets/held").content.decode()
    for said in ("&lt;script&gt;", "&lt;b&gt;Down", "nobody&#x27;s contact", "when it was handed over"):
        assert said in page, said
    act = {"token": "a" * 20, "mail": str(held.mail.id), "do": "opened", "account": "acme"}
    assert "Say why" in browser.post("/tickets/held/act", act, follow=True).content.decode()
    answer = browser.post("/tickets/held/act", act | {"token": "b" * 20, "reason": "a new colleague"}, follow=True)
    number = tickets.tickets()[0].id
    assert answer.redirect_chain[-1][0] == f"/tickets/{number}"
    page = answer.content.decode()
    for said in ("first answer", "late", "&lt;script&gt;", "opened the ticket", "k2"):
        assert said in page, said
    for n, event in enumerate(("answered", "solved", "opened")):
        browser.post(f"/tickets/{number}/act", {"token": f"{n:020}", "do": "tell", "event": event})
    assert [e.kind.value for e in tickets.ticket(number).events] == ["opened", "answered", "solved"]
    ticketing.record_opinion(ticket=number, score=2, text="<i>slow</i>", contact="boss", at=later(4))
    page = browser.get("/accounts/acme").content.decode()
    for said in ("2.0", "&lt;i&gt;slow", f"/tickets/{number}", "2 of 5 for ticket", "Content with solved tickets"):
        assert said in page, said
    assert "&lt;i&gt;slow" in browser.get(f"/tickets/{number}").content.decode()
    assert browser.get("/tickets/999999").status_code == 404
    assert "On the low side that is worth" in browser.get("/contracts").content.decode()
