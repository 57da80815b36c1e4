"""The `coulance` command lists everything at once and loads only what it runs."""

import ast
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import coulance
from coulance.cli import main
from coulance.cli.main import COMMANDS, _Entry, cli
from tests.support.house import pyproject


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_listed_help_is_the_commands_own(name: str) -> None:
    command = COMMANDS[name].load()
    assert command.name == name
    assert (command.help or "").strip().split("\n\n")[0].replace("\n", " ") == COMMANDS[name].help


def test_no_name_is_given_twice() -> None:
    """Of two entries of one name a dict keeps the later, silently."""
    table = next(node for node in ast.walk(ast.parse(Path(main.__file__).read_text())) if isinstance(node, ast.Dict))
    names = [key.value for key in table.keys if isinstance(key, ast.Constant)]
    assert len(names) > 40
    assert [name for name in names if names.count(name) > 1] == []


def test_help_lists_every_command_without_loading_any() -> None:
    program = (
        "import sys; from coulance.cli.main import cli; cli(['--help'], standalone_mode=False);"
        "print([m for m in ('django', 'numpy', 'psycopg', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout
    assert done.stdout.strip().endswith("[]")


def test_unknown_command_names_the_nearest() -> None:
    answer = CliRunner().invoke(cli, ["docter"])
    assert answer.exit_code == 2
    assert "Did you mean 'doctor'?" in answer.output


def test_refusals_are_one_line_and_faults_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    class UnableToPleaseError(Exception):
        pass

    @click.command()
    def refuse() -> None:
        raise UnableToPleaseError("the reason")

    @click.command()
    def crash() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(_Entry, "load", lambda entry: {"refuse": refuse, "crash": crash}[entry.at])
    monkeypatch.setitem(COMMANDS, "refuse", _Entry("refuse", ""))
    monkeypatch.setitem(COMMANDS, "crash", _Entry("crash", ""))
    monkeypatch.setattr(sys, "argv", ["coulance", "refuse"])
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == 1
    monkeypatch.setattr(sys, "argv", ["coulance", "crash"])
    with pytest.raises(ZeroDivisionError):
        main.main()


def test_version_is_the_projects() -> None:
    assert coulance.__version__ == pyproject()["project"]["version"]
