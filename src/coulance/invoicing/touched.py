"""Of whom something was billed, credited or sent lately."""

from datetime import datetime

from django.db import connection


def accounts_between(since: datetime, until: datetime) -> list[int]:
    """Accounts with a document that was issued, or sent by another way, between two instants."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH w AS (SELECT tstzrange(%s, %s) AS span)"
            " SELECT DISTINCT account_id FROM invoicing_document, w WHERE issued_at <@ span OR sent_at <@ span"
            " ORDER BY 1",
            [since, until],
        )
        return [row[0] for row in cursor.fetchall()]
