"""Dates of issue, years of numbers, a currency with thousandths, and a segment that is damaged as a month is closed."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from coulance.cli.close import close
from coulance.customers import queries as customers
from coulance.flows.closing.close_period import UnableToCloseError
from coulance.ledger import queries as ledger
from coulance.usage import operations as usage
from coulance.usage import segments
from tests.closing.world import PROVIDER, REST, World, table


def test_documents_are_never_dated_before_those_that_are_issued(world: World) -> None:
    world.provider().account().service("v1", "vps", "2026-09-01", meter="traffic")
    world.close("2026-09", "2026-11-20T06:00")
    with pytest.raises(
        UnableToCloseError, match=re.escape("would date documents before the newest that is issued (2026-11-20)")
    ):
        world.close("2026-10", "2026-11-05T06:00")
    with pytest.raises(UnableToCloseError, match="numbers follow dates"):
        world.close("2026-10", "2026-11-05T06:00", dry_run=True)
    assert world.close("2026-10", "2026-11-20T09:00").totals.documents["base_invoice"] == 1


def test_a_close_as_of_tomorrow_is_only_a_dry_run() -> None:
    told = CliRunner().invoke(close, ["2026-10", "--at", "2999-01-01"])
    assert told.exit_code == 2
    assert "only a --dry-run can look ahead" in told.output


def test_numbers_begin_again_with_the_year_that_they_are_dated(world: World) -> None:
    world.provider().account().service("v1", "vps", "2026-11-01", meter="traffic")
    world.close("2026-11")
    world.use("v1", {"2026-12-05": 120})
    world.close("2026-12")
    assert world.papers() == table("""
        B2026-0001 2026-12: 10.00 + 2.10
          base v1 11-01..12-01 1 at 5: 5.00
          base v1 12-01..01-01 1 at 5: 5.00
        B2027-0001 2027-01: 5.00 + 1.05
          base v1 01-01..02-01 1 at 5: 5.00
        V2027-0001 2026-12: 2.00 + 0.42
          overage v1 12-01..01-01 20 GB at 0.1: 2.00
    """)


def test_a_currency_with_thousandths_from_samples_to_the_books(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.closing.world.PROVIDER", PROVIDER.replace("EUR", "KWD"))
    world.provider(rest=REST.replace("EUR", "KWD"))
    world.account(currency="KWD").service("v1", "vps", meter="traffic")
    world.close("2026-09")
    world.use("v1", {"2026-10-03": 117})
    world.close("2026-10")
    # 17 GB x 0.10 = 1.700; 21 % of 5.000 is 1.050 and of 1.700 is 0.357
    assert world.papers() == table("""
        B2026-0001 2026-10: 5.000 + 1.050
          base v1 10-01..11-01 1 at 5: 5.000
        B2026-0002 2026-11: 5.000 + 1.050
          base v1 11-01..12-01 1 at 5: 5.000
        V2026-0001 2026-10: 1.700 + 0.357
          overage v1 10-01..11-01 17 GB at 0.1: 1.700
    """)
    owed = ledger.balance(account=customers.account("acme").id)
    assert {code: money.decimal() for code, money in owed.items()} == {"KWD": "14.157"}


def test_a_damaged_segment_parks_those_whose_samples_it_holds_and_nobody_else(world: World, store_here: Path) -> None:
    world.provider().account().account("other")
    world.service("v1", "vps", meter="traffic").service("v2", "vps", account="other", meter="traffic")
    world.use("v1", {"2026-10-03": 150})
    usage.seal(now=datetime(2026, 11, 2, tzinfo=UTC))
    world.use("v2", {"2026-10-03": 150})
    usage.seal(now=datetime(2026, 11, 3, tzinfo=UTC))
    files = sorted((path for path in store_here.rglob("*") if path.is_file()), key=lambda path: path.stat().st_mtime)
    assert len(files) == 2
    whole = files[0].read_bytes()
    files[0].write_bytes(whole[: len(whole) // 2])
    segments.index_of.cache_clear()
    report = world.close("2026-10")
    assert len(report.parked) == 1, report.parked
    assert world.papers(kinds="V") == ""
    assert "5.00" in world.papers("other", kinds="V")
    files[0].write_bytes(whole)
    segments.index_of.cache_clear()
    assert world.close("2026-10").parked == ()
    assert "overage v1 10-01..11-01 50 GB at 0.1: 5.00" in world.papers(kinds="V")
