"""Who acts in a case, and the policy that binds both sides."""

from dataclasses import dataclass
from datetime import datetime

from coulance.catalog import queries as catalogs
from coulance.customers import queries as customers
from coulance.customers.queries import ContactRow
from coulance.disputes import operations as disputes
from coulance.disputes.provider_table import PROGRAM, policy_of
from coulance.disputes.queries import CaseRow
from coulance.platform.roles import PERMISSIONS, Permission
from coulance_core.disputes import DecideRefusal, Policy
from coulance_core.kernel import Money, Refusal

_WRITE_CREDIT_NOTES = frozenset({PROGRAM, *(role for role, may in PERMISSIONS.items() if Permission.BILLING in may)})


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: an operator or program (`account` None, sees every case), or a customer (sees their own account's).

    `contact` is the customer's external id; empty when they came by a link that went to several. `role` is an
    operator's, by which their goodwill is budgeted and what they may decide is bounded.
    """

    name: str
    account: int | None = None
    contact: str = ""
    role: str = "admin"

    @property
    def is_customer(self) -> bool:
        """Whether it is the customer."""
        return self.account is not None


def customer(*, account: int, contact: str, link: str = "") -> Actor:
    """A contact of an account; `link` says what link they came by, where nobody signed in."""
    return Actor(f"contact:{contact}" if contact else f"link:{link or 'dispute'}", account, contact)


def operator(name: str, *, role: str = "admin") -> Actor:
    """An operator, a token or a job, by the audit log's name for them. Who has a shell on the server is an admin."""
    return Actor(name, role=role)


def policy() -> Policy:
    """The policy for cases opened now: `[disputes]` of the provider's file as it is applied, or the usual one."""
    return policy_of(catalogs.table("disputes"))


def may_decide(role: str, contested: Money) -> Refusal | None:
    """Why a role may not decide a case of that amount, by the file of today; none when it may.

    Where the file names nobody, those may who may write credit notes.
    """
    today = policy()
    if not today.deciders and role not in _WRITE_CREDIT_NOTES:
        return Refusal(DecideRefusal.NOT_THEIRS, f"{role} decides no contested bills: see [[disputes.decider]]")
    return today.may_decide(role, contested)


def contact_of(actor: Actor) -> ContactRow | None:
    """The customer's contact as they are now."""
    if actor.account is None or not actor.contact:
        return None
    return next((one for one in customers.contacts([actor.account]) if one.external_id == actor.contact), None)


def locked(case: int, actor: Actor, at: datetime) -> CaseRow:
    """The case, locked; another account's is not there. Raises `UnableToFindCaseError`."""
    return disputes.locked(case, at=at, account=actor.account)
