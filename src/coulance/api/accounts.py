"""Accounts and their contacts."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router, Status
from pydantic import Field

from coulance.api import paging
from coulance.api.access import actor_of
from coulance.api.operation import operation
from coulance.api.paging import Cursor, Limit
from coulance.api.problems import Problem
from coulance.api.schemas import Given, Id, Money, Page, Shown, Text, etag, judge_match, money
from coulance.customers import listing, queries
from coulance.customers.kinds import AccountKind, Channel, Role
from coulance.customers.queries import AccountRow, ContactRow
from coulance.flows import customers
from coulance.flows.arrears import ordering
from coulance.platform import clock

router = Router(tags=["accounts"])

AccountId = Annotated[str, Path(description="Your id of the account.", max_length=100, examples=["1001"])]


class Contact(Shown):
    """A person or desk of an account."""

    id: str
    name: str
    email: str
    phone: str
    roles: list[Role]
    may_incur_cost: Annotated[bool, Field(description="Whether their consent to overage counts.")]
    language: str
    channels: list[Channel]
    mailbox_service: Annotated[str, Field(description="The service that hosts their mailbox, if it is one of yours.")]
    zone: Annotated[str, Field(description="Where they are, by IANA name: their quiet hours. Empty: as the account.")]


class Account(Shown):
    """A customer: one legal person that is billed."""

    id: Annotated[str, Field(description="Your id of it.")]
    name: str
    kind: AccountKind
    country: Annotated[str, Field(description="ISO 3166, two capital letters.")]
    vat_id: str
    address: Annotated[list[str], Field(description="Its lines as they print, without name and country.")]
    currency: str
    zone: Annotated[str, Field(description="Its civil days, by IANA name.")]
    language: str
    billing_day: int
    tax_class: str
    national_tax_currency: str
    groups: Annotated[list[str], Field(description="Words of your own, which policies of arrears may be for.")]


class AccountWithContacts(Account):
    """A customer with the people to turn to."""

    contacts: list[Contact]


class AccountGiven(Given):
    """What is given of an account; what is left out stays, or is the provider's default. A new one needs the first
    three."""

    name: Annotated[Text, Field(min_length=1, max_length=200, examples=["Ada BV"])] | None = None
    kind: Annotated[str, Field(pattern="^(consumer|business|public)$", examples=["business"])] | None = None
    country: Annotated[str, Field(pattern="^[A-Z]{2}$", examples=["NL"])] | None = None
    vat_id: Annotated[Text, Field(max_length=20, examples=["NL4495445B01"])] | None = None
    address: Annotated[list[Annotated[Text, Field(min_length=1, max_length=200)]], Field(max_length=6)] | None = None
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$", examples=["EUR"])] | None = None
    zone: Annotated[Text, Field(max_length=64, examples=["Europe/Amsterdam"])] | None = None
    language: Annotated[str, Field(pattern="^[a-z]{2}(-[A-Z]{2})?$", examples=["nl"])] | None = None
    billing_day: Annotated[int, Field(ge=1, le=31)] | None = None
    tax_class: Annotated[Text, Field(max_length=60)] | None = None
    national_tax_currency: Annotated[str, Field(pattern="^([A-Z]{3})?$")] | None = None
    groups: (
        Annotated[list[Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]{0,39}$")]], Field(max_length=10)] | None
    ) = None


class ContactGiven(Given):
    """What is given of a contact; what is left out stays. A new one needs a name."""

    name: Annotated[Text, Field(min_length=1, max_length=200, examples=["Ada"])] | None = None
    email: Annotated[Text, Field(max_length=254, examples=["ada@example.nl"])] | None = None
    phone: Annotated[Text, Field(max_length=40)] | None = None
    roles: (
        Annotated[list[Annotated[str, Field(pattern=f"^({'|'.join(Role.values)})$")]], Field(max_length=4)] | None
    ) = None
    may_incur_cost: bool | None = None
    language: Annotated[str, Field(pattern="^[a-z]{2}(-[A-Z]{2})?$")] | None = None
    channels: (
        Annotated[list[Annotated[str, Field(pattern=f"^({'|'.join(Channel.values)})$")]], Field(max_length=4)] | None
    ) = None
    mailbox_service: Annotated[Text, Field(max_length=100)] | None = None
    zone: Annotated[Text, Field(max_length=64, examples=["America/New_York"])] | None = None


def account_row(external_id: str) -> AccountRow:
    """The account of that id. Raises `Problem` (404)."""
    try:
        return queries.account(external_id)
    except queries.UnableToFindAccountError as fault:
        raise Problem(404, "not-there", str(fault), where="account") from fault


def _shown(row: AccountRow) -> dict[str, Any]:
    values = row._asdict()
    del values["pseudonym"]
    values["id"] = values.pop("external_id")
    return values


def _contact(row: ContactRow) -> dict[str, Any]:
    values = row._asdict()
    del values["account_id"]
    values["id"] = values.pop("external_id")
    return values


def _whole(row: AccountRow) -> dict[str, Any]:
    return {**_shown(row), "contacts": [_contact(one) for one in queries.contacts([row.id])]}


def refused(fault: customers.UnableToKeepError) -> Problem:
    """The answer to what can't be kept: everything at fault."""
    errors = [{"where": f"body.{one.field}", "detail": one.message} for one in fault.faults]
    first = errors[0]
    return Problem(
        422, "not-as-expected", first["detail"], where=first["where"], errors=errors if len(errors) > 1 else None
    )


@operation(
    router, "GET", "", scope="customers:read", summary="Accounts, in the order they came", response=Page[Account]
)
def list_accounts(
    request: HttpRequest,  # noqa: ARG001 - ninja's signature
    limit: Limit = 50,
    cursor: Cursor = None,
    q: Annotated[str, Query(max_length=100, description="The start of an id, or a part of a name.")] = "",
) -> dict[str, Any]:
    """A page of accounts. New ones come at the end, so that going through the pages meets each once."""
    key = paging.after(cursor, "accounts", int)
    rows = listing.accounts_after(after=key[0] if key else 0, text=q, limit=limit + 1)
    return paging.page(rows, limit, "accounts", lambda row: (row.id,), _shown)


@operation(
    router, "GET", "/{account}", scope="customers:read", summary="An account with its contacts",
    response=AccountWithContacts,
)  # fmt: skip
def get_account(request: HttpRequest, response: HttpResponse, account: AccountId) -> dict[str, Any]:  # noqa: ARG001
    """The account, with an ETag for If-Match."""
    shown = _whole(account_row(account))
    response["ETag"] = etag(shown)
    return shown


class Ordering(Shown):
    """Whether an account may order more."""

    may_order: bool
    since: Annotated[datetime | None, Field(description="From when it may not.")]
    reason: Annotated[str, Field(description="Why not, and what ends it: to be shown to whoever orders.")]
    to_pay: Annotated[list[Money], Field(description="What ends it, by currency.")]
    bills: Annotated[list[str], Field(description="Of which bills.")]
    link: Annotated[str, Field(description="Where every way out is.")]


@operation(
    router, "GET", "/{account}/ordering", scope="customers:read", summary="Whether an account may order more",
    response=Ordering,
)  # fmt: skip
def get_ordering(request: HttpRequest, account: AccountId) -> dict[str, Any]:  # noqa: ARG001
    """For shops and panels, before they sell. A new service or a larger plan is refused here all the same; what runs
    runs, and a smaller plan can be taken at any time."""
    found = ordering.blocked(account_row(account).id)
    if found is None:
        return {"may_order": True, "since": None, "reason": "", "to_pay": [], "bills": [], "link": ""}
    return {
        "may_order": False, "since": found.since, "reason": found.words, "bills": list(found.numbers),
        "to_pay": [money(one) for one in found.to_pay], "link": found.link,
    }  # fmt: skip


@operation(
    router, "PUT", "/{account}", scope="customers:write", summary="Make or change an account",
    response={200: AccountWithContacts, 201: AccountWithContacts}, match=True,
)  # fmt: skip
def put_account(request: HttpRequest, response: HttpResponse, account: AccountId, given: AccountGiven) -> Any:
    """Make it (201), or change what is given of it (200); the same again changes nothing.

    By the rules of customer files: the currency stays once given, billing day and zone once something was billed.
    """
    with customers.editing():
        before = queries.accounts_by_external_id([account]).get(account)
        judge_match(request, etag(_whole(before)) if before else None)
        try:
            done = customers.put_account(
                external_id=account, given=given.model_dump(exclude_none=True), actor=actor_of(request), at=clock.now()
            )
        except customers.UnableToKeepError as fault:
            raise refused(fault) from fault
        shown = _whole(account_row(account))
    response["ETag"] = etag(shown)
    return Status(201 if done == "created" else 200, shown)


@operation(
    router, "PUT", "/{account}/contacts/{contact}", scope="customers:write", summary="Make or change a contact",
    response={200: Contact, 201: Contact}, match=True,
)  # fmt: skip
def put_contact(
    request: HttpRequest,
    response: HttpResponse,
    account: AccountId,
    contact: Annotated[str, Path(description="Your id of the contact.", max_length=100, examples=["ada"])],
    given: ContactGiven,
) -> Any:
    """Make it (201), or change what is given of it (200)."""
    with customers.editing():
        owner = account_row(account)
        there = {one.external_id: one for one in queries.contacts([owner.id])}
        judge_match(request, etag(_contact(there[contact])) if contact in there else None)
        try:
            done = customers.put_contact(
                account=account,
                external_id=contact,
                given=given.model_dump(exclude_none=True),
                actor=actor_of(request),
                at=clock.now(),
            )
        except customers.UnableToKeepError as fault:
            raise refused(fault) from fault
        [shown] = [_contact(one) for one in queries.contacts([owner.id]) if one.external_id == contact]
    response["ETag"] = etag(shown)
    return Status(201 if done == "created" else 200, shown)


__all__ = ["AccountId", "Id", "account_row", "refused", "router"]
