"""Core stands alone: its imports are the standard library's pure parts and numpy, and it runs without a framework."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.database import ROOT
from tests.support.house import SRC

ALLOWED = {
    "bisect", "calendar", "collections", "contextlib", "dataclasses", "datetime", "decimal", "enum", "fractions",
    "functools", "hashlib", "heapq", "itertools", "json", "math", "numbers", "operator", "re", "statistics", "string",
    "types", "typing", "unicodedata", "zoneinfo", "abc", "copy", "textwrap", "struct", "difflib", "graphlib",
    "warnings", "numpy", "coulance_core",
}  # fmt: skip
IMPURE_NUMPY = {"random", "memmap", "fromfile", "load", "save", "savez", "loadtxt", "genfromtxt"}
BUILTINS = {"open", "input", "print", "eval", "exec", "compile", "breakpoint", "__import__"}


def _faults(text: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                found += [f"imports {a.name}" for a in names if a.name.split(".")[0] not in ALLOWED]
                found += [f"imports {a.name}" for a in names if a.name.startswith("numpy.random")]
            case ast.ImportFrom(module=str(module), level=0):
                if module.split(".")[0] not in ALLOWED or module.startswith("numpy.random"):
                    found.append(f"imports {module}")
            case ast.Call(func=ast.Name(id=name)) if name in BUILTINS:
                found.append(f"calls {name}()")
            case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr=attr) if attr in IMPURE_NUMPY:
                found.append(f"uses numpy.{node.attr}")
    return found


def test_core_imports_and_calls_only_what_is_pure() -> None:
    files = sorted((SRC / "coulance_core").rglob("*.py"))
    assert len(files) > 20
    faults = [f"{path.relative_to(SRC)} {fault}" for path in files for fault in _faults(path.read_text())]
    assert faults == []


@pytest.mark.parametrize(
    "line",
    ["import os", "from secrets import choice", "import numpy as np; np.random.rand()", "open('x')", "print(1)",
     "from numpy.random import rand", "import django.db", "import coulance.platform"],
)  # fmt: skip
def test_planted_impurity_is_caught(line: str) -> None:
    assert _faults(line)


WITHOUT_FRAMEWORK = """
import doctest, pkgutil, sys
BLOCKED = {"django", "ninja", "procrastinate", "psycopg", "granian", "pyarrow", "msgspec", "click", "coulance", "typst"}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"{name} is not installed here")

sys.meta_path.insert(0, Blocker())
try:
    import django
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("the blocker doesn't block")
import coulance_core
modules = examples = 0
for found in pkgutil.walk_packages(coulance_core.__path__, "coulance_core."):
    __import__(found.name)
    result = doctest.testmod(sys.modules[found.name])
    if result.failed:
        raise SystemExit(f"{found.name}: {result.failed} examples fail")
    modules += 1
    examples += result.attempted
assert not BLOCKED & set(sys.modules)
print(modules, examples)
"""


def test_core_runs_where_no_framework_is_installed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_FRAMEWORK], cwd=SRC, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    modules, examples = map(int, done.stdout.split()[-2:])
    assert modules > 20
    assert examples > 20


PLUGIN = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "django":
            raise ModuleNotFoundError(f"{name} is not installed here")

sys.meta_path.insert(0, Blocker())
"""


def test_cores_tests_run_where_django_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "without_django.py").write_text(PLUGIN)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-n",
            "0",
            "-p",
            "without_django",
            "tests/core/kernel",
            "src/coulance_core/kernel",
        ],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
