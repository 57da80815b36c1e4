"""Tests of the catalog room."""

import shutil
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "provider.toml"


def copy_example(where: Path) -> Path:
    """A copy of the example provider file and its parts, to edit; gives the copy's root file."""
    shutil.copytree(EXAMPLE.parent, where / "provider", ignore=shutil.ignore_patterns("*.csv", "*.md"))
    return where / "provider" / EXAMPLE.name


SMALL = """\
[provider]
name = "Small BV"
country = "NL"
currency = "EUR"
zone = "Europe/Amsterdam"
payment_days = 14

[[tax]]
country = "NL"
class = "standard"
rate = "21 %"
from = 2020-01-01
code = "NL21"

[series]
base = { format = "B{year}-{number:06d}" }
overage = { format = "V{year}-{number:06d}" }
credit = { format = "C{year}-{number:06d}" }

[meters.traffic]
name = "Traffic"
kind = "delta"
unit = "B"

[plans.vps]
name = "VPS"

[[plans.vps.versions]]
from = 2026-01-01
base = "5.00 EUR/month"

[plans.vps.versions.charges.transfer]
name = "Traffic out"
meter = "traffic"
direction = "out"
included = "100 GB"
price = "0.10 EUR/GB"
"""
