"""What credits are parts of: fees billed or still to be, usage, the year's and the thirty days' for caps; never nothing
in silence."""

from datetime import timedelta

from coulance.catalog.operations import apply_catalog
from coulance.catalog.reader import read_provider_file
from coulance.flows.promises import crediting
from coulance.platform import alarms
from coulance.services import operations as services
from coulance.services import queries as service_rows
from coulance.sla import operations
from coulance.sla import queries as sla
from tests.closing.world import World
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
