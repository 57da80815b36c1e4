"""What a close would bill each account, beside what the close before billed it: who is surprised, before they are."""

from collections.abc import Sequence
from typing import Any

from coulance.customers import queries as customers
from coulance.flows.closing.chunk import AccountDrafts
from coulance.invoicing import listing
from coulance.invoicing import queries as invoicing
from coulance_core.kernel import Money
from coulance_core.kernel.period import add_months

MOST = 300
"""Accounts that are listed, those with the largest differences first."""

KINDS = {"base_invoice": "base", "overage_invoice": "overage", "credit_note": "credit"}


class Differences:
    """Collects what a dry run drafts, account by account. Its `add` is a `close_period` watch."""

    def __init__(self) -> None:
        self._net: dict[int, dict[str, Money]] = {}

    def add(self, drafts: Sequence[AccountDrafts]) -> None:
        """Count these in."""
        for account in drafts:
            mine = self._net.setdefault(account.account, {})
            for new in account.documents:
                if (name := KINDS.get(new.draft.kind.value)) is not None:
                    net = new.draft.totals.net
                    mine[name] = mine[name] + net if name in mine else net

    def as_json(self, *, year: int, month: int) -> list[dict[str, Any]]:
        """Those accounts that would be billed otherwise than last time, the largest difference first.

        Amounts are net, as {"base", "overage", "credit", "before", "now", "change"} in major units, and a currency.
        """
        last_year, last_month = add_months(year, month, -1)
        run = invoicing.run(period=f"{last_year:04d}-{last_month:02d}")
        before = listing.net_by_account(run=run.id, accounts=self._net) if run else {}
        rows = []
        for account, now in self._net.items():
            then = before.get(account, {})
            amounts = [*now.values(), *then.values()]
            if not amounts:
                continue
            code = amounts[0].currency
            total_now = sum((m for m in now.values()), Money(0, code))
            total_then = sum((m for m in then.values()), Money(0, code))
            if total_now != total_then or now.get("overage") is not None:
                rows.append((abs((total_now - total_then).minor), account, code, now, total_then, total_now))
        rows.sort(key=lambda row: (-row[0], row[1]))
        names = {row.id: row for row in customers.accounts([row[1] for row in rows[:MOST]])}
        return [
            {
                "account": names[account].external_id,
                "name": names[account].name,
                "currency": code,
                **{name: now[name].decimal() if name in now else None for name in KINDS.values()},
                "before": then.decimal(),
                "now": total.decimal(),
                "change": (total - then).decimal(),
            }
            for _, account, code, now, then, total in rows[:MOST]
        ]
