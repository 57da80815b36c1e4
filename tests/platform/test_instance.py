"""The instance: its secrets, its directories, and DATABASE_URL."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coulance.platform import instance
from coulance.platform.instance import Instance, InstanceError, parse_database_url
from tests.support.instances import new_home


def test_secrets_are_made_once_and_for_their_owner_only() -> None:
    with new_home() as home:
        here = Instance(home)
        assert here.secret("django_key") is None
        assert not home.exists()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: here.prepare(), range(8)))
        key = here.django_key()
        assert len(key) >= 50
        assert key != here.secret("database_password")
        here.prepare()
        assert here.django_key() == key
        for directory in (here.secrets_dir, here.segments_dir, here.run_dir):
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE(home.stat().st_mode) & 0o066 == 0
        assert sorted(path.name for path in here.secrets_dir.iterdir()) == ["database_password", "django_key"]
        for path in here.secrets_dir.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_secret_open_to_others_or_empty_is_refused() -> None:
    with new_home() as home:
        here = Instance(home)
        here.prepare()
        path = here.secrets_dir / "django_key"
        path.chmod(0o640)
        with pytest.raises(InstanceError, match=f"chmod 600 {path}"):
            here.django_key()
        path.chmod(0o600)
        path.write_text("\n")
        with pytest.raises(InstanceError, match="is empty"):
            here.django_key()


def test_reading_an_instance_makes_nothing() -> None:
    with new_home() as home:
        here = Instance(home)
        assert here.database_settings()["PASSWORD"] == ""
        assert here.django_key() == here.django_key()
        assert not home.exists()


def test_where_home_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COULANCE_HOME", str(tmp_path / "x"))
    assert instance.current() == Instance(tmp_path / "x")
    monkeypatch.delenv("COULANCE_HOME")
    assert instance.current().home == Path(instance.__file__).parents[3] / "var" / "coulance"
    monkeypatch.setattr(instance, "__file__", "/opt/lib/python3.11/site-packages/coulance/platform/instance.py")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert instance.current().home == tmp_path / "coulance"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/anna")
    assert instance.current().home == Path("/home/anna/.local/share/coulance")


def test_database_url_is_taken_apart() -> None:
    assert parse_database_url("postgresql://anna:p%40ss@db.example.nl:6432/bills?sslmode=verify-full") == {
        "NAME": "bills",
        "USER": "anna",
        "PASSWORD": "p@ss",
        "HOST": "db.example.nl",
        "PORT": "6432",
        "OPTIONS": {"sslmode": "verify-full"},
    }
    socket = parse_database_url("postgres:///bills?host=/var/run/postgresql&port=5433")
    assert (socket["HOST"], socket["PORT"], socket["USER"]) == ("/var/run/postgresql", "5433", "")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://root@localhost/bills", "only PostgreSQL"),
        ("bills", "begins with nothing"),
        ("postgresql://localhost", "names no database"),
        ("postgresql://localhost:port/bills", "port that is no number"),
    ],
)
def test_a_database_url_that_wont_do_says_why(url: str, said: str) -> None:
    with pytest.raises(InstanceError, match=said):
        parse_database_url(url)


def test_the_providers_own_server_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://anna@db/bills?sslmode=require")
    here = instance.current()
    assert not here.embedded
    settings = here.database_settings()
    assert (settings["HOST"], settings["NAME"], settings["OPTIONS"]["sslmode"]) == ("db", "bills", "require")
    assert os.environ["DATABASE_URL"]
