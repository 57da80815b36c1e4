"""Evidence attacked: forged looks, a taken token, clocks that are off, contradictions, our own wrong pauses."""

from datetime import timedelta
from typing import Any

import pytest

from coulance.enforcement import operations as enforcement
from coulance.flows.promises import intake, silence
from coulance.platform import alarms
from coulance.sla import looks, operations
from coulance.sla import queries as sla
from coulance.sla.errors import SlaError
from coulance_core.enforcement.restrictions import Action, Source
from coulance_core.sla.intervals import micros
from tests.closing.world import World
from tests.sla.office import OPENED, SLA, Office, instant

MINUTE = 60_000_000


def alarmed(key: str) -> bool:
    return any(alarm.key == key for alarm in alarms.open_alarms())


def test_an_agent_has_a_say_only_in_what_it_is_asked(world: World) -> None:
    office = Office(world)
    other = operations.add_agent(name="fra-1", actor="test", at=OPENED)
    theirs = office.add_check(vantages=["fra-1"], target="https://shop.example/")
    outside = office.add_check(kind="outside", target="Shop")
    rows = office.rows(instant("2026-10-05T10:00"), instant("2026-10-05T10:05"))
    for row, check in zip(rows, (theirs, outside, theirs, outside, office.check), strict=True):
        row[1] = check
    assert office.hand_over(rows) == looks.Taken(1, 0, 4)
    office.token = other
    assert office.hand_over([[1, theirs, rows[0][2], True, 1, ""]]) == looks.Taken(1, 0, 0)


def test_a_taken_token_shows_and_what_it_said_can_be_let_not_count(world: World) -> None:
    office = Office(world)
    down = (instant("2026-10-10T10:00"), instant("2026-10-10T11:00"))
    office.hand_over(office.rows(instant("2026-09-30T21:55"), instant("2026-10-31T23:05"), down))
    forged = []
    for n in range(60 * 12):  # a lie after every look, so that no outage lasts
        office.seq += 1
        forged.append([office.seq, office.check, micros(down[0] + timedelta(seconds=5 * n + 1)), True, 1, ""])
    office.hand_over(forged)
    assert alarmed("probe-many/ams-1")
    operations.retire_agent(name="ams-1", actor="operator:bo", at=instant("2026-11-03T00:00"))
    with pytest.raises(SlaError, match="no agent's"):
        office.hand_over(forged)
    with pytest.raises(SlaError, match="say why"):
        operations.distrust(agent="ams-1", since=down[0], until=None, reason=" ", actor="x", at=OPENED)
    operations.distrust(
        agent="ams-1", since=down[0], until=down[1], reason="its token was taken", actor="operator:bo",
        at=instant("2026-11-03T01:00"),
    )  # fmt: skip
    office.credit()
    (measure,) = sla.measures()
    # Nobody else saw that hour: unknown, and credited. The last look before it holds for two minutes more.
    assert (measure.unknown, measure.downtime) == (58 * MINUTE, 58 * MINUTE)
    assert "what ams-1 said doesn't count from 2026-10-10T10:00:00Z to 2026-10-10T11:00:00Z: its token was taken" in (
        measure.explanation.render()
    )


def test_one_forged_witness_of_three_changes_nothing(world: World) -> None:
    office = Office(world, SLA.replace('ttl = "3 min"', 'ttl = "3 min", down = 2, fresh = 2'))
    tokens = [office.token, *(operations.add_agent(name=n, actor="test", at=OPENED) for n in ("fra-1", "lon-1"))]
    down = (instant("2026-10-10T10:00"), instant("2026-10-10T10:30"))
    lie = (instant("2026-10-12T10:00"), instant("2026-10-12T18:00"))
    for n, token in enumerate(tokens):
        office.token = token
        spans = [lie] if n == 0 else [down]  # the first says up where it was down, and down where it was up
        office.hand_over(office.rows(instant("2026-09-30T21:55"), instant("2026-10-31T23:05"), *spans))
    office.credit()
    (measure,) = sla.measures()
    assert (measure.downtime, measure.unknown) == (30 * MINUTE, 0)


@pytest.mark.parametrize("off", [-3600, 3600], ids=["behind", "ahead"])
def test_a_clock_that_is_an_hour_off_is_put_right_by_what_it_says_it_is(world: World, off: int) -> None:
    office = Office(world)
    now = instant("2026-10-05T12:00")
    rows = office.rows(instant("2026-10-05T09:00"), instant("2026-10-05T10:00"))  # they waited for two hours
    looks.take(
        agent=office.agent,
        looks=[[row[0], row[1], row[2] + off * 1_000_000, *row[3:]] for row in rows],
        sent_at=micros(now) + off * 1_000_000,
        lost=0,
        at=now,
    )
    (stream,) = looks.streams(checks=[office.check], start=instant("2026-10-05T00:00"), end=now)
    assert stream.at.tolist() == [row[2] for row in rows]
    assert alarmed("probe-clock/ams-1")


def paused(office: Office, since: str, until: str) -> None:
    more: dict[str, Any] = {"service": office.service, "source": Source.SECURITY, "ref": since, "actor": "test"}
    enforcement.place(reason="abuse", action=Action.PAUSE, at=instant(since), **more)
    enforcement.lift(reason="a mistake", at=instant(until), **more)


def test_a_pause_that_we_admit_was_wrong_is_an_outage_whoever_says_so(world: World) -> None:
    office = Office(world)
    office.october()
    for day in ("05", "06", "07"):
        paused(office, f"2026-10-{day}T10:00", f"2026-10-{day}T11:00")
    at = instant("2026-11-02T00:00")

    def entered(day: str, kind: str) -> None:
        operations.say(
            service=office.service, says="outage", since=instant(f"2026-10-{day}T10:00"),
            until=instant(f"2026-10-{day}T11:00"), kind=kind, reason="log", actor="operator:bo", at=at,
        )  # fmt: skip

    entered("05", "")  # the hall was down, and it was paused by right: not promised time
    entered("06", operations.WRONGFUL)
    case = operations.contest(
        service=office.service, account=office.account, since=instant("2026-10-07T10:00"),
        until=instant("2026-10-07T11:00"), words="you paused the wrong one", by="contact:anna", at=at,
    )  # fmt: skip
    operations.decide(counter=case, accepted=True, reason="we did", actor="operator:bo", at=at)
    office.credit()
    (measure,) = sla.measures()
    assert [one["since"][:10] for one in measure.outages] == ["2026-10-06", "2026-10-07"]
    assert measure.downtime == 120 * MINUTE


def test_contrary_evidence_is_heard_and_saying_up_takes_no_outage_away(world: World) -> None:
    office = Office(world)
    office.october(("2026-10-05T10:00", "2026-10-05T11:00"))
    operations.say(
        service=office.service, says="up", since=instant("2026-10-05T10:00"), until=instant("2026-10-05T11:00"),
        reason="it was fine from here", actor="operator:bo", at=instant("2026-11-02T00:00"),
    )  # fmt: skip
    office.credit()
    assert sla.measures()[0].downtime == 60 * MINUTE


def test_who_falls_silent_is_told_of_while_it_can_be_ended(world: World) -> None:
    office = Office(world)
    now = instant("2026-10-05T12:00")
    counts = office.add_check(kind="requests", target="shop", every_s=300)
    office.add_check(kind="outside", target="Shop", holds=True)
    operations.add_agent(name="new-1", actor="test", at=OPENED)
    office.hand_over(office.rows(now - timedelta(minutes=5), now), at=now)
    assert silence.watch(at=now) == [f"sla-silent/check-{counts}", "sla-silent/new-1"]
    intake.bring_counts(source="api:main", counted=[("shop", now, 5, 0)], at=now, actor="test")
    operations.retire_agent(name="new-1", actor="test", at=now)
    assert silence.watch(at=now + timedelta(minutes=10)) == []
    assert not alarmed("sla-silent/new-1")
    # Somebody else with its token used its next numbers up: what it says is known, for all we know. It shows.
    office.hand_over([[office.seq + n, 987_654, 1_791_000_000_000_000, True, 1, ""] for n in range(1, 100)], at=now)
    later = now + timedelta(minutes=40)
    assert office.hand_over(office.rows(now, later), at=later).accepted == 0
    assert silence.watch(at=later) == ["sla-silent/ams-1"]
    assert alarmed("sla-silent/ams-1")
