"""What the page on collectors shows is sound, and faults of collectors in a provider file are told where they are."""

import re
from pathlib import Path

import pytest

from coulance.catalog.reader import read_provider_file
from coulance_core.catalog.collectors import CollectorKind
from tests.catalog import SMALL
from tests.support.database import ROOT

PAGE = (ROOT / "docs" / "collectors.md").read_text()
PORT = '\n[meters.port]\nname = "Port"\nkind = "counter"\nunit = "B"\ncounter_bits = 64\n'


def test_the_examples_are_sound_and_show_every_kind(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text("\n".join([SMALL, *re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)]))
    file = read_provider_file(path)
    assert [str(fault) for fault in file.faults] == []
    assert file.catalog is not None
    assert {one.kind for one in file.catalog.collectors.values()} == set(CollectorKind)


def test_the_page_names_every_label() -> None:
    for kind in CollectorKind:
        for label in kind.labels:
            assert f"`{label}`" in PAGE, (kind, label)


GOOD = """
[collectors.sw]
kind = "snmp"
targets = ["sw1"]
secret = "community"

[[collectors.sw.rules]]
series = "{target}:{ifname}"
meter = "port"
include = { ifname = "ge.*" }

[collectors.rw]
kind = "prometheus_remote_write"

[[collectors.rw.rules]]
in = "rx"
out = "tx"
series = "{instance}"
meter = "port"
"""

FAULTS = [
    # what                               in place of                        this                                    says
    ("an unknown kind", 'kind = "snmp"', 'kind = "smnp"', "did you mean 'snmp'?"),
    ("no kind", 'kind = "snmp"\n', "", "'kind' is missing"),
    ("no rules", GOOD[GOOD.index("[[collectors.sw") : GOOD.index("[collectors.rw")], "", "'rules' is missing"),
    ("no targets", 'targets = ["sw1"]\n', "", "'targets' is missing"),
    ("a target twice", '["sw1"]', '["sw1", "sw1"]', "'sw1' is there twice"),
    ("a target that is a URL", '"sw1"', '"http://sw1/"', "expected a host, or host:port"),
    ("an unknown label", "{target}", "{taget}", "snmp has no label 'taget'"),
    ("an unknown label to match", "ifname =", "ifnam =", "snmp has no label 'ifnam'"),
    ("no label at all", "{target}:{ifname}", "ports", "one series of all readings"),
    ("a brace left open", "{target}:{ifname}", "{target", "not a template"),
    ("a pattern that is none", "ge.*", "ge(.*", "regular expression"),
    (
        "an unknown meter",
        'series = "{instance}"\nmeter = "port"',
        'series = "{instance}"\nmeter = "prt"',
        "unknown meter",
    ),
    (
        "a meter of deltas",
        'series = "{instance}"\nmeter = "port"',
        'series = "{instance}"\nmeter = "traffic"',
        "is a delta",
    ),
    ("no metric", 'in = "rx"\nout = "tx"\n', "", "expected the metrics it takes"),
    ("one metric in and out", '"tx"', '"rx"', "counted in already"),
    ("a secret itself", '"community"', '"Pa55-word!"', "the name of a secret"),
    ("version 3 without a user", 'secret = "community"', 'version = "v3"', "signs in with a user"),
    ("an interval of a second", 'secret = "community"', 'secret = "community"\ninterval = "1 s"', "10 to 86400"),
]


@pytest.mark.parametrize(("old", "new", "says"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS])
def test_faults_are_told_where_they_are(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in GOOD
    path = tmp_path / "p.toml"
    path.write_text(SMALL + PORT + GOOD)
    assert read_provider_file(path).faults == ()
    path.write_text(SMALL + PORT + GOOD.replace(old, new, 1))
    faults = read_provider_file(path).faults
    assert any(says in str(fault) for fault in faults), [str(fault) for fault in faults]
    first = len((SMALL + PORT).splitlines())
    assert all(fault.place.line > first for fault in faults)
    assert len(faults) <= 2


def test_all_faults_at_once(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    broken = GOOD.replace("ge.*", "ge(.*").replace('"tx"', '"rx"').replace("{instance}", "x").replace('"sw1"', '"a b"')
    path.write_text(SMALL + PORT + broken)
    assert len(read_provider_file(path).faults) >= 3
