"""What a month comes to, worked by hand: plans of every kind, and what changes in the middle of it.

A table shows an account's documents: number, period, net and tax, then a line for each of their lines.
"""

from tests.closing.world import World, five_minutes, table


def test_a_server_within_and_above_what_is_included(world: World) -> None:
    world.provider().account().account("quiet")
    world.service("v1", "vps", meter="traffic").service("v2", "vps", account="quiet", meter="traffic")
    world.close("2026-09")  # October's base, in advance
    world.use("v1", {"2026-10-03": 120, "2026-10-31": 30}).use("v2", {"2026-10-04": 100})
    world.close("2026-10")
    # 150 GB used, 100 included: 50 x 0.10 = 5.00
    assert world.papers() == table("""
        B2026-0001 2026-10: 5.00 + 1.05
          base v1 10-01..11-01 1 at 5: 5.00
        B2026-0003 2026-11: 5.00 + 1.05
          base v1 11-01..12-01 1 at 5: 5.00
        V2026-0001 2026-10: 5.00 + 1.05
          overage v1 10-01..11-01 50 GB at 0.1: 5.00
    """)
    assert world.papers("quiet", kinds="V") == ""
    (item,) = world.statement("2026-10", "quiet")
    assert (item["used"], item["allowance"], item["overage"]) == ("100", "100", "0")


def test_a_first_partial_month_and_its_part_of_the_allowance(world: World) -> None:
    world.provider().account().service("v1", "vps", "2026-10-22", meter="traffic")
    world.close("2026-09")
    world.use("v1", {"2026-10-25": 40})
    world.close("2026-10")
    # 10 of 31 days: base 5.00 x 10/31 = 1.6129 = 1.61; included 100 x 10/31 = 32.258..: over 7.7419.. x 0.10 = 0.77
    assert world.papers() == table("""
        B2026-0001 2026-10: 1.61 + 0.34
          base v1 10-22..11-01 1: 1.61
        B2026-0002 2026-11: 5.00 + 1.05
          base v1 11-01..12-01 1 at 5: 5.00
        V2026-0001 2026-10: 0.77 + 0.16
          overage v1 10-22..11-01 240/31 GB at 0.1: 0.77
    """)


def test_a_port_on_the_95th_percentile_with_a_commitment(world: World) -> None:
    world.provider().account().service("port", "colo", meter="port")
    world.close("2026-09")
    at = five_minutes("2026-10-01", "2026-11-01")
    assert len(at) == 8940  # October has 31 days and, in Amsterdam, an hour more
    # n = 8940, floor(5 %) = 447 dropped. 500 samples of 30 Mbit/s: the 448th highest is one of them. 30 - 10 = 20 over
    busy = set(at[1000:1500])
    world.send("port", [(t, 30_000_000 * 300 // 8 if t in busy else 4_000_000 * 300 // 8) for t in at])
    world.close("2026-10")
    assert world.papers(kinds="V") == table("""
        V2026-0001 2026-10: 22.00 + 4.62
          overage port 10-01..11-01 20 Mbit/s at 1.1: 22.00
    """)
    assert world.papers(kinds="B", run="2026-10") == table("""
        B2026-0002 2026-11: 120.00 + 25.20
          base port 11-01..12-01 1 at 100: 100.00
          commit port 11-01..12-01 1 at 20: 20.00
    """)
    (item,) = world.statement("2026-10")
    assert item["percentile"] == {
        "value": "30", "rank": 8493, "n": 8940, "dropped": 447, "convention": "drop_floor"
    }  # fmt: skip
    assert item["coverage"] == {"seen": 8940, "expected": 8940}


def test_a_pool_of_three_whose_one_member_changes_plan(world: World) -> None:
    world.provider().account()
    world.service("n1", "node", meter="traffic").service("n2", "node", meter="traffic")
    world.service("n3", "node", meter="traffic").change("n3", "big-node", "2026-10-11")
    world.use("n1", {"2026-10-02": 400}).use("n2", {"2026-10-20": 20})
    world.use("n3", {"2026-10-05": 60, "2026-10-20": 90})
    world.close("2026-10")
    # included: 100 + 100 + 100 x 10/31 + 310 x 21/31 = 442.258..; used 570; over 127.741.. x 0.20 = 25.55
    assert world.papers() == table("""
        V2026-0001 2026-10: 25.55 + 5.37
          overage pool fleet 10-01..11-01 3960/31 GB at 0.2: 25.55
    """)
    items = world.statement("2026-10")
    assert [(item["service"]["id"], item["used"]) for item in items] == [
        ("n1", "400"), ("n2", "20"), ("n3", "60"), ("n3", "90")
    ]  # fmt: skip
    assert {item["pool_used"] for item in items} == {"570"}
    assert len(world.snapshot("V2026-0001")["usage"]) == 4  # the invoice shows every member


def test_groups_of_an_account_pool_apart(world: World) -> None:
    world.provider().account()
    world.service("n1", "node", meter="traffic", pool="web").service("n2", "node", meter="traffic", pool="mail")
    world.use("n1", {"2026-10-02": 130}).use("n2", {"2026-10-20": 50})
    world.close("2026-10")
    # web: 130 - 100 = 30 x 0.20; mail keeps its 50 to itself
    assert world.papers() == table("""
        V2026-0001 2026-10: 6.00 + 1.26
          overage pool fleet 10-01..11-01 30 GB at 0.2: 6.00
    """)
    assert [item["service"]["id"] for item in world.snapshot("V2026-0001")["usage"]] == ["n1"]


def test_storage_by_the_time_it_was_kept(world: World) -> None:
    world.provider().account().service("o1", "objects", meter="stored")
    world.level("o1", {"2026-10-01": 40, "2026-10-09": 40, "2026-10-17": 102, "2026-10-25": 102})
    world.close("2026-10")
    # October in Amsterdam: 384 hours at 40 and 361 at 102: 52182 GB-hours, of 730 each: 71.482.. GB-months; less 10
    assert world.papers() == table("""
        V2026-0001 2026-10: 1.23 + 0.26
          overage o1 10-01..11-01 22441/365 GB-month at 0.02: 1.23
    """)


def test_seats_ordered_and_seats_seen(world: World) -> None:
    world.provider().account().service("g1", "groupware", meter="seats", quantity=4)
    world.level("g1", {"2026-10-01": 4, "2026-10-10": 7, "2026-10-11": 2})
    world.close("2026-09")
    world.close("2026-10")
    # base 4 x 4.50; peak 7 of which 3 are included
    assert world.papers(run="2026-10") == table("""
        B2026-0002 2026-11: 18.00 + 3.78
          base g1 11-01..12-01 4 at 4.5: 18.00
        V2026-0001 2026-10: 8.00 + 1.68
          overage g1 10-01..11-01 4 seat at 2: 8.00
    """)


def test_at_least_and_at_most(world: World) -> None:
    world.provider().account().account("more")
    world.service("low", "bounded", meter="traffic").service("high", "bounded", account="more", meter="traffic")
    world.use("low", {"2026-10-02": 12}).use("high", {"2026-10-02": 200})
    world.close("2026-10")
    assert world.papers() == table("""
        V2026-0001 2026-10: 3.00 + 0.63
          overage low 10-01..11-01 12 GB at 0.1: 1.20
          minimum low 10-01..11-01 1 at 1.8: 1.80
    """)
    assert world.papers("more") == table("""
        V2026-0002 2026-10: 8.00 + 1.68
          overage high 10-01..11-01 200 GB at 0.1: 20.00
          maximum_discount high 10-01..11-01 1 at -12: -12.00
    """)


def test_a_plan_changed_after_its_month_was_billed(world: World) -> None:
    world.provider().account().service("v1", "vps", meter="traffic")
    world.close("2026-09")
    world.change("v1", "vps-xl", "2026-10-11")
    world.use("v1", {"2026-10-05": 50, "2026-10-20": 250})
    world.close("2026-10")
    # 10 days on S: 5.00 x 10/31 = 1.61, so 3.39 comes back, on the very invoice; 21 days on XL: 31.00 x 21/31 = 21.00
    # S: 50 - 100 x 10/31 = 17.741.. x 0.10 = 1.77; XL: 250 - 210 = 40 x 0.05 = 2.00
    assert world.papers() == table("""
        B2026-0001 2026-10: 5.00 + 1.05
          base v1 10-01..11-01 1 at 5: 5.00
        B2026-0002 2026-11: 52.00 + 10.92
          base v1 10-11..11-01 1: 21.00
          base v1 11-01..12-01 1 at 31: 31.00
        C2026-0001 2026-10: -3.39 + -0.71 on B2026-0001, price_reduction
          credit v1 10-01..11-01 1: -3.39
        V2026-0001 2026-10: 3.77 + 0.79
          overage v1 10-01..10-11 550/31 GB at 0.1: 1.77
          overage v1 10-11..11-01 40 GB at 0.05: 2.00
    """)
    world.close("2026-11")
    assert world.papers(run="2026-11") == table("""
        B2026-0003 2026-12: 31.00 + 6.51
          base v1 12-01..01-01 1 at 31: 31.00
    """)


def test_a_service_that_ends_in_mid_month_gets_the_rest_back(world: World) -> None:
    world.provider().account().service("v1", "vps", meter="traffic")
    world.close("2026-09")
    world.end("v1", "2026-10-21")
    world.close("2026-10")
    # 20 of 31 days: 5.00 x 20/31 = 3.23; 1.77 comes back, and November is not billed
    assert world.papers(run="2026-10") == table("""
        C2026-0001 2026-10: -1.77 + -0.37 on B2026-0001, price_reduction
          credit v1 10-01..11-01 1: -1.77
    """)
    world.close("2026-11")
    assert world.papers(run="2026-11") == ""


def test_seats_added_and_given_up(world: World) -> None:
    world.provider().account().service("g1", "groupware", meter="seats", quantity=2)
    world.close("2026-09")
    world.change("g1", "groupware", "2026-10-17", 5)
    world.close("2026-10")
    # 2 seats for 16 of 31 days: 9.00 x 16/31 = 4.65, back 4.35; 5 seats for 15 days: 22.50 x 15/31 = 10.89
    assert world.papers(run="2026-10") == table("""
        B2026-0002 2026-11: 33.39 + 7.01
          base g1 10-17..11-01 5: 10.89
          base g1 11-01..12-01 5 at 4.5: 22.50
        C2026-0001 2026-10: -4.35 + -0.91 on B2026-0001, price_reduction
          credit g1 10-01..11-01 1: -4.35
    """)
    world.change("g1", "groupware", "2026-11-16", 1)
    world.close("2026-11")
    # 15 of 30 days at 5 seats: 11.25 of 22.50 comes back; one seat for 15 days: 2.25
    assert world.papers(run="2026-11") == table("""
        B2026-0003 2026-12: 6.75 + 1.42
          base g1 11-16..12-01 1: 2.25
          base g1 12-01..01-01 1 at 4.5: 4.50
        C2026-0002 2026-11: -11.25 + -2.36 on B2026-0002, price_reduction
          credit g1 11-01..12-01 1: -11.25
    """)


def test_a_year_in_advance_is_billed_once_and_the_rest_of_it_comes_back(world: World) -> None:
    world.provider().account().service("d1", "domain", "2026-10-01")
    world.close("2026-09")
    world.close("2026-10")
    assert world.papers() == table("""
        B2026-0001 2026-10: 12.00 + 2.52
          base d1 10-01..10-01 1 at 12: 12.00
    """)
    world.end("d1", "2026-12-01")
    world.close("2026-11")
    # 61 of 365 days were had: 12.00 x 61/365 = 2.01; 9.99 comes back
    assert world.papers(kinds="C") == table("""
        C2026-0001 2026-10: -9.99 + -2.10 on B2026-0001, price_reduction
          credit d1 10-01..10-01 1: -9.99
    """)


def test_a_new_price_in_the_middle_of_a_period(world: World) -> None:
    world.provider(
        more="""
        [plans.news]
        name = "News"
        [[plans.news.versions]]
        from = 2025-01-01
        base = "10.00 EUR/month"
        [plans.news.versions.charges.out]
        name = "Traffic out"
        meter = "traffic"
        direction = "out"
        price = "0.10 EUR/GB"
        [[plans.news.versions]]
        from = 2026-10-16
        base = "12.40 EUR/month"
        [plans.news.versions.charges.out]
        name = "Traffic out"
        meter = "traffic"
        direction = "out"
        price = "0.20 EUR/GB"
        """
    ).account()
    world.service("n1", "news", meter="traffic").use("n1", {"2026-10-15": 10, "2026-10-16": 10})
    world.close("2026-09")
    world.close("2026-10")
    # base: 10.00 x 15/31 = 4.84 and 12.40 x 16/31 = 6.40; traffic: 10 x 0.10 and 10 x 0.20
    assert world.papers() == table("""
        B2026-0001 2026-10: 11.24 + 2.36
          base n1 10-01..10-16 1: 4.84
          base n1 10-16..11-01 1: 6.40
        B2026-0002 2026-11: 12.40 + 2.60
          base n1 11-01..12-01 1 at 12.4: 12.40
        V2026-0001 2026-10: 3.00 + 0.63
          overage n1 10-01..10-16 10 GB at 0.1: 1.00
          overage n1 10-16..11-01 10 GB at 0.2: 2.00
    """)
    assert [line["explanation"]["terms"] for line in world.snapshot("V2026-0001")["lines"]] == [
        "news@2025-01-01", "news@2026-10-16"
    ]  # fmt: skip


def test_nothing_used_and_nothing_seen_still_make_a_statement(world: World) -> None:
    world.provider().account()
    world.service("v1", "vps", meter="traffic").service("v2", "vps").service("d1", "domain")
    world.use("v1", {"2026-10-02": 0})
    world.close("2026-10")
    assert world.papers(kinds="V") == ""
    items = world.statement("2026-10")
    assert [(i["service"]["id"], i["used"], i["coverage"]) for i in items] == [
        ("v1", "0", {"seen": 1, "expected": 31}),
        ("v2", "0", {"seen": 0, "expected": 31}),  # no series at all: silent, and said so
    ]
    assert world.snapshot("U-2026-10-acme")["totals"]["gross"] == "0.00"


def test_a_counter_that_was_reset_wrapped_and_missed_polls(world: World) -> None:
    world.provider().account().service("c1", "count", meter="octets")
    # Hourly on the 5th: 0, 10, 20, (missed), 40, reset to 3, 13. The hour of the reset is unknown and not billed.
    world.use(
        "c1",
        {f"2026-10-05T{hour:02d}:00": value for hour, value in ((0, 0), (1, 10), (2, 20), (4, 40), (5, 3), (6, 13))},
    )
    world.close("2026-10")
    # 10 + 10 + 20 + 10
    assert world.papers() == table("""
        V2026-0001 2026-10: 5.00 + 1.05
          overage c1 10-01..11-01 50 GB at 0.1: 5.00
    """)
    (item,) = world.statement("2026-10")
    assert item["coverage"]["expected"] == 745
    assert item["flags"]


def test_an_account_without_services_or_meters_gets_what_it_has(world: World) -> None:
    world.provider().account().account("empty").service("d1", "domain")
    report = world.close("2026-10")
    assert (report.accounts, report.parked) == (2, ())
    assert world.papers("empty", kinds="BVCU") == ""
    assert world.papers(kinds="BVCU") == table("""
        B2026-0001 2026-11: 12.00 + 2.52
          base d1 10-01..10-01 1 at 12: 12.00
    """)
