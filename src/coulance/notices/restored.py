"""Mail after a restore: what waited when the backup was made has perhaps left since."""

from datetime import datetime

from django.db import connection, transaction

from coulance_core.kernel import require_aware


def hold_what_waits(*, why: str, at: datetime) -> int:
    """Hold back every delivery that nobody was handing over, until a person says of each what to do; how many.

    Works on the tables of an older version too, which a restored database may have, and on one without any.
    """
    require_aware(at)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('notices_delivery') IS NOT NULL")
        if cursor.fetchone() != (True,):
            return 0
        cursor.execute(
            "UPDATE notices_delivery SET state = 'held', claim = NULL, answer = %s, changed_at = %s"
            " WHERE state IN ('waiting', 'claimed')",
            [why, at],
        )
        return int(cursor.rowcount)
