"""Packages for collectors and mediators, and the commands that write them."""

import csv
import hashlib
import io
import json
import zipfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from coulance.cli import dossier as commands
from coulance.flows.dossier.handing_over import To, package
from coulance.flows.dossier.making import UnableToMakeDossierError
from coulance.invoicing import einvoice
from coulance.platform import clock
from tests.disputes.court import Court
from tests.dossier.making import AT


def test_for_collection_and_for_mediation_by_command(
    history: Court, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "working_database", nullcontext)
    monkeypatch.setattr(clock, "now", lambda: AT)
    where = tmp_path / "acme.zip"
    answer = CliRunner().invoke(commands.hand_over, ["acme", str(where), "--reason", "90 days late"])
    assert answer.exit_code == 0, answer.output
    assert where.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(where) as file:
        names = file.namelist()
        files = {name: file.read(name) for name in names}
    assert set(names) == {
        "claims.csv", "invoices/V2026-0001.xml", "invoices/B2026-0001.xml", "dossier.pdf", "check.py", "manifest.json",
    }  # fmt: skip
    manifest = json.loads(files["manifest.json"])
    assert manifest["seal"] in answer.output
    for one in manifest["files"]:
        assert hashlib.sha256(files[one["name"]]).hexdigest() == one["sha256"]
    rows = {row["invoice"]: row for row in csv.DictReader(io.StringIO(files["claims.csv"].decode()))}
    assert {k: rows["V2026-0001"][k] for k in ("gross", "paid", "contested", "principal")} == {
        "gross": "242.00", "paid": "20.00", "contested": "60.50", "principal": "161.50",
    }  # fmt: skip
    assert [row["costs"] for row in rows.values()].count("40.00") == 1
    einvoice.checked(files["invoices/V2026-0001.xml"], "V2026-0001")

    pdf = tmp_path / "acme.pdf"
    made = CliRunner().invoke(commands.dossier, ["acme", str(pdf), "--language", "nl", "--reason", "asked"])
    assert made.exit_code == 0, made.output
    assert pdf.read_bytes().startswith(b"%PDF-1.7")

    given: dict[str, Any] = {"account": "acme", "actor": "operator:anna", "reason": "x", "at": AT}
    contested = package(to=To.MEDIATION, **given)
    with zipfile.ZipFile(io.BytesIO(contested.content)) as file:
        (row,) = csv.DictReader(io.StringIO(file.read("contested.csv").decode()))
    assert (row["invoice"], row["line"], row["contested_net"], row["held"]) == ("V2026-0001", "1", "50.00", "60.50")
    assert package(to=To.MEDIATION, **given).content == contested.content
    with pytest.raises(UnableToMakeDossierError, match="nothing to mediate"):
        package(to=To.MEDIATION, numbers=["B2026-0001"], **given)
