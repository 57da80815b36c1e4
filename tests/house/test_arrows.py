"""The house's arrows hold; and its checkers catch what they are there to catch, each violation planted and seen."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.database import ROOT
from tests.support.house import SRC, SmallHouse, contracts, layers, rooms, rooms_to_come


def _lint(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports_command as main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_every_contract_is_kept() -> None:
    done = _lint()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(("root", "contract"), [("coulance_core", "core-rooms"), ("coulance", "shell-rooms")])
def test_every_room_declares_its_place(root: str, contract: str) -> None:
    assert rooms(root) | rooms_to_come(contract) == set(layers(contract))


def test_every_rooms_models_and_tasks_are_private() -> None:
    protected = {module for contract in contracts().values() for module in contract.get("protected_modules", [])}
    found = {
        f"coulance.{room}.{name}"
        for room in rooms("coulance")
        for name in ("models", "tasks")
        if (SRC / "coulance" / room / f"{name}.py").exists() or (SRC / "coulance" / room / name).is_dir()
    }
    assert found
    assert found <= protected


@pytest.mark.parametrize("room", sorted(f"coulance/{room}" for room in rooms("coulance")))
def test_every_room_says_what_it_owns(room: str) -> None:
    readme = SRC / room / "README.md"
    assert readme.is_file(), f"{room} has no README.md"
    assert len(readme.read_text().split()) > 30


IMPORTS = {
    "src/coulance_core/rating/planted.py": ("import django", "coulance_core.rating.planted -> django", "core-is-pure"),
    "src/coulance_core/usage/planted.py": ("import random", "coulance_core.usage.planted -> random", "core-is-pure"),
    "src/coulance_core/kernel/planted.py": (
        "from coulance_core.rating import x",
        "coulance_core.kernel.planted -> coulance_core.rating",
        "core-rooms",
    ),
    "src/coulance_core/ledger/planted.py": (
        "import coulance_core.usage",
        "coulance_core.ledger.planted -> coulance_core.usage",
        "core-rooms",
    ),
    "src/coulance/catalog/planted.py": (
        "import coulance.customers",
        "coulance.catalog.planted -> coulance.customers",
        "shell-rooms",
    ),
    "src/coulance/services/planted.py": (
        "from coulance.invoicing import queries",
        "coulance.services.planted -> coulance.invoicing",
        "shell-rooms",
    ),
    "src/coulance/invoicing/planted.py": (
        "from coulance.customers.models import Account",
        "coulance.invoicing.planted -> coulance.customers.models",
        "customers-private",
    ),
    "src/coulance/cli/planted.py": (
        "from coulance.platform import tasks",
        "coulance.cli.planted -> coulance.platform.tasks",
        "platform-private",
    ),
    "src/coulance/usage/planted.py": (
        "from coulance.platform import clock",
        "coulance.usage.planted -> coulance.platform.clock",
        "clock",
    ),
    "src/coulance_probe/planted.py": (
        "import coulance_core.sla",
        "coulance_probe.planted -> coulance_core.sla",
        "probe-stands-alone",
    ),
    "src/coulance/platform/planted.py": (
        "import coulance_core.rating",
        "coulance.platform.planted -> coulance_core.rating",
        "platform-is-general",
    ),
}


def test_planted_imports_are_caught(tmp_path: Path) -> None:
    house = SmallHouse.build(tmp_path)
    clean = house.lint_imports()
    assert clean.returncode == 0, clean.stdout + clean.stderr
    for path, (line, _, _) in IMPORTS.items():
        house.write(path, f"{line}\n")
    found = house.lint_imports()
    assert found.returncode == 1
    # Layers name packages with their line (`a.b -> c.d (l.1)`); protected contracts name importer and module apart.
    for path, (_, arrow, contract) in IMPORTS.items():
        importer, target = arrow.split(" -> ")
        assert f"{contracts()[contract]['name']} BROKEN" in found.stdout, found.stdout
        line = [row for row in found.stdout.splitlines() if importer in row and "l.1" in row]
        assert line, f"{path} was not caught:\n{found.stdout}"
        assert target in found.stdout


def test_planted_room_without_a_place_is_caught(tmp_path: Path) -> None:
    house = SmallHouse.build(tmp_path)
    house.write("src/coulance/attic/__init__.py", "")
    found = house.lint_imports()
    assert found.returncode == 1
    assert "coulance.attic" in found.stdout


CLOCKS = """\
import datetime as d
import importlib
import random
import time
import uuid
from datetime import date, datetime
from random import choice
from time import time as what_time

from django.utils import timezone

a = datetime.now()
b = d.datetime.now(d.UTC)
c = datetime.utcnow()
e = date.today()
f = d.datetime.today()
g = time.time()
h = what_time()
i = random.random()
j = choice([1])
k = uuid.uuid4()
m = importlib.import_module("os")
o = timezone.now()
"""


# What is banned whole is caught where it is imported, so its uses (h, i, j, m) need no second mention.
BANNED_LINES = {
    number
    for number, line in enumerate(CLOCKS.splitlines(), 1)
    if line.startswith(("import importlib", "import random", "from random", "from time"))
    or (" = " in line and line[0] not in "hijm")
}


def test_planted_clocks_and_dice_are_caught(tmp_path: Path) -> None:
    house = SmallHouse.build(tmp_path)
    house.write("src/coulance_core/rating/planted.py", CLOCKS)
    house.write("src/coulance/usage/planted.py", CLOCKS)
    found = json.loads(house.ruff().stdout)
    for room in ("coulance_core/rating", "coulance/usage"):
        caught = {
            row["location"]["row"]
            for row in found
            if row["code"] == "TID251" and row["filename"].endswith(f"{room}/planted.py")
        }
        assert caught >= BANNED_LINES, sorted(BANNED_LINES - caught)


def _dynamic_imports(text: str) -> list[int]:
    # The linter can't ban a builtin by name, so this is held here.
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Name) and node.id in {"__import__", "eval", "exec"}
    ]


def test_nothing_is_imported_or_run_by_name() -> None:
    assert _dynamic_imports("x = 1\ny = __import__('os')\nz = eval('1')") == [2, 3]
    files = sorted(SRC.rglob("*.py"))
    assert len(files) > 50
    assert [f"{path}:{line}" for path in files for line in _dynamic_imports(path.read_text())] == []


def test_the_clock_is_the_only_exception() -> None:
    excused = [
        f"{path.relative_to(SRC)}:{number}"
        for path in sorted(SRC.rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "noqa" in line and "TID251" in line and "migrations" not in path.parts
    ]
    assert [row for row in excused if not row.startswith("coulance/platform/clock.py:")] == []
    assert len(excused) == 1
