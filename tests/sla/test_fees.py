"""What credits are parts of: fees billed or still to be, usage, the year's and the thirty days' for caps; never nothing
in silence."""

from datetime import date, timedelta

import pytest

from coulance.catalog.operations import apply_catalog
from coulance.catalog.reader import read_provider_file
from coulance.flows.contracts import bundling, changing, running
from coulance.flows.crediting import give_credit_note
from coulance.flows.promises import crediting
from coulance.invoicing.check_laws import check_charges
from coulance.invoicing.crediting import creditable_lines
from coulance.platform import alarms
from coulance.services import operations as services
from coulance.services import queries as service_rows
from coulance.sla import operations
from coulance.sla import queries as sla
from coulance.sla.check import check_promises
from coulance_core.invoicing import CreditRequest, CreditType
from coulance_core.kernel import Money
from tests.closing.world import World, documents_of, recompute_all
from tests.sla.office import OPENED, SLA, Office, instant

DOWN = ("2026-10-10T10:00", "2026-10-10T12:00")


def also(office: Office, ref: str, plan: str, since: str = "2026-10-01", *, meter: str = "") -> int:
    """Another service of the account, down for two hours by what an operator says."""
    office.world.service(ref, plan, since, meter=meter)
    number = service_rows.service(ref).id
    operations.agree(service=number, terms="gold", valid_from=OPENED.date(), reason="asked", actor="test", at=OPENED)
    operations.say(
        service=number,
        says="outage",
        since=instant(DOWN[0]),
        until=instant(DOWN[1]),
        reason="the switch's log",
        actor="operator:anna",
        at=instant("2026-10-11T00:00"),
    )
    return number


def credited(service: int) -> list[str]:
    return [row.amount.decimal() for row in sla.given(services=[service])]


def nothing() -> list[str]:
    return [alarm.key for alarm in alarms.open_alarms() if alarm.key.startswith("sla-no-fee/")]


def test_a_service_s_first_month_is_credited_though_it_is_billed_after_it(world: World) -> None:
    office = Office(world)
    office.october()
    new = also(office, "new", "vps", "2026-10-02")
    world.close("2026-10")
    # 120 of 43,260 minutes (30 days and the hour in October), 50 times, of 30/31 of 5.00.
    assert credited(new) == ["0.67"]
    office.credit("2026-11-05T06:00")
    assert credited(new) == ["0.67"], "as billed, to the cent"
    assert [row.left.minor for row in sla.given(services=[new])] == [0], "and paid once it was"


def test_usage_terms_credit_when_usage_is_billed_and_others_say_there_is_nothing(world: World) -> None:
    office = Office(world, SLA + SLA[SLA.index("[[sla.terms]]") :].replace('"gold"', '"metered"').replace(
        'plans = ["vps"]', 'plans = ["bounded"]\ncharges = "usage"'))  # fmt: skip
    office.october()
    free = also(office, "free", "count")
    world.service("meter", "bounded", "2026-10-01", meter="traffic")
    world.use("meter", {"2026-10-05": 50})
    metered = service_rows.service("meter").id
    operations.say(
        service=metered, says="outage", since=instant(DOWN[0]), until=instant(DOWN[1]), reason="log",
        actor="operator:anna", at=instant("2026-10-11T00:00"),
    )  # fmt: skip
    report = office.credit()
    assert (credited(metered), credited(free), report.not_yet) == ([], [], 1)
    assert report.nothing == [("free", "2026-10")]
    assert nothing() == ["sla-no-fee/free/2026-10"]
    world.close("2026-10")
    office.credit("2026-11-05T06:00")
    # 120 of 44,700 minutes, 50 times, of 50 GB at 0.10: 0.67; a credit note on the overage invoice.
    assert credited(metered) == ["0.67"]
    assert "V2026-0001, price_reduction" in world.papers(kinds="C")
    # A price that is agreed afterwards makes it something.
    services.change_plan(service="free", plan="vps", from_date=instant("2026-10-01T00:00").date())
    office.credit("2026-11-06T06:00")
    assert (credited(free), nothing()) == (["0.67"], [])


def test_caps_are_of_the_charges_they_speak_of(world: World) -> None:
    caps = 'caps = { period = "1000 %", before = "50 %" }'
    office = Office(world, SLA.replace('caps = { period = "100 %" }', caps))
    grown = also(office, "grown", "vps", "2026-09-01")
    world.change("grown", "vps-xl", "2026-10-10")
    office.october()
    for hours in ("2026-10-10T10:00", "2026-10-12T10:00"):
        operations.say(
            service=grown, says="outage", since=instant(hours), until=instant(hours.replace("T10", "T20")),
            reason="log", actor="operator:anna", at=instant("2026-10-20T00:00"),
        )  # fmt: skip
    office.credit()
    # Up to 12 October, its last day among them: 18 days of September at 5.00 a month (30 days), 9 of October (31), and
    # 3 of the 31.00 plan. 3.00 + 1.45 + 3.00 = 7.45, half of it: 3.73. The period's own fee is 23.45.
    assert credited(grown) == ["3.73"]
    (measure,) = sla.measures(services=[grown])
    assert measure.fee.decimal() == "23.45"


def test_a_year_s_cap_counts_the_year_s_fees_and_credits(world: World) -> None:
    caps = 'caps = { period = "1000 %", year = "20 %", year_of = "year" }'
    office = Office(world, SLA.replace('caps = { period = "100 %" }', caps))
    office.october(("2026-10-10T00:00", "2026-10-14T00:00"))
    office.credit()
    # September and October were charged: 20 % of 10.00.
    assert office.credits() == ["2.00"]


def test_a_period_is_judged_by_the_file_as_it_was_when_it_began(world: World) -> None:
    office = Office(world)
    office.october(("2026-10-05T10:00", "2026-10-05T11:00"))
    path = world.folder / "provider.toml"
    path.write_text(path.read_text().replace("times = 50", "times = 1"))
    apply_catalog(file=read_provider_file(path), actor="test", at=instant("2026-10-06T00:00"))
    office.credit()
    assert office.credits() == ["0.34"]
    # Nor does taking all of it out of the file undo what was promised.
    path.write_text(path.read_text()[: path.read_text().index("[sla]")])
    apply_catalog(file=read_provider_file(path), actor="test", at=instant("2026-11-05T00:00"))
    operations.say(
        service=office.service, says="outage", since=instant("2026-10-07T10:00"), until=instant("2026-10-07T11:00"),
        reason="log", actor="operator:bo", at=instant("2026-11-05T00:00"),
    )  # fmt: skip
    office.credit("2026-11-06T06:00")
    assert office.credits() == ["0.34", "0.33"]


def test_a_report_of_long_ago_that_is_granted_is_credited_by_itself(world: World) -> None:
    office = Office(world)
    office.october()
    office.credit()
    at = instant("2027-08-20T00:00")
    case = operations.contest(
        service=office.service, account=office.account, since=instant("2026-10-12T10:00"),
        until=instant("2026-10-12T11:00"), words="gone", by="contact:anna", at=at,
    )  # fmt: skip
    operations.decide(counter=case, accepted=True, reason="a switch", actor="operator:bo", at=at)
    crediting.credit_again(at=at + timedelta(hours=5), actor="worker", months=0)
    assert office.credits() == ["0.34"]


BUNDLE = """
[[contracts.terms]]
name = "all-in"
from = 2026-01-01
kind = "retainer"
title = "All in"
price = "100.00 EUR"
retainer = { hours = "1 h" }
bundle = { lines = "each" }
element = [
  { key = "hosting", title = "Hosting", alone = "30.00 EUR", part = "service" },
  { key = "work", title = "An hour a month", alone = "90.00 EUR", part = "work" },
]
"""


def in_a_bundle(world: World, since: str = "2026-10-01", bundle: str = BUNDLE) -> tuple[Office, int]:
    """A service that is in a bundle from its first day on, and was down for two hours: 25.00 of 100.00 are its own."""
    office = Office(world, SLA.replace('["vps"]', '["colo"]') + bundle)
    number = also(office, "shop", "vps", since)
    changing.agree(
        key="b1", account="acme", terms="all-in", starts_on=date.fromisoformat(since), elements={"hosting": "shop"},
        actor="test", at=instant(f"{since}T08:00"),
    )  # fmt: skip
    work(since)
    return office, number


def work(day: str) -> None:
    assert not running.run(at=instant(f"{day}T09:00")).failed


def given_back() -> list[tuple[str | None, str, str]]:
    """Each credit note: of which invoice, its net and kind."""
    notes = [row for row in documents_of("acme") if (row.number or "").startswith("C")]
    return [(row.invoice, row.net.decimal(), row.credit_type) for row in notes]


def left(number: str) -> dict[str, str]:
    """What is left of an invoice's lines, by what they say."""
    return {line.description: line.left.decimal() for line in creditable_lines(number)}


@pytest.mark.parametrize(
    ("lines", "still"),
    [("each", {"All in: Hosting": "21.64", "All in: An hour a month": "75.00"}), ("one", {"All in": "96.64"})],
)
def test_a_service_in_a_bundle_is_credited_by_its_part_of_the_price(
    world: World, lines: str, still: dict[str, str]
) -> None:
    office, shop = in_a_bundle(world, bundle=BUNDLE.replace('"each"', f'"{lines}"'))
    office.credit()
    # 120 of 44,700 minutes, 50 times, of 100.00 x 30 / 120: 3.3557.
    assert credited(shop) == ["3.36"]
    (measure,) = sla.measures(services=[shop])
    assert measure.fee.decimal() == "25.00"
    assert "shop is hosting in the bundle b1: 25.00 EUR of its price from 2026-10-01 to 2026-10-31" in (
        measure.explanation.render()
    )
    recompute_all(measure.explanation)
    assert given_back() == [("B2026-0002", "-3.36", "price_reduction")]
    assert left("B2026-0002") == still
    again = office.credit("2026-11-05T06:00")
    assert (again.credited, again.notes, again.carried, credited(shop)) == ([], [], [], ["3.36"])
    world.close("2026-10")
    assert credited(shop) == ["3.36"]
    assert (nothing(), list(check_promises()), list(check_charges())) == ([], [], [])


def test_an_element_that_leaves_its_bundle_counts_by_its_days_in_it(world: World) -> None:
    office, shop = in_a_bundle(world, since="2026-09-15")
    on = bundling.end_element(
        key="b1", element="hosting", on=date(2026, 10, 10), reason="moved", actor="test", at=instant("2026-10-01T00:00")
    )
    assert on == date(2026, 10, 15)
    work("2026-10-16")
    office.credit()
    # 14 of 30 days of 25.00, and 17 of 31 of the plan's 5.00: 11.67 and 2.74, 14.41 by the cent; 0.1342 of it.
    assert [m.fee.decimal() for m in sla.measures(services=[shop])] == ["14.41"]
    assert credited(shop) == ["1.93"]
    assert given_back() == [("B2026-0002", "-1.93", "price_reduction")]
    # The contract's next invoice has nothing of it.
    assert left("B2026-0003") == {"All in: An hour a month": "75.00"}


def test_no_more_than_is_left_of_a_bundle_s_line_and_the_rest_from_the_next(world: World) -> None:
    office, shop = in_a_bundle(world)
    give_credit_note(
        number="B2026-0002", lines=[CreditRequest(1, Money(2_400, "EUR"))], credit_type=CreditType.CORRECTION,
        reason="agreed", actor="test", at=instant("2026-10-02T09:00"),
    )  # fmt: skip
    report = office.credit()
    assert credited(shop) == ["3.36"]
    assert [left.decimal() for _, left, _ in report.carried] == ["2.36"]
    work("2026-11-04")
    office.credit("2026-11-05T06:00")
    assert given_back() == [
        ("B2026-0002", "-24.00", "correction"),
        ("B2026-0002", "-1.00", "price_reduction"),
        ("B2026-0003", "-2.36", "price_reduction"),
    ]
    assert left("B2026-0003")["All in: Hosting"] == "22.64"
    assert [row.left.minor for row in sla.given(services=[shop])] == [0]
