"""The first operator is an admin, later ones may only look; a role changes for a reason and locks nobody out."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from coulance.platform import audit, operators
from coulance.platform.operators import UnableToChangeOperatorError
from coulance.platform.roles import Permission, Role, may

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)


def _make(name: str, role: Role | None = None) -> operators.Person:
    return operators.make_operator(name=name, email="", at=AT, actor="test", role=role)


def _change(name: str, role: Role, reason: str = "new job") -> operators.Person:
    return operators.change_role(name=name, role=role, actor="operator:anna", reason=reason, at=AT)


def test_the_first_is_an_admin_and_later_ones_look(db: Any) -> None:
    assert [_make(name).role for name in ("anna", "bert", "cees")] == [Role.ADMIN, Role.VIEWER, Role.VIEWER]
    assert _make("dora", Role.BILLING).role is Role.BILLING


def test_a_role_changes_for_a_reason_that_is_kept(db: Any) -> None:
    _make("anna")
    _make("bert")
    assert _change("bert", Role.BILLING).role is Role.BILLING
    (event,) = audit.events(act="operator.role_changed")
    assert (event.subject, event.reason) == ("operator:bert", "new job")
    assert event.detail == {"before": "viewer", "role": "billing"}
    _change("bert", Role.BILLING)  # nothing changes, nothing is recorded
    assert len(audit.events(act="operator.role_changed")) == 1
    with pytest.raises(UnableToChangeOperatorError, match="say why"):
        _change("bert", Role.ADMIN, "  ")
    with pytest.raises(UnableToChangeOperatorError, match="no operator zoe"):
        _change("zoe", Role.ADMIN)


def test_the_last_admin_can_neither_step_down_nor_be_shut_out(db: Any) -> None:
    _make("anna")
    _make("bert")
    with pytest.raises(UnableToChangeOperatorError, match="last active admin"):
        _change("anna", Role.VIEWER)
    with pytest.raises(UnableToChangeOperatorError, match="last active admin"):
        operators.change_access(name="anna", active=False, actor="test", reason="left", at=AT)
    assert operators.operators()[0].active
    _change("bert", Role.ADMIN)
    assert operators.change_access(name="anna", active=False, actor="test", reason="left", at=AT).active is False
    assert operators.change_access(name="anna", active=True, actor="test", reason="back", at=AT).active is True


def test_shutting_out_ends_links_that_were_not_used(db: Any) -> None:
    _make("anna")
    _make("bert")
    secret = operators.make_link(name="bert", at=AT, actor="test")
    operators.change_access(name="bert", active=False, actor="test", reason="left", at=AT)
    operators.change_access(name="bert", active=True, actor="test", reason="back", at=AT)
    with pytest.raises(operators.UnableToSignInError):
        operators.use_link(secret=secret, at=AT)


def test_who_is_inactive_or_of_no_known_role_may_do_nothing() -> None:
    from coulance.platform.models import Operator

    assert may(Operator(username="a", is_staff=True, role="admin"), Permission.PEOPLE)
    assert not may(Operator(username="a", is_staff=True, role="viewer"), Permission.MONEY)
    assert not may(Operator(username="a", is_staff=True, role="admin", is_active=False), Permission.SEE)
    assert not may(Operator(username="a", role="admin"), Permission.SEE)
    assert not may(Operator(username="a", is_staff=True, role="gone"), Permission.SEE)


def test_the_database_knows_the_roles(db: Any) -> None:
    _make("anna")
    with pytest.raises(IntegrityError), transaction.atomic():
        connection.cursor().execute("UPDATE platform_operator SET role = 'king'")


def test_operators_of_before_are_admins(committed_db: Any) -> None:
    from django.core.management import call_command

    call_command("migrate", "platform", "0002", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO platform_operator (password, is_superuser, username, first_name, last_name, email, is_staff,"
            " is_active, date_joined) VALUES ('', false, 'old', '', '', '', true, true, now())"
        )
    call_command("migrate", "platform", verbosity=0)
    assert [(person.name, person.role) for person in operators.operators()] == [("old", Role.ADMIN)]
