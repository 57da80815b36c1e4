"""Hash chains per customer account, and the Merkle root of a day.

Each entry's hash covers the one before it in the same account, so that nobody can change, drop or insert one without
every later hash changing. Chains are per account, so a close in parallel waits for nobody. A daily root over all
hashes of a day, itself chained to the day before, ties the accounts together: publish one line a day and nothing
before it can be rewritten unseen.

What is hashed holds no person: the account is a pseudonym, and the source goes in as a hash with the account's own
secret salt. Destroying the salt and the link from pseudonym to customer erases the person and breaks no chain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256

from coulance_core.kernel import require_aware
from coulance_core.ledger.entry import Entry

GENESIS = bytes(32)
"""What the first entry of an account has for a predecessor."""


def source_digest(salt: bytes, source: str) -> bytes:
    """The salted hash that stands for a source in the chain. Without the salt nobody can guess the source back.

    >>> source_digest(b"s" * 16, "document/1") == source_digest(b"t" * 16, "document/1")
    False
    """
    return sha256(salt + b"\x00" + source.encode()).digest()


def canonical_bytes(
    *, entry: Entry, seq: int, source_hash: bytes, recorded_at: datetime, reverses: bytes, previous: bytes
) -> bytes:
    """What an entry's hash is taken of: ASCII lines in a fixed order, named `coulance.entry/1`.

    `seq` counts from 1 within the account; `recorded_at` is to the microsecond in UTC; `reverses` is the hash of the
    entry that a reversal undoes, else empty; `previous` is the account's last hash or `GENESIS`.
    """
    head = (
        f"coulance.entry/1\nparty {entry.party.hex()}\nseq {seq}\nkind {entry.kind.value}\nsource {source_hash.hex()}\n"
        f"effective {entry.effective_on.isoformat()}\nrecorded {instant_text(recorded_at)}\n"
        f"reverses {reverses.hex()}\nprevious {previous.hex()}\n"
    )
    return (head + "".join([f"{p.account} {p.amount} {p.currency}\n" for p in entry.postings])).encode("ascii")


def entry_hash(
    *, entry: Entry, seq: int, source_hash: bytes, recorded_at: datetime, reverses: bytes = b"", previous: bytes
) -> bytes:
    """SHA-256 of the canonical bytes: the link that the account's next entry names."""
    return sha256(
        canonical_bytes(
            entry=entry,
            seq=seq,
            source_hash=source_hash,
            recorded_at=recorded_at,
            reverses=reverses,
            previous=previous,
        )
    ).digest()


def instant_text(instant: datetime) -> str:
    """An aware instant in UTC with microseconds: `2026-11-01T00:00:00.000000Z`.

    >>> instant_text(datetime(2026, 11, 1, tzinfo=UTC))
    '2026-11-01T00:00:00.000000Z'
    """
    return require_aware(instant).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _leaf(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The root of a Merkle tree over entry hashes (the tree of RFC 6962: leaves and nodes hash apart).

    A level's odd node goes up as it is, which gives the RFC's tree. No leaves: the hash of nothing.

    >>> merkle_root([]).hex()[:16]
    'e3b0c44298fc1c14'
    """
    if not leaves:
        return sha256(b"").digest()
    level = [_leaf(leaf) for leaf in leaves]
    while len(level) > 1:
        level = _up(level)
    return level[0]


def _up(level: Sequence[bytes]) -> list[bytes]:
    above = [_node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    return [*above, level[-1]] if len(level) % 2 else above


def merkle_proof(leaves: Sequence[bytes], index: int) -> tuple[tuple[str, bytes], ...]:
    """The neighbours that lead from leaf `index` up to the root: ("left" or "right", hash) from the bottom.

    With it a customer can check, holding only the published root, that their entry is in that day.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of {len(leaves)}")
    level = [_leaf(leaf) for leaf in leaves]
    path: list[tuple[str, bytes]] = []
    while len(level) > 1:
        if index % 2:
            path.append(("left", level[index - 1]))
        elif index + 1 < len(level):
            path.append(("right", level[index + 1]))
        level, index = _up(level), index // 2
    return tuple(path)


def proves(leaf: bytes, path: Sequence[tuple[str, bytes]], root: bytes) -> bool:
    """Whether `path` leads from `leaf` to `root`.

    >>> days = [bytes([i]) * 32 for i in range(5)]
    >>> path, root = merkle_proof(days, 3), merkle_root(days)
    >>> proves(days[3], path, root), proves(days[2], path, root)
    (True, False)
    """
    node = _leaf(leaf)
    for side, neighbour in path:
        node = _node(neighbour, node) if side == "left" else _node(node, neighbour)
    return node == root


@dataclass(frozen=True, slots=True)
class DaySeal:
    """A day closed for good: how many entries it recorded, their root, and the seal that chains it to the last."""

    day: date
    entries: int
    root: bytes
    previous: bytes
    seal: bytes


def seal_of(day: date, hashes: Sequence[bytes], previous: bytes) -> DaySeal:
    """Seal a UTC day. `hashes` are its entries' hashes in rising byte order; `previous` is the last seal or `GENESIS`.

    >>> seal_of(date(2026, 11, 1), [], GENESIS).entries
    0
    """
    ordered = sorted(hashes)
    root = merkle_root(ordered)
    text = (
        f"coulance.day/1\nday {day.isoformat()}\nentries {len(ordered)}\nroot {root.hex()}\nprevious {previous.hex()}\n"
    )
    return DaySeal(day, len(ordered), root, previous, sha256(text.encode()).digest())


def utc_day(instant: datetime) -> date:
    """The UTC day an instant is recorded under; days are sealed in UTC, whatever zone a customer lives in."""
    return require_aware(instant).astimezone(UTC).date()
