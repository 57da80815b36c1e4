"""What a way to back a service up must do. Adapters live in `integrations.backups` and are handed in.

A backup counts only when it was verified and is still there: making one, verifying it and looking for it are three
questions, and each may be asked again after a crash.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from coulance_core.kernel import require_aware


class BackupError(RuntimeError):
    """The backup could not be made, read or looked for: trouble that may pass. Says nothing about the data."""


class WrongServiceError(BackupError):
    """What is there is not the service that was meant: nothing was backed up, and somebody must look."""


@dataclass(frozen=True, slots=True)
class BackupTarget:
    """Where a service's data is. `identity` is who must be there; `parameters` are the adapter's own."""

    identity: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A backup that was made: of which service, when it began, and under what name it is found again.

    `ref` is the store's own name of it (a snapshot's id, an archive's); `digest` identifies its content where the
    store has one; `detail` is what the adapter needs to verify it. `size` in bytes, of the data as it was read.
    """

    adapter: str
    service: str
    identity: str
    ref: str
    made_at: datetime
    size: int
    digest: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_aware(self.made_at)
        if not (self.adapter and self.service and self.identity and self.ref):
            raise ValueError("a receipt names its adapter, service, identity and backup")

    def to_json(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            "adapter": self.adapter,
            "service": self.service,
            "identity": self.identity,
            "ref": self.ref,
            "made_at": self.made_at.isoformat(),
            "size": self.size,
            "digest": self.digest,
            "detail": dict(self.detail),
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Receipt":
        """As it was kept. Raises `KeyError` or `ValueError` for what is none."""
        return Receipt(
            data["adapter"],
            data["service"],
            data["identity"],
            data["ref"],
            datetime.fromisoformat(data["made_at"]),
            int(data["size"]),
            data.get("digest", ""),
            data.get("detail", {}),
        )


@dataclass(frozen=True, slots=True)
class Verified:
    """What verifying found. Not `sound`: the backup doesn't count, and `how` says what is wrong with it."""

    sound: bool
    how: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


class BackupPort(Protocol):
    """One way to back services up. It never deletes or overwrites a backup, and never changes the service.

    Every call raises `BackupError` for trouble that may pass; that is no answer, and nothing is concluded from it.
    """

    def back_up(self, service: str, target: BackupTarget, *, key: str) -> Receipt:
        """Make a backup. `key` is the same for the same decision: asked again after a crash, a backup that was made or
        is being made for it may be found rather than made again.

        The identity is read back first. Raises `WrongServiceError` before anything is read of a service that isn't it.
        """
        ...

    def verify(self, receipt: Receipt) -> Verified:
        """Read the backup itself again: restored, or every checksum. A sample isn't enough."""
        ...

    def still_there(self, receipt: Receipt) -> bool:
        """Whether the store still has it."""
        ...


class DeletionError(RuntimeError):
    """The data could not be deleted, or nobody can tell: trouble that may pass. Tried again."""


class DeletionPort(Protocol):
    """One way to have a service's data deleted. It can't be undone, so who is there is read back before and after.

    Every call raises `DeletionError` for trouble that may pass; that is no answer, and nothing is concluded from it.
    """

    def identify(self, service: str, target: BackupTarget) -> str:
        """Who is there: the identity, as it reads itself; empty where nothing is there (any more)."""
        ...

    def delete(self, service: str, target: BackupTarget, *, key: str) -> str:
        """Delete it; the answer, kept as evidence. `key` is the same for the same decision: asked again, once."""
        ...
