"""Reading the register: what holds, what was done, how long it took, and when a service was paused."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from coulance.enforcement.leases import LEASE
from coulance.enforcement.ports import TargetRow
from coulance_core.enforcement.restrictions import Action, Desired, Restriction, Source, effective
from coulance_core.kernel import Period, require_aware


@dataclass(frozen=True, slots=True)
class RestrictionRow:
    """A restriction as it stands in the register. `confirmed_at`: when it was first seen to hold at its targets."""

    id: int
    service: int
    service_name: str
    restriction: Restriction
    reason: str
    placed_by: str
    lifted_by: str
    lift_reason: str
    confirmed_at: datetime | None


@dataclass(frozen=True, slots=True)
class ActRow:
    """What was done at a target, with its proof."""

    service: int
    driver: str
    outcome: str
    decided_at: datetime
    started_at: datetime
    finished_at: datetime
    identity: str
    desired: Desired
    before: Desired | None
    after: Desired | None
    proof: str
    fault: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A service whose network is not known to be as its register says."""

    service: int
    service_name: str
    since: datetime
    attempts: int
    next_try: datetime


def _rows(statement: str, parameters: list[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found: list[Any] = cursor.fetchall()
        return found


_RESTRICTION = """
SELECT r.id, r.service_id, s.external_id, r.source, r.ref, r.action, r.placed_at, r.rate_bps, r.address, r.observe,
       r.lifted_at, r.reason, r.placed_by, r.lifted_by, r.lift_reason,
       (SELECT min(a.finished_at) FROM enforcement_act a
         WHERE a.service_id = r.service_id AND a.started_at >= r.placed_at AND a.outcome IN ('done', 'unchanged')
           AND (r.lifted_at IS NULL OR a.started_at < r.lifted_at))
  FROM enforcement_restriction r JOIN services_service s ON s.id = r.service_id
"""


def restrictions(
    *,
    services: Collection[int] | None = None,
    open_only: bool = True,
    limit: int = 1000,
    before: int | None = None,
) -> list[RestrictionRow]:
    """Restrictions of these services, or of all; newest first, those before a number."""
    where: list[str] = ["TRUE"]
    parameters: list[Any] = []
    if services is not None:
        where.append("r.service_id = ANY(%s)")
        parameters.append(list(services))
    if open_only:
        where.append("r.lifted_at IS NULL")
    if before is not None:
        where.append("r.id < %s")
        parameters.append(before)
    statement = f"{_RESTRICTION} WHERE {' AND '.join(where)} ORDER BY r.id DESC LIMIT %s"
    return [_restriction(row) for row in _rows(statement, [*parameters, limit])]


def restriction(number: int) -> RestrictionRow | None:
    """One restriction by its number."""
    rows = _rows(f"{_RESTRICTION} WHERE r.id = %s", [number])
    return _restriction(rows[0]) if rows else None


def _restriction(row: Any) -> RestrictionRow:
    return RestrictionRow(
        row[0],
        row[1],
        row[2],
        Restriction(Source(row[3]), row[4], Action(row[5]), row[6], row[7], row[8], row[9], row[10]),
        row[11],
        row[12],
        row[13],
        row[14],
        row[15],
    )


def desired(service: int) -> Desired:
    """What should hold for a service's network: the union of its open restrictions."""
    return effective(row.restriction for row in restrictions(services=[service]))


def targets(service: int) -> list[TargetRow]:
    """Where a service's network is reached."""
    rows = _rows(
        "SELECT s.external_id, t.driver, t.identity, t.parameters FROM enforcement_target t"
        " JOIN services_service s ON s.id = t.service_id WHERE t.service_id = %s ORDER BY t.driver",
        [service],
    )
    return [TargetRow(name, driver, identity, _json(values)) for name, driver, identity, values in rows]


def reached_services(*, driver: str = "") -> list[int]:
    """Every service that has a target (of this driver), sorted: what reconciliation looks at."""
    statement = "SELECT DISTINCT service_id FROM enforcement_target WHERE %s IN ('', driver) ORDER BY 1"
    return [row[0] for row in _rows(statement, [driver])]


def all_targets(*, driver: str = "", limit: int = 100_000) -> list[TargetRow]:
    """Every target (of this driver), by service."""
    rows = _rows(
        "SELECT s.external_id, t.driver, t.identity, t.parameters FROM enforcement_target t"
        " JOIN services_service s ON s.id = t.service_id WHERE %s IN ('', t.driver) ORDER BY 1, 2 LIMIT %s",
        [driver, limit],
    )
    return [TargetRow(name, key, identity, _json(values)) for name, key, identity, values in rows]


@dataclass(frozen=True, slots=True)
class Running:
    """An executor and when its heart beat last."""

    name: str
    started_at: datetime
    beat_at: datetime


def executors() -> list[Running]:
    """Executors that run, or died without a word, the one that beat last first."""
    rows = _rows("SELECT name, started_at, beat_at FROM enforcement_executor ORDER BY beat_at DESC", [])
    return [Running(*row) for row in rows]


def unreached(*, services: Collection[int]) -> set[int]:
    """Those of these services that no driver reaches: their restrictions are on record only."""
    rows = _rows(
        "SELECT s FROM unnest(%s::bigint[]) AS s"
        " WHERE NOT EXISTS (SELECT 1 FROM enforcement_target t WHERE t.service_id = s)",
        [list(services)],
    )
    return {row[0] for row in rows}


def acts(service: int | None = None, *, limit: int = 50) -> list[ActRow]:
    """What was done for a service, or for any, newest first."""
    rows = _rows(
        "SELECT service_id, driver, outcome, decided_at, started_at, finished_at, identity, desired, before, after,"
        " proof, fault FROM enforcement_act WHERE %s::bigint IS NULL OR service_id = %s ORDER BY id DESC LIMIT %s",
        [service, service, limit],
    )
    return [
        ActRow(
            service=row[0],
            driver=row[1],
            outcome=row[2],
            decided_at=row[3],
            started_at=row[4],
            finished_at=row[5],
            identity=row[6],
            desired=_state(row[7]),
            before=_maybe(row[8]),
            after=_maybe(row[9]),
            proof=row[10],
            fault=row[11],
        )
        for row in rows
    ]


def service_names(services: Collection[int]) -> dict[int, str]:
    """The ids that people know services by."""
    return dict(_rows("SELECT id, external_id FROM services_service WHERE id = ANY(%s)", [list(services)]))


def waiting(*, limit: int = 1000) -> list[Waiting]:
    """Services with work to do, longest waiting first."""
    rows = _rows(
        "SELECT w.service_id, s.external_id, w.since, w.attempts, w.next_try FROM enforcement_work w"
        " JOIN services_service s ON s.id = w.service_id ORDER BY w.since LIMIT %s",
        [limit],
    )
    return [Waiting(*row) for row in rows]


def count_open() -> int:
    """How many restrictions are in force."""
    statement = "SELECT count(*) FROM enforcement_restriction WHERE lifted_at IS NULL AND NOT observe"
    return int(_rows(statement, [])[0][0])


def count_waiting() -> int:
    """How many services have work to do."""
    return int(_rows("SELECT count(*) FROM enforcement_work", [])[0][0])


def due_in(at: datetime) -> float | None:
    """Seconds until the next work is due (0 when it is); None when there is none."""
    # What is claimed is due again when its claim runs out.
    ((found,),) = _rows("SELECT min(coalesce(claimed_at + %s, next_try)) FROM enforcement_work", [LEASE])
    return None if found is None else max((found - require_aware(at)).total_seconds(), 0.0)


def paused_spans(*, services: Collection[int], period: Period) -> dict[int, list[tuple[datetime, datetime | None]]]:
    """When we were pausing or throttling each service in a period: from the decision until the release was confirmed.

    A release counts when a target was seen free of that restriction after it was lifted; a service without targets is
    free at once. Use in these spans is ours to bear.
    """
    rows = _rows(
        "SELECT r.service_id, r.placed_at, CASE WHEN r.lifted_at IS NULL THEN NULL"
        "   WHEN NOT EXISTS (SELECT 1 FROM enforcement_target t WHERE t.service_id = r.service_id) THEN r.lifted_at"
        "   ELSE (SELECT min(a.finished_at) FROM enforcement_act a WHERE a.service_id = r.service_id"
        "           AND a.started_at >= r.lifted_at AND a.outcome IN ('done', 'unchanged')"
        "           AND NOT (a.after->>'paused')::boolean AND a.after->>'rate_bps' IS NULL) END"
        " FROM enforcement_restriction r WHERE r.service_id = ANY(%s) AND NOT r.observe"
        "   AND r.action IN ('pause', 'throttle') AND r.placed_at < %s ORDER BY r.service_id, r.placed_at",
        [list(services), period.end],
    )
    out: dict[int, list[tuple[datetime, datetime | None]]] = {}
    for service, start, end in rows:
        if end is None or end > period.start:
            out.setdefault(service, []).append((start, end))
    return out


def latencies(*, since: datetime) -> list[float]:
    """Seconds from each decision to its executed act, for acts since then, sorted: for p50 and p99."""
    rows = _rows(
        "SELECT extract(epoch FROM finished_at - decided_at)::float8 FROM enforcement_act"
        " WHERE outcome = 'done' AND finished_at >= %s ORDER BY 1",
        [require_aware(since)],
    )
    return [row[0] for row in rows]


@dataclass(frozen=True, slots=True)
class Speed:
    """How long acts took from their decision: how many there were, and the times in seconds that half, and 99 of 100,
    took at most."""

    count: int
    p50_s: float | None
    p99_s: float | None


def speed(*, since: datetime) -> Speed:
    """How fast decisions were executed since then."""
    rows = _rows(
        "SELECT count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY took), percentile_cont(0.99) WITHIN GROUP"
        " (ORDER BY took) FROM (SELECT extract(epoch FROM finished_at - decided_at)::float8 AS took"
        "   FROM enforcement_act WHERE outcome = 'done' AND finished_at >= %s) acts",
        [require_aware(since)],
    )
    return Speed(*rows[0])


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _state(value: Any) -> Desired:
    return Desired.from_json(_json(value))


def _maybe(value: Any) -> Desired | None:
    return None if value is None else _state(value)
