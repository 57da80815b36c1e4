"""How far a customer may set a limit without asking: by the age of the account, how it paid, and the plan.

It never forbids: above the bound a person decides, with a reason, and the customer is told.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from coulance_core.catalog.overage import CreditRule
from coulance_core.kernel import Money

LATE_DAYS = 7
"""An invoice counts as paid late from so many days past its due day on: a weekend and a bank's day are no sign."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of who asks: the account's age in days, invoices paid late in twelve months, the service's plan."""

    age_days: int
    late: int
    plan: str


def applies(rule: CreditRule, to: Known) -> bool:
    """Whether a rule holds for a customer: all that it says does.

    >>> new = CreditRule(Money(10000, "EUR"), younger_than_days=90)
    >>> applies(new, Known(30, 0, "vps-s")), applies(new, Known(90, 5, "vps-s"))
    (True, False)
    """
    return (
        (rule.younger_than_days is None or to.age_days < rule.younger_than_days)
        and (rule.late is None or to.late >= rule.late)
        and (not rule.plans or to.plan in rule.plans)
    )


def bound(rules: Iterable[CreditRule], to: Known, code: str) -> Money | None:
    """The lowest bound of the rules that hold for a customer, in currency `code`; None: none does.

    >>> rules = [CreditRule(Money(10000, "EUR"), younger_than_days=90), CreditRule(Money(5000, "EUR"), late=2)]
    >>> bound(rules, Known(30, 2, "vps-s"), "EUR"), bound(rules, Known(400, 0, "vps-s"), "EUR")
    (Money(minor=5000, currency='EUR'), None)
    """
    held = [rule.most for rule in rules if rule.most.currency == code and applies(rule, to)]
    return min(held, default=None)
