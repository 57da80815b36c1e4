"""Bringing the real state to what the register says: claim, read back, act, read again, record. Level by level.

Nothing here is an order that could be lost or doubled. What is worked on is "this service may differ from its
register"; what is done is computed from the register at the moment of acting. Killed anywhere, the row is still there,
its claim runs out, and the next round finds the target as it is. A change of the register while one acts raises the
row's version, and the row stays.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from psycopg.types.json import Jsonb

from coulance.enforcement.leases import LEASE, SILENT
from coulance.enforcement.ports import Driver, DriverError, ManyDriver, Observed, TargetRow, WrongTargetError
from coulance.platform import alarms
from coulance_core.enforcement.restrictions import Action, Desired, Restriction, Source, difference, effective

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


def claim(
    *,
    most: int,
    worker: str,
    at: datetime,
    reached_by: Collection[str] | None = None,
    not_by: Collection[str] = (),
) -> list[Claim]:
    """Take up to `most` services that are due, decisions before regular looks. Committed at once: others see it.

    With `reached_by` only those with a target of one of these drivers; never those with one of `not_by`.
    """
    wanted = None if reached_by is None else list(reached_by)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE enforcement_work w SET claimed_at = %s, claimed_by = %s FROM ("
            "  SELECT w.service_id FROM enforcement_work w"
            "   WHERE w.next_try <= %s AND (w.claimed_at IS NULL OR w.claimed_at < %s OR w.claimed_by IN ("
            "     SELECT name FROM enforcement_executor WHERE beat_at < %s))"
            "   AND (%s::text[] IS NULL OR EXISTS ("
            "     SELECT 1 FROM enforcement_target t WHERE t.service_id = w.service_id AND t.driver = ANY(%s)))"
            "   AND NOT EXISTS ("
            "     SELECT 1 FROM enforcement_target t WHERE t.service_id = w.service_id AND t.driver = ANY(%s))"
            "   ORDER BY w.routine, w.next_try LIMIT %s FOR UPDATE OF w SKIP LOCKED) due"
            " WHERE w.service_id = due.service_id RETURNING w.service_id, w.version, w.since, w.attempts, w.routine",
            [at, worker, at, at - LEASE, at - SILENT, wanted, wanted, list(not_by), most],
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
            "SELECT t.service_id, s.external_id, t.driver, t.identity, t.parameters,"
            " (SELECT a.after FROM enforcement_act a WHERE a.service_id = t.service_id AND a.driver = t.driver"
            "   AND a.after IS NOT NULL ORDER BY a.id DESC LIMIT 1)"
            " FROM enforcement_target t"
            " JOIN services_service s ON s.id = t.service_id WHERE t.service_id = ANY(%s) ORDER BY t.driver",
            [ids],
        )
        targets: dict[int, list[TargetRow]] = {}
        for service, name, driver, identity, parameters, after in cursor.fetchall():
            values = json.loads(parameters) if isinstance(parameters, str) else parameters
            seen = json.loads(after) if isinstance(after, str) else after
            last = None if seen is None else Desired.from_json(seen)
            targets.setdefault(service, []).append(TargetRow(name, driver, identity, values, last))
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
    act = _Act(target, now())
    if driver is None:
        return act.fails(now(), _no_driver(target))
    try:
        act.desired = driver.nearest(desired)
        if not act.needs(driver.read(target)):
            return act.is_right(now())
        answer = driver.write(target, act.desired, key=key)
        proof = driver.read(target)
    except DriverError as error:
        return act.fails(now(), error)
    return act.ends(now(), answer, proof)


def act_on_many(
    jobs: Sequence[tuple[TargetRow, Desired, str]], driver: ManyDriver, now: Callable[[], datetime]
) -> list[Outcome]:
    """The same for many targets (target, desired, key) of one driver: one look, one write, one look as proof."""
    at = now()
    acts = [_Act(target, at) for target, _, _ in jobs]
    try:
        seen = driver.look()
    except DriverError as error:
        return [act.fails(now(), error) for act in acts]
    done: dict[int, Outcome] = {}
    wanted: list[tuple[int, tuple[TargetRow, Desired, str]]] = []
    for i, (act, (target, desired, key)) in enumerate(zip(acts, jobs, strict=True)):
        try:
            act.desired = driver.nearest(desired)
            if act.needs(seen.read(target)):
                wanted.append((i, (target, act.desired, key)))
            else:
                done[i] = act.is_right(now())
        except DriverError as error:
            done[i] = act.fails(now(), error)
    if wanted:
        answers: Sequence[str | DriverError]
        try:
            answers = driver.write_many(seen, [job for _, job in wanted])
            proof = driver.look()
        except DriverError as error:
            answers = [error] * len(wanted)
        for (i, (target, _, _)), answer in zip(wanted, answers, strict=True):
            try:
                if isinstance(answer, DriverError):
                    raise answer
                done[i] = acts[i].ends(now(), answer, proof.read(target))
            except DriverError as error:
                done[i] = acts[i].fails(now(), error)
    return [done[i] for i in range(len(jobs))]


def _no_driver(target: TargetRow) -> DriverError:
    return DriverError(f"there is no driver {target.driver!r}: see [drivers] in the provider file")


class _Act:
    """What is known of one act while it goes on, and the outcome it comes to."""

    def __init__(self, target: TargetRow, started_at: datetime) -> None:
        self.target, self.started_at = target, started_at
        self.desired = Desired()
        self.identity = self.evidence = ""
        self.before: Desired | None = None

    def needs(self, found: Observed) -> bool:
        """Whether what was found differs from what is desired. Raises `WrongTargetError` for another identity."""
        self.identity, self.before, self.evidence = found.identity, found.state, found.evidence
        if found.identity != self.target.identity:
            raise WrongTargetError(
                f"{self.target.driver} shows {found.identity!r} where {self.target.identity!r} was meant"
            )
        return not found.whole or bool(difference(self.desired, found.state))

    def is_right(self, at: datetime) -> Outcome:
        """It was as it should be."""
        return Outcome(
            self.target.driver, "unchanged", self.started_at, at, self.identity, self.before, self.before, self.evidence
        )

    def ends(self, at: datetime, answer: str, proof: Observed) -> Outcome:
        """It was written to; whether that took is what was read afterwards."""
        driver = self.target.driver
        if proof.identity != self.target.identity:
            return self.fails(at, WrongTargetError(f"{driver} shows {proof.identity!r} after the act"))
        if not proof.whole or difference(self.desired, proof.state):
            part = "" if proof.whole else ", in part"
            fault = f"{driver} took the order and shows {proof.state.words}{part} where {self.desired.words} was asked"
            return Outcome(
                driver, "failed", self.started_at, at, self.identity, self.before, proof.state, proof.evidence, fault
            )
        evidence = "\n".join(part for part in (answer, proof.evidence) if part)
        return Outcome(driver, "done", self.started_at, at, self.identity, self.before, proof.state, evidence)

    def fails(self, at: datetime, error: DriverError) -> Outcome:
        """It came to nothing, as far as is known."""
        outcome = "refused" if isinstance(error, WrongTargetError) else "failed"
        return Outcome(self.target.driver, outcome, self.started_at, at, self.identity, self.before, fault=str(error))


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
                if not cursor.rowcount:
                    _look_after(cursor, claimed, outcomes, at)
        else:
            pause = PAUSES_S[min(claimed.attempts, len(PAUSES_S) - 1)]
            cursor.execute(
                "UPDATE enforcement_work SET claimed_at = NULL, claimed_by = '',"
                "   attempts = CASE WHEN version = %s THEN attempts + 1 ELSE 0 END,"
                "   next_try = CASE WHEN version = %s THEN %s ELSE %s END"
                " WHERE service_id = %s AND claimed_by = %s",
                [claimed.version, claimed.version, at + timedelta(seconds=pause), at, claimed.service, worker],
            )
            if not cursor.rowcount:
                _look_after(cursor, claimed, outcomes, at)
        key = f"enforcement:{claimed.name}"
        refused = [outcome for outcome in outcomes if outcome.outcome == "refused"]
        if right:
            alarms.clear_alarm(key=key, at=at)
        elif refused or claimed.attempts + 1 >= LOUD_AFTER:
            fault = next(outcome.fault for outcome in outcomes if outcome.fault)
            what = f"the network of {claimed.name} should be {claimed.desired.words}, and is not: {fault}"
            alarms.raise_alarm(key=key, severity="critical", what=what, at=at)
    return right


def _look_after(cursor: Any, claimed: Claim, outcomes: Sequence[Outcome], at: datetime) -> None:
    """Our claim ran out while we acted, and another took the service: what we wrote may be older than what they did.

    So it is looked at once more, by whoever comes next.
    """
    if all(outcome.outcome in ("unchanged", "refused") for outcome in outcomes):
        return  # nothing was written
    cursor.execute(
        "INSERT INTO enforcement_work (service_id, version, since, next_try, routine) VALUES (%s, 1, %s, %s, true)"
        " ON CONFLICT (service_id) DO UPDATE SET version = enforcement_work.version + 1",
        [claimed.service, at, at],
    )


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


def beat(*, worker: str, at: datetime) -> None:
    """Say that this executor is alive."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO enforcement_executor (name, started_at, beat_at) VALUES (%s, %s, %s)"
            " ON CONFLICT (name) DO UPDATE SET beat_at = excluded.beat_at",
            [worker, at, at],
        )
        cursor.execute("DELETE FROM enforcement_executor WHERE beat_at < %s", [at - timedelta(days=1)])


def bury(*, host: str, is_alive: Callable[[int], bool], at: datetime) -> int:
    """Give back at once what executors of this host had claimed whose process is gone; returns how many rows."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT name FROM enforcement_executor WHERE starts_with(name, %s)", [f"{host}:"])
        freed = 0
        for (name,) in cursor.fetchall():
            pid = name.rpartition(":")[2]
            if pid.isdecimal() and not is_alive(int(pid)):
                freed += release(worker=name, but=(), at=at)
                cursor.execute("DELETE FROM enforcement_executor WHERE name = %s", [name])
        return freed


def release(*, worker: str, but: Collection[int], at: datetime) -> int:
    """Give back what this executor, or one that is dead, had claimed, but for these services; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE enforcement_work SET claimed_at = NULL, claimed_by = '', next_try = least(next_try, %s)"
            " WHERE claimed_by = %s AND service_id <> ALL(%s)",
            [at, worker, list(but)],
        )
        return int(cursor.rowcount)


def leave(*, worker: str, at: datetime) -> None:
    """Say that this executor ends, and let others have at once what it had claimed."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM enforcement_executor WHERE name = %s", [worker])
        release(worker=worker, but=(), at=at)


def uncovered(claimed: Claim, drivers: Mapping[str, Driver], at: datetime) -> list[Outcome]:
    """What no target of the service can hold, as a failure: an address that none of its drivers blackholes.

    One that can is enough: a router blackholes, where the hypervisor beside it can't.
    """
    held: set[str] = set()
    for target in claimed.targets:
        driver = drivers.get(target.driver)
        held |= claimed.desired.blackholed if driver is None else driver.nearest(claimed.desired).blackholed
    left = sorted(claimed.desired.blackholed - held)
    if not left or not claimed.targets:
        return []
    names = ", ".join(target.driver for target in claimed.targets)
    fault = f"{names} can't blackhole {', '.join(left)}: give the service a target at a router (nftables)"
    return [Outcome(claimed.targets[0].driver, "failed", at, at, fault=fault)]


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
        acts = [act_on(target, drivers.get(target.driver), work.desired, key, now) for target in work.targets]
        return acts + uncovered(work, drivers, now())

    if len(claimed) == 1:
        finish(claimed[0], one(claimed[0]), worker=worker, at=now())
        return 1
    with ThreadPoolExecutor(min(threads, len(claimed))) as pool:
        running = [(work, pool.submit(one, work)) for work in claimed]
        for work, future in running:
            finish(work, future.result(), worker=worker, at=now())
    return len(claimed)
