"""What every test may use: `db`, `committed_db`, `cases`; and what none may: the network, or the real instance.

Nothing here imports Django or starts a database until a test outside `tests/core` is collected, or asks for one.
"""

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.support import network
from tests.support.database import (
    CONTROLLER_VARIABLE,
    ROOT,
    RUN_VARIABLE,
    WorkerDatabase,
    point_django_at,
    server,
    stop_server,
    template,
)

# Some containers forbid it, and every process that a test starts would compile us anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# On a developer's machine every run tries other examples; what a shared machine tries must not change from run to run,
# or a change would be refused for a fault it did not bring. New examples found locally become tests of their own.
# No deadline for an example: how long one takes says more about what else the machine is doing.
settings.register_profile("here", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

# What collecting tests loads stays loaded: looking through it for garbage, again and again, took a sixth of a run.
gc.disable()

_HERE = Path(__file__).resolve().parent
_PURE = (_HERE / "core",)


def pytest_configure(config: pytest.Config) -> None:
    network.forbid()
    if not hasattr(config, "workerinput"):
        run = tempfile.mkdtemp(prefix="coulance-tests-", dir=_roomy_memory())
        if os.geteuid() == 0:
            Path(run).chmod(0o711)  # ours, and the database's service user must pass through it
        os.environ[RUN_VARIABLE] = run
        os.environ[CONTROLLER_VARIABLE] = str(os.getpid())
    os.environ["COULANCE_HOME"] = str(Path(os.environ[RUN_VARIABLE]) / "home")
    for variable in ("DATABASE_URL", "COULANCE_URL", "COULANCE_HOSTS", "COULANCE_DEBUG"):
        os.environ.pop(variable, None)


def _roomy_memory() -> str | None:
    # Databases of tests live for minutes; in memory their many fsyncs cost nothing. Containers may have little of it.
    shared = "/dev/shm"
    try:
        roomy = shutil.disk_usage(shared).free > 3 * 2**30 and os.access(shared, os.W_OK)
    except OSError:
        roomy = False
    return shared if roomy else None


def pytest_unconfigure(config: pytest.Config) -> None:
    if known := sys.modules.get("tests.support.forks"):
        known.end()
    if not hasattr(config, "workerinput") and RUN_VARIABLE in os.environ:
        stop_server()
        shutil.rmtree(os.environ.pop(RUN_VARIABLE), ignore_errors=True)


# The longest, which run first: so that no worker is left alone with one of them at the end.
_LONG = (
    "api/test_schemathesis.py",
    "console/test_browser.py",
    "dayone/test_day_one.py",
    "operating/test_zero_downtime.py",
    "platform/test_from_scratch.py",
    "platform/test_up.py",
    "portal/test_whole_story.py",
    "platform/test_backup.py",
    "demo/test_demo.py",
    "probe/test_vantage_points.py",
    "platform/test_commands_together.py",
    "platform/test_ordinary_user.py",
    "closing/test_crash.py",
    "rails/test_year.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {_HERE / name: number for number, name in enumerate(_LONG)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(1000, 100, 50)
    gc.enable()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> None:
    neutral = file_path.name in {"__init__.py", "conftest.py"} or file_path.suffix != ".py"
    if not neutral and not any(file_path.is_relative_to(pure) for pure in _PURE):
        _set_django_up()


_django_is_up = False
_databases_allowed = False


def _set_django_up() -> None:
    global _django_is_up
    if _django_is_up:
        return
    _django_is_up = True
    os.environ["DJANGO_SETTINGS_MODULE"] = "coulance.config.settings"
    import django
    from django.conf import settings
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.test.utils import setup_test_environment

    django.setup()
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    setup_test_environment(debug=False)
    connect = BaseDatabaseWrapper.connect

    def guarded(self: Any) -> None:
        if not _databases_allowed:
            raise AssertionError("this test uses the database: let it ask for the fixture `db` or `committed_db`")
        connect(self)

    BaseDatabaseWrapper.connect = guarded  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def worker_database() -> WorkerDatabase:
    """This worker's database with all migrations applied. Tests take `db` or `committed_db` rather than this."""
    global _databases_allowed
    _set_django_up()
    where = server()
    name = f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    _databases_allowed = True
    try:
        where.make_database(name, template=template(where))
    finally:
        _databases_allowed = False
    point_django_at(name, where)
    return WorkerDatabase(where, name)


@pytest.fixture
def db(worker_database: WorkerDatabase) -> Iterator[Any]:
    """Django's connection inside a transaction that is rolled back afterwards.

    Deferred constraints and triggers fire at commit, which never comes: call `db.check_constraints()` to force them.
    As the test ends, what it issued must have valid e-invoices (a sample of each sort).
    """
    global _databases_allowed
    from django.db import connection, transaction

    from tests.support.einvoices import check_issued

    _databases_allowed = True
    atomic = transaction.atomic()
    atomic._from_testcase = True  # lets code under test use atomic(durable=True)
    atomic.__enter__()
    try:
        yield connection
        if not connection.needs_rollback:
            check_issued()
    finally:
        transaction.set_rollback(True)
        atomic.__exit__(None, None, None)
        _databases_allowed = False


@pytest.fixture
def committed_db(worker_database: WorkerDatabase) -> Iterator[WorkerDatabase]:
    """A database that commits for real, for threads, subprocesses and deferred triggers; renewed afterwards."""
    global _databases_allowed
    from django.db import connections

    from tests.support.einvoices import check_issued

    _databases_allowed = True
    try:
        yield worker_database
        check_issued()
    finally:
        connections.close_all()
        worker_database.renew()
        _databases_allowed = False


@pytest.fixture(scope="session")
def cases() -> Path:
    """The directory of shared cases and real data (COULANCE_CASES, else ../shared/data); skips without it."""
    where = Path(os.environ.get("COULANCE_CASES") or ROOT.parent / "shared" / "data")
    if not where.is_dir():
        pytest.skip(f"no shared data at {where}; set COULANCE_CASES")
    return where
