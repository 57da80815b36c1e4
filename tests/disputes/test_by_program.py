"""Disputes by the command line and by the API: the same acts, the same refusals."""

from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from django.test import Client

from coulance.cli import dispute as module
from coulance.platform import clock
from tests.api.conftest import Api, make_token
from tests.disputes.court import Court, later


@pytest.fixture
def typed(court: Court, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Type a command: what it says; it should end with `status`."""

    @contextmanager
    def here() -> Any:
        yield None

    monkeypatch.setattr(module, "working_database", here)
    monkeypatch.setattr(clock, "now", lambda: later(0.1))

    def said(*arguments: str, status: int = 0) -> str:
        answer = CliRunner().invoke(module.dispute, list(arguments))
        text = answer.output + (str(answer.exception) if status == 1 else "")
        assert answer.exit_code == status, (text, answer.exception)
        return text

    return said


def test_a_case_by_command(court: Court, typed: Any, tmp_path: Path) -> None:
    assert typed("list") == "Nothing is contested.\n"
    given = ["open", court.number, "--grounds", "quantity", "--reason", "not ours", "--contact", "boss"]
    assert "write" not in typed(*given, "--line", "1=litres:5", status=2)
    assert "left to contest" in typed(*given, "--line", "1=amount:201", status=1)
    said = typed(*given, "--line", "1=days:2026-06-01..2026-06-15")
    assert "121.00 EUR is contested, 121.00 EUR of it held" in said
    case = said.split()[1]
    assert "asked" in typed("ask", case, "Which host?")
    assert "open, ours until" in typed("answer", case, "web-2, they say on the phone")
    assert "with Ombudsman" in typed("mediate", case, "as you asked", "--name", "Ombudsman", "--reference", "7")
    assert "back with us" in typed("mediate", case, "a third", "--done")
    shown = typed("show", case, "--explain")
    for words in ("121.00 EUR contested (quantity)", "mediated by cli:", "share = 0.5", "To be paid of it now: 121.00"):
        assert words in shown, shown
    seen = typed("decide", case, "shared", "--share", "1/3", "--reason", "the third party says so", "--yes")
    assert "Credited, tax included: 40.33 EUR. To be paid then: 201.67 EUR" in seen
    assert "by C2026-0001" in seen
    assert "decided (shared)" in typed("list", "--all")
    assert typed("lapse") == "Closed: none. Late with us: 0.\n"
    assert court.audit() == []


def test_a_case_by_the_api(court: Court, typed: Any) -> None:
    api = Api(make_token("disputes:read", "disputes:write"), Client())
    part = {"line": 1, "quantity": "500"}
    body = {"number": court.number, "lines": [part], "grounds": "attack", "reason": "a flood"}
    made = api("POST", "/disputes", body)
    assert made.status_code == 201, made.content
    case = made.json()
    assert (case["held"], case["state"]) == ({"amount": "60.50", "currency": "EUR"}, "open")
    assert case["parts"] == [{"line": 1, "way": "quantity", "net": "50.00"}]
    assert api("POST", "/disputes", body).status_code == 409  # contested already
    assert api("POST", "/disputes", body | {"number": "V9"}).status_code == 404
    both = api("POST", "/disputes", body | {"lines": [part | {"amount": "5"}]})
    assert both.status_code in (409, 422)
    where = f"/disputes/{case['id']}"
    assert api("POST", f"{where}/steps", {"act": "ask", "text": "Since when?"}).json()["state"] == "asked"
    assert api("POST", f"{where}/steps", {"act": "ask", "text": "And?"}).status_code == 409
    half = {"outcome": "part", "credits": [{"line": 1, "amount": "20.00"}], "reason": "half of it"}
    seen = api("POST", f"{where}/decision?dry_run=true", half).json()
    assert (seen["credited"]["amount"], seen["to_pay"]["amount"], seen["credit_notes"]) == ("24.20", "217.80", [])
    assert court.state(case["id"]) == "asked"
    done = api("POST", f"{where}/decision", half)
    assert (done.status_code, done.json()["credit_notes"]) == (200, ["C2026-0001"])
    assert api("POST", f"{where}/decision", half).status_code == 409
    listed = api("GET", "/disputes?closed=true&account=acme").json()
    assert [one["steps"][-1]["outcome"] for one in listed["items"]] == ["part"]
    assert api("GET", "/disputes/999999").status_code == 404
    assert court.audit() == []
