"""What we restrict: by right it isn't promised time, wrongly it is an outage, whatever the probes see."""

import pytest

from coulance.arrears import queries as arrears
from coulance.enforcement import operations as enforcement
from coulance.sla import queries as sla
from coulance_core.enforcement.restrictions import Action, Source
from tests.closing.world import World
from tests.sla.office import Office, instant

HOUR = 60 * 60_000_000


def paused(office: Office, ref: str, since: str, until: str) -> None:
    enforcement.place(
        service=office.service,
        source=Source.ARREARS,
        reason="late",
        ref=ref,
        action=Action.PAUSE,
        actor="test",
        at=instant(since),
    )
    enforcement.lift(
        service=office.service, source=Source.ARREARS, ref=ref, actor="test", reason="paid", at=instant(until)
    )


def test_a_pause_by_right_is_not_downtime_and_a_wrong_one_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(world)
    # Probes see both as down.
    office.october(("2026-10-05T10:00", "2026-10-05T12:00"), ("2026-10-12T10:00", "2026-10-12T11:00"))
    paused(office, "case/1", "2026-10-05T10:00", "2026-10-05T12:00")
    paused(office, "case/2", "2026-10-12T10:00", "2026-10-12T11:00")
    office.credit()
    (measure,) = sla.measures()
    assert (measure.downtime, office.credits()) == (0, [])
    wrong = {office.service: [(instant("2026-10-12T10:00"), instant("2026-10-12T11:00"))]}
    monkeypatch.setattr(arrears, "wrongful", lambda _: wrong)
    office.credit("2026-11-05T06:00")
    (measure,) = sla.measures()
    assert measure.downtime == HOUR
    assert measure.outages[0]["since"] == "2026-10-12T10:00:00+00:00"
    assert office.credits() == ["0.34"]
