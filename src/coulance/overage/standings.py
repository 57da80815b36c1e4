"""Where every controlled allowance stood when it was last looked at, for boards and lists. No fact of its own."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.db import connection

from coulance_core.kernel import Money, exact, require_aware, show

KINDS = ("charge", "pool", "port", "level")


@dataclass(frozen=True, slots=True)
class StandingRow:
    """An allowance in its period, as last looked at (at least once an hour). Quantities in `unit`.

    `kind` is `charge` (a sum of a service), `pool`, `port` (a percentile: `used` is the percentile so far, and
    `minutes_left` the burst that still changes nothing) or `level`. `services` are ids of those that draw on it.
    `stop_at` is where use must stop, and `stop_why` why (`allowance`, `dormant`, `limit`, `exposure`); None: nowhere.
    `share` is how far use is on the way there (1 is there), of a port how much of its burst is gone. `cost` is payable
    so far. `passes_at`: when the allowance is passed at this pace. `stopped`: paused or throttled by it now. `told`:
    somebody was written to in this period; `delivered`: it counts as having arrived; `acknowledged`: a person acted.
    """

    account: int
    meter: str
    kind: str
    services: tuple[int, ...]
    period_name: str
    until: datetime
    unit: str
    used: Fraction
    included: Fraction
    stop_at: Fraction | None
    stop_why: str
    share: Fraction
    minutes_left: int | None
    cost: Money
    passes_at: datetime | None
    stopped: bool
    told: bool
    delivered: bool
    acknowledged: bool
    judged_at: datetime


_COLUMNS = (
    "account_id, meter, kind, services, period_name, until, unit, used, included, stop_at, stop_why, share,"
    " minutes_left, cost, currency, passes_at, stopped, told, delivered, acknowledged, judged_at"
)


def keep(*, rows: Sequence[StandingRow], services: Collection[int], levels: bool = True) -> None:
    """Keep these, and forget what else is known of these services; of levels only where they were looked at.

    In the caller's transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM overage_standing s WHERE s.account_id = ANY(%s) AND s.services && %s::bigint[]"
            " AND (s.kind <> 'level' OR %s) AND NOT EXISTS"
            " (SELECT 1 FROM unnest(%s::bigint[], %s::text[]) AS n(account, meter)"
            " WHERE n.account = s.account_id AND n.meter = s.meter)",
            [
                sorted({row.account for row in rows}), sorted(services), levels, [row.account for row in rows],
                [row.meter for row in rows],
            ],
        )  # fmt: skip
        names = [name.strip() for name in _COLUMNS.split(",")]
        changed = ", ".join(f"{name} = excluded.{name}" for name in names[2:])
        cursor.executemany(
            f"INSERT INTO overage_standing ({_COLUMNS}) VALUES ({', '.join(['%s'] * len(names))})"  # noqa: S608
            f" ON CONFLICT (account_id, meter) DO UPDATE SET {changed}",
            [_values(row) for row in sorted(rows, key=lambda row: (row.account, row.meter))],
        )


def _values(row: StandingRow) -> list[Any]:
    share = Decimal(row.share.numerator) / Decimal(row.share.denominator)
    return [
        row.account, row.meter, row.kind, list(row.services), row.period_name, require_aware(row.until), row.unit,
        show(row.used), show(row.included), "" if row.stop_at is None else show(row.stop_at), row.stop_why,
        round(share, 6), row.minutes_left, row.cost.minor, row.cost.currency, row.passes_at, row.stopped, row.told,
        row.delivered, row.acknowledged, require_aware(row.judged_at),
    ]  # fmt: skip


def near_limit(
    *, at: datetime, at_least: Fraction = Fraction(4, 5), account: int | None = None, limit: int = 200
) -> list[StandingRow]:
    """Allowances of running periods whose use is on its way to where it must stop, by at least this share.

    Those that are there or past it first. `at_least=Fraction(0)` gives all.
    """
    return _read(
        "until > %s AND share >= %s::numeric AND (%s::bigint IS NULL OR account_id = %s)"
        " ORDER BY stopped DESC, share DESC, account_id, meter LIMIT %s",
        [require_aware(at), str(float(at_least)), account, account, limit],
    )


def standings_of(*, account: int) -> list[StandingRow]:
    """All of an account, by meter."""
    return _read("account_id = %s ORDER BY meter", [account])


def unreached(*, at: datetime, limit: int = 200) -> list[StandingRow]:
    """Allowances of running periods that were used up while nobody is known to have been reached; worst first."""
    return _read(
        "until > %s AND NOT acknowledged AND NOT delivered AND share >= 1"
        " ORDER BY told, cost DESC, share DESC, account_id, meter LIMIT %s",
        [require_aware(at), limit],
    )


def _read(where: str, values: Sequence[Any]) -> list[StandingRow]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_COLUMNS} FROM overage_standing WHERE {where}", list(values))  # noqa: S608
        return [_row(row) for row in cursor.fetchall()]


def _row(row: Sequence[Any]) -> StandingRow:
    (
        account, meter, kind, services, period_name, until, unit, used, included, stop_at, stop_why, share,
        minutes_left, cost, currency, passes_at, stopped, told, delivered, acknowledged, judged_at,
    ) = row  # fmt: skip
    return StandingRow(
        account=account,
        meter=meter,
        kind=kind,
        services=tuple(services),
        period_name=period_name,
        until=until,
        unit=unit,
        used=exact(used),
        included=exact(included),
        stop_at=exact(stop_at) if stop_at else None,
        stop_why=stop_why,
        share=exact(str(share)),
        minutes_left=minutes_left,
        cost=Money(cost, currency),
        passes_at=passes_at,
        stopped=stopped,
        told=told,
        delivered=delivered,
        acknowledged=acknowledged,
        judged_at=judged_at,
    )
