"""Numbers for dashboards and metrics that cost next to nothing, however many documents there are."""

from django.db import connection


def numbers_given() -> dict[str, int]:
    """How many numbers each series has given, over all its years."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT series, sum(coalesce(last - first + 1, 0))::bigint FROM invoicing_number_series"
            " GROUP BY 1 ORDER BY 1"
        )
        return {str(series): int(number) for series, number in cursor.fetchall()}


def parked() -> int:
    """Accounts that could not be billed and wait for a person."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM invoicing_parked_account WHERE resolved_at IS NULL")
        row = cursor.fetchone()
        return int(row[0]) if row else 0
