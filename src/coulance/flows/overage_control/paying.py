"""Paying what ran up, where the provider agreed that this acknowledges it: it ends a pause that waits for that, and no
other. A limit is raised by whoever may incur cost; what arrears imposed is lifted there."""

from datetime import datetime

from django.db import transaction

from coulance.catalog import queries as catalogs
from coulance.flows.overage_control import evaluating
from coulance.flows.overage_control.everything import controlled
from coulance.flows.overage_control.judging import Judged, cost, judge
from coulance.overage import operations as overage
from coulance_core.catalog.terms import Control
from coulance_core.kernel import Money, require_aware
from coulance_core.overage.standing import Stop

PAYER = "(payer)"
"""Who acknowledged: nobody signed in, and money came."""


def paid(*, account: int, amount: Money, source: str, at: datetime) -> int:
    """Acknowledge what a payment covers of what ran up unacknowledged, the smallest first; how many allowances."""
    require_aware(at)
    catalog = catalogs.catalog()
    if not catalog.overage.paying_resumes or catalog.overage.control is not Control.ENFORCE:
        return 0
    with transaction.atomic():
        evaluating.lock_account(account)
        found = judge(controlled(accounts=[account], catalog=catalog, at=at), catalog=catalog, at=at)
        waits = sorted((one for one in found if _waits(one)), key=lambda one: _ran_up(one).minor)
        left, done = amount, []
        for one in waits:
            due = _ran_up(one)
            if due.currency != left.currency or due > left:
                continue
            left -= due
            overage.acknowledge(
                meter=one.ref, period_name=one.counted.period_name, contact=PAYER, how="payment",
                source=f"{source}/{one.ref.key}/{one.counted.period_name}"[:200], actor="worker", at=at,
                reason=f"paid {amount}, of which {due} for what ran up",
            )  # fmt: skip
            evaluating.answered(one.ref, at=at)
            done.append(one)
        owners = [(account, service) for one in done for service in one.services]
        evaluating.evaluate(owners=owners, at=at)
    return len(done)


def _waits(one: Judged) -> bool:
    decision = one.decision
    return (
        decision is not None
        and decision.act is not None
        and decision.point is not None
        and decision.point.why is Stop.EXPOSURE
    )


def _ran_up(one: Judged) -> Money:
    """What all use past the allowance comes to, payable: exposure counts all of it, billable or not."""
    standing = one.standing
    used = one.port.figure if one.port is not None else standing.used
    past = used - standing.included - standing.tolerance
    return cost(max(past, past * 0), one.terms)
