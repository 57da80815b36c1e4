"""What the doctor looks at without a database: this machine, the instance, the running parts. Changes nothing."""

import os
import shutil
import stat
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from coulance.platform import binaries, supervisor
from coulance.platform.instance import Instance, InstanceError, parse_database_url
from coulance.platform.layout import SERVICE_USER_VARIABLE, LayoutError, user_name

_LITTLE_SPACE = 2 * 10**9
_NO_SPACE = 300 * 10**6


class State(StrEnum):
    """How a finding stands: `fault` keeps Coulance from working or endangers data, `warn` will, `ok` doesn't."""

    OK = "ok"
    WARN = "warn"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it stands, what was seen, and what to do about it (empty when nothing)."""

    topic: str
    state: State
    seen: str
    do: str = ""


def machine() -> Iterator[Finding]:
    """Python and the programs that came with the installation."""
    yield Finding("python", State.OK, ".".join(map(str, sys.version_info[:3])))
    try:
        yield Finding("postgresql programs", State.OK, f"{binaries.MAJOR}, in {binaries.wheel_site()}")
    except LayoutError as fault:
        yield Finding("postgresql programs", State.FAULT, "not found", str(fault))


def home(here: Instance) -> Iterator[Finding]:
    """The instance's directory: is it there, is it private, is there room."""
    if not here.secrets_dir.is_dir():
        yield Finding("instance", State.FAULT, f"none at {here.home}", "make it with: coulance up")
        return
    yield Finding("instance", State.OK, str(here.home))
    for directory in (here.secrets_dir, here.segments_dir, here.run_dir):
        yield from _private(directory)
    for name in ("django_key", "database_password"):
        try:
            known = here.secret(name)
        except InstanceError as fault:
            yield Finding(f"secret {name}", State.FAULT, "not safe", str(fault))
        else:
            if known is None:
                yield Finding(f"secret {name}", State.FAULT, "missing", "coulance up makes it; sessions will end")
            else:
                yield Finding(f"secret {name}", State.OK, "set")
    if (here.secrets_dir / "database_password.next").exists():
        yield Finding(
            "secret database_password", State.WARN, "its rotation was interrupted",
            "finish it: coulance secret rotate database-password",
        )  # fmt: skip
    for path in sorted(here.secrets_dir.iterdir()):
        if path.is_file() and path.name not in ("django_key", "database_password") and path.stat().st_mode & 0o077:
            yield Finding(f"secret {path.name}", State.FAULT, "open to other users", f"chmod 600 {path}")
    free = shutil.disk_usage(here.home).free
    room = f"{free / 1e9:,.1f} GB free"
    if free < _NO_SPACE:
        yield Finding("disk", State.FAULT, room, f"make room where {here.home} is: the database stops when it is full")
    elif free < _LITTLE_SPACE:
        yield Finding("disk", State.WARN, room, f"make room where {here.home} is")
    else:
        yield Finding("disk", State.OK, room)


def _private(directory: Path) -> Iterator[Finding]:
    try:
        info = directory.stat()
    except FileNotFoundError:
        yield Finding(f"directory {directory}", State.WARN, "missing", "coulance up makes it")
        return
    mode = stat.S_IMODE(info.st_mode)
    if mode & 0o077:
        yield Finding(
            f"directory {directory}", State.FAULT, f"open to other users (mode {mode:o})", f"chmod 700 {directory}"
        )
    elif info.st_uid != os.geteuid():
        owner = user_name(info.st_uid)
        yield Finding(f"directory {directory}", State.FAULT, f"belongs to {owner}", f"run coulance as {owner}")


def settings(here: Instance) -> Iterator[Finding]:
    """What the environment says."""
    if here.database_url is not None:
        try:
            where = parse_database_url(here.database_url)
        except InstanceError as fault:
            yield Finding("DATABASE_URL", State.FAULT, "can't be used", str(fault))
        else:
            yield Finding(
                "DATABASE_URL", State.OK, f"database {where['NAME']} at {where['HOST'] or 'the local socket'}"
            )
    else:
        try:
            layout = here.database_layout()
        except LayoutError as fault:
            yield Finding("database user", State.FAULT, "none", str(fault))
        else:
            if layout.user.name == "nobody":
                yield Finding(
                    "database user",
                    State.WARN,
                    "the database runs as `nobody`, whom other programs may share",
                    f"run coulance as a user of its own rather than root, or: adduser --system --group coulance "
                    f"before the first start (or set {SERVICE_USER_VARIABLE})",
                )
            else:
                yield Finding("database user", State.OK, layout.user.name)
    public = os.environ.get("COULANCE_URL")
    if public and not public.startswith(("http://", "https://")):
        yield Finding(
            "COULANCE_URL", State.FAULT, public, "it must begin with https:// (or http:// inside your network)"
        )
    elif public and public.startswith("http://"):
        yield Finding("COULANCE_URL", State.WARN, public, "passwords travel in the clear: put TLS in front")
    elif public:
        yield Finding("COULANCE_URL", State.OK, public)
    if os.environ.get("COULANCE_DEBUG") == "1":
        yield Finding("COULANCE_DEBUG", State.WARN, "on", "unset it: errors show the program's inside to anyone")


def running(here: Instance) -> Iterator[Finding]:
    """Is `coulance up` running here, and does its web server answer."""
    known = supervisor.state(here)
    if known is None:
        yield Finding("up", State.WARN, "not running", "start it with: coulance up")
        return
    yield Finding("up", State.OK, f"process {known['pid']} at {known['address']}")
    try:
        with urllib.request.urlopen(f"{known['address']}/readyz", timeout=10) as answer:  # noqa: S310 - our own address
            answer.read()
    except urllib.error.HTTPError as fault:
        with fault:
            yield Finding(
                "health", State.FAULT, fault.read(500).decode(errors="replace"), "see the output of coulance up"
            )
    except OSError as fault:
        yield Finding("health", State.FAULT, f"no answer: {fault}", "see the output of coulance up")
    else:
        yield Finding("health", State.OK, "web, database and worker answer")
