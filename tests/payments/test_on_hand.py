"""What an account has on hand pays what is issued: by law's order, once, and only where the provider lets it."""

from dataclasses import replace
from typing import Any

import pytest
from django.db import transaction

from coulance.catalog import queries as catalog
from coulance.flows import payments
from coulance.payments import operations, queries
from coulance.platform.alarms import open_alarms
from coulance_core.catalog.paying import PaymentTerms
from coulance_core.payments import Method
from tests.closing.conftest import store_here, world  # noqa: F401 - fixtures
from tests.closing.world import World
from tests.payments.test_statements import SELLER
from tests.payments.till import ACTOR, AT, DAY, ON, WHY, Customer, book, customer, eur, faults

ACT: Any = {"actor": ACTOR, "reason": WHY, "at": AT + 5 * DAY}
LATER = ON + 5 * DAY


class Book:
    """A catalog that says no more than how money is used."""

    provider = SELLER

    def __init__(self, terms: PaymentTerms) -> None:
        self.payments = terms


@pytest.fixture
def terms(monkeypatch: pytest.MonkeyPatch) -> Book:
    book = Book(PaymentTerms())
    monkeypatch.setattr(catalog, "catalog", lambda: book)
    return book


def settle(one: Customer, **change: Any) -> Any:
    return payments.apply_on_hand(**{"accounts": [one.id], **ACT, **change})


def test_base_before_overage_the_first_due_first_and_prepaid_last(db: Any, terms: Book) -> None:
    one = customer()
    one.pays(5000)
    one.pays(8000, prepaid=True)
    overage = one.invoice("o", 12100, overage=True)
    late = one.invoice("late", 6050, on=LATER)
    early = one.invoice("early", 6050)
    done = settle(one)
    # 50.00 on hand goes to the base fee that is due first, the prepaid 80.00 to the rest of it, the next, then overage.
    assert one.open() == {overage: 12100 - 900}
    assert one.stands() == (11200, 0, 0)
    assert sum(part.amount.minor for found in done[one.id] for part in found.parts) == 13000
    to = [(row.ref, row.amount.minor) for row in queries.allocations(accounts=[one.id]) if row.ref != "prepaid"]
    assert to == [(early, 5000), (early, 1050), (late, 6050), (overage, 900)]
    assert settle(one) == {}
    assert faults() == []


def test_credit_of_a_paid_invoice_pays_another_and_nothing_is_used_where_nothing_is_owed(db: Any, terms: Book) -> None:
    one, two = customer(), customer("rich")
    one.invoice("a", 12100)
    one.pays(12100)
    one.credit("a")
    two.pays(9900, prepaid=True)
    two.pays(100)
    assert payments.apply_on_hand(**ACT) == {}
    b = one.invoice("b", 24200)
    assert list(payments.apply_on_hand(**ACT)) == [one.id]
    assert one.open() == {b: 12100}
    assert two.stands() == (0, 100, 9900)
    assert faults() == []


def test_where_the_provider_says_so_a_person_decides(db: Any, terms: Book) -> None:
    one = customer()
    one.pays(5000)
    one.invoice("a", 12100)
    terms.payments = replace(terms.payments, apply_on_hand=False)
    assert settle(one) == {}
    assert one.stands() == (12100, 5000, 0)


def test_one_account_that_fails_stops_no_other(db: Any, terms: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = customer(), customer("good")
    owed = {one.id: one.invoice("a", 12100) for one in (bad, good) if one.pays(5000)}
    settles = operations.settle

    def breaks(**given: Any) -> Any:
        if given["account"] == bad.id:
            raise RuntimeError("a row nobody thought of")
        return settles(**given)

    monkeypatch.setattr(operations, "settle", breaks)
    assert list(payments.apply_on_hand(**ACT)) == [good.id]
    assert [one.key for one in open_alarms()] == [f"payments.on_hand/{bad.id}"]
    monkeypatch.setattr(operations, "settle", settles)
    payments.apply_on_hand(**ACT)
    assert (open_alarms(), bad.open(), good.open()) == ([], {owed[bad.id]: 7100}, {owed[good.id]: 7100})


def test_what_is_reclaimed_is_no_money_on_hand(db: Any, terms: Book) -> None:
    one = customer()
    booked = one.pays(20000)
    with transaction.atomic():
        operations.refund(
            receipt=booked.receipt, amount=eur(20000), refunded_on=ON, source_key="r", method=Method.CASH, **ACT
        )
        payments.reverse_payment(receipt=booked.receipt, kind=payments.ReversalKind.BOUNCED, on=ON, reclaim=True, **ACT)
    assert queries.with_means(accounts=[one.id]) == []
    assert settle(one) == {}


def test_a_close_uses_what_is_there_and_again_does_what_was_left(world: World, monkeypatch: Any) -> None:  # noqa: F811
    world.provider().account().service("web", "vps", meter="traffic").use("web", {"2026-10-05": 140})
    world.close("2026-10")
    (account,) = queries.open_items()
    owed = queries.balance(account=account, currency="EUR").owed
    left_over = {"choice": ("document/0",), "beyond_choice": False}
    for amount, how in ((100, left_over), (300, {"prepaid": True})):
        given: dict[str, Any] = {"account": account, "amount": eur(amount), "source_key": f"w/{amount}", **how}
        with transaction.atomic():
            book(received_on=ON, method=Method.BANK, reason=WHY, actor=ACTOR, at=AT, **given)
    # Killed between numbering and this: closing again finds its documents issued, and does it.
    world.close("2026-10")
    assert queries.balance(account=account, currency="EUR").owed == owed - eur(400)
    assert faults() == []
