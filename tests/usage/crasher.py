"""Does the same work again and again, killed at one place further each time: `python -m tests.usage.crasher STEP`.

Each go starts from nothing: a child process is killed (SIGKILL) at its n-th event, an event being a statement on its
way, a commit about to be sent or just answered, or a file about to be synced, renamed, or just renamed. Then a child
does the work again, undisturbed, and what is stored is compared with what was sent. Prints a JSON summary.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django
import psycopg

# Only when run: pytest imports this module too, to look for doctests.
if __name__ == "__main__":
    django.setup()

from django.db import connection

from coulance.usage import operations, registry, store
from tests.usage import support


def batches() -> Iterator[list[support.Row]]:
    """Six batches: in order, overlapping, late, corrected; over two months; deltas and counters."""
    for number in range(6):
        begin = support.T0 + (number // 3) * 30 * 86_400
        first = (number % 3) * 40 - 10
        yield [
            (key, begin + i * 300, 1000 * i + (5 if number == 4 and i == 45 else 0), i)
            for key in ("t0", "t1", "c0")
            for i in range(max(first, 0), first + 50)
            if number == 2 or i % 17
        ]


def work() -> None:
    """All of it; harmless to repeat."""
    for number, rows in enumerate(batches()):
        support.send(rows, key=f"batch-{number}")
        if number in (1, 3, 4):
            operations.seal(now=support.NOW)
        if number == 3:
            operations.compact(now=support.NOW, least=1)
    operations.seal(now=support.NOW)
    operations.compact(now=support.NOW, least=1)


def die_at(event: int) -> None:
    """Kill this process at its n-th event."""
    left = [event]

    def count() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(whole: Any, name: str, after: bool) -> None:
        real = getattr(whole, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            count()
            result = real(*args, **kwargs)
            if after:
                count()
            return result

        setattr(whole, name, wrapped)

    around(psycopg.Cursor, "execute", after=False)
    around(psycopg.Connection, "commit", after=True)
    around(os, "fsync", after=False)
    around(Path, "replace", after=True)


def child(job: Callable[[], None]) -> int:
    """Run a job in a fork; the signal that ended it, or 0."""
    pid = os.fork()
    if pid == 0:
        try:
            job()
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    if os.WEXITSTATUS(status):
        raise SystemExit("a child failed; its error is above")
    return 0


def reset() -> None:
    """Begin anew."""
    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE usage_batch, usage_blob, usage_state_page, usage_day_page, usage_segment, usage_counter_start"
        )
    import shutil

    shutil.rmtree(os.environ[store.VARIABLE], ignore_errors=True)


def check() -> None:
    """What is stored is what was sent, and the counters agree."""
    truth = {(key, at): (a, b) for rows in batches() for key, at, a, b in rows}
    assert support.stored() == truth, "samples differ"
    for key in ("t0", "t1"):
        mine = [value for (name, _), value in truth.items() if name == key]
        assert support.day_totals(key) == (len(mine), sum(a for a, _ in mine), sum(b for _, b in mine)), key
    assert support.faults() == [], support.faults()


def killed(event: int) -> Callable[[], None]:
    """The work, to be killed at an event."""

    def job() -> None:
        die_at(event)
        work()

    return job


def main(step: int) -> None:
    known = support.table()
    registry.current = lambda: known  # type: ignore[assignment]
    kills = 0
    for event in range(1, 10_000, step):
        child(reset)
        died = child(killed(event))
        child(work)
        child(check)
        if not died:
            break
        assert died == signal.SIGKILL
        kills += 1
    print(json.dumps({"kills": kills, "events": event}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
