"""What is shipped to run it: the systemd unit and the image's recipe. No engine here builds the image."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.database import ROOT

UNIT = ROOT / "packaging" / "systemd" / "coulance.service"
RECIPE = ROOT / "packaging" / "Containerfile"


def _unit() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {}
    section = ""
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(section, {}).setdefault(key, []).append(value)
    return found


def test_the_unit_allows_little() -> None:
    service = _unit()["Service"]
    for key in (
        "NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectClock", "ProtectKernelTunables",
        "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "RestrictNamespaces", "RestrictRealtime",
        "RestrictSUIDSGID", "LockPersonality",
    ):  # fmt: skip
        assert service[key] == ["yes"], key
    assert service["ProtectSystem"] == ["strict"]
    assert service["CapabilityBoundingSet"] == [""]
    assert service["User"] != ["root"]
    # It can write to its instance, stop its parts in order, and be reloaded without dropping anybody.
    assert service["StateDirectory"] == ["coulance"]
    assert "COULANCE_HOME=/var/lib/coulance" in service["Environment"][0]
    assert service["KillMode"] == ["mixed"]
    assert service["ExecReload"] == ["/bin/kill -USR1 $MAINPID"]
    assert configparser.ConfigParser(strict=False).read_string(UNIT.read_text()) is None


def test_systemd_finds_no_fault_in_it(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    # The program and the user are made by whoever installs it; here something else stands for them.
    text = UNIT.read_text().replace("/opt/coulance/.venv/bin/coulance up", "/bin/true")
    text = text.replace("User=coulance", "User=daemon").replace("Group=coulance", "Group=daemon")
    there = tmp_path / "coulance.service"
    there.write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(there)]
    verified = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "coulance.service" not in verified.stderr, verified.stderr
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", str(there)],
        capture_output=True, text=True, check=False, timeout=60, env={**os.environ, "SYSTEMD_COLORS": "0"},
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout + judged.stderr  # exposure above 2.5 of 10 would end with 1


def _steps() -> list[tuple[str, str]]:
    text = "\n".join(line for line in RECIPE.read_text().splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n", " ", text)
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in joined.splitlines() if line.strip()]


def test_the_recipe_keeps_the_rules() -> None:
    steps = _steps()
    assert {word for word, _ in steps} <= set(
        "FROM ENV WORKDIR COPY RUN USER VOLUME EXPOSE HEALTHCHECK STOPSIGNAL ENTRYPOINT CMD".split()
    )
    stages = [rest.split()[0] for word, rest in steps if word == "FROM"]
    assert stages == ["python:3.11-slim-bookworm"] * 2
    installs = [rest for word, rest in steps if word == "RUN" and "pip install" in rest]
    assert all("--require-hashes" in rest or "--no-index" in rest for rest in installs)
    last = max(n for n, (word, _) in enumerate(steps) if word == "FROM")
    final = steps[last:]
    users = [rest for word, rest in final if word == "USER"]
    assert users == ["10001:10001"]
    assert not any("pip" in rest for word, rest in final if word == "RUN")
    assert any(word == "HEALTHCHECK" and "/readyz" in rest for word, rest in final)
    assert not any(
        word == "ADD" or "curl" in rest or "http:" in rest.replace("http://127.0.0.1", "") for word, rest in steps
    )
    for word, rest in steps:
        if word == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source


def test_the_project_installs_from_what_is_pinned_and_runs(tmp_path: Path) -> None:
    # The recipe's second install, which needs no network: the wheel by the pinned hatchling, put where nothing else is.
    for name in ("pyproject.toml", "README.md", "LICENSE", "src"):
        (tmp_path / name).symlink_to(ROOT / name)
    where = tmp_path / "site"
    program = "import hatchling.build as b, sys; print(b.build_wheel(sys.argv[1]))"
    built = subprocess.run(
        [sys.executable, "-c", program, str(where)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    import zipfile

    wheel = where / built.stdout.split()[-1]
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
        packed.extractall(where)
    for needed in (
        "coulance/cli/main.py", "coulance/console/templates/console/base.html", "coulance/platform/engine/base.py",
        "coulance_core/kernel/money.py",
    ):  # fmt: skip
        assert needed in names, needed
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in names)
    said = subprocess.run(
        [sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import coulance; print(coulance.__file__)",
         str(where)], capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert said.stdout.strip().startswith(str(where))
