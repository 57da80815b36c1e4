"""What happens to money, as a bookkeeper would tell it. Amounts in cents; `stands` is (owed, unallocated, prepaid)."""

from datetime import date
from typing import Any

import pytest
from django.db import connection, transaction

from coulance.payments import operations, queries, statements
from coulance.platform import audit
from coulance_core.kernel import Money
from coulance_core.payments import AllocationPolicy, Choice, ItemKind, Method, ReversalKind, RowKind
from tests.payments.till import ACTOR, AT, DAY, ON, WHY, book, customer, eur, faults

LATER = ON + 5 * DAY
ACT: Any = {"actor": ACTOR, "reason": WHY, "at": AT + 5 * DAY}

# What is owed (o for overage), what comes in, what the payer says it is for, what is open then, what is left over.
DIVIDED = [
    ("paid in full", {"a": 12100}, 12100, (), {"a": 0}, 0),
    ("paid in part", {"a": 12100}, 5000, (), {"a": 7100}, 0),
    ("paid too much", {"a": 12100}, 15000, (), {"a": 0}, 2900),
    ("nothing open", {}, 500, (), {}, 500),
    ("base before overage", {"o": 12100, "b": 24200}, 30000, (), {"o": 6300, "b": 0}, 0),
    ("the payer says otherwise", {"o": 12100, "b": 24200}, 13000, ("o",), {"o": 0, "b": 23300}, 0),
    ("the payer's order", {"b": 12100, "b2": 12100}, 13000, ("b2", "b"), {"b": 11200, "b2": 0}, 0),
]


@pytest.mark.parametrize(
    ("owed", "paid", "choice", "left", "rest"), [c[1:] for c in DIVIDED], ids=[c[0] for c in DIVIDED]
)
def test_money_is_divided(
    db: Any, owed: dict[str, int], paid: int, choice: tuple[str, ...], left: dict[str, int], rest: int
) -> None:
    one = customer()
    refs = {name: one.invoice(name, gross, overage=name.startswith("o")) for name, gross in owed.items()}
    booked = one.pays(paid, *(refs[name] for name in choice))
    assert {name: one.open().get(ref, 0) for name, ref in refs.items()} == left
    assert booked.allocation is not None
    assert booked.allocation.rest == eur(rest)
    booked.allocation.explanation.recompute()
    assert one.stands() == (sum(left.values()), rest, 0)
    assert faults() == []


def test_booking_twice_books_once_and_says_so(db: Any) -> None:
    one = customer()
    one.invoice("a", 12100)
    first = one.pays(5000, source_key="bank/7")
    again = one.pays(5000, source_key="bank/7")
    assert (again.receipt, again.already) == (first.receipt, True)
    assert one.stands() == (7100, 0, 0)
    with pytest.raises(operations.UnableToBookError, match="other content"):
        one.pays(5001, source_key="bank/7")


def test_a_credit_note_lowers_what_is_open_of_its_invoice(db: Any) -> None:
    one = customer()
    a = one.invoice("a", 12100)
    one.invoice("b", 12100)
    one.pays(2100, a)
    one.credit("a", 5000)
    assert one.open()[a] == 12100 - 2100 - 6050
    assert one.stands() == (12100 - 2100 - 6050 + 12100, 0, 0)
    assert faults() == []


def test_a_credit_note_on_what_was_paid_is_credit_and_pays_other_debts_or_goes_back(db: Any) -> None:
    one = customer()
    a = one.invoice("a", 12100)
    one.pays(12100, a, payer_iban="NL91ABNA0417164300")
    one.credit("a")
    assert one.open() == {a: -12100}
    assert faults() == []
    b = one.invoice("b", 6050)
    with transaction.atomic():
        done = operations.apply_credit(account=one.id, currency="EUR", on=LATER, source_key="c/1", **ACT)
    assert one.open() == {a: -6050}
    assert done.allocation is not None
    assert done.allocation.parts[0].amount == eur(6050)
    with transaction.atomic():
        freed = operations.free_credit(account=one.id, amount=eur(6050), on=LATER, source_key="c/2", **ACT)
        refund = operations.refund(
            receipt=freed.receipt,
            amount=eur(6050),
            refunded_on=LATER,
            method=Method.BANK,
            iban="NL91ABNA0417164300",
            source_key="r/1",
            **ACT,
        )
    assert (one.open(), one.stands()) == ({}, (0, 0, 0))
    assert faults() == []
    # And back: the payee's bank returns it, and the credit set off is undone.
    with transaction.atomic():
        operations.reverse_refund(refund=refund, kind=ReversalKind.RETURNED, on=LATER, **ACT)
        operations.reverse_receipt(receipt=freed.receipt, kind=ReversalKind.MISTAKE, on=LATER, **ACT)
        operations.reverse_receipt(receipt=done.receipt, kind=ReversalKind.MISTAKE, on=LATER, **ACT)
    assert one.open() == {a: -12100, b: 6050}
    assert faults() == []


def test_a_bounce_opens_the_debts_again_and_keeps_history(db: Any) -> None:
    one = customer()
    a = one.invoice("a", 12100)
    booked = one.pays(15000, on=ON + DAY)
    with transaction.atomic():
        operations.reverse_receipt(receipt=booked.receipt, kind=ReversalKind.BOUNCED, on=LATER, **ACT)
    assert one.open() == {a: 12100}
    assert one.open(ON + DAY) == {}
    assert one.open(ON) == {a: 12100}
    assert one.stands() == (12100, 0, 0)
    (undone,) = queries.allocations(receipts=[booked.receipt], undone=True)
    assert (undone.reversed_on, undone.reversed_why) == (LATER, WHY)
    assert queries.receipt(receipt=booked.receipt).reversed_on == LATER
    assert faults() == []
    with pytest.raises(operations.UnableToReverseError, match="was undone"), transaction.atomic():
        operations.reverse_receipt(receipt=booked.receipt, kind=ReversalKind.BOUNCED, on=LATER, **ACT)


def test_a_refund_goes_to_where_the_money_came_from(db: Any) -> None:
    one = customer()
    one.invoice("a", 12100)
    booked = one.pays(15000, payer_iban="NL91ABNA0417164300")
    ask: Any = {"receipt": booked.receipt, "refunded_on": LATER, "source_key": "refund/x", **ACT}
    with pytest.raises(operations.UnableToRefundError, match=r"29.00 EUR is left"), transaction.atomic():
        operations.refund(amount=eur(3000), **ask)
    with transaction.atomic():
        made = operations.refund(amount=eur(2900), **ask)
        assert operations.refund(amount=eur(2900), **ask) == made
    (row,) = queries.refunds(receipts=[booked.receipt])
    assert (row.iban, row.method, row.amount) == ("NL91ABNA0417164300", Method.BANK, eur(2900))
    assert one.stands() == (0, 0, 0)
    assert faults() == []
    with pytest.raises(operations.UnableToReverseError, match="paid back"), transaction.atomic():
        operations.reverse_receipt(receipt=booked.receipt, kind=ReversalKind.BOUNCED, on=LATER, **ACT)


def test_a_prepaid_balance_is_filled_drawn_and_emptied_by_a_bounce(db: Any) -> None:
    one = customer()
    filled = one.pays(20000, prepaid=True)
    assert one.stands() == (0, 0, 20000)
    a = one.invoice("a", 12100)
    with transaction.atomic():
        operations.draw_prepaid(account=one.id, amount=eur(12100), drawn_on=ON, source_key="d/1", **ACT)
    assert (one.open(), one.stands()) == ({}, (0, 0, 7900))
    with pytest.raises(operations.UnableToBookError, match=r"balance is 79.00 EUR"), transaction.atomic():
        operations.draw_prepaid(account=one.id, amount=eur(7901), drawn_on=ON, source_key="d/2", **ACT)
    with transaction.atomic():
        undone = operations.reverse_receipt(receipt=filled.receipt, kind=ReversalKind.BOUNCED, on=LATER, **ACT)
    assert len(undone) == 2
    assert (one.open(), one.stands()) == ({a: 12100}, (12100, 0, 0))
    assert faults() == []


def test_a_write_off_is_a_bad_debt_and_can_be_undone(db: Any) -> None:
    one = customer()
    a = one.invoice("a", 12100)
    b = one.invoice("b", 12100, overage=True)
    with transaction.atomic():
        done = operations.write_off(
            account=one.id,
            items=[Choice(a, eur(100)), Choice(b)],
            on=LATER,
            source_key="w/1",
            currency="EUR",
            **ACT,
        )
    assert one.open() == {a: 12000}
    assert faults() == []
    with pytest.raises(operations.UnableToAllocateError, match=r"only 120.00 EUR is open"), transaction.atomic():
        operations.write_off(
            account=one.id, items=[Choice(a, eur(12001))], on=LATER, source_key="w/2", currency="EUR", **ACT
        )
    with pytest.raises(operations.UnableToAllocateError, match="is named twice"), transaction.atomic():
        operations.write_off(
            account=one.id, items=[Choice(a), Choice(a)], on=LATER, source_key="w/3", currency="EUR", **ACT
        )
    with transaction.atomic():
        operations.reverse_receipt(receipt=done.receipt, kind=ReversalKind.MISTAKE, on=LATER, **ACT)
    assert one.open() == {a: 12100, b: 12100}


@pytest.mark.parametrize("iban", ["NL", "NO1234567890AB", "nl91abna0417164300", "NL91 ABNA 0417 1643 00"])
def test_what_is_no_iban_is_refused_with_words(db: Any, iban: str) -> None:
    one = customer()
    with pytest.raises(operations.UnableToBookError, match="is no IBAN"):
        one.pays(100, payer_iban=iban)


def test_a_debt_that_was_given_up_and_then_credited_is_no_money_of_the_customers(db: Any) -> None:
    one = customer()
    a = one.invoice("a", 12100)
    one.pays(2100, a)
    with transaction.atomic():
        operations.write_off(account=one.id, items=[Choice(a)], on=ON, source_key="w/c", currency="EUR", **ACT)
    connection.check_constraints()
    one.credit("a", 5000)
    assert one.open() == {a: -6050}
    ask: Any = {"account": one.id, "on": LATER, **ACT}
    with pytest.raises(operations.UnableToAllocateError, match=r"comes to 0.00 EUR"), transaction.atomic():
        operations.free_credit(amount=eur(1), source_key="f/1", **ask)
    with transaction.atomic():
        assert operations.settle(**ask) == []
    assert (one.open(), one.stands()) == ({}, (0, 0, 0))
    given_up = [row.amount for row in queries.receipts(accounts=[one.id]) if row.method is Method.WRITE_OFF]
    assert sorted(given_up) == [eur(3950), eur(10000)]
    assert faults() == []


def test_what_was_taken_over_is_paid_like_the_rest(db: Any) -> None:
    one = customer()
    old: Any = {"gross": eur(10000), "open": eur(4000), "issued_on": date(2026, 8, 1), "due_on": date(2026, 8, 15)}
    items = [
        operations.TakenItem(source_key="whmcs/1", kind=ItemKind.BASE, number="2026-17", **old),
        operations.TakenItem(
            source_key="whmcs/2",
            kind=ItemKind.OTHER,
            number="CN-3",
            issued_on=date(2026, 9, 1),
            due_on=date(2026, 9, 1),
            gross=eur(-500),
            open=eur(-500),
        ),
    ]
    ask: Any = {"account": one.id, "taken_on": date(2026, 11, 1), **ACT}
    with transaction.atomic():
        done = operations.take_over_items(items=items, **ask)
        assert (done.taken, done.already, done.totals) == (2, 0, {"EUR": eur(3500)})
        assert operations.take_over_items(items=items, **ask).already == 2
        operations.take_over_prepaid(amount=eur(1500), source_key="whmcs/c1", **ask)
    assert one.stands() == (3500, 0, 1500)
    (total,) = queries.taken_over(accounts=[one.id])
    assert (total.debts, total.credits, total.items, total.prepaid) == (eur(4000), eur(-500), 2, eur(1500))
    new = one.invoice("a", 12100)
    one.pays(4100)  # the oldest base first
    assert sorted(one.open().values()) == [-500, 12000]
    with transaction.atomic():
        operations.apply_credit(account=one.id, currency="EUR", on=LATER, source_key="c/9", **ACT)
    assert one.open() == {new: 11500}
    assert faults() == []
    (debt,) = [ref.ref for ref in queries.items(account=one.id) if ref.number == "2026-17"]
    with pytest.raises(operations.UnableToReverseError, match="1 allocations go to it"), transaction.atomic():
        operations.reverse_opening(opening=int(debt.split("/")[1]), on=LATER, **ACT)
    with pytest.raises(operations.UnableToTakeOverError, match="other content"), transaction.atomic():
        operations.take_over_items(
            items=[operations.TakenItem(source_key="whmcs/1", kind=ItemKind.OTHER, number="2026-17", **old)], **ask
        )


def test_a_taken_over_item_is_undone_before_it_is_paid(db: Any) -> None:
    one = customer()
    item = operations.TakenItem(
        source_key="x/1", kind=ItemKind.BASE, number="7", issued_on=ON, due_on=ON, gross=eur(100), open=eur(100)
    )
    with transaction.atomic():
        operations.take_over_items(account=one.id, items=[item], taken_on=ON, **ACT)
        (ref,) = one.open()
        operations.reverse_opening(opening=int(ref.split("/")[1]), on=LATER, **ACT)
    assert (one.open(), one.stands()) == ({}, (0, 0, 0))
    assert one.open(ON) == {ref: 100}
    assert faults() == []


def test_an_allocation_is_taken_back_and_the_money_allocated_anew(db: Any) -> None:
    one = customer()
    a = one.invoice("a", 12100)
    b = one.invoice("b", 12100)
    booked = one.pays(12100, a)
    with transaction.atomic():
        operations.reallocate_receipt(receipt=booked.receipt, on=LATER, choice=[Choice(b, eur(10000))], **ACT)
    assert one.open() == {a: 12100, b: 2100}
    assert one.stands() == (14200, 2100, 0)
    with transaction.atomic():
        operations.allocate_receipt(receipt=booked.receipt, on=LATER, prepaid=eur(600), **ACT)
        operations.settle(account=one.id, on=LATER, **ACT)
    assert one.open() == {a: 12100 - 1500 - 600, b: 2100}  # money left over, then prepaid
    assert one.stands() == (12100, 0, 0)
    assert faults() == []
    acts = [event.act for event in audit.events(subject=f"account:{one.ref}")]
    assert acts.count("payment.allocation_reversed") == 1
    assert {"payment.booked", "payment.allocated"} < set(acts)
    assert all(event.reason for event in audit.events(subject=f"account:{one.ref}"))


def test_a_policy_named_with_the_receipt_divides_it(db: Any) -> None:
    one = customer()
    a, b, c = one.invoice("a", 12100), one.invoice("b", 24200), one.invoice("c", 12100, overage=True)
    one.pays(10000, policy=AllocationPolicy.PRO_RATA)
    assert one.open() == {a: 9600, b: 19200, c: 9600}


def test_several_receipts_of_one_batch_see_what_the_ones_before_left(db: Any) -> None:
    one, two = customer(), customer()
    a = one.invoice("a", 12100)
    two.invoice("a", 12100)
    shared: Any = {"received_on": ON, "method": Method.BANK, "reason": WHY}
    with transaction.atomic():
        done = operations.book_receipts(
            receipts=[
                operations.NewReceipt(account=one.id, amount=eur(8000), source_key="n/1", **shared),
                operations.NewReceipt(account=two.id, amount=eur(500), source_key="n/2", **shared),
                operations.NewReceipt(account=one.id, amount=eur(8000), source_key="n/3", **shared),
            ],
            actor="worker",
            at=AT,
        )
    assert [x.allocation.rest.minor for x in done if x.allocation] == [0, 0, 3900]
    assert one.open() == {}
    assert a in {row.ref for row in queries.allocations(accounts=[one.id])}
    assert two.stands() == (11600, 0, 0)
    assert faults() == []


def test_two_currencies_never_meet(db: Any) -> None:
    one = customer()
    a = one.invoice("a", 12100)
    dollars = Money(100, "USD")
    with pytest.raises(operations.UnableToBookError, match="billed in EUR"), transaction.atomic():
        book(account=one.id, amount=dollars, received_on=ON, method=Method.BANK, source_key="usd", **ACT)
    booked = one.pays(20000)
    with pytest.raises(operations.UnableToRefundError), transaction.atomic():
        operations.refund(receipt=booked.receipt, amount=dollars, refunded_on=ON, source_key="u", **ACT)
    with pytest.raises(operations.UnableToBookError, match="cannot mix"), transaction.atomic():
        operations.allocate_receipt(receipt=booked.receipt, on=ON, choice=[Choice(a, dollars)], **ACT)
    assert one.stands() == (0, 7900, 0)


def test_a_payment_that_bounces_after_its_refund_is_reclaimed_until_the_refund_comes_back(db: Any) -> None:
    one = customer()
    a = one.invoice("a", 12100)
    booked = one.pays(20000)
    with transaction.atomic():
        refund = operations.refund(
            receipt=booked.receipt, amount=eur(7900), refunded_on=ON, source_key="r/1", method=Method.CASH, **ACT
        )
    undo = {"receipt": booked.receipt, "kind": ReversalKind.BOUNCED, "on": LATER, **ACT}
    with pytest.raises(operations.UnableToReverseError, match="or reclaim it"), transaction.atomic():
        operations.reverse_receipt(**undo)
    with transaction.atomic():
        operations.reverse_receipt(**undo, reclaim=True)
    (item,) = queries.items_by_number(numbers=[f"REFUND-{refund}"])[f"REFUND-{refund}"]
    assert (item.kind, item.open, item.due_on) == (ItemKind.OTHER, eur(7900), LATER)
    assert one.open() == {a: 12100, item.ref: 7900}
    assert one.stands() == (20000, 0, 0)
    assert faults() == []
    with pytest.raises(operations.UnableToReverseError, match="reverse the refund"), transaction.atomic():
        operations.reverse_opening(opening=int(item.ref.split("/")[1]), on=LATER, **ACT)
    # They pay all of it; then the refund comes back after all: what was paid for it is theirs.
    one.pays(20000, on=LATER, at=ACT["at"])
    assert one.open() == {}
    with transaction.atomic():
        operations.reverse_refund(refund=refund, kind=ReversalKind.RETURNED, on=LATER, **ACT)
    assert one.open() == {}
    assert one.stands() == (0, 7900, 0)
    assert queries.receipt(receipt=booked.receipt).left == eur(0)
    told = statements.account_statement(account=one.id, currency="EUR", start=ON, end=LATER + DAY)
    assert {RowKind.RECLAIMED, RowKind.RECLAIMED_REVERSED} <= {row.row.kind for row in told.rows}
    assert told.closing == eur(-7900)
    assert faults() == []


def test_credit_that_was_paid_back_can_be_undone_with_its_refund_reclaimed(db: Any) -> None:
    one = customer()
    a = one.invoice("a", 12100)
    one.pays(12100)
    one.credit("a")
    with transaction.atomic():
        freed = operations.free_credit(account=one.id, amount=eur(12100), on=ON, source_key="f/1", **ACT)
        refund = operations.refund(
            receipt=freed.receipt, amount=eur(12100), refunded_on=ON, source_key="r/1", method=Method.CASH, **ACT
        )
    with transaction.atomic():
        operations.reverse_receipt(receipt=freed.receipt, kind=ReversalKind.MISTAKE, on=ON, reclaim=True, **ACT)
    assert sorted(one.open().values()) == [-12100, 12100]
    assert a in one.open()
    assert one.stands() == (0, 0, 0)
    with transaction.atomic():
        operations.reverse_refund(refund=refund, kind=ReversalKind.RETURNED, on=ON, **ACT)
    assert one.open() == {a: -12100}
    assert faults() == []


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("nothing", {"amount": eur(0)}, "more than nothing"),
    ("below zero", {"amount": eur(-5)}, "money out is a refund"),
    ("tomorrow's", {"received_on": ON + 19 * DAY}, "still to come"),
    ("no reason", {"reason": "  "}, "say why"),
    ("no source", {"source_key": " "}, "source key"),
    ("credit", {"method": Method.CREDIT}, "set off"),
    ("no account", {"account": 0}, "no account"),
    ("both", {"prepaid": True, "choice": ("document/1",)}, "either for items or"),
]


@pytest.mark.parametrize(("change", "said"), [(b[1], b[2]) for b in BAD], ids=[b[0] for b in BAD])
def test_bad_receipts_are_refused_in_words(db: Any, change: dict[str, Any], said: str) -> None:
    one = customer()
    given: dict[str, Any] = {
        "account": one.id,
        "amount": eur(100),
        "received_on": ON,
        "method": Method.BANK,
        "source_key": "bad/1",
        **ACT,
    }
    with pytest.raises(operations.UnableToBookError, match=said), transaction.atomic():
        book(**given | change)
    assert queries.receipts(accounts=[one.id]) == []
