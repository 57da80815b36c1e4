"""A book's customers as the rows that the importer judges, so that one rule stands for both."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from coulance.flows.customer_file import RECORDS, Column, Row, UnreadableCellError
from coulance_core.taking_over import Book, Finding, TakenContact, TakenCustomer, TakenService, Where

_OURS = ("national_tax_currency", "groups")
"""What no earlier system tells of an account."""
_NOT_TAKEN = ("mailbox_service", "zone")
"""What no earlier system tells of a contact."""


def rows_of(
    customers: Iterable[TakenCustomer], contacts: Iterable[TakenContact], services: Iterable[TakenService]
) -> Iterator[Row]:
    """Rows as of a file, each with the place it really stands."""
    for customer in customers:
        values = {name: getattr(customer, name) for name in RECORDS["account"] if name not in _OURS}
        yield _row("account", {**values, "address": list(customer.address)}, customer.where)
    for contact in contacts:
        values = {name: getattr(contact, name) for name in RECORDS["contact"] if name not in _NOT_TAKEN}
        lists = {"roles": list(contact.roles), "channels": list(contact.channels)}
        yield _row("contact", {**values, **lists}, contact.where)
    for service in services:
        yield _row(
            "service",
            {
                "account": service.account,
                "service": service.service,
                "name": service.name,
                "kind": service.kind,
                "started_on": service.started_on,
                "ended_on": service.ended_on,
                "billed_until": service.billed_until,
                "pool": service.pool,
            },
            service.where,
        )
        yield _row(
            "subscription",
            {
                "service": service.service,
                "plan": service.plan,
                "quantity": service.quantity,
                "from": service.subscribed_from,
                "until": service.ended_on,
            },
            service.where,
        )


def form_faults(book: Book) -> Iterator[Finding]:
    """What the importer's columns would not read: it judges files cell by cell, and gets values here."""
    judged: dict[tuple[str, str, str], str] = {}  # most customers share zone, country and language
    for row in rows_of(book.customers, book.contacts, book.services):
        for name, column in RECORDS[row.record].items():
            value = row.values[name]
            texts = value if isinstance(value, list) else [value] if isinstance(value, str) else []
            if column.required and value == "":
                found = f"the {row.record} has none"
                yield Finding(f"bad-{name}".replace("_", "-"), Where(row.file, row.line, name), found, "one")
            for text in filter(None, texts):
                if (expected := judged.get((row.record, name, text))) is None:
                    expected = judged[row.record, name, text] = _expected(column, text)
                if expected:
                    where = Where(row.file, row.line, name)
                    yield Finding(f"bad-{name}".replace("_", "-"), where, repr(text), expected)


def _expected(column: Column, text: str) -> str:
    try:
        column.read(text)
    except UnreadableCellError as error:
        return str(error)
    return ""


def _row(record: str, values: Mapping[str, Any], where: Where) -> Row:
    whole = {name: column.default for name, column in RECORDS[record].items()} | dict(values)
    return Row(record, whole, frozenset(RECORDS[record]), where.file, where.row, where.row, {})
