"""Bringing the real state to what the register says: claim, read back, act, read again, record. Level by level.

Nothing here is an order that could be lost or doubled. What is worked on is "this service may differ from its
register"; what is done is computed from the register at the moment of acting. Killed anywhere, the row is still there,
its claim runs out, and the next round finds the target as it is. A change of the register while one acts raises the
row's version, and the row stays.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from psycopg.types.json import Jsonb

from coulance.enforcement.ports import Driver, DriverError, TargetRow, WrongTargetError
from coulance.platform import alarms
from coulance_core.enforcement.restrictions import Action, Desired, Restriction, Source, difference, effective

LEASE = timedelta(seconds=60)
"""After this a claim counts as its executor's death. Longer than any driver's own timeouts."""
PAUSES_S = (1, 2, 5, 15, 30, 60, 120, 300)
"""How long after a failure the next try is made: the last one again and again, as a restriction is never given up."""
LOUD_AFTER = 3
"""Failures in a row that raise an alarm."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One service to be looked at: its register's version, since when, and where it is reached."""

    service: int
    name: str
    version: int
    since: datetime
    attempts: int
    routine: bool
    desired: Desired
    targets: tuple[TargetRow, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one target came to: `done`, `unchanged`, `refused` (another identity) or `failed`."""

    driver: str
    outcome: str
    started_at: datetime
    finished_at: datetime
    identity: str = ""
    before: Desired | None = None
    after: Desired | None = None
    proof: str = ""
    fault: str = ""


def claim(*, most: int, worker: str, at: datetime) -> list[Claim]:
    """Take up to `most` services that are due. Committed at once: others see that they are taken."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE enforcement_work w SET claimed_at = %s, claimed_by = %s FROM ("
            "  SELECT service_id FROM enforcement_work"
            "   WHERE next_try <= %s AND (claimed_at IS NULL OR claimed_at < %s)"
            "   ORDER BY next_try LIMIT %s FOR UPDATE SKIP LOCKED) due"
            " WHERE w.service_id = due.service_id RETURNING w.service_id, w.version, w.since, w.attempts, w.routine",
            [at, worker, at, at - LEASE, most],
        )
        taken = {row[0]: row for row in cursor.fetchall()}
    if not taken:
        return []
    ids = list(taken)
    # Read after the claim, whose version was fixed then: a later change raises it, and the row is not done by this.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT service_id, source, ref, action, placed_at, rate_bps, address, observe FROM enforcement_restriction"
            " WHERE service_id = ANY(%s) AND lifted_at IS NULL",
            [ids],
        )
        held: dict[int, list[Restriction]] = {}
        for service, source, ref, action, placed_at, rate, address, observe in cursor.fetchall():
            held.setdefault(service, []).append(
                Restriction(Source(source), ref, Action(action), placed_at, rate, address, observe)
            )
        cursor.execute(
            "SELECT t.service_id, s.external_id, t.driver, t.identity, t.parameters FROM enforcement_target t"
            " JOIN services_service s ON s.id = t.service_id WHERE t.service_id = ANY(%s) ORDER BY t.driver",
            [ids],
        )
        targets: dict[int, list[TargetRow]] = {}
        for service, name, driver, identity, parameters in cursor.fetchall():
            values = json.loads(parameters) if isinstance(parameters, str) else parameters
            targets.setdefault(service, []).append(TargetRow(name, driver, identity, values))
        cursor.execute("SELECT id, external_id FROM services_service WHERE id = ANY(%s)", [ids])
        names = dict(cursor.fetchall())
    return [
        Claim(
            service,
            names[service],
            version,
            since,
            attempts,
            routine,
            effective(held.get(service, ())),
            tuple(targets.get(service, ())),
        )
        for service, version, since, attempts, routine in taken.values()
    ]


def act_on(
    target: TargetRow, driver: Driver | None, desired: Desired, key: str, now: Callable[[], datetime]
) -> Outcome:
    """Bring one target to `desired`: read who it is and what holds, act on what differs, and read again as proof."""
    started = now()
    if driver is None:
        fault = f"there is no driver {target.driver!r}: see [drivers] in the provider file"
        return Outcome(target.driver, "failed", started, now(), fault=fault)
    seen = ""
    before: Desired | None = None
    desired = driver.nearest(desired)
    try:
        found = driver.read(target)
        seen, before = found.identity, found.state
        if seen != target.identity:
            raise WrongTargetError(f"{target.driver} shows {seen!r} where {target.identity!r} was meant")
        if not difference(desired, before):
            return Outcome(target.driver, "unchanged", started, now(), seen, before, before, found.evidence)
        answer = driver.write(target, desired, key=key)
        proof = driver.read(target)
        if proof.identity != target.identity:
            raise WrongTargetError(f"{target.driver} shows {proof.identity!r} after the act")
        if difference(desired, proof.state):
            fault = f"{target.driver} took the order and shows {proof.state.words} where {desired.words} was asked"
            return Outcome(target.driver, "failed", started, now(), seen, before, proof.state, proof.evidence, fault)
        evidence = "\n".join(part for part in (answer, proof.evidence) if part)
        return Outcome(target.driver, "done", started, now(), seen, before, proof.state, evidence)
    except WrongTargetError as error:
        return Outcome(target.driver, "refused", started, now(), seen, before, fault=str(error))
    except DriverError as error:
        return Outcome(target.driver, "failed", started, now(), seen, before, fault=str(error))


def finish(claimed: Claim, outcomes: Sequence[Outcome], *, worker: str, at: datetime) -> bool:
    """Record what was done; returns whether the service is as its register says, and needs no more work."""
    right = all(outcome.outcome in ("done", "unchanged") for outcome in outcomes)
    with transaction.atomic(), connection.cursor() as cursor:
        for outcome in outcomes:
            if outcome.outcome == "unchanged" and claimed.routine:
                continue  # a regular look that found what it should: nothing happened
            _record(cursor, claimed, outcome)
        if right:
            cursor.execute(
                "DELETE FROM enforcement_work WHERE service_id = %s AND version = %s AND claimed_by = %s",
                [claimed.service, claimed.version, worker],
            )
            if not cursor.rowcount:  # the register changed meanwhile: at once again
                cursor.execute(
                    "UPDATE enforcement_work SET claimed_at = NULL, claimed_by = '', next_try = %s"
                    " WHERE service_id = %s AND claimed_by = %s",
                    [at, claimed.service, worker],
                )
        else:
            pause = PAUSES_S[min(claimed.attempts, len(PAUSES_S) - 1)]
            cursor.execute(
                "UPDATE enforcement_work SET claimed_at = NULL, claimed_by = '',"
                "   attempts = CASE WHEN version = %s THEN attempts + 1 ELSE 0 END,"
                "   next_try = CASE WHEN version = %s THEN %s ELSE %s END"
                " WHERE service_id = %s AND claimed_by = %s",
                [claimed.version, claimed.version, at + timedelta(seconds=pause), at, claimed.service, worker],
            )
        key = f"enforcement:{claimed.name}"
        refused = [outcome for outcome in outcomes if outcome.outcome == "refused"]
        if right:
            alarms.clear_alarm(key=key, at=at)
        elif refused or claimed.attempts + 1 >= LOUD_AFTER:
            fault = next(outcome.fault for outcome in outcomes if outcome.fault)
            what = f"the network of {claimed.name} should be {claimed.desired.words}, and is not: {fault}"
            alarms.raise_alarm(key=key, severity="critical", what=what, at=at)
    return right


def _record(cursor: Any, claimed: Claim, outcome: Outcome) -> None:
    cursor.execute(
        "INSERT INTO enforcement_act (service_id, driver, version, outcome, decided_at, started_at, finished_at,"
        " identity, desired, before, after, proof, fault) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            claimed.service,
            outcome.driver,
            claimed.version,
            outcome.outcome,
            claimed.since,
            outcome.started_at,
            outcome.finished_at,
            outcome.identity,
            Jsonb(claimed.desired.to_json()),
            None if outcome.before is None else Jsonb(outcome.before.to_json()),
            None if outcome.after is None else Jsonb(outcome.after.to_json()),
            outcome.proof[:20_000],
            outcome.fault[:2_000],
        ],
    )


def round_of(
    drivers: Mapping[str, Driver], *, worker: str, now: Callable[[], datetime], most: int = 64, threads: int = 8
) -> int:
    """Claim what is due, act on all of it side by side, record it; returns how many services were worked on.

    Drivers run in threads and touch no database; claiming and recording stay on this one's connection.
    """
    claimed = claim(most=most, worker=worker, at=now())
    if not claimed:
        return 0

    def one(work: Claim) -> list[Outcome]:
        key = f"{work.name}/{work.version}"
        return [act_on(target, drivers.get(target.driver), work.desired, key, now) for target in work.targets]

    if len(claimed) == 1:
        finish(claimed[0], one(claimed[0]), worker=worker, at=now())
        return 1
    with ThreadPoolExecutor(min(threads, len(claimed))) as pool:
        running = [(work, pool.submit(one, work)) for work in claimed]
        for work, future in running:
            finish(work, future.result(), worker=worker, at=now())
    return len(claimed)
