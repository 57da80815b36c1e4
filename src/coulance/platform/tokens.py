"""Keys to the API. A token is shown once, when it is made; the database keeps only its hash.

A token reads `cl_<prefix>_<secret>`: the prefix names it in lists, logs and the audit trail and is no secret.
The secret has 256 bits, so that a plain SHA-256 is safe: there is nothing to guess.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from coulance.platform import audit
from coulance.platform.models import ApiToken
from coulance_core.kernel import require_aware

SCOPES: dict[str, str] = {
    "usage:write": "send samples",
    "usage:read": "read usage figures and coverage",
    "usage:assign": "assign series in quarantine to services, or give their samples up",
    "catalog:read": "read plans and prices",
    "customers:read": "read accounts, contacts and services",
    "customers:write": "make and change accounts and contacts",
    "services:write": "start services, change their plans, end them",
    "invoices:read": "read invoices, their explanations and PDFs",
    "invoices:write": "give credit notes",
    "periods:read": "read closed periods, parked accounts and number series",
    "periods:try": "try what closing a period would bill",
    "periods:write": "close periods",
    "payments:read": "read payments, open items and balances",
    "payments:write": "book, allocate and reverse payments, and note refunds",
    "debit:read": "read mandates, collections by direct debit and the files they went in",
    "debit:write": "keep and end mandates, mark files of collections as sent",
    "disputes:read": "read contested bills: cases, their steps and what they hold",
    "disputes:write": "open cases, ask, answer, decide them",
    "contracts:read": "read service contracts, their hours, tickets and clocks",
    "contracts:write": "write down work, tickets and what happened to them; ask for leave",
    "enforce:read": "read restrictions of services, and what was done about them",
    "enforce:write": "restrict the network of services, and lift it again",
    "webhooks:read": "read webhook endpoints and deliveries",
    "webhooks:write": "add, change, test and replay webhook endpoints",
    "audit:read": "read the audit log",
    "probe": "hand over what a probe agent saw (made by: coulance sla agent add)",
    "uptime:write": "send what other monitoring saw of services: heartbeats, checks, histories",
    "uptime:hook": "send what other monitoring saw by an address that carries the token (/hooks/uptime), and no more",
    "uptime:read": "read outages, measures and credits of uptime",
    "metrics": "read the metrics of the instance (/metrics)",
}
"""Every scope there is, and what it lets a token do."""

_LAST_USED_STEP = timedelta(minutes=5)
_PREFIX_BYTES = 5
_SHAPE = re.compile(r"cl_(?P<prefix>[0-9a-f]{10})_(?P<secret>[A-Za-z0-9_-]{1,200})")


class UnableToMakeTokenError(ValueError):
    """The token asked for makes no sense: unknown scope, no name, or an end in the past."""


class UnableToRevokeTokenError(LookupError):
    """There is no such token, or it is revoked already."""


class UnableToVerifyTokenError(PermissionError):
    """The token does not open this; `status` is the HTTP answer: 401 for no valid token, 403 for a missing scope."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Token:
    """What may be known of a token after it was made."""

    name: str
    prefix: str
    scopes: tuple[str, ...]
    made_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @property
    def actor(self) -> str:
        """How the audit log names it."""
        return f"token:{self.prefix}"

    def state(self, at: datetime) -> str:
        """valid, expired or revoked, at that instant."""
        if self.revoked_at is not None and self.revoked_at <= at:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= at:
            return "expired"
        return "valid"


def _of(row: ApiToken) -> Token:
    return Token(row.name, row.prefix, tuple(row.scopes), row.made_at, row.expires_at, row.revoked_at, row.last_used_at)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def make_token(
    *, name: str, scopes: Sequence[str], at: datetime, actor: str, expires_at: datetime | None = None
) -> tuple[str, Token]:
    """Make a token; returns the text to hand over, which can't be had again, and what is kept of it."""
    require_aware(at)
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown:
        raise UnableToMakeTokenError(f"there is no scope {unknown[0]!r}; choose from {', '.join(SCOPES)}")
    if not scopes:
        raise UnableToMakeTokenError(f"a token needs at least one scope; choose from {', '.join(SCOPES)}")
    if not name.strip():
        raise UnableToMakeTokenError("a token needs a name that says who holds it")
    if expires_at is not None and require_aware(expires_at) <= at:
        raise UnableToMakeTokenError(f"the token would end at {expires_at.isoformat()}, which is not in the future")
    prefix = secrets.token_hex(_PREFIX_BYTES)
    secret = secrets.token_urlsafe(32)
    with transaction.atomic():
        row = ApiToken.objects.create(
            name=name.strip(),
            prefix=prefix,
            secret_hash=_hash(secret),
            scopes=sorted(set(scopes)),
            made_at=at,
            expires_at=expires_at,
        )
        audit.record(
            actor=actor,
            act="token.made",
            subject=f"token:{prefix}",
            at=at,
            detail={"name": row.name, "scopes": row.scopes},
        )
    return f"cl_{prefix}_{secret}", _of(row)


def revoke_token(*, prefix: str, at: datetime, actor: str, reason: str = "") -> Token:
    """Revoke a token from this instant on. Takes the prefix, with or without `cl_`."""
    require_aware(at)
    bare = prefix.removeprefix("cl_").split("_")[0]
    with transaction.atomic():
        changed = ApiToken.objects.filter(prefix=bare, revoked_at__isnull=True).update(revoked_at=at)
        if not changed:
            known = ApiToken.objects.filter(prefix=bare).exists()
            raise UnableToRevokeTokenError(
                f"token {bare} is revoked already" if known else f"there is no token {bare}; see: coulance token list"
            )
        audit.record(actor=actor, act="token.revoked", subject=f"token:{bare}", at=at, reason=reason)
        return _of(ApiToken.objects.get(prefix=bare))


def tokens() -> list[Token]:
    """Every token, the newest first."""
    return [_of(row) for row in ApiToken.objects.order_by("-made_at", "-id")]


def verify(text: str, *, scope: str | None, at: datetime) -> Token:
    """The token that this text is, if it is valid at that instant and has the scope (none: any will do).

    Raises UnableToVerifyTokenError. A wrong secret, an unknown prefix and an expired token answer alike, so that the
    answer tells nothing about which tokens exist. Notes the use, at most every five minutes.
    """
    shape = _SHAPE.fullmatch(text)
    row = ApiToken.objects.filter(prefix=shape["prefix"]).first() if shape else None
    # Compared also when there is no such token: the time to answer must not tell either.
    right = hmac.compare_digest(_hash(shape["secret"] if shape else ""), bytes(row.secret_hash) if row else bytes(32))
    token = _of(row) if row and right else None
    if token is None or token.state(at) != "valid":
        raise UnableToVerifyTokenError("this token is not valid; make one with: coulance token create", status=401)
    if scope is not None and scope not in token.scopes:
        raise UnableToVerifyTokenError(
            f"token {token.prefix} lacks the scope {scope}; it has {', '.join(token.scopes)}", status=403
        )
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=at - _LAST_USED_STEP)
    if token.last_used_at is None or token.last_used_at < at - _LAST_USED_STEP:
        ApiToken.objects.filter(stale, prefix=token.prefix).update(last_used_at=at)
    return token
