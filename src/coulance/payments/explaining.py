"""Why each receipt was set against which debts: what was open of each then, by which order, what was left.

Put together again from what was booked: what stands of it now, in the order it was made. What the payer named, or a
person did by hand, is said as such; anything else took what was open, as far as the money went.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from django.db import connection

from coulance.payments import queries
from coulance.payments.booking import DEFAULT_POLICY
from coulance.payments.queries import AllocationRow
from coulance_core.kernel import Explanation, Money
from coulance_core.payments import Method, OpenItem, Order, Receipt, read_order
from coulance_core.payments.orders import convention, title

BY_HAND = "named by the payer, or set by hand"


@dataclass(frozen=True, slots=True)
class Explained:
    """How a receipt was divided. `steps` names, by allocation, the step of the explanation that is its amount."""

    receipt: Receipt
    explanation: Explanation
    steps: Mapping[int, str]


def explained(*, account: int) -> list[Explained]:
    """Every receipt of an account that was not undone and pays something, the oldest first."""
    items = {item.ref: item for item in queries.items(account=account)}
    standing: dict[int, list[AllocationRow]] = defaultdict(list)
    undone: dict[int, list[AllocationRow]] = defaultdict(list)
    to: dict[str, list[AllocationRow]] = defaultdict(list)
    for row in queries.allocations(accounts=[account], undone=True):
        if row.reversed_on is None:
            standing[row.receipt].append(row)
            to[row.ref].append(row)
        else:
            undone[row.receipt].append(row)
    receipts = [one for one in queries.receipts(accounts=[account], limit=1_000_000)[::-1] if one.reversed_on is None]
    policies = _policies([one.id for one in receipts])
    credits_ = _credits(account)
    refunded: Counter[int] = Counter()
    for refund in queries.refunds(accounts=[account]):
        if refund.reversed_on is None:
            refunded[refund.receipt] += refund.amount.minor

    def open_before(row: AllocationRow, item: OpenItem) -> int:
        later = sum(one.amount.minor for one in to[row.ref] if one.id >= row.id)
        credited = sum(minor for on, minor in credits_.get(row.ref, ()) if on > row.effective_on)
        return item.open.minor + later + credited

    out = []
    for receipt in receipts:
        rows = standing[receipt.id]
        if not rows:
            continue
        before = {row.id: open_before(row, items[row.ref]) for row in rows if row.ref in items}
        out.append(
            _explain(receipt, policies[receipt.id], rows, undone[receipt.id], items, before, refunded[receipt.id])
        )
    return out


def _explain(
    receipt: Receipt,
    policy: Order,
    rows: list[AllocationRow],
    undone: list[AllocationRow],
    items: Mapping[str, OpenItem],
    before: Mapping[int, int],
    refunded: int,
) -> Explained:
    code = receipt.amount.currency
    why = Explanation.build(f"payments.{title(policy)}")
    steps: dict[int, str] = {}
    seen: Counter[str] = Counter()

    def label(row: AllocationRow) -> str:
        name = row.number or row.ref
        seen[name] += 1
        return name if seen[name] == 1 else f"{name}, {seen[name]}"

    freed = []
    for row in (one for one in rows if one.amount.minor < 0):
        name = f"credit of {label(row)}"
        why.fact(name, (-row.amount).amount, code)
        freed.append(name)
    if receipt.method is Method.CREDIT and freed:
        why.step("received", "add", *freed, unit=code)
    else:
        why.fact("received", receipt.amount.amount, code, f"{receipt.method.value}, {receipt.received_on.isoformat()}")
    left, given = "received", list[str]()
    for row in (one for one in rows if one.amount.minor > 0):
        name = label(row)
        step = steps[row.id] = f"to {name}"
        item = items.get(row.ref)
        there = before.get(row.id, 0)
        if item is None or there < row.amount.minor:
            why.fact(step, row.amount.amount, code, "to the prepaid balance" if item is None else BY_HAND)
        else:
            source = f"{item.kind.value}, due {item.due_on.isoformat()}"
            why.fact(f"open on {name}", Money(there, code).amount, code, source)
            operands = [f"open on {name}", left]
            if row.amount.amount != min(Money(there, code).amount, why.number(left)):
                why.fact(f"asked for {name}", row.amount.amount, code, BY_HAND)
                operands.append(f"asked for {name}")
            why.step(step, "min", *operands, unit=code)
        why.step(f"left after {name}", "subtract", left, step, unit=code)
        left = f"left after {name}"
        given.append(step)
    if given:
        why.step("allocated", "add", *given, unit=code)
        why.step("not allocated", "subtract", "received", "allocated", unit=code)
    if refunded:
        why.fact("paid back", Money(refunded, code).amount, code)
        why.step("left of it", "subtract", "not allocated" if given else "received", "paid back", unit=code)
    why.convention(convention(policy))
    for row in undone:
        why.note(f"{row.amount} of {row.number or row.ref} was taken back on {row.reversed_on}: {row.reversed_why}")
    return Explained(receipt, why.freeze(), steps)


def _policies(receipts: Collection[int]) -> dict[int, Order]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, policy FROM payments_receipt WHERE id = ANY(%s)", [list(receipts)])
        return {number: read_order(name) if name else DEFAULT_POLICY for number, name in cursor.fetchall()}


def _credits(account: int) -> dict[str, list[tuple[date, int]]]:
    """Credit notes by the debt that they lower: day and amount, above zero."""
    out: dict[str, list[tuple[date, int]]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT invoice_id, issued_on, -gross FROM invoicing_document WHERE account_id = %s"
            " AND kind = 'credit_note' AND state = 'issued' AND invoice_id IS NOT NULL",
            [account],
        )
        for invoice, issued, minor in cursor.fetchall():
            out[f"document/{invoice}"].append((issued, minor))
    return out
