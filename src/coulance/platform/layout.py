"""Where the embedded PostgreSQL may live, given who runs us.

PostgreSQL refuses to run as root. When root runs us the server runs as a service user, and then its data and its
binaries must be where that user can get at them. We never loosen the permissions of a directory that we didn't make:
if the service user can't reach the instance's home, the database goes to a directory of its own under /var/lib.
"""

import hashlib
import os
import pwd
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

SERVICE_USER_VARIABLE = "COULANCE_SERVICE_USER"
SOCKET_PATH_LIMIT = 107
"""Bytes that a unix socket's path may have, the name of the socket included (the kernel's sun_path)."""

_SOCKET_NAME = ".s.PGSQL.5432"


class LayoutError(RuntimeError):
    """There is no place or no user for the database; the message says what to do."""


@dataclass(frozen=True, slots=True)
class ServiceUser:
    """The user as whom PostgreSQL runs."""

    name: str
    uid: int
    gid: int

    @property
    def is_other(self) -> bool:
        """Whether that is somebody else than we are, so that we must change to them."""
        return self.uid != os.geteuid()


@dataclass(frozen=True, slots=True)
class DatabaseLayout:
    """The embedded server's places: data directory, socket directory, and where a private copy of binaries goes."""

    base: Path
    data_dir: Path
    socket_dir: Path
    user: ServiceUser

    def make_base(self) -> None:
        """Make the base if it isn't there; only where it is not the home, which `Instance.prepare` makes."""
        if self.base.exists():
            return
        if not self.base.parent.exists():
            self.base.parent.mkdir(parents=True)
            self.base.parent.chmod(0o711)  # ours: the service user passes through, whatever the umask is
        make_private(self.base, group=self.user.gid if self.user.is_other else None)

    def traversal_group(self, home: Path) -> int | None:
        """The group that must be able to pass through the home, or None when nobody but its owner must."""
        return self.user.gid if self.user.is_other and self.base == home else None


def service_user() -> ServiceUser:
    """Ourselves; or, when we are root, the user named by COULANCE_SERVICE_USER, else `coulance`, else `nobody`."""
    if os.geteuid() != 0:
        try:
            name = pwd.getpwuid(os.geteuid()).pw_name
        except KeyError as fault:
            raise LayoutError(
                f"user id {os.geteuid()} has no entry in /etc/passwd, and PostgreSQL refuses to run as such; "
                "run coulance as a user that has a name"
            ) from fault
        return ServiceUser(name, os.geteuid(), os.getegid())
    asked = os.environ.get(SERVICE_USER_VARIABLE)
    for name in [asked] if asked else ["coulance", "nobody"]:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid == 0:
            raise LayoutError(f"{SERVICE_USER_VARIABLE} names {name}, which is root; PostgreSQL refuses to run as root")
        return ServiceUser(name, entry.pw_uid, entry.pw_gid)
    raise LayoutError(
        f"there is no user {asked or 'coulance or nobody'} to run PostgreSQL as (it refuses to run as root); "
        "make one: adduser --system --group coulance"
    )


def can_traverse(directory: Path, user: ServiceUser) -> bool:
    """Whether that user may pass through the directory and all above it, by owner, group and mode."""
    try:
        groups = set(os.getgrouplist(user.name, user.gid))
    except OSError:
        groups = {user.gid}
    for step in (directory, *directory.parents):
        try:
            info = step.stat()
        except FileNotFoundError:
            continue
        except PermissionError:
            return False
        if info.st_uid == user.uid:
            allowed = info.st_mode & stat.S_IXUSR
        elif info.st_gid in groups:
            allowed = info.st_mode & stat.S_IXGRP
        else:
            allowed = info.st_mode & stat.S_IXOTH
        if not allowed:
            return False
    return True


def database_layout(home: Path) -> DatabaseLayout:
    """Choose the places for an instance. The same home and user always give the same answer."""
    user = service_user()
    base = home
    if user.is_other:
        # A home that doesn't exist yet will be ours to make, and passable for the user; one that exists is as it is.
        reachable = can_traverse(home if home.exists() else home.parent, user)
        if not reachable:
            base = Path("/var/lib/coulance") / _short(home)
    socket_dir = base / "socket"
    if len(os.fsencode(socket_dir / _SOCKET_NAME)) > SOCKET_PATH_LIMIT:
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
        socket_dir = runtime / f"coulance-{user.uid}-{_short(home)}"
        if len(os.fsencode(socket_dir / _SOCKET_NAME)) > SOCKET_PATH_LIMIT:
            socket_dir = Path("/tmp") / f"coulance-{user.uid}-{_short(home)}"  # noqa: S108 - made 0700 and its owner checked
    return DatabaseLayout(base=base, data_dir=base / "postgres", socket_dir=socket_dir, user=user)


def _short(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def make_private(directory: Path, *, owner: ServiceUser | None = None, group: int | None = None) -> None:
    """Make a directory that only its owner can enter (0700), or with `group` that group may pass through (0710).

    Parents that don't exist are made as the umask has it; parents that exist are left alone. A directory that exists
    must be its owner's, and is tightened when it was open to more.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    uid = owner.uid if owner else os.geteuid()
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        info = directory.lstat()
        if not stat.S_ISDIR(info.st_mode):
            raise LayoutError(f"{directory} is in the way: it is not a directory") from None
        if info.st_uid != uid:
            raise LayoutError(
                f"{directory} belongs to {user_name(info.st_uid)}, not to {user_name(uid)}; "
                "use another directory (COULANCE_HOME) or run as its owner"
            ) from None
    else:
        if owner is not None and owner.is_other:
            os.chown(directory, owner.uid, owner.gid)
    allowed = 0o700 if group is None else 0o710
    if group is not None and directory.stat().st_gid != group:
        os.chown(directory, -1, group)
    if stat.S_IMODE(directory.stat().st_mode) != allowed:
        directory.chmod(allowed)


def user_name(uid: int) -> str:
    """A user's name, or their number when they have none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user id {uid}"
