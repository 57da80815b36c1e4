"""The balance and charges by agreement: topped up, drawn, announced, within limits, stopped; and the pages for it."""

from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from coulance.flows.rails import mandates, paying, wallet
from coulance.payments import agreements, bank, charging
from coulance.payments import mandates as signed
from coulance.payments import queries as payments
from coulance.platform import clock
from coulance.portal.access import KEY
from coulance_core.payments.bank import BankEntry
from tests.payments.till import Customer, eur, faults
from tests.rails import world
from tests.rails.fakes import FakeStripe
from tests.rails.world import Bank, arrives, at, payer

DAY = date(2026, 11, 9)
DUE = date(2026, 11, 18)


@pytest.fixture(autouse=True)
def _provider(db: Any, tmp_path: Path) -> None:
    world.provider(tmp_path / "provider")


def keeps(who: Customer, stripe: FakeStripe, cents: int = 1000, card: str = "4242") -> int:
    """They fill their balance on a page, and let the card be kept."""
    given: Any = {"return_url": "https://x.example/", "language": "en", "actor": "contact:desk", "at": at(DAY)}
    begun = paying.start(account=who.id, name="stripe", amount=eur(cents), top_up=True, keep=True, **given)
    stripe.pay(begun.payment.refs[0], card=card)
    paying.refresh(payment=begun.payment.id, at=at(DAY))
    return charging.stored_methods(accounts=[who.id])[0].id


def runs(day: date) -> wallet.Ran:
    """A look at balances and agreements; what is announced arrives within the hour."""
    before = {one.message_key for one in agreements.announced()}
    done = wallet.run(on=day, at=at(day), actor="worker")
    for one in agreements.announced():
        if one.message_key not in before:
            arrives(one.message_key, at(day, 10))
    return done


def test_a_balance_is_filled_by_page_and_by_transfer_and_pays_what_is_due(stripe: FakeStripe, tmp_path: Path) -> None:
    anna = payer()
    keeps(anna, stripe)
    reference = bank.top_up_reference(anna.id)
    entry = BankEntry(DAY, eur(500), structured_reference=reference, counterparty_iban=world.THEIRS)
    assert [(one.rule, one.outcome) for one in Bank(tmp_path).says(entry, day=DAY).judged] == [("top_up", "booked")]
    assert anna.stands() == (0, 0, 1500)
    extra, base = anna.invoice("extra", 605, overage=True), anna.invoice("base", 1210)
    assert runs(date(2026, 11, 17)).drawn == []
    assert runs(DUE).drawn == [(anna.id, eur(1500))]
    assert anna.open() == {extra: 315}
    assert base not in anna.open()
    assert runs(DUE).drawn == []
    assert faults() == []


def test_a_low_balance_is_topped_up_within_the_months_limit(stripe: FakeStripe) -> None:
    anna = payer()
    method = keeps(anna, stripe)
    agreed = wallet.agree_top_up(
        account=anna.id, method=method, below=eur(2000), amount=eur(2500), most_a_month=eur(5000), language="en",
        given_by="contact:desk", at=at(DAY),
    )  # fmt: skip
    assert "never more than €50.00 in a calendar month" in agreed.text
    assert runs(DAY).charged == [(anna.id, eur(2500), "paid")]
    assert runs(DAY).charged == []
    anna.invoice("base", 2420)
    assert runs(DUE).charged == [(anna.id, eur(2500), "paid")]
    anna.invoice("next", 3025)
    done = runs(DUE)
    assert (done.drawn, done.charged, done.refused) == (
        [(anna.id, eur(3025))],
        [],
        [(anna.id, "top-up: above_month")],
    )
    assert len(stripe.all("payment_intent")) == 3
    assert runs(date(2026, 12, 1)).charged == [(anna.id, eur(2500), "paid")]
    assert faults() == []


def test_an_invoice_is_charged_when_due_if_it_was_told_and_fits(stripe: FakeStripe) -> None:
    anna = payer()
    method = keeps(anna, stripe, 500)
    wallet.agree_auto_pay(
        account=anna.id, method=method, most_each=eur(2000), most_a_month=None, language="en", given_by="contact:desk",
        at=at(DAY),
    )  # fmt: skip
    invoice, large = anna.invoice("base", 1210), anna.invoice("large", 2420, overage=True)
    first = runs(DAY)
    assert (first.announced, first.refused) == ([(anna.id, eur(1210))], [(anna.id, f"{large}: above_each")])
    done = runs(DUE)
    assert [amount.minor for _, amount in done.drawn] == [500]
    # The balance paid a part, so what was announced is not what is owed: it is announced anew.
    assert (anna.id, f"{invoice}: changed") in done.refused
    assert runs(DUE + timedelta(days=1)).announced == [(anna.id, eur(710))]
    done = runs(DUE + timedelta(days=6))
    assert done.charged == [(anna.id, eur(710), "paid")]
    assert anna.open() == {large: 2420}
    assert faults() == []


def test_nothing_is_charged_untold_declined_twice_or_after_it_was_stopped(stripe: FakeStripe) -> None:
    anna = payer()
    method = keeps(anna, stripe, 500, card="0002")
    given: Any = {"most_each": None, "most_a_month": None, "language": "en", "given_by": "contact:desk", "at": at(DAY)}
    agreed = wallet.agree_auto_pay(account=anna.id, method=method, **given)
    anna.invoice("base", 605)
    with_draw = wallet.run(on=DAY, at=at(DAY), actor="worker")
    assert len(with_draw.announced) == 1
    assert "not_told" in wallet.run(on=DUE, at=at(DUE), actor="worker").refused[0][1]
    runs(DUE + timedelta(days=1))
    charged = [row for _, _, row in runs(DUE + timedelta(days=6)).charged]
    assert charged == ["failed"]
    assert runs(DUE + timedelta(days=7)).announced == []  # its people were told: once is enough
    wallet.stop(agreement=agreed.id, actor="contact:desk", reason="enough", at=at(DUE + timedelta(days=8)))
    assert agreements.agreements(accounts=[anna.id]) == []


def test_a_customer_pays_signs_and_stops_in_the_portal(stripe: FakeStripe) -> None:
    anna = payer(language="nl")
    invoice = anna.invoice("base", 1210)
    web = _enter(anna)
    page = web.get("/my/paying").content.decode()
    assert "Wat openstaat" in page
    assert "Betalen met Stripe" in page
    gone = web.post("/my/paying", {"act": "pay", "ref": invoice, "gateway": "stripe", "keep": "yes"})
    assert (gone.status_code, gone.headers["Location"].startswith(f"{stripe.address}/pay/cs_")) == (302, True)
    (row,) = charging.payments(accounts=[anna.id])
    stripe.pay(row.refs[0])
    paying.refresh(payment=row.id, at=clock.now())
    assert anna.open() == {}
    (kept,) = charging.stored_methods(accounts=[anna.id])
    text = mandates.text(language="nl")
    for sent, said in (
        ({"act": "sign", "iban": world.THEIRS, "holder": "Anna", "agreed": "no"}, "Lees de machtiging"),
        ({"act": "sign", "iban": "NL00", "holder": "Anna", "agreed": sha256(text.encode()).hexdigest()}, "is no IBAN"),
        ({"act": "top-up", "amount": "2.00", "gateway": "stripe"}, "Dat kan niet"),
        ({"act": "forget", "method": "999999"}, "Kies een betaalwijze"),
        ({"act": "auto-pay", "method": kept.id, "most_each": "50,00"}, "Voortaan worden uw facturen"),
        ({"act": "sign", "iban": world.THEIRS, "holder": "Anna", "agreed": sha256(text.encode()).hexdigest()}, "onder"),
        ({"act": "invoices-on", "most_each": "50,00"}, "incasseren wij uw facturen"),
        ({"act": "auto-top-up", "method": "mandate", "below": "9", "amount": "25", "most_a_month": "50"}, "aangevuld"),
        ({"act": "invoices-off"}, "U betaalt uw facturen zelf"),
        ({"act": "ask-back"}, "nothing is left over"),
        ({"act": "forget", "method": kept.id}, "vergeten"),
    ):
        assert said in web.post("/my/paying", sent).content.decode(), sent
    (mandate,) = signed.mandates(accounts=[anna.id])
    assert (mandate.how, mandate.text, mandate.signed_by) == ("portal", text, "desk, from 127.0.0.1")
    (left,) = agreements.agreements(accounts=[anna.id])  # the other went with its way to pay
    assert (left.kind, left.mandate) == ("auto_top_up", mandate.id)
    assert "beëindigd" in web.post("/my/paying", {"act": "withdraw", "mandate": mandate.id}).content.decode()
    assert (payments.in_flight(), agreements.agreements(accounts=[anna.id])) == ([], [])


def _enter(who: Customer) -> Client:
    """Signed in as the account's desk."""
    web = Client()
    session = web.session
    session[KEY] = {
        "account": who.id, "contact": "desk", "address": f"desk@{who.ref}.example", "at": clock.now().isoformat()
    }  # fmt: skip
    session.save()
    return web
