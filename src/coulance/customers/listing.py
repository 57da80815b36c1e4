"""Lists of accounts for screens: searched, a page at a time."""

from typing import Any, NamedTuple

from django.db import connection

from coulance.customers.queries import AccountRow


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


class Calendar(NamedTuple):
    """A zone and billing day that accounts have, and how many: they have the same periods."""

    zone: str
    billing_day: int
    accounts: int


def calendars() -> list[Calendar]:
    """The calendars that accounts are billed by, the commonest first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT zone, billing_day, count(*) FROM customers_account GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2")
        return [Calendar(*row) for row in cursor.fetchall()]


def _where(text: str) -> tuple[str, list[Any]]:
    if not text:
        return "", []
    like = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return " WHERE (external_id LIKE %s OR name ILIKE %s)", [f"{like}%", f"%{like}%"]


def accounts_after(*, after: int = 0, text: str = "", limit: int) -> list[AccountRow]:
    """Whole accounts in the order they came, those that came after the one of that id; searched as `find_accounts`."""
    where, values = _where(text)
    where = f"{where} AND id > %s" if where else " WHERE id > %s"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(AccountRow._fields)} FROM customers_account{where} ORDER BY id LIMIT %s",  # noqa: S608
            [*values, after, limit],
        )
        return [AccountRow(*row) for row in cursor.fetchall()]
