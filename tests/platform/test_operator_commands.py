"""`coulance operator`: roles, and whether a second factor is demanded, by hand and with a reason."""

from contextlib import nullcontext
from typing import Any

import pytest
from click.testing import CliRunner

from coulance.cli import operator as command
from coulance.platform import audit, operators, sign_in_policy


@pytest.fixture
def run(db: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(command, "working_database", lambda: nullcontext())
    return lambda *words: CliRunner().invoke(command.operator, list(words))


def test_roles_are_given_and_shown(run: Any) -> None:
    assert "Made operator anna (admin)" in run("create", "anna").output
    assert "Made operator bert (viewer)" in run("create", "bert").output
    assert "Made operator cees (support)" in run("create", "cees", "--role", "support").output
    assert run("role", "bert", "billing").exit_code == 2  # no reason
    assert "bert is billing" in run("role", "bert", "billing", "--reason", "closes months").output
    assert run("role", "bert", "king", "--reason", "x").exit_code == 2
    refused = run("role", "anna", "viewer", "--reason", "tired").exception
    assert isinstance(refused, operators.UnableToChangeOperatorError)
    assert "bert  billing  -  link only" in run("list").output
    assert audit.events(act="operator.role_changed")[0].reason == "closes months"


def test_a_second_factor_is_demanded_or_not_and_taken_away(run: Any) -> None:
    run("create", "anna")
    assert run("require-mfa").exit_code == 2
    assert "demanded of every operator" in run("require-mfa", "--reason", "policy").output
    assert sign_in_policy.policy().demanded
    assert "is not demanded" in run("require-mfa", "--off", "--reason", "moved").output
    assert "is not demanded" in run("require-mfa", "--by-address", "--reason", "as before").output
    assert not sign_in_policy.policy().decided
    assert "had no second factor" in run("reset-second-factor", "anna", "--reason", "lost").output
