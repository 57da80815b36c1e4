"""One file that holds an instance: its database, its sealed samples and, if asked, its secrets. And the way back.

The file is a tar:

    manifest.json        what is in it, with the SHA-256 and size of every other member; written first
    database.dump        pg_dump's custom format
    segments/...         the sealed samples, byte for byte
    secrets/...          only with secrets=True

Consistency: a segment file is complete before the row that names it commits, is never changed, and stays for days after
it was superseded. So the dump is taken first, and the files that are there after it include all that it names. Segments
that lie in an object store (COULANCE_SEGMENTS) are not in the file: the store keeps them, and the manifest says where.

Restoring checks the whole file against its manifest before anything is touched, then restores into a database of its
own name and renames that into place in one transaction, so that a failure half-way leaves the instance as it was.
"""

import hashlib
import io
import json
import os
import secrets
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

import psycopg
from django.db.migrations.loader import MigrationLoader
from psycopg import sql

from coulance.platform import binaries
from coulance.platform.instance import Instance
from coulance.platform.layout import make_private
from coulance_core.kernel import require_aware

SCHEMA = "coulance.backup/1"
_MANIFEST = "manifest.json"
_DUMP = "database.dump"
_BLOCK = 1024 * 1024


class UnableToBackUpError(RuntimeError):
    """The backup could not be made; no file is left at its name."""


class UnableToRestoreError(RuntimeError):
    """The backup can't be restored here; the instance is as it was."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file in a backup."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    schema: str
    made_at: str
    version: str
    server: str
    migrations: tuple[str, ...]
    rows: dict[str, int]
    members: tuple[Member, ...]
    segments_elsewhere: str = ""
    """The object store that keeps the segments, when they are not in here."""
    secret_names: tuple[str, ...] = ()
    """Which secrets the instance had, whether or not they are in here: names only."""

    @property
    def segments(self) -> int:
        """How many segment files it holds."""
        return sum(member.name.startswith("segments/") for member in self.members)

    @property
    def has_secrets(self) -> bool:
        """Whether it holds the instance's secrets."""
        return any(member.name.startswith("secrets/") for member in self.members)


def make_backup(*, here: Instance, to: Path, at: datetime, version: str, with_secrets: bool = False) -> Manifest:
    """Write a backup of a running database to a new file, 0600. Readers and writers go on meanwhile.

    The file appears under its name only when whole. Raises UnableToBackUpError.
    """
    require_aware(at)
    if to.exists():
        raise UnableToBackUpError(f"{to} exists already; give a name that doesn't")
    if not to.parent.is_dir():
        raise UnableToBackUpError(f"{to.parent} is not a directory")
    try:
        manifest = _write(here, to, at, version, with_secrets=with_secrets)
    except OSError as fault:
        raise UnableToBackUpError(f"the backup could not be written: {fault}") from fault
    _note(here, at)
    return manifest


def _write(here: Instance, to: Path, at: datetime, version: str, *, with_secrets: bool) -> Manifest:
    with tempfile.TemporaryDirectory(prefix=".coulance-backup-", dir=to.parent) as scratch:
        dump = Path(scratch) / _DUMP
        with _snapshot(here) as (connection, snapshot):
            _run_client(here, "pg_dump", "--format=custom", "--no-owner", "--no-acl", f"--snapshot={snapshot}",
                        f"--file={dump}", fault=UnableToBackUpError)  # fmt: skip
            rows = _row_counts(connection)
            migrations = _migrations(connection)
            server = str(connection.info.server_version // 10000)
        files = [(_DUMP, dump)]
        elsewhere = here.segments_url or "" if here.segments_are_remote else ""
        if not elsewhere:
            files += [
                (f"segments/{path.relative_to(here.segments_dir)}", path) for path in _files_in(here.segments_dir)
            ]
        if with_secrets:
            files += [(f"secrets/{path.name}", path) for path in _secret_files(here)]
        manifest = Manifest(
            SCHEMA,
            at.isoformat(),
            version,
            server,
            migrations,
            rows,
            tuple(_describe(name, path) for name, path in files),
            elsewhere,
            tuple(path.name for path in _secret_files(here)),
        )
        whole = Path(scratch) / "whole"
        with os.fdopen(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
            with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as tar:
                _add_bytes(tar, _MANIFEST, json.dumps(asdict(manifest), indent=1).encode(), at)
                for member, (_, path) in zip(manifest.members, files, strict=True):
                    with path.open("rb") as source:
                        info = tarfile.TarInfo(member.name)
                        info.size, info.mode, info.mtime = member.size, 0o600, int(at.timestamp())
                        tar.addfile(info, source)
            output.flush()
            os.fsync(output.fileno())
        whole.rename(to)
    return manifest


def check_backup(file: Path) -> Manifest:
    """Read the whole file and compare each member with the manifest. Raises UnableToRestoreError at the first fault."""
    with _opened(file) as tar:
        manifest = _manifest_of(tar, file)
        expected = {member.name: member for member in manifest.members}
        for info in tar:
            if info.name == _MANIFEST:
                continue
            member = expected.pop(info.name, None)
            if member is None or not info.isfile():
                raise UnableToRestoreError(f"{file} holds {info.name}, which its manifest doesn't name")
            source = tar.extractfile(info)
            found = _digest(source) if source else ""
            if info.size != member.size or found != member.sha256:
                raise UnableToRestoreError(f"{file} is damaged: {info.name} is not what its manifest says")
        if expected:
            raise UnableToRestoreError(f"{file} is incomplete: {min(expected)} is missing")
    return manifest


def restore_backup(*, here: Instance, file: Path, force: bool = False) -> Manifest:
    """Bring a backup back into an instance whose database server runs and whose supervisor doesn't.

    The backup is checked whole first. An instance that holds accounts, samples or any other rows is refused unless
    `force`, which replaces its database and segments; its own secrets stay unless the backup brings some. The database
    is restored under a passing name and swapped in. Raises UnableToRestoreError.
    """
    manifest = check_backup(file)
    server = _server_major(here)
    if int(manifest.server) > server:
        raise UnableToRestoreError(
            f"the backup was made on PostgreSQL {manifest.server}, and this server is {server}: use one as new"
        )
    if unknown := sorted(set(manifest.migrations) - _known_migrations()):
        raise UnableToRestoreError(
            f"the backup was made by Coulance {manifest.version}, which is newer than this one (it has {unknown[0]}, "
            "which this one doesn't know): install that version or a later one first"
        )
    if manifest.segments_elsewhere and here.segments_url != manifest.segments_elsewhere:
        raise UnableToRestoreError(
            f"the segments of this backup lie in {manifest.segments_elsewhere}; "
            f"set COULANCE_SEGMENTS={manifest.segments_elsewhere} and try again"
        )
    if here.segments_are_remote and manifest.segments:
        raise UnableToRestoreError("this backup holds its segments; restore it without COULANCE_SEGMENTS")
    if not force:
        _refuse_full(here)
    # Beside the segments, which are renamed into place: that works within one file system only.
    here.segments_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".coulance-restore-", dir=here.segments_dir.parent) as scratch:
        unpacked = Path(scratch)
        _unpack(file, manifest, unpacked)
        name = f"{here.database_settings()['NAME']}_restoring_{secrets.token_hex(4)}"
        _restore_database(here, unpacked / _DUMP, name, manifest)
        try:
            with _swapped_segments(here, unpacked):
                _swap_database(here, name)
        except BaseException:
            _drop(here, name)
            raise
        for path in _files_in(unpacked / "secrets"):
            # The password belongs to this server's role, not to the data; only keys that sign data come back.
            if not path.name.startswith("database_password"):
                shutil.copy(path, draft := here.secrets_dir / f".{path.name}.restored")
                draft.chmod(0o600)
                draft.replace(here.secrets_dir / path.name)
    return manifest


def last_backup(here: Instance) -> datetime | None:
    """When this instance last made a backup, as far as it knows."""
    try:
        return datetime.fromisoformat((here.run_dir / "last-backup").read_text().strip())
    except (OSError, ValueError):
        return None


# Making


@contextmanager
def _snapshot(here: Instance) -> Iterator[tuple[psycopg.Connection[Any], str]]:
    """A read-only view of one instant, shared by pg_dump and our own counts: both see the same rows."""
    with _connect(here) as connection:
        connection.autocommit = False
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        row = connection.execute("SELECT pg_export_snapshot()").fetchone()
        yield connection, str(row[0] if row else "")


def _row_counts(connection: psycopg.Connection[Any]) -> dict[str, int]:
    tables = connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    ).fetchall()
    counts = {}
    for (table,) in tables:
        row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
        counts[table] = int(row[0]) if row else 0
    return counts


def _migrations(connection: psycopg.Connection[Any]) -> tuple[str, ...]:
    rows = connection.execute("SELECT app || '.' || name FROM django_migrations ORDER BY id").fetchall()
    return tuple(row[0] for row in rows)


def _secret_files(here: Instance) -> list[Path]:
    # A rotation that is going on is nobody's business but this instance's.
    return [path for path in _files_in(here.secrets_dir) if path.name != "database_password.next"]


def _files_in(directory: Path) -> list[Path]:
    # Names that begin with a dot are drafts of a write that is going on.
    if not directory.is_dir():
        return []
    return sorted(
        path
        for path in directory.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(directory).parts)
    )


def _describe(name: str, path: Path) -> Member:
    with path.open("rb") as source:
        return Member(name, path.stat().st_size, _digest(source))


def _digest(source: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := source.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes, at: datetime) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(content), 0o600, int(at.timestamp())
    tar.addfile(info, io.BytesIO(content))


def _note(here: Instance, at: datetime) -> None:
    draft = here.run_dir / "last-backup.new"
    draft.write_text(at.isoformat() + "\n")
    draft.replace(here.run_dir / "last-backup")


# Reading


@contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(file, mode="r:") as tar:
            yield tar
    except FileNotFoundError as fault:
        raise UnableToRestoreError(f"there is no file {file}") from fault
    except (tarfile.TarError, EOFError) as fault:
        raise UnableToRestoreError(f"{file} is not a whole backup: {fault}") from fault


def _manifest_of(tar: tarfile.TarFile, file: Path) -> Manifest:
    first = tar.next()
    source = tar.extractfile(first) if first is not None and first.name == _MANIFEST else None
    if source is None:
        raise UnableToRestoreError(f"{file} is not a backup of Coulance: it doesn't begin with a {_MANIFEST}")
    try:
        known = json.loads(source.read())
        if known["schema"] != SCHEMA:
            raise UnableToRestoreError(f"{file} is of kind {known['schema']}, and this version reads {SCHEMA}")
        members = tuple(Member(str(m["name"]), int(m["size"]), str(m["sha256"])) for m in known["members"])
        manifest = Manifest(
            schema=known["schema"],
            made_at=str(known["made_at"]),
            version=str(known["version"]),
            server=str(int(known["server"])),
            migrations=tuple(map(str, known["migrations"])),
            rows={str(table): int(count) for table, count in dict(known["rows"]).items()},
            members=members,
            segments_elsewhere=str(known.get("segments_elsewhere", "")),
            secret_names=tuple(map(str, known.get("secret_names", ()))),
        )
    except (ValueError, KeyError, TypeError) as fault:
        raise UnableToRestoreError(f"{file} has a manifest that can't be read: {fault}") from fault
    for member in members:
        if not _is_ours(member.name):
            raise UnableToRestoreError(f"{file} names {member.name!r}, which no backup of ours would")
    names = [member.name for member in members]
    folders = {str(folder) for name in names for folder in PurePosixPath(name).parents}
    if len(set(names)) != len(names) or folders & set(names):
        raise UnableToRestoreError(f"{file} names a file twice, or as a folder too, which no backup of ours would")
    if _DUMP not in names:
        raise UnableToRestoreError(f"{file} is incomplete: its manifest names no {_DUMP}")
    return manifest


def _is_ours(name: str) -> bool:
    """Whether a backup may hold a member of this name: nothing may be unpacked anywhere else."""
    parts = name.split("/")
    if not all(part and part not in (".", "..") and "\0" not in part and "\\" not in part for part in parts):
        return False
    kind, *rest = parts
    return name == _DUMP or (kind == "segments" and len(rest) >= 1) or (kind == "secrets" and len(rest) == 1)


def _unpack(file: Path, manifest: Manifest, to: Path) -> None:
    # Digests are checked again while writing: what counts is what lands on disk, not what was read a minute ago.
    expected = {member.name: member for member in manifest.members}
    with _opened(file) as tar:
        for info in tar:
            if info.name == _MANIFEST:
                continue
            source = tar.extractfile(info)
            target = to / info.name
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            digest = hashlib.sha256()
            with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
                while source is not None and (block := source.read(_BLOCK)):
                    digest.update(block)
                    output.write(block)
                output.flush()
                os.fsync(output.fileno())
            if info.name not in expected or digest.hexdigest() != expected[info.name].sha256:
                raise UnableToRestoreError(f"{file} changed while it was read; try again")


# Restoring


def _known_migrations() -> set[str]:
    loader = MigrationLoader(None, ignore_no_migrations=True)
    replaced = {key for migration in loader.disk_migrations.values() for key in migration.replaces}
    return {f"{app}.{name}" for app, name in {*loader.disk_migrations, *replaced}}


def _refuse_full(here: Instance) -> None:
    if _files_in(here.segments_dir):
        raise UnableToRestoreError(
            f"{here.segments_dir} holds samples; restore into a new COULANCE_HOME, or use --force"
        )
    with _connect(here) as connection:
        # What migrations write themselves doesn't make an instance full.
        own = {"django_migrations", "django_content_type", "auth_permission", "procrastinate_periodic_defers"}
        own |= {"platform_rate_limit", "platform_cache"}
        full = [
            table
            for table, count in _row_counts(connection).items()
            if count and table not in own and not table.startswith(("procrastinate_", "django_session"))
        ]
    if full:
        raise UnableToRestoreError(
            f"this instance is not empty ({', '.join(full[:3])}{', ...' if len(full) > 3 else ''} hold rows); "
            "restore into a new COULANCE_HOME, or use --force to replace what is here"
        )


def _restore_database(here: Instance, dump: Path, name: str, manifest: Manifest) -> None:
    with _connect(here) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    try:
        _run_client(
            here, "pg_restore", "--no-owner", "--no-acl", "--exit-on-error", "--single-transaction", str(dump),
            database=name, fault=UnableToRestoreError,
        )  # fmt: skip
        with _connect(here, database=name) as connection:
            restored = _row_counts(connection)
        if restored != manifest.rows:
            wrong = sorted(t for t in restored.keys() | manifest.rows.keys() if restored.get(t) != manifest.rows.get(t))
            raise UnableToRestoreError(
                f"the restored table {wrong[0]} has {restored.get(wrong[0], 0)} rows, and the backup says "
                f"{manifest.rows.get(wrong[0], 0)}"
            )
    except BaseException:
        _drop(here, name)
        raise


def _drop(here: Instance, name: str) -> None:
    with _connect(here) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def _swapped_segments(here: Instance, unpacked: Path) -> Iterator[None]:
    """The backup's segments in place of ours; ours come back if the block fails."""
    arrived, away = unpacked / "segments", unpacked / "segments-before"
    make_private(arrived)
    here.segments_dir.rename(away)
    arrived.rename(here.segments_dir)
    try:
        yield
    except BaseException:
        here.segments_dir.rename(arrived)
        away.rename(here.segments_dir)
        raise


def _swap_database(here: Instance, arrived: str) -> None:
    name = str(here.database_settings()["NAME"])
    away = f"{name}_before_{secrets.token_hex(4)}"
    # From a third database, since none can be renamed while one is connected to it; both renames, or neither.
    with _connect(here, database="postgres") as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            [name],
        )
        with connection.transaction():
            for before, after in ((name, away), (arrived, name)):
                connection.execute(
                    sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(before), sql.Identifier(after))
                )
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(away)))


# The server


def _connect(here: Instance, *, database: str | None = None) -> psycopg.Connection[Any]:
    where = here.database_settings()
    return psycopg.connect(
        host=where["HOST"] or None,
        port=where["PORT"] or None,
        user=where["USER"] or None,
        password=where["PASSWORD"] or None,
        dbname=database or where["NAME"],
        autocommit=True,
        **where["OPTIONS"],
    )


def _server_major(here: Instance) -> int:
    with _connect(here) as connection:
        return connection.info.server_version // 10000


def _run_client(
    here: Instance, program: str, *arguments: str, fault: type[Exception], database: str | None = None
) -> None:
    where = here.database_settings()
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PG")},
        "PGHOST": str(where["HOST"]),
        "PGPORT": str(where["PORT"] or "5432"),
        "PGUSER": str(where["USER"]),
        "PGPASSWORD": str(where["PASSWORD"]),
        "PGDATABASE": database or str(where["NAME"]),
        **{f"PG{key.upper()}": str(value) for key, value in where["OPTIONS"].items() if key.startswith("ssl")},
    }
    extra = ["--dbname", environment["PGDATABASE"]] if program == "pg_restore" else []
    done = subprocess.run(
        [binaries.client(program), *extra, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise fault(f"{program} failed: {done.stderr.strip() or f'status {done.returncode}'}")
