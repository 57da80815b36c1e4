"""What comes late: more use becomes a line under its own period's terms, less use a credit note on what billed it."""

from datetime import UTC, date, datetime

from coulance.catalog import queries as catalog
from coulance.invoicing import operations as invoicing_operations
from coulance.services import operations as services
from coulance.usage import operations as usage
from coulance_core.invoicing import CreditRequest, CreditType
from coulance_core.kernel import Explanation, Money
from tests.closing.world import GB, World, table


def test_more_use_is_a_line_on_the_next_overage_invoice_under_its_own_terms(world: World) -> None:
    world.provider(
        more="""
        [plans.dear]
        name = "Dear"
        [[plans.dear.versions]]
        from = 2025-01-01
        [plans.dear.versions.charges.out]
        name = "Traffic out"
        meter = "traffic"
        direction = "out"
        price = "0.10 EUR/GB"
        [[plans.dear.versions]]
        from = 2026-11-01
        [plans.dear.versions.charges.out]
        name = "Traffic out"
        meter = "traffic"
        direction = "out"
        price = "0.30 EUR/GB"
        """
    ).account()
    world.service("v1", "dear", meter="traffic").use("v1", {"2026-10-02": 10})
    world.close("2026-10")
    world.use("v1", {"2026-10-05": 20, "2026-11-05": 1})  # twenty of October, found in November
    world.close("2026-11")
    world.close("2026-12")
    # October at October's 0.10, November at 0.30; nothing of it is found again in December
    assert world.papers() == table("""
        V2026-0001 2026-10: 1.00 + 0.21
          overage v1 10-01..11-01 10 GB at 0.1: 1.00
        V2026-0002 2026-11: 2.30 + 0.48
          overage v1 11-01..12-01 1 GB at 0.3: 0.30
          late_usage v1 10-01..11-01 20 GB: 2.00
    """)
    late = world.snapshot("V2026-0002")["lines"][1]["explanation"]
    assert late["terms"] == "dear@2025-01-01"
    facts = {fact.name: fact.value for fact in Explanation.from_json(late).facts}
    assert (facts["used as billed"], facts["used as known now"], facts["billed"]) == ("10", "30", "1")


def test_the_last_sample_of_a_month_may_be_late_too(world: World) -> None:
    world.provider().account().service("v1", "count", meter="octets").service("v2", "bounded", meter="traffic")
    world.use("v2", {"2026-10-02": 40})
    world.close("2026-10")
    # Stamped at midnight, it belongs to October although its civil day is the first of November.
    world.use("v2", {"2026-11-01T00:00": 10})
    world.close("2026-11")
    assert "late_usage v2 10-01..11-01 10 GB: 1.00" in world.papers(run="2026-11")


def test_less_use_is_a_credit_note_that_names_the_invoice(world: World) -> None:
    world.provider().account().service("v1", "vps", meter="traffic").use("v1", {"2026-10-02": 150})
    world.close("2026-10")
    world.use("v1", {"2026-10-02": 120, "2026-11-02": 110})  # the collector corrects itself
    world.close("2026-11")
    assert world.papers(run="2026-11", kinds="VC") == table("""
        C2026-0001 2026-10: -3.00 + -0.63 on V2026-0001, correction
          credit v1 10-01..11-01 1: -3.00
        V2026-0002 2026-11: 1.00 + 0.21
          overage v1 11-01..12-01 10 GB at 0.1: 1.00
    """)
    world.use("v1", {"2026-10-02": 90})  # again: the rest goes back too, and no more than that
    world.close("2026-12")
    assert world.papers(run="2026-12", kinds="VC") == table("""
        C2027-0001 2026-10: -2.00 + -0.42 on V2026-0001, correction
          credit v1 10-01..11-01 1: -2.00
    """)


def test_what_was_billed_late_goes_back_first(world: World) -> None:
    world.provider().account().service("v1", "bounded", meter="traffic").use("v1", {"2026-10-02": 50})
    world.close("2026-10")
    world.use("v1", {"2026-10-03": 20, "2026-11-02": 40})
    world.close("2026-11")  # 2.00 more for October
    world.use("v1", {"2026-10-03": 0, "2026-10-02": 40, "2026-12-02": 40})
    world.close("2026-12")
    # Now 40 GB in October, 4.00: 2.00 goes back on the invoice of November and 1.00 on October's own
    assert world.papers(run="2026-12", kinds="C") == table("""
        C2027-0001 2026-10: -1.00 + -0.21 on V2026-0001, correction
          credit v1 10-01..11-01 1: -1.00
        C2027-0002 2026-11: -2.00 + -0.42 on V2026-0002, correction
          credit v1 10-01..11-01 1: -2.00
    """)


def test_a_pool_that_used_less_or_more_than_billed(world: World) -> None:
    world.provider().account()
    world.service("n1", "node", meter="traffic").service("n2", "node", meter="traffic")
    world.use("n1", {"2026-10-02": 200}).use("n2", {"2026-10-02": 50})
    world.close("2026-10")
    world.use("n2", {"2026-10-02": 20})
    world.close("2026-11")
    world.use("n1", {"2026-10-03": 100})
    world.close("2026-12")
    # 250 - 200 = 50 x 0.20; then 220: 6.00 goes back; then 320: 20.00 more
    assert world.papers() == table("""
        V2026-0001 2026-10: 10.00 + 2.10
          overage pool fleet 10-01..11-01 50 GB at 0.2: 10.00
        C2026-0001 2026-10: -6.00 + -1.26 on V2026-0001, correction
          credit pool fleet 10-01..11-01 1: -6.00
        V2027-0001 2026-12: 20.00 + 4.20
          late_usage pool fleet 10-01..11-01 100 GB: 20.00
    """)


def test_groups_of_a_pool_are_corrected_apart(world: World) -> None:
    world.provider().account()
    world.service("n1", "node", meter="traffic", pool="mail").service("n2", "node", meter="traffic", pool="web")
    world.use("n1", {"2026-10-02": 150}).use("n2", {"2026-10-02": 200})
    world.close("2026-10")
    world.use("n2", {"2026-10-02": 190})
    world.close("2026-11")
    lines = world.snapshot("V2026-0001")["lines"]
    assert [line["net"] for line in lines] == ["10.00", "20.00"]
    (credit,) = world.snapshot("C2026-0001")["lines"]
    assert credit["net"] == "-2.00"
    assert "V2026-0001, line 2" in credit["description"]


def test_what_was_carried_forward_is_lowered_where_it_waits(world: World) -> None:
    world.provider('carry_forward_below = "3.00 EUR"').account()
    world.service("v1", "vps", meter="traffic").use("v1", {"2026-10-02": 120})
    world.close("2026-10")  # 2.00 waits
    world.use("v1", {"2026-10-02": 115})
    world.close("2026-11")  # 0.50 less waits
    world.use("v1", {"2026-12-02": 130})
    world.close("2026-12")
    assert world.papers(kinds="VC") == table("""
        V2027-0001 2026-12: 4.50 + 0.95
          overage v1 12-01..01-01 30 GB at 0.1: 3.00
          carried v1 10-01..11-01 20 GB at 0.1: 2.00
          carried v1 10-01..11-01 -5 GB: -0.50
    """)


def test_what_was_carried_and_billed_is_credited_on_the_invoice_that_billed_it(world: World) -> None:
    world.provider('carry_forward_below = "3.00 EUR"').account()
    world.service("v1", "vps", meter="traffic").use("v1", {"2026-10-02": 120, "2026-11-02": 140})
    world.close("2026-10")
    world.close("2026-11")
    world.use("v1", {"2026-10-02": 105})
    world.close("2026-12")
    assert world.papers(kinds="VC") == table("""
        V2026-0001 2026-11: 6.00 + 1.26
          overage v1 11-01..12-01 40 GB at 0.1: 4.00
          carried v1 10-01..11-01 20 GB at 0.1: 2.00
        C2027-0001 2026-11: -1.50 + -0.32 on V2026-0001, correction
          credit v1 10-01..11-01 1: -1.50
    """)


def test_what_was_given_back_by_hand_is_not_given_back_twice(world: World) -> None:
    world.provider().account().service("v1", "vps", meter="traffic").use("v1", {"2026-10-02": 150})
    world.close("2026-10")
    by_hand("V2026-0001", "price_reduction")
    world.use("v1", {"2026-10-02": 100, "2026-11-02": 200})
    world.close("2026-11")
    assert world.papers(kinds="VC", run="2026-11") == table("""
        V2026-0002 2026-11: 10.00 + 2.10
          overage v1 11-01..12-01 100 GB at 0.1: 10.00
    """)


def test_use_found_too_late_is_absorbed_and_said(world: World) -> None:
    world.provider("back_billing_cap_months = 1").account()
    world.service("v1", "bounded", meter="traffic").use("v1", {"2026-10-02": 50})
    world.close("2026-10")
    world.use("v1", {"2026-10-05": 20, "2026-11-02": 40})
    world.close("2026-11")  # on 4 December: more than a month after 1 November
    assert world.papers(run="2026-11") == table("""
        V2026-0002 2026-11: 4.00 + 0.84
          overage v1 11-01..12-01 40 GB at 0.1: 4.00
    """)
    world.use("v1", {"2026-10-02": 30, "2026-10-05": 0, "2026-12-02": 40})  # but less is credited, however old
    world.close("2026-12")
    assert world.papers(run="2026-12", kinds="C") == table("""
        C2027-0001 2026-10: -2.00 + -0.42 on V2026-0001, correction
          credit v1 10-01..11-01 1: -2.00
    """)


def test_a_quarantined_series_replayed_after_closing(world: World) -> None:
    world.provider().account().service("v1", "bounded").service("v2", "vps", meter="traffic")
    at = int(datetime(2026, 10, 5, 12, tzinfo=UTC).timestamp())
    world.zones["lost"] = "UTC"
    world.send("lost", [(at, 50 * GB)])
    world.close("2026-10")
    assert "minimum v1 10-01..11-01 1 at 3: 3.00" in world.papers()
    services.assign_series(key="lost", service="v1", meter="traffic")
    assert usage.replay_quarantined(recorded_at=datetime(2026, 11, 10, tzinfo=UTC)).rows == 1
    world.use("lost", {"2026-11-05": 30})
    world.close("2026-11")
    assert world.papers(run="2026-11", kinds="V") == table("""
        V2026-0002 2026-11: 5.00 + 1.05
          overage v1 11-01..12-01 30 GB at 0.1: 3.00
          late_usage v1 10-01..11-01 50 GB: 2.00
    """)


def test_late_samples_of_an_account_billed_on_the_fifteenth(world: World) -> None:
    world.provider().account(billing_day=15).service("v1", "bounded", "2026-10-15", meter="traffic")
    world.use("v1", {"2026-10-20": 40, "2026-11-20": 40})
    world.close("2026-10", at="2026-11-18")
    world.use("v1", {"2026-11-10": 10})  # after the turn of the month, and still of the period that began in October
    world.close("2026-11", at="2026-12-18")
    assert world.papers() == table("""
        V2026-0001 2026-10: 4.00 + 0.84
          overage v1 10-15..11-15 40 GB at 0.1: 4.00
        V2026-0002 2026-11: 5.00 + 1.05
          overage v1 11-15..12-15 40 GB at 0.1: 4.00
          late_usage v1 10-15..11-15 10 GB: 1.00
    """)


def test_late_samples_of_a_month_whose_plan_changed(world: World) -> None:
    world.provider().account().service("v1", "vps", "2026-10-01", meter="traffic").change("v1", "vps-xl", "2026-10-11")
    world.use("v1", {"2026-10-05": 50, "2026-10-20": 250})
    world.close("2026-10")  # 1.77 and 2.00
    world.use("v1", {"2026-10-05": 40, "2026-10-20": 230})
    world.close("2026-11")
    # 40 - 32.258.. = 7.741.. x 0.10 = 0.77, 20 x 0.05 = 1.00: 2.00 less, from both lines
    assert world.papers(run="2026-11", kinds="C") == table("""
        C2026-0001 2026-10: -2.00 + -0.42 on V2026-0001, correction
          credit v1 10-01..10-11 1: -1.77
          credit v1 10-11..11-01 1: -0.23
    """)


def test_late_samples_of_a_port_rated_on_the_terms_at_the_end(world: World) -> None:
    world.provider(
        more="""
        [plans.rate]
        name = "Rate"
        [[plans.rate.versions]]
        from = 2025-01-01
        [plans.rate.versions.charges.peak]
        name = "Peak"
        meter = "stored"
        aggregation = "peak"
        price = "1.00 EUR/GB"
        on_change = "end_terms"
        [[plans.rate.versions]]
        from = 2026-10-16
        [plans.rate.versions.charges.peak]
        name = "Peak"
        meter = "stored"
        aggregation = "peak"
        price = "2.00 EUR/GB"
        on_change = "end_terms"
        """
    ).account()
    world.service("r1", "rate", meter="stored").level("r1", {"2026-10-02": 5, "2026-10-20": 3})
    world.close("2026-10")
    world.level("r1", {"2026-10-03": 8, "2026-11-02": 1})
    world.close("2026-11")
    assert world.papers() == table("""
        V2026-0001 2026-10: 10.00 + 2.10
          overage r1 10-01..11-01 5 GB at 2: 10.00
        V2026-0002 2026-11: 8.00 + 1.68
          overage r1 11-01..12-01 1 GB at 2: 2.00
          late_usage r1 10-01..11-01 3 GB: 6.00
    """)


def test_a_gap_across_the_end_of_a_month_leaves_its_part_in_it(world: World) -> None:
    world.provider().account().service("c1", "count", "2026-10-01", meter="octets")
    # Read until 22:00 on the 31st, and again at 02:00: four hours, of which two are October's, 80 GB between them.
    world.use("c1", {"2026-10-31T20:00": 100, "2026-10-31T21:00": 110, "2026-10-31T22:00": 120})
    world.use("c1", {"2026-11-01T02:00": 200, "2026-11-01T03:00": 210})
    world.close("2026-10")
    world.close("2026-11")
    assert world.papers() == table("""
        V2026-0001 2026-10: 6.00 + 1.26
          overage c1 10-01..11-01 60 GB at 0.1: 6.00
        V2026-0002 2026-11: 5.00 + 1.05
          overage c1 11-01..12-01 50 GB at 0.1: 5.00
    """)


def test_a_long_weekend_without_readings_is_parted_at_the_end_of_the_month(world: World) -> None:
    world.provider().account().service("c1", "count", "2026-10-01", meter="octets")
    # Nothing was read from noon on the 30th to noon on the 2nd: 72 hours and 72 GB, of which 36 are October's
    world.use(
        "c1", {"2026-10-30T11:00": 100, "2026-10-30T12:00": 110, "2026-11-02T12:00": 182, "2026-11-02T13:00": 192}
    )
    world.close("2026-10")
    world.close("2026-11")
    assert world.papers() == table("""
        V2026-0001 2026-10: 4.60 + 0.97
          overage c1 10-01..11-01 46 GB at 0.1: 4.60
        V2026-0002 2026-11: 4.60 + 0.97
          overage c1 11-01..12-01 46 GB at 0.1: 4.60
    """)


def test_a_service_entered_after_its_month_was_closed(world: World) -> None:
    world.provider().account().service("v1", "bounded", meter="traffic").use("v1", {"2026-10-02": 50})
    world.close("2026-10")
    world.service("v2", "bounded", "2026-10-01", meter="traffic").use("v2", {"2026-10-02": 70, "2026-11-02": 40})
    world.use("v1", {"2026-11-02": 40})
    world.close("2026-11")
    assert "late_usage v2 10-01..11-01 70 GB: 7.00" in world.papers(run="2026-11")


def test_figures_are_recorded_once_for_what_came_late(world: World) -> None:
    from coulance.customers import queries as customers
    from coulance.invoicing import queries as invoicing

    world.provider().account().service("v1", "bounded", meter="traffic").service("v2", "bounded", meter="traffic")
    world.use("v1", {"2026-10-02": 50}).use("v2", {"2026-10-02": 50})
    world.close("2026-10")
    world.use("v1", {"2026-10-05": 20})
    for month in ("2026-11", "2026-12", "2027-01"):
        world.close(month)
    figures = invoicing.settled_figures(accounts=[customers.account("acme").id], period_name="2026-10")
    assert sorted((f.charge, f.revision, f.net.decimal(), f.quantity) for f in figures) == [
        ("out", 1, "5.00", 50), ("out", 2, "7.00", 70)
    ]  # fmt: skip


def by_hand(number: str, kind: str, *lines: CreditRequest) -> str:
    """A credit note that an operator gives on 10 October."""
    return invoicing_operations.issue_credit_note(
        number=number,
        lines=list(lines) or None,
        credit_type=CreditType(kind),
        reason="As agreed on the telephone",
        at=datetime(2026, 10, 10, tzinfo=UTC),
        issued_on=date(2026, 10, 10),
        actor="test",
        series=catalog.catalog().series["credit"],
    )


def test_days_given_back_of_a_line_that_was_credited_by_hand_in_part(world: World) -> None:
    world.provider().account().service("v1", "vps", meter="traffic")
    world.close("2026-09")
    by_hand("B2026-0001", "price_reduction", CreditRequest(1, Money(400, "EUR")))
    world.end("v1", "2026-10-21")
    world.close("2026-10")
    world.close("2026-11")
    # 11 unused days are 1.77, and 1.00 is left of what was paid
    assert world.papers(kinds="C") == table("""
        C2026-0001 2026-10: -4.00 + -0.84 on B2026-0001, price_reduction
          credit v1 10-01..11-01 1: -4.00
        C2026-0002 2026-10: -1.00 + -0.21 on B2026-0001, price_reduction
          credit v1 10-01..11-01 1: -1.00
    """)


def test_days_of_a_line_that_was_credited_by_hand_as_a_whole(world: World) -> None:
    world.provider().account().service("v1", "vps", meter="traffic").service("v2", "vps")
    world.close("2026-09")
    by_hand("B2026-0001", "price_reduction", CreditRequest(1))  # a gift: the days were had
    by_hand("B2026-0001", "correction", CreditRequest(2))  # an error: the days are billed anew
    world.end("v1", "2026-10-21")
    world.close("2026-10")
    assert world.papers(kinds="BC", run="2026-10") == table("""
        B2026-0002 2026-11: 10.00 + 2.10
          base v2 10-01..11-01 1 at 5: 5.00
          base v2 11-01..12-01 1 at 5: 5.00
    """)


def test_a_plan_changed_twice_in_a_billed_month_and_back_again(world: World) -> None:
    world.provider().account().service("v1", "vps")
    world.close("2026-09")
    world.change("v1", "vps-xl", "2026-10-11")
    world.close("2026-10")  # 3.39 back; 21.00 and November's 31.00
    world.change("v1", "vps", "2026-10-21")  # entered late: only ten days of XL
    world.close("2026-11")
    # XL in October: 31.00 x 10/31 = 10.00, so 11.00 comes back; S again for 11 days: 10 + 11 of 31 days are 3.39 - 1.61
    assert world.papers(run="2026-11") == table("""
        B2026-0003 2026-12: 11.78 + 2.47
          base v1 10-21..11-01 1: 1.78
          base v1 11-01..12-01 1 at 5: 5.00
          base v1 12-01..01-01 1 at 5: 5.00
        C2026-0002 2026-11: -42.00 + -8.82 on B2026-0002, price_reduction
          credit v1 10-11..11-01 1: -11.00
          credit v1 11-01..12-01 1: -31.00
    """)


def test_a_level_from_the_month_before_that_comes_late_counts_for_this_one_too(world: World) -> None:
    world.provider().account().service("o1", "objects", "2026-09-01", meter="stored")
    world.level("o1", {"2026-10-05": 30, "2026-10-15": 30, "2026-10-25": 30, "2026-11-05": 30})
    world.close("2026-10")
    world.level("o1", {"2026-09-28": 30})  # held on: the first four days of October were 30 GB as well
    world.close("2026-11")
    # 96 hours at 30 GB are 2880/730 GB-months, 0.0789; October came to 0.36 and comes to 0.44
    assert "late_usage o1 10-01..11-01 288/73 GB-month: 0.08" in world.papers(run="2026-11")
