"""Taking a batch in, whoever brings it: a sender, or a collector that asked."""

from datetime import datetime

from coulance.usage import ingest, quarantine, registry
from coulance.usage.columns import Columns
from coulance.usage.ingest import BatchAnswer


def ingest_batch(
    *, columns: Columns, source: str, recorded_at: datetime, key: str | None = None, digest: bytes | None = None
) -> BatchAnswer:
    """Take a batch in, exactly once, durably: when this returns outside a transaction, everything is committed.

    `source` names the sender and `key` (its Idempotency-Key, or file and block) the batch; without a key the contents
    are their own. `digest` stands for the contents where what was sent is more than what is taken (32 bytes). The same
    batch again is answered as it was then. Good rows are taken and bad ones named. Inside a
    transaction of the caller it is the caller's commit that counts. Raises `UnableToIngestError` for a key that was
    used for a batch with other contents.
    """
    if digest is None:
        digest = columns.digest()
    name = key or f"contents:{digest.hex()}"
    table = registry.current()
    return ingest.ingest(
        columns=columns,
        table=table,
        source=source,
        key=name,
        digest=digest,
        recorded_at=recorded_at,
        quarantine=lambda unknown: quarantine.entries(columns, unknown, table),
    )
