"""Flows: one transaction an act, told of by webhooks; mandates taken over and withdrawn."""

from datetime import date
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from coulance.flows import payments
from coulance.payments import operations, queries
from coulance.payments.operations import NewReceipt
from coulance.platform import audit
from coulance_core.payments import ItemKind, MandateSequence, Method, ReversalKind, Scheme
from tests.payments.till import ACTOR, AT, DAY, ON, WHY, customer, eur, faults

ACT: Any = {"actor": ACTOR, "reason": WHY, "at": AT + 5 * DAY}
IBAN = "NL91ABNA0417164300"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    events: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(payments, "emit", lambda *, event, data, at: events.append((event, data)))
    monkeypatch.setattr(
        payments, "emit_many", lambda *, event, data, at: events.extend((event, one) for one in data), raising=False
    )
    monkeypatch.setattr(payments, "anybody_listens", lambda: True, raising=False)
    return events


def test_each_act_is_told_of_once(db: Any, told: list[tuple[str, dict[str, Any]]]) -> None:
    one = customer()
    one.invoice("a", 12100)
    ask: Any = {"account": one.id, "received_on": ON, "method": Method.BANK, "source_key": "f/1", "payer_iban": IBAN}
    asked = NewReceipt(amount=eur(15000), reason=ACT["reason"], **ask)
    booked = payments.book_payment(receipt=asked, actor=ACT["actor"], at=ACT["at"])
    payments.book_payment(receipt=asked, actor=ACT["actor"], at=ACT["at"])  # again: nothing to tell
    for _ in range(2):
        payments.refund_payment(receipt=booked.receipt, amount=eur(900), refunded_on=ON, source_key="f/2", **ACT)
    one.invoice("b", 1210)
    payments.allocate_payment(receipt=booked.receipt, on=ON, **ACT)
    (refund,) = queries.refunds(receipts=[booked.receipt])
    payments.reverse_refund(refund=refund.id, kind=ReversalKind.RETURNED, on=ON, **ACT)
    payments.reverse_payment(receipt=booked.receipt, kind=ReversalKind.BOUNCED, on=ON, **ACT)
    assert [event for event, _ in told] == [
        "payment.received",
        "payment.refunded",
        "payment.allocated",
        "payment.reversed",
    ]
    assert told[0][1] == {
        "account": one.ref,
        "receipt": booked.receipt,
        "amount": {"amount": "150.00", "currency": "EUR"},
        "method": "bank",
        "received_on": "2026-11-04",
        "allocated": [{"number": one.numbers["a"], "amount": "121.00", "currency": "EUR"}],
        "unallocated": {"amount": "29.00", "currency": "EUR"},
    }
    assert told[2][1]["allocated"] == [{"number": one.numbers["b"], "amount": "12.10", "currency": "EUR"}]
    assert IBAN not in str(told)
    assert faults() == []


def test_a_refusal_leaves_nothing_and_tells_nothing(db: Any, told: list[tuple[str, dict[str, Any]]]) -> None:
    one = customer()
    one.invoice("a", 12100)
    one.pays(12100)
    one.credit("a", 5000)
    ask: Any = {"account": one.id, "refunded_on": ON, "source_key": "g/1", **ACT}
    with pytest.raises(operations.UnableToRefundError, match="no IBAN"):
        payments.refund_credit(amount=eur(6050), method=Method.BANK, **ask)
    assert one.stands() == (-6050, 0, 0)  # the credit was not freed either
    payments.refund_credit(amount=eur(6050), method=Method.BANK, iban=IBAN, **ask)
    assert (one.open(), one.stands(), [event for event, _ in told]) == ({}, (0, 0, 0), ["payment.refunded"])
    assert faults() == []


def test_choices_are_named_by_numbers(db: Any) -> None:
    one = customer()
    ref = one.invoice("a", 12100)
    assert payments.choices(account=one.id, named=[(one.numbers["a"], eur(5))])[0].ref == ref
    with pytest.raises(operations.UnableToAllocateError, match=f"open: {one.numbers['a']}"):
        payments.choices(account=one.id, named=[("B1999-1", None)])


def mandate(owner: int, **change: Any) -> int:
    given: dict[str, Any] = {
        "account": owner,
        "reference": "M-2024-17",
        "iban": "nl91 abna 0417 1643 00",
        "holder": "A. Customer",
        "signed_on": date(2024, 5, 1),
        "scheme": Scheme.CORE,
        "sequence": MandateSequence.RECURRING,
        "source_key": "whmcs/m/17",
        "actor": ACTOR,
        "at": AT,
    }
    with transaction.atomic():
        return operations.take_over_mandate(**given | change)


def test_a_mandate_is_taken_over_once_and_withdrawn(db: Any) -> None:
    one = customer()
    made = mandate(one.id)
    assert mandate(one.id) == made
    (row,) = queries.mandates(accounts=[one.id])
    assert (row.iban, row.scheme, row.withdrawn_on) == (IBAN, Scheme.CORE, None)
    with transaction.atomic():
        operations.withdraw_mandate(mandate=made, on=ON, actor=ACTOR, reason="asked by the customer", at=AT)
    assert queries.mandates(accounts=[one.id])[0].withdrawn_on == ON
    assert {event.act for event in audit.events(subject=f"account:{one.ref}")} == {
        "mandate.taken_over",
        "mandate.withdrawn",
    }
    with pytest.raises(DatabaseError, match="a withdrawn mandate is over"), transaction.atomic():
        connection.cursor().execute("UPDATE payments_mandate SET withdrawn_on = NULL, withdrawn_why = ''")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"iban": "NL92ABNA0417164300"}, "is no IBAN"),
    ({"reference": "x" * 36}, "1 to 35 characters"),
    ({"holder": " "}, "it has a holder"),
    ({"last_used_on": date(2024, 4, 1)}, "before it was signed"),
    ({"account": 0}, "there is no account 0"),
]


@pytest.mark.parametrize(("change", "said"), BAD, ids=[said for _, said in BAD])
def test_a_bad_mandate_is_refused_in_words(db: Any, change: dict[str, Any], said: str) -> None:
    one = customer()
    with pytest.raises(operations.UnableToTakeOverError, match=said):
        mandate(one.id, **change)
    assert queries.mandates(accounts=[one.id]) == []


def test_the_same_mandate_with_other_content_is_refused(db: Any) -> None:
    one = customer()
    mandate(one.id)
    with pytest.raises(operations.UnableToTakeOverError, match="with other content"):
        mandate(one.id, signed_on=date(2024, 5, 2))
    with pytest.raises(operations.UnableToTakeOverError, match="from another source"):
        mandate(one.id, source_key="whmcs/m/18")


TAKEN: list[tuple[dict[str, Any], str]] = [
    ({"open": eur(0)}, "expected some of it"),
    ({"open": eur(101)}, "expected some of it"),
    ({"open": eur(-1)}, "of the same sign"),
    ({"due_on": ON - 30 * DAY}, "before it was issued"),
    ({"issued_on": ON + DAY, "due_on": ON + DAY}, "after it is taken over"),
    ({"number": " "}, "has a number and a source"),
]


@pytest.mark.parametrize(("change", "said"), TAKEN, ids=[f"{n}" for n in range(len(TAKEN))])
def test_an_item_that_contradicts_itself_is_not_taken_over(db: Any, change: dict[str, Any], said: str) -> None:
    one = customer()
    given: dict[str, Any] = {
        "source_key": "old/1",
        "kind": ItemKind.BASE,
        "number": "7",
        "issued_on": ON - 20 * DAY,
        "due_on": ON - 6 * DAY,
        "gross": eur(100),
        "open": eur(100),
    }
    item = operations.TakenItem(**given | change)
    with pytest.raises(operations.UnableToTakeOverError, match=said), transaction.atomic():
        operations.take_over_items(account=one.id, items=[item], taken_on=ON, **ACT)
    assert one.open() == {}


def test_a_file_of_receipts_is_booked_in_as_many_statements_whatever_their_number(db: Any) -> None:
    def statements(count: int) -> int:
        one = customer()
        receipts = [
            operations.NewReceipt(
                account=one.id,
                amount=eur(100 + no),
                received_on=ON,
                method=Method.BANK,
                source_key=f"{one.ref}/{no}",
                reason=WHY,
            )
            for no in range(count)
        ]
        with CaptureQueriesContext(connection) as asked:
            payments.book_payments(receipts=receipts, actor=ACTOR, at=AT)
        assert len(audit.events(subject=f"account:{one.ref}", act="payment.booked")) == count
        return len(asked)

    assert statements(40) == statements(4)
