"""What the usage room refuses, by name."""

from dataclasses import dataclass


class UsageError(Exception):
    """Base of the room's refusals."""


@dataclass
class UnableToReadBatchError(UsageError):
    """A batch can't be decoded or lacks a column; nothing of it was taken. `where` names the place in it."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class UnableToIngestError(UsageError):
    """A batch is refused as a whole, for a reason that is not in its rows (a key used for two different batches)."""


class UnableToReplayError(UsageError):
    """Quarantined samples can't be replayed or discarded as asked."""


class UnableToReadSegmentError(UsageError):
    """A segment that the manifest names is missing or damaged; restore it from a backup."""


class UnableToSealError(UsageError):
    """Sealing, compaction or retention can't go on; nothing was changed."""
