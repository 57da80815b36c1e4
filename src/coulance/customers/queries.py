"""Reading the customers room. Rows are plain tuples, so that thousands of them are cheap."""

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from django.db.models import Max

from coulance.customers.models import Account, Contact


class UnableToFindAccountError(LookupError):
    """No account has that external id."""

    def __init__(self, external_id: str) -> None:
        super().__init__(f"no account {external_id!r}")


class AccountRow(NamedTuple):
    """An account. `zone` is an IANA name; `tax_class` and `national_tax_currency` may be empty: no rule of its own."""

    id: int
    external_id: str
    pseudonym: UUID
    name: str
    kind: str
    country: str
    vat_id: str
    address: list[str]
    currency: str
    zone: str
    language: str
    billing_day: int
    tax_class: str
    national_tax_currency: str
    groups: Sequence[str] = ()


class ContactRow(NamedTuple):
    """A contact of an account."""

    id: int
    account_id: int
    external_id: str
    name: str
    email: str
    phone: str
    roles: list[str]
    may_incur_cost: bool
    language: str
    channels: list[str]
    mailbox_service: str
    zone: str = ""
    """Theirs, by IANA name; empty: the account's."""


def account_ids() -> list[int]:
    """The id of every account, sorted."""
    return list(Account.objects.order_by("id").values_list("id", flat=True))


def accounts(ids: Collection[int] | None = None) -> list[AccountRow]:
    """These accounts, or all, sorted by id. Ids that are not there are left out."""
    rows = Account.objects.order_by("id")
    if ids is not None:
        rows = rows.filter(id__in=list(ids))
    return [AccountRow(*row) for row in rows.values_list(*AccountRow._fields)]


def account(external_id: str) -> AccountRow:
    """The account with this external id. Raises `UnableToFindAccountError`."""
    row = Account.objects.filter(external_id=external_id).values_list(*AccountRow._fields).first()
    if row is None:
        raise UnableToFindAccountError(external_id)
    return AccountRow(*row)


def accounts_by_external_id(external_ids: Collection[str]) -> dict[str, AccountRow]:
    """Those of these accounts that are there, by external id."""
    rows = Account.objects.filter(external_id__in=list(external_ids)).values_list(*AccountRow._fields)
    return {row[1]: AccountRow(*row) for row in rows}


def contacts(account_ids: Collection[int]) -> list[ContactRow]:
    """The contacts of these accounts, by account and then external id."""
    rows = Contact.objects.filter(account__in=list(account_ids)).order_by("account_id", "external_id")
    return [ContactRow(*row) for row in rows.values_list(*ContactRow._fields)]


def contacts_by_email(address: str) -> list[ContactRow]:
    """Contacts of any account with this mail address, case aside."""
    wanted = address.strip()
    if not wanted:
        return []
    rows = Contact.objects.filter(email__iexact=wanted).order_by("account_id", "external_id")
    return [ContactRow(*row) for row in rows.values_list(*ContactRow._fields)]


def latest_billing_day() -> int:
    """The latest billing day of any account, or 1: a period of that name ends last for them."""
    found: int | None = Account.objects.aggregate(latest=Max("billing_day"))["latest"]
    return found or 1
