"""Reads the house's plan from pyproject.toml, and builds small copies of the house to plant violations in."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.database import ROOT

SRC = ROOT / "src"


def pyproject() -> dict[str, Any]:
    """The project's own file, parsed."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def contracts() -> dict[str, dict[str, Any]]:
    """The import contracts by their id."""
    return {contract["id"]: contract for contract in pyproject()["tool"]["importlinter"]["contracts"]}


def layers(contract: str) -> dict[str, int]:
    """Room -> height; the lowest layer is 0. Rooms to come, which stand in brackets, are among them."""
    rows = [[room.strip(" ()") for room in row.split("|")] for row in contracts()[contract]["layers"]]
    return {room: height for height, row in enumerate(reversed(rows)) for room in row}


def rooms_to_come(contract: str) -> set[str]:
    """Rooms whose place is declared before they are built."""
    return set(re.findall(r"\((\w+)\)", " ".join(contracts()[contract]["layers"])))


def rooms(root: str) -> set[str]:
    """The packages that stand directly below src/<root>, as they are on disk."""
    return {path.name for path in (SRC / root).iterdir() if path.is_dir() and any(path.glob("*.py"))}


@dataclass(frozen=True)
class SmallHouse:
    """A copy of the house with the same rooms and rules and nothing in them."""

    root: Path

    @classmethod
    def build(cls, root: Path) -> "SmallHouse":
        """Lay it out: every declared room, each private module that a contract names, and the project's own rules."""
        shutil.copy(ROOT / "pyproject.toml", root / "pyproject.toml")
        house = cls(root)
        for package, contract in (("coulance_core", "core-rooms"), ("coulance", "shell-rooms")):
            house.write(f"src/{package}/__init__.py", "")
            for room in layers(contract):
                house.write(f"src/{package}/{room}/__init__.py", "")
        house.write("src/coulance_probe/__init__.py", "")
        for contract in contracts().values():
            for module in contract.get("protected_modules", []) + contract.get("allowed_importers", []):
                path = root / "src" / Path(*module.split("."))
                if "*" not in module and not path.is_dir():
                    house.write(f"src/{'/'.join(module.split('.'))}.py", "")
        return house

    def write(self, path: str, text: str) -> None:
        """Put a file into it."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def lint_imports(self) -> subprocess.CompletedProcess[str]:
        """Run the import contracts on it, in a process of their own."""
        return _run(
            [
                sys.executable,
                "-c",
                "import sys; from importlinter.cli import lint_imports_command as main; main()",
                "--no-cache",
                "--config",
                "pyproject.toml",
            ],
            self.root,
            {"PYTHONPATH": str(self.root / "src")},
        )

    def ruff(self) -> subprocess.CompletedProcess[str]:
        """Run the linter on it with the project's own rules; one JSON list on stdout."""
        return _run([sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=json", "src"], self.root, {})


def _run(command: list[str], cwd: Path, extra: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **extra, "COLUMNS": "400", "NO_COLOR": "1"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
