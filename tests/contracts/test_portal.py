"""The customer's side: the contract in plain words, every minute explained, leave by one link, tickets, an opinion."""

import re
from fractions import Fraction
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from coulance.contracts import judgements, queries, tickets
from coulance.contracts.judgements import JudgementRow
from coulance.flows.contracts import wording
from coulance.invoicing.documents.words import Words
from coulance.notices import queries as sent
from coulance.platform import clock
from coulance_core.contracts.credibility import Estimate
from coulance_core.contracts.fairness import Prices, Used, Verdict, judge
from coulance_core.kernel import Money
from tests.contracts.desk import MAY, Desk, later
from tests.disputes.test_portal import signed_in

_LINK = re.compile(r"https://billing\.example\.nl(/(?:leave|opinion)/\S+)")


def _link(about: str, account: int) -> str:
    """The path of the link in the newest mail about something."""
    row = sent.messages(account=account, about=about, limit=1)[0]
    text = sent.text_of(message=row.message)
    assert text is not None
    found = _LINK.search(text.text)
    assert found, text.text
    return found[1]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set what time it is."""

    def at(hours: float) -> None:
        monkeypatch.setattr(clock, "now", lambda: later(hours))

    at(3)
    return at


def _browser(desk: Desk, contact: str, monkeypatch: pytest.MonkeyPatch) -> Client:
    client = signed_in(desk.account, contact)
    session = client.session
    session["portal"] = session["portal"] | {"at": MAY.isoformat()}
    session.save()
    return client


def test_leave_and_every_minute(desk: Desk, now: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.agrees("k1", "strips").sells("k1")
    desk.works("k1", "e1", later(1), 20, text="<b>DNS</b>")
    leave = desk.asks("k1", 60, later(2))
    page = _browser(desk, "dev", monkeypatch).get("/my/contracts/k1").content.decode().replace("\u00a0", " ")
    for said in ("&lt;b&gt;DNS&lt;/b&gt;", "0:30 your hour card", "9:30 left, 0:30 used", "€95.00 an hour",
                 "a new report", "Only a contact who may incur cost"):  # fmt: skip
        assert said in page, said
    assert 'value="yes"' not in page
    boss = _browser(desk, "boss", monkeypatch)
    page = boss.get("/my/contracts/k1").content.decode()
    for said in ("Mogen we dit werk doen?", "uw urenkaart", "Elke minuut"):
        assert said in page, said
    assert "wacht op uw akkoord" in boss.get("/my/contracts").content.decode()
    path = _link(f"leave/{leave}", desk.account)
    client = Client()
    assert "Er gebeurt niets tot u op een knop drukt" in client.get(path).content.decode()
    assert client.post(path, {"answer": "maybe"}).status_code == 422
    assert "goedgekeurd" in client.post(path, {"answer": "yes"}).content.decode()
    assert client.post(path, {"answer": "no"}).status_code == 422  # it was answered
    assert client.get("/leave/x").status_code == 404
    assert _browser(desk, "dev", monkeypatch).get("/my/contracts/k9").status_code == 404


def test_tickets_with_clocks_and_an_opinion(desk: Desk, now: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.agrees("k2", "care")
    number = desk.tells("7", ("opened", later(0)), ("answered", later(1)), ("solved", later(2)))
    desk.runs(later(3))
    page = _browser(desk, "dev", monkeypatch).get("/my/tickets").content.decode()
    for said in ("Help 7", "first answer by 2026-05-04 11:00: kept"):
        assert said in page, said
    page = _browser(desk, "dev", monkeypatch).get("/my/contracts/k2").content.decode()
    for said in ("included in the fee", "2 working days", "Say what you saw, and when."):
        assert said in page, said
    path = _link(f"ticket/{number}", desk.account)
    assert Client().post(path, {"score": "9"}).status_code == 422
    assert "Dank u. We lezen het." in Client().post(path, {"score": "4", "text": "quick"}).content.decode()
    assert [(o.score, o.text, o.contact) for o in tickets.opinions([number])] == [(4, "quick", "boss")]


def test_a_customer_reads_their_side_and_not_ours(desk: Desk, now: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.agrees("k2", "care")
    page = _browser(desk, "dev", monkeypatch).get("/my/contracts/k2").content.decode()
    assert "Is it fair?" not in page  # nothing was said yet
    desk.runs(later(3))
    page = _browser(desk, "dev", monkeypatch).get("/my/contracts/k2").content.decode().replace("\u00a0", " ")
    for said in ("Is it fair?", "too early to say", "So far you paid", "counted as €200.00 a year", "Judged on"):
        assert said in page, said
    assert "Te vroeg" not in page
    assert "te vroeg" in _browser(desk, "boss", monkeypatch).get("/my/contracts/k2").content.decode()


SAID = [  # verdict, price of a year, expected hours, what is read
    (Verdict.FAIR, "1200.00", 10, "Of an expected year you pay €1,200.00, for what is worth about €1,150.00 to you."),
    (Verdict.COSTS_CUSTOMER, "1200.00", 2, "You are expected to pay €810.00 a year more than it is worth to you."),
    (Verdict.COSTS_PROVIDER, "1200.00", 40, "you pay €1,200.00, for what is worth about €4,000.00 to you."),
]


@pytest.mark.parametrize(("verdict", "price", "hours_", "read"), SAID)
def test_a_verdict_in_a_customers_words(verdict: Verdict, price: str, hours_: int, read: str) -> None:
    seen = Estimate(Fraction(hours_), Fraction(1), Fraction(hours_), Fraction(2))
    prices = Prices(Fraction(95), Fraction(50), standby=Fraction(200))
    found = judge(Used(Fraction(1200), Fraction(hours_)), seen, Fraction(price), prices)
    assert found.verdict is verdict
    row = JudgementRow(1, MAY.date(), MAY, verdict, Money.of(price, "EUR"), found.explanation)
    with translation.override("en"):
        lines = [line.replace("\u00a0", " ") for line in wording.fair_to_them(row, Words.of("en"))]
    assert any(read in line for line in lines), lines
    secret = f"{float(found.expected_provider):.2f}"
    assert secret not in " ".join(lines), "what we earn stays with us"


def test_a_month_keeps_what_was_said_last(desk: Desk) -> None:
    desk.agrees("k2", "care")
    number = desk.id("k2")
    for hours_ in (3, 30, 24 * 40):
        desk.runs(later(hours_))
    newest = judgements.newest([number])[number]
    assert (newest.month.isoformat(), newest.said_at) == ("2026-06-01", later(24 * 40))


def test_another_card_is_ordered_once_by_who_may_at_the_price_they_saw(
    desk: Desk, now: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.agrees("k1", "strips").agrees("k2", "care")
    boss, dev = (_browser(desk, who, monkeypatch) for who in ("boss", "dev"))
    page = boss.get("/my/contracts/k1").content.decode().replace("\u00a0", " ")
    for said in ("10:00 uur voor € 900,00, zonder btw", "binnen 12 maanden", "Bestellen met betalingsplicht"):
        assert said in page, said
    assert "betalingsplicht" not in boss.get("/my/contracts/k2").content.decode()
    assert "Order with" not in dev.get("/my/contracts/k1").content.decode()
    once = re.findall(r'name="once" value="([^"]+)"', page)[0]
    order = {"card": "10h", "minor": "90000", "once": once}
    for wrong in ({"minor": "1"}, {"minor": "x"}, {"card": "99h"}, {"once": "a b"}, {"once": ""}):
        assert boss.post("/my/contracts/k1", order | wrong).status_code == 422, wrong
    assert dev.post("/my/contracts/k1", order).status_code == 422
    assert boss.post("/my/contracts/k2", order).status_code == 422
    assert queries.charges([desk.id("k1")]) == []
    assert boss.post("/my/contracts/k1", order).status_code == 302
    assert boss.post("/my/contracts/k1", order).status_code == 302  # pressed twice, ordered once
    (charge,) = queries.charges([desk.id("k1")])
    assert (charge.amount.minor, charge.invoice) == (90_000, "B2026-0001")
    assert desk.hours("k1", later(3)).left == 36_000
