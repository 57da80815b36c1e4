"""Killed anywhere between two steps and run again: each step once, with its restriction, its letter and its record."""

from pathlib import Path
from typing import Any

import pytest

from tests.arrears.dying import AFTER, BEFORE
from tests.support.crashing import kill_at_each


def test_killed_anywhere_and_run_again(
    lasting: Any, committed_db: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the day of the throttle, at six places: nothing is half done; the next run does it, once."""
    from tests.arrears.street import Street, at

    del lasting
    monkeypatch.setenv("COULANCE_URL", "https://billing.example.nl")
    street = Street.of(tmp_path)
    street.billed()
    street.until("2026-07-19", since="2026-06-15")
    before = street.story()
    when = at("2026-07-20").isoformat()
    kill_at_each("tests.arrears.dying", BEFORE, street.account, when, *BEFORE, database=committed_db)
    assert street.story() == before
    assert street.restricted() == []
    kill_at_each("tests.arrears.dying", AFTER, street.account, when, *AFTER, database=committed_db)
    assert street.story() == [*before, "07-20 throttle"]
    street.run(at("2026-07-20", 9.6))
    assert street.story() == [*before, "07-20 throttle"]
    assert street.restricted() == ["throttle"]
    street.run(at("2026-07-20", 9.7))
    assert street.story() == [*before, "07-20 throttle"]
    assert street.audit() == []
