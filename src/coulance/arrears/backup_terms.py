"""How services are backed up, from the provider file: `[arrears.backups.KEY]`. Reading it touches nothing.

    [arrears.backups.web]
    kind = "restic"
    plans = ["web-s", "web-l"]              # none named: every plan that no other entry names
    repository = "sftp:backup@vault:/srv/web"
    secret = "backup_web"                   # coulance secret set backup_web
    paths = ["/srv/www/{service}"]          # {service} is the service's own id
    identity_file = ".coulance-service"     # its first line says whose data it is
    verify = "restore"                      # or "read-data"

    [arrears.backups.vps]
    kind = "vzdump"
    url = "https://pve1.example.nl:8006"
    secret = "proxmox_backup"
    storage = "pbs"
    verify = "verify-state"                 # or "test-restore", with scratch_vmid

A guest's number and identity are those of the service's network target (`coulance enforce target`).
"""

import string
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from coulance_core.catalog.faults import Fault
from coulance_core.catalog.reading import Table


class BackupKind(StrEnum):
    """What makes the backup."""

    RESTIC = "restic"
    VZDUMP = "vzdump"


class Verify(StrEnum):
    """How a backup is verified: of restic restore and read-data, of vzdump verify-state and test-restore."""

    RESTORE = "restore"
    READ_DATA = "read-data"
    VERIFY_STATE = "verify-state"
    TEST_RESTORE = "test-restore"


_VERIFY = {
    BackupKind.RESTIC: (Verify.RESTORE, Verify.READ_DATA),
    BackupKind.VZDUMP: (Verify.VERIFY_STATE, Verify.TEST_RESTORE),
}


@dataclass(frozen=True, slots=True)
class BackupTerms:
    """One entry. `environment`: variables of restic's and the secrets that hold their values (keys of an S3 store)."""

    key: str
    kind: BackupKind
    secret: str
    verify: Verify
    plans: tuple[str, ...] = ()
    timeout_s: int = 6 * 3600
    repository: str = ""
    paths: tuple[str, ...] = ()
    identity: str = "{service}"
    identity_file: str = ".coulance-service"
    scratch: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    storage: str = ""
    scratch_vmid: int = 0
    scratch_storage: str = ""
    ca_file: str = ""


def read_backups(data: Mapping[str, Any]) -> tuple[dict[str, BackupTerms], list[Fault]]:
    """The entries of `[arrears.backups]`, and what is wrong with them, by path (`backups.web.paths`)."""
    faults: list[Fault] = []
    found = {}
    for key, table in Table(data, "backups", faults).items():
        found[key] = _entry(key, table)
    named: dict[str, str] = {}
    for key, one in found.items():
        for plan in one.plans or ("",):
            if plan in named:
                said = f"plan {plan}" if plan else "every plan that no other entry names"
                faults.append(
                    Fault(f"backups.{key}.plans" if plan else f"backups.{key}", f"{said} is {named[plan]}'s already")
                )
            named.setdefault(plan, key)
    return found, faults


def judge_backups(data: Any) -> Iterable[Fault]:
    """What is wrong with `[arrears.backups]`, by path inside `[arrears]`."""
    if not isinstance(data, Mapping):
        return [Fault("backups", "expected tables such as [arrears.backups.web]")]
    return read_backups(data)[1]


def backup_for(plans: Collection[str], terms: Mapping[str, BackupTerms]) -> BackupTerms | None:
    """The entry for a service on these plans: one that names a plan of it, else the one for the rest, else none."""
    return next(
        (one for one in terms.values() if set(one.plans) & set(plans)),
        next((one for one in terms.values() if not one.plans), None),
    )


def _entry(key: str, t: Table) -> BackupTerms:
    kind = t.choice("kind", BackupKind)
    usual = _VERIFY.get(kind, (Verify.RESTORE,))
    verify = t.choice("verify", Verify, usual[0])
    if verify not in usual:
        t.fault("verify", f"expected {' or '.join(usual)} with {kind}")
    common: dict[str, Any] = {
        "plans": t.texts("plans") if t.has("plans") else (),
        "secret": t.text("secret"),
        "timeout_s": t.whole("timeout_s", 6 * 3600),
    }
    if kind is BackupKind.VZDUMP:
        own: dict[str, Any] = {
            "url": t.text("url"),
            "storage": t.text("storage"),
            "scratch_vmid": t.whole("scratch_vmid", 0),
            "scratch_storage": t.text("scratch_storage", ""),
            "ca_file": t.text("ca_file", ""),
        }
        if not own["url"].startswith("https://"):
            t.fault("url", "expected https://host:8006")
        if verify is Verify.TEST_RESTORE and own["scratch_vmid"] < 100:
            t.fault("scratch_vmid", "a test restore needs a guest's number, of 100 or more, that is kept free")
    else:
        own = {
            "repository": t.text("repository"),
            "paths": t.texts("paths"),
            "identity": t.text("identity", "{service}"),
            "identity_file": t.text("identity_file", ".coulance-service"),
            "scratch": t.text("scratch", ""),
            "environment": dict(_texts(t)),
        }
        if not own["paths"]:
            t.fault("paths", 'expected the directories of a service, such as ["/srv/www/{service}"]')
        for one in (*own["paths"], own["identity"]):
            if not _template(one):
                t.fault("paths", f"{one!r}: expected a text with nothing in braces but {{service}}")
        if not all("{service}" in one for one in own["paths"]):
            t.fault("paths", "expected {service} in each: two services can't have the same data")
    t.close()
    return BackupTerms(key, kind, verify=verify, **common, **own)


def _texts(t: Table) -> Iterable[tuple[str, str]]:
    if not t.has("environment"):
        return
    given: Any = t.value("environment", None, lambda value: value, None)
    if not isinstance(given, Mapping) or not all(isinstance(value, str) for value in given.values()):
        t.fault("environment", "expected names of variables and of the secrets that hold their values")
        return
    yield from given.items()


def _template(text: str) -> bool:
    try:
        return all(name in (None, "service") and not spec and not how for _, name, spec, how in _PARSER.parse(text))
    except ValueError:
        return False


_PARSER = string.Formatter()
