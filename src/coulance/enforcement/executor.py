"""The executor: takes what is due at once, has each driver act in a lane of its own, and records what came of it.

It sleeps on NOTIFY, so a restriction is acted on when it is committed; a lost notice costs a second. One thread, this
one, speaks to the database; drivers run in lanes, so a router that doesn't answer holds up nobody else's. A lane takes
no more than it acts on at once: what waits, waits in the table, where others can take it.

Several executors may run: they claim rows. Whatever is lost (the database, this process) is found again there.
"""

import logging
import os
import queue
import select
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg
from django.db import DatabaseError, InterfaceError, connection, transaction

from coulance.enforcement import executing, operations, queries
from coulance.enforcement.executing import Claim, Outcome
from coulance.enforcement.ports import Driver, DriverError, ManyDriver, TargetRow
from coulance_core.catalog.terms import Driver as Terms
from coulance_core.enforcement.restrictions import Desired

_log = logging.getLogger(__name__)

POLL_S = 1.0
"""How long a lost NOTIFY, or a change of the provider file, may go unnoticed."""
BEAT_S = 5.0
MANY = 256
"""How many services a driver that takes many at once gets at once."""
_GROUP = 64
"""How many are recorded in one transaction."""
_LEAVE_WITHIN_S = 20.0


@dataclass
class _Lane:
    """One driver at work: how much it has, and how many of its targets were looked at again since when."""

    terms: Terms
    driver: Driver
    pool: ThreadPoolExecutor
    busy: int = 0
    reconciled: int = 0
    """Of the services that it reaches, sorted: how many of this turn."""
    reconcile_from: datetime | None = None

    @property
    def room(self) -> int:
        if isinstance(self.driver, ManyDriver):
            return 0 if self.busy else MANY
        return max(self.terms.at_once - self.busy, 0)


@dataclass
class _Job:
    """A claimed service, and the outcomes that are still missing."""

    claim: Claim
    outcomes: list[Outcome] = field(default_factory=list)
    missing: int = 0


class Executor:
    """Runs until `stop()`. `terms` gives the provider file's drivers, `build` makes the drivers of some."""

    def __init__(
        self,
        *,
        worker: str,
        now: Callable[[], datetime],
        terms: Callable[[], Mapping[str, Terms]],
        build: Callable[[Mapping[str, Terms]], Mapping[str, Driver]],
        poll_s: float = POLL_S,
    ) -> None:
        self._worker, self._now, self._terms, self._build, self._poll_s = worker, now, terms, build, poll_s
        self._lanes: dict[str, _Lane] = {}
        self._done: queue.SimpleQueue[tuple[str, list[tuple[_Job, Outcome]]]] = queue.SimpleQueue()
        self._unrecorded: list[_Job] = []
        self._stopping = threading.Event()
        self._waker, self._wake = os.pipe()
        os.set_blocking(self._waker, False)
        os.set_blocking(self._wake, False)
        self._listening: psycopg.Connection[Any] | None = None
        self._looked_at: datetime | None = None
        self._beaten_at: datetime | None = None
        self._in_flight: set[int] = set()
        self._lost = False
        self._strays_at: datetime | None = None

    def stop(self) -> None:
        """Have it finish what is at hand and end. May be called from a signal handler."""
        self._stopping.set()
        self._nudge()

    def run(self) -> None:
        """Work until told to stop; a database that is gone is waited for."""
        pause = 0.2
        while not self._stopping.is_set():
            try:
                self._turn()
                pause = 0.2
            except (DatabaseError, InterfaceError, psycopg.Error) as fault:
                _log.warning("the executor lost its database: %s", str(fault).strip().splitlines()[:1])
                self._disconnect()
                self._lost = True
                self._stopping.wait(pause)
                pause = min(pause * 2, 5.0)
        self._leave()

    def _turn(self) -> None:
        """Record what is done, take what is due, and sleep until there is more."""
        self._listen()
        if self._lost:  # a claim may have been made, and its answer lost
            executing.release(worker=self._worker, but=self._in_flight, at=self._now())
            self._lost = False
        self._tend_drivers()
        self._beat()
        self._record()
        self._reconcile()
        taken = self._take()
        if not taken and not self._stopping.is_set():
            self._sleep()

    # waiting

    def _listen(self) -> None:
        if self._listening is not None and not self._listening.closed:
            return
        known = connection.get_connection_params()
        wanted = {key: value for key, value in known.items() if key not in ("cursor_factory", "context")}
        self._listening = psycopg.connect(**{**wanted, "autocommit": True, "application_name": "coulance enforcement"})
        self._listening.execute(f"LISTEN {operations.CHANNEL}")

    def _sleep(self) -> None:
        assert self._listening is not None
        wait = self._poll_s
        due = queries.due_in(self._now())
        if due is not None and 0 < due < wait:
            wait = due
        listening = self._listening.fileno()
        ready, _, _ = select.select([listening, self._waker], [], [], wait)
        if self._waker in ready:
            with suppress(BlockingIOError):
                os.read(self._waker, 65536)
        if listening in ready:
            for _ in self._listening.notifies(timeout=0):
                pass

    def _nudge(self) -> None:
        with suppress(OSError):
            os.write(self._wake, b"!")

    def _disconnect(self) -> None:
        with suppress(Exception):
            connection.close()
        if self._listening is not None:
            with suppress(Exception):
                self._listening.close()
        self._listening = None

    # drivers

    def _tend_drivers(self) -> None:
        """Follow the provider file: what is new is made, what is gone ends when its work is done."""
        at = self._now()
        if self._looked_at is not None and at - self._looked_at < timedelta(seconds=self._poll_s):
            return
        self._looked_at = at
        wanted = self._terms()
        for key in [key for key, lane in self._lanes.items() if wanted.get(key) != lane.terms]:
            self._lanes.pop(key).pool.shutdown(wait=False)
        new = {key: terms for key, terms in wanted.items() if key not in self._lanes}
        for key, driver in self._build(new).items():
            threads = 1 if isinstance(driver, ManyDriver) else new[key].at_once
            pool = ThreadPoolExecutor(threads, thread_name_prefix=f"driver-{key}")
            self._lanes[key] = _Lane(new[key], driver, pool)

    def _reconcile(self) -> None:
        """Have every driver's targets looked at again: all of them at first, then evenly over its interval."""
        at = self._now()
        for key, lane in self._lanes.items():
            if lane.reconcile_from is None:
                lane.reconcile_from = at
                operations.look_again(services=queries.reached_services(driver=key), at=at)
                lane.reconciled = 0
                continue
            passed = (at - lane.reconcile_from).total_seconds() / lane.terms.reconcile_s
            if passed < (lane.reconciled + 1) / 100:
                continue  # a hundredth of its services at a time
            reached = queries.reached_services(driver=key)
            start, end = (len(reached) * part // 100 for part in (lane.reconciled, min(int(passed * 100), 100)))
            if start < end:
                operations.look_again(services=reached[start:end], at=at)
            lane.reconciled = min(int(passed * 100), 100)
            if lane.reconciled >= 100:
                lane.reconcile_from, lane.reconciled = at, 0

    # work

    def _take(self) -> int:
        """Claim what is due and there is room for; returns how many services."""
        due = queries.due_in(self._now())
        if due is None or due > 0:
            return 0
        full = [key for key, lane in self._lanes.items() if not lane.room]
        taken = 0
        for key, lane in list(self._lanes.items()):
            if room := lane.room:
                taken += self._start(self._claim(room, reached_by=[key], not_by=full))
        # Services that nobody reaches, and targets of drivers that are not in the file: recorded as such. To find them
        # all that waits is looked through, so not at every turn.
        at = self._now()
        if self._strays_at is None or at - self._strays_at >= timedelta(seconds=self._poll_s):
            found = self._start(self._claim(_GROUP, not_by=list(self._lanes)))
            self._strays_at = None if found else at
            taken += found
        return taken

    def _claim(self, most: int, **which: Any) -> list[Claim]:
        return executing.claim(most=most, worker=self._worker, at=self._now(), **which)

    def _start(self, claims: list[Claim]) -> int:
        """Hand the targets of claimed services to their drivers' lanes."""
        many: dict[str, list[tuple[_Job, TargetRow]]] = {}
        drivers = {key: lane.driver for key, lane in self._lanes.items()}
        for claimed in claims:
            job = _Job(claimed, executing.uncovered(claimed, drivers, self._now()), len(claimed.targets))
            self._in_flight.add(claimed.service)
            if not claimed.targets:
                self._unrecorded.append(job)
                continue
            for target in claimed.targets:
                lane = self._lanes.get(target.driver)
                if lane is None:
                    outcome = executing.act_on(target, None, claimed.desired, "", self._now)
                    self._done.put((target.driver, [(job, outcome)]))
                elif isinstance(lane.driver, ManyDriver):
                    many.setdefault(target.driver, []).append((job, target))
                else:
                    lane.busy += 1
                    lane.pool.submit(self._one, lane.driver, job, target)
        for key, jobs in many.items():
            lane = self._lanes[key]
            if isinstance(lane.driver, ManyDriver):
                lane.busy += len(jobs)
                lane.pool.submit(self._many, lane.driver, jobs)
        return len(claims)

    def _one(self, driver: Driver, job: _Job, target: TargetRow) -> None:
        desired, key, at = job.claim.desired, _key(job.claim), self._now()
        try:
            outcome = executing.act_on(target, driver, desired, key, self._now)
        except Exception as fault:  # a driver's own mistake must not cost the executor a thread's silence
            outcome = _surprised(target, fault, at, self._now())
        self._done.put((target.driver, [(job, outcome)]))
        self._nudge()

    def _many(self, driver: ManyDriver, jobs: list[tuple[_Job, TargetRow]]) -> None:
        at = self._now()
        wanted: list[tuple[TargetRow, Desired, str]] = [
            (target, job.claim.desired, _key(job.claim)) for job, target in jobs
        ]
        try:
            outcomes = executing.act_on_many(wanted, driver, self._now)
        except Exception as fault:  # as above
            outcomes = [_surprised(target, fault, at, self._now()) for _, target in jobs]
        self._done.put((jobs[0][1].driver, [(job, outcome) for (job, _), outcome in zip(jobs, outcomes, strict=True)]))
        self._nudge()

    def _record(self) -> None:
        """Record every service whose outcomes are all there; kept here until it is committed."""
        while not self._done.empty():
            key, outcomes = self._done.get()
            if key in self._lanes:
                self._lanes[key].busy = max(self._lanes[key].busy - len(outcomes), 0)
            for job, outcome in outcomes:
                job.outcomes.append(outcome)
                job.missing -= 1
                if not job.missing:
                    self._unrecorded.append(job)
        while self._unrecorded:
            group = self._unrecorded[:_GROUP]
            with transaction.atomic():
                for job in group:
                    executing.finish(job.claim, job.outcomes, worker=self._worker, at=self._now())
            del self._unrecorded[: len(group)]
            self._in_flight.difference_update(job.claim.service for job in group)

    def _beat(self) -> None:
        at = self._now()
        if self._beaten_at is None or at - self._beaten_at >= timedelta(seconds=BEAT_S):
            executing.beat(worker=self._worker, at=at)
            self._beaten_at = at

    def _leave(self) -> None:
        """Finish what the drivers are at, record it, and say goodbye."""
        until = self._now() + timedelta(seconds=_LEAVE_WITHIN_S)
        try:
            self._record()
            while self._in_flight and self._now() < until:
                select.select([self._waker], [], [], 0.2)
                with suppress(BlockingIOError):
                    os.read(self._waker, 65536)
                self._record()
            executing.leave(worker=self._worker, at=self._now())
        except (DatabaseError, InterfaceError) as fault:
            _log.warning("the executor leaves without its database: %s", fault)
        finally:
            for lane in self._lanes.values():
                lane.pool.shutdown(wait=False, cancel_futures=True)
            self._disconnect()
            os.close(self._waker)
            os.close(self._wake)


def _key(claimed: Claim) -> str:
    return f"{claimed.name}/{claimed.version}"


def _surprised(target: TargetRow, fault: Exception, started_at: datetime, at: datetime) -> Outcome:
    _log.error("driver %s failed at %s", target.driver, target.service, exc_info=fault)
    said = DriverError(f"the driver itself failed: {type(fault).__name__}: {fault}")
    return Outcome(target.driver, "failed", started_at, at, fault=str(said))
