"""Lists of services for screens: searched, filtered, a page at a time."""

from datetime import date
from typing import Any, NamedTuple

from django.db import connection


class ListedService(NamedTuple):
    """A service as a list shows it: with its account, and its latest plan (empty when it never had one)."""

    id: int
    external_id: str
    name: str
    kind: str
    started_on: date
    ended_on: date | None
    pool: str
    account_id: int
    account: str
    account_name: str
    plan: str
    quantity: int


_FROM = "FROM services_service v JOIN customers_account a ON a.id = v.account_id"


def find_services(
    *, text: str = "", kind: str = "", account: int | None = None, limit: int = 50, offset: int = 0
) -> list[ListedService]:
    """Services by external id. `text` is looked for at the start of the id, and anywhere in the name or account."""
    where, values = _where(text, kind, account)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT v.id, v.external_id, v.name, v.kind, v.started_on, v.ended_on, v.pool, a.id, a.external_id, a.name,"  # noqa: S608
            " coalesce(s.plan, ''), coalesce(s.quantity, 0)"
            f" {_FROM} LEFT JOIN LATERAL (SELECT plan, quantity FROM services_subscription"
            "   WHERE service_id = v.id ORDER BY valid_from DESC LIMIT 1) s ON true"
            f" {where} ORDER BY v.external_id LIMIT %s OFFSET %s",
            [*values, limit, offset],
        )
        return [ListedService(*row) for row in cursor.fetchall()]


def count_services(*, text: str = "", kind: str = "", account: int | None = None) -> int:
    """How many services `find_services` has in all."""
    where, values = _where(text, kind, account)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) {_FROM} {where}", values)
        return int(cursor.fetchone()[0])


def kinds() -> list[str]:
    """The kinds of service there are."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT kind FROM services_service ORDER BY kind")
        return [row[0] for row in cursor.fetchall()]


def _where(text: str, kind: str, account: int | None) -> tuple[str, list[Any]]:
    terms: list[str] = []
    values: list[Any] = []
    if text:
        like = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        terms.append("(v.external_id LIKE %s OR v.name ILIKE %s OR a.name ILIKE %s OR a.external_id = %s)")
        values += [f"{like}%", f"%{like}%", f"%{like}%", text]
    if kind:
        terms.append("v.kind = %s")
        values.append(kind)
    if account is not None:
        terms.append("v.account_id = %s")
        values.append(account)
    return ("WHERE " + " AND ".join(terms) if terms else ""), values
