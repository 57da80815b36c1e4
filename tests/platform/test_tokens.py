"""API tokens: shown once, kept as a hash, scoped, ended, revoked."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coulance.platform import audit, tokens
from coulance.platform.models import ApiToken
from coulance.platform.tokens import UnableToMakeTokenError, UnableToRevokeTokenError, UnableToVerifyTokenError
from coulance_core.kernel import PeriodError

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)


def _make(**changes: Any) -> tuple[str, tokens.Token]:
    given = {"name": "collector", "scopes": ["usage:write"], "at": AT, "actor": "cli:anna", **changes}
    return tokens.make_token(**given)


def test_only_the_hash_is_kept(db: Any) -> None:
    text, made = _make()
    assert text.startswith(f"cl_{made.prefix}_")
    row = ApiToken.objects.get()
    secret = text.split("_", 2)[2]
    assert len(bytes(row.secret_hash)) == 32
    assert secret not in repr(vars(row))
    assert secret not in repr(audit.events())
    assert len(secret) >= 43


def test_it_opens_its_scope_and_no_other(db: Any) -> None:
    text, made = _make(scopes=["usage:write", "usage:read"])
    assert tokens.verify(text, scope="usage:read", at=AT).prefix == made.prefix
    with pytest.raises(UnableToVerifyTokenError, match="lacks the scope invoices:read") as fault:
        tokens.verify(text, scope="invoices:read", at=AT)
    assert fault.value.status == 403


def test_whatever_is_wrong_with_it_the_answer_is_the_same(db: Any) -> None:
    text, made = _make(expires_at=AT + timedelta(days=1))
    other, _ = _make()
    wrong = [
        "", "cl", "cl__", "Bearer x", f"cl_{made.prefix}_", f"cl_{made.prefix}_guess", f"xx_{text[3:]}",
        f"cl_{made.prefix}_{other.split('_', 2)[2]}", text + "x", text.upper(), "cl_%_%", "cl_\x00aaaaaaaaa_x",
        "cl_ééééé_ü",
    ]  # fmt: skip
    said = set()
    for attempt in wrong:
        with pytest.raises(UnableToVerifyTokenError) as fault:
            tokens.verify(attempt, scope="usage:write", at=AT)
        assert fault.value.status == 401
        said.add(str(fault.value))
    with pytest.raises(UnableToVerifyTokenError) as fault:
        tokens.verify(text, scope="usage:write", at=AT + timedelta(days=1))
    said.add(str(fault.value))
    assert len(said) == 1
    assert tokens.verify(text, scope="usage:write", at=AT + timedelta(days=1, seconds=-1))


def test_revoked_it_no_longer_works(db: Any) -> None:
    text, made = _make()
    gone = tokens.revoke_token(prefix=made.prefix, at=AT, actor="cli:anna", reason="lost laptop")
    assert gone.state(AT) == "revoked"
    with pytest.raises(UnableToVerifyTokenError):
        tokens.verify(text, scope="usage:write", at=AT)
    with pytest.raises(UnableToRevokeTokenError, match="revoked already"):
        tokens.revoke_token(prefix=made.prefix, at=AT, actor="cli:anna")
    with pytest.raises(UnableToRevokeTokenError, match="there is no token"):
        tokens.revoke_token(prefix="0000000000", at=AT, actor="cli:anna")
    told = [(e.act, e.actor, e.reason) for e in audit.events(subject=f"token:{made.prefix}")]
    assert told == [("token.revoked", "cli:anna", "lost laptop"), ("token.made", "cli:anna", "")]


def test_its_use_is_noted_coarsely(db: Any) -> None:
    text, _ = _make()
    for after_s, expected_s in ((0, 0), (299, 0), (301, 301), (400, 301)):
        tokens.verify(text, scope="usage:write", at=AT + timedelta(seconds=after_s))
        assert tokens.tokens()[0].last_used_at == AT + timedelta(seconds=expected_s)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scopes": ["usage:writ"]}, "no scope 'usage:writ'; choose from usage:write,"),
        ({"scopes": []}, "at least one scope"),
        ({"name": "  "}, "needs a name"),
        ({"expires_at": AT}, "not in the future"),
    ],
)
def test_what_makes_no_sense_is_refused(db: Any, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UnableToMakeTokenError, match=said):
        _make(**changes)
    assert tokens.tokens() == []


def test_an_instant_without_a_zone_is_refused(db: Any) -> None:
    with pytest.raises(PeriodError):
        _make(at=datetime(2026, 11, 1))
