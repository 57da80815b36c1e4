"""What the parts of WHMCS's reader share: the answers, the rows gathered, and what one part tells the next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from coulance.integrations.takeover.gathering import Gathered
from coulance.integrations.takeover.mapping import SourceMapping
from coulance.integrations.takeover.whmcs_answers import Answers, Placed, Record
from coulance_core.kernel import Money
from coulance_core.taking_over import Where

HOSTING, ADDON, DOMAIN = "hosting", "addon", "domain"
BILLS: Mapping[str, str] = {
    "Hosting": HOSTING, "PromoHosting": HOSTING, "Addon": ADDON, "Domain": DOMAIN, "DomainRegister": DOMAIN,
    "DomainTransfer": DOMAIN, "DomainRenew": DOMAIN, "PromoDomain": DOMAIN,
}  # fmt: skip
"""What a line of an invoice bills, by its type; its `relid` is the id of that."""
GOES_ON = frozenset({"Hosting", "Addon", "Domain", "DomainRegister", "DomainTransfer", "DomainRenew"})
"""Types of lines that bill a cycle: those of promotions only make it cheaper."""


@dataclass(slots=True)
class Shared:
    """The answers, what is gathered of them, and what clients and invoices tell services."""

    answers: Answers
    into: Gathered
    currencies: dict[str, str] = field(default_factory=dict)
    """By client."""
    groups: dict[str, str] = field(default_factory=dict)
    """By client, the group whose discount they have."""
    gone: set[str] = field(default_factory=set)
    """Clients that the mapping leaves out, with all they have."""
    paid_by: dict[str, list[Placed]] = field(default_factory=dict)
    """Transactions by invoice."""
    unpaid_lines: dict[tuple[str, str], list[tuple[Where, str]]] = field(default_factory=dict)
    """Lines of open invoices by what they bill, and its id."""
    billed: dict[tuple[str, str], tuple[Where, int]] = field(default_factory=dict)
    """What the newest open invoice bills of each, its promotions taken off, in minor units."""
    unread: dict[str, list[tuple[date, str]]] = field(default_factory=dict)
    """Open invoices whose lines nobody told, by client: the day they are due, and their numbers."""
    overage_paid: dict[str, dict[str, Money]] = field(default_factory=dict)
    """By account, what was paid of overage in the twelve months before, by invoice."""

    @property
    def mapping(self) -> SourceMapping:
        """What the provider says about the system they leave."""
        return self.into.mapping

    def account(self, client: str) -> str:
        """The id here of one of their clients."""
        return self.mapping.account.format(id=client)


__all__ = ["ADDON", "BILLS", "DOMAIN", "GOES_ON", "HOSTING", "Placed", "Record", "Shared"]
