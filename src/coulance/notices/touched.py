"""Of whose messages something became known lately."""

from datetime import datetime

from django.db import connection


def accounts_between(since: datetime, until: datetime) -> list[int]:
    """Accounts of whose messages evidence was recorded between two instants, or an address of whom was verified."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH w AS (SELECT tstzrange(%s, %s) AS span)"
            " SELECT m.account_id FROM w, notices_evidence e JOIN notices_message m ON m.id = e.message_id"
            " WHERE e.recorded_at <@ span AND m.account_id IS NOT NULL"
            " UNION SELECT account_id FROM notices_verification, w WHERE recorded_at <@ span ORDER BY 1",
            [since, until],
        )
        return [row[0] for row in cursor.fetchall()]
