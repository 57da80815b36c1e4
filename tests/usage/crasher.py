"""Does the same work again and again, killed at one place further each time: `python -m tests.usage.crasher STEP`.

Each go starts from nothing: a child process is killed at its n-th event, also at a file that is about to be synced,
to be renamed, or just was. Then a child does the work again, undisturbed, and what is stored is compared with what
was sent. Prints a JSON summary.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import django

# Only when run: pytest imports this module too, to look for doctests.
if __name__ == "__main__":
    django.setup()

from django.db import connection

from coulance.usage import operations, registry, store
from tests.support.crashing import child, go_through
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


def main(step: int) -> None:
    known = support.table()
    registry.current = lambda: known  # type: ignore[assignment]
    files = [(os, "fsync", False), (Path, "replace", True)]
    done = go_through(work, begin=lambda: child(reset), then=lambda event, died: child(check), step=step, more=files)
    print(json.dumps(done))


if __name__ == "__main__":
    main(int(sys.argv[1]))
