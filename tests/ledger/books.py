"""Accounts and entries for the ledger's tests, made without the rooms above."""

from datetime import UTC, date, datetime

from django.db import connection, transaction

from coulance.ledger.operations import parties_for, post_entries
from coulance_core.ledger import Entry, EntryKind, Posting

AT = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)
ON = date(2026, 11, 1)


def make_accounts(count: int, prefix: str = "c") -> list[int]:
    """So many customer accounts; their database ids."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO customers_account (external_id, name, kind, country, address, currency, zone, language)"
            " SELECT %s || '-' || n, 'Customer ' || n, 'business', 'NL', '{}', 'EUR', 'Europe/Amsterdam', 'en'"
            " FROM generate_series(1, %s) n RETURNING id",
            [prefix, count],
        )
        return [account for (account,) in cursor.fetchall()]


def invoice(party: bytes, source: str, net: int = 1000, tax: int = 210, on: date = ON) -> Entry:
    """An invoice of one base line with tax."""
    return Entry(
        party,
        EntryKind.INVOICE,
        source,
        on,
        (
            Posting("receivable", net + tax, "EUR"),
            Posting("revenue:base", -net, "EUR"),
            Posting("tax:NL-21", -tax, "EUR"),
        ),
    )


def book(account: int, *sources: str, at: datetime = AT) -> None:
    """Book an invoice under each source, in one transaction."""
    with transaction.atomic():
        party = parties_for(accounts=[account])[account]
        post_entries(entries=[invoice(party, source) for source in sources], at=at)
