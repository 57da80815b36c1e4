"""Lists of services for screens: searched, filtered, a page at a time."""

from collections.abc import Collection
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


def count_by_plan(*, on: date) -> dict[str, int]:
    """How many services run on each plan that day."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.plan, count(*) FROM services_subscription s JOIN services_service v ON v.id = s.service_id"
            " WHERE s.valid_from <= %s AND (s.valid_until IS NULL OR s.valid_until > %s)"
            " AND (v.ended_on IS NULL OR v.ended_on > %s) GROUP BY 1",
            [on, on, on],
        )
        return dict(cursor.fetchall())


def services_by_id(ids: Collection[int]) -> dict[int, tuple[str, str]]:
    """(external id, name) of these services, by id."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, external_id, name FROM services_service WHERE id = ANY(%s)", [list(ids)])
        return {row[0]: (row[1], row[2]) for row in cursor.fetchall()}


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


class ServiceOnPage(NamedTuple):
    """A service with the account it belongs to (external id)."""

    id: int
    external_id: str
    name: str
    kind: str
    started_on: date
    ended_on: date | None
    pool: str
    billed_until: date | None
    account: str


def services_after(
    *, after: int = 0, text: str = "", kind: str = "", account: int | None = None, limit: int
) -> list[ServiceOnPage]:
    """Services in the order they came, those that came after the one of that id; searched as `find_services`."""
    where, values = _where(text, kind, account)
    where = f"{where} AND v.id > %s" if where else "WHERE v.id > %s"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT v.id, v.external_id, v.name, v.kind, v.started_on, v.ended_on, v.pool, v.billed_until,"
            f" a.external_id {_FROM} {where} ORDER BY v.id LIMIT %s",
            [*values, after, limit],
        )
        return [ServiceOnPage(*row) for row in cursor.fetchall()]
