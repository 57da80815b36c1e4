"""Limits on how often somebody may try: exact over all processes, since the database keeps them.

A limit is a bucket of `burst` tries that fills again by one every `every`. Kept as one instant a bucket (until when it
is spoken for: the generic cell rate algorithm), in an unlogged table: after a crash of the database everybody starts
anew. Who tries is kept as a hash only.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from coulance_core.kernel import require_aware


@dataclass(frozen=True, slots=True)
class Limit:
    """`burst` tries at once, and one more every `every`."""

    name: str
    burst: int
    every: timedelta


LINK = Limit("link", 10, timedelta(minutes=1))
"""Uses of a link that works once, from one address."""
ENTRY = Limit("entry", 10, timedelta(seconds=30))
"""Links that customers ask for, from one address."""
ANSWER = Limit("answer", 30, timedelta(seconds=5))
"""Answers to warnings by their link, from one address."""
STRANGER = Limit("stranger", 60, timedelta(seconds=1))
"""Requests to the API without a valid token, from one address."""
HOOK = Limit("hook", 600, timedelta(milliseconds=50))
"""Webhooks that come in, from one address."""


def take(limit: Limit, who: str, *, at: datetime) -> timedelta | None:
    """Take one try of somebody. None when they had one left; else how long until they have, and nothing is taken."""
    require_aware(at)
    key = _key(limit, who)
    window = limit.every * limit.burst
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO platform_rate_limit AS r (key, full_until) VALUES (%(key)s, %(first)s)"
            " ON CONFLICT (key) DO UPDATE SET"
            "  full_until = greatest(r.full_until, %(at)s) + %(step)s * interval '1 microsecond'"
            " WHERE greatest(r.full_until, %(at)s) + %(step)s * interval '1 microsecond' <= %(last)s RETURNING 1",
            {
                "key": key,
                "at": at,
                "first": at + limit.every,
                "last": at + window,
                "step": limit.every // timedelta(microseconds=1),
            },
        )
        if cursor.fetchone():
            return None
        cursor.execute("SELECT full_until FROM platform_rate_limit WHERE key = %s", [key])
        row = cursor.fetchone()
    until: datetime = row[0] if row else at
    return max(until + limit.every - window - at, timedelta(milliseconds=1))


def forget(*, at: datetime) -> int:
    """Remove buckets that are full again; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM platform_rate_limit WHERE full_until < %s", [require_aware(at)])
        return int(cursor.rowcount)


def _key(limit: Limit, who: str) -> str:
    digest = hmac.new(settings.SECRET_KEY.encode(), f"{limit.name}\0{who}".encode(), hashlib.sha256)
    return f"{limit.name}:{digest.hexdigest()[:32]}"
