"""The operator's side: contracts with verdicts, a timer, leave; promises at risk and broken."""

from typing import Any

import pytest

from coulance.contracts import queries
from coulance.platform import clock
from tests.console.conftest import operator  # noqa: F401 - fixture
from tests.console.conftest import signed_in as browser_of
from tests.contracts.desk import Desk, later


def test_contracts_timer_leave_and_promises(desk: Desk, operator: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    desk.agrees("k1", "strips").sells("k1")
    desk.agrees("k2", "care").tells("7", ("opened", later(0)), contract="k2")
    monkeypatch.setattr(clock, "now", lambda: later(3))
    browser = browser_of(operator)
    page = browser.get("/contracts").content.decode()
    for said in ("Too early to say", "10:00", "strips@2026-01-01", "Start the timer"):
        assert said in page, said
    act = {"token": "t" * 20, "contract": "k1", "do": "start", "text": "<b>DNS</b>", "work": "corrective"}
    assert browser.post("/contracts/act", act).status_code == 302
    assert browser.post("/contracts/act", act).status_code == 302  # pressed twice, started once
    monkeypatch.setattr(clock, "now", lambda: later(3.3))
    assert "Stop the timer" in browser.get("/contracts").content.decode()
    browser.post("/contracts/act", {"token": "u" * 20, "contract": "k1", "do": "stop"})
    ask = {"token": "v" * 20, "contract": "k1", "do": "ask", "text": "a report", "minutes": "90"}
    browser.post("/contracts/act", ask)
    page = browser.get("/contracts/k1").content.decode()
    for said in ("&lt;b&gt;DNS&lt;/b&gt;", "0:30 your hour card", "a report", "95.00", "B2026-0001", "waits"):
        assert said in page, said
    assert queries.timers() == []
    page = browser.get("/promises").content.decode()
    for said in ("Help 7", "first answer", "late"):
        assert said in page, said
    assert browser.get("/contracts/k9").status_code == 404
