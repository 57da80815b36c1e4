"""A command starts quickly because it loads little: what may not be loaded before somebody needs it, by name.

No times are taken here, since they say more about the machine. To find out who imports a module that is named:
`python -X importtime -m coulance.cli.main alarms 2>&1 | less`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.database import ROOT
from tests.support.instances import environment

#: Heavy modules of others, and rooms' modules that bring them along.
HEAVY = set(
    """
    PIL allauth.mfa.totp.views anymail cramjam cryptography.x509 django.test dns fsspec granian holidays httpx jinja2
    lxml mollie msgspec ninja numpy prometheus_client pyarrow pydantic pygments pysnmp requests rich saxonche segno
    sepaxml stdnum stripe tree_sitter typst whitenoise xml.dom
    """.split()
)
_EVERY_COMMAND = """
import sys
from coulance.cli.main import COMMANDS
for entry in COMMANDS.values():
    entry.load()
"""
_DJANGO = """
from coulance.cli.session import set_django_up
set_django_up()
"""
_SUPERVISOR = """
from coulance.cli import up
"""
_END = """
import json, sys
print(json.dumps(sorted(sys.modules)))
"""


def _loaded(program: str, tmp_path: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", program + _END],
        env=environment(tmp_path),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("program", "allowed"),
    [
        pytest.param(_EVERY_COMMAND, {"rich", "pygments"}, id="every command's module"),
        pytest.param(_DJANGO, set(), id="django set up"),
        pytest.param(_SUPERVISOR, set(), id="the supervisor"),
    ],
)
def test_nothing_heavy_is_loaded(program: str, allowed: set[str], tmp_path: Path) -> None:
    loaded = _loaded(program, tmp_path)
    assert sorted(loaded & (HEAVY - allowed)) == []
    if program != _DJANGO:
        assert "django.apps" not in loaded
    else:
        assert "coulance.invoicing.models" in loaded
        assert "coulance.config.urls" not in loaded
