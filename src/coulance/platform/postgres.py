"""The embedded PostgreSQL: made, started, watched and stopped by us, with nothing but the wheel's programs.

Its rules, each for a reason that has bitten somebody:

- One owner. A lock on the data directory is held by the process that started the server, so that two can't.
- No orphan. The server dies with the thread that started it (`PR_SET_PDEATHSIG`), so start it from a thread that lives
  as long as the server should: the main one.
- Nobody else gets in: directories 0700, a socket and no network, SCRAM passwords for every role.
- Nothing is guessed from a pid file. A stale one is removed under the lock when no live process works in the directory.
- Checksums, fsync and full_page_writes stay on, so that kill -9 and power loss recover.
"""

import fcntl
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psutil
import psycopg
from psycopg import sql

from coulance.platform import binaries
from coulance.platform.layout import DatabaseLayout, make_private
from coulance.platform.parent import die_with_parent

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
}
_LOG_LIMIT = 10 * 1024 * 1024


class UnableToStartError(RuntimeError):
    """The server could not be started; the message says why, with the end of its log."""


class AlreadyRunningError(UnableToStartError):
    """Another process of ours owns the data directory and runs its server."""


class EmbeddedPostgres:
    """One embedded server. `start()` returns when it answers; `stop()` when it has gone.

    `password` is one, or a function that reads it where it may be rotated while the server runs. `settings` adds or
    replaces server settings. `owner` is the role and database it makes on first start.
    """

    def __init__(
        self,
        *,
        layout: DatabaseLayout,
        password: str | Callable[[], str],
        owner: str = "coulance",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._layout = layout
        self._ask_password = password
        self._owner = owner
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._use: int | None = None

    @property
    def _password(self) -> str:
        return self._ask_password if isinstance(self._ask_password, str) else self._ask_password()

    @property
    def log(self) -> Path:
        """The server's log."""
        return self._layout.base / "postgres.log"

    @property
    def pid(self) -> int | None:
        """The server's process id while we run it."""
        return self._process.pid if self._process else None

    def url(self, database: str | None = None) -> str:
        """The address of a database, in the form of DATABASE_URL. It holds the password."""
        return (
            f"postgresql://{quote(self._owner)}:{quote(self._password, safe='')}@/{quote(database or self._owner)}?"
            + urlencode({"host": str(self._layout.socket_dir), "port": "5432"})
        )

    def connect(self, database: str | None = None) -> psycopg.Connection:
        """A connection of its own in autocommit mode, for what Django's connection can't do."""
        return psycopg.connect(
            host=str(self._layout.socket_dir),
            port=5432,
            user=self._owner,
            password=self._password,
            dbname=database or self._owner,
            autocommit=True,
            connect_timeout=10,
        )

    def is_running(self) -> bool:
        """Whether the process that we started is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, patience_s: float = 300.0) -> None:
        """Make the cluster if there is none, start the server, wait until it answers, make the database.

        Patience is for recovery after a crash. Raises UnableToStartError.
        """
        if self.is_running():
            return
        self._take_lock()
        try:
            bin_dir = binaries.server_directory(user=self._layout.user, base=self._layout.base)
            self._leave_no_stranger()
            if not (self._layout.data_dir / "PG_VERSION").exists():
                self._initialise(bin_dir)
            self._check_version()
            make_private(self._layout.socket_dir, owner=self._layout.user)
            for stale in ("postmaster.pid", "postmaster.opts"):
                (self._layout.data_dir / stale).unlink(missing_ok=True)
            for stale in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
                (self._layout.socket_dir / stale).unlink(missing_ok=True)
            self._launch(bin_dir)
            self._await_answer(bin_dir, patience_s)
            self._make_database()
        except BaseException:
            self.stop()
            raise

    def stop(self, *, patience_s: float = 30.0) -> None:
        """Stop the server: fast, then immediate, then kill. Then let go of the data directory."""
        process = self._process
        if process is not None:
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                if process.poll() is not None:
                    break
                process.send_signal(number)
                try:
                    process.wait(timeout=patience_s)
                except subprocess.TimeoutExpired:
                    continue
            self._process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._use is not None:
            os.close(self._use)
            self._use = None

    def join(self) -> bool:
        """Use the server that another process of ours runs; `stop()` then lets go of it. False when none answers.

        From here on its owner's `stop_when_unused` waits for us.
        """
        use = os.open(self._layout.base / "postgres.users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(use, fcntl.LOCK_SH | fcntl.LOCK_NB)
            self.connect("postgres").close()
        except (BlockingIOError, psycopg.OperationalError) as fault:
            # One that refuses our password answers: it may be in the middle of a rotation (see `platform.engine`).
            if "password authentication failed" not in str(fault):
                os.close(use)
                return False
        self._use = use
        return True

    def stop_when_unused(self, *, patience_s: float = 600.0) -> None:
        """Stop the server once nobody has joined it any more; after so long, stop it all the same."""
        use = os.open(self._layout.base / "postgres.users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            give_up = time.monotonic() + patience_s
            while self.is_running() and time.monotonic() < give_up:
                try:
                    fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    time.sleep(0.1)
                else:
                    break  # nobody is there, and nobody can come while we hold this
            self.stop()
        finally:
            os.close(use)

    # The steps of a start

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        self._layout.make_base()
        path = self._layout.base / "postgres.lock"
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 32, 0).decode(errors="replace").strip()
            os.close(lock)
            raise AlreadyRunningError(
                f"the database in {self._layout.data_dir} is already run by process {holder or 'unknown'}; "
                "stop that one first (only one may own a data directory)"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock

    def _leave_no_stranger(self) -> None:
        """Wait for a server whose owner was killed to finish stopping; a second one would ruin the data."""
        give_up = time.monotonic() + 60
        escalation = [
            (time.monotonic() + after, number)
            for after, number in ((2.0, signal.SIGINT), (15.0, signal.SIGQUIT), (30.0, signal.SIGKILL))
        ]
        while living := _processes_in(self._layout.data_dir):
            if time.monotonic() > give_up:
                raise UnableToStartError(
                    f"a PostgreSQL server is still working in {self._layout.data_dir} "
                    f"(processes {', '.join(str(process.pid) for process in living)}) and doesn't stop; stop it by hand"
                )
            if escalation and time.monotonic() > escalation[0][0]:
                _, number = escalation.pop(0)
                for process in living:
                    if process.name() == "postgres":
                        process.send_signal(number)
            time.sleep(0.05)

    def _initialise(self, bin_dir: Path) -> None:
        if self._layout.data_dir.exists() and any(self._layout.data_dir.iterdir()):
            raise UnableToStartError(
                f"{self._layout.data_dir} holds files but no database (PG_VERSION is missing); "
                "restore a backup into another directory, or move these files away"
            )
        # Made under another name and renamed when whole, so that a crash half-way leaves nothing that looks like data.
        draft = self._layout.data_dir.with_name(f"{self._layout.data_dir.name}.new-{secrets.token_hex(4)}")
        make_private(self._layout.base / "initdb", owner=self._layout.user)
        password_file = self._layout.base / "initdb" / "password"
        make_private(draft, owner=self._layout.user)
        try:
            password_file.touch(mode=0o600)
            if self._layout.user.is_other:
                os.chown(password_file, self._layout.user.uid, self._layout.user.gid)
            password_file.write_text(self._password)
            done = subprocess.run(
                [
                    bin_dir / "initdb",
                    f"--pgdata={draft}",
                    f"--username={self._owner}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    "--locale=C",
                    "--data-checksums",
                    "--no-instructions",
                ],
                env=_server_environment(),
                cwd="/",
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                **self._as_user(),
            )
            if done.returncode != 0:
                raise UnableToStartError(f"initdb failed:\n{done.stdout.strip()}")
            if self._layout.data_dir.exists():
                self._layout.data_dir.rmdir()
            draft.rename(self._layout.data_dir)
        finally:
            password_file.unlink(missing_ok=True)
            password_file.parent.rmdir()
            if draft.exists():
                subprocess.run(["rm", "-rf", "--", draft], check=False)

    def _check_version(self) -> None:
        made_by = (self._layout.data_dir / "PG_VERSION").read_text().strip()
        if made_by != str(binaries.MAJOR):
            raise UnableToStartError(
                f"the data in {self._layout.data_dir} was made by PostgreSQL {made_by}, and this version of Coulance "
                f"brings {binaries.MAJOR}: make a backup with the version that made it, and restore it with this one"
            )

    def _launch(self, bin_dir: Path) -> None:
        settings = {**_SETTINGS, "unix_socket_directories": f'"{self._layout.socket_dir}"', **self._settings}
        if _shared_memory_is_small():
            settings.setdefault("dynamic_shared_memory_type", "mmap")
        command: list[str | Path] = [bin_dir / "postgres", "-D", self._layout.data_dir]
        for key, value in settings.items():
            command += ["-c", f"{key}={value}"]
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._process = subprocess.Popen(
                command,
                env=_server_environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C at the terminal is for us; we stop the server last
                preexec_fn=die_with_parent(os.getpid()),
                **self._as_user(),
            )
        finally:
            os.close(log)

    def _await_answer(self, bin_dir: Path, patience_s: float) -> None:
        give_up = time.monotonic() + patience_s
        reset = False
        while True:
            if not self.is_running():
                raise UnableToStartError(f"PostgreSQL stopped while starting; its log ends:\n{self._log_tail()}")
            try:
                self.connect("postgres").close()
            except psycopg.OperationalError as fault:
                if "password authentication failed" in str(fault) and not reset:
                    reset = True
                    self._set_password(bin_dir)
                    continue
                if time.monotonic() > give_up:
                    raise UnableToStartError(
                        f"PostgreSQL did not answer within {patience_s:.0f} s: {fault}\n"
                        f"its log ends:\n{self._log_tail()}"
                    ) from fault
                time.sleep(0.03)
            else:
                return

    def _set_password(self, bin_dir: Path) -> None:
        """Give the owner the password that the secrets hold now. Who owns the files may: the old one was lost."""
        lock, self._lock = self._lock, None
        self.stop()
        self._lock = lock
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}\n").format(sql.Identifier(self._owner), self._password)
        subprocess.run(
            [bin_dir / "postgres", "--single", "-D", self._layout.data_dir, "postgres"],
            input=statement.as_string(None).encode(),
            env=_server_environment(),
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            **self._as_user(),
        )
        self._launch(bin_dir)

    def _make_database(self) -> None:
        with self.connect("postgres") as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [self._owner]).fetchone()
            if not known:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self._owner)))

    def _as_user(self) -> dict[str, Any]:  # arguments of subprocess that change to the service user
        user = self._layout.user
        return {"user": user.uid, "group": user.gid, "extra_groups": []} if user.is_other else {}

    def _log_tail(self) -> str:
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 2000))
                return file.read().decode(errors="replace").strip()
        except OSError as fault:
            return f"(no log: {fault})"


def _server_environment() -> dict[str, str]:
    # A provider's PGDATA, PGHOST or LANG must not steer our server.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _shared_memory_is_small() -> bool:
    # Containers often give /dev/shm 64 MB, which parallel queries outgrow.
    try:
        info = os.statvfs("/dev/shm")  # noqa: S108 - asked for its size only
    except OSError:
        return True
    return info.f_frsize * info.f_blocks < 512 * 1024 * 1024


def _processes_in(directory: Path) -> list[psutil.Process]:
    """Live processes whose working directory this is: what a server and its children have in common."""
    where = os.path.realpath(directory)
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == where and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found
