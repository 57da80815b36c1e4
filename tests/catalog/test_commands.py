"""The commands for the provider file and the import, as a person runs them."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from coulance.catalog.provider_file import schema_text
from coulance.cli.catalog import check, schema
from coulance.cli.main import cli
from tests.catalog import EXAMPLE, SMALL, copy_example

ROOT = EXAMPLE.parent.parent


def test_check_says_that_the_example_is_sound() -> None:
    answer = CliRunner().invoke(check, [str(EXAMPLE)])
    assert answer.exit_code == 0
    assert "is sound: 14 plans in 15 versions" in answer.output


def test_check_shows_the_line_with_a_caret_and_ends_with_status_1(tmp_path: Path) -> None:
    root = tmp_path / "p.toml"
    root.write_text(SMALL.replace('"traffic"', '"trafic"'))
    answer = CliRunner().invoke(check, [str(root)])
    assert answer.exit_code == 1
    assert answer.output.splitlines() == [
        "p.toml:34:9  plans.vps.versions[0].charges.transfer.meter",
        '  34 | meter = "trafic"',
        "     |         ^^^^^^^^",
        "  unknown meter 'trafic'",
        "  expected traffic",
        "  did you mean 'traffic'?",
        "",
        "1 fault in 1 file.",
    ]


def test_check_writes_json_for_editors(tmp_path: Path) -> None:
    root = tmp_path / "p.toml"
    root.write_text(SMALL.replace('"traffic"', '"trafic"'))
    answer = CliRunner().invoke(check, [str(root), "--json"])
    assert answer.exit_code == 1
    [fault] = json.loads(answer.output)["faults"]
    assert (fault["file"], fault["line"], fault["column"], fault["end_column"]) == ("p.toml", 34, 9, 17)
    assert fault["nearest"] == "traffic"
    root.write_text(SMALL)
    assert json.loads(CliRunner().invoke(check, [str(root), "--json"]).output) == {"faults": []}


def test_the_published_schema_is_the_readers() -> None:
    assert (ROOT / "docs" / "provider.schema.json").read_text() == schema_text(), "run: coulance schema > docs/..."
    assert CliRunner().invoke(schema).output == schema_text()


@pytest.fixture
def coulance(committed_db: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command line on this worker's database; gives all it said."""
    monkeypatch.setenv("DATABASE_URL", committed_db.url)
    monkeypatch.setenv("COULANCE_HOME", str(tmp_path / "home"))

    def run(*args: str, status: int = 0) -> str:
        answer = CliRunner().invoke(cli, list(args))
        said = answer.output + (str(answer.exception) if answer.exception is not None else "")
        assert answer.exit_code == status, said
        return said

    return run


def test_from_a_file_to_customers(coulance: Any, tmp_path: Path) -> None:
    root = copy_example(tmp_path)
    assert "no provider file is applied yet" in coulance("import", "customers", "x.csv", status=1)
    assert "the first provider file: Polder Hosting BV" in coulance("plan", str(root))
    applied = coulance("apply", str(root), "--by", "anna").rstrip().splitlines()[-1]
    number = applied.removeprefix("Applied as revision ").rstrip(".")
    assert f"Nothing to do: revision {number} is this very file." in coulance("apply", str(root))
    assert "Nothing to do: this very file is applied." in coulance("plan", str(root))

    sheets = sorted(map(str, (EXAMPLE.parent / "customers").glob("*.csv")))
    assert "Nothing is written yet. To write it, add --apply." in coulance("import", "customers", *sheets)
    assert coulance("import", "customers", *sheets, "--apply").rstrip().endswith("Imported.")
    assert "Nothing to do: all of it is there." in coulance("import", "customers", *sheets, "--apply")

    vps = root.parent / "plans" / "vps.toml"
    vps.write_text(vps.read_text() + '\n[[plans.fleet-node.versions]]\nfrom = 2027-03-01\nbase = "9.75 EUR/month"\n')
    answer = coulance("plan", str(root))
    assert "2 service(s): node-1003a, node-1003b" in answer
    assert "base fees together: +1.50 EUR a month" in answer
    told = json.loads(coulance("plan", str(root), "--json"))
    assert told["changes"][0]["services"] == ["node-1003a", "node-1003b"]

    vps.write_text(vps.read_text().replace("6.00 EUR/month", "7.00 EUR/month"))
    refused = coulance("apply", str(root), status=1)
    assert "vps-s@2026-01-01 is published and cannot be edited (base.price: 6 -> 7)" in refused
    assert '13 | base = "7.00 EUR/month"' in refused
    bad = tmp_path / "accounts.csv"
    bad.write_text("account,name,kind,country\n9,Nobody,business,nl\n")
    refused = coulance("import", "customers", str(bad), "--apply", status=1)
    assert "accounts.csv:2:4  country (cell D2)" in refused
    assert "nothing is imported" in refused
