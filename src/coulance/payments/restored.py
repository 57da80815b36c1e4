"""Rails after a restore: what was collected and charged since the backup was made isn't known here.

Collected or charged again it would be paid twice. So nothing is collected or charged by itself until a person has
looked at the bank's and the gateways' lists, and says so by clearing the alarm.
"""

from datetime import datetime

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from coulance.platform.alarms import open_alarms, raise_alarm
from coulance_core.kernel import require_aware

ALARM = "payments.restored"
_APART = 100_000
"""How far names go on from where the backup has them: those given since are never given again."""
_NAMES = tuple(
    f"payments_{name}_id_seq"
    for name in ("collection", "collection_run", "announcement", "agreement", "mandate", "payback", "payback_run")
)


def rest_after_restore(*, why: str, at: datetime) -> bool:
    """Let rails rest until a person clears the alarm; false where nobody collects or charges, and nothing is done.

    Works on the tables of an older version too, and on one without any.
    """
    require_aware(at)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_regclass('payments_agreement') IS NOT NULL AND to_regclass('platform_alarm') IS NOT NULL"
        )
        if cursor.fetchone() != (True,):
            return False
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM payments_agreement WHERE ended_at IS NULL)"
            " OR EXISTS (SELECT 1 FROM payments_mandate WHERE withdrawn_on IS NULL)"
        )
        if cursor.fetchone() != (True,) and not _pays_back(cursor):
            return False
        for name in _NAMES:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [name])
            if cursor.fetchone() == (True,):
                cursor.execute("SELECT setval(%s, nextval(%s) + %s)", [name, name, _APART])
        raise_alarm(
            key=ALARM,
            severity="critical",
            what=f"{why}. Nothing is collected, charged or paid back by itself until you have looked at your bank's and"
            f" your gateways' lists for what went since, have booked it, and clear this: coulance alarms clear {ALARM}",
            at=at,
        )
    return True


def _pays_back(cursor: CursorWrapper) -> bool:
    """Whether money was to be paid back: perhaps it was since."""
    cursor.execute("SELECT to_regclass('payments_payback') IS NOT NULL")
    if cursor.fetchone() != (True,):
        return False
    cursor.execute("SELECT EXISTS (SELECT 1 FROM payments_payback WHERE state IN ('asked', 'approved', 'filed'))")
    return bool(cursor.fetchone() == (True,))


def is_resting() -> bool:
    """Whether rails rest."""
    return any(alarm.key == ALARM for alarm in open_alarms())
