"""Credits on the incident: told and given soon after an outage, and with the close exactly what the period comes to."""

import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from coulance.flows.promises.incidents import credit_incidents
from coulance.flows.tasks import promises
from coulance.notices import queries as sent
from coulance.platform import alarms, clock
from coulance.sla import operations
from coulance.sla import queries as sla
from tests.closing.world import World, recompute_all
from tests.sla.office import MINUTE, SLA, Office, instant
from tests.sla.test_credits import execute, next_measure

SOON = SLA.replace('target = "100"', 'target = "100"\ncredited = "incident"\nsettles = "30 min"')


def incidents(office: Office, at: str, **more: Any) -> list[str]:
    """What a run credits."""
    report = credit_incidents(at=instant(at), actor="test", **more)
    assert not report.failed, report.failed
    return [amount.decimal() for _, amount in report.credited]


def subjects(office: Office) -> list[str]:
    return [message.subject for message in reversed(sent.messages(account=office.account))]


def test_the_customer_hears_of_each_outage_when_it_is_over_and_the_close_adds_up(world: World) -> None:
    office = Office(world, SOON)
    first, second = ("2026-10-05T10:00", "2026-10-05T10:14"), ("2026-10-09T08:00", "2026-10-09T09:00")
    spans = [(instant(since), instant(until)) for since, until in (first, second)]
    office.hand_over(office.rows(instant("2026-09-30T21:55"), instant("2026-10-05T10:10"), *spans))
    assert incidents(office, "2026-10-05T11:30") == [], "it goes on, for all we know"
    office.hand_over(office.rows(instant("2026-10-05T10:10"), instant("2026-10-05T12:00"), *spans))
    assert incidents(office, "2026-10-05T10:40") == [], "it isn't over for half an hour"
    assert incidents(office, "2026-10-05T10:50") == ["0.08"]
    assert incidents(office, "2026-10-05T11:00") == [], "once"
    assert subjects(office) == ["WEB was down 14 minutes; we credited €0.08"]
    (measure,) = sla.measures()
    assert (measure.so_far, measure.unknown) == (True, 0), "silence is for the close: it may be filled yet"
    # 14 + 60 minutes: 0.4139 in all, of which 0.08 is given.
    office.hand_over(office.rows(instant("2026-10-05T12:00"), instant("2026-10-09T12:00"), *spans))
    assert incidents(office, "2026-10-09T10:00") == ["0.33"]
    assert subjects(office)[1:] == ["WEB was down 60 minutes; we credited €0.33"]
    mail = sent.text_of(message=sent.messages(account=office.account)[0].message)
    assert mail is not None
    assert "2026-10-09 10:00:00 - 11:00:00 CEST" in mail.text
    assert "10:14" not in mail.text, "the first outage was told of"
    assert 'role="img"' in mail.html
    assert "·##·" in mail.text, "drawn: two half hours"
    office.hand_over(office.rows(instant("2026-10-09T12:02"), instant("2026-10-31T23:05"), *spans))
    office.credit()
    assert office.credits() == ["0.08", "0.33"]
    (measure,) = sla.measures()
    assert not measure.so_far
    assert measure.amount.decimal() == "0.41"
    recompute_all(measure.explanation)
    assert sum(row.paid.minor for row in sla.given(account=office.account)) == 41
    assert incidents(office, "2026-11-04T07:00", all_of_it=True) == [], "what was judged whole isn't judged in part"
    with pytest.raises(DatabaseError, match="judged whole"), transaction.atomic():
        execute(next_measure(no="4", so_far="true") + " WHERE no = 3")


def test_silence_and_late_evidence_come_with_the_close(world: World) -> None:
    office = Office(world, SOON)
    down = (instant("2026-10-05T10:00"), instant("2026-10-05T10:14"))
    office.hand_over(office.rows(instant("2026-09-30T21:55"), instant("2026-10-05T12:00"), down))
    assert incidents(office, "2026-10-05T12:00") == ["0.08"]
    office.hand_over(office.rows(instant("2026-10-05T13:00"), instant("2026-10-31T23:05")))
    assert incidents(office, "2026-10-20T00:00", all_of_it=True) == []
    office.credit()
    # 58 minutes of silence (a look holds for 3 minutes, the first to be missed is at 12:00): 14 + 58 x 50 x 5 / 44,700.
    assert office.credits()[0] == "0.08"
    (measure,) = sla.measures()
    assert sum(round(float(one) * 100) for one in office.credits()) == measure.amount.minor > 8
    assert subjects(office)[1].startswith("2026-10 is over: €0.3")


def test_an_entry_is_credited_too_and_a_customer_s_case(world: World) -> None:
    office = Office(world, SOON)
    office.hand_over(office.rows(instant("2026-09-30T21:55"), instant("2026-10-20T00:00")))
    at = instant("2026-10-20T00:00")
    case = operations.contest(
        service=office.service,
        account=office.account,
        since=instant("2026-10-02T10:00"),
        until=instant("2026-10-02T11:00"),
        words="gone",
        by="contact:anna",
        at=at,
    )
    operations.decide(counter=case, accepted=True, reason="a switch", actor="operator:bo", at=at)
    assert incidents(office, "2026-10-20T00:10") == ["0.34"]


@pytest.mark.parametrize("seed", range(2))
def test_incidents_and_close_come_to_what_the_period_owes_under_its_cap(world: World, seed: int) -> None:
    rng = random.Random(seed)
    office = Office(world, SOON.replace('period = "100 %"', 'period = "40 %"'))
    start, end = instant("2026-09-30T22:00"), instant("2026-10-31T23:00")
    down = []
    for _ in range(rng.randint(2, 5)):
        since = start + rng.randrange(40_000) * MINUTE
        down.append((since, since + rng.randint(1, 200) * MINUTE))
    rows = office.rows(start - 5 * MINUTE, end + 5 * MINUTE, *down)
    at = start
    while rows:
        at = min(end, at + timedelta(hours=rng.randint(60, 250)))
        some = [row for row in rows if row[2] < at.timestamp() * 1_000_000]
        kept = [] if at == end else [row for row in some if rng.random() < 0.1]  # these come late
        office.hand_over([row for row in some if row not in kept] if kept else some, at=at)
        rows = kept + rows[len(some) :]
        if at == end:
            office.hand_over(rows, at=at + timedelta(hours=1))
            rows = []
        incidents(office, at.isoformat()[:19], all_of_it=rng.random() < 0.5)
    office.credit()
    minutes = {
        start + n * MINUTE
        for since, until in down
        for n in range(int((since - start) / MINUTE), int((until - start) / MINUTE))
        if start <= start + n * MINUTE < end
    }
    owed = min(200, round(500 * 50 * len(minutes) / 44_700 + 1e-9))
    measure = sla.newest_measure(office.service, "2026-10")
    assert measure is not None
    assert (measure.so_far, measure.amount.minor) == (False, owed)
    given = sum(row.amount.minor for row in sla.given(account=office.account))
    assert given == owed
    assert len(sent.messages(account=office.account)) == len(sla.given(account=office.account))


def test_the_jobs_do_it_by_themselves(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(world, SOON)
    down = (instant("2026-10-05T10:00"), instant("2026-10-05T10:14"))
    noon = instant("2026-10-05T12:00")
    office.hand_over(office.rows(instant("2026-09-30T21:55"), noon, down), at=noon)
    for job, at in ((promises.credit_incidents, "2026-10-05T11:00"), (promises.credit, "2026-10-06T04:40")):
        monkeypatch.setattr(clock, "now", lambda at=at: instant(at))
        job(timestamp=0)
        assert office.credits() == ["0.08"]
    promises.gather(timestamp=0)
    assert [alarm.key for alarm in alarms.open_alarms() if "silent" in alarm.key] == ["sla-silent/ams-1"]
