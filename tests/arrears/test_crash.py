"""Killed anywhere between two steps and run again: each step once, with its restriction, its letter and its record."""

from pathlib import Path
from typing import Any

import pytest

from tests.arrears.dying import AFTER, BEFORE, ENDING
from tests.arrears.quick import ENDS, POLICY, step
from tests.support.crashing import kill_at_each


def test_killed_anywhere_and_run_again(
    lasting: Any, committed_db: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the days of the suspension and of the end: nothing is half done, and the next run does it, once."""
    from coulance.services import queries as services
    from tests.arrears.street import Street, at

    del lasting
    monkeypatch.setenv("COULANCE_URL", "https://billing.example.nl")
    suspends = step("suspend", "restrict", "suspend", days=3)
    street = Street.of(tmp_path, arrears=POLICY + "".join([ENDS[0], suspends, *ENDS[1:]]))
    street.billed()
    for day in ("2026-06-19", "2026-06-22"):
        street.run(at(day))
    first = street.story()
    assert [one[6:] for one in first] == ["reminder", "back_up"]
    when = at("2026-06-23").isoformat()
    kill_at_each("tests.arrears.dying", BEFORE, street.account, when, *BEFORE, database=committed_db)
    assert (street.story(), street.restricted()) == (first, [])
    kill_at_each("tests.arrears.dying", AFTER, street.account, when, *AFTER, database=committed_db)
    for hour in (9.6, 9.7):
        street.run(at("2026-06-23", hour))
        assert street.story() == [*first, "06-23 suspend", "06-23 notice"]
        assert street.restricted() == ["pause"]
    street.approved("terminate", at("2026-06-24"))
    second = street.story()
    when = at("2026-06-25").isoformat()
    kill_at_each("tests.arrears.dying", ENDING, street.account, when, *ENDING, database=committed_db)
    assert (street.story(), services.service("vps-1").ended_on) == (second, None)
    for hour in (9.6, 9.7):
        street.run(at("2026-06-25", hour))
        assert [one for one in street.story() if "terminate" in one] == ["06-25 terminate"]
        assert street.restricted() == ["pause", "pause"]
        assert str(services.service("vps-1").ended_on) == "2026-06-25"
    assert street.audit() == []
