"""Reading what was taken over, row by row, by the beginning of its source keys: to compare with the system left."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection

from coulance_core.kernel import Money
from coulance_core.payments import ItemKind, MandateSequence, Scheme


@dataclass(frozen=True, slots=True)
class OpeningRow:
    """An item as it was taken over, whatever was paid since. `account` is an external id."""

    source_key: str
    account: str
    number: str
    kind: ItemKind
    issued_on: date
    due_on: date
    gross: Money
    open: Money


@dataclass(frozen=True, slots=True)
class StandingDebt:
    """A debt that was taken over and stands: `open` is what was open of it then, whatever was paid since.

    `account` is its database id. `reclaims`: it is of a refund that the bank took back, not of another system.
    """

    id: int
    account: int
    number: str
    kind: ItemKind
    issued_on: date
    due_on: date
    taken_on: date
    gross: Money
    open: Money
    reclaims: bool


@dataclass(frozen=True, slots=True)
class OpeningBalance:
    """A prepaid balance as it was taken over."""

    source_key: str
    account: str
    amount: Money


@dataclass(frozen=True, slots=True)
class OpeningMandate:
    """A mandate that was taken over and stands."""

    source_key: str
    account: str
    reference: str
    iban: str
    holder: str
    signed_on: date
    scheme: Scheme
    sequence: MandateSequence
    last_used_on: date | None


def items(*, source: str) -> list[OpeningRow]:
    """Items whose source key begins with `source`, and whose taking over was not undone."""
    rows = _fetch(
        "SELECT o.source_key, a.external_id, o.number, o.kind, o.issued_on, o.due_on, o.gross, o.open, o.currency"
        " FROM payments_opening_item o JOIN customers_account a ON a.id = o.account_id"
        " WHERE starts_with(o.source_key, %s) AND o.reversed_on IS NULL ORDER BY o.source_key",
        source,
    )
    return [
        OpeningRow(key, account, number, ItemKind(kind), issued, due, Money(gross, code), Money(left, code))
        for key, account, number, kind, issued, due, gross, left, code in rows
    ]


def debt(*, opening: int, lock: bool = False) -> StandingDebt | None:
    """A debt that was taken over and stands; locked, in a transaction, against others who act on it. None for none."""
    with connection.cursor() as cursor:
        if lock:
            cursor.execute("SELECT 1 FROM payments_opening_item WHERE id = %s FOR NO KEY UPDATE", [opening])
        cursor.execute(
            "SELECT id, account_id, number, kind, issued_on, due_on, taken_on, gross, open, currency, refund_id"
            " FROM payments_opening_item WHERE id = %s AND open > 0 AND reversed_on IS NULL",
            [opening],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    number, account, name, kind, issued, due, taken, gross, left, code, refund = row
    whole, open_ = Money(gross, code), Money(left, code)
    return StandingDebt(number, account, name, ItemKind(kind), issued, due, taken, whole, open_, refund is not None)


def balances(*, source: str) -> list[OpeningBalance]:
    """Prepaid balances whose source key begins with `source`, and whose taking over was not undone."""
    rows = _fetch(
        "SELECT r.source_key, a.external_id, r.amount, r.currency FROM payments_receipt r"
        " JOIN customers_account a ON a.id = r.account_id"
        " WHERE r.method = 'opening' AND starts_with(r.source_key, %s) AND r.reversed_on IS NULL ORDER BY r.source_key",
        source,
    )
    return [OpeningBalance(key, account, Money(minor, code)) for key, account, minor, code in rows]


def mandates(*, source: str) -> list[OpeningMandate]:
    """Mandates in force whose source key begins with `source`."""
    rows = _fetch(
        "SELECT m.source_key, a.external_id, m.reference, m.iban, m.holder, m.signed_on, m.scheme, m.sequence,"
        " m.last_used_on FROM payments_mandate m JOIN customers_account a ON a.id = m.account_id"
        " WHERE starts_with(m.source_key, %s) AND m.withdrawn_on IS NULL ORDER BY m.source_key",
        source,
    )
    return [
        OpeningMandate(key, account, reference, iban, holder, signed, Scheme(scheme), MandateSequence(sequence), used)
        for key, account, reference, iban, holder, signed, scheme, sequence, used in rows
    ]


def _fetch(statement: str, source: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, [source])
        rows: list[Any] = cursor.fetchall()
        return rows
