"""A new database made in a hurry is the one that Django's own command makes: every object and every row of it."""

import gc
import hashlib
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections
from django.db.migrations.loader import MigrationLoader

from coulance.platform import from_scratch, schema
from coulance.platform.binaries import client
from tests.support.database import ROOT, Server, WorkerDatabase, point_django_at

# The day a row was written, and the key that a newer pg_dump puts on its own output.
_THE_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?[+-]\d\d|^\\(un)?restrict .*$", re.MULTILINE)


def _dump(where: Server, database: str) -> str:
    """All of a database as pg_dump writes it, without instants."""
    done = subprocess.run(
        [client("pg_dump"), "--no-owner", "--no-acl", "--inserts", f"--host={where.host}", "--port=5432",
         f"--username={where.user}", database],
        env={**os.environ, "PGPASSWORD": where.password},
        capture_output=True,
        text=True,
        check=True,
    )  # fmt: skip
    return _THE_TIME.sub("", done.stdout)


def _of_all_that_counts() -> str:
    """A digest of the migrations, of the versions of what they use, and of what is tried here."""
    files = {Path(from_scratch.__file__), Path(__file__), *ROOT.glob("requirements/*.txt")}
    for migration in MigrationLoader(None, ignore_no_migrations=True).disk_migrations.values():
        files |= set(Path(str(sys.modules[type(migration).__module__].__file__)).parent.glob("*.py"))
    digest = hashlib.sha256(platform.python_version().encode())
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def test_the_database_is_the_one_that_django_makes(committed_db: WorkerDatabase) -> None:
    """Django's way takes ten seconds: what was found equal on this machine isn't tried again until it changes."""
    known = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coulance-tests" / "made-from-scratch"
    found_equal = _of_all_that_counts()
    if not os.environ.get("CI") and known.exists() and known.read_text() == found_equal:
        return
    where = committed_db.server
    plain = f"{committed_db.name}_plain"
    quick = f"{committed_db.name}_quick"
    try:
        where.make_database(plain)
        point_django_at(plain, where)
        gc.disable()  # its thousands of classes are looked through again and again: a third of the time
        call_command("migrate", verbosity=0, interactive=False)
        where.make_database(quick)
        point_django_at(quick, where)
        assert schema.is_empty()
        applied = schema.migrate()
        assert len(applied) > 100
        assert schema.pending() == []
        connections.close_all()
        wanted, made = _dump(where, plain), _dump(where, quick)
    finally:
        gc.enable()
        point_django_at(committed_db.name, where)
        where.drop_databases(plain, quick)
    assert wanted.count("CREATE TABLE") > 100
    assert wanted.count("INSERT INTO public.django_migrations") == len(applied)
    assert made.splitlines() == wanted.splitlines()
    known.parent.mkdir(parents=True, exist_ok=True)
    known.write_text(found_equal)


def test_only_an_empty_database_is_made_so(committed_db: WorkerDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="migrated before"):
        from_scratch.migrate()

    def never(**_: Any) -> None:
        raise AssertionError("on a database with rows in it")

    with committed_db.connect() as direct:
        direct.execute("DELETE FROM django_migrations WHERE app = 'sessions'")
        direct.execute("DROP TABLE django_session")
    monkeypatch.setattr(from_scratch, "migrate", never)
    assert schema.migrate() == ["sessions.0001_initial"]
    with committed_db.connect() as direct:
        assert direct.execute("SELECT count(*) FROM django_session").fetchone() == (0,)
