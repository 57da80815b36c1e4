"""In whose disputes something happened lately."""

from datetime import datetime

from django.db import connection


def accounts_between(since: datetime, until: datetime) -> list[int]:
    """Accounts in whose cases something was written between two instants."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH w AS (SELECT tstzrange(%s, %s) AS span)"
            " SELECT DISTINCT c.account_id FROM w, disputes_case c LEFT JOIN disputes_step s ON s.case_id = c.id"
            " WHERE c.opened_at <@ span OR c.closed_at <@ span OR s.at <@ span ORDER BY 1",
            [since, until],
        )
        return [row[0] for row in cursor.fetchall()]
