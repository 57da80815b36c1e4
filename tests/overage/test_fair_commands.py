"""`coulance advise` and `coulance goodwill` as an operator types them."""

from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from coulance.cli import advise as advise_module
from coulance.cli import goodwill as goodwill_module
from coulance.cli.advise import advise
from coulance.cli.goodwill import goodwill
from coulance.platform import clock
from tests.closing.world import World
from tests.overage.fair import ALWAYS, NOW, ONCE, TABLES, fair_world

COSTS = '[goodwill]\ncosts = ["1.00 EUR/TB"]\nmargin = "25 %"\n[goodwill.budgets]\nadmin = "150.00 EUR"\n'

PAID_LESS = (
    "On VPS XL you would have paid 8100.00 EUR less over the last 6 periods, before tax; it was cheaper in 6 of them."
)


@pytest.fixture
def folder(db: Any, store_here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    @contextmanager
    def here() -> Any:
        yield None

    monkeypatch.setattr(advise_module, "working_database", here)
    monkeypatch.setattr(goodwill_module, "working_database", here)
    monkeypatch.setattr(clock, "now", lambda: NOW)
    return tmp_path


def said(command: Any, *arguments: str, status: int = 0) -> str:
    answer = CliRunner().invoke(command, list(arguments))
    text = answer.output + (str(answer.exception) if status == 1 else "")
    assert answer.exit_code == status, (text, answer.exception)
    return text


def test_advice_for_one_service(folder: Path) -> None:
    fair_world(folder, ALWAYS)
    assert said(advise, "vps-1").splitlines() == [
        "VPS-1, the last 6 periods to 2026-06, before tax:",
        "  vps-xl        360.00",
        "  vps-m        4950.00",
        "  vps-s        8460.00  (now)",
        "  node        17934.00",
        PAID_LESS,
    ]
    assert "saved = paid now - would have cost = 8100 EUR" in said(advise, "vps-1", "--explain")
    assert "the last 2 periods" in said(advise, "vps-1", "--periods", "2")


def test_advice_for_repeat_payers_and_that_they_were_told(folder: Path) -> None:
    world = fair_world(folder, ALWAYS)
    world.account("calm").service("vps-2", "vps-s", "2026-01-01", account="calm", meter="traffic")
    first = said(advise, "--all", "--repeat-payers", "--note-told")
    assert first.startswith("vps-1: On VPS XL you would have paid 8100.00 EUR less")
    assert first.endswith("Noted as told: 1.\n")
    assert said(advise, "--all", "--repeat-payers") == "vps-1: told before, not again yet\n"


@pytest.mark.parametrize(
    "arguments", [(), ("--all",), ("vps-1", "--all", "--repeat-payers"), ("vps-1", "--accept", "vps-m")]
)
def test_what_makes_no_sense_is_refused(folder: Path, arguments: tuple[str, ...]) -> None:
    assert "Usage:" in said(advise, *arguments, status=2)


def test_the_larger_plan_instead(folder: Path) -> None:
    world = fair_world(folder, ONCE)
    text = said(advise, "--instead-of", "V2026-0001")
    assert "vps-1: 200.00 EUR of overage is open to choice." in text
    assert "1. Pay the overage: 200.00 EUR.\n2. Take VPS M for this period only: 15.00 EUR" in text
    took = said(
        advise, "vps-1", "--instead-of", "V2026-0001", "--accept", "vps-m", "--reason", "asked by mail", "--yes"
    )
    assert took == (
        "C2026-0001 gives back 200.00 EUR; V2026-0002 bills the difference, 15.00 EUR. "
        "From 2026-07-01 it is on VPS S again.\n"
    )
    assert "C2026-0001" in world.papers(kinds="C")
    assert "nothing is left of its overage" in said(advise, "--instead-of", "V2026-0001")


def priced(folder: Path) -> World:
    world = fair_world(folder, ONCE)
    return world.provider(rest=TABLES, more=COSTS)


def test_goodwill_from_proposal_to_credit_note(folder: Path) -> None:
    world = priced(folder)
    assert said(goodwill, "propose", "V2026-0001").splitlines() == [
        "Line 1, vps-1: Traffic out, above the included 1000 GB",
        "  billed 200.00 EUR, left 200.00 EUR",
        "  used before: 400, 400, 400, 400, 400; one off",
        "  cost us 2.00 EUR; giving it loses 0.00 EUR, earned back in 0 months",
        "  left in your budget this month: 150.00 EUR",
        "  proposed: 198.00 EUR (one_off: they pay what it cost us, 2.00 EUR)",
    ]
    assert "granted" in said(goodwill, "propose", "V2026-0001", "--cause", "attack", "--explain")
    words = ("grant", "V2026-0001", "--cause", "one_off", "--reason", "a backup ran wild", "--yes")
    assert "150.00 EUR of 150.00 EUR is left" in said(goodwill, *words, "--cap", "2.00", status=1)
    assert said(goodwill, *words, "--share", "50%") == (
        "C2026-0001 gives back 100.00 EUR before tax; 100.00 EUR of the line is left.\n"
    )
    assert said(goodwill, *words, "--cap", "75").startswith("C2026-0002 gives back 25.00 EUR")
    assert said(goodwill, *words, "--amount", "5.00").startswith("C2026-0003 gives back 5.00 EUR")
    assert world.papers(kinds="C").count("on V2026-0001, price_reduction") == 3


@pytest.mark.parametrize("how", [(), ("--share", "50", "--cap", "3"), ("--share", "0"), ("--amount", "much")])
def test_one_way_to_say_how_much(folder: Path, how: tuple[str, ...]) -> None:
    priced(folder)
    words = ("grant", "V2026-0001", "--cause", "other", "--reason", "because", "--yes")
    assert "Usage:" in said(goodwill, *words, *how, status=2)
