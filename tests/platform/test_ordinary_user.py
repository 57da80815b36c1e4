"""It works for an ordinary user too: the whole of it run as somebody else than root."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.database import ROOT, run_dir

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="already an ordinary user: every other test shows it"),
]

NOBODY = 65534


def _as_nobody(*command: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd="/",
        env={
            "PATH": os.defpath,
            "COULANCE_HOME": str(home),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), sysconfig.get_path("purelib")]),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def _python() -> str:
    """A Python of this version that `nobody` may run; ours may stand in a closed home directory."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, shutil.which(version, path=os.defpath)):
        try:
            if candidate and _as_nobody(candidate, "-c", "import django, coulance", home=Path("/")).returncode == 0:
                return candidate
        except PermissionError:
            continue
    pytest.skip(f"no {version} with our packages that an ordinary user may run")


def test_an_ordinary_user_has_an_instance_of_their_own() -> None:
    python = _python()
    place = run_dir() / "ordinary"
    place.mkdir(mode=0o700)
    os.chown(place, NOBODY, NOBODY)
    home = place / "home"
    try:
        made = _as_nobody(python, "-m", "coulance.cli.main", "operator", "create", "anna", home=home)
        assert made.returncode == 0, made.stderr
        assert {path.stat().st_uid for path in [home, *home.iterdir()]} == {NOBODY}
        assert not list(home.glob("programs"))
        backed_up = _as_nobody(python, "-m", "coulance.cli.main", "backup", str(place / "b"), home=home)
        assert backed_up.returncode == 0, backed_up.stderr
        back = _as_nobody(python, "-m", "coulance.cli.main", "restore", str(place / "b"), home=place / "new")
        assert back.returncode == 0, back.stderr
    finally:
        shutil.rmtree(place)
