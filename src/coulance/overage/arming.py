"""Armed counters: how far each controlled charge or pool may run before somebody must look, in stored units.

A batch of samples then costs a comparison, and the law is asked only where a position was passed. What is armed is no
fact of its own: it can be forgotten at any time, and is worked out again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from coulance_core.kernel import require_aware


@dataclass(frozen=True, slots=True)
class Armed:
    """A charge's next position: `next_at` stored units of its `series` (ids) used in [start, until); None: nothing.

    A member of a `pool` (the pool's key) has no position of its own: the pool has.
    """

    account: int
    service: int
    charge: str
    start: datetime
    until: datetime
    series: tuple[int, ...]
    direction: str
    next_at: int | None
    pool: str = ""


@dataclass(frozen=True, slots=True)
class ArmedPool:
    """The same of a pool of an account: of all its members' series together."""

    account: int
    pool: str
    start: datetime
    until: datetime
    series: tuple[int, ...]
    direction: str
    next_at: int | None


def arm(*, new: Sequence[Armed], services: Collection[int], pools: Sequence[ArmedPool] = ()) -> None:
    """Arm these, and forget whatever else was armed of these services. In the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO overage_armed_pool (account_id, pool, start, until, series, direction, next_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (account_id, pool) DO UPDATE SET start = excluded.start,"
            " until = excluded.until, series = excluded.series, direction = excluded.direction,"
            " next_at = excluded.next_at",
            [
                (p.account, p.pool, p.start, p.until, list(p.series), p.direction, p.next_at)
                for p in sorted(pools, key=lambda p: (p.account, p.pool))
            ],
        )
        cursor.execute(
            "DELETE FROM overage_armed a WHERE a.service_id = ANY(%s) AND NOT EXISTS ("
            " SELECT 1 FROM unnest(%s::bigint[], %s::text[]) AS n(service, charge)"
            " WHERE n.service = a.service_id AND n.charge = a.charge)",
            [list(services), [one.service for one in new], [one.charge for one in new]],
        )
        cursor.executemany(
            "INSERT INTO overage_armed (account_id, service_id, charge, start, until, series, direction, next_at, pool)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (service_id, charge) DO UPDATE SET"
            " account_id = excluded.account_id, start = excluded.start, until = excluded.until,"
            " series = excluded.series, direction = excluded.direction, next_at = excluded.next_at,"
            " pool = excluded.pool",
            [
                (a.account, a.service, a.charge, a.start, a.until, list(a.series), a.direction, a.next_at, a.pool)
                for a in sorted(new, key=lambda a: (a.service, a.charge))
            ],
        )


def armed(*, services: Collection[int]) -> list[Armed]:
    """What is armed of these services."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT account_id, service_id, charge, start, until, series, direction, next_at, pool FROM overage_armed"
            " WHERE service_id = ANY(%s) ORDER BY service_id, charge",
            [list(services)],
        )
        return [_of(row) for row in cursor.fetchall()]


def armed_pools(*, pools: Collection[tuple[int, str]]) -> list[ArmedPool]:
    """What is armed of these pools, (account id, pool)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.account_id, p.pool, p.start, p.until, p.series, p.direction, p.next_at FROM overage_armed_pool p"
            " JOIN unnest(%s::bigint[], %s::text[]) AS w(account, pool)"
            " ON w.account = p.account_id AND w.pool = p.pool ORDER BY p.account_id, p.pool",
            [[account for account, _ in pools], [pool for _, pool in pools]],
        )
        return [
            ArmedPool(account, pool, start, until, tuple(series), direction, None if at is None else int(at))
            for account, pool, start, until, series, direction, at in cursor.fetchall()
        ]


def ended(*, at: datetime, most: int) -> list[tuple[int, int]]:
    """(account, service) of charges whose armed period is over, the longest over first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT account_id, service_id, until FROM overage_armed WHERE until <= %s"
            " ORDER BY until, account_id LIMIT %s",
            [require_aware(at), most],
        )
        return [(account, service) for account, service, _ in cursor.fetchall()]


def watched() -> int | None:
    """The revision of samples up to which everything was looked at; None: never."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT revision FROM overage_watched")
        row = cursor.fetchone()
    return None if row is None else int(row[0])


def set_watched(*, revision: int, at: datetime) -> None:
    """Remember how far everything was looked at; never less than before."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO overage_watched (revision, at) VALUES (%s, %s) ON CONFLICT (only_one) DO UPDATE"
            " SET revision = greatest(overage_watched.revision, excluded.revision), at = excluded.at",
            [revision, require_aware(at)],
        )


def _of(row: Sequence[Any]) -> Armed:
    account, service, charge, start, until, series, direction, next_at, pool = row
    at = None if next_at is None else int(next_at)
    return Armed(account, service, charge, start, until, tuple(series), direction, at, pool)
