"""A collection under way, and people who book by hand: its money closes it, or they are warned of paying twice."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from coulance.flows import bank_queue
from coulance.flows import payments as money
from coulance.flows.bank_queue import UnableToAssignEntryError
from coulance.flows.rails.coming import coming
from coulance.payments import queries as payments
from coulance_core.payments import ReversalKind
from coulance_core.payments.bank import BankEntry
from tests.payments.till import Customer, eur, faults
from tests.rails import world
from tests.rails.test_bank_answers import texts
from tests.rails.world import ACTOR, Bank, at, credit, hands_over, of, payer, plans, signs, states

ISSUED, LAST, DUE = date(2026, 11, 4), date(2026, 11, 16), date(2026, 11, 18)


@pytest.fixture(autouse=True)
def _provider(db: Any, tmp_path: Path) -> None:
    world.provider(tmp_path / "provider")


@pytest.fixture
def anna() -> Customer:
    one = payer()
    one.invoice("base", 1210)
    signs(one, ISSUED)
    plans(date(2026, 11, 9))
    hands_over(LAST)
    return one


def unclear(folder: Path, **more: Any) -> tuple[int, Bank]:
    """An entry of the amount that says nothing of itself; it waits for a person."""
    bank = Bank(folder)
    (told,) = bank.says(BankEntry(DUE, eur(1210), value_on=DUE, remittance="overboeking", **more), day=DUE).judged
    assert told.outcome == "queued"
    return told.entry, bank


def test_the_banks_credit_assigned_by_hand_closes_its_collection(anna: Customer, tmp_path: Path) -> None:
    entry, bank = unclear(tmp_path)
    (row,) = of(anna)
    given: Any = {"entry": entry, "actor": ACTOR, "reason": "the bank's sum", "at": at(DUE, 20)}
    for named in ({"numbers": [anna.numbers["base"]]}, {"account": anna.ref}):
        with pytest.raises(
            UnableToAssignEntryError, match=rf"whether this is its money \(--collection {row.end_to_end_id}\)"
        ):
            bank_queue.assign(**given, **named)
    bank_queue.assign(**given, numbers=[anna.numbers["base"]], collection=row.end_to_end_id)
    assert (states(anna), anna.open(), anna.stands()) == (["collected"], {}, (0, 0, 0))
    assert payments.in_flight(accounts=[anna.id]) == []
    # What comes by its id later is other money: it is nobody's collection any more.
    bank.says(credit(row, DUE + timedelta(days=1)), day=DUE + timedelta(days=1))
    assert plans(date(2026, 11, 25)).made == []
    assert (states(anna), faults()) == (["collected"], [])


def test_an_entry_that_names_the_collection_needs_no_word(anna: Customer, tmp_path: Path) -> None:
    (row,) = of(anna)
    bank = Bank(tmp_path)
    entry = BankEntry(DUE, eur(1210), value_on=DUE, remittance=f"incasso {row.end_to_end_id.lower()}")
    (told,) = bank.says(entry, day=DUE).judged
    bank_queue.assign(entry=told.entry, account=anna.ref, actor=ACTOR, reason="it says so", at=at(DUE, 20))
    assert (states(anna), anna.open()) == (["collected"], {})


def test_another_payment_beside_a_collection_leaves_money_over_when_both_come(anna: Customer, tmp_path: Path) -> None:
    entry, bank = unclear(tmp_path)
    bank_queue.assign(
        entry=entry, account=anna.ref, another=True, actor=ACTOR, reason="she wired it too", at=at(DUE, 20)
    )
    assert (states(anna), anna.open()) == (["handed"], {})
    bank.says(credit(of(anna)[0], DUE + timedelta(days=1)), day=DUE + timedelta(days=1))
    assert (states(anna), anna.stands()) == (["collected"], (0, 1210, 0))
    assert faults() == []


def test_a_collection_of_another_amount_or_account_is_not_closed(anna: Customer, tmp_path: Path) -> None:
    bank = Bank(tmp_path)
    (told,) = bank.says(BankEntry(DUE, eur(1200), value_on=DUE, remittance="overboeking"), day=DUE).judged
    (row,) = of(anna)
    given: Any = {"entry": told.entry, "actor": ACTOR, "reason": "looks like it", "at": at(DUE, 20)}
    with pytest.raises(UnableToAssignEntryError, match="credits what it collects, whole"):
        bank_queue.assign(**given, collection=row.end_to_end_id)
    with pytest.raises(UnableToAssignEntryError, match="there is no collection DD1"):
        bank_queue.assign(**given, collection="dd1")
    assert states(anna) == ["handed"]


@pytest.mark.parametrize(("kind", "letters"), [(ReversalKind.MISTAKE, 1), (ReversalKind.BOUNCED, 2)])
def test_a_collections_money_undone_by_hand_waits_for_a_person(
    anna: Customer, tmp_path: Path, kind: ReversalKind, letters: int
) -> None:
    Bank(tmp_path).says(credit(of(anna)[0], DUE), day=DUE)
    (row,) = of(anna)
    assert row.receipt is not None
    money.reverse_payment(
        receipt=row.receipt, kind=kind, on=DUE, actor=ACTOR, reason="assigned to the wrong one", at=at(DUE, 20)
    )
    assert (states(anna), list(anna.open().values()), len(texts(anna))) == (["returned"], [1210], letters)
    assert plans(date(2026, 11, 25)).made == [], "nobody collects it again by itself"
    assert faults() == []


def test_whoever_pays_by_hand_is_warned(anna: Customer) -> None:
    (row,) = of(anna)
    assert [str(one) for one in coming(account=anna.id, on=DUE)] == [
        f"12.10 EUR for {anna.numbers['base']} is under way (collection {row.end_to_end_id}), until 2026-11-25"
    ]
    assert coming(account=anna.id, on=DUE, refs=["document/0"]) == []
