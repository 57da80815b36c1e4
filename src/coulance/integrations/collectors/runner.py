"""Asks every target of every collector when its time has come: some at once, each by itself, for as long as it runs.

What is known of a target is in the database, so that a runner that is killed goes on where it was, and two of them do
no harm. The provider file is looked at each second: what is applied is in force at once.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError, InterfaceError

from coulance.catalog import queries as catalog
from coulance.integrations.collectors.harvest import Harvest, Now, Source, UnableToCollectError
from coulance.integrations.collectors.librenms import LibreNms
from coulance.integrations.collectors.prometheus import PrometheusQuery
from coulance.integrations.collectors.proxmox import Proxmox
from coulance.integrations.collectors.snmp import Snmp
from coulance.platform import secret_store
from coulance.platform.instance import InstanceError
from coulance.usage import collecting, operations
from coulance.usage.collecting import Progress
from coulance.usage.ingest import BatchAnswer
from coulance_core.catalog.collectors import Collector, CollectorKind
from coulance_core.usage.polling import next_poll

_log = logging.getLogger(__name__)

SOURCES: dict[CollectorKind, Source] = {
    CollectorKind.PROMETHEUS: PrometheusQuery(),
    CollectorKind.SNMP: Snmp(),
    CollectorKind.LIBRENMS: LibreNms(),
    CollectorKind.PROXMOX: Proxmox(),
}
MOST_WINDOWS = 48
"""Windows of the past that one go at a target catches up with, before others have their turn."""
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """One go at a target: what was committed (the answers), or why nothing was; when it is asked again."""

    collector: str
    target: str
    answers: tuple[BatchAnswer, ...]
    error: str
    next_at: datetime


def asked_collectors() -> dict[str, Collector]:
    """The collectors of the provider file that ask; none when no file is applied."""
    try:
        every = catalog.catalog().collectors
    except catalog.UnableToFindCatalogError:
        return {}
    return {key: one for key, one in every.items() if one.pulls}


def targets_of(collector: Collector) -> tuple[str, ...]:
    """What a collector asks, each by itself."""
    return SOURCES[collector.kind].targets(collector)


def secrets_of(collector: Collector) -> dict[str, str]:
    """The values of the secrets that a collector names. Raises `UnableToCollectError` for one that is not set."""
    out = {}
    for name in (collector.secret, collector.auth_secret, collector.privacy_secret):
        if not name:
            continue
        try:
            value = secret_store.secret(name)
        except (secret_store.UnableToKeepSecretError, InstanceError) as fault:
            raise UnableToCollectError(f"the secret {name!r} can't be read: {fault}") from fault
        if not value:
            raise UnableToCollectError(f"the secret {name!r} is not set: coulance secret set {name}")
        out[name] = value
    return out


def look(collector: Collector, target: str, now: Now) -> Harvest:
    """Ask a target without committing anything. Raises `UnableToCollectError`, redacted."""
    secrets = secrets_of(collector)
    before = collecting.progress([(collector.key, target)])[collector.key, target]
    try:
        return SOURCES[collector.kind].ask(collector, target, before, now, secrets)
    except UnableToCollectError as fault:
        raise UnableToCollectError(collecting.redacted(str(fault), secrets.values())) from fault


def go(collector: Collector, target: str, now: Now, *, stop: Callable[[], bool] = lambda: False) -> Outcome:
    """Ask a target and commit what it answers; after an outage window by window, until it is up to date."""
    answers: list[BatchAnswer] = []
    secrets: dict[str, str] = {}
    before = Progress(collector.key, target)
    try:
        for _ in range(MOST_WINDOWS):
            before = collecting.progress([(collector.key, target)])[collector.key, target]
            secrets = secrets_of(collector)
            harvest = SOURCES[collector.kind].ask(collector, target, before, now, secrets)
            at = now()
            next_at = collecting.instant(
                next_poll(int(at.timestamp()), collector.interval_s, f"{collector.key}/{target}")
            )
            answer = operations.take_collected(
                before=before,
                kind=collector.kind.value,
                columns=harvest.columns,
                expected=harvest.expected,
                cursor=harvest.cursor,
                state=harvest.state,
                notes=harvest.notes,
                # What still has windows to fetch is due again as soon as this go ends.
                next_at=at if harvest.behind else next_at,
                at=at,
            )
            if answer is not None:
                answers.append(answer)
            if not harvest.behind or stop():
                break
    except UnableToCollectError as fault:
        error = collecting.redacted(str(fault), secrets.values())
        asked_s, unforeseen = fault.retry_after_s, False
    except (DatabaseError, InterfaceError):
        raise
    except Exception as fault:
        error = collecting.redacted(f"{type(fault).__name__}: {fault}", secrets.values())
        asked_s, unforeseen = 0, True
    else:
        return Outcome(collector.key, target, tuple(answers), "", next_at)
    if unforeseen:
        _log.error("collector %s, %s: unforeseen: %s", collector.key, target, error)
    again = operations.note_failure(
        before=before, kind=collector.kind.value, error=error, at=now(), secrets=secrets.values(), asked_s=asked_s
    )
    return Outcome(collector.key, target, tuple(answers), error, again)


class Runner:
    """Goes on until told to stop."""

    def __init__(self, now: Now, *, at_once: int = AT_ONCE, only: str | None = None) -> None:
        self.now, self.only = now, only
        self.stop = threading.Event()
        self._at_once = at_once
        self._under_way: dict[tuple[str, str], Future[None]] = {}

    def run(self) -> None:
        """Ask what is due, each second; a database that fails is waited for."""
        try:
            with ThreadPoolExecutor(self._at_once, thread_name_prefix="collector") as pool:
                pause = 1.0
                while not self.stop.wait(pause):
                    try:
                        self._submit(pool)
                        pause = 1.0
                    except (DatabaseError, InterfaceError) as fault:
                        _log.warning("collectors wait for the database: %s", fault)
                        collecting.close_connection()
                        pause = 5.0
        finally:
            collecting.close_connection()

    def _submit(self, pool: ThreadPoolExecutor) -> None:
        self._under_way = {pair: one for pair, one in self._under_way.items() if not one.done()}
        for collector, target in self.due():
            if (collector.key, target) not in self._under_way and not self.stop.is_set():
                self._under_way[collector.key, target] = pool.submit(self._go, collector, target)

    def due(self) -> Iterator[tuple[Collector, str]]:
        """The targets whose time has come, the longest due first."""
        now = self.now()
        wanted = [
            (collector, target)
            for collector in asked_collectors().values()
            if self.only in (None, collector.key)
            for target in targets_of(collector)
        ]
        if not wanted:
            return
        known = collecting.progress([(collector.key, target) for collector, target in wanted])
        never = now - timedelta(days=36_500)
        ready = [
            (known[collector.key, target].next_at or never, i)
            for i, (collector, target) in enumerate(wanted)
            if (known[collector.key, target].next_at or never) <= now
        ]
        for _, i in sorted(ready):
            yield wanted[i]

    def _go(self, collector: Collector, target: str) -> None:
        try:
            done = go(collector, target, self.now, stop=self.stop.is_set)
            if done.error:
                _log.warning("collector %s, %s: %s", collector.key, target, done.error)
        except (DatabaseError, InterfaceError) as fault:
            _log.warning("collector %s, %s: the database did not take it: %s", collector.key, target, fault)
        except Exception:
            _log.exception("collector %s, %s failed", collector.key, target)
        finally:
            collecting.close_connection()
