"""Secrets: private files, whole or not at all, told by nobody; and rotation that a crash at any point can't break."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.test import Client

from coulance.platform import audit, rotation, secret_store
from coulance.platform.instance import Instance, InstanceError
from coulance.platform.secret_store import UnableToKeepSecretError
from tests.support.database import ROOT
from tests.support.instances import coulance, environment, new_home, ready_home

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def here(db: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    with new_home() as home:
        monkeypatch.setenv("COULANCE_HOME", str(home))
        made = Instance(home)
        made.prepare()
        yield made


def _set(name: str, value: str) -> None:
    secret_store.set_secret(name=name, value=value, actor="cli:anna", at=AT, reason="new key")


def test_a_secret_is_private_and_its_value_is_nowhere_else(here: Instance) -> None:
    _set("librenms", " s3cret-value \n")
    assert secret_store.secret("librenms") == "s3cret-value"
    _set("librenms", "another-value")
    path = here.secrets_dir / "librenms"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in here.secrets_dir.iterdir() if p.name.startswith(".")] == []
    events = audit.events(subject="secret:librenms")
    assert [event.act for event in events] == ["secret.replaced", "secret.set"]
    assert "value" not in str(events)
    assert secret_store.names() == ["librenms"]
    secret_store.remove_secret(name="librenms", actor="cli:anna", at=AT)
    assert secret_store.secret("librenms") is None
    with pytest.raises(UnableToKeepSecretError, match="there is no secret librenms"):
        secret_store.remove_secret(name="librenms", actor="cli:anna", at=AT)


def test_the_environment_goes_before_the_file(here: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    _set("proxmox-ams1", "file")
    monkeypatch.setenv("COULANCE_PROXMOX_AMS1", "environment")
    assert secret_store.secret("proxmox-ams1") == "environment"


def test_a_file_that_others_can_read_is_not_used(here: Instance) -> None:
    _set("librenms", "x")
    (here.secrets_dir / "librenms").chmod(0o644)
    with pytest.raises(InstanceError, match="chmod 600"):
        secret_store.secret("librenms")


@pytest.mark.parametrize(
    "name",
    ["", "A", "a b", "../x", "a/b", ".x", "-a", "a-", "a--b", "1a", "é", "x" * 61, "django_key", "home", "url",
     "log-format", "database_password", "database_password.next", "webhook_key", "proxies",
     "webhook-networks"],
)  # fmt: skip
def test_names_that_would_do_harm_are_refused(here: Instance, name: str) -> None:
    before = sorted(path.name for path in here.secrets_dir.iterdir())
    with pytest.raises(UnableToKeepSecretError):
        _set(name, "x")
    assert sorted(path.name for path in here.secrets_dir.iterdir()) == before


@pytest.mark.parametrize("value", ["", "  \n", "a\0b", "x" * 70_000])
def test_values_that_are_none_are_refused_without_repeating_them(here: Instance, value: str) -> None:
    with pytest.raises(UnableToKeepSecretError) as refused:
        _set("mail", value)
    assert "xxx" not in str(refused.value)
    assert secret_store.secret("mail") is None


def test_sessions_survive_two_rotations_of_the_key_and_not_three(
    here: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.conf import settings
    from django.contrib.sessions.backends.db import SessionStore

    def load() -> None:
        monkeypatch.setattr(settings, "SECRET_KEY", here.django_key())
        monkeypatch.setattr(settings, "SECRET_KEY_FALLBACKS", here.django_keys_before())

    load()
    store = SessionStore()
    store["who"] = "anna"
    store.create()
    key = store.session_key
    first = here.django_key()
    for survives in (True, True, False):
        rotation.rotate_django_key(here=here, actor="cli:anna", at=AT)
        load()
        assert (SessionStore(key).get("who") == "anna") is survives
    assert first not in [here.django_key(), *here.django_keys_before()]
    assert stat.S_IMODE((here.secrets_dir / "django_key_before").stat().st_mode) == 0o600


def test_a_rotation_of_the_key_stopped_half_way_loses_nothing(here: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    before = here.django_key()
    write = rotation.write

    def killed(instance: Instance, name: str, value: str) -> None:
        if name == "django_key":
            raise KeyboardInterrupt
        write(instance, name, value)

    monkeypatch.setattr(rotation, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        rotation.rotate_django_key(here=here, actor="cli:anna", at=AT)
    monkeypatch.setattr(rotation, "write", write)
    assert here.django_key() == before
    rotation.rotate_django_key(here=here, actor="cli:anna", at=AT)
    assert here.django_keys_before() == [before]


def test_the_password_of_your_own_server_is_yours(here: Instance) -> None:
    with pytest.raises(rotation.UnableToRotateSecretError, match="change the password there"):
        rotation.rotate_database_password(here=Instance(here.home, "postgresql://x@/y"), actor="cli:anna", at=AT)


def test_the_command_takes_values_from_a_pipe_only(db: Any) -> None:
    with ready_home() as home:
        given = subprocess.run(
            [sys.executable, "-m", "coulance.cli.main", "secret", "set", "mail"],
            input="smtp://me:pass-word@mail.example\n", env=environment(home), cwd=ROOT, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        assert (given.returncode, given.stdout) == (0, "Kept mail.\n"), given.stderr
        assert Instance(home).secret("mail") == "smtp://me:pass-word@mail.example"
        listed = coulance(home, "secret", "list").stdout
        assert listed.startswith("mail  set 20")
        assert "pass-word" not in listed
        assert coulance(home, "secret", "set", "mail", "value", check=False).returncode == 2


_KILLED = """
import os, sys
from pathlib import Path
from coulance.cli.main import main
replace = Path.replace
def stop(self, target):
    if self.name == "database_password.next":
        os._exit(9)
    return replace(self, target)
Path.replace = stop
sys.argv = ["coulance", "secret", "rotate", "database-password"]
main()
"""


def kill_in_rotation(home: Any) -> None:
    """Rotate the password and die after the server has the new one, before the file has."""
    done = subprocess.run([sys.executable, "-c", _KILLED], env=environment(home), cwd=ROOT, check=False, timeout=60)
    assert done.returncode == 9


@pytest.mark.slow
def test_a_rotation_that_was_killed_is_told_of_and_finished_by_the_next() -> None:
    with ready_home() as home:
        here = Instance(home)
        first = here.secret("database_password")
        kill_in_rotation(home)
        assert here.secret("database_password") == first
        following = here.secret("database_password.next")
        assert following not in {first, None}
        told = coulance(home, "doctor", check=False).stdout
        assert "-> finish it: coulance secret rotate database-password" in told
        coulance(home, "secret", "rotate", "database-password")
        assert here.secret("database_password") == following
        assert not (here.secrets_dir / "database_password.next").exists()
        assert b"ALTER ROLE" not in (here.database_layout().base / "postgres.log").read_bytes()


def test_the_engine_follows_the_password_of_our_own_server_only(
    here: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db.backends.postgresql import base

    from coulance.platform.engine.base import DatabaseWrapper

    secret_store.write(here, "database_password.next", "the-next")
    asked: list[str] = []

    def connect(self: Any, parameters: dict[str, Any]) -> str:
        asked.append(parameters["password"])
        if parameters["password"] != "the-next":
            raise psycopg.OperationalError('FATAL:  password authentication failed for user "coulance"')
        return "connected"

    monkeypatch.setattr(base.DatabaseWrapper, "get_new_connection", connect)
    engine = DatabaseWrapper({"PASSWORD": "old", "OPTIONS": {}})
    ours = {"host": str(here.database_layout().socket_dir), "password": "old"}
    assert engine.get_new_connection(ours) == "connected"
    assert asked == ["old", here.secret("database_password"), "the-next"]
    assert engine.settings_dict["PASSWORD"] == "the-next"
    with pytest.raises(psycopg.OperationalError):
        engine.get_new_connection({"host": "db.example", "password": "old"})
    assert asked[-1] == "old"


def test_a_page_that_tells_settings_tells_no_secret(db: Any) -> None:
    # Django's debug page is off; a fault says nothing of the inside.
    answer = Client(raise_request_exception=False).get("/accounts/%ff")
    assert os.environ.get("COULANCE_HOME", "x") not in answer.content.decode(errors="replace")
