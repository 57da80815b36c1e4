"""Advice and goodwill by API: the answers, what is refused, and that a key grants once."""

from datetime import UTC, datetime
from typing import Any

import pytest

from coulance.platform import clock


@pytest.fixture(autouse=True)
def november(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """October is closed: v1 used 150 GB, 50 above, at 0.10."""
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 11, 5, 9, tzinfo=UTC))


def test_advice(api: Any) -> None:
    got = api.get("/advice/v1")
    assert (got["through"], got["periods"], got["verdict"], got["advised"]) == ("2026-10", 1, "too_few", None)
    totals = {plan["plan"]: plan["total"]["amount"] for plan in got["plans"]}
    # VPS: 5.00 and 50 GB. Bounded: 150 GB at 0.10, at most 8.00. Pooled alone: 50 GB at 0.20.
    assert {key: totals[key] for key in ("vps", "bounded", "vps-xl", "node")} == {
        "vps": "10.00",
        "bounded": "8.00",
        "vps-xl": "31.00",
        "node": "10.00",
    }
    assert [plan["plan"] for plan in got["plans"] if plan["present"]] == ["vps"]
    assert api("GET", "/advice/v9").status_code == 404


def test_goodwill_once_by_its_key(api: Any) -> None:
    body = {"by": "share", "percent": 50, "cause": "first_time", "reason": "a first time"}
    first = api("POST", "/goodwill/V2026-0001", body, Idempotency_Key="g-1")
    assert first.status_code == 201, first.content
    assert first.json() == {
        "credit_note": "C2026-0001",
        "amount": {"amount": "2.50", "currency": "EUR"},
        "left": {"amount": "2.50", "currency": "EUR"},
    }
    again = api("POST", "/goodwill/V2026-0001", body, Idempotency_Key="g-1")
    assert again.json() == first.json()
    assert len(api.get("/documents?kind=credit_note")["items"]) == 1


@pytest.mark.parametrize(
    ("number", "change", "status"),
    [
        ("V2026-0001", {"by": "amount", "percent": None, "amount": {"amount": "5.01", "currency": "EUR"}}, 409),
        ("V2026-0001", {"by": "cap", "percent": None, "amount": {"amount": "9.00", "currency": "EUR"}}, 409),
        ("V2026-0001", {"amount": {"amount": "1.00", "currency": "EUR"}}, 422),
        ("V2026-0001", {"by": "amount", "percent": None}, 422),
        ("V2026-0001", {"percent": None}, 422),
        ("V2026-0001", {"cause": "whim"}, 422),
        ("V2026-0001", {"line": 9}, 409),
        ("B2026-0001", {}, 409),
        ("V2026-9999", {}, 404),
    ],
)
def test_what_is_refused(api: Any, number: str, change: dict[str, Any], status: int) -> None:
    body = {"by": "share", "percent": 50, "cause": "first_time", "reason": "a first time", **change}
    answer = api("POST", f"/goodwill/{number}", body)
    assert answer.status_code == status, answer.content
    assert api.get("/documents?kind=credit_note")["items"] == []
