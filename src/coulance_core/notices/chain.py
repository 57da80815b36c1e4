"""The chain of evidence of an account: each piece is hashed over the one before it, so that none is changed unseen.

What is hashed holds no person: the party is a pseudonym, and what is personal (addresses, a server's answer) goes in as
a hash with the account's own secret salt. Destroying the salt and the personal part erases the person, not the chain.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from coulance_core.kernel import require_aware

GENESIS = bytes(32)
"""What the first piece of an account has for a predecessor."""


def personal_digest(salt: bytes, personal: Mapping[str, Any]) -> bytes:
    """The salted hash that stands for the personal part. Without the salt nobody can guess it back.

    >>> personal_digest(b"s" * 16, {"to": "a@b.example"}) == personal_digest(b"t" * 16, {"to": "a@b.example"})
    False
    """
    return sha256(salt + b"\x00" + _canonical(personal)).digest()


def evidence_hash(
    *,
    party: bytes,
    seq: int,
    message: str,
    delivery: str,
    kind: str,
    at: datetime,
    recorded_at: datetime,
    fact: Mapping[str, Any],
    personal: bytes,
    previous: bytes,
) -> bytes:
    """SHA-256 over the canonical bytes of a piece of evidence, `coulance.evidence/1`: the link that the next names.

    `seq` counts from 1 within the account, instants are to the microsecond in UTC, `personal` is `personal_digest`.
    Texts are JSON, so that no line break in one can pass for a field.
    """
    text = (
        f"coulance.evidence/1\nparty {party.hex()}\nseq {seq}\nmessage {json.dumps(message)}\n"
        f"delivery {json.dumps(delivery)}\nkind {json.dumps(kind)}\nat {_instant(at)}\n"
        f"recorded {_instant(recorded_at)}\n"
        f"fact {_canonical(fact).decode()}\npersonal {personal.hex()}\nprevious {previous.hex()}\n"
    )
    return sha256(text.encode()).digest()


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def _instant(instant: datetime) -> str:
    return require_aware(instant).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
