"""The demo's running month under control: told once, its figures follow from its cast, and one page opens."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.test import Client

from coulance.drivers.record import RecordOnly
from coulance.enforcement import executing
from coulance.integrations.demo import control
from coulance.platform import clock
from tests.catalog import EXAMPLE

NOW = datetime(2026, 11, 22, 11, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("db", "store_here")


def _tell(home: Path, now: datetime) -> control.Told | None:
    paper = RecordOnly()
    return control.tell(
        EXAMPLE,
        home,
        now=now,
        actor="demo",
        execute=lambda at: executing.round_of({"paper": paper}, worker="demo", now=lambda: at),
    )


def test_who_was_warned_reached_paused_and_what_was_absorbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _tell(tmp_path, datetime(2026, 10, 31, 23, 30, tzinfo=UTC)) is None
    told = _tell(tmp_path, NOW)
    assert told is not None
    # Of ten, eight use more than half; one of those can't be reached; of the four past their allowance two allowed more
    # (5.00 at 0.01 per GB is 500 GB, of which 1600 were wanted; 25.00 would have been 2500 GB, of which 900 were used).
    assert (told.watched, told.warned, told.reached, told.answered, told.paused) == (10, 8, 7, 2, 3)
    assert told.charged == "1400 GB"
    assert told.whose == "De Streamers"
    assert _tell(tmp_path, NOW) == told
    monkeypatch.setattr(clock, "now", lambda: NOW)
    page = Client().get(told.page).content.decode()
    assert "Server of De Streamers" in page
    assert "Network paused" in page
