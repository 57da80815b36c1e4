"""Money through the console: booked by hand, divided, taken back, paid back; and bank entries decided on."""

from datetime import UTC, datetime
from typing import Any

import pytest

from coulance.customers import queries as customers
from coulance.payments import bank, queries
from coulance.platform import audit, clock
from coulance_core.kernel import Money
from tests.closing.conftest import store_here, world  # noqa: F401 - fixtures
from tests.closing.world import World
from tests.console.test_acts import body, fields

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)

# An MT940 statement of our own making: a payment with a number, and one that nobody can place.
MT940 = """
:20:1
:25:NL91ABNA0417164300EUR
:28C:7/1
:60F:C261119EUR100,00
:61:2611201120C4,84NTRFNONREF
:86:/NAME/Acme/REMI/V2026-0001 with thanks/
:61:2611201120C7,77NTRFNONREF
:86:/NAME/Somebody/REMI/for the thing/
:62F:C261120EUR112,61
-
""".lstrip().replace("\n", "\r\n")


@pytest.fixture(autouse=True)
def _at_a_fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


@pytest.fixture
def billed(world: World) -> World:  # noqa: F811
    """October is closed: acme owes two base fees of 6.05 with tax, and 4.84 of overage."""
    world.provider().account().service("web", "vps", meter="traffic").use("web", {"2026-10-05": 140})
    world.close("2026-10")
    return world


def owed() -> str:
    return queries.balance(account=customers.account("acme").id, currency="EUR").due.decimal()


def pay(browser: Any, amount: str = "10", **typed: str) -> Any:
    """Book a payment: the form, the look at it, and the second press."""
    first = fields(body(browser.get("/payments/new?account=acme")))
    asked = {**first, "account": "acme", "amount": amount, "method": "bank", "received_on": "2026-11-20"}
    shown = browser.post("/payments/new", {**asked, "reason": "At the counter", **typed})
    return browser.post("/payments/new", fields(body(shown)))


def test_a_payment_is_shown_before_it_is_booked_and_booked_once(browser: Any, billed: World) -> None:
    before = owed()
    first = fields(body(browser.get("/payments/new?account=acme")))
    asked = first | {
        "account": "acme", "amount": "10,00", "method": "cash", "received_on": "2026-11-20", "reason": "Paid here",
    }  # fmt: skip
    shown = body(browser.post("/payments/new", asked))
    for said in ("This will be booked", "€10.00", "Acme", "B2026-0001", "To pay afterwards"):
        assert said in shown, said
    assert owed() == before
    sure = fields(shown)
    answers = [browser.post("/payments/new", sure) for _ in range(2)]
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert Money.of(before, "EUR") - Money.of(owed(), "EUR") == Money.of(10, "EUR")
    (receipt,) = queries.receipts()
    assert receipt.received_on.isoformat() == "2026-11-20"
    page = body(browser.get("/accounts/acme"))
    assert "€10.00 received (Cash)" in page
    assert [event.actor for event in audit.events(act="payment.booked")] in (["operator:anna"], [])


def test_the_payers_own_choice_goes_first(browser: Any, billed: World) -> None:
    pay(browser, "4.84", numbers="V2026-0001")
    (row,) = queries.allocations()
    assert (row.number, row.amount.decimal()) == ("V2026-0001", "4.84")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"account": "none"}, "no account 'none'"),
        ({"amount": "abc"}, "no amount in EUR"),
        ({"amount": "0"}, "above zero"),
        ({"amount": "-5"}, "above zero"),
        ({"amount": "1.005"}, "no amount in EUR"),
        ({"amount": "9" * 30}, "9"),
        ({"received_on": "yesterday"}, "is no day"),
        ({"received_on": "2026-11-23"}, "yet to come"),
        ({"received_on": "0001-01-01"}, "too far away"),
        ({"method": "write_off"}, "how it came in"),
        ({"numbers": "V1999-1"}, "nothing is open under"),
        ({"reason": ""}, "Say why"),
    ],
)
def test_what_can_not_be_booked_is_said(browser: Any, billed: World, typed: dict[str, str], said: str) -> None:
    first = fields(body(browser.get("/payments/new")))
    asked = {"account": "acme", "amount": "5", "method": "bank", "received_on": "2026-11-20", "reason": "why"}
    assert said in body(browser.post("/payments/new", {**first, **asked, **typed}), 422)
    assert queries.receipts() == []


def test_what_is_booked_is_undone_by_another_act(browser: Any, billed: World) -> None:
    before = owed()
    place = pay(browser).headers["Location"]
    asked = fields(body(browser.get(place))) | {"kind": "mistake", "on": "2026-11-22", "reason": "Another's"}
    shown = body(browser.post(f"{place}/reverse", asked))
    assert "is undone; what it paid is open again" in shown
    assert owed() != before
    for _ in range(2):
        assert browser.post(f"{place}/reverse", fields(shown)).headers["Location"] == place
    assert owed() == before
    assert "undone" in body(browser.get("/payments"))
    assert "undone" in body(browser.post(f"{place}/reverse", asked), 422).lower()


def test_an_allocation_is_taken_back_and_divided_anew(browser: Any, billed: World) -> None:
    place = pay(browser, "4.84", numbers="V2026-0001").headers["Location"]
    (row,) = queries.allocations()
    asked = fields(body(browser.get(place))) | {"allocation": str(row.id), "reason": "Meant for the base fee"}
    assert (
        browser.post(f"{place}/unallocate", fields(body(browser.post(f"{place}/unallocate", asked)))).status_code == 302
    )
    assert queries.receipts(with_left=True)[0].left.decimal() == "4.84"
    again = fields(body(browser.get(place))) | {"numbers": "B2026-0001", "reason": "As meant"}
    assert browser.post(f"{place}/allocate", fields(body(browser.post(f"{place}/allocate", again)))).status_code == 302
    assert [row.number for row in queries.allocations()] == ["B2026-0001"]


def test_too_much_is_paid_back_but_never_more_than_is_left(browser: Any, billed: World) -> None:
    place = pay(browser, "100").headers["Location"]
    left = queries.receipts()[0].left
    asked = fields(body(browser.get(place))) | {"amount": "1000", "on": "2026-11-22", "reason": "Paid twice"}
    assert browser.post(f"{place}/refund", asked).status_code == 422
    asked |= {"amount": left.decimal()}
    assert "has no IBAN of its payer" in body(browser.post(f"{place}/refund", asked), 422)
    shown = body(browser.post(f"{place}/refund", asked | {"iban": "nl91 ABNA 0417 1643 00"}))
    assert "NL91ABNA0417164300" in shown
    assert "is booked as paid back" in shown
    for _ in range(2):
        assert browser.post(f"{place}/refund", fields(shown)).status_code == 302
    (refund,) = queries.refunds()
    assert refund.amount == left
    assert queries.receipts()[0].left.minor == 0


def upload(text: str, name: str = "week.sta") -> Any:
    from django.core.files.uploadedfile import SimpleUploadedFile

    return SimpleUploadedFile(name, text.encode())


def test_a_bank_file_is_looked_at_then_imported_and_the_rest_decided(browser: Any, billed: World) -> None:
    looked = body(browser.post("/bank/import", {"files": upload(MT940)}))
    assert "Nothing is written yet" in looked
    assert queries.receipts() == []
    assert "Say why" in body(browser.post("/bank/import", {"files": upload(MT940), "step": "do"}), 422)
    for _ in range(2):  # twice the same file: booked once
        done = browser.post("/bank/import", {"files": upload(MT940), "step": "do", "reason": "week 47"})
        assert "It is imported" in body(done)
    assert [receipt.amount.decimal() for receipt in queries.receipts()] == ["4.84"]
    (waiting,) = bank.entries(states=("suggested",))
    place = f"/bank/{waiting.id}"
    assert "Somebody" in body(browser.get("/bank"))
    token = fields(body(browser.get(place)))["token"]
    assert "Say whose" in body(browser.post(place, {"token": token, "what": "assign", "reason": "x"}), 422)
    given = {"token": token, "what": "assign", "account": "acme", "reason": "They called"}
    assert browser.post(place, given).headers["Location"] == "/bank"
    assert sorted(receipt.amount.decimal() for receipt in queries.receipts()) == ["4.84", "7.77"]
    back = {"token": token + "2", "what": "reopen", "reason": "It was not theirs"}
    assert browser.post(place, back).status_code == 302
    assert "waits in the queue again" in body(browser.get(place))
    aside = {"token": token + "3", "what": "ignore", "reason": "Interest"}
    assert browser.post(place, aside).status_code == 302
    assert "Set aside" in body(browser.get("/bank?state=ignored"))
    assert bank.count(states=("suggested",)) == 0


@pytest.mark.parametrize(
    ("text", "said"), [("", "empty"), ("hello", "neither MT940"), ("%PDF-1.4", "this is a PDF"), ("<a/>", "camt")]
)
def test_a_file_that_is_no_statement_is_refused_by_its_name(browser: Any, billed: World, text: str, said: str) -> None:
    page = body(browser.post("/bank/import", {"files": upload(text, "../../etc/odd<b>.txt")}), 422)
    assert said in page
    assert "odd&lt;b&gt;.txt" in page or said == "camt"
    assert "Choose a file" in body(browser.post("/bank/import", {}), 422)


def test_sending_shows_what_can_go_and_why_something_can_not(browser: Any, billed: World) -> None:
    page = body(browser.get("/sending?period=2026-10"))
    assert "V2026-0001" in page
    assert "be sent" in page
    assert "say why" in body(browser.post("/sending/approve", {"period": "2026-10"}), 422).lower()
    assert browser.get("/sending/approve?period=1999-01").status_code == 404
