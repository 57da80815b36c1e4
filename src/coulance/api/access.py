"""Who asks: a scoped token, sent as `Authorization: Bearer cl_...`."""

from typing import Any

from django.http import HttpRequest
from ninja.security import HttpBearer

from coulance.api.problems import Problem
from coulance.platform import clock, tokens
from coulance.platform.tokens import Token


def verify(request: HttpRequest, scope: str | None) -> Token:
    """The token of a request, judged once a request; raises `Problem` (401, 403). No scope: any valid token."""
    kept: dict[str | None, Token] = request.__dict__.setdefault("_coulance_tokens", {})
    if scope not in kept:
        kind, _, text = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not text:
            raise Problem(401, "no-token", "send a token: Authorization: Bearer cl_... (coulance token create)")
        try:
            kept[scope] = tokens.verify(text.strip(), scope=scope, at=clock.now())
        except tokens.UnableToVerifyTokenError as fault:
            raise Problem(fault.status, "no-token" if fault.status == 401 else "no-scope", str(fault)) from fault
    return kept[scope]


class NeedsScope(HttpBearer):
    """A token that has the scope, or any valid one without. `request.auth` is then the token."""

    def __init__(self, scope: str | None) -> None:
        super().__init__()
        self.scope = scope

    def __call__(self, request: HttpRequest) -> Any:
        """The token, or the refusal that tells a missing token from one that may not."""
        return verify(request, self.scope)

    def authenticate(self, request: HttpRequest, token: str) -> Any:  # noqa: ARG002 - ninja's signature
        """As `__call__`."""
        return verify(request, self.scope)


def token_of(request: HttpRequest) -> Token:
    """The token that a request was allowed by."""
    found: Token = request.auth  # type: ignore[attr-defined]
    return found


def actor_of(request: HttpRequest) -> str:
    """Who acts, as the audit log names it."""
    return token_of(request).actor
