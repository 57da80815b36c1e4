"""Nobody who sends samples notices an upgrade: not a new web server, nor a migration that locks their table."""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.operating.test_secrets import kill_in_rotation
from tests.support.database import ROOT, WorkerDatabase
from tests.support.instances import Up, coulance, environment, free_port, new_home, ready_home

pytestmark = pytest.mark.slow

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
T0 = 1_793_000_100


@dataclass
class Sender:
    """Sends a batch after another, each over a connection of its own, and counts what was acknowledged."""

    port: int
    token: str
    series: str
    sent: int = 0
    slowest_s: float = 0.0
    faults: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.ended.is_set():
            row = {"series": self.series, "at": T0 + self.sent * 300, "in": self.sent, "out": self.sent}
            body = json.dumps({"samples": [row]})
            began = time.monotonic()
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
                connection.request("POST", "/api/v1/usage", body, {**headers, "Connection": "close"})
                answer = connection.getresponse()
                text = answer.read()
                connection.close()
            except OSError as fault:
                self.faults.append(f"{type(fault).__name__}: {fault}")
            else:
                if answer.status == 200 and json.loads(text)["accepted"] == 1:
                    self.sent += 1
                else:
                    self.faults.append(f"{answer.status}: {text[:300]!r}")
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)


@pytest.fixture
def running(committed_db: WorkerDatabase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Up, str]]:
    """A running instance on this test's database, with two known series; and a token."""
    from coulance.catalog import operations as catalog
    from coulance.catalog.reader import read_provider_file
    from coulance.customers import operations as customers
    from coulance.platform import tokens
    from coulance.services import operations as services

    catalog.apply_catalog(file=read_provider_file(ROOT / "examples" / "provider.toml"), actor="test", at=AT)
    customers.create_account(
        external_id="c1", name="Ada", kind="business", country="NL", currency="EUR", zone="UTC", language="nl"
    )
    services.start_service(
        account="c1", external_id="s1", name="web1", kind="vps", started_on=date(2026, 1, 10), plan="vps-s"
    )
    for key in ("a", "b"):
        services.assign_series(key=key, service="s1", meter="traffic")
    token, _ = tokens.make_token(name="x", scopes=["usage:write"], at=AT, actor="test")
    where = {"DATABASE_URL": committed_db.url, "COULANCE_SEGMENTS": str(tmp_path / "segments")}
    with new_home() as home:
        up = Up(home, free_port(), where).start()
        try:
            up.await_health(60)
            yield up, token
        finally:
            up.clean_up()


@contextmanager
def sending(up: Up, token: str) -> Iterator[list[Sender]]:
    """Two senders that go on until the block ends; then nothing may have failed, and nothing been lost."""
    senders = [Sender(up.port, token, series) for series in ("a", "b")]
    threads = [threading.Thread(target=sender.run) for sender in senders]
    for thread in threads:
        thread.start()
    try:
        _await(lambda: all(sender.sent > 3 or sender.faults for sender in senders))
        yield senders
        after = [sender.sent for sender in senders]
        _await(lambda: all(s.sent > n + 3 or s.faults for s, n in zip(senders, after, strict=True)))
    finally:
        for sender in senders:
            sender.ended.set()
        for thread in threads:
            thread.join()
    assert [sender.faults for sender in senders] == [[], []], up.log.read_text()


def _await(condition: Any, within_s: float = 30) -> None:
    give_up = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up, "did not come about"
        time.sleep(0.02)


def _stored(committed_db: WorkerDatabase) -> int:
    with committed_db.connect() as direct:
        row = direct.execute("SELECT coalesce(sum(rows), 0) FROM usage_blob").fetchone()
    return int(row[0]) if row else 0


_PLANTED = {
    "planted/__init__.py": "",
    "planted/migrations/__init__.py": "",
    # Adds a column to the table that every batch writes, and holds its lock for a while.
    "planted/migrations/0001_initial.py": """
from django.db import migrations
class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [migrations.RunSQL(["ALTER TABLE usage_batch ADD COLUMN planted int", "SELECT pg_sleep(0.4)"])]
""",
    "planted_settings.py": """
from coulance.config.settings import *
INSTALLED_APPS = [*INSTALLED_APPS, "planted"]
""",
}


def test_no_sample_is_lost_and_no_request_fails(
    running: tuple[Up, str], committed_db: WorkerDatabase, tmp_path: Path
) -> None:
    up, token = running
    before = up.state()
    with sending(up, token) as first:
        assert coulance(up.home, "reload", **up.extra).stdout == "Web and worker run anew.\n"
    after = up.state()
    assert after["web"] != before["web"]
    assert after["worker"] != before["worker"]
    assert after["reloads"] == 1

    for name, text in _PLANTED.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    upgraded = environment(
        up.home, **up.extra, DJANGO_SETTINGS_MODULE="planted_settings",
        PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT / "src")]),
    )  # fmt: skip
    with sending(up, token) as second, committed_db.connect() as report:
        for sender, earlier in zip(second, first, strict=True):
            assert sender.series == earlier.series
        report.execute("BEGIN")
        report.execute("SELECT count(*) FROM usage_batch")  # a long report reads the table that is to change
        migrating = subprocess.Popen(
            [sys.executable, "-m", "coulance.cli.main", "migrate"],
            env=upgraded, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert migrating.stderr is not None
        told = migrating.stderr.readline()
        report.execute("ROLLBACK")
        out, err = migrating.communicate(timeout=60)
        assert migrating.returncode == 0, told + err
    assert "planted.0001_initial waits for others to finish; letting them through" in told
    assert "applied planted.0001_initial" in out
    assert "coulance reload" in out
    assert all(sender.slowest_s < 10 for sender in (*first, *second))
    assert _stored(committed_db) >= sum(sender.sent for sender in first) > 0
    up.await_health()


def test_a_version_that_does_not_start_leaves_the_old_one_serving(running: tuple[Up, str]) -> None:
    up, token = running
    before = up.state()
    # What the successor is started with can't be changed from outside; that it dies while it loads can.
    with sending(up, token):
        subprocess.run([sys.executable, "-c", _ASK, str(before["pid"])], check=True)
        _await(lambda: _kill_successor(up, before))
        refused = _await_reload(up)
    assert "the new version ended (killed by SIGKILL) before it was ready; the old one goes on" in refused
    assert up.state() == {**before, "reloads": 1}
    up.await_health()


_ASK = "import os, signal, sys; os.kill(int(sys.argv[1]), signal.SIGUSR1)"


def _kill_successor(up: Up, before: dict[str, int]) -> bool:
    for child in psutil.Process(before["pid"]).children():
        if child.pid not in before.values():
            child.kill()
            return True
    return False


def _await_reload(up: Up) -> str:
    def known() -> dict[str, Any]:
        return dict(json.loads((up.home / "run" / "supervisor.json").read_text()))

    _await(lambda: known()["reloads"] == 1)
    return str(known()["reload_fault"])


def test_the_password_rotates_under_a_running_instance_and_a_crash_is_mended() -> None:
    with ready_home() as home:
        up = Up(home, free_port()).start()
        try:
            up.await_health(60)
            told = coulance(home, "secret", "rotate", "database-password").stdout
            assert "without dropping a request" in told
            _await(lambda: json.loads((home / "run" / "supervisor.json").read_text())["reloads"] == 1)
            up.await_health()
            kill_in_rotation(home)
            # New connections come by the next password; the rotation is finished by the same command.
            assert "Replaced database-password." in coulance(home, "secret", "rotate", "database-password").stdout
            database = up.state()["database"]
            os.kill(database, 9)
            up.await_new("database", database)
            up.await_health()
        finally:
            up.clean_up()
