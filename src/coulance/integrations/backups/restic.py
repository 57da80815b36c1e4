"""restic: directories of this machine, into a repository of the provider's. restic's own program does the work.

Parameters of a target: `paths`, one or more directories; `identity_file`, a small file below the first of them
(`.coulance-service` unless said) whose first line is the target's identity. It is read before anything else is, and
again out of the snapshot: a path that leads elsewhere since yesterday is refused rather than backed up.

Verified means restored: the snapshot is restored into a scratch directory, restic compares each file with the
repository (`--verify`), and we compare number, bytes and the checksum of every file that has not changed since in its
place. With `verify="read-data"` every pack of the repository is read and checked instead (`check --read-data`), for
data that fits no scratch directory; a part of the packs (`--read-data-subset`) is no proof about one service, and isn't
offered.

The program is run by its arguments, without a shell, in an environment of its own: the repository's password and keys
are in no command line. It is given no cache, so that what is verified is what lies in the repository. A program that
was killed leaves a lock behind; `restic unlock` removes those of programs that are gone, and no others.
"""

import contextlib
import hashlib
import json
import os
import re
import stat
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from coulance.arrears.ports import BackupError, BackupTarget, Receipt, Verified, WrongServiceError
from coulance.platform import programs

IDENTITY_FILE = ".coulance-service"
_LARGEST = 16 * 1024 * 1024
_TAG = re.compile(r"[A-Za-z0-9._:/=+-]{1,200}")
_SNAPSHOT = re.compile(r"[0-9a-f]{64}")


class Restic:
    """One repository. `password` and each of `environment` give a secret when it is needed.

    `scratch` is where snapshots are restored to; it needs the room of the largest of them.
    """

    def __init__(
        self,
        repository: str,
        *,
        password: Callable[[], str],
        program: Sequence[str] = ("restic",),
        environment: Mapping[str, Callable[[], str]] | None = None,
        verify: Literal["restore", "read-data"] = "restore",
        scratch: Path | None = None,
        timeout_s: float = 6 * 3600.0,
        name: str = "restic",
    ) -> None:
        if not repository or repository.startswith("-"):
            raise BackupError(f"expected a repository such as /srv/backups or sftp:host:/backups, not {repository!r}")
        self._repository, self._password, self._program = repository, password, list(program)
        self._environment = dict(environment or {})
        self._how, self._scratch, self._timeout, self._name = verify, scratch, timeout_s, name

    def back_up(self, service: str, target: BackupTarget, *, key: str) -> Receipt:
        """A snapshot of the target's directories.

        Made again after a crash, whatever came of the one before: what it had stored already is not stored twice, and a
        snapshot that nobody saw end well (restic leaves one where files could not be read) is never taken for whole.
        """
        paths, identity_file = _parameters(target)
        tags = (f"coulance-service={service}", f"coulance-key={key}")
        for tag in tags:
            if not _TAG.fullmatch(tag):
                raise BackupError(f"{tag!r} can't be a snapshot's tag: expected letters, digits and .:/=+-")
        _require_identity(_first_line(identity_file), target.identity, str(identity_file))
        self._unlock()
        told = self._run("backup", "--json", *(x for tag in tags for x in ("--tag", tag)), "--", *paths)
        made = _summary(told)
        snapshot = next((one for one in self._snapshots(",".join(tags)) if str(one["id"]).startswith(made)), None)
        if snapshot is None:
            raise BackupError(f"restic ended well, but the repository has no snapshot {made}")
        inside = self._run("dump", str(snapshot["id"]), str(identity_file)).decode(errors="replace")
        _require_identity(inside.partition("\n")[0].strip(), target.identity, f"{identity_file} in the snapshot")
        sizes = json.loads(self._run("stats", "--json", "--mode", "restore-size", str(snapshot["id"])))
        return Receipt(
            self._name,
            service,
            target.identity,
            str(snapshot["id"]),
            datetime.fromisoformat(_seconds(str(snapshot["time"]))),
            int(sizes["total_size"]),
            str(snapshot["tree"]),
            {"paths": paths, "identity_file": str(identity_file), "files": int(sizes["total_file_count"]), "key": key},
        )

    def verify(self, receipt: Receipt) -> Verified:
        """Whether the snapshot can be read whole, by restoring it or by reading all the repository holds."""
        snapshot = self._snapshot(receipt)
        if snapshot is None:
            return Verified(False, f"the repository has no snapshot {receipt.ref[:8]}")
        if snapshot["tree"] != receipt.digest:
            return Verified(False, f"snapshot {receipt.ref[:8]} holds another tree than the receipt says")
        self._unlock()
        if self._how == "read-data":
            told = self._try("check", "--read-data")
            if told:
                return Verified(False, f"restic check --read-data: {told}")
            return Verified(True, "every pack of the repository read, every checksum right", {"tree": receipt.digest})
        with tempfile.TemporaryDirectory(prefix="coulance-restore-", dir=self._scratch) as scratch:
            told = self._try("restore", "--verify", receipt.ref, "--target", scratch)
            if told:
                return Verified(False, f"restic restore: {told}")
            return _compared(Path(scratch), receipt)

    def still_there(self, receipt: Receipt) -> bool:
        """Whether the repository lists the snapshot, of the very tree."""
        snapshot = self._snapshot(receipt)
        return snapshot is not None and snapshot["tree"] == receipt.digest

    def _snapshot(self, receipt: Receipt) -> dict[str, Any] | None:
        if not _SNAPSHOT.fullmatch(receipt.ref):
            raise BackupError(f"{receipt.ref!r} is no snapshot of restic's")
        return next((one for one in self._snapshots() if one["id"] == receipt.ref), None)

    def _snapshots(self, tags: str = "") -> list[dict[str, Any]]:
        told = self._run("snapshots", "--json", "--no-lock", *(("--tag", tags) if tags else ()))
        try:
            found = json.loads(told)
        except ValueError as error:
            raise BackupError(f"restic listed what is no JSON: {told[:100]!r}") from error
        if found is None:
            return []
        if not isinstance(found, list) or not all(isinstance(one, dict) and one.get("id") for one in found):
            raise BackupError(f"restic listed what is no snapshots: {told[:100]!r}")
        return found

    def _unlock(self) -> None:
        self._run("unlock", "--quiet")

    def _try(self, *arguments: str) -> str:
        """What restic says against it, or nothing. Only a repository that answers at all can be found faulty."""
        status, _, fault = self._call(*arguments)
        if status:
            self._snapshots()  # raises where the repository is out of reach: that would be no answer
            return fault or f"ended with status {status}"
        return ""

    def _run(self, *arguments: str) -> bytes:
        status, told, fault = self._call(*arguments)
        if status:
            raise BackupError(f"restic {arguments[0]} ended with status {status}: {fault or 'it said nothing'}")
        return told

    def _call(self, *arguments: str) -> tuple[int, bytes, str]:
        password = self._password()
        hidden = {name: read() for name, read in self._environment.items()}
        environment = {"RESTIC_REPOSITORY": self._repository, "RESTIC_PASSWORD": password, **hidden}
        try:
            ran = programs.run(
                [*self._program, "--no-cache", *arguments],
                timeout_s=self._timeout,
                largest=_LARGEST,
                environment=environment,
            )
        except programs.ProgramError as error:
            raise BackupError(f"{self._program[0]} {arguments[0]} {error}") from error
        fault = " ".join(ran.fault.split())
        for value in (password, *hidden.values()):
            fault = fault.replace(value, "...") if value else fault
        return ran.status, ran.told, fault[:500]


def _parameters(target: BackupTarget) -> tuple[list[str], Path]:
    given = target.parameters
    paths = given.get("paths")
    if not isinstance(paths, list | tuple) or not paths or not all(isinstance(one, str) for one in paths):
        raise BackupError(f'expected paths, such as ["/srv/www/klant"], in the parameters, not {paths!r}')
    for one in paths:
        path = Path(one)
        if not path.is_absolute() or ".." in path.parts or path.parent == path:
            raise BackupError(f"{one}: expected the whole path of a directory, without ..")
        if not path.is_dir():
            raise BackupError(f"{one} is no directory here")
        if path.resolve() != path:
            raise WrongServiceError(f"{one} leads to {path.resolve()}: name that, if it is meant")
    name = given.get("identity_file", IDENTITY_FILE)
    if not isinstance(name, str) or not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise BackupError(f"expected identity_file as a name below {paths[0]}, not {name!r}")
    return list(paths), Path(paths[0]) / name


def _first_line(path: Path) -> str:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise WrongServiceError(f"{path} is no file")
            return file.read(500).decode(errors="replace").partition("\n")[0].strip()
    except OSError as error:
        raise WrongServiceError(
            f"{path} can't be read, so nobody knows whose data this is: {error.strerror}"
        ) from error


def _require_identity(found: str, meant: str, where: str) -> None:
    if not meant or found != meant:
        raise WrongServiceError(f"{where} says {found[:100]!r}: expected {meant!r}")


def _summary(told: bytes) -> str:
    for line in reversed(told.decode(errors="replace").splitlines()):
        with contextlib.suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict) and found.get("message_type") == "summary":
                made = found.get("snapshot_id")
                if isinstance(made, str) and re.fullmatch(r"[0-9a-f]{8,64}", made):
                    return made
    raise BackupError("restic ended well without saying which snapshot it made")


def _compared(scratch: Path, receipt: Receipt) -> Verified:
    """What was restored, beside what the receipt says and what is in its place now."""
    files, size, compared, whole = 0, 0, 0, hashlib.sha256()
    for restored in sorted(path for path in scratch.rglob("*") if path.is_file() and not path.is_symlink()):
        own = restored.lstat()
        place = Path("/") / restored.relative_to(scratch)
        digest = _sha256(restored)
        whole.update(f"{place}\0{own.st_size}\0{digest}\n".encode(errors="surrogateescape"))
        files, size = files + 1, size + own.st_size
        with contextlib.suppress(OSError):
            now = place.lstat()
            if stat.S_ISREG(now.st_mode) and (now.st_size, now.st_mtime_ns) == (own.st_size, own.st_mtime_ns):
                if _sha256(place) != digest and place.lstat().st_mtime_ns == own.st_mtime_ns:
                    return Verified(False, f"{place} is restored otherwise than it is, and has not changed since")
                compared += 1
    if missing := _missing(scratch, receipt):
        return Verified(False, f"{missing} is older than the backup and not in it")
    if size != receipt.size:
        return Verified(False, f"{size} bytes were restored of {receipt.size}")
    identity = scratch / str(receipt.detail["identity_file"]).lstrip("/")
    if not identity.is_file() or _first_line(identity) != receipt.identity:
        return Verified(False, f"what was restored is not {receipt.identity}")
    evidence = {"files": files, "bytes": size, "compared": compared, "sha256": whole.hexdigest()}
    return Verified(True, f"restored {files} files, {size} bytes; {compared} compared with their place", evidence)


def _missing(scratch: Path, receipt: Receipt) -> str:
    """A file that was in its place before the backup began, and isn't in it."""
    began = receipt.made_at.timestamp()
    for root in receipt.detail["paths"]:
        for folder, _, names in os.walk(root):
            for name in names:
                place = Path(folder, name)
                with contextlib.suppress(OSError):
                    if place.lstat().st_ctime < began and not os.path.lexists(scratch / str(place).lstrip("/")):
                        return str(place)
    return ""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seconds(text: str) -> str:
    """An instant of restic's without its nanoseconds, which Python doesn't read.

    >>> _seconds("2026-11-22T12:00:00.123456789+01:00")
    '2026-11-22T12:00:00.123456+01:00'
    """
    return re.sub(r"(\.\d{6})\d+", r"\1", text).replace("Z", "+00:00")
