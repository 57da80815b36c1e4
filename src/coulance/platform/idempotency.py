"""Idempotency-Key: a request that is sent again gets the answer it got, and does nothing again.

The answer is written in the transaction of what the request did. So there is an answer exactly when something was done:
a process killed between leaves neither, and the same request again does it. Who asks while the first is still at work
is told so, by a lock that ends with the first one's transaction.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coulance.platform.db import advisory_lock
from coulance.platform.models import IdempotentCall
from coulance_core.kernel import require_aware

KEPT = timedelta(hours=48)
"""How long an answer is given again; after that, the same key is a new request."""
LONGEST_KEY = 200


class AtWorkError(RuntimeError):
    """The first request with this key is still being answered."""


class OtherRequestError(ValueError):
    """The key was used for a request that was another one."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as it was given."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def fingerprint(method: str, address: str, body: bytes) -> bytes:
    """What makes two requests the same one: method, address with its query, and body."""
    return hashlib.sha256(b"\0".join((method.encode(), address.encode(), body))).digest()


def begin(*, token: str, key: str, request: bytes, at: datetime) -> Kept | None:
    """The answer to give again, or none: then do it, and `keep` the answer, in this same transaction.

    `request` is a fingerprint. Raises `AtWorkError` and `OtherRequestError`.
    """
    if not advisory_lock("idempotency", token, key, wait=False):
        raise AtWorkError("a request with this Idempotency-Key is still being answered; ask again in a moment")
    row = IdempotentCall.objects.filter(token=token, key=key).first()
    if row is None:
        return None
    if row.at < require_aware(at) - KEPT:
        row.delete()
        return None
    if bytes(row.fingerprint) != request:
        raise OtherRequestError("this Idempotency-Key was used for another request; use a new key for each")
    return Kept(row.status, bytes(row.body), row.headers)


def keep(*, token: str, key: str, request: bytes, answer: Kept, at: datetime) -> None:
    """Keep the answer of the request that `begin` found new."""
    IdempotentCall.objects.create(
        token=token, key=key, fingerprint=request, at=at, status=answer.status, headers=answer.headers, body=answer.body
    )
