"""Work that is killed (SIGKILL) anywhere and done again: in children of a process that counts their events, or by step.

An event is a statement or a COPY on its way to the database, a commit about to be sent or just answered, and whatever
else a test names. A crasher is a program of its own, `python -m tests.<part>.crasher ...`, that forks a child for every
go and prints what it found as JSON; `COULANCE_CRASH_STEP=1` has it killed at every single event.
"""

import json
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

from tests.support import forks
from tests.support.database import ROOT, WorkerDatabase

Job = Callable[[], object]
Place = tuple[Any, str, bool]
"""A function to count, by its owner and name; whether having returned counts too."""

_LONGEST = 10_000


# In the test


def crash(module: str, *arguments: object, database: WorkerDatabase, step: int | None = None, **more: str) -> Any:
    """Run a crasher to its end; what it found. `step` is how many events lie between two kills."""
    words = [*arguments, *([] if step is None else [os.environ.get("COULANCE_CRASH_STEP", step)])]
    done = forks.run(["-m", module, *map(str, words)], _environment(database, more), timeout=500)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def kill_at_each(module: str, steps: Sequence[str], *arguments: object, database: WorkerDatabase) -> None:
    """Have a program die at each of its steps, each in a child: see `die_at_each`, which it calls."""
    assert crash(module, *arguments, database=database) == dict.fromkeys(steps, int(signal.SIGKILL))


def _environment(database: WorkerDatabase, more: dict[str, str]) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": database.url,
        "DJANGO_SETTINGS_MODULE": "coulance.config.settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        **more,
    }


# In the crasher


def start(job: Job) -> int:
    """Run a job in a fork; its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        job()
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def ended(pid: int) -> int:
    """Wait; the signal that ended it, or 0."""
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    if os.WEXITSTATUS(status):
        raise SystemExit("a child failed; its error is above")
    return 0


def child(job: Job) -> int:
    """Run a job in a fork to its end; the signal that ended it, or 0."""
    return ended(start(job))


def die_at_each(steps: Sequence[str], job: Callable[[str], object]) -> None:
    """Do a job that kills itself at a step, at each step in a child, all at once; prints the signals that ended them.

    At once, so that whoever waits for another's lock gets it by a death. What is imported here is imported for all.
    """
    running = {step: start(lambda step=step: job(step)) for step in steps}  # type: ignore[misc]
    print(json.dumps({step: ended(pid) for step, pid in running.items()}))


def die_at(event: int, more: Iterable[Place] = ()) -> Callable[[Any, bool], Any]:
    """Kill this process at its n-th event; returns what makes a further function count, before and after if wanted."""
    import psycopg

    left = event

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counting(real: Any, after: bool) -> Any:
        @wraps(real)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            count()
            result = real(*args, **kwargs)
            if after:
                count()
            return result

        return wrapped

    database = [(psycopg.Cursor, name, False) for name in ("execute", "executemany", "copy")]
    for owner, name, after in [*database, (psycopg.Connection, "commit", True), *more]:
        setattr(owner, name, counting(getattr(owner, name), after))
    return counting


def go_through(
    work: Job,
    *,
    begin: Job,
    then: Callable[[int, bool], object],
    step: int,
    again: Job | None = None,
    more: Iterable[Place] = (),
    first: int = 1,
) -> dict[str, int]:
    """Begin, do the work until it is killed, do it again, then look: with the event, and whether it was killed there.

    So on with the event `step` further, until nothing is left to be killed at. `begin` and `then` run here, the work
    in children. Returns how many were killed, and the last event.
    """

    def doomed(event: int) -> Job:
        def job() -> None:
            die_at(event, more)
            work()

        return job

    for kills, event in enumerate(range(first, _LONGEST, step)):
        begin()
        died = child(doomed(event))
        assert died in (0, signal.SIGKILL), died
        child(again or work)
        then(event, bool(died))
        if not died:
            return {"kills": kills, "events": event}
    raise AssertionError("it does not come to an end")
