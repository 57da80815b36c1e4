"""In which order an account's money pays what it owes: as the provider's file says, or the law pack of the account.

The one place that asks the law packs: whatever divides money asks here, for the rooms of payments know no law.
"""

from collections.abc import Iterable
from datetime import datetime

from coulance.catalog import queries as catalog
from coulance_core.payments import AllocationPolicy, Order, order_for


def orders(accounts: Iterable[int], *, at: datetime, policy: Order | None = None) -> dict[int, Order]:
    """The order of each of these accounts: by `policy`, or else by the provider's file.

    `law_pack` becomes what the pack says that the account's debts are judged by; without one, the contract's order.
    """
    wanted = set(accounts)
    asked = catalog.payment_terms().allocation if policy is None else policy
    if asked is not AllocationPolicy.LAW_PACK or not wanted:
        return dict.fromkeys(wanted, asked)
    from coulance.flows.arrears.facts import laws

    found = laws(wanted, at=at)
    out: dict[int, Order] = {}
    for account in wanted:
        pack = found.get(account)
        out[account] = order_for(asked, None if pack is None else pack.allocation, "" if pack is None else pack.version)
    return out


def order_of(account: int, *, at: datetime, policy: Order | None = None) -> Order:
    """The order of one account."""
    return orders([account], at=at, policy=policy)[account]
