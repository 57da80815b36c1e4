"""`coulance doctor` finds what is wrong, says what to do, and ends with 1 on a fault."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coulance.platform import database_findings, findings
from coulance.platform.findings import State
from coulance.platform.instance import Instance
from tests.support.instances import coulance, new_home

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def here() -> Iterator[Instance]:
    with new_home() as home:
        made = Instance(home)
        made.prepare()
        yield made


def _by_topic(found: Iterator[findings.Finding]) -> dict[str, findings.Finding]:
    return {finding.topic: finding for finding in found}


def test_no_instance_is_a_fault_and_nothing_is_made() -> None:
    with new_home() as home:
        said = coulance(home, "doctor", "--json", check=False)
        assert said.returncode == 1
        told = json.loads(said.stdout)
        assert told["ok"] is False
        assert {
            "topic": "instance",
            "state": "fault",
            "seen": f"none at {home}",
            "do": "make it with: coulance up",
        } in (told["findings"])
        assert not home.exists()


def test_what_is_open_to_others_is_a_fault(here: Instance) -> None:
    assert all(finding.state is State.OK for finding in findings.home(here))
    here.segments_dir.chmod(0o755)
    (here.secrets_dir / "django_key").chmod(0o644)
    (here.secrets_dir / "database_password").unlink()
    found = _by_topic(findings.home(here))
    assert found[f"directory {here.segments_dir}"].do == f"chmod 700 {here.segments_dir}"
    assert "chmod 600" in found["secret django_key"].do
    assert found["secret database_password"].seen == "missing"
    assert {found[t].state for t in found if t != "disk" and t != "instance"} == {State.FAULT}


@pytest.mark.parametrize(("free", "state"), [(10**8, State.FAULT), (10**9, State.WARN), (10**10, State.OK)])
def test_little_room_is_told(here: Instance, monkeypatch: pytest.MonkeyPatch, free: int, state: State) -> None:
    from types import SimpleNamespace

    monkeypatch.setattr(findings.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert _by_topic(findings.home(here))["disk"].state is state


def test_the_environment_is_judged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COULANCE_URL", "billing.example.nl")
    monkeypatch.setenv("COULANCE_DEBUG", "1")
    found = _by_topic(findings.settings(Instance(tmp_path, "mysql://localhost/x")))
    assert found["DATABASE_URL"].state is State.FAULT
    assert found["COULANCE_URL"].state is State.FAULT
    assert found["COULANCE_DEBUG"].state is State.WARN
    monkeypatch.setenv("COULANCE_URL", "http://billing.example.nl")
    assert _by_topic(findings.settings(Instance(tmp_path)))["COULANCE_URL"].state is State.WARN
    monkeypatch.setenv("COULANCE_URL", "https://billing.example.nl")
    assert _by_topic(findings.settings(Instance(tmp_path)))["COULANCE_URL"].state is State.OK


def test_the_database_is_judged(db: Any, here: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    from coulance.platform import clock, schema

    found = _by_topic(database_findings.database(here, at=clock.now()))
    assert found["database"].seen.startswith("PostgreSQL 18.")
    assert found["migrations"].state is State.OK
    assert found["operators"].do == "coulance operator create NAME"
    assert "usage:write" in found["tokens"].do
    assert found["backup"].state is State.WARN
    assert found["worker"].state is State.WARN
    assert "clock" not in found
    (here.run_dir / "last-backup").write_text("2020-01-01T00:00:00+00:00\n")
    found = _by_topic(database_findings.database(here, at=AT))
    assert found["clock"].state is State.WARN
    assert found["backup"].seen == "last made 2496 day(s) ago"
    monkeypatch.setattr(schema, "pending", lambda **_: ["usage.0002_more"])
    found = _by_topic(database_findings.database(here, at=AT))
    assert (found["migrations"].state, found["migrations"].seen) == (State.FAULT, "1 pending")
    monkeypatch.setattr(schema, "server_version", lambda: "14.9")
    found = _by_topic(database_findings.database(here, at=AT))
    assert (found["database"].state, found["database"].do) == (State.FAULT, "15 or newer is needed")
    with pytest.raises(schema.UnableToUseServerError, match=r"is PostgreSQL 14\.9, and 15 or newer is needed"):
        schema.require_supported_version()


def test_what_waits_for_a_person_is_told(db: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from coulance.cli.doctor import _work_left
    from coulance.customers import operations as customers
    from coulance.invoicing import operations as invoicing
    from coulance.usage import operations as usage
    from coulance.usage import store
    from coulance.usage.models import Segment

    monkeypatch.setenv(store.VARIABLE, str(tmp_path))
    assert {topic: one.state for topic, one in _by_topic(_work_left()).items()} == {"samples": State.OK}
    columns = usage.from_lists({"series": ["who/eth0"] * 2, "at": [1_790_000_000, 1_790_000_300], "value": [1, 2]})
    usage.ingest_batch(columns=columns, source="test", recorded_at=AT)
    Segment.objects.create(
        path="2026/09/gone.parquet", month=AT.date().replace(day=1), level=0, rows=1, size=9, sha256=b"x" * 32,
        series_min=1, series_max=1, at_min=1, at_max=1, revision_min=1, revision_max=1, state="live", sealed_at=AT,
    )  # fmt: skip
    account = customers.create_account(
        external_id="c1", name="Ada", kind="business", country="NL", currency="EUR", zone="UTC", language="nl"
    )
    run = invoicing.open_run(period="2026-09", at=AT, actor="test")
    invoicing.park_account(run=run.id, account=account, reason="NoTaxRateError", detail="no tax rate", at=AT)
    found = _by_topic(_work_left())
    assert found["samples"].state is State.FAULT
    assert "gone.parquet is missing" in found["samples"].seen
    assert "2 samples of 1 unknown series" in found["quarantine"].seen
    assert found["closing"].do == "coulance close 2026-09"
    assert "c1 is not billed: no tax rate" in found["parked"].seen
    assert all(one.do for one in found.values())
