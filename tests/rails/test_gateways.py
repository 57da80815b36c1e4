"""Payments at gateways: asked once, believed only when fetched, refunded, charged back, won, paid out to the cent."""

import itertools
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from coulance.flows import payments as money
from coulance.flows.rails import paying
from coulance.payments import charging, told
from coulance.payments import queries as payments
from coulance.payments.errors import UnableToChargeError
from coulance.payments.ports import (
    GatewayRefusedError,
    SeenState,
    UnableToVerifyEventError,
    Wanted,
    gateway,
)
from coulance.platform.alarms import open_alarms
from coulance_core.kernel import Money
from coulance_core.payments import ReversalKind
from tests.payments.till import Customer, eur, faults
from tests.rails import world
from tests.rails.fakes import FakeMollie, FakeStripe
from tests.rails.world import ACTOR, Bank, at, payer

DAY = date(2026, 11, 9)
NOW = at(DAY)
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(autouse=True)
def _provider(db: Any, tmp_path: Path) -> None:
    world.provider(tmp_path / "provider")


def begins(who: Customer, name: str, ref: str, cents: int, **more: Any) -> charging.PaymentRow:
    """They begin to pay an item on a page."""
    number = next(item.number for item in payments.items(account=who.id) if item.ref == ref)
    return paying.start(
        account=who.id,
        name=name,
        amount=eur(cents),
        numbers=[(ref, number)],
        return_url="https://my.example/done",
        language="nl",
        actor="contact:desk",
        at=NOW,
        **more,
    ).payment


def hears(fake: FakeStripe, kind: str, thing: dict[str, Any], times: int = 1) -> list[int | None]:
    """Stripe tells of something, so many times; the ids of what was kept."""
    headers, body = fake.event(kind, thing)
    return [paying.receive(name="stripe", headers=headers, body=body, at=fake.now) for _ in range(times)]


def test_a_page_is_paid_and_the_way_to_pay_is_kept(stripe: FakeStripe) -> None:
    anna = payer()
    invoice = anna.invoice("base", 1210)
    row = begins(anna, "stripe", invoice, 1210, keep=True, key="once")
    assert begins(anna, "stripe", invoice, 1210, keep=True, key="once") == row  # a second click
    assert (row.state, anna.open(), payments.in_flight()) == ("open", {invoice: 1210}, [])
    intent = stripe.pay(row.refs[0])
    (event, again) = hears(stripe, "payment_intent.succeeded", intent, times=2)
    assert (event is not None, again) == (True, None)
    assert paying.do_event(event=event or 0, at=NOW).endswith("paid")
    assert paying.do_event(event=event or 0, at=NOW).endswith("paid")  # replayed
    done = charging.payment(payment=row.id)
    assert (anna.open(), done.state, done.method) == ({}, "paid", "Visa 4242")
    (kept,) = charging.stored_methods(accounts=[anna.id])
    assert (kept.label, kept.method_ref, kept.given_by) == ("Visa 4242", intent["payment_method"], "contact:desk")
    assert "te bewaren" in kept.text
    assert faults() == []


def test_what_is_being_processed_is_in_flight_and_may_fail(stripe: FakeStripe) -> None:
    anna = payer()
    invoice = anna.invoice("base", 1210)
    row = begins(anna, "stripe", invoice, 1210)
    intent = stripe.pay(row.refs[0], slowly=True)
    assert paying.refresh(payment=row.id, at=NOW).state == "pending"
    assert [(one.ref, one.amount, one.final_on) for one in payments.in_flight()] == [
        (invoice, eur(1210), stripe.now.date() + timedelta(days=14))
    ]
    stripe.settle(intent["id"], fails="bank_account_closed")
    assert paying.refresh(payment=row.id, at=NOW).state == "cancelled"
    assert (payments.in_flight(), anna.open()) == ([], {invoice: 1210})


def test_events_in_any_order_come_to_the_same(stripe: FakeStripe) -> None:
    ends = set()
    for order in itertools.permutations(range(3)):
        anna = payer("order" + "".join(map(str, order)))
        row = begins(anna, "stripe", anna.invoice("base", 1210), 1210)
        intent = stripe.pay(row.refs[0])
        stripe.refund(intent["id"], 210)
        dispute = stripe.dispute(intent["id"], 1000)
        things = [("checkout.session.completed", stripe.things[row.refs[0]]), ("charge.refunded", intent)]
        things.append(("charge.dispute.created", dispute))
        for n in order:
            for event in hears(stripe, *things[n]):
                paying.do_event(event=event or 0, at=NOW)
        ends.add((tuple(anna.open().values()), anna.stands()))
        assert faults() == []
    assert ends == {((1210,), (1210, 0, 0))}


def test_a_chargeback_reopens_the_debt_and_a_won_one_pays_it(stripe: FakeStripe) -> None:
    anna = payer()
    invoice = anna.invoice("base", 1210)
    row = begins(anna, "stripe", invoice, 1210)
    intent = stripe.pay(row.refs[0])
    paying.refresh(payment=row.id, at=NOW)
    dispute = stripe.dispute(intent["id"])
    paying.refresh(payment=row.id, at=NOW)
    assert anna.open() == {invoice: 1210}
    stripe.win(dispute["id"])
    for _ in range(2):
        paying.refresh(payment=row.id, at=NOW)
    assert (anna.open(), anna.stands()) == ({}, (0, 0, 0))
    assert faults() == []


@pytest.mark.parametrize("broken", [0, 1])
def test_a_refund_is_booked_once_whatever_answer_is_read(broken: int, stripe: FakeStripe) -> None:
    anna = payer()
    invoice = anna.invoice("base", 1210)
    row = begins(anna, "stripe", invoice, 1210)
    stripe.pay(row.refs[0])
    paying.refresh(payment=row.id, at=NOW)
    stripe.broken = broken
    for _ in range(2):
        paying.refund(payment=row.id, amount=eur(210), actor=ACTOR, reason="too much", at=NOW, key="r1")
    paying.sweep(at=NOW + timedelta(minutes=5))
    paying.refresh(payment=row.id, at=NOW)
    assert [one.state for one in told.refunds_of(payment=row.id)] == ["done"]
    assert (anna.open(), len(stripe.all("refund"))) == ({invoice: 210}, 1)
    stripe.refund(charging.payment(payment=row.id).refs[1], 900)  # by hand, at Stripe itself; we don't know yet
    with pytest.raises(GatewayRefusedError, match="more than there is"):
        paying.refund(payment=row.id, amount=eur(1000), actor=ACTOR, reason="all", at=NOW)
    paying.refresh(payment=row.id, at=NOW)
    assert anna.open() == {invoice: 1110}
    assert faults() == []


def test_a_charge_whose_answer_was_lost_is_made_once(stripe: FakeStripe) -> None:
    anna = payer()
    invoice = anna.invoice("base", 1210)
    stripe.pay(begins(anna, "stripe", anna.invoice("first", 121), 121, keep=True).refs[0])
    paying.sweep(at=NOW + timedelta(hours=2))
    (kept,) = charging.stored_methods(accounts=[anna.id])
    stripe.broken = 1
    given: Any = {"account": anna.id, "method": kept.id, "amount": eur(1210), "purpose": "auto_pay", "key": "k1"}
    row = paying.charge(**given, claimed=[(invoice, eur(1210))], actor="worker", at=NOW)
    assert row.state == "made"
    assert len(stripe.all("payment_intent")) == 2  # it was done there
    assert paying.charge(**given, claimed=[(invoice, eur(1210))], actor="worker", at=NOW).state == "paid"
    assert paying.sweep(at=NOW + timedelta(minutes=5)) == 0
    assert (len(stripe.all("payment_intent")), anna.open()) == (2, {})


def test_a_declined_card_frees_the_debt(stripe: FakeStripe) -> None:
    anna = payer()
    invoice = anna.invoice("base", 1210)
    stripe.pay(begins(anna, "stripe", anna.invoice("first", 121), 121, keep=True).refs[0], card="0002")
    paying.sweep(at=NOW + timedelta(hours=2))
    (kept,) = charging.stored_methods(accounts=[anna.id])
    given: Any = {"account": anna.id, "method": kept.id, "amount": eur(1210), "purpose": "auto_pay", "key": "k1"}
    row = paying.charge(**given, claimed=[(invoice, eur(1210))], actor="worker", at=NOW)
    assert (row.state, row.failure, world.live()) == ("failed", "Your card was declined.", ["0 of 0"])
    assert anna.open() == {invoice: 1210}
    paying.forget(method=kept.id, actor="contact:desk", reason="a new card", at=NOW + timedelta(hours=3))
    with pytest.raises(UnableToChargeError, match="not there any more"):
        paying.charge(**given, actor="worker", at=NOW)
    assert stripe.things[kept.method_ref]["customer"] is None


def test_payouts_are_booked_with_their_fees_and_found_on_the_statement(stripe: FakeStripe, tmp_path: Path) -> None:
    people = [payer(f"pay{n}") for n in range(4)]
    rows = []
    for n, one in enumerate(people):
        rows.append(begins(one, "stripe", one.invoice("base", 1210 * (n + 1)), 1210 * (n + 1)))
        stripe.pay(rows[-1].refs[0])
    paying.sweep(at=NOW + timedelta(hours=2))
    paying.refund(payment=rows[3].id, amount=eur(840), actor=ACTOR, reason="goodwill", at=NOW)
    made = stripe.payout(DAY)
    assert made is not None
    assert paying.read_payouts(name="stripe", since=DAY, at=NOW) == 1
    assert paying.read_payouts(name="stripe", since=DAY, at=NOW) == 0
    gross, fees = 12100 - 840, sum(25 + 1210 * (n + 1) * 15 // 1000 for n in range(4))
    (payout,) = told.payouts()
    assert (payout.net.minor, payout.fees.minor, payout.strange) == (gross - fees, fees, ())
    assert journal() == {"cash:bank": gross - fees, "fees:stripe": fees, "cash:stripe": stripe.held}
    from coulance_core.payments.bank import BankEntry

    entry = BankEntry(DAY, payout.net, counterparty_name="STRIPE TECHNOLOGY EUROPE", remittance="STRIPE N2X4")
    report = Bank(tmp_path).says(entry, day=DAY)
    assert [(one.outcome, one.rule) for one in report.judged] == [("ignored", "payout")]
    assert journal()["cash:bank"] == gross - fees


def journal() -> dict[str, int]:
    """The balances of money and fees, in cents."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT account, sum(amount)::bigint FROM ledger_posting GROUP BY 1")
        found = dict(cursor.fetchall())
    return {name: found.get(name, 0) for name in ("cash:bank", "fees:stripe", "cash:stripe")}


def test_mollie_pays_keeps_charges_refunds_and_settles(mollie: FakeMollie) -> None:
    anna = payer()
    first = begins(anna, "mollie", anna.invoice("first", 1210), 1210, keep=True)
    mollie.pay(first.refs[0])
    event = paying.receive(name="mollie", headers={}, body=f"id={first.refs[0]}".encode(), at=NOW)
    assert paying.do_event(event=event or 0, at=NOW) == f"payment {first.id}: paid"
    (kept,) = charging.stored_methods(accounts=[anna.id])
    invoice = anna.invoice("base", 2420)
    row = paying.charge(
        account=anna.id, method=kept.id, amount=eur(2420), purpose="pay", key="k1", claimed=[(invoice, eur(2420))],
        actor="contact:desk", at=NOW,
    )  # fmt: skip
    assert (row.state, [one.ref for one in payments.in_flight()]) == ("pending", [invoice])
    mollie.pay(row.refs[0])
    paying.refresh(payment=row.id, at=NOW)
    assert anna.open() == {}
    mollie.chargeback(row.refs[0])
    mollie.refund(first.refs[0], {"value": "2.10", "currency": "EUR"})  # by hand, at Mollie itself
    for one in (row, first):
        paying.refresh(payment=one.id, at=NOW)
    assert anna.open()[invoice] == 2420
    assert anna.stands()[0] == 2420 + 210
    mollie.pay(begins(anna, "mollie", invoice, 2420).refs[0])
    paying.sweep(at=NOW + timedelta(hours=2))
    mollie.settle()
    assert paying.read_payouts(name="mollie", since=DAY - timedelta(days=9), at=NOW) == 1
    (payout,) = told.payouts()
    assert (payout.fees.minor, payout.strange, mollie.held) == (3 * 29, (), 0)
    assert faults() == []


@pytest.mark.parametrize("name", ["stripe", "mollie"])
@pytest.mark.parametrize(("code", "minor"), [("EUR", 1999), ("JPY", 500), ("ISK", 500)])
def test_amounts_arrive_as_they_were_sent(
    name: str, code: str, minor: int, stripe: FakeStripe, mollie: FakeMollie
) -> None:
    there = gateway(name)
    wanted = Wanted(key=f"k-{code}", amount=Money(minor, code), description="d", return_url="https://x.example/")
    page = there.create_checkout(wanted)
    assert there.create_checkout(wanted).ref == page.ref  # the same key, the same page
    seen = there.fetch(page.ref)
    assert (seen.amount, seen.state, seen.key) == (Money(minor, code), SeenState.OPEN, f"k-{code}")


def test_only_signed_and_fresh_events_of_stripe_are_kept(stripe: FakeStripe) -> None:
    headers, body = stripe.event("charge.refunded", {"id": "ch_1"})
    old = {"Stripe-Signature": stripe.sign(body, stripe.now - timedelta(hours=1))}
    forged = {"Stripe-Signature": stripe.sign(body, key="whsec_other")}
    younger = {"Stripe-Signature": f"{old['Stripe-Signature']},t={int(stripe.now.timestamp())}"}
    copies = ((old, body), (younger, body))
    for wrong, said in ((headers, body + b" "), *copies, (forged, body), ({}, body), (headers, b"")):
        with pytest.raises(UnableToVerifyEventError):
            paying.receive(name="stripe", headers=wrong, body=said, at=stripe.now)
    assert told.events() == []


def test_the_address_for_events_keeps_and_answers(stripe: FakeStripe, mollie: FakeMollie) -> None:
    from datetime import UTC, datetime

    stripe.now = datetime.now(UTC)  # the address reads the clock
    headers, body = stripe.event("payout.paid", {"id": "po_1"})
    web = Client()
    sent = web.post("/hooks/pay/stripe", body, "application/json", headers=headers)
    assert (sent.status_code, [one.refs for one in told.events()]) == (200, [("po_1",)])
    assert web.post("/hooks/pay/stripe", body, "application/json").status_code == 400
    assert web.post("/hooks/pay/mollie", "id=tr_abc", FORM).status_code == 200
    assert web.post("/hooks/pay/mollie", "id=%27drop", FORM).status_code == 400
    assert web.get("/hooks/pay/mollie").status_code == 405
    assert web.post("/hooks/pay/other", {}).status_code == 404
    assert len(told.events()) == 1  # what proves nothing and names nothing of ours isn't kept
    headers, body = stripe.event("payment_intent.succeeded", {"id": "pi_else"})
    assert web.post("/hooks/pay/stripe", body, "application/json", headers=headers).status_code == 200
    assert paying.do_event(event=told.events()[0].id, at=NOW) == "no payment of ours"


def test_a_second_partial_chargeback_takes_its_part_too_and_somebody_looks(stripe: FakeStripe) -> None:
    anna = payer()
    invoice = anna.invoice("base", 3630)
    row = begins(anna, "stripe", invoice, 3630)
    intent = stripe.pay(row.refs[0])
    paying.refresh(payment=row.id, at=NOW)
    stripe.dispute(intent["id"], 1000)
    paying.refresh(payment=row.id, at=NOW)
    assert (anna.open(), open_alarms()) == ({invoice: 1000}, [])
    second = stripe.dispute(intent["id"], 500)
    for _ in range(2):
        paying.refresh(payment=row.id, at=NOW)
    assert anna.open() == {invoice: 1500}
    assert [one.key for one in open_alarms()] == [f"payments.chargeback_again/{row.id}"]
    stripe.refund(intent["id"], 200)  # by hand, at Stripe itself: of what is left
    paying.refresh(payment=row.id, at=NOW)
    assert anna.open() == {invoice: 1700}
    stripe.win(second["id"])
    paying.refresh(payment=row.id, at=NOW)
    assert anna.open() == {invoice: 1200}
    assert journal()["cash:stripe"] == 3630 - 1000 - 500 - 200 + 500
    assert faults() == []


def test_a_chargeback_of_what_is_not_here_is_said_aloud(stripe: FakeStripe) -> None:
    anna = payer()
    row = begins(anna, "stripe", anna.invoice("base", 1210), 1210)
    intent = stripe.pay(row.refs[0])
    done = paying.refresh(payment=row.id, at=NOW)
    assert done.receipt is not None
    money.reverse_payment(
        receipt=done.receipt, kind=ReversalKind.MISTAKE, on=DAY, actor="operator:anna", reason="by hand", at=NOW
    )
    stripe.dispute(intent["id"], 500)
    paying.refresh(payment=row.id, at=NOW)
    assert [(one.key, one.severity) for one in open_alarms()] == [(f"payments.chargeback_lost/{row.id}", "critical")]
    assert faults() == []
