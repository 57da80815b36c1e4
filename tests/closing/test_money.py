"""Taxes, currencies and small amounts, on documents as issued."""

from datetime import date

from tests.closing.world import World, check_explained, rate, table


def codes(world: World, number: str) -> list[tuple[str, str, str, str]]:
    """(code, rate, base, tax) of a document's tax rows."""
    return [(row["code"], row["rate"], row["base"], row["tax"]) for row in world.snapshot(number)["tax"]]


def test_who_pays_which_tax(world: World) -> None:
    world.provider()
    buyers = {
        "a-home": {"kind": "consumer"},
        "b-german-consumer": {"kind": "consumer", "country": "DE"},
        "c-german-business": {"country": "DE", "vat_id": "DE136695976"},
        "d-american": {"country": "US"},
        "e-exempt": {"tax_class": "exempt"},
    }
    for ref, facts in buyers.items():
        world.account(ref, **facts).service(f"v-{ref}", "bounded", account=ref, meter="traffic")
        world.use(f"v-{ref}", {"2026-10-02": 50})
    world.close("2026-10")
    got = [codes(world, f"V2026-000{n}") for n in range(1, 6)]
    assert got == [
        [("NL21", "21", "5.00", "1.05")],
        [("DE19", "19", "5.00", "0.95")],
        [("DE-RC", "0", "5.00", "0.00")],
        [("OUT", "0", "5.00", "0.00")],
        [("NL-EX", "0", "5.00", "0.00")],
    ]
    reasons = [world.snapshot(f"V2026-000{n}")["tax"][0]["reason"][:14] for n in range(3, 6)]
    assert reasons == ["Reverse charge", "Not subject to", "Exempt: articl"]


def test_prices_with_tax_and_what_is_given_back_of_them(world: World) -> None:
    world.provider('prices = "gross"\ntax_rounding = "sum_by_gross"').account(kind="consumer")
    world.service("v1", "vps", meter="traffic")
    world.close("2026-09")
    world.use("v1", {"2026-10-02": 150})
    world.end("v1", "2026-10-31")
    world.close("2026-10")
    # 5.00 with tax is 4.13 + 0.87. The service had 30 of 31 days: 4.84 with tax; 0.16 comes back, 0.13 + 0.03.
    # Usage: 100 x 30/31 = 96.774.. included, 53.225.. x 0.10 = 5.32 with tax: 4.40 + 0.92
    assert world.papers() == table("""
        B2026-0001 2026-10: 4.13 + 0.87
          base v1 10-01..11-01 1 at 5: 4.13
        C2026-0001 2026-10: -0.13 + -0.03 on B2026-0001, price_reduction
          credit v1 10-01..11-01 1: -0.13
        V2026-0001 2026-10: 4.40 + 0.92
          overage v1 10-01..10-31 1650/31 GB at 0.1: 4.40
    """)
    for number in ("B2026-0001", "C2026-0001", "V2026-0001"):
        check_explained(world.snapshot(number))
    world.use("v1", {"2026-10-02": 50})  # it was no overage at all: everything goes back, tax and all
    world.close("2026-11")
    assert world.papers(run="2026-11") == table("""
        C2026-0002 2026-10: -4.40 + -0.92 on V2026-0001, correction
          credit v1 10-01..10-31 1: -4.40
    """)


def test_tax_in_a_second_currency_needs_its_rate_and_says_so(world: World) -> None:
    world.provider().account(national_tax_currency="PLN").account("other").account("idle", national_tax_currency="PLN")
    world.service("v1", "bounded", meter="traffic").service("v2", "bounded", account="other", meter="traffic")
    world.service("v3", "node", account="idle", meter="traffic")
    world.use("v1", {"2026-10-02": 50}).use("v2", {"2026-10-02": 50})
    report = world.close("2026-10")
    (parked,) = report.parked  # who owes nothing needs no rate
    assert parked.detail == (
        "tax in PLN is asked for, and no rate is given: run again with --rate PLN=RATE, the rate of 1 EUR on 2026-11-04"
    )
    assert world.papers() == ""
    assert "V2026-0001" in world.papers("other")
    again = world.close("2026-10", national=rate("PLN", "4.31"))
    assert (again.parked, again.totals.documents) == ((), {"overage_invoice": 1, "usage_statement": 1})
    national = world.snapshot("V2026-0002")["national"]
    assert national == {"currency": "PLN", "rate": "4.31", "date": "2026-11-04", "tax": "4.53", "source": "ECB"}
    # 1.05 x 4.31 = 4.5255. What lowers the invoice states its tax by the invoice's own rate: 0.21 x 4.31 = 0.91
    world.use("v1", {"2026-10-02": 40})
    world.close("2026-11", national=rate("PLN", "4.99", date(2026, 12, 4)))
    note = world.snapshot("C2026-0001")
    assert (note["totals"]["tax"], note["national"]["rate"], note["national"]["tax"]) == ("-0.21", "4.31", "-0.91")


def test_a_plan_in_another_currency_parks_the_account(world: World) -> None:
    world.provider('carry_forward_below = "50.00 EUR"').account().account("other")
    world.service("v1", "usd", meter="traffic").service("v2", "vps", account="other", meter="traffic")
    world.use("v1", {"2026-10-02": 50})
    report = world.close("2026-10")
    (parked,) = report.parked
    assert "is priced in USD (usd@2025-01-01), and the account's currency is EUR" in parked.detail
    assert "B2026-0001" in world.papers("other")


def test_an_account_in_another_currency_than_the_provider_s_is_billed_in_its_own(world: World) -> None:
    world.provider('carry_forward_below = "50.00 EUR"').account(currency="USD", country="US")
    world.service("v1", "usd", meter="traffic").use("v1", {"2026-10-02": 50})
    world.close("2026-10")
    assert "V2026-0001 2026-10: 5.00 + 0.00" in world.papers()
    assert world.snapshot("V2026-0001")["currency"] == "USD"


def test_small_amounts_wait_and_are_billed_when_enough_came_together(world: World) -> None:
    world.provider('carry_forward_below = "2.00 EUR"').account().service("v1", "vps", meter="traffic")
    world.use("v1", {"2026-10-02": 110, "2026-11-02": 105, "2026-12-02": 112})
    report = world.close("2026-10")
    assert {code: str(amount) for code, amount in report.totals.carried.items()} == {"EUR": "1"}
    world.close("2026-11")
    assert world.papers(kinds="V") == ""
    world.close("2026-12")
    # 1.00 and 0.50 waited; with 1.20 they are 2.70, enough for an invoice
    assert world.papers(kinds="V") == table("""
        V2027-0001 2026-12: 2.70 + 0.57
          overage v1 12-01..01-01 12 GB at 0.1: 1.20
          carried v1 10-01..11-01 10 GB at 0.1: 1.00
          carried v1 11-01..12-01 5 GB at 0.1: 0.50
    """)


def test_small_amounts_are_billed_with_the_account_s_last(world: World) -> None:
    world.provider('carry_forward_below = "2.00 EUR"').account().service("v1", "vps", meter="traffic")
    world.use("v1", {"2026-10-02": 110})
    world.close("2026-10")
    world.end("v1", "2026-12-01")
    world.close("2026-11")
    assert world.papers(kinds="V") == table("""
        V2026-0001 2026-11: 1.00 + 0.21
          carried v1 10-01..11-01 10 GB at 0.1: 1.00
    """)


def test_small_amounts_wait_a_year_at_most(world: World) -> None:
    world.provider('carry_forward_below = "2.00 EUR"').account().service("v1", "vps", "2026-01-01", meter="traffic")
    world.use("v1", {"2026-01-02": 110})
    for month in range(1, 13):
        world.close(f"2026-{month:02d}")
        if month < 12:
            assert world.papers(kinds="V") == ""
    assert world.papers(kinds="V") == table("""
        V2027-0001 2026-12: 1.00 + 0.21
          carried v1 01-01..02-01 10 GB at 0.1: 1.00
    """)


def test_tax_points(world: World) -> None:
    world.provider().account().service("v1", "vps", meter="traffic").use("v1", {"2026-10-02": 150})
    world.close("2026-09", at="2026-10-04")
    world.close("2026-10")
    points = {n: world.snapshot(n)["tax_point"] for n in ("B2026-0001", "B2026-0002", "V2026-0001", "U-2026-10-acme")}
    # In advance: the day the period begins, issued after it. In arrears: the last day of the period.
    assert points == {
        "B2026-0001": "2026-10-01",
        "B2026-0002": "2026-11-01",
        "V2026-0001": "2026-10-31",
        "U-2026-10-acme": "2026-10-31",
    }
