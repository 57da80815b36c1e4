"""The watcher: sleeps until samples are committed, and then runs a round; a lost notice costs some seconds."""

import logging
import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import psycopg
from django.db import DatabaseError, InterfaceError, connection

from coulance.flows.overage_control.evaluating import Evaluated, is_on
from coulance.flows.overage_control.rounds import round_of
from coulance.platform import alarms
from coulance.usage.queries import CHANNEL

_log = logging.getLogger(__name__)

ALARM = "overage.watcher"
POLL_S = 5.0
"""How long a lost notice, or a period that turned, may go unnoticed."""
IDLE_S = 30.0
"""The same while nothing is controlled."""
GATHER_S = 0.02
"""How long batches that come together are waited for."""


class Watcher:
    """Runs until `stop()`. Several may run: looking twice changes nothing."""

    def __init__(self, *, now: Callable[[], datetime], seen: Callable[[Evaluated], None] | None = None) -> None:
        self._now, self._seen = now, seen
        self._stopping = threading.Event()
        self._waker, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._listening: psycopg.Connection[Any] | None = None

    def stop(self) -> None:
        """Have it end after the round at hand. May be called from a signal handler."""
        self._stopping.set()
        with suppress(OSError):
            os.write(self._wake, b"!")

    def run(self) -> None:
        """Work until told to stop; a database that is gone is waited for."""
        pause, failed = 0.2, True  # what another that died has raised is over once a round is done
        while not self._stopping.is_set():
            try:
                self._listen()
                on = is_on()
                if on:
                    done = round_of(at=self._now())
                    if self._seen is not None:
                        self._seen(done)
                pause = 0.2
                if failed:
                    alarms.clear_alarm(key=ALARM, at=self._now())
                    failed = False
                self._sleep(POLL_S if on else IDLE_S)
            except (DatabaseError, InterfaceError, psycopg.Error) as fault:
                _log.warning("the watcher lost its database: %s", str(fault).strip().splitlines()[:1])
                self._disconnect()
                self._stopping.wait(pause)
                pause = min(pause * 2, 5.0)
            except Exception as fault:
                # One account's fault is narrowed down in the round: this is of all of them, and goes on being tried.
                _log.exception("a round of the watcher failed")
                with suppress(Exception):
                    alarms.raise_alarm(
                        key=ALARM,
                        severity="critical",
                        what=f"Overage isn't watched: nobody is warned, nothing paused, until it is mended: {fault}",
                        at=self._now(),
                    )
                failed = True
                self._stopping.wait(pause)
                pause = min(pause * 2, 5.0)
        self._disconnect()

    def _listen(self) -> None:
        if self._listening is not None and not self._listening.closed:
            return
        known = connection.get_connection_params()
        wanted = {key: value for key, value in known.items() if key not in ("cursor_factory", "context")}
        self._listening = psycopg.connect(**{**wanted, "autocommit": True, "application_name": "coulance watcher"})
        self._listening.execute(f"LISTEN {CHANNEL}")

    def _sleep(self, most: float) -> None:
        assert self._listening is not None
        watched: list[Any] = [self._listening, self._waker]
        ready, _, _ = select.select(watched, [], [], most)
        if self._listening in ready:
            self._stopping.wait(GATHER_S)
            for _ in self._listening.notifies(timeout=0):
                pass

    def _disconnect(self) -> None:
        with suppress(Exception):
            connection.close()
        if self._listening is not None:
            with suppress(Exception):
                self._listening.close()
        self._listening = None
