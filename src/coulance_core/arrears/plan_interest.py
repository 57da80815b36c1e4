"""Interest that a payment plan bears: at the rate of the day it was agreed, by the day, on what is outstanding of it.

It is shown before the plan is accepted, as it comes to if every instalment is paid on its day; that is also the most.
Who pays earlier pays less. It takes the place of the law's interest for as long as the plan holds.
"""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from fractions import Fraction

from coulance_core.arrears.facts import Instalment, Paid
from coulance_core.arrears.interest import Interest, accrue
from coulance_core.arrears.packs import ALL_DEBTORS, InterestRule, LawPack
from coulance_core.kernel import Money

DAY = timedelta(days=1)


def rate_of(pack: LawPack | None, rule: InterestRule | None, on: date) -> Fraction | None:
    """The rate in percent a year that the law gives on a day; None where it gives none, or none is known."""
    if pack is None or rule is None:
        return None
    found = accrue(pack, rule, Money(1, "EUR"), due=on, until=on + DAY)
    return found.stretches[0].percent if found.stretches else None


def plan_interest(
    pack: LawPack,
    percent: Fraction,
    total: Money,
    principal: Money,
    *,
    agreed_on: date,
    until: date,
    paid: Iterable[Paid],
    name: str,
) -> Interest:
    """Interest at `percent` a year over the nights from `agreed_on` up to `until`, on the principal outstanding.

    `total` is what the plan is for, `principal` the part of it that bears interest: costs and interest bear none, and
    are paid first, as BW 6:44 has it.
    """
    free = total - principal
    parts = []
    for one in sorted(paid, key=lambda p: p.on):
        takes = min(free.minor, one.amount.minor)
        free = Money(free.minor - takes, free.currency)
        if one.amount.minor > takes:
            parts.append(Paid(one.on, Money(one.amount.minor - takes, one.amount.currency)))
    rule = InterestRule(ALL_DEBTORS, agreed_on, percent, cites="as agreed with the payment plan")
    return accrue(pack, rule, principal, due=agreed_on, until=until, paid=parts, name=name)


def as_agreed(
    pack: LawPack,
    percent: Fraction,
    total: Money,
    principal: Money,
    instalments: Sequence[Instalment],
    *,
    agreed_on: date,
    name: str = "the plan",
) -> Interest:
    """What a plan's interest comes to if every instalment is paid on its day: what is shown, and the most.

    >>> from coulance_core.arrears.proposing import in_parts
    >>> pack = LawPack("xx", "X", frozenset({"XX"}), "EUR", date(2026, 1, 1))
    >>> parts = in_parts(Money(30_000, "EUR"), [date(2026, 2, 1), date(2026, 3, 1), date(2026, 4, 1)])
    >>> str(as_agreed(pack, Fraction(8), Money(30_000, "EUR"), Money(30_000, "EUR"), parts,
    ...               agreed_on=date(2026, 1, 1)).amount)
    '3.95 EUR'
    """
    last = max(one.due_on for one in instalments)
    paid = [Paid(one.due_on, one.amount) for one in instalments]
    return plan_interest(pack, percent, total, principal, agreed_on=agreed_on, until=last, paid=paid, name=name)
