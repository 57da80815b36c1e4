"""Leave for work beyond cover: asked before the work begins, answered by whoever may incur cost. Law 1 for hours.

Leave counts from its answer on. What began before is absorbed and shown, whatever is answered later.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from coulance.contracts import operations, queries
from coulance.contracts.errors import UnableToApproveError
from coulance.contracts.queries import LeaveRow
from coulance.customers import queries as customers
from coulance.flows.contracts import telling
from coulance.platform import audit, webhooks
from coulance_core.kernel import Money


@dataclass(frozen=True, slots=True)
class Asked:
    """Leave that was asked for, and how many people were mailed."""

    leave: LeaveRow
    told: int


def ask(
    *, key: str, seconds: int, text: str, rate: Money | None = None, days: int | None = None, actor: str, at: datetime
) -> Asked:
    """Ask a contract's customer for leave: up to `seconds` of work at the contract's hourly rate (or another).

    Raises `UnableToApproveError` where the contract has no rate and none is given, or nobody there may incur cost.
    """
    with transaction.atomic():
        contract = operations.locked(key)
        hourly = contract.terms.rate if rate is None else rate
        if hourly is None:
            raise UnableToApproveError(f"{contract.version} has no rate for work beyond cover: give one")
        if hourly.currency != contract.currency:
            raise UnableToApproveError(f"{key} is in {contract.currency}, the rate in {hourly.currency}")
        if not contract.runs_on(contract.day_of(at)):
            raise UnableToApproveError(f"{key} doesn't run today")
        number = len(queries.facts([contract.id])[contract.id].leave) + 1
        asked = operations.ask_leave(
            contract=contract, key=f"{contract.id}-{number}", seconds=seconds, rate=hourly, text=text,
            until=at + timedelta(days=days or contract.terms.approval_days), actor=actor, at=at,
        )  # fmt: skip
        told = telling.ask_leave(contract, asked, at=at)
        if not any(c.may_incur_cost for c in customers.contacts([contract.account])):
            raise UnableToApproveError("nobody of this customer may incur cost: let them name somebody first")
    return Asked(asked, told)


def answer(*, leave: str, approved: bool, account: int, contact: str, how: str, at: datetime) -> LeaveRow:
    """A contact's answer, by the portal or the link. Raises `UnableToApproveError`, `UnableToFindContractError`."""
    with transaction.atomic():
        queries.leave(leave, account=account)
        me = [c for c in customers.contacts([account]) if c.external_id == contact]
        if approved and not (me and me[0].may_incur_cost):
            raise UnableToApproveError("only a contact who may incur cost can approve it")
        row = operations.answer_leave(key=leave, approved=approved, by=f"contact:{contact}", at=at)
        (contract,) = queries.contracts(ids=[row.contract])
        audit.record(
            actor=f"contact:{contact}", act="contract.leave_said", subject=f"contract:{contract.key}", at=at,
            detail={"leave": leave, "approved": approved, "how": how},
        )  # fmt: skip
        webhooks.emit(
            event="contract.leave_answered",
            data={"contract": contract.key, "leave": leave, "approved": approved, "seconds": row.seconds}, at=at,
        )  # fmt: skip
    return row
