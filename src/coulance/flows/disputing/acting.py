"""Who acts in a case, and the policy that binds both sides."""

from dataclasses import dataclass
from datetime import datetime

from coulance.customers import queries as customers
from coulance.customers.queries import ContactRow
from coulance.disputes import operations as disputes
from coulance.disputes.queries import CaseRow
from coulance_core.disputes import Policy


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: an operator or program (`account` None, sees every case), or a customer (sees their own account's).

    `contact` is the customer's external id; empty when they came by a link that went to several.
    """

    name: str
    account: int | None = None
    contact: str = ""

    @property
    def is_customer(self) -> bool:
        """Whether it is the customer."""
        return self.account is not None


def customer(*, account: int, contact: str, link: str = "") -> Actor:
    """A contact of an account; `link` says what link they came by, where nobody signed in."""
    return Actor(f"contact:{contact}" if contact else f"link:{link or 'dispute'}", account, contact)


def operator(name: str) -> Actor:
    """An operator, a token or a job, by the audit log's name for them."""
    return Actor(name)


def policy() -> Policy:
    """The policy for cases opened now."""
    return Policy()


def contact_of(actor: Actor) -> ContactRow | None:
    """The customer's contact as they are now."""
    if actor.account is None or not actor.contact:
        return None
    return next((one for one in customers.contacts([actor.account]) if one.external_id == actor.contact), None)


def locked(case: int, actor: Actor, at: datetime) -> CaseRow:
    """The case, locked; another account's is not there. Raises `UnableToFindCaseError`."""
    return disputes.locked(case, at=at, account=actor.account)
