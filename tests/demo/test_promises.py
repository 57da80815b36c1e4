"""The demo's broken promise: detected, credited, explained; told twice it is the same."""

from pathlib import Path

import pytest

from coulance.integrations.demo import promises
from tests.closing.world import World
from tests.sla.office import instant

pytestmark = pytest.mark.usefixtures("db", "store_here")


def test_an_outage_is_detected_credited_and_explained(tmp_path: Path) -> None:
    world = World(tmp_path).provider().account().service("web", "vps-xl", "2026-08-01")
    world.close("2026-08")
    now = instant("2026-10-04T06:00")
    told = promises.tell(tmp_path / "provider.toml", tmp_path / "home", year=2026, month=9, now=now, actor="demo")
    assert told is not None
    # 62 of 43,200 minutes, ten times, of 31.00.
    assert (told.service, told.minutes, told.credited, told.numbers) == ("web", 62, "0.44 EUR", ("C2026-0001",))
    assert "99.856" in told.percent
    assert "uncapped" in told.why
    again = promises.tell(tmp_path / "provider.toml", tmp_path / "home", year=2026, month=9, now=now, actor="demo")
    assert again == told
