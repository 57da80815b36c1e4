"""[drivers.KEY] of a provider file: read whole, kept, told by plan; each fault at its line."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from coulance.catalog import operations, queries
from coulance.catalog.provider_file import json_schema
from coulance.catalog.reader import ProviderFile, read_provider_file
from coulance_core.catalog.terms import Driver, DriverKind
from tests.catalog import SMALL

AT = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)
DRIVERS = """
[drivers.edge-1]
kind = "nftables"
prefix = ["ssh", "-T", "root@edge-1"]
keep = ["192.0.2.0/28"]
reconcile = "5 min"

[drivers.pve]
kind = "proxmox"
url = "https://pve1.example.net:8006/"
secret = "proxmox-ams1"
timeout = "4 s"

[drivers.nobody]
kind = "record"
"""


def read(tmp_path: Path, more: str) -> ProviderFile:
    path = tmp_path / "provider.toml"
    path.write_text(f"{SMALL.read_text() if isinstance(SMALL, Path) else SMALL}\n{more}")
    return read_provider_file(path)


def test_drivers_are_read_kept_and_told(db: Any, tmp_path: Path) -> None:
    file = read(tmp_path, DRIVERS)
    assert file.faults == ()
    assert file.catalog is not None
    assert file.catalog.drivers == {
        "edge-1": Driver(
            "edge-1", DriverKind.NFTABLES, ("ssh", "-T", "root@edge-1"), keep=("192.0.2.0/28",), reconcile_s=300
        ),
        "pve": Driver(
            "pve", DriverKind.PROXMOX, url="https://pve1.example.net:8006", secret="proxmox-ams1", timeout_s=4
        ),
        "nobody": Driver("nobody", DriverKind.RECORD),
    }
    operations.apply_catalog(file=file, actor="tests", at=AT)
    assert queries.catalog().drivers == file.catalog.drivers
    changed = read(tmp_path, DRIVERS.replace("192.0.2.0/28", "192.0.2.0/24").replace("nobody", "somebody"))
    told = operations.apply_catalog(file=changed, actor="tests", at=AT).changes
    assert [line for line in told if line.startswith("driver edge-1")]
    assert "new driver: somebody (record)" in told
    assert "driver taken out: nobody (record)" in told


@pytest.mark.parametrize(
    ("old", "new", "says", "by_schema"),
    [
        ('kind = "record"', 'kind = "recorder"', "recorder", True),
        ('prefix = ["ssh", "-T", "root@edge-1"]', 'prefix = "ssh root@edge-1"', "a list", True),
        ('keep = ["192.0.2.0/28"]', 'keep = ["192.0.2.1/28"]', "an address or network", False),
        ('reconcile = "5 min"', 'reconcile = "5 GB"', "measures data", False),
        ('timeout = "4 s"', 'timeout = "40 s"', "expected 1 to 8", False),
        ('secret = "proxmox-ams1"', 'secret = "root@pam!x=1"', "name of a secret", True),
        ('secret = "proxmox-ams1"\n', "", "'secret' is missing", True),
        ('kind = "record"', 'kind = "record"\ntoken = "x"', "unknown key 'token'", True),
    ],
)
def test_faults_have_their_line(tmp_path: Path, old: str, new: str, says: str, by_schema: bool) -> None:
    assert old in DRIVERS
    file = read(tmp_path, DRIVERS.replace(old, new))
    (fault,) = file.faults
    assert says in str(fault)
    assert fault.key.startswith("drivers.")
    if by_schema:
        import tomllib

        held = tomllib.loads((tmp_path / "provider.toml").read_text())
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(held, json_schema())
