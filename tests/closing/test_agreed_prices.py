"""A base fee agreed for one service: what it bills, what closed days are safe from, and how it is taken back."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from coulance.flows.customers import UnableToKeepError
from coulance.flows.prices import agree_price, end_price
from coulance.platform import audit
from tests.closing.world import World, table

AT = datetime(2026, 10, 1, 9, tzinfo=UTC)


def agree(amount: str, since: str, **more: Any) -> None:
    facts: dict[str, Any] = {"words": "as agreed", "actor": "cli:test", "reason": "ten years with us", **more}
    agree_price(service="v1", amount=amount, from_date=date.fromisoformat(since), at=AT, **facts)


def test_it_prints_it_lasts_and_it_ends_with_the_plan(world: World) -> None:
    world.provider().account().service("v1", "vps", meter="traffic", quantity=3)
    agree("12.34", "2026-10-01", until=date(2026, 12, 1))
    world.close("2026-09")
    [line] = world.snapshot("B2026-0001")["lines"]
    assert line["description"].endswith("(as agreed)")
    assert world.papers().splitlines()[1].strip() == "base v1 10-01..11-01 1 at 12.34: 12.34"
    world.change("v1", "vps-xl", "2026-11-01")
    world.close("2026-10")
    assert "base v1 11-01..12-01 3" in world.papers()
    assert "12.34" not in world.papers().split("B2026-0002")[1]
    assert [event.reason for event in audit.events(act="price.agreed")] == ["ten years with us"]


def test_one_that_begins_in_a_month_that_is_billed_in_advance_gives_back_to_the_cent_and_so_does_its_end(
    world: World,
) -> None:
    world.provider().account().service("v1", "vps")
    world.close("2026-09")  # October, in advance
    agree("3.10", "2026-10-11")
    world.close("2026-10")
    assert world.papers() == table("""
        B2026-0001 2026-10: 5.00 + 1.05
          base v1 10-01..11-01 1 at 5: 5.00
        B2026-0002 2026-11: 5.20 + 1.09
          base v1 10-11..11-01 1: 2.10
          base v1 11-01..12-01 1 at 3.1: 3.10
        C2026-0001 2026-10: -3.39 + -0.71 on B2026-0001, price_reduction
          credit v1 10-01..11-01 1: -3.39
    """)
    with pytest.raises(UnableToKeepError, match="2026-10-31 is billed"):
        end_price(service="v1", on=date(2026, 10, 31), actor="cli:test", reason="mistake", at=AT)
    assert end_price(service="v1", on=date(2026, 11, 1), actor="cli:test", reason="mistake", at=AT)
    world.close("2026-11")
    assert "base v1 12-01..01-01 1 at 5: 5.00" in world.papers()
    assert "credit v1 11-01..12-01 1: -3.10" in world.papers()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"amount": "x"}, "expected an amount in EUR"),
        ({"amount": "-1"}, "0 or more"),
        ({"amount": "1.001"}, "expected an amount in EUR"),
        ({"amount": "1", "reason": " "}, "say why"),
        ({"amount": "1", "since": "2026-09-01"}, "on no plan"),
        ({"amount": "1", "until": date(2026, 10, 1)}, "expected a later day"),
        ({"amount": "1", "words": "a\nb"}, "one line"),
    ],
)
def test_what_can_not_be_agreed_is_said(world: World, given: dict[str, Any], said: str) -> None:
    world.provider().account().service("v1", "vps")
    with pytest.raises(UnableToKeepError, match=said):
        agree(given.pop("amount"), given.pop("since", "2026-10-01"), **given)
