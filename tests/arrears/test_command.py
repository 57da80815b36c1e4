"""`coulance arrears`: judged, shown, promised, planned, approved and put to rest by command."""

from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from click.testing import CliRunner

from coulance.cli import arrears as module
from coulance.platform import clock
from tests.arrears.street import Street, at


def test_a_debt_by_command(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    now: list[datetime] = [at("2026-06-23")]

    @contextmanager
    def here() -> Any:
        yield None

    monkeypatch.setattr(module, "working_database", here)
    monkeypatch.setattr(clock, "now", lambda: now[0])

    def typed(*arguments: str, status: int = 0) -> str:
        answer = CliRunner().invoke(module.arrears, list(arguments))
        text = answer.output + (str(answer.exception) if status == 1 else "")
        assert answer.exit_code == status, (text, answer.exception)
        return text

    street.billed()
    assert "1 acts done" in typed("run")
    street.mail(now[0])
    ahead = typed("preview", "--days", "40")
    assert "2026-07-20  acme vps-1  throttle: the network goes slower" in ahead
    shown = typed("show", "acme", "--explain")
    assert "B2026-0001 due 2026-06-18: open 121.00 EUR, now 121.00 EUR" in shown
    assert "net of B2026-0001" in shown
    assert "Ways out: pay, pay_part, plan, promise, dispute, smaller_plan, talk" in shown
    assert "Promise" in typed("promise", "acme", "--by", "2026-07-01")
    assert "14 days at most" in typed("promise", "acme", "--by", "2026-08-01", status=1)
    assert "is agreed: 121.00 EUR" in typed("plan", "acme", "--parts", "3", "--reason", "they called")
    assert "end it first" in typed("plan", "acme", "--parts", "2", "--reason", "again", status=1)
    assert "is ended" in typed("end-plan", _plan(street), "--reason", "they asked")
    assert "wants nobody's approval" in typed("approve", "acme", "suspend", "--reason", "x", status=1)
    end = ("approve", "acme", "terminate", "--service", "vps-1", "--reason", "looked")
    assert "wants 2 people, each signed in" in typed(*end, status=1)  # root may be anna, who said yes already
    assert "say until when" in typed("stay", "acme", "--kind", "operator", "--reason", "holiday", status=1)
    said = typed("stay", "acme", "--kind", "insolvency", "--reason", "F.10/26/123")
    assert typed("end-stay", said.split()[1].rstrip(":"), "--reason", "withdrawn").endswith("is over.\n")
    assert "Backup" in typed("backup", "acme", "vps-1", "--how", "tar", "--verified", "restored")
    assert typed("tasks") == "Nothing waits for anybody.\n"


def _plan(street: Street) -> str:
    from coulance.arrears import queries

    return str(queries.plans(accounts=[street.account])[-1].id)
