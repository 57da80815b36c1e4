"""Everything controlled of some accounts, of every kind, as one list to be judged together."""

from collections.abc import Collection
from datetime import datetime

from coulance.flows.overage_control.counted import Counted, parts_of, sums
from coulance.flows.overage_control.levels import levels
from coulance.flows.overage_control.pools import pools
from coulance.flows.overage_control.porting import ports
from coulance.services import queries as services
from coulance_core.catalog.terms import Catalog


def controlled(
    *, accounts: Collection[int], catalog: Catalog, at: datetime, levels_of: Collection[int] | None = None
) -> list[Counted]:
    """Charges, pools, ports and levels of these accounts, by account: consents bind across them.

    Levels are read from their samples: where a look must be quick, only those of accounts (ids) in which they share a
    limit with others.
    """
    parts = parts_of(services.accounts_for_close(accounts), catalog=catalog, at=at)
    found = [
        *sums(parts, catalog=catalog, at=at),
        *pools(parts, catalog=catalog, at=at),
        *ports(parts, catalog=catalog, at=at),
    ]
    if levels_of is not None:
        parts = [one for one in parts if one.row.account.id in levels_of]
    found += levels(parts, catalog=catalog, at=at)
    return sorted(found, key=lambda one: one.account.id)
