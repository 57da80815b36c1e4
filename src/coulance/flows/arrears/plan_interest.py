"""Interest of payment plans: what is shown before a plan is agreed, and billing it once, when the plan is over.

Billed by the day on what was outstanding, and never more than was shown. A plan of a policy without interest bears
none, and the law's interest rests while it holds.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from coulance.arrears import operations
from coulance.arrears import queries as records
from coulance.arrears.queries import PlanRow
from coulance.customers import queries as customers
from coulance.customers.queries import AccountRow
from coulance.flows.arrears import charging
from coulance.flows.sending.wording import language_of
from coulance.payments import queries as payments
from coulance_core.arrears import Instalment, Paid, Plan, plan_interest
from coulance_core.arrears.interest import Interest
from coulance_core.arrears.packs import LawPack
from coulance_core.arrears.plan_interest import as_agreed
from coulance_core.arrears.plans import lapses
from coulance_core.invoicing import DocumentKind
from coulance_core.kernel import Money

DAY = timedelta(days=1)
_NO_LAW = LawPack("as agreed", "as agreed", frozenset({"XX"}), "EUR", date(2026, 1, 1))
"""A plan's rate was fixed when it was agreed: no pack is asked any more."""


def shown(
    *, percent: Fraction, total: Money, principal: Money, instalments: Sequence[Instalment], on: date
) -> Interest:
    """What a plan's interest comes to if every instalment is paid on its day: the most that is billed."""
    return as_agreed(_NO_LAW, percent, total, principal, instalments, agreed_on=on)


def settle_due(*, at: datetime, accounts: Iterable[int] | None = None, grace_days: int = 3) -> list[int]:
    """Bill the interest of plans that are over: paid, ended, not kept, or past their last day. The documents."""
    out = []
    waiting = [
        row for row in records.plans(accounts=accounts, unsettled=True)
        if row.agreed_at is not None and row.interest_percent is not None and row.interest_settled_at is None
    ]  # fmt: skip
    for row in waiting:
        with transaction.atomic():
            operations.lock_account(row.account)
            found = records.plan(row.id)
            if found.interest_settled_at is None:
                document = _settle(found, at, grace_days)
                if document is not None:
                    out.append(document)
    return out


def _settle(plan: PlanRow, at: datetime, grace_days: int) -> int | None:
    assert plan.agreed_at is not None
    assert plan.interest_percent is not None
    assert plan.interest_principal is not None
    assert plan.interest_most is not None
    [account] = customers.accounts([plan.account])
    zone = ZoneInfo(account.zone)
    agreed, today = plan.agreed_at.astimezone(zone).date(), at.astimezone(zone).date()
    paid = [
        Paid(row.effective_on, row.amount)
        for row in payments.allocations(refs=plan.debts)
        if row.effective_on >= agreed and row.amount.currency == plan.total.currency
    ]
    until = _over(plan, paid, agreed, today, zone, grace_days)
    if until is None:
        return None
    found = plan_interest(
        _NO_LAW, plan.interest_percent, plan.total, plan.interest_principal, agreed_on=agreed, until=until, paid=paid,
        name=f"plan {plan.id}",
    )  # fmt: skip
    amount = min(found.amount, plan.interest_most)
    document = None
    if amount.minor:
        document = _bill(account, plan, found, amount, agreed, at)
    operations.settle_interest(plan=plan.id, document=document, detail={"amount": str(amount)}, by="worker", at=at)
    return document


def _over(
    plan: PlanRow, paid: Sequence[Paid], agreed: date, today: date, zone: ZoneInfo, grace_days: int
) -> date | None:
    """The day up to which it bears interest, once it is over; None while it runs."""
    if plan.ended_at is not None:
        return max(agreed, plan.ended_at.astimezone(zone).date())
    items = payments.open_items(accounts=[plan.account]).get(plan.account, ())
    if not any(item.ref in plan.debts and item.open.minor > 0 for item in items):
        return max((one.on for one in paid), default=agreed)
    core = Plan(str(plan.id), frozenset(plan.debts), plan.agreed_at or plan.proposed_at, plan.instalments, tuple(paid))
    broken = [one.start for one in lapses(core, today, grace_days) if one.end is None]
    last = max(one.due_on for one in plan.instalments) + timedelta(days=grace_days)
    if broken:
        return min(broken)
    return last + DAY if today > last else None


def _bill(account: AccountRow, plan: PlanRow, found: Interest, amount: Money, agreed: date, at: datetime) -> int:
    with translation.override(language_of(account.language)):
        words = _("Interest of your payment plan, as agreed: %(nights)s") % {
            "nights": charging.nights(found.explanation)
        }
        what = charging.Charge(DocumentKind.INTEREST_INVOICE, amount, found.explanation, words, agreed)
        return charging.issue(account, what, ref=f"arrears-plan/{plan.id}", at=at)
