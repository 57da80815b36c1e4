"""The worker's heartbeat, as procrastinate keeps it in the database (every ten seconds)."""

from datetime import datetime
from typing import cast

from django.db import connection

LATE_AFTER_S = 30
"""A worker not heard of for this long counts as gone: three beats missed."""


def last_seen() -> datetime | None:
    """When any worker last beat its heart, or None if none ever did. Raises DatabaseError without a database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(last_heartbeat) FROM procrastinate_workers")
        row = cursor.fetchone()
    return cast("datetime | None", row[0]) if row else None
