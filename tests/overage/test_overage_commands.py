"""`coulance overage` as an operator types it."""

from contextlib import contextmanager
from typing import Any

import pytest
from click.testing import CliRunner

from coulance.cli import overage as module
from coulance.overage import queries
from coulance.platform import clock
from tests.closing.world import World
from tests.overage.world import account_id, at, customer, verify


@pytest.fixture
def acme(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    @contextmanager
    def here() -> Any:
        yield None

    monkeypatch.setattr(module, "working_database", here)
    monkeypatch.setattr(clock, "now", lambda: at("2026-10-15T12:00"))
    more = 'approval_above = "100.00 EUR"\n[sending]\nfrom = "post@polder.example"\n'
    return customer(world, more=more).service("s1", "vps", meter="traffic")


def said(*arguments: str, status: int = 0) -> str:
    answer = CliRunner().invoke(module.overage, list(arguments))
    text = answer.output + (str(answer.exception) if answer.exception else "")
    assert answer.exit_code == status, (text, answer.exception)
    return text


def test_a_quote_goes_both_ways(acme: World) -> None:
    assert said("quote", "s1", "--amount", "50.00").startswith("50.00 EUR = 500 GB\nI allow overage of Traffic out")
    assert said("quote", "s1", "--quantity", "120").startswith("12.00 EUR = 120 GB\n")
    assert "one of the two" in said("quote", "s1", status=2)
    assert "no charge 'x'" in said("quote", "s1", "--amount", "5", "--charge", "x", status=1)


def test_consents_are_given_approved_and_withdrawn(acme: World) -> None:
    text = said("consent", "s1", "--contact", "anna", "--amount", "50.00", "--reason", "called, knew the number")
    assert "50.00 EUR = 500 GB" in text
    assert "dormant" in text
    verify("2026-10-14")
    text = said("consent", "s1", "--contact", "anna", "--amount", "150.00", "--reason", "called again")
    assert "waits for approval" in text
    (waiting,) = queries.pending()
    assert f"{waiting.id}  service" in said("consents")
    said("approve", str(waiting.id), "--reason", "pays on time")
    old, new = queries.consents(account=account_id())
    assert (old.ended_why, new.approved) == ("superseded", True)
    assert "superseded" in said("consents", "acme")
    said("withdraw", str(new.id), "--reason", "wrote that it is enough")
    assert queries.consents(account=account_id())[-1].ended_why == "withdrawn"
    assert "does not wait" in said("refuse", str(new.id), "--reason", "late", status=1)


def test_attacks_settlements_and_exposure(acme: World) -> None:
    acme.use("s1", {"2026-10-05": 150})
    text = said(
        "attack", "s1", "--from", "2026-10-05T10:00+02:00", "--to", "2026-10-05T11:00+02:00", "--at-most", "20",
        "--evidence", "flow 7", "--reason", "flood",
    )  # fmt: skip
    assert "recorded" in text
    assert "needs its offset" in said(
        "attack", "s1", "--from", "2026-10-05T10:00", "--to", "2026-10-05T11:00+02:00", "--evidence", "x",
        "--reason", "x", status=2,
    )  # fmt: skip
    acme.close("2026-10")
    assert said("settlements", "2026-10") == (
        "s1/out: 30 GB past the allowance, 0 billable; absorbed attack 20, no consent 30; worth 5.00 EUR\n"
    )
    assert said("settlements", "2026-09") == "none\n"
    assert "s1/out  unknown: give the meter its max_rate" in said("exposure")
