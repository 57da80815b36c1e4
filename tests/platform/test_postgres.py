"""The embedded server: made, locked, stopped, killed in every way, and started again."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from coulance.platform import binaries, layout
from coulance.platform.layout import DatabaseLayout, LayoutError, ServiceUser, database_layout, make_private
from coulance.platform.postgres import AlreadyRunningError, EmbeddedPostgres, UnableToStartError
from tests.support.database import ROOT
from tests.support.instances import new_home


def _prepared(home: Path) -> DatabaseLayout:
    where = database_layout(home)
    make_private(where.base, group=where.traversal_group(home))
    return where


@pytest.fixture(scope="module")
def where() -> Iterator[DatabaseLayout]:
    """One cluster for the tests of this module; each starts and stops it."""
    with new_home() as home:
        yield _prepared(home)


@pytest.fixture
def server(where: DatabaseLayout) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(layout=where, password="first")
    try:
        made.start()
        yield made
    finally:
        made.stop()


def _gone(pid: int, within_s: float = 10) -> bool:
    give_up = time.monotonic() + within_s
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > give_up:
            return False
        time.sleep(0.02)
    return True


def test_it_is_private_checked_and_asks_for_the_password(server: EmbeddedPostgres, where: DatabaseLayout) -> None:
    for directory in (where.data_dir, where.socket_dir):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert directory.stat().st_uid == where.user.uid != 0
    wanted = {
        "data_checksums": "on",
        "fsync": "on",
        "full_page_writes": "on",
        "listen_addresses": "",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
    }
    with server.connect() as connection:
        shown = {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in wanted}  # type: ignore[index]
        assert shown == wanted
        rules = connection.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules").fetchall()
        assert rules == [("scram-sha-256",)]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(host=str(where.socket_dir), user="coulance", password="guess", dbname="coulance")


def test_a_second_owner_is_refused(server: EmbeddedPostgres, where: DatabaseLayout) -> None:
    with pytest.raises(AlreadyRunningError, match=f"already run by process {os.getpid()}"):
        EmbeddedPostgres(layout=where, password="first").start()
    assert server.is_running()


def test_what_was_committed_survives_kill_9(server: EmbeddedPostgres, where: DatabaseLayout) -> None:
    with server.connect() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        connection.execute("INSERT INTO kept VALUES (1)")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert _gone(server.pid)
    assert not server.is_running()
    assert (where.data_dir / "postmaster.pid").exists()
    server.start()
    with server.connect() as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1,)
        connection.execute("DROP TABLE kept")


def test_a_stale_pid_file_of_a_living_stranger_is_no_obstacle(where: DatabaseLayout) -> None:
    # The pid in the file was reused by a program that has nothing to do with it: here, ourselves.
    (where.data_dir / "postmaster.pid").write_text(f"{os.getpid()}\n{where.data_dir}\n1\n5432\n")
    (where.socket_dir / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    server = EmbeddedPostgres(layout=where, password="first")
    server.start()
    server.stop()
    assert not (where.data_dir / "postmaster.pid").exists()


OWNER = """
import sys, time
from pathlib import Path
from coulance.platform.layout import database_layout
from coulance.platform.postgres import EmbeddedPostgres
server = EmbeddedPostgres(layout=database_layout(Path(sys.argv[1])), password="first")
server.start()
print(server.pid, flush=True)
time.sleep(60)
"""


def test_it_stops_when_its_owner_is_killed_and_the_next_owner_waits_for_that(where: DatabaseLayout) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, where.base], stdout=subprocess.PIPE, cwd=ROOT)
    assert owner.stdout is not None
    with owner.stdout:
        pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    server = EmbeddedPostgres(layout=where, password="first")
    server.start()  # at once: the old server may still be stopping
    try:
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        assert server.pid != pid
    finally:
        server.stop()


def test_a_lost_password_is_replaced_by_who_owns_the_files(where: DatabaseLayout) -> None:
    for password in ("second", "first"):
        server = EmbeddedPostgres(layout=where, password=password)
        server.start()
        with server.connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        server.stop()


def test_data_of_another_version_is_refused_in_words(where: DatabaseLayout) -> None:
    version = where.data_dir / "PG_VERSION"
    version.write_text("17\n")
    try:
        with pytest.raises(UnableToStartError, match=r"made by PostgreSQL 17.*backup with the version that made it"):
            EmbeddedPostgres(layout=where, password="first").start()
    finally:
        version.write_text(f"{binaries.MAJOR}\n")


def test_a_refused_setting_is_told_with_the_end_of_the_log(where: DatabaseLayout) -> None:
    server = EmbeddedPostgres(layout=where, password="first", settings={"shared_buffers": "lots"})
    with pytest.raises(UnableToStartError, match="shared_buffers"):
        server.start()
    assert not server.is_running()


def test_a_directory_of_other_things_is_left_alone() -> None:
    with new_home() as home:
        where = _prepared(home)
        make_private(where.data_dir, owner=where.user)
        (where.data_dir / "diary.txt").write_text("mine")
        with pytest.raises(UnableToStartError, match="holds files but no database"):
            EmbeddedPostgres(layout=where, password="x").start()
        assert (where.data_dir / "diary.txt").read_text() == "mine"


def test_a_long_path_gets_a_short_socket() -> None:
    with new_home() as home:
        deep = home / ("d" * 60) / ("e" * 60)
        where = database_layout(deep)
        assert len(os.fsencode(where.socket_dir / ".s.PGSQL.5432")) <= layout.SOCKET_PATH_LIMIT
        assert where.data_dir == where.base / "postgres"
        assert database_layout(deep) == where


# As root: the service user, who must be able to get there without anything being opened up.

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to a service user")


@as_root
def test_a_home_out_of_reach_puts_the_database_elsewhere(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    where = database_layout(closed / "home")
    assert where.base.parent == Path("/var/lib/coulance")
    assert where.traversal_group(closed / "home") is None
    before = os.umask(0o077)
    server = EmbeddedPostgres(layout=where, password="x")
    try:
        server.start()
        with server.connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        os.umask(before)
        server.stop()
        shutil.rmtree(where.base)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
def test_programs_out_of_reach_are_copied_and_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "can_traverse", lambda *_: False)
    with new_home() as home:
        where = _prepared(home)
        copy = binaries.server_directory(user=where.user, base=where.base)
        assert copy.is_relative_to(home)
        assert (copy / "postgres").stat().st_uid == 0
        assert not (copy / "postgres").stat().st_mode & 0o022
        done = subprocess.run(
            [copy / "postgres", "--version"], user=where.user.uid, group=where.user.gid, extra_groups=[], cwd="/",
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert f"{binaries.MAJOR}." in done.stdout
        made = (copy / "postgres").stat().st_ino
        assert binaries.server_directory(user=where.user, base=where.base) == copy
        assert (copy / "postgres").stat().st_ino == made


@as_root
def test_the_service_user_can_be_named_and_is_never_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(layout.SERVICE_USER_VARIABLE, "daemon")
    assert layout.service_user().name == "daemon"
    monkeypatch.setenv(layout.SERVICE_USER_VARIABLE, "root")
    with pytest.raises(LayoutError, match="refuses to run as root"):
        layout.service_user()
    monkeypatch.setenv(layout.SERVICE_USER_VARIABLE, "nosuchuser")
    with pytest.raises(LayoutError, match="no user nosuchuser"):
        layout.service_user()


@as_root
def test_traversal_looks_at_owner_group_and_others(tmp_path: Path) -> None:
    nobody = ServiceUser("nobody", 65534, 65534)
    with new_home() as home:
        for mode, owner, group, expected in (
            (0o700, 0, 0, False),
            (0o710, 0, 65534, True),
            (0o701, 0, 0, True),
            (0o701, 0, 65534, False),  # in the group, which has fewer rights than others
            (0o700, 65534, 0, True),
        ):
            home.mkdir()
            os.chown(home, owner, group)
            home.chmod(mode)
            assert layout.can_traverse(home, nobody) is expected, oct(mode)
            home.rmdir()


def test_a_directory_is_tightened_and_never_loosened(tmp_path: Path) -> None:
    directory = tmp_path / "secrets"
    directory.mkdir(mode=0o755)
    make_private(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(LayoutError, match="not a directory"):
        make_private(tmp_path / "file")
    if os.geteuid() == 0:
        os.chown(directory, 65534, 65534)
        with pytest.raises(LayoutError, match="belongs to nobody, not to root"):
            make_private(directory)
