"""A provider with a customer, a pool, invoices and statements, hostile names among them; and an operator's browser."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Shop:
    """What the pages are to show: ids of the documents by kind, and the hostile name."""

    documents: dict[str, int]
    account: str
    hostile: str
    services: list[str]


HOSTILE = "<script>alert('x')</script>\"&{{ 7*7 }}{% now %}"


@pytest.fixture
def shop(db: Any) -> Shop:
    """Two accounts, one parked; services; a closed run with a base invoice, an overage invoice and a statement."""
    from django.db import connection

    from coulance.invoicing.operations import NewDocument, assign_numbers, park_account
    from coulance.invoicing.queries import documents
    from coulance_core.invoicing import DocumentKind, ServiceRef
    from tests.documents import samples
    from tests.invoicing import paper

    (account, ref), (other, _) = paper.make_accounts(2)
    names = ["web-01", "s/3 &?x#y", "port-7"]
    ids = [paper.make_service(account, name) for name in names]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE services_service SET name = %s WHERE id = %s", [HOSTILE, ids[1]])
        cursor.execute("UPDATE customers_account SET name = %s WHERE id = %s", [HOSTILE, account])
        cursor.execute(
            "INSERT INTO services_subscription (service_id, plan, quantity, valid_from) VALUES (%s, 'vps-s', 1,"
            " '2026-01-01')",
            [ids[0]],
        )
    services = [ServiceRef(n, n, i) for n, i in zip(names, ids, strict=True)]
    usage = [
        samples.quota_item() | {"service": {"id": names[0], "name": names[0]}},
        samples.quota_item(3) | {"service": {"id": names[1], "name": HOSTILE}, "conventions": [HOSTILE]},
        samples.port_item() | {"service": {"id": names[2], "name": names[2]}},
    ]
    run = paper.open_and_write(
        [
            NewDocument(account, paper.draft(ref, [paper.line(4126, service=services[0])]), usage=usage[:1]),
            NewDocument(
                account,
                paper.draft(ref, [paper.line(1000, "base", service=services[1])], DocumentKind.BASE_INVOICE),
            ),
            NewDocument(account, paper.draft(ref, [], DocumentKind.USAGE_STATEMENT), usage=usage),
        ]
    )
    park_account(run=run, account=other, reason="COUNTERS_DISAGREE", detail=HOSTILE, at=paper.AT)
    assign_numbers(run=run, series=paper.SERIES, at=paper.AT)
    made = {row.kind: row.id for row in documents(account=account)}
    return Shop(made, ref, HOSTILE, names)


@pytest.fixture
def operator(db: Any) -> Any:
    """An operator with a password."""
    from coulance.platform.models import Operator

    return Operator.objects.create_user("anna", "anna@example.nl", "correct horse battery", is_staff=True, role="admin")


@pytest.fixture
def browser(operator: Any) -> Iterator[Any]:
    """A browser that is signed in as an operator."""
    return signed_in(operator)


def signed_in(operator: Any) -> Any:
    """A browser in which this operator has just signed in by a link: one factor, proved now."""
    from django.test import Client

    from coulance.platform import clock, operators

    client = Client()
    secret = operators.make_link(name=operator.username, at=clock.now(), actor="test")
    assert client.post(f"/sign-in/{secret}").status_code == 302
    return client
