"""Periods as civil calendars have them: billing days that February lacks, clock changes, zones a half hour off."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from coulance.flows.closing.close_period import UnableToCloseError
from tests.closing.world import GB, World, table


@pytest.mark.parametrize(
    ("billing_day", "january", "february"),
    [
        (15, "01-15..02-15", "02-15..03-15"),
        (29, "01-29..02-28", "02-28..03-29"),
        (30, "01-30..02-28", "02-28..03-30"),
        (31, "01-31..02-28", "02-28..03-31"),
    ],
)
def test_billing_days_across_february(world: World, billing_day: int, january: str, february: str) -> None:
    world.provider().account(billing_day=billing_day)
    world.service("v1", "bounded", f"2026-01-{billing_day}", meter="traffic")
    world.service("b1", "vps", f"2026-01-{billing_day}")
    world.use("v1", {"2026-02-20": 40, "2026-03-10": 50, "2026-02-27": 10})
    world.close("2025-12", at="2026-02-05")
    world.close("2026-01", at="2026-03-05")
    world.close("2026-02", at="2026-04-05")
    usage = [line for line in world.papers(kinds="V").splitlines() if line.startswith("  ")]
    spent = {january: "0.00", february: "0.00"}
    for line in usage:
        _, _, span, *_ = line.split()
        spent[span] = f"{float(spent[span]) + float(line.rsplit(': ', 1)[1]):.2f}"
    # On the fifteenth all of it is February's: 100 GB are 10.00, at most 8.00; January costs its minimum of 3.00.
    # Later billing days part it on 28 February: 50 GB before, 50 after.
    expected = {january: "3.00", february: "8.00"} if billing_day == 15 else {january: "5.00", february: "5.00"}
    assert spent == expected
    # Every day of the base is billed once, and the cycles get their own day back after February.
    base = [line.split()[2] for line in world.papers(kinds="B").splitlines() if line.startswith("  base b1")]
    assert base[:2] == [january, february]
    assert len(base) == 3


def test_a_period_of_a_later_billing_day_is_closed_when_it_has_ended(world: World) -> None:
    world.provider().account().account("mid", billing_day=15)
    world.service("v1", "bounded", meter="traffic").service(
        "v2", "bounded", "2026-10-15", account="mid", meter="traffic"
    )
    world.use("v1", {"2026-10-02": 40}).use("v2", {"2026-11-14": 50})
    with pytest.raises(UnableToCloseError, match="settled 3 days after its end"):
        world.close("2026-10", at="2026-11-03T06:00")
    first = world.close("2026-10")
    assert (first.accounts, first.not_yet) == (1, 1)
    assert world.papers("mid") == ""
    second = world.close("2026-10", at="2026-11-18")
    assert (second.accounts, second.not_yet, second.totals.documents) == (
        2, 0, {"overage_invoice": 1, "usage_statement": 1}
    )  # fmt: skip
    assert world.papers("mid") == table("""
        V2026-0002 2026-10: 5.00 + 1.05
          overage v2 10-15..11-15 50 GB at 0.1: 5.00
    """)


@pytest.mark.parametrize(
    ("month", "hours", "zone"),
    [
        ("2026-03", 743, "Europe/Amsterdam"),
        ("2026-10", 745, "Europe/Amsterdam"),
        ("2026-10", 744, "Asia/Kolkata"),
        ("2026-03", 743, "America/New_York"),
        ("2026-11", 721, "America/New_York"),
    ],
)
def test_months_with_a_clock_change_and_zones_of_their_own(world: World, month: str, hours: int, zone: str) -> None:
    where = ZoneInfo(zone)
    year, number = int(month[:4]), int(month[5:])
    start = datetime(year, number, 1, tzinfo=where).astimezone(UTC)
    end = datetime(year, number + 1, 1, tzinfo=where).astimezone(UTC)
    assert (end - start) / timedelta(hours=1) == hours
    world.provider().account(zone=zone).service("c1", "count", f"{month}-01", meter="octets")
    # A counter that goes up 1 GB an hour, read on the hour from a day before to a day after
    first, last = int(start.timestamp()) - 86_400, int(end.timestamp()) + 86_400
    world.send("c1", [(at, (at - first) // 3600 * GB) for at in range(first, last + 1, 3600)])
    world.close(month)
    (line,) = world.snapshot(f"V{year}-0001")["lines"]
    assert (line["quantity"], line["net"]) == (str(hours), f"{hours / 10:.2f}")
    (item,) = world.statement(month)
    assert item["coverage"] == {"seen": hours, "expected": hours}
