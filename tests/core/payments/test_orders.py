"""Named orders of payment: each criterion in its place, what is alike in proportion, and never a cent lost."""

import random
from datetime import date, timedelta
from fractions import Fraction

import pytest

from coulance_core.catalog.paying import LawOrder
from coulance_core.kernel import Money
from coulance_core.payments import (
    AllocationPolicy,
    ItemKind,
    MandateSequence,
    OpenItem,
    Scheme,
    allocate,
    order_for,
    read_order,
)
from coulance_core.payments.direct_debit import final_on, target_day, unusable
from coulance_core.payments.orders import CONVENTION, CRITERIA, LAW_CRITERIA, tiers

DAY = date(2026, 11, 1)


def item(
    ref: str, cents: int = 100, kind: str = "base", due: int = -1, issued: int = -30, burden: int | None = None
) -> OpenItem:
    """A debt, due and issued so many days from the day of payment."""
    money = Money(cents, "EUR")
    days = DAY + timedelta(days=issued), DAY + timedelta(days=due)
    return OpenItem(ref, 1, ItemKind(kind), ref, *days, gross=money, open=money, burden=burden)


DEBTS = [
    item("base", kind="base", due=-5, issued=-20),
    item("old_overage", kind="overage", due=-30, issued=-60),
    item("next_base", kind="base", due=9, issued=-5),
    item("costs", kind="costs", due=-2, issued=-10),
    item("interest", kind="interest", due=-2, issued=-9),
    item("heavy", kind="other", due=-1, issued=-8, burden=99),
]


@pytest.mark.parametrize(
    ("policy", "order"),
    [
        ("base_before_overage", "base next_base heavy old_overage interest costs"),
        ("due_then_oldest", "old_overage base costs interest heavy next_base"),
        ("oldest", "old_overage base costs interest heavy next_base"),
        ("most_onerous", "heavy base next_base old_overage costs interest"),
        ("bw_6_43", "heavy base old_overage costs interest next_base"),
        ("bw_6_44", "costs interest heavy base old_overage next_base"),
        ("interest_costs_principal", "interest costs heavy base old_overage next_base"),
        ("contract_then_law", "base next_base heavy old_overage interest costs"),
        ("law_pack", "base next_base heavy old_overage interest costs"),  # that no pack covers
    ],
)
def test_each_policy_pays_in_its_order(policy: str, order: str) -> None:
    found = tiers(DEBTS, policy=AllocationPolicy(policy), on=DAY)
    assert " ".join(one.ref for tier in found for one in tier.items) == order


@pytest.mark.parametrize(
    ("law", "order", "said"),
    [
        ("costs_interest_principal", "costs interest base next_base heavy old_overage", "costs, interest, principal;"),
        ("interest_costs_principal", "interest costs base next_base heavy old_overage", "interest, costs, principal;"),
        ("debtor_then_creditor", "base next_base heavy old_overage interest costs", "what the creditor chose"),
    ],
)
def test_a_law_pack_ranks_by_law_and_principal_by_contract(law: str, order: str, said: str) -> None:
    by = order_for(AllocationPolicy.LAW_PACK, LawOrder(law), "xx@2026-07-01")
    assert " ".join(one.ref for tier in tiers(DEBTS, policy=by, on=DAY) for one in tier.items) == order
    done = allocate(Money(250, "EUR"), DEBTS, on=DAY, policy=by)
    shown = done.explanation.render()
    assert shown.startswith("payments.law_pack\n")
    assert f"by law pack xx@2026-07-01, {said}" in shown
    assert done.explanation.recompute()["allocated"] == Fraction(5, 2)
    assert read_order(by.value) == by
    # The payer's own word goes before any law.
    assert allocate(Money(100, "EUR"), DEBTS, on=DAY, policy=by, choice=["old_overage"]).parts[0].ref == "old_overage"


def test_only_what_is_left_to_the_law_pack_asks_it() -> None:
    for policy in AllocationPolicy:
        assert order_for(policy, None, "nl@2026-07-01") is policy
        for law in LawOrder:
            found = order_for(policy, law, "nl@2026-07-01")
            assert (found is policy) == (policy is not AllocationPolicy.LAW_PACK)
    # A provider's own pack may have any name: what is kept of it fits its column, and is still read.
    long = order_for(AllocationPolicy.LAW_PACK, LawOrder.DEBTOR_THEN_CREDITOR, f"{'x' * 60}@2026-07-01")
    assert len(long.value) == 40
    assert read_order(long.value).law is LawOrder.DEBTOR_THEN_CREDITOR  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="nonsense"):
        read_order("nonsense")


def test_what_the_law_leaves_equal_is_shared_and_explained() -> None:
    debts = [item("a", 300), item("b", 100), item("c", 100, kind="costs")]
    done = allocate(Money(300, "EUR"), debts, on=DAY, policy=AllocationPolicy.BW_6_44)
    assert {part.ref: part.amount.minor for part in done.parts} == {"c": 100, "a": 150, "b": 50}
    said = done.explanation.render()
    assert "costs, interest, principal (BW 6:44)" in said
    assert done.explanation.recompute()["not allocated"] == 0


def test_every_policy_has_criteria_and_words() -> None:
    assert set(CRITERIA) == set(CONVENTION) == set(AllocationPolicy)
    assert set(LAW_CRITERIA) == set(LawOrder)


def test_no_cent_is_lost_in_a_hundred_thousand_sequences() -> None:
    """Random debts paid off by random payments: each sequence ends with all paid or all spent, exactly."""
    draw = random.Random(20261122)
    policies = [*AllocationPolicy, *(order_for(AllocationPolicy.LAW_PACK, law, "xx@2026-07-01") for law in LawOrder)]
    kinds = [kind.value for kind in ItemKind]
    done = 0
    for _ in range(2500):  # worlds of debts, each paid in 40 ways
        debts = [
            item(f"i{n}", draw.randint(1, 5000), draw.choice(kinds), draw.randint(-9, 9), draw.randint(-40, -10))
            for n in range(draw.randint(1, 4))
        ]
        owed = sum(debt.open.minor for debt in debts)
        ranked = {policy: tiers(debts, policy=policy, on=DAY) for policy in policies}
        for _ in range(40):
            paid, policy = draw.randint(0, owed + 99), draw.choice(policies)
            left = _divide(paid, ranked[policy])
            assert sum(left.values()) == max(owed - paid, 0)
            assert min(left.values()) >= 0
            done += 1
        paid = draw.randint(0, owed + 99)
        whole = allocate(Money(paid, "EUR"), debts, on=DAY, policy=policy)
        assert sum(part.amount.minor for part in whole.parts) + whole.rest.minor == paid
        left = _divide(paid, ranked[policy])
        assert {p.ref: p.left_open.minor for p in whole.parts}.items() <= left.items()
    assert done == 100_000


def _divide(amount: int, ranked: list) -> dict[str, int]:  # type: ignore[type-arg]
    """The same by an independent, plain loop: what is left of each debt."""
    left = {one.ref: one.open.minor for tier in ranked for one in tier.items}
    for tier in ranked:
        total = sum(left[one.ref] for one in tier.items)
        if amount >= total or not tier.shared:
            for one in tier.items:
                part = min(left[one.ref], amount)
                left[one.ref] -= part
                amount -= part
            continue
        exact = [(one.ref, amount * left[one.ref] // total, -(amount * left[one.ref] % total)) for one in tier.items]
        spare = amount - sum(floor for _, floor, _ in exact)
        extra = {ref for ref, _, _ in sorted(exact, key=lambda part: part[2])[:spare]}
        for ref, floor, _ in exact:
            left[ref] -= floor + (ref in extra)
        return left
    return left


def test_bank_days_and_mandates() -> None:
    assert target_day(date(2026, 12, 25)) == date(2026, 12, 28)
    assert final_on(date(2026, 12, 23), Scheme.CORE) == date(2026, 12, 31)
    assert final_on(date(2026, 12, 23), Scheme.B2B) == date(2026, 12, 29)
    given = {"signed_on": DAY, "last_used_on": None, "withdrawn_on": None, "sequence": MandateSequence.FIRST}
    assert unusable(**given, on=date(2029, 10, 31)) is None  # type: ignore[arg-type]
    assert unusable(**given, on=date(2029, 11, 1)) == "lapsed"  # type: ignore[arg-type]
