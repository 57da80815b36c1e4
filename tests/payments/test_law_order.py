"""`allocation = "law_pack"`: each account's money goes by its country's law, and the explanation names the pack."""

from typing import Any

import pytest
from django.db import connection

from coulance.arrears.provider_table import default_rows, shipped_packs
from coulance.catalog import queries as catalog
from coulance.cli.payment import POLICIES
from coulance.flows import payment_order, payments
from coulance.flows.rails import wallet
from coulance.payments import operations, queries
from coulance.payments.explaining import explained
from coulance.payments.operations import NewReceipt
from coulance.payments.taking_over import TakenItem
from coulance_core.catalog.paying import AllocationPolicy, LawOrder, PaymentTerms
from coulance_core.payments import Choice, ItemKind, Method
from tests.payments.till import ACTOR, AT, DAY, ON, WHY, Customer, customer, eur, faults

ACT: Any = {"actor": ACTOR, "reason": WHY, "at": AT + 5 * DAY}
OWED = {"overage": 6000, "base": 5000, "costs": 4000, "interest": 300}
"""In cents, what was due first above: a contract that says fees before overage is seen to be kept."""
VERSIONS = {pack.name: pack.version for pack in shipped_packs()}


@pytest.fixture(autouse=True)
def by_law(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "payment_terms", lambda: PaymentTerms(allocation=AllocationPolicy.LAW_PACK))


def taken(key: str, kind: str, cents: int, days: int) -> TakenItem:
    """What was due so many days ago, by the name of its kind."""
    due, money = ON - days * DAY, eur(cents)
    return TakenItem(
        source_key=key, kind=ItemKind(kind), number=kind, issued_on=due - DAY, due_on=due, gross=money, open=money
    )


def debtor(country: str, kind: str = "business") -> Customer:
    """Who owes overage, a fee, costs and interest, all due."""
    one = customer(f"law-{country.lower()}")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE customers_account SET country = %s, kind = %s WHERE id = %s", [country, kind, one.id])
    items = [taken(f"{one.ref}/{what}", what, cents, 9 - n) for n, (what, cents) in enumerate(OWED.items())]
    operations.take_over_items(account=one.id, items=items, taken_on=ON, actor=ACTOR, reason=WHY, at=AT)
    return one


def pays(one: Customer, cents: int, **more: Any) -> operations.Booked:
    given: Any = {"method": Method.BANK, "source_key": f"law/{one.ref}/{cents}", "reason": WHY, **more}
    asked = NewReceipt(account=one.id, amount=eur(cents), received_on=ON, **given)
    return payments.book_payment(receipt=asked, actor=ACTOR, at=AT)


def went(one: Customer) -> list[tuple[str, int]]:
    """Where money went, in the order it was set."""
    rows = [row for row in queries.allocations(accounts=[one.id]) if row.ref != "prepaid"]
    return [(row.number, row.amount.minor) for row in sorted(rows, key=lambda row: row.id)]


@pytest.mark.parametrize(
    ("country", "kind", "to", "said"),
    [
        ("NL", "business", "costs 4000, interest 300, base 2700", "by law pack {nl}, costs, interest, principal;"),
        ("DE", "consumer", "costs 4000, interest 300, base 2700", "by law pack {de}, costs, interest, principal;"),
        ("BE", "business", "interest 300, costs 4000, base 2700", "by law pack {be}, interest, costs, principal;"),
        ("GB", "business", "base 5000, overage 2000", "by law pack {uk}, what the creditor chose where the payer says"),
        ("GB", "consumer", "base 5000, overage 2000", "as no law pack decides, as agreed, fees before overage"),
        ("FR", "business", "base 5000, overage 2000", "as no law pack decides, as agreed, fees before overage"),
    ],
)
def test_a_part_payment_goes_by_the_law_of_the_account(db: Any, country: str, kind: str, to: str, said: str) -> None:
    one = debtor(country, kind)
    booked = pays(one, 7000)
    assert ", ".join(f"{number} {cents}" for number, cents in went(one)) == to
    assert booked.allocation is not None
    said = said.format_map(VERSIONS)
    assert said in booked.allocation.explanation.render()
    (again,) = explained(account=one.id)  # read back: what was decided then, whatever the law is later
    assert said in again.explanation.render()
    assert again.explanation.recompute()["allocated"] == 70
    assert sum(one.open().values()) == sum(OWED.values()) - 7000
    assert faults() == []


def test_the_payers_own_word_and_a_named_order_go_before_the_law(db: Any) -> None:
    one = debtor("NL")
    (overage,) = payments.choices(account=one.id, named=[("overage", None)])
    pays(one, 6100, choice=(overage,))
    assert went(one) == [("overage", 6000), ("costs", 100)]
    other = debtor("NL")
    pays(other, 1000, policy=AllocationPolicy.BASE_BEFORE_OVERAGE)
    pays(other, 1001, policy=AllocationPolicy.LAW_PACK)
    assert went(other) == [("base", 1000), ("costs", 1001)]


def test_every_way_that_money_on_hand_is_used_goes_by_the_law(db: Any) -> None:
    """Left over and divided by hand, settled, credit, and the prepaid balance, of a Belgian and a Dutch customer."""
    dutch, belgian = debtor("NL"), debtor("BE")
    first = {dutch.id: "costs", belgian.id: "interest"}
    for one in (dutch, belgian):
        held = pays(one, 100, beyond_choice=False)
        payments.allocate_payment(receipt=held.receipt, on=ON, **ACT)
        pays(one, 101, beyond_choice=False)
        pays(one, 50, prepaid=True)
        credit = taken(f"{one.ref}/credit", "other", -30, 0)
        operations.take_over_items(account=one.id, items=[credit], taken_on=ON, actor=ACTOR, reason=WHY, at=AT)
    payments.settle(accounts=[dutch.id, belgian.id], on=ON, **ACT)
    for one in (dutch, belgian):
        assert went(one)[:2] == [(first[one.id], 100), (first[one.id], 101)]
        assert {number for number, cents in went(one) if cents > 0} == {first[one.id]}
        assert sum(cents for _, cents in went(one) if cents > 0) == 281
        pays(one, 60, prepaid=True, source_key=f"again/{one.ref}")
        payments.draw_prepaid(account=one.id, amount=eur(60), drawn_on=ON, source_key=f"draw/{one.ref}", **ACT)
    assert went(dutch)[-1] == ("costs", 60)
    assert went(belgian)[-2:] == [("interest", 19), ("costs", 41)]
    due = list(queries.open_items(accounts=[belgian.id])[belgian.id])
    names = [item.number for item in wallet._in_order(due, belgian.id, AT)]
    assert names == ["costs", "base", "overage"]
    assert faults() == []


def test_a_policy_that_names_a_pack_decides_it_and_other_orders_ask_no_law(
    db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = debtor("NL")
    table = {"policy": [{**row, "law": "be"} for row in default_rows()]}
    monkeypatch.setattr(catalog, "table", lambda name, at=None: table if name == "arrears" else {})
    found = payment_order.order_of(one.id, at=AT)
    assert (found.law, found.pack) == (LawOrder.INTEREST_COSTS_PRINCIPAL, VERSIONS["be"])  # type: ignore[union-attr]
    monkeypatch.setattr(catalog, "payment_terms", PaymentTerms)
    monkeypatch.setattr(catalog, "table", None)
    assert payment_order.order_of(one.id, at=AT) is AllocationPolicy.BASE_BEFORE_OVERAGE
    pays(one, 100, choice=(Choice(next(iter(one.open()))),))


def test_the_command_offers_every_order() -> None:
    assert list(POLICIES.choices) == [policy.value for policy in AllocationPolicy]
