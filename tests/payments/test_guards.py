"""Payments under attack through raw SQL: whoever writes, nothing is divided twice and all of it is in the journal."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from coulance.ledger import operations as ledger
from coulance.payments import operations, queries
from coulance.payments.check import check_payments
from coulance_core.ledger import Entry, EntryKind, Posting
from coulance_core.payments import Choice, Method, ReversalKind
from tests.payments.till import ACTOR, AT, DAY, ON, WHY, Customer, book, customer, eur, faults

ACT: Any = {"actor": ACTOR, "reason": WHY, "at": AT + 5 * DAY}


def sql(statement: str, *parameters: Any) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def post(one: Customer, source: str, *legs: tuple[str, int]) -> None:
    """Book an entry by hand, as a clever attacker would, to go with a row."""
    party = ledger.parties_for(accounts=[one.id])[one.id]
    postings = tuple(Posting(account, amount, "EUR") for account, amount in legs)
    ledger.post_entries(entries=[Entry(party, EntryKind.PAYMENT, source, ON, postings)], at=AT)


RECEIPT = (
    "INSERT INTO payments_receipt (id, account_id, amount, currency, received_on, method, source_key, reason, actor,"
    " recorded_at) VALUES (900000, %s, %s, 'EUR', '2026-11-04', %s, 'attack', 'none', 'attacker', now())"
)
ALLOCATION = (
    "INSERT INTO payments_allocation (id, receipt_id, account_id, document_id, amount, currency, effective_on, prepaid,"
    " recorded_at, actor) VALUES (900000, %s, %s, %s, %s, %s, %s, %s, now(), 'attacker')"
)


def with_entry(one: Customer, source: str, legs: Any, statement: str, *parameters: Any) -> None:
    """A row by hand with an entry by hand, in one transaction."""
    with transaction.atomic():
        post(one, source, *legs)
        sql(statement, *parameters)


@pytest.fixture
def scene(db: Any) -> tuple[Customer, int, int, int]:
    """A customer with an invoice of 121.00 paid 100.00 of 150.00; its document's, receipt's and allocation's ids."""
    one = customer()
    ref = one.invoice("a", 12100)
    booked = one.pays(15000, Choice(ref, eur(10000)), beyond_choice=False)
    (row,) = queries.allocations(receipts=[booked.receipt])
    return one, int(ref.split("/")[1]), booked.receipt, row.id


def allocate(one: Customer, receipt: int, document: int | None, amount: int, **odd: Any) -> None:
    """Write an allocation and its entry by hand."""
    prepaid = odd.get("prepaid", False)
    legs = ("unallocated", amount), ("prepaid" if prepaid else "receivable", -amount)
    owner, code, on = odd.get("account", one.id), odd.get("currency", "EUR"), odd.get("on", ON)
    with_entry(one, "allocation/900000", legs, ALLOCATION, receipt, owner, document, amount, code, on, prepaid)


def test_a_sound_row_by_hand_is_taken(scene: Any) -> None:
    one, document, receipt, _ = scene
    allocate(one, receipt, document, 2100)
    assert faults() == []


FAULTY: dict[str, tuple[dict[str, Any], str]] = {
    "more than the item has": ({"amount": 2101}, "goes beyond what is open"),
    "more than the receipt has": ({"amount": 5001, "prepaid": True, "document": None}, "of it is given away"),
    "freeing what is no credit": ({"amount": -100}, "only credit that is set off"),
    "before the receipt": ({"amount": 100, "on": ON - DAY}, "before its receipt"),
    "another currency": ({"amount": 100, "currency": "USD"}, "another account or currency"),
    "two targets": ({"amount": 100, "prepaid": True}, "allocation_has_one_target"),
    "no target": ({"amount": 100, "document": None}, "allocation_has_one_target"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_faulty_allocation_is_refused_with_its_entry(scene: Any, name: str) -> None:
    one, document, receipt, _ = scene
    odd, said = FAULTY[name]
    given = {"document": document, **odd}
    with pytest.raises(DatabaseError, match=said):
        allocate(one, receipt, given.pop("document"), given.pop("amount"), **given)
    assert one.stands() == (2100, 5000, 0)


def test_another_customers_debt_is_no_target(scene: Any) -> None:
    one, _, receipt, _ = scene
    other = customer()
    ref = other.invoice("b", 12100)
    with pytest.raises(DatabaseError, match="no debt of this account"):
        allocate(one, receipt, int(ref.split("/")[1]), 100)
    with pytest.raises(DatabaseError, match="another account or currency"):
        allocate(other, receipt, int(ref.split("/")[1]), 100, account=other.id)


def test_a_draft_or_a_credit_note_is_no_target(scene: Any) -> None:
    one, _, receipt, _ = scene
    one.credit("a", 100)
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM invoicing_document WHERE kind = 'credit_note' AND account_id = %s", [one.id])
        (note,) = cursor.fetchone()
    with pytest.raises(DatabaseError, match="no debt of this account"):
        allocate(one, receipt, note, 100)


def test_rows_without_their_entry_are_refused(scene: Any) -> None:
    one, document, receipt, allocation = scene
    with pytest.raises(DatabaseError, match="not in the journal as it should be"):
        sql(ALLOCATION, receipt, one.id, document, 100, "EUR", ON, False)
    with pytest.raises(DatabaseError, match="not in the journal as it should be"):
        with_entry(
            one,
            "allocation/900000",
            (("unallocated", 99), ("receivable", -99)),
            *(ALLOCATION, receipt, one.id, document, 100, "EUR", ON, False),
        )
    with pytest.raises(DatabaseError, match="not in the journal as it should be"):
        sql(RECEIPT, one.id, 5, "bank")
    with pytest.raises(DatabaseError, match="not in the journal as it should be"):
        sql(
            "INSERT INTO payments_refund (receipt_id, account_id, amount, currency, refunded_on, method, source_key,"
            " reason, actor, recorded_at) VALUES (%s, %s, 5, 'EUR', '2026-11-04', 'bank', 'attack', 'x', 'me', now())",
            receipt,
            one.id,
        )
    with pytest.raises(DatabaseError, match="not in the journal as it should be"):
        sql(
            "INSERT INTO payments_opening_item (account_id, kind, number, issued_on, due_on, gross, open, currency,"
            " taken_on, source_key, reason, actor, recorded_at) VALUES (%s, 'base', '7', '2026-11-04', '2026-11-04', 5,"
            " 5, 'EUR', '2026-11-04', 'attack', 'x', 'me', now())",
            one.id,
        )
    undo = (
        "UPDATE payments_allocation SET reversed_on = %s, reversed_at = now(), reversed_kind = 'mistake',"
        " reversed_why = 'x' WHERE id = %s"
    )
    with pytest.raises(DatabaseError, match="disagree on whether it is undone"):
        sql(undo, ON, allocation)
    with pytest.raises(DatabaseError, match="allocation_undone_after"):
        sql(undo, ON - DAY, allocation)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM payments_{}",
        "TRUNCATE payments_{} CASCADE",
        "UPDATE payments_{} SET amount = amount - 1",
        "UPDATE payments_{} SET currency = 'USD'",
        "UPDATE payments_{} SET account_id = account_id + 1",
    ],
)
@pytest.mark.parametrize("table", ["receipt", "allocation"])
def test_what_is_booked_stays_booked(scene: Any, statement: str, table: str) -> None:
    with pytest.raises(DatabaseError, match="what is booked"):
        sql(statement.format(table))


def test_what_is_undone_is_not_undone_again_nor_brought_back(scene: Any) -> None:
    _, _, receipt, _ = scene
    with transaction.atomic():
        operations.reverse_receipt(receipt=receipt, kind=ReversalKind.BOUNCED, on=ON, **ACT)
    connection.check_constraints()
    for change in ("reversed_on = NULL", "reversed_why = 'other'"):
        with pytest.raises(DatabaseError, match="only ever undone, once"):
            sql("UPDATE payments_receipt SET " + change)
    assert faults() == []


def undo_alone(receipt: int) -> None:
    with transaction.atomic():
        ledger.reverse_entry(source=f"receipt/{receipt}", effective_on=ON, at=AT)
        sql(
            "UPDATE payments_receipt SET reversed_on = %s, reversed_at = now(), reversed_kind = 'mistake',"
            " reversed_why = 'x' WHERE id = %s",
            ON,
            receipt,
        )


def test_a_receipt_is_not_undone_under_its_allocations(scene: Any) -> None:
    one, _, receipt, _ = scene
    with pytest.raises(DatabaseError, match="allocations of it are not"):
        undo_alone(receipt)
    assert one.stands() == (2100, 5000, 0)


def test_a_prepaid_balance_is_not_overdrawn_by_hand(db: Any) -> None:
    one = customer()
    one.pays(1000, prepaid=True)
    legs = ("prepaid", 1001), ("unallocated", -1001)
    with pytest.raises(DatabaseError, match="more than its prepaid balance"):
        with_entry(one, "receipt/900000", legs, RECEIPT, one.id, 1001, "prepaid")
    assert one.stands() == (0, 0, 1000)


def test_the_audit_finds_what_guards_switched_off_let_through(scene: Any) -> None:
    one, document, receipt, _ = scene
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        cursor.execute("ALTER TABLE payments_allocation DISABLE TRIGGER USER")
        cursor.execute(ALLOCATION, [receipt, one.id, document, 9000, "EUR", ON, False])
    found = [str(fault) for fault in check_payments()]
    assert any("open items come to -69.00 EUR, and the journal says 21.00 EUR" in said for said in found)
    assert any("has 150.00 EUR, and 190.00 EUR of it is given away" in said for said in found)
    assert "allocation/900000: is not in the journal" in found
    post(one, "refund/77", ("unallocated", 1), ("cash:bank", -1))
    assert "refund/77: is in the journal, and nothing here says so" in [str(fault) for fault in check_payments()]


def together(*acts: Callable[[], Any]) -> list[BaseException]:
    """Run acts in threads that begin at once; what went wrong."""
    wrong: list[BaseException] = []
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> None:
        try:
            barrier.wait(10)
            with transaction.atomic():
                act()
        except BaseException as error:
            wrong.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return wrong


def test_bookings_at_once_on_one_account_queue_and_overpay_nothing(committed_db: Any) -> None:
    one = customer()
    ref = one.invoice("a", 12100)

    def hand_in(n: int) -> Callable[[], Any]:
        return lambda: book(
            account=one.id, amount=eur(5000), received_on=ON, method=Method.BANK, source_key=f"t/{n % 4}", **ACT
        )

    assert together(*(hand_in(n) for n in range(8))) == []  # each source twice: booked once
    assert one.open() == {}
    assert one.stands() == (0, 4 * 5000 - 12100, 0)
    assert len(queries.receipts(accounts=[one.id])) == 4
    assert sum(row.amount.minor for row in queries.allocations(refs=[ref])) == 12100
    assert list(check_payments()) == []


def test_two_hands_that_each_saw_enough_left_do_not_both_have_it(committed_db: Any) -> None:
    """Raw SQL that reads, waits for the other to have read too, and writes: the check at commit sees the other's."""
    one = customer()
    document = int(one.invoice("a", 12100).split("/")[1])
    receipts = [one.pays(12100, "document/0", beyond_choice=False).receipt for _ in range(2)]
    party = ledger_party(one)
    # Their entries are there before (booked by a thief with patience); only the rows race.
    both_written = threading.Barrier(2)

    def hand(n: int) -> Callable[[], Any]:
        def act() -> None:
            with connection.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO payments_allocation (id, receipt_id, account_id, document_id, amount, currency,"
                    " effective_on, recorded_at, actor) VALUES (%s, %s, %s, %s, 12100, 'EUR', %s, now(), 'thief')",
                    [900000 + n, receipts[n], one.id, document, ON],
                )
                both_written.wait(10)

        return act

    with transaction.atomic():
        for n in range(2):
            legs = (Posting("unallocated", 12100, "EUR"), Posting("receivable", -12100, "EUR"))
            entry = Entry(party, EntryKind.PAYMENT, f"allocation/{900000 + n}", ON, legs)
            ledger.post_entries(entries=[entry], at=AT)
    (wrong,) = together(hand(0), hand(1))
    assert "goes beyond what is open" in str(wrong)
    assert len(queries.allocations(accounts=[one.id])) == 1


def ledger_party(one: Customer) -> bytes:
    with transaction.atomic():
        return ledger.parties_for(accounts=[one.id])[one.id]


@pytest.fixture
def bounced(db: Any) -> tuple[Customer, int, int, int]:
    """A payment of 200.00 that bounced after 79.00 of it was refunded; receipt, refund and what reclaims it."""
    one = customer()
    one.invoice("a", 12100)
    booked = one.pays(20000)
    with transaction.atomic():
        refund = operations.refund(
            receipt=booked.receipt, amount=eur(7900), refunded_on=ON, source_key="g/1", method=Method.CASH, **ACT
        )
        operations.reverse_receipt(receipt=booked.receipt, kind=ReversalKind.BOUNCED, on=ON, reclaim=True, **ACT)
    connection.check_constraints()
    (item,) = queries.items_by_number(numbers=[f"REFUND-{refund}"])[f"REFUND-{refund}"]
    return one, booked.receipt, refund, int(item.ref.split("/")[1])


UNDO = "reversed_on = '2026-11-04', reversed_at = now(), reversed_kind = 'mistake', reversed_why = 'attack'"
ITEM = (
    "INSERT INTO payments_opening_item (id, account_id, kind, number, issued_on, due_on, gross, open, currency,"
    " taken_on, refund_id, source_key, reason, actor, recorded_at) VALUES (900000, %s, 'other', 'X', '2026-11-04',"
    " '2026-11-04', %s, %s, 'EUR', '2026-11-04', %s, 'attack', 'none', 'attacker', now())"
)


def undone_by_hand(source: str, table: str, row: int) -> None:
    """A row undone with its entry, by whoever knows both."""
    with transaction.atomic():
        ledger.reverse_entry(source=source, effective_on=ON, at=AT)
        sql(f"UPDATE {table} SET {UNDO} WHERE id = %s", row)


def test_a_reclaim_does_not_go_while_its_refund_stands(bounced: tuple[Customer, int, int, int]) -> None:
    _, _, refund, opening = bounced
    with pytest.raises(DatabaseError, match="disagree on whether it is undone"):
        sql(f"UPDATE payments_opening_item SET {UNDO} WHERE id = %s", opening)
    with pytest.raises(DatabaseError, match="is not reclaimed"):
        undone_by_hand(f"opening/{opening}", "payments_opening_item", opening)
    with pytest.raises(DatabaseError, match="an opening item reclaims it"):
        undone_by_hand(f"refund/{refund}", "payments_refund", refund)
    assert faults() == []


def test_nothing_is_reclaimed_of_a_payment_that_stands_nor_twice_nor_another_amount(
    bounced: tuple[Customer, int, int, int],
) -> None:
    one, _, refund, _ = bounced
    with pytest.raises(DatabaseError, match="opening_reclaims_once"):
        sql(ITEM, one.id, 7900, 7900, refund)
    with pytest.raises(DatabaseError, match="opening_reclaims_a_debt"):
        sql(ITEM, one.id, -7900, -7900, refund)
    fresh = one.pays(5000, "document/0", beyond_choice=False)
    with transaction.atomic():
        made = operations.refund(
            receipt=fresh.receipt, amount=eur(5000), refunded_on=ON, source_key="g/2", method=Method.CASH, **ACT
        )
    connection.check_constraints()
    for amount, said in ((5000, "is reclaimed"), (4999, "is reclaimed")):
        with pytest.raises(DatabaseError, match=said):
            with_entry(
                one,
                "opening/900000",
                [("receivable", amount), ("unallocated", -amount)],
                ITEM,
                one.id,
                amount,
                amount,
                made,
            )
    with pytest.raises(DatabaseError, match="is not in the journal"):
        with_entry(
            one, "opening/900000", [("receivable", 5000), ("equity:opening", -5000)], ITEM, one.id, 5000, 5000, made
        )
    assert faults() == []
