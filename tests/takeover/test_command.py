"""`coulance takeover` as a person types it, and the reconciliation as a file that a spreadsheet opens."""

import csv
import io
import json
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from coulance.cli import session, takeover
from coulance.cli.takeover import _inert
from coulance.integrations.takeover import whmcs_api
from coulance.integrations.takeover.mapping import read_mapping
from coulance.platform import clock, secret_store
from coulance_core.taking_over import Finding
from tests.support.database import ROOT
from tests.takeover.conftest import AT
from tests.takeover.test_fetch import Server
from tests.takeover.whmcs_source import Whmcs


@pytest.fixture
def desk(provider: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def here() -> Any:
        yield None

    monkeypatch.setattr(session, "working_database", here)
    monkeypatch.setattr(clock, "now", lambda: AT)


def run(*arguments: str | Path) -> Result:
    done = CliRunner().invoke(takeover.takeover, [str(one) for one in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def test_plan_apply_and_report(desk: None, old: Whmcs, folder: Path, tmp_path: Path) -> None:
    where, mapping = old.write(folder)
    plan = run("plan", where, "--mapping", mapping)
    assert (plan.exit_code, "Nothing is written: this is what it would come to." in plan.output) == (0, True)
    assert "left out: customer/40: a test account of ours" in plan.output
    without = CliRunner().invoke(takeover.takeover, ["apply", str(where), "--mapping", str(mapping)])
    assert (without.exit_code, "--reason" in without.output) == (2, True)
    assert "Taken over." in run("apply", where, "--mapping", mapping, "--reason", "we leave").output
    assert "Nothing to do" in run("apply", where, "--mapping", mapping, "--reason", "again").output
    done = run("report", where, "--mapping", mapping, "--csv", tmp_path / "report.csv")
    assert (done.exit_code, "All of it is here, to the cent." in done.output) == (0, True)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "report.csv").read_text())))
    totals = {row["field"]: row for row in rows if row["name"] == "(all)"}
    assert {row["difference"] for row in totals.values()} == {"0.00"}
    assert (totals["prepaid"]["before"], totals["credits"]["after"]) == ("12.50", "-2.42")
    assert {row["name"]: row["before"] for row in rows if row["what"] == "count"}["customer"] == "39"


def test_what_stops_is_told_and_gives_a_status(desk: None, old: Whmcs, folder: Path, tmp_path: Path) -> None:
    old.invoice(5001).update(total="9.99")
    where, mapping = old.write(folder)
    plan = run("plan", where, "--mapping", mapping)
    assert plan.exit_code == 1
    assert "invoice-5001.json (invoice 5001)  total-not-sum" in plan.output
    applied = run("apply", where, "--mapping", mapping, "--reason", "we leave", "--json")
    told = json.loads(applied.output)
    assert (applied.exit_code, told["applied"]) == (1, False)
    assert [one["code"] for one in told["findings"] if one["stops"]] == ["total-not-sum"]
    assert run("plan", where, "--mapping", tmp_path / "none.toml").exit_code == 1


def test_a_row_that_differs_is_in_the_report(desk: None, old: Whmcs, folder: Path, tmp_path: Path) -> None:
    run("apply", *_given(old, folder), "--reason", "we leave")
    old.client(7)["companyname"] = '=cmd|" /C calc"!A0'
    done = run("report", *_given(old, folder), "--csv", tmp_path / "report.csv")
    assert (done.exit_code, "1 difference(s)." in done.output) == (1, True)
    (row,) = [r for r in csv.DictReader(io.StringIO((tmp_path / "report.csv").read_text())) if r["what"][:4] == "diff"]
    assert (row["name"], row["field"], row["before"][:5], row["after"][:2]) == ("w7", "name", "'=cmd", "'=")


def _given(old: Whmcs, folder: Path) -> tuple[Path, str, Path]:
    where, mapping = old.write(folder)
    return where, "--mapping", mapping


def test_no_cell_computes() -> None:
    assert [_inert(cell) for cell in ("=1+1", "+31 6", "-1+1", "@SUM(A1)", "-2.42", "Bakker")] == [
        "'=1+1", "'+31 6", "'-1+1", "'@SUM(A1)", "-2.42", "Bakker",
    ]  # fmt: skip


def test_fetch_asks_with_the_secrets(old: Whmcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: dict[str, str] = {}
    monkeypatch.setattr(secret_store, "secret", lambda name: keys.get(name))
    missing = CliRunner().invoke(takeover.takeover, ["fetch", "https://old.example", str(tmp_path / "live")])
    assert "coulance secret set whmcs-identifier" in missing.output
    keys |= {"whmcs-identifier": "id-1", "whmcs-secret": "very-secret"}
    real = httpx.Client
    monkeypatch.setattr(
        whmcs_api.httpx, "Client", lambda **given: real(**{**given, "transport": httpx.MockTransport(Server(old))})
    )
    done = run("fetch", "https://old.example", tmp_path / "live", "--pause", "0")
    assert (done.exit_code, "Nothing was written there." in done.output) == (0, True)


def test_the_mapping_in_the_docs_is_one(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "take-over.md").read_text()
    (tmp_path / "shown.toml").write_text(page.partition("```toml\n")[2].partition("```")[0])
    findings: list[Finding] = []
    shown = read_mapping(tmp_path / "shown.toml", findings)
    assert findings == []
    assert shown is not None
    assert (shown.products["3"].plan_for("Annually"), shown.leave_out["invoice/977"], shown.series[0].last) == (
        "vps-s-year", "written off in 2024", 1042,
    )  # fmt: skip
