"""E-invoices after a restore: what was queued when the backup was made has perhaps left since."""

from datetime import datetime

from django.db import connection, transaction

from coulance_core.kernel import require_aware


def hold_what_was_queued(*, why: str, at: datetime) -> int:
    """Call every e-invoice stuck that was ours to hand over, until a person says of each what to do; how many.

    What the access point has is left to go on: asking how it stands sends nothing. A stuck one is sent again, under the
    same number, by queueing it with a reason. Works on the tables of an older version too, and on one without any.
    """
    require_aware(at)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('invoicing_transmission') IS NOT NULL")
        if cursor.fetchone() != (True,):
            return 0
        cursor.execute(
            "UPDATE invoicing_transmission SET state = 'stuck', next_at = NULL, detail = %s, changed_at = %s"
            " WHERE state = 'queued'",
            [why, at],
        )
        return int(cursor.rowcount)
