"""Accounts and contacts one at a time: written when they can be, refused with the field when not."""

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from coulance.customers import operations, queries

ACCOUNT: dict[str, Any] = {
    "external_id": "c1", "name": "Molen BV", "kind": "business", "country": "NL", "currency": "EUR",
    "zone": "Europe/Amsterdam", "language": "nl",
}  # fmt: skip
CONTACT: dict[str, Any] = {
    "account": "c1", "external_id": "ada", "name": "Ada", "language": "nl", "email": "ada@molen.example",
    "roles": ["billing"], "channels": ["email"],
}  # fmt: skip


def test_an_account_is_made_found_and_changed(db: Any) -> None:
    made = operations.create_account(**ACCOUNT, vat_id="NL004495445B01", address=["Kade 12"], billing_day=31)
    account = queries.account("c1")
    assert (account.id, account.vat_id, account.address, account.billing_day) == (
        made,
        "NL004495445B01",
        ["Kade 12"],
        31,
    )
    operations.update_account(external_id="c1", name="Molen NV", address=["Kade 13"])
    assert queries.account("c1") == account._replace(name="Molen NV", address=["Kade 13"])
    assert queries.latest_billing_day() == 31


def test_every_account_has_a_pseudonym_of_its_own(db: Any) -> None:
    operations.create_account(**ACCOUNT)
    operations.create_account(**ACCOUNT | {"external_id": "c2"})
    first, second = queries.accounts()
    assert first.pseudonym != second.pseudonym


ACCOUNT_FAULTS = [
    ({"name": " "}, "needs an external id and a name"),
    ({"kind": "friend"}, "kind 'friend': expected consumer, business, public"),
    ({"country": "XX"}, "country 'XX': an ISO 3166 country"),
    ({"vat_id": "NL004495446B01"}, "check digits do not fit"),
    ({"currency": "EURO"}, "unknown currency 'EURO'"),
    ({"national_tax_currency": "zz"}, "unknown currency 'zz'"),
    ({"zone": "Amsterdam"}, "unknown zone 'Amsterdam'"),
    ({"language": "dutch"}, "language 'dutch'"),
    ({"billing_day": 0}, "billing day 0: expected 1 to 31"),
]


@pytest.mark.parametrize(("changes", "what"), ACCOUNT_FAULTS)
def test_an_account_that_cannot_be(db: Any, changes: dict[str, Any], what: str) -> None:
    with pytest.raises(operations.UnableToWriteAccountError, match=what):
        operations.create_account(**ACCOUNT | changes)
    assert queries.account_ids() == []


def test_an_id_is_taken_once_and_a_currency_stays(db: Any) -> None:
    operations.create_account(**ACCOUNT)
    with pytest.raises(operations.UnableToWriteAccountError, match="there already"):
        operations.create_account(**ACCOUNT)
    with pytest.raises(operations.UnableToWriteAccountError, match="its currency stays EUR"):
        operations.update_account(external_id="c1", currency="USD")
    with pytest.raises(operations.UnableToWriteAccountError, match="no field 'id'"):
        operations.update_account(external_id="c1", id=7)
    with pytest.raises(operations.UnableToWriteAccountError, match="no account 'c9'"):
        operations.update_account(external_id="c9", name="x")
    with pytest.raises(queries.UnableToFindAccountError, match="no account 'c9'"):
        queries.account("c9")


def test_a_contact_is_put_and_put_again(db: Any) -> None:
    account = operations.create_account(**ACCOUNT)
    first = operations.put_contact(**CONTACT, may_incur_cost=True)
    again = operations.put_contact(**CONTACT | {"name": "Ada L."})
    assert first == again
    [contact] = queries.contacts([account])
    assert (contact.name, contact.roles, contact.may_incur_cost) == ("Ada L.", ["billing"], False)


CONTACT_FAULTS = [
    ({"account": "c9"}, "no account 'c9'"),
    ({"email": "ada@"}, "e-mail 'ada@'"),
    ({"roles": ["boss"]}, "roles 'boss': expected owner, billing"),
    ({"channels": ["fax"]}, "channels 'fax'"),
    ({"email": ""}, "no e-mail address"),
    ({"channels": ["sms"]}, "no phone number"),
]


@pytest.mark.parametrize(("changes", "what"), CONTACT_FAULTS)
def test_a_contact_that_cannot_be(db: Any, changes: dict[str, Any], what: str) -> None:
    account = operations.create_account(**ACCOUNT)
    with pytest.raises(operations.UnableToWriteAccountError, match=what):
        operations.put_contact(**CONTACT | changes)
    assert queries.contacts([account]) == []


@pytest.mark.parametrize(
    "change", ["roles = '{boss}'", "channels = '{fax}'", "email = ''", "name = ''", "external_id = ''"]
)
def test_the_database_refuses_it_too(db: Any, change: str) -> None:
    account = operations.create_account(**ACCOUNT)
    operations.put_contact(**CONTACT)
    before = queries.contacts([account])
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE customers_contact SET {change}")
    assert queries.contacts([account]) == before
