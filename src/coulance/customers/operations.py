"""Writing the customers room: accounts and contacts, one at a time or many in one statement."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction

from coulance.customers import checks
from coulance.customers.kinds import AccountKind, Channel, Role
from coulance.customers.models import Account, Contact
from coulance_core.kernel import currency as known_currency


class UnableToWriteAccountError(ValueError):
    """An account or contact is not as it must be. The message names the field and what was expected."""


_ACCOUNT = (
    "external_id", "name", "kind", "country", "vat_id", "address", "currency", "zone", "language", "billing_day",
    "tax_class", "national_tax_currency", "groups",
)  # fmt: skip
_CONTACT = (
    "external_id", "name", "email", "phone", "roles", "may_incur_cost", "language", "channels", "mailbox_service",
    "zone",
)  # fmt: skip


def create_account(
    *,
    external_id: str,
    name: str,
    kind: str,
    country: str,
    currency: str,
    zone: str,
    language: str,
    vat_id: str = "",
    address: Iterable[str] = (),
    billing_day: int = 1,
    tax_class: str = "",
    national_tax_currency: str = "",
    groups: Iterable[str] = (),
) -> int:
    """Make an account; gives its id. Raises `UnableToWriteAccountError` for a field that cannot be, or a taken id."""
    account = Account(
        external_id=external_id,
        name=name,
        kind=kind,
        country=country,
        currency=currency,
        zone=zone,
        language=language,
        vat_id=vat_id,
        address=list(address),
        billing_day=billing_day,
        tax_class=tax_class,
        national_tax_currency=national_tax_currency,
        groups=list(groups),
    )
    _check_account(account)
    with transaction.atomic():
        if Account.objects.filter(external_id=external_id).exists():
            raise UnableToWriteAccountError(f"account {external_id!r} is there already")
        account.save(force_insert=True)
    return account.pk


def update_account(*, external_id: str, **changes: Any) -> None:
    """Change fields of an account. Its currency stays once given: the books are kept in it."""
    with transaction.atomic():
        account = Account.objects.select_for_update().filter(external_id=external_id).first()
        if account is None:
            raise UnableToWriteAccountError(f"no account {external_id!r}")
        for field, value in changes.items():
            if field not in _ACCOUNT or field == "external_id":
                raise UnableToWriteAccountError(f"account {external_id!r}: no field {field!r} to change")
            if field == "currency" and value != account.currency:
                raise UnableToWriteAccountError(
                    f"account {external_id!r}: its currency stays {account.currency}: the books are kept in it"
                )
            setattr(account, field, list(value) if field in ("address", "groups") else value)
        _check_account(account)
        account.save(update_fields=list(changes))


def put_contact(
    *,
    account: str,
    external_id: str,
    name: str,
    language: str,
    email: str = "",
    phone: str = "",
    roles: Iterable[str] = (),
    may_incur_cost: bool = False,
    channels: Iterable[str] = (),
    mailbox_service: str = "",
    zone: str = "",
) -> int:
    """Make or replace a contact of an account (external ids); gives its id."""
    contact = Contact(
        external_id=external_id,
        name=name,
        language=language,
        email=email,
        phone=phone,
        roles=list(roles),
        may_incur_cost=may_incur_cost,
        channels=list(channels),
        mailbox_service=mailbox_service,
        zone=zone,
    )
    _check_contact(contact)
    values = {field: getattr(contact, field) for field in _CONTACT if field != "external_id"}
    with transaction.atomic():
        owner = Account.objects.filter(external_id=account).first()
        if owner is None:
            raise UnableToWriteAccountError(f"no account {account!r}")
        row, _ = Contact.objects.update_or_create(account=owner, external_id=external_id, defaults=values)
    return row.pk


def write_accounts(*, rows: Collection[Mapping[str, Any]]) -> dict[str, int]:
    """Make or change many accounts in the caller's transaction; gives their ids by external id."""
    found = [Account(**{field: row[field] for field in _ACCOUNT}) for row in rows]
    for account in found:
        _check_account(account)
    currencies = dict(
        Account.objects.filter(external_id__in=[a.external_id for a in found]).values_list("external_id", "currency")
    )
    for account in found:
        if currencies.get(account.external_id, account.currency) != account.currency:
            raise UnableToWriteAccountError(
                f"account {account.external_id!r}: its currency stays {currencies[account.external_id]}"
            )
    Account.objects.bulk_create(
        found,
        batch_size=2000,
        update_conflicts=True,
        unique_fields=["external_id"],
        update_fields=[field for field in _ACCOUNT if field != "external_id"],
    )
    return dict(Account.objects.filter(external_id__in=[a.external_id for a in found]).values_list("external_id", "id"))


def write_contacts(*, rows: Collection[tuple[int, Mapping[str, Any]]]) -> None:
    """Make or change many contacts, each with its account's id, in the caller's transaction."""
    found = [Contact(account_id=account, **{field: row[field] for field in _CONTACT}) for account, row in rows]
    for contact in found:
        _check_contact(contact)
    Contact.objects.bulk_create(
        found,
        batch_size=2000,
        update_conflicts=True,
        unique_fields=["account", "external_id"],
        update_fields=[field for field in _CONTACT if field != "external_id"],
    )


def _check_account(account: Account) -> None:
    def refuse(what: str) -> None:
        raise UnableToWriteAccountError(f"account {account.external_id!r}: {what}")

    if not account.external_id.strip() or not account.name.strip():
        refuse("it needs an external id and a name")
    if account.kind not in AccountKind.values:
        refuse(f"kind {account.kind!r}: expected {', '.join(AccountKind.values)}")
    if problem := checks.country(account.country):
        refuse(f"country {account.country!r}: {problem}")
    if account.vat_id and (problem := checks.vat_id(account.vat_id, account.country)):
        refuse(f"VAT id {account.vat_id!r}: {problem}")
    for field in ("currency", "national_tax_currency"):
        code = getattr(account, field)
        try:
            if code or field == "currency":
                known_currency(code)
        except ValueError as error:
            refuse(str(error))
    try:
        ZoneInfo(account.zone)
    except (KeyError, ValueError, OSError):
        refuse(f"unknown zone {account.zone!r}: expected an IANA name such as Europe/Amsterdam")
    if problem := checks.language(account.language):
        refuse(f"language {account.language!r}: {problem}")
    if not 1 <= account.billing_day <= 31:
        refuse(f"billing day {account.billing_day}: expected 1 to 31")
    for word in account.groups:
        if problem := checks.group(word):
            refuse(f"group {word!r}: {problem}")


def _check_contact(contact: Contact) -> None:
    def refuse(what: str) -> None:
        raise UnableToWriteAccountError(f"contact {contact.external_id!r}: {what}")

    if not contact.external_id.strip() or not contact.name.strip():
        refuse("it needs an external id and a name")
    if contact.email and (problem := checks.email(contact.email)):
        refuse(f"e-mail {contact.email!r}: {problem}")
    for field, known in (("roles", Role.values), ("channels", Channel.values)):
        for word in getattr(contact, field):
            if word not in known:
                refuse(f"{field} {word!r}: expected {', '.join(known)}")
    if "email" in contact.channels and not contact.email:
        refuse("its channels have email, and it has no e-mail address")
    if "sms" in contact.channels and not contact.phone:
        refuse("its channels have sms, and it has no phone number")
    if problem := checks.language(contact.language):
        refuse(f"language {contact.language!r}: {problem}")
    if contact.zone:
        try:
            ZoneInfo(contact.zone)
        except (ValueError, LookupError, OSError):
            refuse(f"unknown zone {contact.zone!r}: expected an IANA name such as Europe/Amsterdam")
