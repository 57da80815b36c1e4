"""Named secrets of an instance: the mail server's password, keys of gateways and panels. Read here, and nowhere else.

A secret has a name (`mail`, `librenms`, `proxmox-ams1`). Its value is the environment's `COULANCE_<NAME>` if that is
set, else the file `<home>/secrets/<name>`, 0600 in a directory 0700. A provider file names a secret and never holds it.

Values are in no log, no audit event, no message of an error and no command line. A backup holds them only when asked to
(`coulance backup --with-secrets`).
"""

import os
import re
import secrets
from datetime import datetime

from django.db import transaction

from coulance.platform import audit
from coulance.platform.instance import Instance, current
from coulance_core.kernel import require_aware

OWN = ("django_key", "django_key_before", "database_password", "database_password.next")
"""What the instance makes and rotates itself; nobody sets these by hand, and `secret` doesn't tell them."""

MADE = ("webhook_key",)
"""What the instance makes itself and reads here: set or removed by hand it would make what it sealed unreadable."""

_SHAPE = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
_LONGEST_NAME = 60
_LONGEST_VALUE = 64 * 1024
# Variables that say how an instance runs: a secret of such a name would be read from the wrong place.
_TAKEN = frozenset(
    "HOME URL HOSTS DEBUG LOG LOG_FORMAT SEGMENTS SERVICE_USER SUPERVISED CASES TEST_RUN TEST_CONTROLLER PROXIES "
    "WEBHOOK_NETWORKS PUBLIC BOUNCES TICKET_MAIL LISTEN_FD NURSERY_FD READY_FD".split()
)


class UnableToKeepSecretError(ValueError):
    """The name or the value won't do, or there is no such secret; the message never holds the value."""


def secret(name: str, *, here: Instance | None = None) -> str | None:
    """A secret's value, or None where it was never set. The environment goes before the file.

    Raises UnableToKeepSecretError for a name that can't be one, and InstanceError for a file that others may read.
    Read it when it is needed rather than once: whoever replaces it need not restart anything then.
    """
    _require_name(name)
    from_environment = os.environ.get(variable(name))
    if from_environment:
        return from_environment.strip()
    return (here or current()).secret(name)


def variable(name: str) -> str:
    """The environment variable that goes before the file.

    >>> variable("proxmox-ams1")
    'COULANCE_PROXMOX_AMS1'
    """
    return f"COULANCE_{name.upper().replace('-', '_')}"


def set_secret(
    *, name: str, value: str, actor: str, at: datetime, reason: str = "", here: Instance | None = None
) -> None:
    """Keep a value under a name, in place of the one before. Whole or not at all; recorded without the value.

    White space around it is dropped, since a line's end comes along with most of what is piped. Raises
    UnableToKeepSecretError.
    """
    require_aware(at)
    _require_name(name, to_change=True)
    value = value.strip()
    if not value:
        raise UnableToKeepSecretError(f"nothing was given for {name}; pipe the value in, or type it when asked")
    if "\0" in value or len(value.encode()) > _LONGEST_VALUE:
        raise UnableToKeepSecretError(
            f"the value given for {name} is no text of at most {_LONGEST_VALUE // 1024} kB; is it the right file?"
        )
    instance = here or current()
    known = name in names(here=instance)
    with transaction.atomic():
        act = "secret.replaced" if known else "secret.set"
        audit.record(actor=actor, act=act, subject=f"secret:{name}", at=at, reason=reason)
        write(instance, name, value)


def remove_secret(*, name: str, actor: str, at: datetime, reason: str = "", here: Instance | None = None) -> None:
    """Forget a secret. Raises UnableToKeepSecretError when there is none of that name."""
    require_aware(at)
    _require_name(name, to_change=True)
    instance = here or current()
    if name not in names(here=instance):
        raise UnableToKeepSecretError(f"there is no secret {name}; see: coulance secret list")
    with transaction.atomic():
        audit.record(actor=actor, act="secret.removed", subject=f"secret:{name}", at=at, reason=reason)
        (instance.secrets_dir / name).unlink()


def names(*, here: Instance | None = None) -> list[str]:
    """The names of the secrets that files hold, without those that the instance makes itself."""
    directory = (here or current()).secrets_dir
    if not directory.is_dir():
        return []
    found = (path.name for path in directory.iterdir() if path.is_file() and not path.name.startswith("."))
    return sorted(name for name in found if name not in OWN + MADE)


def write(here: Instance, name: str, value: str) -> None:
    """Put a value into its file: a reader sees the one before or this one, also when the machine stops in between."""
    path = here.secrets_dir / name
    draft = path.with_name(f".{name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(value + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    finally:
        draft.unlink(missing_ok=True)


def _require_name(name: str, *, to_change: bool = False) -> None:
    if not _SHAPE.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise UnableToKeepSecretError(
            f"{name!r} is no name of a secret: small letters, digits and hyphens, such as proxmox-ams1"
        )
    if name in OWN or (to_change and name in MADE) or variable(name) in {f"COULANCE_{taken}" for taken in _TAKEN}:
        raise UnableToKeepSecretError(f"{name!r} is a name that Coulance uses itself; choose another")
