"""Auditing payments: what the guards promise, recomputed from the rows, and the journal beside them.

For every account and currency: what is open of its items is its receivable in the journal; what is left of its receipts
is its unallocated money; its prepaid balance is the journal's. And every row is in the journal, and the journal has no
entry of payments without its row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, LiteralString

from django.db import connection

from coulance.payments import queries
from coulance_core.kernel import Money


@dataclass(frozen=True, slots=True)
class PaymentsFault:
    """What is wrong, and where: `account 17`, `receipt/4`."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def check_payments() -> Iterator[PaymentsFault]:
    """Every fault of payments, as it is found; nothing for sound ones. Reads, never writes."""
    yield from _check_sums()
    yield from _check_uses()
    yield from _check_rows()


def _check_sums() -> Iterator[PaymentsFault]:
    owed: dict[tuple[int, str], int] = {}
    for account, items in queries.open_items().items():
        for item in items:
            key = account, item.open.currency
            owed[key] = owed.get(key, 0) + item.open.minor
    unused = _sums(
        "SELECT account_id, currency, sum(amount) FROM ("
        " SELECT account_id, currency, amount FROM payments_receipt WHERE reversed_on IS NULL"
        " UNION ALL SELECT account_id, currency, -amount FROM payments_allocation WHERE reversed_on IS NULL"
        " UNION ALL SELECT account_id, currency, -amount FROM payments_refund WHERE reversed_on IS NULL"
        " UNION ALL SELECT account_id, currency, open FROM payments_opening_item"
        "  WHERE refund_id IS NOT NULL AND reversed_on IS NULL) rows GROUP BY 1, 2"
    )
    prepaid = _sums(
        "SELECT account_id, currency, sum(amount) FROM ("
        " SELECT account_id, currency, amount FROM payments_allocation WHERE prepaid AND reversed_on IS NULL"
        " UNION ALL SELECT account_id, currency, -amount FROM payments_receipt"
        "  WHERE method = 'prepaid' AND reversed_on IS NULL) rows GROUP BY 1, 2"
    )
    booked = {(a, code): found for a, by_code in queries.balances().items() for code, found in by_code.items()}
    for key in sorted({*owed, *unused, *prepaid, *booked}):
        account, code = key
        stands = booked.get(key)
        for name, rows, journal in (
            ("open items", owed.get(key, 0), stands.owed.minor if stands else 0),
            ("what is left of receipts", unused.get(key, 0), stands.unallocated.minor if stands else 0),
            ("the prepaid balance", prepaid.get(key, 0), stands.prepaid.minor if stands else 0),
        ):
            if rows != journal:
                yield PaymentsFault(
                    f"account {account}",
                    f"{name} come to {Money(rows, code)}, and the journal says {Money(journal, code)}",
                )


def _check_uses() -> Iterator[PaymentsFault]:
    for receipt, minor, code, used in _rows(
        "SELECT r.id, CASE WHEN r.reversed_on IS NULL THEN r.amount ELSE 0 END, r.currency, sum(u.amount)::bigint"
        " FROM payments_receipt r JOIN ("
        "  SELECT receipt_id, amount FROM payments_allocation WHERE reversed_on IS NULL"
        "  UNION ALL SELECT receipt_id, amount FROM payments_refund WHERE reversed_on IS NULL"
        "  UNION ALL SELECT f.receipt_id, -o.open FROM payments_opening_item o"
        "   JOIN payments_refund f ON f.id = o.refund_id WHERE o.reversed_on IS NULL) u ON u.receipt_id = r.id"
        " GROUP BY r.id HAVING sum(u.amount) > CASE WHEN r.reversed_on IS NULL THEN r.amount ELSE 0 END ORDER BY 1"
    ):
        yield PaymentsFault(
            f"receipt/{receipt}", f"has {Money(minor, code)}, and {Money(used, code)} of it is given away"
        )


_ACTS: LiteralString = (
    "SELECT 'receipt/' || id AS source, account_id, currency, 'unallocated' AS account, -amount AS amount,"
    " reversed_on IS NOT NULL AS undone FROM payments_receipt WHERE method <> 'credit'"
    " UNION ALL SELECT 'allocation/' || id, account_id, currency,"
    " CASE WHEN prepaid THEN 'prepaid' ELSE 'receivable' END, -amount, reversed_on IS NOT NULL FROM payments_allocation"
    " UNION ALL SELECT 'refund/' || id, account_id, currency, 'unallocated', amount, reversed_on IS NOT NULL"
    " FROM payments_refund"
    " UNION ALL SELECT 'opening/' || id, account_id, currency, 'receivable', open, reversed_on IS NOT NULL"
    " FROM payments_opening_item"
    " UNION ALL SELECT 'opening/' || id, account_id, currency, 'unallocated', -open, reversed_on IS NOT NULL"
    " FROM payments_opening_item WHERE refund_id IS NOT NULL"
)


def _check_rows() -> Iterator[PaymentsFault]:
    for source, minor, code, booked, undone, reversed_ in _rows(
        "WITH acts AS (ACTS) SELECT a.source, a.amount, a.currency,"
        " (SELECT sum(l.amount)::bigint FROM ledger_posting l WHERE l.entry_id = e.id AND l.account = a.account"
        "   AND l.currency = a.currency), a.undone, r.id IS NOT NULL"
        " FROM acts a JOIN ledger_party p ON p.account_id = a.account_id"
        " LEFT JOIN ledger_entry e ON e.source = a.source AND e.party_id = p.id"
        " LEFT JOIN ledger_entry r ON r.reverses_id = e.id ORDER BY 1".replace("ACTS", _ACTS)
    ):
        if booked is None:
            yield PaymentsFault(source, "is not in the journal")
        elif booked != minor:
            yield PaymentsFault(source, f"says {Money(minor, code)}, and the journal {Money(booked, code)}")
        elif undone != reversed_:
            yield PaymentsFault(source, "and the journal disagree on whether it is undone")
    for (source,) in _rows(
        "WITH acts AS (ACTS) SELECT e.source FROM ledger_entry e"
        " WHERE e.source ~ '^(receipt|allocation|refund|opening)/'"
        " AND NOT EXISTS (SELECT 1 FROM acts WHERE acts.source = e.source) ORDER BY 1".replace("ACTS", _ACTS)
    ):
        yield PaymentsFault(source, "is in the journal, and nothing here says so")


def _sums(query: LiteralString) -> dict[tuple[int, str], int]:
    return {(account, code): int(total) for account, code, total in _rows(query)}


def _rows(query: LiteralString) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        rows: list[Any] = cursor.fetchall()
        return rows
