"""In what order debts are paid where the payer says nothing: named policies, each a list of named criteria.

A criterion splits debts into ranks; the next one splits what ranks alike; `pro rata` shares what still ranks alike. The
payer's own choice goes before all of them. Then comes what the contract says, and only what neither says is left to the
law: BW 6:43 (NL; much the same in BGB 366 and Code civil 1342-10) among debts, BW 6:44 (BGB 367, 1343-1) between costs,
interest and principal. Between those a country's law pack can decide by account: `order_for`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import groupby
from typing import Any

from coulance_core.catalog.paying import AllocationPolicy, LawOrder
from coulance_core.payments.terms import ItemKind, OpenItem


class Criterion(StrEnum):
    """One reason to pay a debt before another."""

    BASE_FIRST = "base_first"
    """Base fees, other principal, overage, then interest, then costs: the debtor's order, as contracts may say."""
    COSTS_FIRST = "costs_first"
    """Costs, then interest, then principal: the creditor's order, BW 6:44."""
    INTEREST_FIRST = "interest_first"
    """Interest, then costs, then principal: interest before capital by law (BE, old Civil Code 1254), and what recovery
    cost after the interest."""
    DUE = "due"
    """What is due before what is not."""
    FIRST_DUE = "first_due"
    """By the day it is due."""
    ONEROUS = "onerous"
    """What weighs most on the debtor first: what it says of its burden, else what its kind does to them."""
    OLDEST = "oldest"
    """By the day of issue."""
    PRO_RATA = "pro_rata"
    """Those alike by everything before share in proportion."""


_BASE_FIRST = {
    ItemKind.BASE: 0,
    ItemKind.OTHER: 1,
    ItemKind.OVERAGE: 2,
    ItemKind.INTEREST: 3,
    ItemKind.COSTS: 4,
}
_COSTS_FIRST = {ItemKind.COSTS: 0, ItemKind.INTEREST: 1}
_INTEREST_FIRST = {ItemKind.INTEREST: 0, ItemKind.COSTS: 1}
_PRINCIPAL = 2
USUAL_BURDEN: Mapping[ItemKind, int] = {
    ItemKind.BASE: 30,
    ItemKind.OVERAGE: 20,
    ItemKind.OTHER: 20,
    ItemKind.COSTS: 10,
    ItemKind.INTEREST: 10,
}
"""How a debt weighs by its kind where nothing else is said: unpaid fees can cost the service, overage bears interest,
and costs and interest bear none and restrict nothing."""

_KEYS: Mapping[Criterion, Callable[[OpenItem, date], Any]] = {
    Criterion.BASE_FIRST: lambda i, _: _BASE_FIRST[i.kind],
    Criterion.COSTS_FIRST: lambda i, _: _COSTS_FIRST.get(i.kind, _PRINCIPAL),
    Criterion.INTEREST_FIRST: lambda i, _: _INTEREST_FIRST.get(i.kind, _PRINCIPAL),
    Criterion.DUE: lambda i, on: not i.is_due(on),
    Criterion.FIRST_DUE: lambda i, _: i.due_on,
    Criterion.ONEROUS: lambda i, _: -burden(i),
    Criterion.OLDEST: lambda i, _: i.issued_on,
}
_LAW = (Criterion.DUE, Criterion.ONEROUS, Criterion.OLDEST, Criterion.PRO_RATA)
CRITERIA: Mapping[AllocationPolicy, tuple[Criterion, ...]] = {
    AllocationPolicy.BASE_BEFORE_OVERAGE: (Criterion.BASE_FIRST, Criterion.FIRST_DUE, Criterion.OLDEST),
    AllocationPolicy.DUE_THEN_OLDEST: (Criterion.DUE, Criterion.OLDEST, Criterion.FIRST_DUE),
    AllocationPolicy.OLDEST: (Criterion.OLDEST, Criterion.FIRST_DUE),
    AllocationPolicy.PRO_RATA: (Criterion.PRO_RATA,),
    AllocationPolicy.MOST_ONEROUS: (Criterion.ONEROUS, Criterion.DUE, Criterion.OLDEST, Criterion.PRO_RATA),
    AllocationPolicy.BW_6_43: _LAW,
    AllocationPolicy.BW_6_44: (Criterion.COSTS_FIRST, *_LAW),
    AllocationPolicy.INTEREST_COSTS_PRINCIPAL: (Criterion.INTEREST_FIRST, *_LAW),
    AllocationPolicy.CONTRACT_THEN_LAW: (Criterion.BASE_FIRST, *_LAW),
    AllocationPolicy.LAW_PACK: (Criterion.BASE_FIRST, *_LAW),
}
"""What each policy goes by, in order. What all criteria leave equal is shared where the last is pro rata, else paid by
number. `LAW_PACK` stands for itself only where no pack says anything."""
LAW_CRITERIA: Mapping[LawOrder, tuple[Criterion, ...]] = {
    LawOrder.COSTS_INTEREST_PRINCIPAL: (Criterion.COSTS_FIRST, Criterion.BASE_FIRST, *_LAW),
    LawOrder.INTEREST_COSTS_PRINCIPAL: (Criterion.INTEREST_FIRST, Criterion.BASE_FIRST, *_LAW),
    LawOrder.DEBTOR_THEN_CREDITOR: (Criterion.BASE_FIRST, *_LAW),
}
"""By which an account is paid off whose law pack decides: the law's ranks, then the contract's, then the law's."""

CONVENTION: Mapping[AllocationPolicy, str] = {
    AllocationPolicy.BASE_BEFORE_OVERAGE: (
        "The payer's choice first; then fees before overage, what was due first before what was due later;"
        " interest and costs last."
    ),
    AllocationPolicy.DUE_THEN_OLDEST: "The payer's choice first; then what is due, the oldest first.",
    AllocationPolicy.OLDEST: "The payer's choice first; then the oldest first.",
    AllocationPolicy.PRO_RATA: "The payer's choice first; then to each its share, leftover cents by largest remainder.",
    AllocationPolicy.MOST_ONEROUS: (
        "The payer's choice first; then what weighs most on the debtor, what is due, the oldest; alike in proportion."
    ),
    AllocationPolicy.BW_6_43: (
        "The payer's choice first; then what is due, the most onerous, the oldest, and alike in proportion (BW 6:43)."
    ),
    AllocationPolicy.BW_6_44: (
        "The payer's choice first; then costs, interest, principal (BW 6:44); within each what is due, the most"
        " onerous, the oldest, and alike in proportion (BW 6:43)."
    ),
    AllocationPolicy.INTEREST_COSTS_PRINCIPAL: (
        "The payer's choice first; then interest, which the law puts before principal (BE, old Civil Code 1254), then"
        " costs, then principal; within each what is due, the most onerous, the oldest, and alike in proportion."
    ),
    AllocationPolicy.LAW_PACK: (
        "The payer's choice first; then, as no law pack decides, as agreed, fees before overage before interest before"
        " costs; within each what is due, the most onerous, the oldest, and alike in proportion."
    ),
    AllocationPolicy.CONTRACT_THEN_LAW: (
        "The payer's choice first; then as agreed, fees before overage before interest before costs; within each what"
        " is due, the most onerous, the oldest, and alike in proportion (BW 6:43)."
    ),
}


_BY_LAW: Mapping[LawOrder, str] = {
    LawOrder.COSTS_INTEREST_PRINCIPAL: "costs, interest, principal; of principal as agreed fees before overage",
    LawOrder.INTEREST_COSTS_PRINCIPAL: "interest, costs, principal; of principal as agreed fees before overage",
    LawOrder.DEBTOR_THEN_CREDITOR: (
        "what the creditor chose where the payer says nothing: as agreed, fees before overage before interest before"
        " costs"
    ),
}
_SHORT = {
    "cip": LawOrder.COSTS_INTEREST_PRINCIPAL,
    "icp": LawOrder.INTEREST_COSTS_PRINCIPAL,
    "dtc": LawOrder.DEBTOR_THEN_CREDITOR,
}
_NAME = 40


@dataclass(frozen=True, slots=True)
class ByPack:
    """The order that a law pack decided: `pack` is its version, such as `nl@2026-07-01`."""

    law: LawOrder
    pack: str

    @property
    def value(self) -> str:
        """As it is kept with a receipt: `cip:nl@2026-07-01`, at most 40 characters. `read_order` reads it.

        >>> ByPack(LawOrder.COSTS_INTEREST_PRINCIPAL, "nl@2026-07-01").value
        'cip:nl@2026-07-01'
        """
        short = next(key for key, law in _SHORT.items() if law is self.law)
        return f"{short}:{self.pack}"[:_NAME]


Order = AllocationPolicy | ByPack
"""In which order one account's debts are paid: a named policy, or what its law pack decided."""


def order_for(policy: AllocationPolicy, law: LawOrder | None, pack: str = "") -> Order:
    """The order for an account: the policy, or where that leaves it to the law pack, what the account's `pack` says.

    `law` is None where no pack covers the account, or its pack says nothing of it: the contract, then the law.

    >>> order_for(AllocationPolicy.LAW_PACK, LawOrder.INTEREST_COSTS_PRINCIPAL, "be@2026-07-01").value
    'icp:be@2026-07-01'
    >>> order_for(AllocationPolicy.OLDEST, LawOrder.INTEREST_COSTS_PRINCIPAL, "be@2026-07-01").value
    'oldest'
    """
    return policy if policy is not AllocationPolicy.LAW_PACK or law is None else ByPack(law, pack)


def read_order(name: str) -> Order:
    """An order by what is kept of it. Raises `ValueError` for what is none.

    >>> read_order("cip:nl@2026-07-01").pack, read_order("oldest").value
    ('nl@2026-07-01', 'oldest')
    """
    short, _, pack = name.partition(":")
    return ByPack(_SHORT[short], pack) if pack and short in _SHORT else AllocationPolicy(name)


def title(order: Order) -> str:
    """The policy's name, as an explanation is headed: `law_pack` whichever pack decided."""
    return AllocationPolicy.LAW_PACK.value if isinstance(order, ByPack) else order.value


def convention(order: Order) -> str:
    """The order in words, with the pack that decided it.

    >>> print(convention(ByPack(LawOrder.COSTS_INTEREST_PRINCIPAL, "nl@2026-07-01"))[:68])
    The payer's choice first; then, by law pack nl@2026-07-01, costs, in
    """
    if isinstance(order, AllocationPolicy):
        return CONVENTION[order]
    return (
        f"The payer's choice first; then, by law pack {order.pack}, {_BY_LAW[order.law]}; within each what is due,"
        " the most onerous, the oldest, and alike in proportion."
    )


def burden(item: OpenItem) -> int:
    """How heavily a debt weighs on the debtor, to compare debts by: what it says itself, else what is usual.

    >>> from coulance_core.kernel import Money
    >>> day, one = date(2026, 11, 1), Money(1, "EUR")
    >>> burden(OpenItem("a", 1, ItemKind.BASE, "A", day, day, one, one))
    30
    >>> burden(OpenItem("a", 1, ItemKind.OVERAGE, "A", day, day, one, one, burden=55))
    55
    """
    return USUAL_BURDEN[item.kind] if item.burden is None else item.burden


@dataclass(frozen=True, slots=True)
class Tier:
    """Debts that rank alike: paid by number, or each its share where `shared`."""

    items: tuple[OpenItem, ...]
    shared: bool


def tiers(items: Sequence[OpenItem], *, policy: Order, on: date) -> list[Tier]:
    """Debts in the order in which they are paid as of day `on`, those alike together.

    >>> from coulance_core.kernel import Money
    >>> day, one = date(2026, 11, 1), Money(1, "EUR")
    >>> debts = [OpenItem(k.value, 1, k, k.value, day, day, one, one) for k in (ItemKind.BASE, ItemKind.COSTS)]
    >>> [[i.ref for i in t.items] for t in tiers(debts, policy=AllocationPolicy.BW_6_44, on=day)]
    [['costs'], ['base']]
    """
    criteria = LAW_CRITERIA[policy.law] if isinstance(policy, ByPack) else CRITERIA[policy]
    shared = criteria[-1] is Criterion.PRO_RATA
    keys = [_KEYS[one] for one in criteria if one is not Criterion.PRO_RATA]

    def rank(item: OpenItem) -> tuple[Any, ...]:
        return tuple(key(item, on) for key in keys)

    # Within a tier by the day it is due, for leftover cents of equal remainders to have an order.
    ranked = sorted(items, key=lambda i: (rank(i), i.due_on, i.issued_on, i.number, i.ref))
    return [Tier(tuple(alike), shared) for _, alike in groupby(ranked, key=rank)]
