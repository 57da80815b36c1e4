"""What everybody owes as columns, and whose money moved lately: for runs over very many accounts."""

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from django.db import connection

from coulance.payments import items_sql
from coulance.platform.columns import columns

if TYPE_CHECKING:
    from numpy.typing import NDArray


def open_columns() -> "dict[str, NDArray[Any]]":
    """One row a debt of anybody's: `account`, `open` (minor units, above zero), `due` (the day that is printed)."""
    return columns(items_sql.OPEN_COLUMNS, {"on": None}, [("account", "int8"), ("open", "int8"), ("due", "date")])


def open_by_age(*, on: date) -> dict[str, list[int]]:
    """What everybody owes by currency and age on a day, by printed due days: minor units, not due yet, to 30 days late,
    to 60, to 90, and more."""
    out: dict[str, list[int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(items_sql.OPEN_BY_AGE, {"on": None, "today": on})
        for code, age, minor in cursor.fetchall():
            out.setdefault(code, [0] * 5)[age] = minor
    return out


def accounts_between(since: datetime, until: datetime) -> list[int]:
    """Accounts whose money moved between two instants: came, went back, was divided anew, or set out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH w AS (SELECT tstzrange(%s, %s) AS span)"
            " SELECT account_id FROM payments_allocation, w WHERE recorded_at <@ span OR reversed_at <@ span"
            " UNION SELECT account_id FROM payments_receipt, w WHERE recorded_at <@ span OR reversed_at <@ span"
            " UNION SELECT account_id FROM payments_opening_item, w WHERE recorded_at <@ span OR reversed_at <@ span"
            " UNION SELECT account_id FROM payments_claim, w WHERE since <@ span OR ended_at <@ span"
            " UNION SELECT c.account_id FROM w, payments_claim c JOIN payments_collection d ON d.id = c.collection_id"
            "  WHERE d.changed_at <@ span"
            " UNION SELECT c.account_id FROM w, payments_claim c"
            "  JOIN payments_gateway_payment p ON p.id = c.payment_id WHERE p.changed_at <@ span ORDER BY 1",
            [since, until],
        )
        return [row[0] for row in cursor.fetchall()]
