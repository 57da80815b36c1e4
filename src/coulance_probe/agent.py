"""The agent at work: looks in time, hands over, asks what to look at, until it is told to stop.

Looks have their own threads, so that one that hangs holds up no other; handing over has one. A look that would start
while the last one of its check still runs is left out (its silence shows as unknown), never queued up.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from coulance_probe.checks import Check, Look, look
from coulance_probe.server import RefusedError, Server, ServerError
from coulance_probe.spool import Spool

log = logging.getLogger("coulance_probe")
BATCH = 2_000
"""Looks handed over at once: with the longest of reasons each, still less than the megabyte that a server takes."""
_LONGEST_PAUSE = 300.0


def now_micros() -> int:
    """Microseconds since 1970 by this machine's clock."""
    return time.time_ns() // 1000


def phase(name: str, check: Check) -> float:
    """When in its interval a check is looked at: spread by its number and the agent, the same after a restart."""
    digest = hashlib.sha256(f"{name}/{check.id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 * check.every_s


class Agent:
    """Looks at checks and hands over what it sees. `run` returns when `stop` was called."""

    def __init__(
        self,
        name: str,
        server: Server,
        spool: Spool,
        *,
        refresh_s: float = 60.0,
        hand_over_s: float = 2.0,
        retry_s: float = 1.0,
        threads: int = 32,
        clock: Callable[[], int] = now_micros,
        looks: Callable[[Check], Look] = look,
    ) -> None:
        self._name, self._server, self._spool = name, server, spool
        self._refresh_s, self._hand_over_s, self._retry_s = refresh_s, hand_over_s, retry_s
        self._clock, self._look = clock, looks
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="look")
        self._running: set[int] = set()
        self._lock = threading.Lock()
        self._broken: set[int] = set()
        self.checks: dict[int, Check] = self._read(spool.recall("checks") or [])

    def stop(self) -> None:
        """Finish: looks under way are kept, and `run` returns."""
        self._stop.set()

    def run(self) -> None:
        """Work until stopped. Survives the server's absence; raises `RefusedError` only if it never knew this agent."""
        self._refresh(first=True)
        helpers = [
            threading.Thread(target=self._handing_over, name="hand-over", daemon=True),
            threading.Thread(target=self._refreshing, name="refresh", daemon=True),
        ]
        for helper in helpers:
            helper.start()
        self._looking()
        self._pool.shutdown(wait=True)
        for helper in helpers:
            helper.join()
        self._give(BATCH)

    def _looking(self) -> None:
        # Monotonic time: a clock that is set back must not stop the looking.
        last = time.monotonic()
        while not self._stop.is_set():
            moment = time.monotonic()
            upcoming = moment + 1.0
            for check in list(self.checks.values()):
                offset = phase(self._name, check)
                due = _due_between(last, moment, check.every_s, offset)
                if due:
                    self._start(check)
                upcoming = min(upcoming, _next_after(moment, check.every_s, offset))
            last = moment
            self._stop.wait(max(0.005, upcoming - time.monotonic()))

    def _start(self, check: Check) -> None:
        with self._lock:
            if check.id in self._running:
                log.warning("check %s: the last look still runs; this one is left out", check.id)
                return
            self._running.add(check.id)
        self._pool.submit(self._one, check)

    def _one(self, check: Check) -> None:
        try:
            at = self._clock()
            seen = self._look(check)
            if seen.broken:
                if check.id not in self._broken:
                    log.error("check %s: %s", check.id, seen.why)
                self._broken.add(check.id)
                return
            self._broken.discard(check.id)
            self._spool.keep(check.id, at, seen.up, seen.ms, seen.why)
        except Exception:
            log.exception("check %s", check.id)
        finally:
            with self._lock:
                self._running.discard(check.id)

    def _handing_over(self) -> None:
        pause = self._retry_s
        while not self._stop.is_set():
            try:
                while self._give(BATCH) == BATCH and not self._stop.is_set():
                    pass
                pause = self._retry_s
                self._stop.wait(self._hand_over_s)
            except (ServerError, RefusedError) as error:
                log.warning("%s; %s looks wait, next try in %.1f s", error, len(self._spool), pause)
                self._stop.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _give(self, most: int) -> int:
        looks = self._spool.oldest(most)
        if looks:
            try:
                self._server.hand_over(looks, self._clock(), self._spool.lost)
            except (ServerError, RefusedError):
                if self._stop.is_set():
                    return 0  # they wait on disk for the next start
                raise
            self._spool.forget([k.seq for k in looks])
        return len(looks)

    def _refreshing(self) -> None:
        while not self._stop.wait(self._refresh_s):
            self._refresh()

    def _refresh(self, first: bool = False) -> None:
        try:
            rows = self._server.checks()
        except RefusedError:
            if first and not self.checks:
                raise
            log.exception("the server refuses this agent; it goes on with the checks it has")
            return
        except ServerError as error:
            log.warning("%s; going on with %s checks known from before", error, len(self.checks))
            return
        self._spool.remember("checks", rows)
        self.checks = self._read(rows)

    def _read(self, rows: list[dict[str, object]]) -> dict[int, Check]:
        found = {}
        for row in rows:
            try:
                check = Check.read(row)
            except (ValueError, TypeError, AttributeError) as error:
                log.error("%s; it is left out", error)
                continue
            found[check.id] = check
        return found


def _due_between(last: float, now: float, every: float, offset: float) -> bool:
    """Whether an instant offset + k x every lies in (last, now].

    >>> _due_between(9.0, 11.0, 10.0, 0.0), _due_between(10.0, 11.0, 10.0, 0.0)
    (True, False)
    """
    return (now - offset) // every > (last - offset) // every


def _next_after(now: float, every: float, offset: float) -> float:
    return ((now - offset) // every + 1) * every + offset
