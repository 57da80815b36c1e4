"""A service that was billed elsewhere before: no day of its past comes onto our first invoice."""

from datetime import date

from tests.closing.world import World, table


def test_base_fees_begin_where_the_other_system_stopped(world: World) -> None:
    world.provider().account()
    world.service("old", "vps", "2025-02-03", billed_until=date(2026, 11, 1))
    world.service("yearly", "domain", "2025-03-15", billed_until=date(2027, 3, 1))
    world.service("new", "vps", "2026-10-22")
    world.close("2026-10")
    assert world.papers() == table("""
        B2026-0001 2026-11: 11.61 + 2.44
          base new 10-22..11-01 1: 1.61
          base new 11-01..12-01 1 at 5: 5.00
          base old 11-01..12-01 1 at 5: 5.00
    """)


def test_a_month_that_was_billed_in_part_is_billed_for_the_rest(world: World) -> None:
    world.provider().account().service("old", "vps", "2025-02-03", billed_until=date(2026, 11, 16))
    world.close("2026-10")
    assert world.papers() == table("""
        B2026-0001 2026-11: 2.50 + 0.53
          base old 11-16..12-01 1: 2.50
    """)
