"""Where an instance lives and what it keeps secret.

An instance is one directory (COULANCE_HOME), or that directory and the provider's own PostgreSQL (DATABASE_URL):

    <home>/secrets/    one secret a file, 0600: django_key, database_password, and those that `secret_store` keeps
    <home>/postgres/   the embedded database, and socket/ beside it; absent with DATABASE_URL
    <home>/segments/   sealed samples
    <home>/run/        the supervisor's lock and state

Reading an instance never writes: only `prepare()` makes directories and secrets, and only `coulance up`, `demo`,
`migrate` and `restore` call it. Until then a process has a key of its own that dies with it.
"""

import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from coulance.platform.layout import DatabaseLayout, database_layout, make_private

DATABASE = "coulance"
"""The name of the embedded server's database and of the role that owns it."""

KEYS_KEPT = 2
"""How many signing keys before the one in force are still accepted."""


class InstanceError(RuntimeError):
    """The instance can't be used as it stands; the message says what is wrong and what to do."""


def _default_home() -> Path:
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "pyproject.toml").is_file() and (checkout / "src" / "coulance").is_dir():
        return checkout / "var" / "coulance"
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "coulance"


def parse_database_url(url: str) -> dict[str, Any]:
    """Django's settings for postgresql://user:password@host:port/name?option=value.

    A socket directory goes into the option `host`: postgresql://user@/name?host=/var/run/postgresql.

    >>> parse_database_url("postgresql://me:se%2Fcret@db.example:5433/bills?sslmode=require")["PASSWORD"]
    'se/cret'
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"}:
        raise InstanceError(
            f"DATABASE_URL must begin with postgresql:// and begins with {parts.scheme or 'nothing'}:; "
            "only PostgreSQL is supported (15 or newer)"
        )
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise InstanceError("DATABASE_URL names no database: postgresql://user:password@host:5432/NAME")
    try:
        port = parts.port
    except ValueError as fault:
        raise InstanceError(f"DATABASE_URL has a port that is no number: {fault}") from fault
    options = dict(parse_qsl(parts.query))
    return {
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", unquote(parts.hostname or "")),
        "PORT": str(options.pop("port", port or "")),
        "OPTIONS": options,
    }


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance: its home directory, and the provider's own database if there is one."""

    home: Path
    database_url: str | None = None
    segments_url: str | None = None
    """Where segments lie when not in the home: a path, or an object store such as s3://bucket/prefix."""

    @property
    def secrets_dir(self) -> Path:
        """Directory of the secrets, 0700."""
        return self.home / "secrets"

    @property
    def segments_dir(self) -> Path:
        """Directory of the sealed sample segments, 0700; empty when they lie in an object store."""
        if self.segments_url and not self.segments_are_remote:
            return Path(urlsplit(self.segments_url).path or self.segments_url).absolute()
        return self.home / "segments"

    @property
    def segments_are_remote(self) -> bool:
        """Whether segments lie in an object store, whose keeper backs them up."""
        return bool(self.segments_url) and urlsplit(self.segments_url).scheme not in {"", "file"}

    @property
    def run_dir(self) -> Path:
        """Directory of the supervisor's lock and state, 0700."""
        return self.home / "run"

    @property
    def embedded(self) -> bool:
        """Whether the database is our own, embedded one."""
        return self.database_url is None

    def database_layout(self) -> DatabaseLayout:
        """Where the embedded server's data, socket and binaries are; pure, except that it looks at permissions."""
        return database_layout(self.home)

    def prepare(self) -> None:
        """Make the directories and the secrets that are missing. Safe to call again, and by two at once."""
        layout = self.database_layout()
        # A directory that already holds something may be shared for reasons of its own; the ones below are ours.
        if not self.home.exists() or not any(self.home.iterdir()):
            make_private(self.home, group=layout.traversal_group(self.home))
        for directory in (self.secrets_dir, self.segments_dir, self.run_dir):
            make_private(directory)
        for name in ("django_key", "database_password"):
            _make_secret(self.secrets_dir / name)

    def secret(self, name: str) -> str | None:
        """A secret's value, or None while it was never made. Raises InstanceError when others may read it."""
        path = self.secrets_dir / name
        try:
            mode = path.stat().st_mode
            value = path.read_text().strip()
        except FileNotFoundError:
            return None
        except PermissionError as fault:
            raise InstanceError(f"{path} belongs to another user; run coulance as the user who owns it") from fault
        if stat.S_IMODE(mode) & 0o077:
            raise InstanceError(
                f"{path} can be read by other users (mode {stat.S_IMODE(mode):o}); run: chmod 600 {path}"
            )
        if not value:
            raise InstanceError(f"{path} is empty; restore it from a backup, or remove it to have a new one made")
        return value

    def make_secret(self, name: str) -> None:
        """Make this secret if it is missing: 64 random characters. Safe to call again, and by two at once."""
        _make_secret(self.secrets_dir / name)

    def django_key(self) -> str:
        """The key that signs sessions and links; one that lasts as long as this process before `prepare()`."""
        return self.secret("django_key") or _passing_key

    def django_keys_before(self) -> list[str]:
        """Keys that were in force before and still verify, the newest first."""
        return (self.secret("django_key_before") or "").split()

    def database_passwords(self) -> list[str]:
        """What the embedded server's password may be: the one in force, and one that a rotation was bringing."""
        return [known for name in ("database_password", "database_password.next") if (known := self.secret(name))]

    def database_settings(self) -> dict[str, Any]:
        """Django's DATABASES entry. Connections are kept for a minute and checked before they are used again."""
        if self.database_url is not None:
            where = parse_database_url(self.database_url)
        else:
            where = {
                "NAME": DATABASE,
                "USER": DATABASE,
                "PASSWORD": self.secret("database_password") or "",
                "HOST": str(self.database_layout().socket_dir),
                "PORT": "5432",
                "OPTIONS": {},
            }
        return {
            "ENGINE": "coulance.platform.engine",
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
            **where,
            "OPTIONS": {"application_name": "coulance", "connect_timeout": "10", **where["OPTIONS"]},
        }


_passing_key = secrets.token_urlsafe(48)


def _make_secret(path: Path) -> None:
    if path.exists():
        return
    # Written whole under another name and then linked: a reader sees a full secret or none, and of two makers one wins.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink(missing_ok=True)


def current() -> Instance:
    """The instance this process works for, from COULANCE_HOME, DATABASE_URL and COULANCE_SEGMENTS."""
    home = os.environ.get("COULANCE_HOME")
    return Instance(
        home=(Path(home).expanduser() if home else _default_home()).absolute(),
        database_url=os.environ.get("DATABASE_URL") or None,
        segments_url=os.environ.get("COULANCE_SEGMENTS") or None,
    )
