"""Killed anywhere, a collection is planned, filed, handed over and charged once by whoever comes after."""

from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from coulance.flows.rails import paying, planning
from coulance.payments import charging, collections, mandates
from coulance.payments import queries as payments
from coulance.platform import alarms
from tests.payments.till import eur, faults
from tests.rails import world
from tests.rails.dying import DAY, do
from tests.rails.fakes import FakeStripe
from tests.rails.world import arrives, at, of, payer, signs, states
from tests.support.crashing import kill_at_each


def test_killed_at_any_step_nothing_is_collected_or_charged_twice(
    committed_db: Any, tmp_path: Path, stripe: FakeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.provider(tmp_path / "provider")
    anna, ben = payer("dd"), payer("card")
    anna.invoice("base", 1210)
    invoice = ben.invoice("base", 1210)
    signs(anna, DAY)
    begun = paying.start(
        account=ben.id, name="stripe", amount=eur(500), top_up=True, keep=True, return_url="https://x.example/",
        language="en", actor="contact:desk", at=at(DAY),
    )  # fmt: skip
    stripe.pay(begun.payment.refs[0])
    paying.refresh(payment=begun.payment.id, at=at(DAY))
    (kept,) = charging.stored_methods(accounts=[ben.id])
    with monkeypatch.context() as broken:
        broken.setattr(planning, "tell", _breaks)
        do("planned", kept.id, ben.id, invoice)  # it stops no other account, and is said aloud
    assert (states(anna), world.live()) == ([], ["0 of 0"])  # claimed and told together, or neither
    assert [one.key for one in alarms.open_alarms()] == [f"payments.rails/collecting from account {anna.id}"]
    do("planned", kept.id, ben.id, invoice)
    assert alarms.open_alarms() == []
    with transaction.atomic():
        arrives(of(anna)[0].message_key, at(DAY, 10))
    kill_at_each("tests.rails.dying", ["filed", "charged"], kept.id, ben.id, invoice, database=committed_db)
    assert (states(anna), collections.runs()) == (["planned"], [])
    do("filed", kept.id, ben.id, invoice)
    with monkeypatch.context() as broken:
        broken.setattr(mandates, "mark_used", _breaks)
        with pytest.raises(ZeroDivisionError):
            do("handed", kept.id, ben.id, invoice)
    assert (states(anna), payments.in_flight()) == (["filed"], [])
    do("handed", kept.id, ben.id, invoice)
    assert (len(collections.runs()), len(payments.in_flight())) == (1, 1)
    # The charge was made there, and its answer never read: it is found by our key, not made again.
    assert [row.state for row in charging.payments(accounts=[ben.id], states=["made"])] == ["made"]
    assert paying.sweep(at=at(DAY, 12)) >= 1
    assert (ben.open(), len(stripe.all("payment_intent"))) == ({}, 2)
    assert faults() == []


def _breaks(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError
