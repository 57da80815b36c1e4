"""Applications on several services: judged together by their real outages, credited once, of all their fees."""

from datetime import timedelta
from fractions import Fraction

import pytest
from django.db import connection

from coulance.flows.promises import applications
from coulance.services import queries as services
from coulance.sla import operations
from coulance.sla import queries as sla
from coulance.sla.errors import SlaError
from tests.closing.world import World, recompute_all
from tests.sla.office import OPENED, SLA, Office, instant

MADE_OF = "all of (web, one of (db-1, db-2))"


@pytest.fixture
def office(world: World) -> Office:
    made = Office(world)
    for name in ("db-1", "db-2"):
        world.service(name, "vps", "2026-09-01")
    made.october(("2026-10-05T10:00", "2026-10-05T10:30"))
    down(made, "db-1", "2026-10-06T10:00", 120)
    down(made, "db-2", "2026-10-06T11:00", 120)
    return made


def down(office: Office, name: str, since: str, minutes: int) -> None:
    operations.say(
        service=services.service(name).id,
        says="outage",
        since=instant(since),
        until=instant(since) + timedelta(minutes=minutes),
        reason="log",
        actor="operator:anna",
        at=instant("2026-10-07T00:00"),
    )


def agree(made_of: str, service: str = "web", terms: str = "gold", since: str = "2026-10-01") -> tuple[str, ...]:
    return applications.agree(
        service=service,
        name=terms,
        valid_from=instant(f"{since}T00:00").date(),
        made_of=made_of,
        reason="contract 7",
        actor="operator:anna",
        at=OPENED,
    )


def test_an_application_is_down_when_what_it_is_made_of_was(office: Office) -> None:
    assert agree(MADE_OF) == ("db-1", "db-2")
    report = office.credit()
    # web for 30 minutes, and both databases from 11:00 to 12:00: 90 x 50 x 15.00 / 44,700, of all three fees.
    assert [(name, amount.decimal()) for name, amount in report.credited] == [("web", "1.51")]
    (measure,) = sla.measures()
    recompute_all(measure.explanation)
    assert [one["by"] for one in measure.outages] == ["web at 05T10:00:00Z", "db-1 and db-2 at 06T11:00:00Z"]
    assert measure.terms["made_of"] == MADE_OF
    assert f"judged together, fees of all parts: {MADE_OF}" in measure.explanation.render()
    assert all(row.left.minor == 0 for row in sla.given())
    # By themselves they would have been credited too: 120 + 120 minutes besides. They aren't.
    assert {row.service for row in sla.given()} == {office.service}
    assert office.credit("2026-11-05T06:00").credited == []


def test_the_real_figure_by_union_and_intersection_beside_what_figures_alone_say(office: Office) -> None:
    found = applications.real(text=MADE_OF, year=2026, month=10, at=instant("2026-11-04T00:00"))
    minutes = 44_700
    assert found.down.total == 90 * 60_000_000
    assert found.whole == 100 - Fraction(100 * 90, minutes)
    assert {name: round((100 - share) * minutes / 100) for name, share in found.parts.items()} == {
        "web": 30,
        "db-1": 120,
        "db-2": 120,
    }
    assert found.quote.worst <= found.whole / 100 <= found.quote.best
    with pytest.raises(SlaError, match="closing bracket"):
        applications.real(text="all of (web", year=2026, month=10, at=instant("2026-11-04T00:00"))


def test_maintenance_of_one_of_two_takes_nothing_off_and_of_a_needed_one_does(office: Office) -> None:
    agree(MADE_OF)
    for name, since in (("db-1", "2026-10-06T11:00"), ("web", "2026-10-05T10:00")):
        operations.say(
            service=services.service(name).id, says="maintenance", since=instant(since),
            until=instant(since) + timedelta(minutes=30), reason="disks", actor="operator:anna", at=OPENED,
        )  # fmt: skip
    office.credit()
    (measure,) = sla.measures()
    # db-1's half hour was announced, so the application was down by both for the other half; web's is excused.
    assert measure.downtime == 30 * 60_000_000


def test_terms_forgive_no_outage_of_an_application_by_cutting_it_at_the_month_s_end(world: World) -> None:
    office = Office(world, SLA.replace('target = "100"', 'target = "100"\nshortest = "5 min"'))
    for name in ("db-1", "db-2"):
        world.service(name, "vps", "2026-09-01")
        down(office, name, "2026-10-31T22:57", 9)
    office.october()
    agree("all of (db-1, db-2)", service="db-1")
    assert [name for name, _ in office.credit().credited] == ["db-1"]
    (measure,) = sla.measures(services=[services.service("db-1").id])
    assert measure.downtime == 3 * 60_000_000, "nine minutes long, three of them October's"


def test_an_application_that_lost_a_part_is_told_of_and_stops_nobody(office: Office) -> None:
    agree(MADE_OF)
    office.world.service("other", "vps", "2026-09-01")
    down(office, "other", "2026-10-06T10:00", 120)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE services_service SET external_id = 'gone' WHERE external_id = 'db-2'")
    report = office.credit()
    assert [name for name, _ in report.credited] == ["gone", "other"]
    assert [(name, "no service 'db-2'" in why) for name, why in report.failed] == [("web", True)]


def test_what_can_not_be_agreed(office: Office) -> None:
    office.world.account("beta").service("theirs", "vps", account="beta")
    for made_of, service, why in [
        ("all of (db-1, db-2)", "web", "is no part of"),
        ("all of (web, theirs)", "web", "another account's"),
        ("all of (web,)", "web", "expected a part"),
    ]:
        with pytest.raises(SlaError, match=why):
            agree(made_of, service)
    with pytest.raises(SlaError, match="has no terms"):
        agree(MADE_OF, terms="tin")
    agree(MADE_OF)
    with pytest.raises(SlaError, match="another application"):
        agree("all of (db-1, db-2)", "db-1")
