"""Payment plans and collections: a debt in an agreed plan is collected by the plan's instalments, never beyond them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from coulance.arrears import queries as arrears
from coulance.arrears.queries import PlanRow
from coulance.payments.collections import CollectionRow
from coulance_core.kernel import Money
from coulance_core.payments import OpenItem
from coulance_core.payments.instalments import next_instalment

PREFIX = "plan/"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a plan wants next of its debts; of nothing where all is met. `basis` names plan and instalment."""

    basis: str
    debts: frozenset[str]
    due_on: date
    amount: Money
    parts: tuple[tuple[str, Money], ...]


def wanted(*, account: int, items: Sequence[OpenItem], on: date) -> list[Wanted]:
    """What each agreed plan of an account wants next; a debt in two plans follows the first agreed."""
    out: list[Wanted] = []
    seen: set[str] = set()
    plans = [plan for plan in arrears.plans(accounts=[account], state="agreed") if plan.agreed_at is not None]
    for plan in sorted(plans, key=lambda plan: (plan.agreed_at, plan.id)):
        if plan.total.currency == "EUR" and not seen & set(plan.debts):
            out.append(_wanted(plan, items, on))
        seen |= set(plan.debts)
    return out


def _wanted(plan: PlanRow, items: Sequence[OpenItem], on: date) -> Wanted:
    own = [item for item in items if item.ref in plan.debts and item.open.minor > 0]
    zero = Money(0, plan.total.currency)
    found = next_instalment(
        [(one.due_on, one.amount) for one in plan.instalments],
        owed_then=plan.interest_principal or plan.total,
        outstanding=sum((item.open for item in own), zero),
        payable=sum((item.payable for item in own), zero),
        on=on,
    )
    if found is None:
        return Wanted(f"{PREFIX}{plan.id}", frozenset(plan.debts), on, zero, ())
    parts: list[tuple[str, Money]] = []
    left = found.amount
    for item in sorted(own, key=lambda item: (item.due_on, item.ref)):
        part = min(item.payable, left)
        if part.minor > 0:
            parts.append((item.ref, part))
            left -= part
    basis = f"{PREFIX}{plan.id}/{found.no}"
    return Wanted(basis, frozenset(plan.debts), found.due_on, found.amount, tuple(parts))


def off(row: CollectionRow, items: Sequence[OpenItem]) -> str | None:
    """Why an instalment that was announced is not collected any more: its plan ended, or wants less now."""
    number = int(row.basis.removeprefix(PREFIX).split("/")[0])
    plan = next(iter(arrears.plans(accounts=[row.account], plan=number)), None)
    if plan is None or plan.state != "agreed":
        return f"plan {number} is {'not there' if plan is None else plan.state}"
    now = _wanted(plan, items, row.collect_on)
    if now.amount < row.amount:
        return f"{row.amount} was announced of plan {number}, and it wants {now.amount} now"
    payable = {item.ref: item.payable for item in items}
    for ref, part in row.parts:
        if payable.get(ref, Money(0, part.currency)) < part:
            return f"{part} of {ref} was announced, and less of it is to be paid now"
    return None
