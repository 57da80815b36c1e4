"""Lists of accounts for screens: searched, a page at a time."""

from typing import Any, NamedTuple

from django.db import connection


class ListedAccount(NamedTuple):
    """An account as a list shows it."""

    id: int
    external_id: str
    name: str
    kind: str
    country: str
    currency: str
    billing_day: int


def find_accounts(*, text: str = "", limit: int = 50, offset: int = 0) -> list[ListedAccount]:
    """Accounts by external id. `text` is looked for at the start of the id, and anywhere in the name."""
    where, values = _where(text)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, external_id, name, kind, country, currency, billing_day FROM customers_account"  # noqa: S608
            f"{where} ORDER BY external_id LIMIT %s OFFSET %s",
            [*values, limit, offset],
        )
        return [ListedAccount(*row) for row in cursor.fetchall()]


def count_accounts(*, text: str = "") -> int:
    """How many accounts `find_accounts` has in all."""
    where, values = _where(text)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM customers_account{where}", values)  # noqa: S608
        return int(cursor.fetchone()[0])


def _where(text: str) -> tuple[str, list[Any]]:
    if not text:
        return "", []
    like = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return " WHERE external_id LIKE %s OR name ILIKE %s", [f"{like}%", f"%{like}%"]
